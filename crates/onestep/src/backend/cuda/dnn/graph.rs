//! A convolution as cuDNN is told of it: a small graph of operations, what engines the library proposes for it, and
//! the plans that they make.

use std::sync::Arc;

use super::library::{self as l, Attribute, Descriptor, Handle, Kind, Library, Raw, operation_attributes};
use crate::error::{Error, Result};
use crate::ir::DType;
use crate::plan::{ConvDirection, DnnConvolution, DnnTensor, Epilogue};

/// Most proposals that are asked for.
const PROPOSALS: usize = 64;
/// Bytes at whose multiples all tensors start.
const ALIGNMENT: i64 = 16;

/// The numbers of a graph's tensors.
pub(super) mod number {
    pub(in super::super) const INPUT: i64 = 1;
    pub(in super::super) const FILTER: i64 = 2;
    pub(in super::super) const OUTPUT: i64 = 3;
    pub(in super::super) const BIAS: i64 = 4;
    pub(in super::super) const MASK: i64 = 5;
    /// Sums between operations, which are never stored.
    pub(super) const BETWEEN: [i64; 2] = [6, 7];
}

const FLOAT: u32 = 0;
const CROSS_CORRELATION: u32 = 1;
const PROPAGATES_NAN: u32 = 1;
const POINTWISE_ADD: u32 = 0;
const POINTWISE_IDENTITY: u32 = 21;
const POINTWISE_RELU: u32 = 100;
const POINTWISE_RELU_GRAD: u32 = 200;

fn data_type(dtype: DType) -> u32 {
    match dtype {
        DType::F32 => FLOAT,
        DType::F16 => 2,
        DType::BF16 => 9,
        other => panic!("onestep bug: a convolution of cuDNN with {other}"),
    }
}

/// How engines are proposed.
#[derive(Clone, Copy)]
pub(super) enum Mode {
    /// The likely fastest first.
    Fast = 3,
    /// A few that take almost anything.
    Fallback = 2,
}

/// What an engine is like: the notes of it that decide whether it may be used.
mod note {
    pub(super) const TENSOR_CORE: u32 = 0;
    pub(super) const DOWN_CONVERT_INPUTS: u32 = 1;
    pub(super) const STRICT_NAN: u32 = 9;
}

/// Whether an engine computes what is asked for: the same bits each time, with sums in f32, of operands as they are or
/// rounded to TF32. Winograd's and Fourier's ways err more than sums do, and are left out with what rounds sums.
fn is_exact(notes: &[u32], tf32: bool) -> bool {
    let rounds = |note| tf32 && note == note::DOWN_CONVERT_INPUTS;
    notes.iter().all(|&note| [note::TENSOR_CORE, note::STRICT_NAN].contains(&note) || rounds(note))
}

/// Operations with all that they refer to.
pub(super) struct Graph {
    graph: Descriptor,
    /// Kept alive for the graph.
    _parts: Vec<Descriptor>,
    /// Whether operands of f32 may be rounded.
    tf32: bool,
    library: &'static Library,
}

impl Graph {
    /// All graphs that compute a convolution. There is more than one for the f32 gradient of a filter from narrow
    /// operands, which most engines take as a sum that is stored by another operation.
    pub(super) fn all(
        handle: &Handle,
        library: &'static Library,
        convolution: &DnnConvolution,
    ) -> Vec<Result<Arc<Self>>> {
        let widens = convolution.filter.operand.dtype != convolution.input.operand.dtype;
        let of = |stores| Builder { library, parts: Vec::new() }.graph(handle, convolution, stores).map(Arc::new);
        [true, false].into_iter().filter(|&stores| widens || !stores).map(of).collect()
    }

