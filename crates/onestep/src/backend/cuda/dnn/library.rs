//! cuDNN's own interface, found at run time: its functions, and descriptors with their attributes. Its numbers are plain
//! integers here, for a newer library has more of them than any list.

use std::ffi::{CStr, c_char, c_void};
use std::marker::PhantomData;
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::error::{Error, Result};

/// The library's name to the system's loader. Its major version is part of it.
#[cfg(windows)]
const NAME: &str = "cudnn64_9.dll";
#[cfg(not(windows))]
const NAME: &str = "libcudnn.so.9";

/// What a function says; 0 is success.
type Status = u32;
pub(super) type Raw = *mut c_void;

/// Declares the functions that are used, and finds them.
macro_rules! functions {
    ($($field:ident = $name:literal: fn($($argument:ty),*) $(-> $result:ty)?;)*) => {
        /// The library's functions.
        pub(super) struct Library {
            $($field: unsafe extern "C" fn($($argument),*) $(-> $result)?,)*
            /// Keeps the functions where they are.
            _library: libloading::Library,
        }

        impl Library {
            /// Loads the library, if it is there with all functions.
            fn load() -> Option<Self> {
                // SAFETY: looks for a shared library by name; loading NVIDIA's has no other effect.
                let library = unsafe { libloading::Library::new(NAME) }.ok()?;
                Some(Library {
                    // SAFETY: the types are those that the library's header declares.
                    $($field: *unsafe { library.get(concat!($name, "\0").as_bytes()) }.ok()?,)*
                    _library: library,
                })
            }
        }
    };
}

functions! {
    version = "cudnnGetVersion": fn() -> usize;
    status_name = "cudnnGetErrorString": fn(Status) -> *const c_char;
    last_error = "cudnnGetLastErrorString": fn(*mut c_char, usize);
    create = "cudnnCreate": fn(*mut Raw) -> Status;
    destroy = "cudnnDestroy": fn(Raw) -> Status;
    set_stream = "cudnnSetStream": fn(Raw, Raw) -> Status;
    create_descriptor = "cudnnBackendCreateDescriptor": fn(u32, *mut Raw) -> Status;
    destroy_descriptor = "cudnnBackendDestroyDescriptor": fn(Raw) -> Status;
    set_attribute = "cudnnBackendSetAttribute": fn(Raw, u32, u32, i64, *const c_void) -> Status;
    get_attribute = "cudnnBackendGetAttribute": fn(Raw, u32, u32, i64, *mut i64, *mut c_void) -> Status;
    finalize = "cudnnBackendFinalize": fn(Raw) -> Status;
    execute = "cudnnBackendExecute": fn(Raw, Raw, Raw) -> Status;
}

impl Library {
    /// The library, if it is there.
    pub(super) fn get() -> Option<&'static Library> {
        static LIBRARY: OnceLock<Option<Library>> = OnceLock::new();
        LIBRARY.get_or_init(Library::load).as_ref()
    }

    /// Its version, 91400 for 9.14.0.
    pub(super) fn version(&self) -> usize {
        // SAFETY: asks for a number.
        unsafe { (self.version)() }
    }

    /// A status as a result, with what was being done.
    fn check(&self, doing: &str, status: Status) -> Result<()> {
        if status == 0 {
            return Ok(());
        }
        let mut about = [0 as c_char; 1024];
        // SAFETY: gives the name of a number, and writes no more than there is room for, ended by a zero.
        let [name, about] = unsafe {
            (self.last_error)(about.as_mut_ptr(), about.len());
            let name = (self.status_name)(status);
            let name = if name.is_null() { c"an unknown status" } else { CStr::from_ptr(name) };
            [name, CStr::from_ptr(about.as_ptr())].map(|text| text.to_string_lossy().into_owned())
        };
        let about = if about.is_empty() { about } else { format!(" ({about})") };
        Err(Error::device(format!("cuDNN could not {doing}: {name}{about}")))
    }
}

/// The library at work on the GPU whose context was current.
pub(super) struct Handle {
    library: &'static Library,
    raw: Raw,
}

// SAFETY: a handle may be used from any thread, by one at a time.
unsafe impl Send for Handle {}

impl Handle {
    /// Starts the library on the GPU of the current context. Not by several threads at once, as its manual ("Thread
    /// Safety") recommends at least for the first time.
    pub(super) fn new(library: &'static Library) -> Result<Self> {
        static ONE_BY_ONE: Mutex<()> = Mutex::new(());
        let _turn = ONE_BY_ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let mut raw = std::ptr::null_mut();
        // SAFETY: writes the handle, which this value destroys.
        library.check("start", unsafe { (library.create)(&mut raw) })?;
        Ok(Handle { library, raw })
    }

    /// Queues a plan with its operands, or has it captured.
    ///
    /// # Safety
    /// The stream must be one of the handle's GPU, and all memory that the operands name must be alive until it is done.
    pub(super) unsafe fn execute(&mut self, plan: &Descriptor, operands: &Descriptor, stream: Raw) -> Result<()> {
        let library = self.library;
        // SAFETY: promised by the caller.
        library.check("use a queue", unsafe { (library.set_stream)(self.raw, stream) })?;
        // SAFETY: promised by the caller; the descriptors are alive.
        library.check("convolve", unsafe { (library.execute)(self.raw, plan.raw, operands.raw) })
    }

