//! The CUDA driver: a device's context and its two queues of work, memory, events and kernels, each owned by a
//! value that gives it back.

use std::ffi::{CString, c_void};
use std::ops::Range;
use std::sync::Arc;

use cudarc::driver::result::{self, DriverError};
use cudarc::driver::sys;

use super::peaks::peaks;
use crate::backend::memory::{Capacity, Fence, RawMemory, Slot};
use crate::error::{Error, Result};
use crate::plan::Peaks;

/// An error of the driver with what was being done.
fn failed(doing: &str, e: DriverError) -> Error {
    let text = |t: Result<&std::ffi::CStr, DriverError>| t.map(|t| t.to_string_lossy().into_owned()).ok();
    let name = text(e.error_name()).unwrap_or_else(|| "an unknown error".into());
    let about = text(e.error_string()).unwrap_or_default();
    let message = format!("CUDA could not {doing}: {name} ({about})");
    if e.0 == sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY { Error::memory(message) } else { Error::device(message) }
}

/// Whether there is a driver, or why not.
fn present() -> Result<()> {
    // SAFETY: looks for a shared library by name; loading the driver has no other effect.
    if !unsafe { sys::is_culib_present() } {
        return Err(Error::device(
            "there is no CUDA driver (libcuda.so.1 or nvcuda.dll) here; install NVIDIA's driver for your GPU, or use \
             `--device cpu`",
        ));
    }
    result::init().map_err(|e| failed("start", e))
}

/// The number of GPUs that the driver sees.
fn count() -> Result<usize> {
    present()?;
    let count = result::device::get_count().map_err(|e| failed("count its devices", e))?;
    Ok(usize::try_from(count).unwrap_or(0))
}

/// Where work is queued. What is in one queue is done in order; events order the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Queue {
    /// All that computes, and all memory that the pool hands out.
    Work,
    /// Copies of inputs from the host, beside the work.
    Copies,
}

/// One GPU: its primary context and the queues that all its work goes through.
pub(super) struct Gpu {
    pub(super) ordinal: usize,
    pub(super) name: String,
    /// The compute capability, 90 for 9.0.
    pub(super) architecture: usize,
    pub(super) multiprocessors: usize,
    pub(super) shared_bytes: usize,
    pub(super) peaks: Option<Peaks>,
    /// Whether a kernel can come to the device before those it depends on are done, and wait there.
    waits_in_kernels: bool,
    device: sys::CUdevice,
    context: sys::CUcontext,
    stream: sys::CUstream,
    copies: sys::CUstream,
}

// SAFETY: contexts and streams may be used from any thread; every use makes the context current first.
unsafe impl Send for Gpu {}
// SAFETY: as above; the driver locks what it shares between threads.
unsafe impl Sync for Gpu {}