    /// Plans that the library proposes and that can be used, up to so many, best first.
    pub(super) fn plans(
        self: &Arc<Self>,
        handle: &Handle,
        mode: Mode,
        most: usize,
        workspace: usize,
    ) -> Result<Vec<Plan>> {
        let heuristics = Descriptor::new(self.library, Kind::Heuristics)?
            .with(l::HEURISTICS_MODE_IS, &[mode as u32])?
            .with(l::HEURISTICS_GRAPH, &[self.graph.raw()])?
            .finished()?;
        let configs = (0..PROPOSALS).map(|_| Descriptor::new(self.library, Kind::EngineConfig));
        let configs = configs.collect::<Result<Vec<_>>>()?;
        let found = heuristics.get(l::HEURISTICS_RESULTS, configs.iter().map(Descriptor::raw).collect())?.len();
        // Engines refuse what they cannot do when a plan is made.
        let usable = |config: Descriptor| {
            let exact = self.notes(&config).is_ok_and(|notes| is_exact(&notes, self.tf32));
            let plan = if exact { Plan::new(handle, self.clone(), config).ok() } else { None };
            plan.filter(|plan| plan.workspace <= workspace)
        };
        Ok(configs.into_iter().take(found).filter_map(usable).take(most).collect())
    }

    fn notes(&self, config: &Descriptor) -> Result<Vec<u32>> {
        let engine = Descriptor::new(self.library, Kind::Engine)?;
        config.get(l::CONFIG_ENGINE, vec![engine.raw()])?;
        engine.get(l::ENGINE_NOTES, vec![0; 32])
    }
}

/// A way to compute a graph.
pub(super) struct Plan {
    plan: Descriptor,
    /// Kept alive for the plan: the engine and its graph, where it was made from these.
    _made_from: Option<(Descriptor, Arc<Graph>)>,
    /// Bytes of scratch memory.
    pub(super) workspace: usize,
}

impl Plan {
    fn new(handle: &Handle, graph: Arc<Graph>, config: Descriptor) -> Result<Self> {
        let plan = Descriptor::new(graph.library, Kind::Plan)?
            .with(l::PLAN_HANDLE, &[handle.raw()])?
            .with(l::PLAN_CONFIG, &[config.raw()])?;
        Plan::finished(plan, Some((config, graph)))
    }

    /// What [`Plan::text`] gave.
    pub(super) fn from_text(handle: &Handle, library: &'static Library, text: &[u8]) -> Result<Self> {
        let plan =
            Descriptor::new(library, Kind::Plan)?.with(l::PLAN_HANDLE, &[handle.raw()])?.with(l::PLAN_TEXT, text)?;
        Plan::finished(plan, None)
    }

    fn finished(plan: Descriptor, made_from: Option<(Descriptor, Arc<Graph>)>) -> Result<Self> {
        let plan = plan.finished()?;
        let workspace = plan.get(l::PLAN_WORKSPACE, vec![0])?;
        let workspace = workspace.first().and_then(|&bytes| usize::try_from(bytes).ok());
        let workspace = workspace.ok_or_else(|| Error::device("cuDNN could not tell how much memory a plan takes"))?;
        Ok(Plan { plan, _made_from: made_from, workspace })
    }

    /// The plan as the library writes it down.
    pub(super) fn text(&self) -> Result<Vec<u8>> {
        let bytes = self.plan.count(l::PLAN_TEXT)?;
        self.plan.get(l::PLAN_TEXT, vec![0; bytes])
    }

    /// Queues it once, or has it captured.
    ///
    /// # Safety
    /// As [`Handle::execute`].
    pub(super) unsafe fn queue(
        &self,
        handle: &mut Handle,
        operands: &Operands,
        stream: *mut std::ffi::c_void,
    ) -> Result<()> {
        // SAFETY: promised by the caller.
        unsafe { handle.execute(&self.plan, &operands.0, stream) }
    }
}

/// Where a graph's tensors and its scratch memory lie.
pub(super) struct Operands(Descriptor);

