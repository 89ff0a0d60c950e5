//! Library kernels as loop nests: what each call computes, for devices that have no such call and for
//! contractions too small to be worth one.

use super::index::{Affine, Guard, Var};
use super::kernel::{
    ConvDirection, Epilogue, Expr, Fold, Let, LibraryKernel, Load, LoopKernel, Operand, Out, Phase, Typed,
};
use super::{BufferId, ExprId};
use crate::ir::{Binary, Compare, ConvSpec, DType, ReduceOp};

impl LibraryKernel {
    /// The same computation as a loop nest. Narrow floats are summed in f32. Running sums and scattered sums walk
    /// all that could count for each result, so their cost is the product of both extents.
    pub fn nest(&self) -> LoopKernel {
        match self {
            LibraryKernel::Dot { extents: [b, m, n, k], lhs, rhs, out, epilogue, .. } => {
                let mut nest = Nest::new(&[*b, *m, *n], &[*k], out.dtype);
                let [b, m, n] = [0, 1, 2].map(|i| nest.grid(i));
                let k = nest.reduce(0);
                let x = nest.load(lhs, &[b.clone(), m.clone(), k.clone()], Vec::new());
                let y = nest.load(rhs, &[b.clone(), k, n.clone()], Vec::new());
                nest.multiply(x, y);
                nest.finish(out, &[b, m, n.clone()], Some((epilogue, n)))
            }
            LibraryKernel::Conv { direction, spec, input, filter, output, operands, out, epilogue, .. } => {
                let conv = Windows { spec, input, filter, output };
                match direction {
                    ConvDirection::Forward => conv.forward(operands, out, epilogue),
                    ConvDirection::InputGrad => conv.input_grad(operands, out, epilogue),
                    ConvDirection::FilterGrad => conv.filter_grad(operands, out),
                }
            }
            LibraryKernel::CumSum { extents: [o, n, i], exclusive, reverse, x, out } => {
                let mut nest = Nest::new(&[*o, *n, *i], &[*n], out.dtype);
                let [outer, at, inner] = [0, 1, 2].map(|i| nest.grid(i));
                let j = nest.reduce(0);
                let ahead = if *reverse { j.plus(&at, -1) } else { at.plus(&j, -1) };
                let counted = Guard { expr: ahead, low: *exclusive as i64, high: *n as i64 };
                let x = nest.load_dense(x, &[*o, *n, *i], &[outer.clone(), j, inner.clone()], vec![counted]);
                nest.sum(x);
                nest.finish_dense(out, &[*o, *n, *i], &[outer, at, inner])
            }
            LibraryKernel::ScatterAdd { extents: [o, n, indices, i], base, index, updates, out } => {
                let mut nest = Nest::new(&[*o, *n, *i], &[*indices], out.dtype);
                let [outer, at, inner] = [0, 1, 2].map(|i| nest.grid(i));
                let j = nest.reduce(0);
                let load = Load { buffer: index.buffer, index: j.clone().shifted(index.offset), ..nothing() };
                let to = nest.add(Expr::Load(load), DType::I32);
                let here = nest.add(Expr::Index(at.clone()), DType::I32);
                let same = nest.add(Expr::Compare(Compare::Eq, to, here), DType::Bool);
                let update =
                    nest.load_dense(updates, &[*o, *indices, *i], &[outer.clone(), j, inner.clone()], Vec::new());
                let zero = nest.add(Expr::Const(0.0), nest.wide);
                let update = nest.add(Expr::Select(same, update, zero), nest.wide);
                nest.sum(update);
                nest.next_phase();
                let place = [outer, at, inner];
                let sum = nest.add(Expr::Carry(0), nest.wide);
                let before = nest.load_dense(base, &[*o, *n, *i], &place, Vec::new());
                let total = nest.add(Expr::Binary(Binary::Add, before, sum), nest.wide);
                let index = dense(&[*o, *n, *i], &place).shifted(out.offset);
                nest.store(out, index, total)
            }
        }
    }
}

fn nothing() -> Load {
    Load { buffer: BufferId(0), index: Affine::default(), guards: Vec::new(), fill: 0.0 }
}

/// The element number of a place in a dense tensor.
fn dense(shape: &[usize], at: &[Affine]) -> Affine {
    at.iter().zip(shape).fold(Affine::default(), |sum, (at, &extent)| sum.scaled(extent as i64).plus(at, 1))
}

/// A loop nest of one sum and what follows it, in the making.
struct Nest {
    kernel: LoopKernel,
    phase: Phase,
    /// The dtype sums are made in.
    wide: DType,
    grid: Vec<Affine>,
    reduce: Vec<Affine>,
}

