//! Large convolutions: cuDNN, found at run time. Of the plans that it proposes for a convolution the fastest is measured
//! once, and remembered by the process and on disk: the same convolution always runs the same plan.

mod graph;
mod library;

use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};

use cudarc::driver::sys::CUstream;

use super::Shared;
use super::driver::Gpu;
use super::tune::{self, Probe};
use crate::backend::cache::Chosen;
use crate::backend::memory::Purpose;
use crate::backend::switches;
use crate::error::{Error, Result};
use crate::ir::DType;
use crate::plan::{ConvDirection, DnnConvolution, DnnTensor, Operand};
use graph::{Graph, Mode, Operands, Plan, number};
use library::{Handle, Library};

/// Plans that are measured for a convolution. The library's order is good, and some take a second to make.
const CANDIDATES: usize = 5;
/// Most scratch memory of a convolution.
const WORKSPACE: usize = 128 << 20;
/// The first version with which masks were tried.
const FIRST_WITH_MASKS: usize = 91_400;
/// The environment variable that switches the library off.
const SWITCH: &str = "ONESTEP_CUDNN";

/// Whether the user wants the library: all but who sets `ONESTEP_CUDNN=off`.
pub(super) fn wanted() -> Result<bool> {
    switches::is_on(SWITCH)
}

/// Whether the library is there.
pub(super) fn present() -> bool {
    Library::get().is_some()
}

/// Whether the library computes the gradient of an input together with the mask of the ReLU before it. Both what is
/// older and GPUs without tensor cores for bf16 are left out untried.
pub(super) fn takes_masks(gpu: &Gpu) -> bool {
    gpu.architecture >= 80 && Library::get().is_some_and(|library| library.version() >= FIRST_WITH_MASKS)
}

/// The library on a GPU.
pub(super) struct Dnn {
    /// What was chosen for which convolution. Dropped before the handle that it was made with.
    chosen: Chosen<Arc<Plan>>,
    /// One convolution at a time is queued.
    handle: Mutex<Handle>,
    library: &'static Library,
    version: usize,
    gpu: Arc<Gpu>,
}

impl Dnn {
    /// Opens the library.
    pub(super) fn open(gpu: &Arc<Gpu>) -> Result<Self> {
        let library = Library::get().ok_or_else(|| {
            Error::device(
                "there is no cuDNN 9 (libcudnn.so.9), which this program's large convolutions were planned for; install \
                 NVIDIA's package cudnn, and let the system's loader find it (LD_LIBRARY_PATH), or compile for the \
                 device's own target",
            )
        })?;
        gpu.enter()?;
        let handle = Mutex::new(Handle::new(library)?);
        Ok(Dnn { handle, library, version: library.version(), gpu: gpu.clone(), chosen: Chosen::default() })
    }

    /// Bytes of scratch memory that a convolution takes; 0 where no plan has been chosen for it yet.
    pub(super) fn known_workspace(&self, shared: &Shared, convolution: &DnnConvolution) -> usize {
        let plan = self.chosen.find(&shared.cache, &self.key(convolution), |text| self.restored(text));
        plan.map_or(0, |plan| plan.workspace)
    }

    fn key(&self, convolution: &DnnConvolution) -> String {
        format!("cudnn {}, {}, {}", self.version, self.gpu.name, described(convolution))
    }

    /// The plan for a call: the one remembered, or the fastest.
    fn plan(&self, shared: &Shared, convolution: &DnnConvolution, call: &Call) -> Result<Arc<Plan>> {
        let key = self.key(convolution);
        self.chosen.find_or(
            &shared.cache,
            &key,
            |text| self.restored(text),
            |plan| plan.text().ok(),
            || self.fastest(shared, convolution, call, &key).map(Arc::new),
        )
    }

    fn restored(&self, text: &[u8]) -> Option<Arc<Plan>> {
        let handle = self.handle.lock().unwrap_or_else(PoisonError::into_inner);
        let plan = Plan::from_text(&handle, self.library, text).ok()?;
        (plan.workspace <= WORKSPACE).then(|| Arc::new(plan))
    }

