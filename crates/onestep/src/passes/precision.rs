//! Mixed precision: a graph in f32 becomes one that contracts bf16 or f16 and keeps it between kernels.
//!
//! - **Contractions** (products, convolutions, their gradients) take narrow operands and sum in f32. Their results are
//!   narrow, unless they reach a new state or an output through movement and element-wise ops alone: the gradient of
//!   weights stays f32 from the contraction's sum to the optimizer. In the graph that is an f32 contraction of widened
//!   operands, which is the same thing, for widening is exact.
//! - **A value that a contraction reads** is rounded where it is made, so that it is kept once, narrow, whoever else
//!   reads it. Ops that choose or move numbers (ReLU, max pooling, views, …) pass that on to what they read.
//! - **Simple arithmetic** (adding a bias, a residual, GELU's polynomial and `erf`, average pooling) on narrow values is
//!   narrow.
//! - **All else is f32**: reductions, and so norms, softmax and losses; what grows fast (exp, log, powers, roots and
//!   quotients); the optimizer, metrics and schedules, which read nothing narrow.
//!
//! States stay f32: those that contractions read are rounded whole, once a step, and all slices of that copy are read
//! from it, biases too. Every value keeps its dtype for those who do not know of this: a narrow one is followed by its
//! widening, which costs nothing. So the pass changes no declared type, and does nothing to its own result.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::ir::{Binary, DType, Graph, Literal, Node, NodeId, Op, Unary};

/// The floats that a program computes with. Parameters, their gradients and the optimizer are f32 in each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// f32 throughout.
    #[default]
    F32,
    /// Contractions of bf16, with f32 sums.
    Bf16,
    /// Contractions of f16, with f32 sums. Training scales the loss so that small gradients are not lost.
    F16,
}

impl Precision {
    /// Every precision.
    pub const ALL: [Precision; 3] = [Precision::F32, Precision::Bf16, Precision::F16];

    /// The dtype that contractions read.
    pub fn dtype(self) -> DType {
        match self {
            Precision::F32 => DType::F32,
            Precision::Bf16 => DType::BF16,
            Precision::F16 => DType::F16,
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.dtype().name())
    }
}

impl FromStr for Precision {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Precision::ALL.into_iter().find(|p| p.to_string() == text).ok_or_else(|| {
            let names = Precision::ALL.map(|p| p.to_string()).join(", ");
            Error::config(format!("there is no precision `{text}`; there are {names}"))
        })
    }
}

/// The graph with its f32 contractions on narrow floats.
pub fn narrow(graph: &Graph, precision: Precision) -> Result<Graph> {
    let to = precision.dtype();
    if to == DType::F32 {
        return Ok(graph.clone());
    }
    let uses = Uses::of(graph);
    let narrow = Narrow { to, uses: &uses };
    let (new, _) = graph.rewrite(|g, id, inputs| narrow.node(g, id, graph.node(id), inputs))?;
    // A second walk leaves behind what the first one made superfluous.
    let (new, _) = new.rewrite(|g, id, inputs| g.copy_node(new.node(id), inputs))?;
    Ok(new)
}

/// What an op does to the numbers it reads.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Sums products.
    Contracts,
    /// Gives some of the numbers it reads: rounding before is the same as rounding after.
    Chooses,
    /// Simple arithmetic, which errs no more than the rounding of its result.
    Combines,
    /// Whatever wants f32, has no floats, or reads nothing.
    Wide,
}