impl Gpu {
    /// Opens a GPU.
    pub(super) fn open(ordinal: usize) -> Result<Self> {
        let count = count()?;
        if ordinal >= count {
            return Err(Error::device(format!(
                "there is no CUDA device {ordinal} here; the driver sees {count}, counted from 0"
            )));
        }
        let doing = |what: &'static str| move |e| failed(what, e);
        let device = result::device::get(ordinal as i32).map_err(doing("open the device"))?;
        let name = result::device::get_name(device).map_err(doing("name the device"))?;
        let attribute = |a: sys::CUdevice_attribute| {
            // SAFETY: the device was given by the driver just now.
            let value = unsafe { result::device::get_attribute(device, a) };
            value.map(|v| usize::try_from(v).unwrap_or(0)).map_err(doing("describe the device"))
        };
        use sys::CUdevice_attribute_enum as A;
        let major = attribute(A::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
        let minor = attribute(A::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?;
        let multiprocessors = attribute(A::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?;
        let shared_bytes = attribute(A::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK)?;
        // Drivers that do not tell a clock say 0 or refuse: there are no peaks then.
        let clock = attribute(A::CU_DEVICE_ATTRIBUTE_CLOCK_RATE).unwrap_or(0);
        let memory = attribute(A::CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE).unwrap_or(0);
        let bus = attribute(A::CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH).unwrap_or(0);
        let mut version = 0;
        // SAFETY: writes a number.
        unsafe { sys::cuDriverGetVersion(&mut version) }.result().map_err(doing("tell its version"))?;
        let architecture = 10 * major + minor;
        // SAFETY: the device is the driver's; the context is released when this value is dropped.
        let context = unsafe { result::primary_ctx::retain(device) }.map_err(doing("open a context"))?;
        let mut gpu = Gpu {
            ordinal,
            name,
            architecture,
            multiprocessors,
            shared_bytes,
            peaks: peaks(architecture, multiprocessors, clock, memory, bus),
            waits_in_kernels: architecture >= 90 && version >= 12_030,
            device,
            context,
            stream: std::ptr::null_mut(),
            copies: std::ptr::null_mut(),
        };
        gpu.enter()?;
        for queue in [&mut gpu.stream, &mut gpu.copies] {
            *queue = result::stream::create(result::stream::StreamKind::NonBlocking).map_err(doing("make a queue"))?;
        }
        Ok(gpu)
    }

    /// Makes the context current on this thread, as every call below needs it.
    pub(super) fn enter(&self) -> Result<()> {
        // SAFETY: the context lives as long as `self`.
        unsafe { result::ctx::set_current(self.context) }.map_err(|e| failed("use its context", e))
    }

    /// The queue of work.
    pub(super) fn stream(&self) -> sys::CUstream {
        self.stream
    }

    fn queue(&self, queue: Queue) -> sys::CUstream {
        match queue {
            Queue::Work => self.stream,
            Queue::Copies => self.copies,
        }
    }

    /// Lets what is queued from now on wait for a point, as it is set now.
    pub(super) fn after(&self, queue: Queue, event: &Event) -> Result<()> {
        self.enter()?;
        let flags = sys::CUevent_wait_flags::CU_EVENT_WAIT_DEFAULT;
        // SAFETY: stream and event are alive.
        unsafe { result::stream::wait_event(self.queue(queue), event.event, flags) }
            .map_err(|e| failed("order its queues", e))
    }

    /// Waits until everything submitted is done.
    pub(super) fn wait(&self) -> Result<()> {
        self.enter()?;
        for stream in [self.copies, self.stream] {
            // SAFETY: the stream lives as long as `self`.
            unsafe { result::stream::synchronize(stream) }.map_err(|e| failed("finish its work", e))?;
        }
        Ok(())
    }

    /// Bytes of all its memory.
    pub(super) fn memory_bytes(&self) -> usize {
        // SAFETY: the device is the driver's.
        unsafe { result::device::total_mem(self.device) }.unwrap_or(0)
    }

    /// Queues a copy from pinned host memory.
    ///
    /// # Safety
    /// `to` must have room for the bytes, and they must stay as they are until the copy is done.
    unsafe fn upload(&self, from: &[u8], to: u64, queue: Queue) -> Result<()> {
        self.enter()?;
        // SAFETY: promised by the caller.
        unsafe { result::memcpy_htod_async(to, from, self.queue(queue)) }.map_err(|e| failed("copy to the device", e))
    }

    /// Queues a copy to pinned host memory.
    ///
    /// # Safety
    /// `from` must hold so many bytes, and `to` must stay untouched until the copy is done.
    unsafe fn download(&self, from: u64, to: &mut [u8]) -> Result<()> {
        self.enter()?;
        // SAFETY: promised by the caller.
        unsafe { result::memcpy_dtoh_async(to, from, self.stream) }.map_err(|e| failed("copy from the device", e))
    }

    /// Queues a copy from one place of its memory to another.
    ///
    /// # Safety
    /// So many bytes must lie at both places until the copy is done, and not overlap.
    pub(super) unsafe fn copy(&self, from: u64, to: u64, bytes: usize) -> Result<()> {
        if bytes == 0 {
            return Ok(());
        }
        self.enter()?;
        // SAFETY: promised by the caller.
        unsafe { result::memcpy_dtod_async(to, from, bytes, self.stream) }.map_err(|e| failed("copy on the device", e))
    }
}

impl Drop for Gpu {
    fn drop(&mut self) {
        let entered = self.enter().is_ok();
        for stream in [self.copies, self.stream].into_iter().filter(|stream| entered && !stream.is_null()) {
            // SAFETY: the stream is this value's own; nothing can be done about a driver that refuses.
            let _ = unsafe { result::stream::destroy(stream) };
        }
        // SAFETY: retained when this value was made.
        let _ = unsafe { result::primary_ctx::release(self.device) };
    }
}

/// The memory of a GPU, for the pool.
pub(super) struct GpuMemory(pub(super) Arc<Gpu>);

impl RawMemory for GpuMemory {
    type Raw = u64;

    fn name(&self) -> String {
        format!("cuda:{}", self.0.ordinal)
    }

    fn allocate(&self, bytes: usize) -> Result<u64> {
        self.0.enter()?;
        // SAFETY: the context is current; the pool frees what it is given.
        unsafe { result::malloc_sync(bytes) }.map_err(|e| failed("allocate memory", e))
    }

    fn free(&self, raw: u64) {
        // Freeing waits for work that was submitted before. What a failed device does not free is gone with it.
        if self.0.enter().is_ok() {
            // SAFETY: allocated by `allocate`, and freed once.
            let _ = unsafe { result::free_sync(raw) };
        }
    }

    fn zero(&self, raw: &u64, bytes: Range<usize>) -> Result<()> {
        self.0.enter()?;
        // SAFETY: the range lies in the block.
        unsafe { result::memset_d8_async(raw + bytes.start as u64, 0, bytes.len(), self.0.stream) }
            .map_err(|e| failed("zero memory", e))
    }

    fn capacity(&self) -> Option<Capacity> {
        self.0.enter().ok()?;
        let (free, total) = result::mem_get_info().ok()?;
        Some(Capacity { total, free })
    }
}

/// A point in a queue.
pub(super) struct Event {
    event: sys::CUevent,
    gpu: Arc<Gpu>,
}

// SAFETY: events may be used from any thread whose context is theirs.
unsafe impl Send for Event {}
// SAFETY: as above; the driver locks what it shares between threads.
unsafe impl Sync for Event {}

impl Event {
    /// A point that has not come yet; with `timed` it can be measured from.
    pub(super) fn new(gpu: &Arc<Gpu>, timed: bool) -> Result<Self> {
        gpu.enter()?;
        let flags = match timed {
            true => sys::CUevent_flags::CU_EVENT_DEFAULT,
            false => sys::CUevent_flags::CU_EVENT_DISABLE_TIMING,
        };
        let event = result::event::create(flags).map_err(|e| failed("make an event", e))?;
        Ok(Event { event, gpu: gpu.clone() })
    }

    /// Sets the point behind all that is in a queue now.
    pub(super) fn record(&self, queue: Queue) -> Result<()> {
        self.gpu.enter()?;
        // SAFETY: event and stream are alive.
        unsafe { result::event::record(self.event, self.gpu.queue(queue)) }.map_err(|e| failed("record an event", e))
    }

    /// Milliseconds from one point to a later one; both must have passed.
    pub(super) fn milliseconds_to(&self, later: &Event) -> Result<f32> {
        self.gpu.enter()?;
        // SAFETY: both events are alive.
        unsafe { result::event::elapsed(self.event, later.event) }.map_err(|e| failed("measure a time", e))
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        if self.gpu.enter().is_ok() {
            // SAFETY: made by this value and destroyed once.
            let _ = unsafe { result::event::destroy(self.event) };
        }
    }
}

impl Fence for Arc<Event> {
    fn is_done(&self) -> Result<bool> {
        self.gpu.enter()?;
        // SAFETY: the event is alive.
        match unsafe { result::event::query(self.event) } {
            Ok(()) => Ok(true),
            Err(e) if e.0 == sys::CUresult::CUDA_ERROR_NOT_READY => Ok(false),
            Err(e) => Err(failed("do its work", e)),
        }
    }

    fn wait(&self) -> Result<()> {
        self.gpu.enter()?;
        // SAFETY: the event is alive.
        unsafe { result::event::synchronize(self.event) }.map_err(|e| failed("finish its work", e))
    }
}

/// Host memory that the device copies from and to at full speed.
pub(super) struct Pinned {
    memory: *mut u8,
    bytes: usize,
    /// The point behind the last copy.
    copied: Arc<Event>,
    gpu: Arc<Gpu>,
}

// SAFETY: plain memory, owned by this value.
unsafe impl Send for Pinned {}
// SAFETY: as above; who shares it does not write.
unsafe impl Sync for Pinned {}

impl Pinned {
    /// Zeroed memory.
    pub(super) fn new(gpu: &Arc<Gpu>, bytes: usize) -> Result<Self> {
        let copied = Arc::new(Event::new(gpu, false)?);
        // SAFETY: the context is current; the memory is freed when this value is dropped.
        let memory = unsafe { result::malloc_host(bytes.max(1), 0) }.map_err(|e| failed("pin host memory", e))?;
        // SAFETY: so many bytes were allocated.
        unsafe { memory.cast::<u8>().write_bytes(0, bytes) };
        Ok(Pinned { memory: memory.cast(), bytes, copied, gpu: gpu.clone() })
    }

    /// Queues a copy of its first bytes to the device, and says when it is done.
    ///
    /// # Safety
    /// `to` must have room for them, and they must not be written before the copy is done.
    pub(super) unsafe fn upload(&self, bytes: usize, to: u64, queue: Queue) -> Result<Arc<Event>> {
        // SAFETY: promised by the caller.
        unsafe { self.gpu.upload(&self.bytes()[..bytes], to, queue) }?;
        self.copied.record(queue)?;
        Ok(self.copied.clone())
    }

    /// Queues a copy from the device to its first bytes, and says when it is done.
    ///
    /// # Safety
    /// `from` must hold so many bytes.
    pub(super) unsafe fn download(&mut self, from: u64, bytes: usize) -> Result<Arc<Event>> {
        let gpu = self.gpu.clone();
        // SAFETY: promised by the caller; the fence keeps others away until the copy is done.
        unsafe { gpu.download(from, &mut self.bytes_mut()[..bytes]) }?;
        self.copied.record(Queue::Work)?;
        Ok(self.copied.clone())
    }

    /// Queues copies from several places of the device, each an address and a number of bytes, to its beginning, one
    /// behind the other, and says when they are done. If one cannot be queued, those before it are waited for.
    ///
    /// # Safety
    /// So many bytes must lie at each place, and all together fit.
    pub(super) unsafe fn gather(&mut self, parts: &[(u64, usize)]) -> Result<Arc<Event>> {
        let (gpu, mut at) = (self.gpu.clone(), 0);
        let mut queue = || -> Result<()> {
            for &(from, bytes) in parts.iter().filter(|(_, bytes)| *bytes > 0) {
                // SAFETY: promised by the caller; the fence keeps others away until the copies are done.
                unsafe { gpu.download(from, &mut self.bytes_mut()[at..at + bytes]) }?;
                at += bytes;
            }
            self.copied.record(Queue::Work)
        };
        if let Err(e) = queue() {
            // What a failed device still does is not to be waited for.
            let _ = gpu.wait();
            return Err(e);
        }
        Ok(self.copied.clone())
    }

    /// Whether it is for copies to and from this GPU handle.
    pub(super) fn is_of(&self, gpu: &Arc<Gpu>) -> bool {
        Arc::ptr_eq(&self.gpu, gpu)
    }

    /// The bytes, which no copy may be writing.
    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: allocated and written when this value was made; a copy's fence is waited for before.
        unsafe { std::slice::from_raw_parts(self.memory, self.bytes) }
    }

    /// The bytes, which no copy may be using.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and `self` is borrowed alone.
        unsafe { std::slice::from_raw_parts_mut(self.memory, self.bytes) }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        if self.gpu.enter().is_ok() {
            // SAFETY: allocated by this value and freed once.
            let _ = unsafe { result::free_host(self.memory.cast()) };
        }
    }
}

impl Slot for Pinned {
    type Fence = Arc<Event>;

