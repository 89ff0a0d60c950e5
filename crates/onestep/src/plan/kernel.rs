//! Kernels: loop nests over expressions, and the library calls that no loop nest should imitate.

use super::index::{Affine, Guard, Var};
use super::schedule::Schedule;
use super::{BufferId, ExprId};
use crate::ir::{ArgOp, Binary, Compare, ConvSpec, DType, ReduceOp, Unary};

/// One step of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Kernel {
    /// Paths of the layers it computes for, sorted, without repeats.
    pub scopes: Vec<String>,
    /// What it does.
    pub kind: KernelKind,
    /// Numbers of the events it takes part in: one has come when every kernel that signals it has run.
    pub signals: Vec<u32>,
    /// Numbers of the events it must not run before, though it may read nothing that they write.
    pub waits: Vec<u32>,
}

impl Kernel {
    /// A kernel that has nothing to do with events.
    pub fn new(scopes: Vec<String>, kind: KernelKind) -> Self {
        Kernel { scopes, kind, signals: Vec::new(), waits: Vec::new() }
    }
}

/// What a kernel does.
#[derive(Clone, Debug, PartialEq)]
pub enum KernelKind {
    /// A generated loop nest.
    Loop(LoopKernel),
    /// A call into a library of kernels.
    Library(Box<LibraryKernel>),
}

/// A loop nest: for each point of the grid (all independent of each other), the phases in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LoopKernel {
    /// Extents of the parallel space.
    pub grid: Vec<usize>,
    /// What happens at each grid point.
    pub phases: Vec<Phase>,
    /// Who computes what, for devices of many threads.
    pub schedule: Schedule,
}

/// For each point of the reduced space (just once if that is empty): evaluate the body, then fold or store.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Phase {
    /// Extents of the reduced space.
    pub reduce: Vec<usize>,
    /// Derived index variables.
    pub lets: Vec<Let>,
    /// Expressions, each after what it uses.
    pub body: Vec<Typed>,
    /// What becomes of them.
    pub outs: Vec<Out>,
}

/// A derived index variable, for reshapes that no refinement of the loops makes affine and for indices
/// that are known on the device alone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Let {
    /// Floor division by a positive constant.
    Div(Affine, i64),
    /// Remainder (not negative) of the division by a positive constant.
    Rem(Affine, i64),
    /// An integer expression of the same phase.
    Value(ExprId),
}

/// An expression with its type.
#[derive(Clone, Debug, PartialEq)]
pub struct Typed {
    /// The expression.
    pub expr: Expr,
    /// Its dtype.
    pub dtype: DType,
}

impl Typed {
    /// Whether both give the same bits. Unlike `==` it tells 0 from −0, and finds NaN equal to itself.
    pub fn is_same(&self, other: &Typed) -> bool {
        match (&self.expr, &other.expr) {
            (Expr::Const(a), Expr::Const(b)) => self.dtype == other.dtype && a.to_bits() == b.to_bits(),
            (Expr::Load(a), Expr::Load(b)) => self == other && a.fill.to_bits() == b.fill.to_bits(),
            _ => self == other,
        }
    }
}

/// A scalar expression at a point of grid and reduced space.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// An element of a buffer where all guards hold, `fill` elsewhere.
    Load(Load),
    /// What an earlier phase reduced, by number.
    Carry(usize),
    /// A number.
    Const(f64),
    /// The value of an index map.
    Index(Affine),
    /// Whether all guards hold.
    Within(Vec<Guard>),
    /// Philox 4x32-10 as [`Op::Random`](crate::ir::Op::Random) describes it.
    Random {
        /// Tells apart the random tensors of a program.
        stream: u32,
        /// The key's two words.
        seed: [ExprId; 2],
        /// The step.
        step: ExprId,
        /// The element's number.
        index: Affine,
    },
    /// A function of one expression.
    Unary(Unary, ExprId),
    /// A function of two.
    Binary(Binary, ExprId, ExprId),
    /// A comparison.
    Compare(Compare, ExprId, ExprId),
    /// `condition ? a : b`.
    Select(ExprId, ExprId, ExprId),
    /// A conversion to the expression's dtype.
    Cast(ExprId),
}