/// The extents that take a loop variable, and for each axis its coordinate.
fn space(extents: &[usize], var: fn(u32) -> Var) -> (Vec<usize>, Vec<Affine>) {
    let mut kept = Vec::new();
    let coordinate = |&extent: &usize| {
        if extent == 1 {
            return Affine::default();
        }
        kept.push(extent);
        Affine::var(var(kept.len() as u32 - 1), 1)
    };
    let at = extents.iter().map(coordinate).collect();
    (kept, at)
}

impl Nest {
    fn new(grid: &[usize], reduce: &[usize], dtype: DType) -> Self {
        let (grid, at) = space(grid, Var::Grid);
        let (reduce, over) = space(reduce, Var::Reduce);
        let wide = if matches!(dtype, DType::BF16 | DType::F16) { DType::F32 } else { dtype };
        let kernel = LoopKernel { grid, ..LoopKernel::default() };
        Nest { kernel, phase: Phase { reduce, ..Phase::default() }, wide, grid: at, reduce: over }
    }

    fn grid(&self, axis: usize) -> Affine {
        self.grid[axis].clone()
    }

    fn reduce(&self, axis: usize) -> Affine {
        self.reduce[axis].clone()
    }

    fn add(&mut self, expr: Expr, dtype: DType) -> ExprId {
        self.phase.body.push(Typed { expr, dtype });
        ExprId(self.phase.body.len() as u32 - 1)
    }

    /// An element as a number of the dtype that is summed in.
    fn load_at(&mut self, x: &Operand, index: Affine, guards: Vec<Guard>) -> ExprId {
        let element = self.add(Expr::Load(Load { buffer: x.buffer, index, guards, fill: 0.0 }), x.dtype);
        if x.dtype == self.wide { element } else { self.add(Expr::Cast(element), self.wide) }
    }

    fn load(&mut self, x: &Operand, at: &[Affine], guards: Vec<Guard>) -> ExprId {
        let start = Affine::constant(x.offset);
        let index = at.iter().zip(&x.strides).fold(start, |sum, (at, &stride)| sum.plus(at, stride));
        self.load_at(x, index, guards)
    }

    fn load_dense(&mut self, x: &Operand, shape: &[usize], at: &[Affine], guards: Vec<Guard>) -> ExprId {
        self.load_at(x, dense(shape, at).shifted(x.offset), guards)
    }

    /// A derived variable.
    fn derived(&mut self, l: Let) -> Affine {
        self.phase.lets.push(l);
        Affine::var(Var::Let(self.phase.lets.len() as u32 - 1), 1)
    }

    fn sum(&mut self, value: ExprId) {
        self.phase.outs.push(Out::Reduce { fold: Fold::Value(ReduceOp::Sum), value, carry: 0, dtype: self.wide });
    }

    fn multiply(&mut self, x: ExprId, y: ExprId) {
        let product = self.add(Expr::Binary(Binary::Mul, x, y), self.wide);
        self.sum(product);
    }

    fn next_phase(&mut self) {
        if self.phase.reduce.contains(&0) {
            // The sum over nothing.
            let outs = std::mem::take(&mut self.phase).outs;
            let nothing = self.add(Expr::Const(0.0), self.wide);
            let carried = |out| match out {
                Out::Reduce { fold, carry, dtype, .. } => Out::Reduce { fold, value: nothing, carry, dtype },
                Out::Store { .. } => out,
            };
            self.phase.outs = outs.into_iter().map(carried).collect();
        }
        self.kernel.phases.push(std::mem::take(&mut self.phase));
    }

    /// The sum, after its epilogue with the bias's place, where it belongs.
    fn finish(mut self, out: &Operand, at: &[Affine], epilogue: Option<(&Epilogue, Affine)>) -> LoopKernel {
        let start = Affine::constant(out.offset);
        let index = at.iter().zip(&out.strides).fold(start, |sum, (at, &stride)| sum.plus(at, stride));
        self.next_phase();
        let mut value = self.add(Expr::Carry(0), self.wide);
        if let Some((Epilogue { bias, relu, mask }, place)) = epilogue {
            if let Some(bias) = bias {
                let bias = self.load(bias, &[place], Vec::new());
                value = self.add(Expr::Binary(Binary::Add, value, bias), self.wide);
            }
            if *relu {
                value = self.zero_where_not_above(value, value);
            }
            if let Some(mask) = mask {
                let sign = self.load_at(mask, index.clone().shifted(mask.offset - out.offset), Vec::new());
                value = self.zero_where_not_above(sign, value);
            }
        }
        self.store(out, index, value)
    }