    fn write(&mut self, at: usize, bytes: &[u8]) -> Result<()> {
        self.bytes_mut()[at..at + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn read(&self, at: usize, bytes: &mut [u8]) -> Result<()> {
        bytes.copy_from_slice(&self.bytes()[at..at + bytes.len()]);
        Ok(())
    }
}

/// Compiled kernels.
pub(super) struct Module {
    module: sys::CUmodule,
    gpu: Arc<Gpu>,
}

// SAFETY: modules may be used from any thread whose context is theirs.
unsafe impl Send for Module {}
// SAFETY: as above.
unsafe impl Sync for Module {}

impl Module {
    /// Loads machine code.
    pub(super) fn load(gpu: &Arc<Gpu>, code: &[u8]) -> Result<Self> {
        gpu.enter()?;
        // SAFETY: the code is a whole cubin, as the compiler made it or as its checksum says it was made.
        let module = unsafe { result::module::load_data(code.as_ptr().cast()) };
        Ok(Module { module: module.map_err(|e| failed("load compiled kernels", e))?, gpu: gpu.clone() })
    }

    /// A kernel by name.
    pub(super) fn kernel(&self, name: &str) -> Result<sys::CUfunction> {
        self.gpu.enter()?;
        let text = CString::new(name).map_err(|_| Error::device(format!("a kernel cannot be called `{name}`")))?;
        // SAFETY: the module is alive.
        unsafe { result::module::get_function(self.module, text) }
            .map_err(|e| failed(&format!("find kernel {name}"), e))
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        if self.gpu.enter().is_ok() {
            // SAFETY: loaded by this value and unloaded once.
            let _ = unsafe { result::module::unload(self.module) };
        }
    }
}

/// A kernel with all it is launched with.
pub(super) struct Launch {
    pub(super) function: sys::CUfunction,
    pub(super) groups: [u32; 3],
    pub(super) threads: u32,
    /// Device pointers, in the order of the kernel's parameters.
    pub(super) arguments: Vec<u64>,
}

impl Launch {
    fn pointers(&mut self) -> Vec<*mut c_void> {
        self.arguments.iter_mut().map(|a| std::ptr::from_mut(a).cast()).collect()
    }

    /// Queues it once.
    ///
    /// # Safety
    /// The kernel must belong to a loaded module, and take these arguments, each to memory that is alive until
    /// it is done.
    pub(super) unsafe fn submit(&mut self, gpu: &Gpu) -> Result<()> {
        let mut pointers = self.pointers();
        let [x, y, z] = self.groups;
        let threads = (self.threads, 1, 1);
        // SAFETY: promised by the caller.
        unsafe { result::launch_kernel(self.function, (x, y, z), threads, 0, gpu.stream, &mut pointers) }
            .map_err(|e| failed("launch a kernel", e))
    }
}

/// Work with its order, in the making.
pub(super) struct Graph {
    graph: sys::CUgraph,
    gpu: Arc<Gpu>,
}

/// A piece of work in a [`Graph`].
#[derive(Clone, Copy)]
pub(super) struct Node {
    node: sys::CUgraphNode,
    /// Whether it is one kernel of ours.
    is_kernel: bool,
}

impl Graph {
    /// No work.
    pub(super) fn new(gpu: &Arc<Gpu>) -> Result<Self> {
        gpu.enter()?;
        let mut graph = std::ptr::null_mut();
        // SAFETY: writes the handle, which this value destroys.
        unsafe { sys::cuGraphCreate(&mut graph, 0) }.result().map_err(|e| failed("make a graph", e))?;
        Ok(Graph { graph, gpu: gpu.clone() })
    }

    /// Adds a kernel that runs after some nodes.
    ///
    /// # Safety
    /// As [`Launch::submit`], for every run of the graph.
    pub(super) unsafe fn kernel(&mut self, launch: &mut Launch, after: &[Node]) -> Result<Node> {
        self.gpu.enter()?;
        let mut pointers = launch.pointers();
        let [x, y, z] = launch.groups;
        let parameters = sys::CUDA_KERNEL_NODE_PARAMS {
            func: launch.function,
            gridDimX: x,
            gridDimY: y,
            gridDimZ: z,
            blockDimX: launch.threads,
            blockDimY: 1,
            blockDimZ: 1,
            sharedMemBytes: 0,
            kernelParams: pointers.as_mut_ptr(),
            extra: std::ptr::null_mut(),
            kern: std::ptr::null_mut(),
            ctx: std::ptr::null_mut(),
        };
        let mut node = std::ptr::null_mut();
        // SAFETY: the graph and the function are alive; arguments are copied.
        unsafe { sys::cuGraphAddKernelNode_v2(&mut node, self.graph, std::ptr::null(), 0, &parameters) }
            .result()
            .map_err(|e| failed("add a kernel to a graph", e))?;
        // It waits by itself for other kernels that it depends on, and may come to the device early.
        let edge = |before: &Node| {
            let early = u8::from(before.is_kernel && self.gpu.waits_in_kernels);
            sys::CUgraphEdgeData { from_port: early, to_port: 0, type_: early, reserved: [0; 5] }
        };
        let edges: Vec<_> = after.iter().map(edge).collect();
        let before: Vec<_> = after.iter().map(|n| n.node).collect();
        let itself = vec![node; before.len()];
        // SAFETY: the graph and all nodes are alive.
        unsafe {
            sys::cuGraphAddDependencies_v2(self.graph, before.as_ptr(), itself.as_ptr(), edges.as_ptr(), before.len())
        }
        .result()
        .map_err(|e| failed("order a graph", e))?;
        Ok(Node { node, is_kernel: true })
    }

    /// Adds what `queue` puts on the stream that it is given, to run after some nodes.
    ///
    /// # Safety
    /// What is queued must stay alive for every run of the graph.
    pub(super) unsafe fn captured(
        &mut self,
        after: &[Node],
        queue: impl FnOnce(sys::CUstream) -> Result<()>,
    ) -> Result<Node> {
        self.gpu.enter()?;
        let stream = CaptureStream::new()?;
        let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_RELAXED;
        // SAFETY: the stream is alive and nobody else's.
        unsafe { result::stream::begin_capture(stream.0, mode) }.map_err(|e| failed("capture work", e))?;
        let queued = queue(stream.0);
        // SAFETY: as above; the capture ends even where queueing failed.
        let captured = unsafe { result::stream::end_capture(stream.0) };
        queued?;
        let graph = captured.map_err(|e| failed("capture work", e))?;
        let child = Graph { graph, gpu: self.gpu.clone() };
        let after: Vec<_> = after.iter().map(|n| n.node).collect();
        let mut node = std::ptr::null_mut();
        // SAFETY: both graphs and all nodes are alive; the child is copied.
        unsafe { sys::cuGraphAddChildGraphNode(&mut node, self.graph, after.as_ptr(), after.len(), child.graph) }
            .result()
            .map_err(|e| failed("add captured work to a graph", e))?;
        Ok(Node { node, is_kernel: false })
    }

    /// The work ready to run.
    pub(super) fn finish(self) -> Result<Runnable> {
        self.gpu.enter()?;
        let flags = sys::CUgraphInstantiate_flags(0);
        // SAFETY: the graph is alive.
        let exec =
            unsafe { result::graph::instantiate(self.graph, flags) }.map_err(|e| failed("prepare a graph", e))?;
        Ok(Runnable { exec, gpu: self.gpu.clone() })
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        if self.gpu.enter().is_ok() {
            // SAFETY: made by this value and destroyed once.
            let _ = unsafe { result::graph::destroy(self.graph) };
        }
    }
}

/// A queue apart, so that no other thread's work is captured.
struct CaptureStream(sys::CUstream);

impl CaptureStream {
    /// A queue of the current context, which must stay current.
    fn new() -> Result<Self> {
        let stream = result::stream::create(result::stream::StreamKind::NonBlocking);
        stream.map(CaptureStream).map_err(|e| failed("make a queue", e))
    }
}

impl Drop for CaptureStream {
    fn drop(&mut self) {
        // SAFETY: made by this value and destroyed once.
        let _ = unsafe { result::stream::destroy(self.0) };
    }
}

/// A graph of work that is submitted at once.
pub(super) struct Runnable {
    exec: sys::CUgraphExec,
    gpu: Arc<Gpu>,
}

// SAFETY: may be used from any thread whose context is its own, one at a time.
unsafe impl Send for Runnable {}

impl Runnable {
    /// Queues it once.
    ///
    /// # Safety
    /// All that its nodes were added with must still be alive until it is done.
    pub(super) unsafe fn submit(&self) -> Result<()> {
        self.gpu.enter()?;
        // SAFETY: promised by the caller.
        unsafe { result::graph::launch(self.exec, self.gpu.stream) }.map_err(|e| failed("submit a step", e))
    }
}

impl Drop for Runnable {
    fn drop(&mut self) {
        if self.gpu.enter().is_ok() {
            // SAFETY: made by this value and destroyed once.
            let _ = unsafe { result::graph::exec_destroy(self.exec) };
        }
    }
}
