//! What a device executes: kernels in order, each naming buffers, with every intermediate placed in one
//! arena. Plain data; knows neither the graph it came from nor the device that runs it.

mod blas;
mod contraction;
mod cost;
mod dnn;
mod index;
mod kernel;
mod nest;
mod roofline;
mod scatter;
mod schedule;
mod text;

pub use blas::{BlasMatrix, BlasProduct};
pub use contraction::{Axis, Contraction};
pub use cost::{Span, Traffic};
pub use dnn::{DnnConvolution, DnnTensor};
pub use index::{Affine, Guard, Var};
pub use kernel::{
    ConvDirection, Epilogue, Expr, Fold, Kernel, KernelKind, Let, LibraryKernel, Load, LoopKernel, Operand, Out, Phase,
    Typed,
};
pub use roofline::Peaks;
pub use scatter::Scatter;
pub use schedule::{Schedule, Workers, is_vector};

use std::ops::Range;

use crate::ir::{DType, Literal};

/// A buffer's index in its plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BufferId(pub u32);

impl BufferId {
    /// The id as an index.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// An expression's index in its phase's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExprId(pub u32);

impl ExprId {
    /// The id as an index.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A buffer: what it is, its element type and count.
#[derive(Clone, Debug, PartialEq)]
pub struct Buffer {
    /// Where it lives.
    pub place: Place,
    /// Element type.
    pub dtype: DType,
    /// Number of elements.
    pub len: usize,
    /// What it holds, for people.
    pub name: String,
}

impl Buffer {
    /// Its size in bytes.
    pub fn bytes(&self) -> usize {
        self.len * self.dtype.size()
    }
}

/// Where a buffer lives.
#[derive(Clone, Debug, PartialEq)]
pub enum Place {
    /// Filled by the host before a step; the number is the graph's input.
    Input(usize),
    /// Stays on the device from step to step; the number is the graph's state.
    State(usize),
    /// Read by the host after a step; the number is the graph's output.
    Output(usize),
    /// Never changes.
    Constant(Literal),
    /// An intermediate at a byte offset of the plan's arena; `None` before memory is planned, and for
    /// buffers that no kernel uses any more.
    Arena(Option<usize>),
}

/// A run of kernels that can go through their batch in strips: first all of them on strip 0, then on strip 1, and so
/// on. Strip s of a convolution is sample s; of a loop kernel it is the s-th point of its first grid axis, which is
/// as long as there are strips. No kernel of the run sees in one strip what another writes in a different strip, but
/// for the gradient of a filter, which is complete after the last strip and read by none of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strips {
    /// The kernels' numbers.
    pub kernels: Range<usize>,
    /// How many strips there are.
    pub count: usize,
}

/// A compiled program.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Every buffer; [`BufferId`] indexes them.
    pub buffers: Vec<Buffer>,
    /// The kernels in the order they run.
    pub kernels: Vec<Kernel>,
    /// Runs of small loop kernels, in order and apart, that a device of many threads had better run as one:
    /// one workgroup walks each member's points, with a barrier between members.
    pub islands: Vec<Range<usize>>,
    /// Runs of kernels, in order and apart, that had better go through the batch strip by strip.
    pub strips: Vec<Strips>,
    /// Bytes of the arena that holds the intermediates.
    pub arena_bytes: usize,
}

impl Plan {
    /// A buffer.
    pub fn buffer(&self, id: BufferId) -> &Buffer {
        &self.buffers[id.index()]
    }

    /// Adds a buffer.
    pub fn add_buffer(&mut self, place: Place, dtype: DType, len: usize, name: impl Into<String>) -> BufferId {
        self.buffers.push(Buffer { place, dtype, len, name: name.into() });
        BufferId(self.buffers.len() as u32 - 1)
    }

    /// Bytes of everything the plan needs on a device while it runs: arena, states, inputs, outputs and
    /// constants.
    pub fn peak_bytes(&self) -> usize {
        let fixed = |b: &Buffer| if matches!(b.place, Place::Arena(_)) { 0 } else { b.bytes() };
        self.arena_bytes + self.buffers.iter().map(fixed).sum::<usize>()
    }
}

/// What passes may know of a device: plain numbers, never the device itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its name in texts.
    pub name: String,
    /// Alignment of buffers in the arena, in bytes.
    pub alignment: usize,
    /// Longest row that one kernel may walk several times (softmax, layer norm), in elements.
    pub row_limit: usize,
    /// Points over which a large reduction is spread.
    pub reduce_lanes: usize,
    /// Whether products and convolutions take an [`Epilogue`].
    pub epilogues: bool,
    /// Whether gradients of convolutions' inputs take an [`Epilogue::mask`] too.
    pub masks: bool,
    /// Bytes of cache that a run of kernels may fill when it goes through a batch strip by strip. 0: no strips.
    pub strip_bytes: usize,
    /// Threads that run in step and exchange values cheaply (a power of two): a warp, a subgroup.
    pub subgroup: usize,
    /// Most threads in a workgroup. 1: kernels keep the default [`Schedule`].
    pub workgroup: usize,
    /// Bytes that the threads of a workgroup share.
    pub shared_bytes: usize,
    /// Bytes that a thread loads or stores at once. 0: no vectors.
    pub vector_bytes: usize,
    /// Most work ([`LoopKernel::work`]) of an island's members together. 0: no islands.
    pub island_work: u64,
    /// Most multiply-adds of a product or convolution that becomes a loop nest instead of a library call. Where
    /// it is above 0, running and scattered sums become loop nests too.
    pub nest_work: u64,
    /// Whether kernels that do not wait for each other run side by side.
    pub side_by_side: bool,
    /// Fewest multiply-adds of a product that stays a library call whatever `nest_work` says, where it has the form of
    /// BLAS ([`LibraryKernel::blas`]). 0: none does.
    pub library_dots: u64,
    /// Fewest multiply-adds of a convolution that stays a library call whatever `nest_work` says, where cuDNN takes it
    /// ([`LibraryKernel::dnn`]). 0: none does.
    pub library_convs: u64,
    /// Fewest multiply-adds of either where operands of f32 are rounded to TF32.
    pub library_tf32: u64,
    /// Fewest filters times channels of a filter whose gradient is such a call.
    pub library_filters: usize,
    /// Fewest multiply-adds of a loop nest that workgroups compute together ([`Workers::Tiles`]), or steps of a scattered
    /// sum at all its points. 0: none is.
    pub tile_work: u64,
    /// Whether units that multiply small matrices take bf16 and f16.
    pub matrix_units: bool,
    /// Whether they take f32 too, and may round it to TF32 (10 bits of mantissa).
    pub tf32: bool,
    /// Most buffers that an island may use, the arena counting as one.
    pub bindings: usize,
}

impl Default for Target {
    /// A processor whose threads each run kernels alone: no workgroups, vectors or islands.
    fn default() -> Self {
        Target {
            name: String::new(),
            alignment: 64,
            row_limit: 4096,
            reduce_lanes: 512,
            epilogues: false,
            masks: false,
            strip_bytes: 0,
            subgroup: 1,
            workgroup: 1,
            shared_bytes: 0,
            vector_bytes: 0,
            island_work: 0,
            side_by_side: false,
            nest_work: 0,
            library_dots: 0,
            library_convs: 0,
            library_tf32: 0,
            library_filters: 0,
            tile_work: 0,
            matrix_units: false,
            tf32: false,
            bindings: usize::MAX,
        }
    }
}