    /// The handle as the value of an attribute.
    pub(super) fn raw(&self) -> Raw {
        self.raw
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: made by this value and destroyed once.
        let _ = unsafe { (self.library.destroy)(self.raw) };
    }
}

/// What a descriptor describes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Pointwise = 0,
    Convolution = 1,
    Engine = 2,
    EngineConfig = 3,
    Heuristics = 4,
    Plan = 5,
    Forward = 10,
    FilterGrad = 11,
    InputGrad = 12,
    PointwiseOperation = 13,
    Graph = 15,
    Operands = 16,
    Tensor = 17,
}

/// An attribute of a descriptor, whose values are `T`.
pub(super) struct Attribute<T> {
    name: u32,
    kind: u32,
    values: PhantomData<fn(T)>,
}

const fn attribute<T>(name: u32, kind: u32) -> Attribute<T> {
    Attribute { name, kind, values: PhantomData }
}

/// What attributes hold, as the library numbers it.
mod held {
    pub(super) const HANDLE: u32 = 0;
    pub(super) const DATA_TYPE: u32 = 1;
    pub(super) const BOOLEAN: u32 = 2;
    pub(super) const INT64: u32 = 3;
    pub(super) const FLOAT: u32 = 4;
    pub(super) const DOUBLE: u32 = 5;
    pub(super) const POINTER: u32 = 6;
    pub(super) const CONVOLUTION_MODE: u32 = 7;
    pub(super) const HEURISTICS_MODE: u32 = 8;
    pub(super) const NAN_PROPAGATION: u32 = 10;
    pub(super) const NUMERICAL_NOTE: u32 = 11;
    pub(super) const POINTWISE_MODE: u32 = 14;
    pub(super) const DESCRIPTOR: u32 = 15;
    pub(super) const CHAR: u32 = 24;
}

use held::*;

pub(super) const POINTWISE_MODE_IS: Attribute<u32> = attribute(0, POINTWISE_MODE);
pub(super) const POINTWISE_PRECISION: Attribute<u32> = attribute(1, DATA_TYPE);
pub(super) const POINTWISE_NAN: Attribute<u32> = attribute(2, NAN_PROPAGATION);
pub(super) const RELU_LOWER: Attribute<f64> = attribute(3, DOUBLE);
pub(super) const CONVOLUTION_PRECISION: Attribute<u32> = attribute(100, DATA_TYPE);
pub(super) const CONVOLUTION_MODE_IS: Attribute<u32> = attribute(101, CONVOLUTION_MODE);
pub(super) const DILATIONS: Attribute<i64> = attribute(102, INT64);
pub(super) const STRIDES: Attribute<i64> = attribute(103, INT64);
pub(super) const PADDING_AFTER: Attribute<i64> = attribute(104, INT64);
pub(super) const PADDING_BEFORE: Attribute<i64> = attribute(105, INT64);
pub(super) const DIMENSIONS: Attribute<i64> = attribute(106, INT64);
pub(super) const HEURISTICS_MODE_IS: Attribute<u32> = attribute(200, HEURISTICS_MODE);
pub(super) const HEURISTICS_GRAPH: Attribute<Raw> = attribute(201, DESCRIPTOR);
pub(super) const HEURISTICS_RESULTS: Attribute<Raw> = attribute(202, DESCRIPTOR);
pub(super) const CONFIG_ENGINE: Attribute<Raw> = attribute(300, DESCRIPTOR);
pub(super) const PLAN_HANDLE: Attribute<Raw> = attribute(400, HANDLE);
pub(super) const PLAN_CONFIG: Attribute<Raw> = attribute(401, DESCRIPTOR);
pub(super) const PLAN_WORKSPACE: Attribute<i64> = attribute(402, INT64);
pub(super) const PLAN_TEXT: Attribute<u8> = attribute(405, CHAR);
pub(super) const OPERATION_POINTWISE: Attribute<Raw> = attribute(750, DESCRIPTOR);
pub(super) const OPERATION_X: Attribute<Raw> = attribute(751, DESCRIPTOR);
pub(super) const OPERATION_B: Attribute<Raw> = attribute(752, DESCRIPTOR);
pub(super) const OPERATION_Y: Attribute<Raw> = attribute(753, DESCRIPTOR);
pub(super) const OPERATION_DX: Attribute<Raw> = attribute(756, DESCRIPTOR);
pub(super) const OPERATION_DY: Attribute<Raw> = attribute(757, DESCRIPTOR);
pub(super) const GRAPH_HANDLE: Attribute<Raw> = attribute(800, HANDLE);
pub(super) const GRAPH_OPERATIONS: Attribute<Raw> = attribute(801, DESCRIPTOR);
pub(super) const TENSOR_ALIGNMENT: Attribute<i64> = attribute(900, INT64);
pub(super) const TENSOR_DTYPE: Attribute<u32> = attribute(901, DATA_TYPE);
pub(super) const TENSOR_EXTENTS: Attribute<i64> = attribute(902, INT64);
pub(super) const TENSOR_STRIDES: Attribute<i64> = attribute(903, INT64);
pub(super) const TENSOR_NUMBER: Attribute<i64> = attribute(906, INT64);
pub(super) const TENSOR_IS_VIRTUAL: Attribute<bool> = attribute(907, BOOLEAN);
pub(super) const OPERANDS_NUMBERS: Attribute<i64> = attribute(1000, INT64);
pub(super) const OPERANDS_ADDRESSES: Attribute<Raw> = attribute(1001, POINTER);
pub(super) const OPERANDS_WORKSPACE: Attribute<Raw> = attribute(1003, POINTER);
pub(super) const ENGINE_NOTES: Attribute<u32> = attribute(1303, NUMERICAL_NOTE);