impl Expr {
    /// The same expression over other expressions.
    pub fn with_operands(&self, mut f: impl FnMut(ExprId) -> ExprId) -> Expr {
        match self {
            Expr::Load(_) | Expr::Carry(_) | Expr::Const(_) | Expr::Index(_) | Expr::Within(_) => self.clone(),
            Expr::Random { stream, seed, step, index } => {
                Expr::Random { stream: *stream, seed: [f(seed[0]), f(seed[1])], step: f(*step), index: index.clone() }
            }
            Expr::Unary(op, a) => Expr::Unary(*op, f(*a)),
            Expr::Cast(a) => Expr::Cast(f(*a)),
            Expr::Binary(op, a, b) => Expr::Binary(*op, f(*a), f(*b)),
            Expr::Compare(op, a, b) => Expr::Compare(*op, f(*a), f(*b)),
            Expr::Select(c, a, b) => Expr::Select(f(*c), f(*a), f(*b)),
        }
    }

    /// Its index maps.
    pub fn indices(&self) -> Vec<&Affine> {
        match self {
            Expr::Load(load) => load.indices().collect(),
            Expr::Within(guards) => guards.iter().map(|g| &g.expr).collect(),
            Expr::Index(a) | Expr::Random { index: a, .. } => vec![a],
            Expr::Carry(_)
            | Expr::Const(_)
            | Expr::Unary(..)
            | Expr::Binary(..)
            | Expr::Compare(..)
            | Expr::Select(..)
            | Expr::Cast(_) => Vec::new(),
        }
    }

    /// The expressions it uses.
    pub fn operands(&self) -> Vec<ExprId> {
        match self {
            Expr::Load(_) | Expr::Carry(_) | Expr::Const(_) | Expr::Index(_) | Expr::Within(_) => Vec::new(),
            Expr::Random { seed, step, .. } => vec![seed[0], seed[1], *step],
            Expr::Unary(_, a) | Expr::Cast(a) => vec![*a],
            Expr::Binary(_, a, b) | Expr::Compare(_, a, b) => vec![*a, *b],
            Expr::Select(c, a, b) => vec![*c, *a, *b],
        }
    }
}

/// A load of one element.
#[derive(Clone, Debug, PartialEq)]
pub struct Load {
    /// From where.
    pub buffer: BufferId,
    /// Element number in the buffer.
    pub index: Affine,
    /// Ranges that must all hold.
    pub guards: Vec<Guard>,
    /// The value where one does not.
    pub fill: f64,
}

impl Load {
    /// Its index maps: those of its guards, and the element's number.
    pub fn indices(&self) -> impl Iterator<Item = &Affine> {
        self.guards.iter().map(|g| &g.expr).chain([&self.index])
    }
}

/// What becomes of an expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Out {
    /// Folded over the phase's reduced space into carry number `carry`.
    Reduce {
        /// The fold.
        fold: Fold,
        /// What is folded.
        value: ExprId,
        /// The number under which later phases see it.
        carry: usize,
        /// The dtype of the result.
        dtype: DType,
    },
    /// Written to a buffer at each point.
    Store {
        /// To where.
        buffer: BufferId,
        /// Element number in the buffer.
        index: Affine,
        /// What is written.
        value: ExprId,
    },
}

/// How values are folded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fold {
    /// To one value.
    Value(ReduceOp),
    /// To the row-major number in the reduced space of the first extreme.
    Place(ArgOp),
}

/// A strided operand: element `[i, j, …]` is at `offset + Σ stride · index`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operand {
    /// The buffer.
    pub buffer: BufferId,
    /// Its element type.
    pub dtype: DType,
    /// Element number of the first element.
    pub offset: i64,
    /// Distance in elements on each axis.
    pub strides: Vec<i64>,
}