fn kind(op: &Op) -> Kind {
    match op {
        Op::Dot { .. } | Op::Conv(_) | Op::ConvInputGrad { .. } | Op::ConvFilterGrad { .. } => Kind::Contracts,
        Op::Select
        | Op::Reshape(_)
        | Op::Permute(_)
        | Op::Broadcast(_)
        | Op::Slice { .. }
        | Op::Pad { .. }
        | Op::After
        | Op::Concat { .. }
        | Op::Flip(_)
        | Op::DynamicSlice { .. }
        | Op::Gather { .. }
        | Op::MaxPool(_)
        | Op::MaxPoolGather(_) => Kind::Chooses,
        // It chooses where its windows are apart and adds where they overlap.
        Op::MaxPoolGrad { .. } | Op::AvgPool(_) | Op::AvgPoolGrad { .. } => Kind::Combines,
        // Which number is larger, and where the largest is: the choices that go with a value kept narrow.
        Op::Compare(_) | Op::MaxPoolIndex(_) => Kind::Combines,
        Op::Unary(op) => match op {
            Unary::Neg | Unary::Abs => Kind::Chooses,
            Unary::Sign | Unary::Tanh | Unary::Sigmoid | Unary::Erf | Unary::Floor | Unary::Ceil | Unary::Round => {
                Kind::Combines
            }
            Unary::Exp
            | Unary::Log
            | Unary::Expm1
            | Unary::Log1p
            | Unary::Sqrt
            | Unary::Rsqrt
            | Unary::Recip
            | Unary::Sin
            | Unary::Cos
            | Unary::IsFinite
            | Unary::Not => Kind::Wide,
        },
        Op::Binary(op) => match op {
            Binary::Max | Binary::Min => Kind::Chooses,
            Binary::Add | Binary::Sub | Binary::Mul => Kind::Combines,
            Binary::Div | Binary::Rem | Binary::Pow | Binary::And | Binary::Or | Binary::Xor => Kind::Wide,
        },
        Op::Input(_)
        | Op::State(_)
        | Op::Constant(_)
        | Op::Iota { .. }
        | Op::Random { .. }
        | Op::Cast(_)
        | Op::Reduce { .. }
        | Op::ArgReduce { .. }
        | Op::CumSum { .. }
        | Op::ScatterAdd { .. } => Kind::Wide,
    }
}

/// Whether an op's result has the elements of its inputs, changed one by one or moved.
fn passes_through(op: &Op) -> bool {
    op.is_elementwise()
        || op.is_view()
        || matches!(op, Op::Pad { .. } | Op::Concat { .. } | Op::DynamicSlice { .. } | Op::Gather { .. })
}

/// For each node, what becomes of its value.
struct Uses {
    /// It reaches a new state or an output through movement and element-wise ops alone.
    kept: Vec<bool>,
    /// A contraction reads it, at once or through what chooses.
    contracted: Vec<bool>,
    /// It is an input, a state, a constant, or a view of one.
    given: Vec<bool>,
    /// The states that contractions read.
    states: Vec<Op>,
}

impl Uses {
    fn of(graph: &Graph) -> Self {
        let live = graph.live();
        let [kept, contracted, given] = [0; 3].map(|_| vec![false; graph.len()]);
        let mut uses = Uses { kept, contracted, given, states: Vec::new() };
        for (id, node) in graph.nodes() {
            uses.given[id.index()] = match node.op {
                Op::Input(_) | Op::State(_) | Op::Constant(_) => true,
                _ => node.op.is_view() && uses.given[node.inputs[0].index()],
            };
        }
        graph.roots().for_each(|root| uses.kept[root.index()] = true);
        let nodes: Vec<(NodeId, &Node)> = graph.nodes().filter(|(id, _)| live[id.index()]).collect();
        for &(id, node) in nodes.iter().rev() {
            let Uses { kept, contracted, given, states } = &mut uses;
            if kept[id.index()] && passes_through(&node.op) {
                node.operands().iter().for_each(|x| kept[x.index()] = true);
            }
            let narrows = match kind(&node.op) {
                Kind::Contracts => node.dtype == DType::F32,
                Kind::Chooses => contracted[id.index()] && (given[id.index()] || !kept[id.index()]),
                Kind::Combines | Kind::Wide => false,
            };
            if narrows {
                let floats = node.operands().iter().filter(|x| graph.dtype(**x) == DType::F32);
                floats.for_each(|x| contracted[x.index()] = true);
            }
            if contracted[id.index()] && matches!(node.op, Op::State(_)) {
                states.push(node.op.clone());
            }
        }
        uses
    }

    /// Whether a value is rounded where it is made.
    fn rounds(&self, id: NodeId) -> bool {
        self.contracted[id.index()] && !self.kept[id.index()] && !self.given[id.index()]
    }
}

/// The rewrite. Every value that was f32 is f32 still: what is narrow is the input of a widening cast.
struct Narrow<'a> {
    to: DType,
    uses: &'a Uses,
}