/// Attributes that the three directions of a convolution have under numbers of their own.
pub(super) struct OperationAttributes {
    pub(super) alpha: Attribute<f32>,
    pub(super) beta: Attribute<f32>,
    pub(super) convolution: Attribute<Raw>,
    pub(super) filter: Attribute<Raw>,
    pub(super) input: Attribute<Raw>,
    pub(super) output: Attribute<Raw>,
}

/// Those of an operation whose first attribute has a number: six in a row.
pub(super) const fn operation_attributes(first: u32) -> OperationAttributes {
    OperationAttributes {
        alpha: attribute(first, FLOAT),
        beta: attribute(first + 1, FLOAT),
        convolution: attribute(first + 2, DESCRIPTOR),
        filter: attribute(first + 3, DESCRIPTOR),
        input: attribute(first + 4, DESCRIPTOR),
        output: attribute(first + 5, DESCRIPTOR),
    }
}

/// A description in the making, or made.
pub(super) struct Descriptor {
    library: &'static Library,
    raw: Raw,
}

// SAFETY: a finished descriptor is not written any more, and one in the making is one thread's.
unsafe impl Send for Descriptor {}
// SAFETY: as above.
unsafe impl Sync for Descriptor {}

impl Descriptor {
    /// Nothing said yet.
    pub(super) fn new(library: &'static Library, kind: Kind) -> Result<Self> {
        let mut raw = std::ptr::null_mut();
        // SAFETY: writes the descriptor, which this value destroys.
        library.check("make a description", unsafe { (library.create_descriptor)(kind as u32, &mut raw) })?;
        Ok(Descriptor { library, raw })
    }

    /// The descriptor as the value of an attribute.
    pub(super) fn raw(&self) -> Raw {
        self.raw
    }

    /// Says what an attribute is.
    pub(super) fn with<T>(self, attribute: Attribute<T>, values: &[T]) -> Result<Self> {
        let Attribute { name, kind, .. } = attribute;
        // SAFETY: the values have the attribute's type, and are copied; what they refer to is kept by the caller.
        let status =
            unsafe { (self.library.set_attribute)(self.raw, name, kind, values.len() as i64, values.as_ptr().cast()) };
        self.library.check(&format!("take attribute {name} of a description"), status)?;
        Ok(self)
    }

    /// Says that no more is said.
    pub(super) fn finished(self) -> Result<Self> {
        // SAFETY: the descriptor is alive, and so are those that it refers to.
        self.library.check("take a description", unsafe { (self.library.finalize)(self.raw) })?;
        Ok(self)
    }

    /// The values of an attribute, at most as many as there is room for, in which descriptors of the right kind must
    /// stand where descriptors are asked for.
    pub(super) fn get<T: Copy>(&self, attribute: Attribute<T>, mut room: Vec<T>) -> Result<Vec<T>> {
        let Attribute { name, kind, .. } = attribute;
        let (mut count, at) = (0, if room.is_empty() { std::ptr::null_mut() } else { room.as_mut_ptr() });
        // SAFETY: the values have the attribute's type, and no more are written than there is room for.
        let status =
            unsafe { (self.library.get_attribute)(self.raw, name, kind, room.len() as i64, &mut count, at.cast()) };
        self.library.check(&format!("tell attribute {name} of a description"), status)?;
        room.truncate(usize::try_from(count).unwrap_or(0));
        Ok(room)
    }

    /// How many values an attribute has.
    pub(super) fn count<T>(&self, attribute: Attribute<T>) -> Result<usize> {
        let (Attribute { name, kind, .. }, mut count) = (attribute, 0);
        // SAFETY: with no room but for the number itself nothing else is written.
        let status = unsafe { (self.library.get_attribute)(self.raw, name, kind, 0, &mut count, std::ptr::null_mut()) };
        self.library.check(&format!("tell attribute {name} of a description"), status)?;
        Ok(usize::try_from(count).unwrap_or(0))
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        // SAFETY: made by this value and destroyed once.
        let _ = unsafe { (self.library.destroy_descriptor)(self.raw) };
    }
}