/// A call into a library. Products and convolutions sum in f32, whatever narrow floats they read or write: an operand
/// may be narrower than the result, as a weights' gradient is f32 where what it is made of is bf16.
#[derive(Clone, Debug, PartialEq)]
pub enum LibraryKernel {
    /// Batched matrix product `out[b, m, n] = Σ_k lhs[b, m, k] · rhs[b, k, n]`.
    Dot {
        /// Extents b, m, n, k.
        extents: [usize; 4],
        /// Strides for b, m, k.
        lhs: Operand,
        /// Strides for b, k, n.
        rhs: Operand,
        /// Strides for b, m, n.
        out: Operand,
        /// What happens to results before they are stored; a bias has an element for each of n.
        epilogue: Epilogue,
        /// Whether operands of f32 are rounded to the 10 bits of mantissa that TF32 has.
        tf32: bool,
    },
    /// A convolution or one of its gradients; all three tensors are dense, channels last.
    Conv {
        /// Which of the three is computed from the other two.
        direction: ConvDirection,
        /// Strides, padding, dilation, groups.
        spec: ConvSpec,
        /// Shape of the convolution's input.
        input: Vec<usize>,
        /// Shape of its weights.
        filter: Vec<usize>,
        /// Shape of its result.
        output: Vec<usize>,
        /// The two tensors read, in the order of the op's inputs.
        operands: [Operand; 2],
        /// The tensor written.
        out: Operand,
        /// What happens to results before they are stored: forward bias and ReLU, where the bias has an element for
        /// each channel; a mask where the input's gradient is computed.
        epilogue: Epilogue,
        /// Whether operands of f32 are rounded to the 10 bits of mantissa that TF32 has.
        tf32: bool,
    },
    /// Running sum along the middle axis of `[outer, n, inner]`, dense.
    CumSum {
        /// Extents outer, n, inner.
        extents: [usize; 3],
        /// Whether element i leaves out itself.
        exclusive: bool,
        /// Whether it runs from the end.
        reverse: bool,
        /// Read.
        x: Operand,
        /// Written.
        out: Operand,
    },
    /// `out = base`, then `out[o, index[j], i] += updates[o, j, i]` for j in order; all dense.
    ScatterAdd {
        /// Extents outer, axis of base, number of indices, inner.
        extents: [usize; 4],
        /// `[outer, axis, inner]`.
        base: Operand,
        /// `[indices]`, i32.
        index: Operand,
        /// `[outer, indices, inner]`.
        updates: Operand,
        /// `[outer, axis, inner]`.
        out: Operand,
    },
}

/// What a product or a convolution does to each result before it stores it, in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Epilogue {
    /// Adds the element of this vector that belongs to the result's last axis.
    pub bias: Option<Operand>,
    /// Makes what is not above 0 a 0; NaN stays.
    pub relu: bool,
    /// Makes 0 of every result whose element of this tensor, laid out like the result, is not above 0; where that is
    /// NaN the result stays. Behind the gradient of a convolution's input it is the gradient of the ReLU that made the
    /// input. Only such gradients have one, without strides, and only where [`Target::masks`](super::Target::masks).
    pub mask: Option<Operand>,
}

impl Epilogue {
    /// The operands that it reads, in the order of its operations.
    pub fn reads(&self) -> impl Iterator<Item = &Operand> {
        self.bias.iter().chain(&self.mask)
    }

    fn reads_mut(&mut self) -> impl Iterator<Item = &mut Operand> {
        self.bias.iter_mut().chain(&mut self.mask)
    }
}

/// Which tensor of a convolution is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConvDirection {
    /// The result, from input and weights.
    Forward,
    /// The gradient of the input, from the result's gradient and weights.
    InputGrad,
    /// The gradient of the weights, from input and the result's gradient.
    FilterGrad,
}