    /// Measures what the library proposes. What the operands hold does not matter, and nothing of the program's is written.
    fn fastest(&self, shared: &Shared, convolution: &DnnConvolution, call: &Call, key: &str) -> Result<Plan> {
        let mut candidates = self.candidates(convolution)?;
        let none = || Error::unsupported(format!("no algorithm for {key}; update the library, or set {SWITCH}=off"));
        let workspace = candidates.iter().map(|plan| plan.workspace).max().ok_or_else(none)?;
        let written = convolution.written();
        let out = shared.pool.uninitialised(bytes_of(written), Purpose::Workspace)?;
        let workspace = shared.pool.uninitialised(workspace, Purpose::Workspace)?;
        let call = Call { tensors: call.writing_to(*out.raw()), ..*call };
        let probes = match &convolution.epilogue {
            epilogue if epilogue.mask.is_some() => &[Probe::Nan, Probe::Zero][..],
            epilogue if epilogue.relu => &[Probe::Nan],
            _ => &[],
        };
        for probe in probes {
            // A mask is as large as what is written, a bias has 4 bytes for each channel of that.
            let nan = Probe::Nan.block(shared, bytes_of(convolution.filter).max(written.extents[3] * 4))?;
            let mask = call.mask.map(|_| probe.block(shared, bytes_of(written))).transpose()?;
            let probing = call.probing(*nan.raw(), mask.as_ref().map(|block| *block.raw()));
            let operands = probing.operands(self.library, *workspace.raw())?;
            candidates = probe.passed(shared, written.operand.dtype, &out, candidates, |plan| {
                // SAFETY: as below, and so for the blocks of probes.
                unsafe { self.queue(plan, &operands, self.gpu.stream()) }
            })?;
        }
        if candidates.is_empty() {
            return Err(none());
        }
        let operands = call.operands(self.library, *workspace.raw())?;
        let fastest = tune::fastest(&self.gpu, candidates.len(), |i| {
            // SAFETY: the operands are the program's, and both blocks are large enough and outlive the wait.
            unsafe { self.queue(&candidates[i], &operands, self.gpu.stream()) }
        })?;
        Ok(candidates.swap_remove(fastest))
    }

    /// What the library proposes, best first; what takes almost anything only where nothing else does.
    fn candidates(&self, convolution: &DnnConvolution) -> Result<Vec<Plan>> {
        let handle = self.handle.lock().unwrap_or_else(PoisonError::into_inner);
        let graphs = Graph::all(&handle, self.library, convolution);
        let mut candidates = Vec::new();
        for mode in [Mode::Fast, Mode::Fallback] {
            for graph in graphs.iter().flatten() {
                let most = CANDIDATES - candidates.len();
                // A graph that no engine knows is no error as long as another is known.
                candidates.extend(graph.plans(&handle, mode, most, WORKSPACE).unwrap_or_default());
            }
            if !candidates.is_empty() {
                return Ok(candidates);
            }
        }
        graphs.into_iter().collect::<Result<Vec<_>>>().map(|_| candidates)
    }

    /// Queues a plan once, or has it captured.
    ///
    /// # Safety
    /// All that the operands name must be alive until it is done, and large enough.
    unsafe fn queue(&self, plan: &Plan, operands: &Operands, stream: CUstream) -> Result<()> {
        let mut handle = self.handle.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: promised by the caller.
        unsafe { plan.queue(&mut handle, operands, stream.cast()) }
    }
}

impl Drop for Dnn {
    fn drop(&mut self) {
        // For what plans and handle give back.
        let _ = self.gpu.enter();
    }
}

fn bytes_of(tensor: DnnTensor) -> usize {
    tensor.extents.iter().product::<usize>() * tensor.operand.dtype.size()
}

/// What decides how fast a plan is.
fn described(convolution: &DnnConvolution) -> String {
    let DnnConvolution { direction, spec, input, filter, output, epilogue, tf32: _ } = convolution;
    let name = match direction {
        ConvDirection::Forward => "conv",
        ConvDirection::InputGrad => "conv_input_grad",
        ConvDirection::FilterGrad => "conv_filter_grad",
    };
    let mut text = name.to_string();
    for (what, tensor) in [("of", input), ("by", filter), ("to", output)] {
        let dtype: DType = tensor.operand.dtype;
        let _ = write!(text, " {what} {dtype}{:?}", tensor.extents);
    }
    let (stride, padding, dilation) = (&spec.stride, &spec.padding, &spec.dilation);
    let (bias, mask) = (epilogue.bias.is_some(), epilogue.mask.is_some());
    let relu = if epilogue.relu { "keeps NaN" } else { "false" };
    let _ = write!(text, ", stride {stride:?}, padding {padding:?}, dilation {dilation:?}, bias {bias}, relu {relu}");
    // What was measured before there were masks is still known by its name.
    if mask {
        text.push_str(", mask minds NaN");
    }
    text
}

/// Where the tensors of a convolution lie.
#[derive(Clone, Copy)]
struct Call {
    /// Input, filter, output; each with its number.
    tensors: [(i64, u64); 3],
    bias: Option<u64>,
    mask: Option<u64>,
    /// The number of the tensor that is written.
    written: i64,
}