    /// 0 where `sign` is at most 0, else the value.
    fn zero_where_not_above(&mut self, sign: ExprId, value: ExprId) -> ExprId {
        let zero = self.add(Expr::Const(0.0), self.wide);
        let below = self.add(Expr::Compare(Compare::Le, sign, zero), DType::Bool);
        self.add(Expr::Select(below, zero, value), self.wide)
    }

    fn finish_dense(self, out: &Operand, shape: &[usize], at: &[Affine]) -> LoopKernel {
        let strides = (0..shape.len()).map(|i| shape[i + 1..].iter().product::<usize>() as i64).collect();
        self.finish(&Operand { strides, ..out.clone() }, at, None)
    }

    fn store(mut self, out: &Operand, index: Affine, value: ExprId) -> LoopKernel {
        let value = if out.dtype == self.wide { value } else { self.add(Expr::Cast(value), out.dtype) };
        self.phase.outs.push(Out::Store { buffer: out.buffer, index, value });
        self.next_phase();
        self.kernel
    }
}

/// A convolution's shapes: input `[batch, spatial.., channels]`, filter `[out, kernel.., in / groups]`.
struct Windows<'a> {
    spec: &'a ConvSpec,
    input: &'a [usize],
    filter: &'a [usize],
    output: &'a [usize],
}