impl LibraryKernel {
    /// The name in the text form.
    pub fn name(&self) -> &'static str {
        match self {
            LibraryKernel::Dot { .. } => "dot",
            LibraryKernel::Conv { direction: ConvDirection::Forward, .. } => "conv",
            LibraryKernel::Conv { direction: ConvDirection::InputGrad, .. } => "conv_input_grad",
            LibraryKernel::Conv { direction: ConvDirection::FilterGrad, .. } => "conv_filter_grad",
            LibraryKernel::CumSum { .. } => "cumsum",
            LibraryKernel::ScatterAdd { .. } => "scatter_add",
        }
    }

    /// The operands read.
    pub fn reads(&self) -> Vec<&Operand> {
        match self {
            LibraryKernel::Dot { lhs, rhs, epilogue, .. } => [lhs, rhs].into_iter().chain(epilogue.reads()).collect(),
            LibraryKernel::Conv { operands, epilogue, .. } => operands.iter().chain(epilogue.reads()).collect(),
            LibraryKernel::CumSum { x, .. } => vec![x],
            LibraryKernel::ScatterAdd { base, index, updates, .. } => vec![base, index, updates],
        }
    }

    /// What happens to results before they are stored.
    pub fn epilogue(&self) -> Option<&Epilogue> {
        match self {
            LibraryKernel::Dot { epilogue, .. } | LibraryKernel::Conv { epilogue, .. } => Some(epilogue),
            LibraryKernel::CumSum { .. } | LibraryKernel::ScatterAdd { .. } => None,
        }
    }

    /// Whether its operands are f32 that is rounded to TF32.
    pub fn uses_tf32(&self) -> bool {
        match self {
            LibraryKernel::Dot { tf32, .. } | LibraryKernel::Conv { tf32, .. } => *tf32,
            LibraryKernel::CumSum { .. } | LibraryKernel::ScatterAdd { .. } => false,
        }
    }

    /// Has a product or convolution of f32 round its operands to TF32.
    pub fn allow_tf32(&mut self) {
        match self {
            LibraryKernel::Dot { tf32, lhs: a, rhs: b, .. } | LibraryKernel::Conv { tf32, operands: [a, b], .. } => {
                *tf32 = a.dtype == DType::F32 && b.dtype == DType::F32;
            }
            LibraryKernel::CumSum { .. } | LibraryKernel::ScatterAdd { .. } => {}
        }
    }

    /// Replaces what happens to results before they are stored, where the kernel can do anything to them.
    pub fn set_epilogue(&mut self, to: Epilogue) {
        match self {
            LibraryKernel::Dot { epilogue, .. } | LibraryKernel::Conv { epilogue, .. } => *epilogue = to,
            LibraryKernel::CumSum { .. } | LibraryKernel::ScatterAdd { .. } => {}
        }
    }

    /// The operand written.
    pub fn out(&self) -> &Operand {
        match self {
            LibraryKernel::Dot { out, .. }
            | LibraryKernel::Conv { out, .. }
            | LibraryKernel::CumSum { out, .. }
            | LibraryKernel::ScatterAdd { out, .. } => out,
        }
    }

    /// The operand written, to redirect it.
    pub fn out_mut(&mut self) -> &mut Operand {
        match self {
            LibraryKernel::Dot { out, .. }
            | LibraryKernel::Conv { out, .. }
            | LibraryKernel::CumSum { out, .. }
            | LibraryKernel::ScatterAdd { out, .. } => out,
        }
    }

    /// How many elements it writes, densely from the first on.
    pub fn written(&self) -> usize {
        match self {
            LibraryKernel::Dot { extents: [b, m, n, _], .. } => b * m * n,
            LibraryKernel::Conv { direction: ConvDirection::Forward, output, .. } => output.iter().product(),
            LibraryKernel::Conv { direction: ConvDirection::InputGrad, input, .. } => input.iter().product(),
            LibraryKernel::Conv { direction: ConvDirection::FilterGrad, filter, .. } => filter.iter().product(),
            LibraryKernel::CumSum { extents, .. } => extents.iter().product(),
            LibraryKernel::ScatterAdd { extents: [o, n, _, i], .. } => o * n * i,
        }
    }

    /// The operands read in order, then the one written.
    pub fn operands_mut(&mut self) -> Vec<&mut Operand> {
        match self {
            LibraryKernel::Dot { lhs, rhs, out, epilogue, .. } => {
                [lhs, rhs].into_iter().chain(epilogue.reads_mut()).chain([out]).collect()
            }
            LibraryKernel::Conv { operands: [a, b], out, epilogue, .. } => {
                [a, b].into_iter().chain(epilogue.reads_mut()).chain([out]).collect()
            }
            LibraryKernel::CumSum { x, out, .. } => vec![x, out],
            LibraryKernel::ScatterAdd { base, index, updates, out, .. } => vec![base, index, updates, out],
        }
    }

    /// The same call over other operands (those read in order, then the one written).
    pub fn with_operands<E>(mut self, mut f: impl FnMut(&Operand) -> Result<Operand, E>) -> Result<Self, E> {
        for operand in self.operands_mut() {
            *operand = f(operand)?;
        }
        Ok(self)
    }
}