impl Narrow<'_> {
    fn node(&self, g: &mut Graph, id: NodeId, node: &Node, inputs: &[NodeId]) -> Result<NodeId> {
        match kind(&node.op) {
            Kind::Contracts if node.dtype == DType::F32 => {
                let operands: Vec<NodeId> = inputs.iter().map(|&x| self.narrowed(g, x)).collect();
                if !self.uses.kept[id.index()] {
                    let result = g.push(node.op.clone(), &operands)?;
                    return Ok(g.cast(result, DType::F32));
                }
                let operands: Vec<NodeId> = operands.iter().map(|&x| g.cast(x, DType::F32)).collect();
                g.push(node.op.clone(), &operands)
            }
            Kind::Chooses if node.dtype == DType::F32 && self.uses.rounds(id) => self.on_narrow(g, node, inputs),
            Kind::Chooses | Kind::Combines if self.is_narrow(g, node, inputs) => self.on_narrow(g, node, inputs),
            Kind::Contracts | Kind::Chooses | Kind::Combines | Kind::Wide => {
                let same = g.copy_node(node, inputs)?;
                if node.dtype != DType::F32 || !self.uses.rounds(id) {
                    return Ok(same);
                }
                let rounded = self.narrowed(g, same);
                Ok(g.cast(rounded, DType::F32))
            }
        }
    }

    /// The op on narrow floats.
    fn on_narrow(&self, g: &mut Graph, node: &Node, inputs: &[NodeId]) -> Result<NodeId> {
        let floats = node.operands().len();
        let mut narrow = inputs.to_vec();
        for x in &mut narrow[..floats] {
            if g.dtype(*x) == DType::F32 {
                *x = self.narrowed(g, *x);
            }
        }
        let result = g.push(node.op.clone(), &narrow)?;
        Ok(if node.dtype == DType::F32 { g.cast(result, DType::F32) } else { result })
    }

    /// Whether the floats that an op reads are narrow already, those that cost nothing to narrow left aside.
    fn is_narrow(&self, g: &Graph, node: &Node, inputs: &[NodeId]) -> bool {
        let mut floats = inputs[..node.operands().len()].iter().filter(|x| g.dtype(**x) == DType::F32).peekable();
        let any = floats.clone().any(|&x| self.source(g, x).is_some());
        any && floats.all(|&x| self.source(g, x).is_some() || self.is_free(g, x))
    }

    /// The narrow value that an f32 value widens, through views.
    fn source(&self, g: &Graph, mut x: NodeId) -> Option<NodeId> {
        loop {
            let node = g.node(x);
            match node.op {
                Op::Cast(DType::F32) => return Some(node.inputs[0]).filter(|&from| g.dtype(from) == self.to),
                _ if node.op.is_view() => x = node.inputs[0],
                _ => return None,
            }
        }
    }

    /// Whether a value can be narrow for nothing: numbers, truth values and bytes, and states that contractions read.
    fn is_free(&self, g: &Graph, mut x: NodeId) -> bool {
        loop {
            let node = g.node(x);
            match &node.op {
                Op::Constant(literal) => return literal.elements() == 1 && self.fits(literal.get(0)),
                Op::Cast(_) => return matches!(g.dtype(node.inputs[0]), DType::Bool | DType::U8),
                Op::State(_) => return self.uses.states.contains(&node.op),
                _ if node.op.is_view() => x = node.inputs[0],
                _ => return false,
            }
        }
    }

    /// Whether a number does not become infinite.
    fn fits(&self, value: f64) -> bool {
        !value.is_finite() || Literal::scalar(self.to, value).get(0).is_finite()
    }

    /// An f32 value, rounded. What only shows a value otherwise is put behind the rounding, so that all views of a value
    /// share one.
    fn narrowed(&self, g: &mut Graph, x: NodeId) -> NodeId {
        let node = g.node(x).clone();
        match &node.op {
            Op::Cast(DType::F32) if g.dtype(node.inputs[0]) == self.to => node.inputs[0],
            Op::Cast(DType::F32) if matches!(g.dtype(node.inputs[0]), DType::Bool | DType::U8) => {
                g.cast(node.inputs[0], self.to)
            }
            Op::Constant(literal) if literal.elements() == 1 => {
                let scalar = g.add_op(Op::Constant(Literal::scalar(self.to, literal.get(0))), &[]);
                g.reshape(scalar, literal.shape())
            }
            op if op.is_view() => {
                let mut inputs = node.inputs.clone();
                inputs[0] = self.narrowed(g, inputs[0]);
                g.add_op(node.op.clone(), &inputs)
            }
            Op::Input(_) | Op::State(_) => {
                // It belongs to no layer.
                let scope = g.set_scope("");
                let rounded = g.cast(x, self.to);
                g.set_scope(&scope);
                rounded
            }
            _ => g.cast(x, self.to),
        }
    }
}