impl Windows<'_> {
    fn spatial(&self) -> usize {
        self.spec.stride.len()
    }

    fn kernel(&self) -> &[usize] {
        &self.filter[1..=self.spatial()]
    }

    /// Channels of a group that the input and the output have.
    fn channels(&self) -> [usize; 2] {
        [self.filter[self.spatial() + 1], self.filter[0] / self.spec.groups]
    }

    /// The channel of the whole tensor from group and channel of the group.
    fn channel(group: &Affine, channel: &Affine, of_group: usize) -> Affine {
        group.scaled(of_group as i64).plus(channel, 1)
    }

    /// Where window `at` sees the input through kernel tap `tap`, on each axis, with the guards it needs.
    fn seen(&self, at: &[Affine], tap: &[Affine]) -> (Vec<Affine>, Vec<Guard>) {
        let mut guards = Vec::new();
        let mut place = |i: usize| {
            let start = at[i].scaled(self.spec.stride[i] as i64).shifted(-(self.spec.padding[i].0 as i64));
            let place = start.plus(&tap[i], self.spec.dilation[i] as i64);
            guards.push(Guard { expr: place.clone(), low: 0, high: self.input[i + 1] as i64 });
            place
        };
        let places = (0..at.len()).map(&mut place).collect();
        (places, guards)
    }

    /// The extents of a tensor's space: batch, spatial axes, group, channel of the group.
    fn split(&self, shape: &[usize], channels: usize) -> Vec<usize> {
        [&shape[..=self.spatial()], &[self.spec.groups, channels]].concat()
    }

    fn forward(&self, [x, w]: &[Operand; 2], out: &Operand, epilogue: &Epilogue) -> LoopKernel {
        let (s, [ci, co]) = (self.spatial(), self.channels());
        let mut nest = Nest::new(&self.split(self.output, co), &[self.kernel(), &[ci]].concat(), out.dtype);
        let at: Vec<Affine> = (0..s).map(|i| nest.grid(i + 1)).collect();
        let (batch, group, c) = (nest.grid(0), nest.grid(s + 1), nest.grid(s + 2));
        let tap: Vec<Affine> = (0..s).map(|i| nest.reduce(i)).collect();
        let k = nest.reduce(s);
        let (places, guards) = self.seen(&at, &tap);
        let channel = Self::channel(&group, &k, ci);
        let input = nest.load_dense(x, self.input, &[vec![batch.clone()], places, vec![channel]].concat(), guards);
        let result = Self::channel(&group, &c, co);
        let weight = nest.load_dense(w, self.filter, &[vec![result.clone()], tap, vec![k]].concat(), Vec::new());
        nest.multiply(input, weight);
        let place = dense(self.output, &[vec![batch], at, vec![result.clone()]].concat());
        let out = Operand { strides: vec![1], ..out.clone() };
        nest.finish(&out, &[place], Some((epilogue, result)))
    }

    /// Each element of the input collects from the windows that saw it. Along an axis with a stride, elements that are
    /// a whole number of strides apart are seen through the same taps: the axis is walked as those sets of elements,
    /// each with its own few taps, where it divides into them, and else through all taps, most of which miss.
    fn input_grad(&self, [dy, w]: &[Operand; 2], out: &Operand, epilogue: &Epilogue) -> LoopKernel {
        let (s, [ci, co]) = (self.spatial(), self.channels());
        let apart = |i: usize| {
            let stride = self.spec.stride[i];
            stride > 1 && self.spec.dilation[i] == 1 && self.input[i + 1].is_multiple_of(stride)
        };
        let (mut grid, mut taps) = (vec![self.input[0]], Vec::new());
        for i in 0..s {
            let (extent, stride) = (self.input[i + 1], self.spec.stride[i]);
            grid.extend(if apart(i) { vec![extent / stride, stride] } else { vec![extent] });
            taps.push(if apart(i) { self.kernel()[i].div_ceil(stride) } else { self.kernel()[i] });
        }
        let channel = grid.len();
        grid.extend([self.spec.groups, ci]);
        taps.push(co);
        let mut nest = Nest::new(&grid, &taps, out.dtype);
        let (batch, group, c, k) = (nest.grid(0), nest.grid(channel), nest.grid(channel + 1), nest.reduce(s));
        let (mut at, mut windows, mut tap, mut guards) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut axis = 1;
        for i in 0..s {
            let (stride, step) = (self.spec.stride[i] as i64, nest.reduce(i));
            let low = self.spec.padding[i].0 as i64;
            let (place, through, window) = if apart(i) {
                let (first, rest) = (nest.grid(axis), nest.grid(axis + 1));
                let ahead = rest.clone().shifted(low);
                let [late, odd] = match low % stride {
                    0 => [Affine::constant(low / stride), rest.clone()],
                    _ => [Let::Div(ahead.clone(), stride), Let::Rem(ahead, stride)].map(|l| nest.derived(l)),
                };
                axis += 1;
                (
                    first.scaled(stride).plus(&rest, 1),
                    step.scaled(stride).plus(&odd, 1),
                    first.plus(&late, 1).plus(&step, -1),
                )
            } else {
                let place = nest.grid(axis);
                let distance = place.clone().shifted(low).plus(&step, -(self.spec.dilation[i] as i64));
                let window = match stride {
                    1 => distance,
                    _ => {
                        let rest = nest.derived(Let::Rem(distance.clone(), stride));
                        guards.push(Guard { expr: rest, low: 0, high: 1 });
                        nest.derived(Let::Div(distance, stride))
                    }
                };
                (place, step, window)
            };
            axis += 1;
            guards.push(Guard { expr: window.clone(), low: 0, high: self.output[i + 1] as i64 });
            at.push(place);
            windows.push(window);
            tap.push(through);
        }
        let mut there = Vec::new();
        for i in (0..s).filter(|&i| apart(i)) {
            there.push(Guard { expr: tap[i].clone(), low: 0, high: self.kernel()[i] as i64 });
        }
        // Where there is no tap, neither side counts: nothing times infinity would.
        guards.extend(there.clone());
        let result = Self::channel(&group, &k, co);
        let at_dy = [vec![batch.clone()], windows, vec![result.clone()]].concat();
        let dy = nest.load_dense(dy, self.output, &at_dy, guards);
        let weight = nest.load_dense(w, self.filter, &[vec![result], tap, vec![c.clone()]].concat(), there);
        nest.multiply(dy, weight);
        let result = Self::channel(&group, &c, ci);
        let place = dense(self.input, &[vec![batch], at, vec![result.clone()]].concat());
        nest.finish(&Operand { strides: vec![1], ..out.clone() }, &[place], Some((epilogue, result)))
    }

    fn filter_grad(&self, [x, dy]: &[Operand; 2], out: &Operand) -> LoopKernel {
        let (s, [ci, co]) = (self.spatial(), self.channels());
        let grid = [&[self.spec.groups, co], self.kernel(), &[ci]].concat();
        let mut nest = Nest::new(&grid, &self.output[..=s], out.dtype);
        let (group, c, k) = (nest.grid(0), nest.grid(1), nest.grid(s + 2));
        let tap: Vec<Affine> = (0..s).map(|i| nest.grid(i + 2)).collect();
        let batch = nest.reduce(0);
        let at: Vec<Affine> = (0..s).map(|i| nest.reduce(i + 1)).collect();
        let (places, guards) = self.seen(&at, &tap);
        let channel = Self::channel(&group, &k, ci);
        let input = nest.load_dense(x, self.input, &[vec![batch.clone()], places, vec![channel]].concat(), guards);
        let result = Self::channel(&group, &c, co);
        let dy = nest.load_dense(dy, self.output, &[vec![batch], at, vec![result.clone()]].concat(), Vec::new());
        nest.multiply(input, dy);
        let place = dense(self.filter, &[vec![result], tap, vec![k]].concat());
        nest.finish(&Operand { strides: vec![1], ..out.clone() }, &[place], None)
    }
}