impl LoopKernel {
    /// The number of grid points.
    pub fn points(&self) -> usize {
        self.grid.iter().product()
    }

    /// Expressions evaluated over all points: what decides whether more threads pay.
    pub fn work(&self) -> u64 {
        let evaluated = |p: &Phase| (p.reduce.iter().product::<usize>() * (p.body.len() + 1)) as u64;
        self.points() as u64 * self.phases.iter().map(evaluated).sum::<u64>()
    }

    /// The length of the longest reduced space, 1 where there is none.
    pub fn longest_row(&self) -> usize {
        self.phases.iter().map(|p| p.reduce.iter().product()).max().unwrap_or(1)
    }

    /// Every load of every phase.
    pub fn loads(&self) -> impl Iterator<Item = &Load> {
        self.phases.iter().flat_map(Phase::loads)
    }

    /// A dense copy of one buffer to another.
    pub fn copy(from: BufferId, to: BufferId, len: usize, dtype: DType) -> Self {
        let index = Affine::var(Var::Grid(0), 1);
        let load = Load { buffer: from, index: index.clone(), guards: Vec::new(), fill: 0.0 };
        let phase = Phase {
            body: vec![Typed { expr: Expr::Load(load), dtype }],
            outs: vec![Out::Store { buffer: to, index, value: ExprId(0) }],
            ..Phase::default()
        };
        LoopKernel { grid: vec![len], phases: vec![phase], ..LoopKernel::default() }
    }

    /// Whether no point reads what another point writes: a buffer that is both read and written is read
    /// at the place that is written, in the same phase or before.
    pub fn updates_in_place(&self) -> bool {
        let local = |index: &Affine| !index.terms.iter().any(|t| matches!(t.0, Var::Reduce(_) | Var::Let(_)));
        let stores = self.phases.iter().enumerate().flat_map(|(p, phase)| {
            phase.outs.iter().filter_map(move |o| match o {
                Out::Store { buffer, index, .. } => Some((p, *buffer, index)),
                Out::Reduce { .. } => None,
            })
        });
        let loads: Vec<(usize, &Load)> = self
            .phases
            .iter()
            .enumerate()
            .flat_map(|(q, phase)| {
                phase.body.iter().filter_map(move |t| match &t.expr {
                    Expr::Load(load) => Some((q, load)),
                    _ => None,
                })
            })
            .collect();
        stores.into_iter().all(|(p, buffer, index)| {
            loads.iter().filter(|(_, load)| load.buffer == buffer).all(|(q, load)| {
                load.index == *index && load.guards.is_empty() && (*q == p || (*q < p && local(index)))
            })
        })
    }

    /// Replaces every index map; the function gets the phase's number.
    pub fn map_indices(&mut self, mut f: impl FnMut(usize, &Affine) -> Affine) {
        for (p, phase) in self.phases.iter_mut().enumerate() {
            phase.map_indices(|a| f(p, a));
        }
    }

    /// Every store of every phase: buffer and index.
    pub fn stores(&self) -> impl Iterator<Item = (BufferId, &Affine)> {
        self.phases.iter().flat_map(Phase::stores)
    }
}

impl Phase {
    /// Every load.
    pub fn loads(&self) -> impl Iterator<Item = &Load> {
        self.body.iter().filter_map(|t| match &t.expr {
            Expr::Load(load) => Some(load),
            _ => None,
        })
    }