impl Operands {
    pub(super) fn new(library: &'static Library, tensors: &[(i64, u64)], workspace: u64) -> Result<Self> {
        let (numbers, addresses): (Vec<i64>, Vec<_>) = tensors.iter().map(|&(n, at)| (n, at as *mut _)).unzip();
        let operands = Descriptor::new(library, Kind::Operands)?
            .with(l::OPERANDS_NUMBERS, &numbers)?
            .with(l::OPERANDS_ADDRESSES, &addresses)?
            .with(l::OPERANDS_WORKSPACE, &[workspace as *mut _])?;
        operands.finished().map(Operands)
    }
}

/// Builds a graph. Parts are referred to by number until it is done.
struct Builder {
    library: &'static Library,
    parts: Vec<Descriptor>,
}

impl Builder {
    fn graph(mut self, handle: &Handle, convolution: &DnnConvolution, stores: bool) -> Result<Graph> {
        let DnnConvolution { direction, spec, input, filter, output, epilogue, .. } = convolution;
        let [number_of_sum, number_of_biased] = number::BETWEEN;
        let written = convolution.written();
        let goes_on = stores || *epilogue != &Epilogue::default();
        let numbers = [number::INPUT, number::FILTER, number::OUTPUT];
        let own = match direction {
            ConvDirection::Forward => number::OUTPUT,
            ConvDirection::InputGrad => number::INPUT,
            ConvDirection::FilterGrad => number::FILTER,
        };
        let mut tensors = Vec::new();
        for (tensor, number) in [input, filter, output].into_iter().zip(numbers) {
            tensors.push(match number == own && goes_on {
                true => self.tensor(tensor.extents, DType::F32, number_of_sum, true)?,
                false => self.stored(*tensor, number)?,
            });
        }
        let [x, w, y] = tensors[..] else { panic!("onestep bug: {} tensors", tensors.len()) };
        let whole = |values: &[usize]| values.iter().map(|&v| v as i64).collect::<Vec<_>>();
        let padding: Vec<usize> = spec.padding.iter().map(|(before, _)| *before).collect();
        let windows = Descriptor::new(self.library, Kind::Convolution)?
            .with(l::CONVOLUTION_PRECISION, &[FLOAT])?
            .with(l::CONVOLUTION_MODE_IS, &[CROSS_CORRELATION])?
            .with(l::DILATIONS, &whole(&spec.dilation))?
            .with(l::STRIDES, &whole(&spec.stride))?
            .with(l::PADDING_BEFORE, &whole(&padding))?
            .with(l::PADDING_AFTER, &whole(&padding))?
            .with(l::DIMENSIONS, &[spec.stride.len() as i64])?;
        let windows = self.part(windows)?;
        let (kind, attributes) = match direction {
            ConvDirection::Forward => (Kind::Forward, operation_attributes(700)),
            ConvDirection::InputGrad => (Kind::InputGrad, operation_attributes(706)),
            ConvDirection::FilterGrad => (Kind::FilterGrad, operation_attributes(712)),
        };
        let operation = Descriptor::new(self.library, kind)?
            .with(attributes.alpha, &[1.0])?
            .with(attributes.beta, &[0.0])?
            .with(attributes.convolution, &[self.parts[windows].raw()])?
            .with(attributes.filter, &[self.parts[w].raw()])?
            .with(attributes.input, &[self.parts[x].raw()])?
            .with(attributes.output, &[self.parts[y].raw()])?;
        let mut operations = vec![self.part(operation)?];
        let mut last = match direction {
            ConvDirection::Forward => y,
            ConvDirection::InputGrad => x,
            ConvDirection::FilterGrad => w,
        };
        if let Some(bias) = &epilogue.bias {
            let channels = written.extents[3];
            let bias = self.tensor([1, 1, 1, channels], bias.dtype, number::BIAS, false)?;
            let sum = match epilogue.relu {
                true => self.tensor(written.extents, DType::F32, number_of_biased, true)?,
                false => self.stored(written, own)?,
            };
            let add = [(l::OPERATION_X, last), (l::OPERATION_B, bias), (l::OPERATION_Y, sum)];
            operations.push(self.pointwise(POINTWISE_ADD, add)?);
            last = sum;
        }
        if epilogue.relu || stores {
            let to = self.stored(written, own)?;
            let mode = if epilogue.relu { POINTWISE_RELU } else { POINTWISE_IDENTITY };
            operations.push(self.pointwise(mode, [(l::OPERATION_X, last), (l::OPERATION_Y, to)])?);
        }
        if let Some(mask) = &epilogue.mask {
            let mask = self.tensor(written.extents, mask.dtype, number::MASK, false)?;
            let to = self.stored(written, own)?;
            let chosen = [(l::OPERATION_X, mask), (l::OPERATION_DY, last), (l::OPERATION_DX, to)];
            operations.push(self.pointwise(POINTWISE_RELU_GRAD, chosen)?);
        }
        let operations: Vec<_> = operations.iter().map(|&i| self.parts[i].raw()).collect();
        let graph = Descriptor::new(self.library, Kind::Graph)?
            .with(l::GRAPH_HANDLE, &[handle.raw()])?
            .with(l::GRAPH_OPERATIONS, &operations)?
            .finished()?;
        Ok(Graph { graph, _parts: self.parts, tf32: convolution.tf32, library: self.library })
    }