impl Call {
    fn new(convolution: &DnnConvolution, address: impl Fn(&Operand) -> u64) -> Self {
        let DnnConvolution { direction, input, filter, output, epilogue, .. } = convolution;
        Call {
            tensors: [(number::INPUT, input), (number::FILTER, filter), (number::OUTPUT, output)]
                .map(|(number, tensor)| (number, address(tensor.operand))),
            bias: epilogue.bias.as_ref().map(&address),
            mask: epilogue.mask.as_ref().map(&address),
            written: match direction {
                ConvDirection::Forward => number::OUTPUT,
                ConvDirection::InputGrad => number::INPUT,
                ConvDirection::FilterGrad => number::FILTER,
            },
        }
    }

    /// The tensors, with the one written elsewhere.
    fn writing_to(&self, out: u64) -> [(i64, u64); 3] {
        self.tensors.map(|(number, at)| (number, if number == self.written { out } else { at }))
    }

    /// The same reading NaN instead of the bias, or of the filter where there is none, and another mask.
    fn probing(&self, nan: u64, mask: Option<u64>) -> Self {
        let filter = |(number, at)| (number, if self.bias.is_none() && number == number::FILTER { nan } else { at });
        Call { tensors: self.tensors.map(filter), bias: self.bias.map(|_| nan), mask, ..*self }
    }

    fn operands(&self, library: &'static Library, workspace: u64) -> Result<Operands> {
        let after = [(number::BIAS, self.bias), (number::MASK, self.mask)];
        let after = after.into_iter().filter_map(|(number, at)| Some((number, at?)));
        let tensors: Vec<_> = self.tensors.into_iter().chain(after).collect();
        Operands::new(library, &tensors, workspace)
    }
}

/// A convolution of a plan that has its scratch memory still to get.
pub(super) struct Planned {
    plan: Arc<Plan>,
    call: Call,
    dnn: Arc<Dnn>,
}

impl Planned {
    /// A convolution whose operands lie at the addresses that `address` gives.
    pub(super) fn new(shared: &Shared, form: &DnnConvolution, address: impl Fn(&Operand) -> u64) -> Result<Self> {
        let dnn = shared.dnn()?;
        dnn.gpu.enter()?;
        let call = Call::new(form, address);
        Ok(Planned { plan: dnn.plan(shared, form, &call)?, call, dnn: dnn.clone() })
    }

    /// Bytes of scratch memory that it needs.
    pub(super) fn workspace_bytes(&self) -> usize {
        self.plan.workspace
    }

    /// Gives it its scratch memory.
    pub(super) fn with_workspace(self, workspace: u64) -> Result<Convolution> {
        let operands = self.call.operands(self.dnn.library, workspace)?;
        Ok(Convolution { operands, plan: self.plan, dnn: self.dnn })
    }
}

/// A convolution of a plan, ready to be queued.
pub(super) struct Convolution {
    operands: Operands,
    plan: Arc<Plan>,
    dnn: Arc<Dnn>,
}

impl Convolution {
    /// Queues it once, or has it captured.
    ///
    /// # Safety
    /// Operands and scratch memory must be alive until it is done.
    pub(super) unsafe fn queue(&self, stream: CUstream) -> Result<()> {
        self.dnn.gpu.enter()?;
        // SAFETY: promised by the caller.
        unsafe { self.dnn.queue(&self.plan, &self.operands, stream) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::ConvSpec;
    use crate::plan::{BufferId, Epilogue};

    #[test]
    fn a_key_tells_all_that_decides() {
        let operand = |dtype| Operand { buffer: BufferId(0), dtype, offset: 0, strides: vec![0; 4] };
        let (narrow, wide) = (operand(DType::BF16), operand(DType::F32));
        let tensor = |operand, extents| DnnTensor { operand, extents };
        let spec = ConvSpec { stride: vec![2, 1], padding: vec![(1, 1), (0, 0)], dilation: vec![1, 3], groups: 1 };
        let form = DnnConvolution {
            direction: ConvDirection::FilterGrad,
            spec: &spec,
            input: tensor(&narrow, [2, 9, 7, 16]),
            filter: tensor(&wide, [8, 3, 3, 16]),
            output: tensor(&narrow, [2, 5, 1, 8]),
            epilogue: &Epilogue::default(),
            tf32: false,
        };
        assert_eq!(
            described(&form),
            "conv_filter_grad of bf16[2, 9, 7, 16] by f32[8, 3, 3, 16] to bf16[2, 5, 1, 8], stride [2, 1], padding \
             [(1, 1), (0, 0)], dilation [1, 3], bias false, relu false"
        );
    }

    #[test]
    fn the_written_tensor_alone_goes_elsewhere() {
        let tensors = [(number::INPUT, 16), (number::FILTER, 32), (number::OUTPUT, 48)];
        let call = Call { tensors, bias: None, mask: None, written: number::FILTER };
        assert_eq!(call.writing_to(64), [(number::INPUT, 16), (number::FILTER, 64), (number::OUTPUT, 48)]);
    }
}