    /// Every store: buffer and index.
    pub fn stores(&self) -> impl Iterator<Item = (BufferId, &Affine)> {
        self.outs.iter().filter_map(|o| match o {
            Out::Store { buffer, index, .. } => Some((*buffer, index)),
            Out::Reduce { .. } => None,
        })
    }

    /// Replaces every index map.
    pub fn map_indices(&mut self, mut f: impl FnMut(&Affine) -> Affine) {
        let guards = |guards: &mut Vec<Guard>, f: &mut dyn FnMut(&Affine) -> Affine| {
            guards.iter_mut().for_each(|g| g.expr = f(&g.expr));
        };
        for l in &mut self.lets {
            match l {
                Let::Div(a, _) | Let::Rem(a, _) => *a = f(a),
                Let::Value(_) => {}
            }
        }
        for typed in &mut self.body {
            match &mut typed.expr {
                Expr::Load(load) => {
                    load.index = f(&load.index);
                    guards(&mut load.guards, &mut f);
                }
                Expr::Within(list) => guards(list, &mut f),
                Expr::Index(a) | Expr::Random { index: a, .. } => *a = f(a),
                Expr::Carry(_)
                | Expr::Const(_)
                | Expr::Unary(..)
                | Expr::Binary(..)
                | Expr::Compare(..)
                | Expr::Select(..)
                | Expr::Cast(_) => {}
            }
        }
        for out in &mut self.outs {
            match out {
                Out::Store { index, .. } => *index = f(index),
                Out::Reduce { .. } => {}
            }
        }
    }

    /// Adds what another phase without derived variables computes and does with it, over the same loops; what some of its
    /// loads would find is `known` here.
    pub fn goes_on(&mut self, next: &Phase, known: impl Fn(&Load) -> Option<ExprId>) {
        let mut names: Vec<ExprId> = Vec::with_capacity(next.body.len());
        for typed in &next.body {
            let name = match &typed.expr {
                Expr::Load(load) => known(load),
                _ => None,
            };
            names.push(name.unwrap_or_else(|| {
                let expr = typed.expr.with_operands(|e| names[e.index()]);
                self.body.push(Typed { expr, dtype: typed.dtype });
                ExprId(self.body.len() as u32 - 1)
            }));
        }
        self.outs.extend(next.outs.iter().map(|out| match out {
            Out::Store { buffer, index, value } => {
                Out::Store { buffer: *buffer, index: index.clone(), value: names[value.index()] }
            }
            Out::Reduce { fold, value, carry, dtype } => {
                Out::Reduce { fold: *fold, value: names[value.index()], carry: *carry, dtype: *dtype }
            }
        }));
    }

    /// Every index map.
    pub fn indices(&self) -> Vec<&Affine> {
        let lets = self.lets.iter().filter_map(|l| match l {
            Let::Div(a, _) | Let::Rem(a, _) => Some(a),
            Let::Value(_) => None,
        });
        let outs = self.outs.iter().filter_map(|o| match o {
            Out::Store { index, .. } => Some(index),
            Out::Reduce { .. } => None,
        });
        lets.chain(self.body.iter().flat_map(|t| t.expr.indices())).chain(outs).collect()
    }
}

impl Kernel {
    /// The buffers read, sorted, without repeats.
    pub fn reads(&self) -> Vec<BufferId> {
        sorted(match &self.kind {
            KernelKind::Loop(k) => k.loads().map(|l| l.buffer).collect(),
            KernelKind::Library(k) => k.reads().iter().map(|o| o.buffer).collect(),
        })
    }

    /// The buffers written, sorted, without repeats.
    pub fn writes(&self) -> Vec<BufferId> {
        sorted(match &self.kind {
            KernelKind::Loop(k) => k.stores().map(|s| s.0).collect(),
            KernelKind::Library(k) => vec![k.out().buffer],
        })
    }
}

fn sorted(mut ids: Vec<BufferId>) -> Vec<BufferId> {
    ids.sort_unstable();
    ids.dedup();
    ids
}