    /// Adds a finished part.
    fn part(&mut self, part: Descriptor) -> Result<usize> {
        self.parts.push(part.finished()?);
        Ok(self.parts.len() - 1)
    }

    fn stored(&mut self, tensor: DnnTensor, number: i64) -> Result<usize> {
        self.tensor(tensor.extents, tensor.operand.dtype, number, false)
    }

    /// A dense tensor, channels last; the library wants extents with channels second.
    fn tensor(&mut self, extents: [usize; 4], dtype: DType, number: i64, is_virtual: bool) -> Result<usize> {
        let [n, h, w, c] = extents.map(|extent| extent as i64);
        let tensor = Descriptor::new(self.library, Kind::Tensor)?
            .with(l::TENSOR_DTYPE, &[data_type(dtype)])?
            .with(l::TENSOR_EXTENTS, &[n, c, h, w])?
            .with(l::TENSOR_STRIDES, &[h * w * c, 1, w * c, c])?
            .with(l::TENSOR_NUMBER, &[number])?
            .with(l::TENSOR_ALIGNMENT, &[ALIGNMENT])?
            .with(l::TENSOR_IS_VIRTUAL, &[is_virtual])?;
        self.part(tensor)
    }

    /// An operation on each element of some tensors.
    fn pointwise<const N: usize>(&mut self, mode: u32, tensors: [(Attribute<Raw>, usize); N]) -> Result<usize> {
        let mut pointwise = Descriptor::new(self.library, Kind::Pointwise)?
            .with(l::POINTWISE_MODE_IS, &[mode])?
            .with(l::POINTWISE_PRECISION, &[FLOAT])?;
        if matches!(mode, POINTWISE_RELU | POINTWISE_RELU_GRAD) {
            pointwise = pointwise.with(l::POINTWISE_NAN, &[PROPAGATES_NAN])?.with(l::RELU_LOWER, &[0.0])?;
        }
        let pointwise = self.part(pointwise)?;
        let mut operation = Descriptor::new(self.library, Kind::PointwiseOperation)?
            .with(l::OPERATION_POINTWISE, &[self.parts[pointwise].raw()])?;
        for (attribute, tensor) in tensors {
            operation = operation.with(attribute, &[self.parts[tensor].raw()])?;
        }
        self.part(operation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_that_round_or_change_their_mind_are_left_out() {
        for (notes, want) in [
            (&[][..], true),
            (&[0], true),
            (&[0, 9], true),
            // Operands narrowed, sums narrowed, Fourier, no order, Winograd, and what nobody knows yet.
            (&[0, 1], false),
            (&[2], false),
            (&[3], false),
            (&[0, 4], false),
            (&[5, 6], false),
            (&[77], false),
        ] {
            assert_eq!(is_exact(notes, false), want, "{notes:?}");
        }
        assert!(is_exact(&[0, 1], true) && !is_exact(&[0, 1, 2], true));
    }
}
