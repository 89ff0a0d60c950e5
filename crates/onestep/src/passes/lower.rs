//! From values to loop nests: each stored value becomes a kernel whose body computes, in one expression,
//! everything between it and the nearest stored values below it. Views turn into index maps here; a
//! reshape splits loop variables until its map is affine, and falls back to division where it cannot.

use std::collections::HashMap;

use super::events::Events;
use crate::ir::{Binary, Compare, DType, Graph, NodeId, Op, ReduceOp, Shape};
use crate::plan::{
    Affine, BufferId, Expr, ExprId, Fold, Guard, Kernel, KernelKind, Let, Load, LoopKernel, Out, Phase, Typed, Var,
};

/// A request to split a loop variable so that its inner part has `inner` values, and start over.
struct Split {
    var: Var,
    inner: i64,
}

type Lowered<T> = Result<T, Split>;

/// Extents of a loop space: each axis of a shape, split into one or more variables, outermost first.
#[derive(Clone)]
struct Space {
    axes: Vec<Vec<usize>>,
    var: fn(u32) -> Var,
}

impl Space {
    fn new(shape: &[usize], var: fn(u32) -> Var) -> Self {
        Space { axes: shape.iter().map(|&d| if d == 1 { Vec::new() } else { vec![d] }).collect(), var }
    }

    fn extents(&self) -> Vec<usize> {
        self.axes.concat()
    }

    /// The coordinate on each axis in terms of the variables.
    fn coordinates(&self) -> Vec<Affine> {
        let mut next = 0;
        self.axes
            .iter()
            .map(|axis| {
                let mut coordinate = Affine::default();
                for (i, _) in axis.iter().enumerate() {
                    let stride: usize = axis[i + 1..].iter().product();
                    coordinate = coordinate.plus(&Affine::var((self.var)(next), 1), stride as i64);
                    next += 1;
                }
                coordinate
            })
            .collect()
    }

    fn split(&mut self, number: u32, inner: i64) {
        let mut left = number as usize;
        for axis in &mut self.axes {
            if left < axis.len() {
                let extent = axis[left];
                axis[left] = extent / inner as usize;
                axis.insert(left + 1, inner as usize);
                return;
            }
            left -= axis.len();
        }
        panic!("onestep bug: there is no loop variable {number} to split");
    }
}

/// Where each node's value is stored, if it is.
pub(super) struct Places<'a> {
    pub graph: &'a Graph,
    pub buffers: &'a [Option<BufferId>],
    /// For a comparison that a stored choice was made by: the value compared, and the choice, which compares
    /// the same.
    pub choices: &'a [Option<(NodeId, NodeId)>],
    /// What barriers wait for.
    pub events: &'a Events,
}

impl Places<'_> {
    /// The kernel that computes a node into its buffer. `None` for an empty result.
    pub(super) fn kernel(&self, id: NodeId, out: BufferId) -> Option<Kernel> {
        let node = self.graph.node(id);
        if node.shape.elements() == 0 {
            return None;
        }
        let reduced = self.reduced_extents(id);
        let grid = node.shape.clone();
        if reduced.contains(&0) {
            let nothing = if let Op::Reduce { op, .. } = &node.op { op.identity(node.dtype) } else { 0.0 };
            return Some(self.nest(id, &grid, &[], |b, at, _| {
                let value = b.constant(nothing, node.dtype);
                b.store(out, &grid, at, 0, value);
                Ok(vec![b.finish_phase()])
            }));
        }
        Some(self.nest(id, &grid, &reduced, |b, at, over| {
            let (fold, value) = match b.reduction(id, at, over)? {
                None => {
                    let value = b.compute(id, at, &[])?;
                    b.store(out, &grid, at, 0, value);
                    return Ok(vec![b.finish_phase()]);
                }
                Some(reduction) => reduction,
            };
            let dtype = node.dtype;
            if matches!(fold, Fold::Place(_)) && b.reduce.is_empty() {
                // The place of an extreme among one.
                let zero = b.constant(0.0, dtype);
                b.store(out, &grid, at, 0, zero);
                return Ok(vec![b.finish_phase()]);
            }
            b.outs.push(Out::Reduce { fold, value, carry: 0, dtype });
            let first = b.finish_phase();
            b.reduce.clear();
            let mut value = b.add(Expr::Carry(0), dtype);
            if let Op::AvgPool(w) | Op::AvgPoolGrad { window: w, .. } = &node.op {
                let scale = b.constant(1.0 / w.size.iter().product::<usize>() as f64, dtype);
                value = b.add(Expr::Binary(Binary::Mul, value, scale), dtype);
            }
            if let Op::MaxPoolIndex(w) = &node.op {
                value = b.beside_padding(value, at, w, self.graph.shape(node.inputs[0]));
            }
            b.store(out, &grid, at, 0, value);
            Ok(vec![first, b.finish_phase()])
        }))
    }

    /// The kernel that copies a value into a buffer, computing it on the way if it is not stored.
    pub(super) fn copy(&self, id: NodeId, out: BufferId) -> Option<Kernel> {
        self.part(id, out, &self.graph.shape(id).clone(), 0)
    }

    /// The kernel that copies a value to a place in a buffer of shape `whole`: `offset` is the number of its
    /// first element there.
    pub(super) fn part(&self, id: NodeId, out: BufferId, whole: &Shape, offset: usize) -> Option<Kernel> {
        let shape = self.graph.shape(id).clone();
        if shape.elements() == 0 {
            return None;
        }
        Some(self.nest(id, &shape, &[], |b, at, _| {
            let value = b.value(id, at, &[])?;
            b.store(out, whole, at, offset as i64, value);
            Ok(vec![b.finish_phase()])
        }))
    }

    fn nest(
        &self,
        id: NodeId,
        grid: &[usize],
        reduce: &[usize],
        build: impl Fn(&mut Builder, &[Affine], &[Affine]) -> Lowered<Vec<Phase>>,
    ) -> Kernel {
        let mut grid = Space::new(grid, Var::Grid);
        let mut reduce = Space::new(reduce, Var::Reduce);
        loop {
            let mut builder = Builder::new(self, id, grid.extents(), reduce.extents());
            match build(&mut builder, &grid.coordinates(), &reduce.coordinates()) {
                Ok(phases) => {
                    builder.visited.push(id);
                    let scopes = scopes(self.graph, &builder.visited);
                    let waits = self.events.waits(self.graph, builder.visited.iter().copied());
                    let kernel = LoopKernel { grid: grid.extents(), phases, ..LoopKernel::default() };
                    return Kernel { waits, ..Kernel::new(scopes, KernelKind::Loop(kernel)) };
                }
                Err(Split { var: Var::Grid(i), inner }) => grid.split(i, inner),
                Err(Split { var: Var::Reduce(i), inner }) => reduce.split(i, inner),
                Err(Split { var: Var::Let(_), .. }) => panic!("onestep bug: a derived variable cannot be split"),
            }
        }
    }

    fn reduced_extents(&self, id: NodeId) -> Vec<usize> {
        let node = self.graph.node(id);
        match &node.op {
            Op::Reduce { axes, .. } | Op::ArgReduce { axes, .. } => {
                axes.iter().map(|&a| self.graph.shape(node.inputs[0])[a]).collect()
            }
            Op::MaxPool(w) | Op::MaxPoolIndex(w) | Op::MaxPoolGather(w) | Op::AvgPool(w) => w.size.clone(),
            Op::MaxPoolGrad { window: w, .. } | Op::AvgPoolGrad { window: w, .. } => {
                let apart = w.size.iter().zip(&w.stride).all(|(size, stride)| size <= stride);
                if apart { Vec::new() } else { w.size.clone() }
            }
            _ => Vec::new(),
        }
    }
}

struct Builder<'a> {
    places: &'a Places<'a>,
    /// The node the kernel is for.
    root: NodeId,
    grid: Vec<usize>,
    reduce: Vec<usize>,
    lets: Vec<Let>,
    /// Number of values of each derived variable, from 0; unbounded for device-side ones.
    let_extents: Vec<Option<i64>>,
    body: Vec<Typed>,
    outs: Vec<Out>,
    memo: HashMap<(NodeId, Vec<Affine>, Vec<Guard>), ExprId>,
    /// Nodes computed on the way.
    visited: Vec<NodeId>,
}

impl<'a> Builder<'a> {
    fn new(places: &'a Places<'a>, root: NodeId, grid: Vec<usize>, reduce: Vec<usize>) -> Self {
        Builder {
            places,
            root,
            grid,
            reduce,
            lets: Vec::new(),
            let_extents: Vec::new(),
            body: Vec::new(),
            outs: Vec::new(),
            memo: HashMap::new(),
            visited: Vec::new(),
        }
    }

    fn finish_phase(&mut self) -> Phase {
        self.memo.clear();
        self.let_extents.clear();
        Phase {
            reduce: self.reduce.clone(),
            lets: std::mem::take(&mut self.lets),
            body: std::mem::take(&mut self.body),
            outs: std::mem::take(&mut self.outs),
        }
    }

    fn add(&mut self, expr: Expr, dtype: DType) -> ExprId {
        let typed = Typed { expr, dtype };
        let at = self.body.iter().position(|t| t.is_same(&typed)).unwrap_or_else(|| {
            self.body.push(typed);
            self.body.len() - 1
        });
        ExprId(at as u32)
    }

    fn constant(&mut self, value: f64, dtype: DType) -> ExprId {
        self.add(Expr::Const(value), dtype)
    }

    fn store(&mut self, buffer: BufferId, shape: &Shape, at: &[Affine], offset: i64, value: ExprId) {
        let index = linear(at, shape).shifted(offset);
        self.outs.push(Out::Store { buffer, index, value });
    }

    fn derived(&mut self, l: Let, extent: Option<i64>) -> Affine {
        let at = self.lets.iter().position(|x| *x == l).unwrap_or_else(|| {
            self.lets.push(l);
            self.let_extents.push(extent);
            self.lets.len() - 1
        });
        Affine::var(Var::Let(at as u32), 1)
    }

    fn extent(&self, var: Var) -> Option<i64> {
        match var {
            Var::Grid(i) => Some(self.grid[i as usize] as i64),
            Var::Reduce(i) => Some(self.reduce[i as usize] as i64),
            Var::Let(i) => self.let_extents[i as usize],
        }
    }

    /// Smallest and largest value of a map, or `None` where a device-side variable is unbounded.
    fn range(&self, a: &Affine) -> Option<(i64, i64)> {
        a.terms.iter().try_fold((a.offset, a.offset), |(low, high), &(var, c)| {
            let span = c * (self.extent(var)? - 1);
            Some((low + span.min(0), high + span.max(0)))
        })
    }

    /// Quotient and remainder of a map by a positive constant.
    fn divide(&mut self, a: &Affine, by: i64) -> Lowered<(Affine, Affine)> {
        if by == 1 {
            return Ok((a.clone(), Affine::default()));
        }
        let mut quotient = Affine::constant(a.offset.div_euclid(by));
        let mut rest = Affine::constant(a.offset.rem_euclid(by));
        for &(var, c) in &a.terms {
            // Whole multiples of the divisor move to the quotient; what is negative is counted from its end.
            let extent = self.extent(var);
            if c % by == 0 {
                quotient = quotient.plus(&Affine::var(var, 1), c / by);
                continue;
            }
            if let Some(extent) = extent
                && c.abs() < by
                && c.abs() * (extent - 1) >= by
                && by % c.abs() == 0
                && extent % (by / c.abs()) == 0
                && !matches!(var, Var::Let(_))
            {
                return Err(Split { var, inner: by / c.abs() });
            }
            rest = rest.plus(&Affine::var(var, 1), c);
        }
        match self.range(&rest) {
            Some((low, high)) if low.div_euclid(by) == high.div_euclid(by) => {
                let whole = low.div_euclid(by);
                Ok((quotient.shifted(whole), rest.shifted(-whole * by)))
            }
            range => {
                let extent = range.filter(|r| r.0 >= 0).map(|r| r.1 / by + 1);
                let q = self.derived(Let::Div(rest.clone(), by), extent);
                let r = self.derived(Let::Rem(rest, by), Some(by));
                Ok((quotient.plus(&q, 1), r))
            }
        }
    }

    /// Coordinates in `to` of the element that has coordinates `at` in `from`.
    fn reshape(&mut self, at: &[Affine], from: &Shape, to: &Shape) -> Lowered<Vec<Affine>> {
        let mut rest = linear(at, from);
        let mut out = Vec::with_capacity(to.rank());
        for (i, stride) in to.strides().into_iter().enumerate() {
            if to[i] == 1 {
                out.push(Affine::default());
                continue;
            }
            let (q, r) = self.divide(&rest, stride as i64)?;
            out.push(q);
            rest = r;
        }
        Ok(out)
    }

    /// The value of a node at coordinates, loaded where it is stored. Loads are valid where `guards` hold.
    fn value(&mut self, id: NodeId, at: &[Affine], guards: &[Guard]) -> Lowered<ExprId> {
        let key = (id, at.to_vec(), guards.to_vec());
        if let Some(&known) = self.memo.get(&key) {
            return Ok(known);
        }
        let expr = match self.places.buffers[id.index()] {
            Some(buffer) => {
                let node = self.places.graph.node(id);
                let index = linear(at, &node.shape);
                let load = Load { buffer, index, guards: guards.to_vec(), fill: 0.0 };
                self.add(Expr::Load(load), node.dtype)
            }
            None => {
                self.visited.push(id);
                self.compute(id, at, guards)?
            }
        };
        self.memo.insert(key, expr);
        Ok(expr)
    }

    /// A node's value at coordinates from its inputs' values, whether it is stored or not.
    fn compute(&mut self, id: NodeId, at: &[Affine], guards: &[Guard]) -> Lowered<ExprId> {
        let places = self.places;
        let node = places.graph.node(id);
        let input = |i: usize| node.inputs[i];
        let dtype = node.dtype;
        Ok(match &node.op {
            Op::Constant(literal) => self.constant(literal.get(0), dtype),
            Op::Iota { axis, .. } => {
                let index = self.add(Expr::Index(at[*axis].clone()), DType::I32);
                self.cast(index, dtype)
            }
            Op::Random { stream, .. } => {
                let word = |k: i64| [Affine::constant(k)];
                let seed = [self.value(input(0), &word(0), &[])?, self.value(input(0), &word(1), &[])?];
                let step = self.value(input(1), &[], &[])?;
                let index = linear(at, &node.shape);
                self.add(Expr::Random { stream: *stream, seed, step, index }, dtype)
            }
            Op::Unary(op) => {
                let a = self.value(input(0), at, guards)?;
                self.add(Expr::Unary(*op, a), dtype)
            }
            Op::Binary(op) => {
                let (a, b) = (self.value(input(0), at, guards)?, self.value(input(1), at, guards)?);
                self.add(Expr::Binary(*op, a, b), dtype)
            }
            Op::Compare(op) => {
                // What comes after a choice sees it in the choice's result, so that nothing else need be kept.
                let side = |i: usize| match places.choices[id.index()] {
                    Some((compared, choice)) if input(i) == compared && choice < self.root => choice,
                    _ => input(i),
                };
                let (a, b) = (side(0), side(1));
                let (a, b) = (self.value(a, at, guards)?, self.value(b, at, guards)?);
                self.add(Expr::Compare(*op, a, b), dtype)
            }
            Op::Select => {
                let c = self.value(input(0), at, guards)?;
                let (a, b) = (self.value(input(1), at, guards)?, self.value(input(2), at, guards)?);
                self.add(Expr::Select(c, a, b), dtype)
            }
            Op::Cast(_) => {
                let a = self.value(input(0), at, guards)?;
                self.cast(a, dtype)
            }
            Op::After => self.value(input(0), at, guards)?,
            Op::Reshape(_) => {
                let to = places.graph.shape(input(0));
                let at = self.reshape(at, &node.shape, to)?;
                self.value(input(0), &at, guards)?
            }
            Op::Permute(perm) => {
                let mut from = vec![Affine::default(); perm.len()];
                perm.iter().zip(at).for_each(|(&p, a)| from[p] = a.clone());
                self.value(input(0), &from, guards)?
            }
            Op::Broadcast(_) => {
                let shape = places.graph.shape(input(0));
                let pick = |(a, &d): (&Affine, &usize)| if d == 1 { Affine::default() } else { a.clone() };
                let from: Vec<Affine> = at.iter().zip(shape.iter()).map(pick).collect();
                self.value(input(0), &from, guards)?
            }
            Op::Slice { start, step, .. } => {
                let from: Vec<Affine> =
                    (0..at.len()).map(|i| at[i].scaled(step[i] as i64).shifted(start[i] as i64)).collect();
                self.value(input(0), &from, guards)?
            }
            Op::Flip(axes) => {
                let mut from = at.to_vec();
                axes.iter().for_each(|&i| from[i] = at[i].scaled(-1).shifted(node.shape[i] as i64 - 1));
                self.value(input(0), &from, guards)?
            }
            Op::Pad { low, value, .. } => {
                let shape = places.graph.shape(input(0));
                let from: Vec<Affine> = (0..at.len()).map(|i| at[i].clone().shifted(-(low[i] as i64))).collect();
                let inside = (0..at.len()).map(|i| (from[i].clone(), shape[i])).collect();
                self.within(input(0), &from, guards, inside, f64::from_bits(*value))?
            }
            Op::DynamicSlice { axis, len } => {
                let start = self.value(input(1), &[], &[])?;
                let last = places.graph.shape(input(0))[*axis] - len;
                let zero = self.constant(0.0, DType::I32);
                let last_start = self.constant(last as f64, DType::I32);
                let start = self.add(Expr::Binary(Binary::Max, start, zero), DType::I32);
                let start = self.add(Expr::Binary(Binary::Min, start, last_start), DType::I32);
                let start = self.derived(Let::Value(start), Some(last as i64 + 1));
                let mut from = at.to_vec();
                from[*axis] = from[*axis].plus(&start, 1);
                self.value(input(0), &from, guards)?
            }
            Op::Gather { axis } => {
                let extent = places.graph.shape(input(0))[*axis];
                let rank = places.graph.shape(input(1)).rank();
                let place = self.value(input(1), &at[*axis..axis + rank], guards)?;
                let place = self.derived(Let::Value(place), None);
                let mut from = at[..*axis].to_vec();
                from.push(place.clone());
                from.extend_from_slice(&at[axis + rank..]);
                self.within(input(0), &from, guards, vec![(place, extent)], 0.0)?
            }
            Op::MaxPoolGrad { window, .. } | Op::AvgPoolGrad { window, .. } => {
                // Windows do not overlap here: each element belongs to at most one, see `reduced_extents`.
                let mut pooled = at.to_vec();
                let mut inside = Vec::new();
                let mut place = Affine::default();
                let g = node.inputs[node.inputs.len() - 1];
                for i in 0..window.size.len() {
                    let padded = at[i + 1].clone().shifted(window.padding[i].0 as i64);
                    let (q, r) = self.divide(&padded, window.stride[i] as i64)?;
                    inside.push((q.clone(), places.graph.shape(g)[i + 1]));
                    inside.push((r.clone(), window.size[i]));
                    pooled[i + 1] = q;
                    place = place.scaled(window.size[i] as i64).plus(&r, 1);
                }
                let g = self.within(g, &pooled, guards, inside.clone(), 0.0)?;
                if node.inputs.len() == 1 {
                    let scale = self.constant(1.0 / window.size.iter().product::<usize>() as f64, dtype);
                    self.add(Expr::Binary(Binary::Mul, g, scale), dtype)
                } else {
                    self.picked(input(0), &pooled, guards, inside, place, g, dtype)?
                }
            }
            Op::Input(_)
            | Op::State(_)
            | Op::Concat { .. }
            | Op::Reduce { .. }
            | Op::ArgReduce { .. }
            | Op::CumSum { .. }
            | Op::MaxPool(_)
            | Op::MaxPoolIndex(_)
            | Op::MaxPoolGather(_)
            | Op::AvgPool(_)
            | Op::Dot { .. }
            | Op::Conv(_)
            | Op::ConvInputGrad { .. }
            | Op::ConvFilterGrad { .. }
            | Op::ScatterAdd { .. } => panic!("onestep bug: {} must be stored", node.op.name()),
        })
    }

    /// What a reducing node folds at a point of its grid and reduced space; `None` for other nodes.
    fn reduction(&mut self, id: NodeId, at: &[Affine], over: &[Affine]) -> Lowered<Option<(Fold, ExprId)>> {
        let places = self.places;
        let node = places.graph.node(id);
        let x = node.inputs.first().copied();
        let x = || x.unwrap_or_else(|| panic!("onestep bug: a reduction has an input"));
        Ok(Some(match &node.op {
            Op::Reduce { op, axes } => (Fold::Value(*op), self.reduced_value(x(), at, over, axes)?),
            Op::ArgReduce { op, axes } => (Fold::Place(*op), self.reduced_value(x(), at, over, axes)?),
            Op::MaxPool(w) | Op::MaxPoolIndex(w) | Op::AvgPool(w) => {
                let (from, inside) = window_input(at, over, w, places.graph.shape(x()));
                let (fold, fill) = match &node.op {
                    Op::MaxPool(_) => (Fold::Value(ReduceOp::Max), ReduceOp::Max.identity(places.graph.dtype(x()))),
                    Op::MaxPoolIndex(_) => {
                        (Fold::Place(crate::ir::ArgOp::Max), ReduceOp::Max.identity(places.graph.dtype(x())))
                    }
                    _ => (Fold::Value(ReduceOp::Sum), 0.0),
                };
                (fold, self.within(x(), &from, &[], inside, fill)?)
            }
            Op::MaxPoolGather(w) => {
                let v = node.inputs[1];
                let (from, inside) = window_input(at, over, w, places.graph.shape(v));
                let v = self.within(v, &from, &[], inside, 0.0)?;
                let place = window_place(over, &w.size);
                (Fold::Value(ReduceOp::Sum), self.picked(x(), at, &[], Vec::new(), place, v, node.dtype)?)
            }
            Op::MaxPoolGrad { window: w, .. } | Op::AvgPoolGrad { window: w, .. } if !self.reduce_is_apart(id) => {
                let g = node.inputs[node.inputs.len() - 1];
                let mut pooled = at.to_vec();
                let mut inside = Vec::new();
                for i in 0..w.size.len() {
                    let from = at[i + 1].clone().shifted(w.padding[i].0 as i64).plus(&over[i], -1);
                    let (q, r) = self.divide(&from, w.stride[i] as i64)?;
                    inside.push((q.clone(), places.graph.shape(g)[i + 1]));
                    if w.stride[i] > 1 {
                        inside.push((r, 1));
                    }
                    pooled[i + 1] = q;
                }
                let value = self.within(g, &pooled, &[], inside.clone(), 0.0)?;
                let value = if node.inputs.len() == 1 {
                    value
                } else {
                    let place = window_place(over, &w.size);
                    self.picked(x(), &pooled, &[], inside, place, value, node.dtype)?
                };
                (Fold::Value(ReduceOp::Sum), value)
            }
            _ => return Ok(None),
        }))
    }

    fn reduce_is_apart(&self, id: NodeId) -> bool {
        self.places.reduced_extents(id).is_empty()
    }

    fn reduced_value(&mut self, x: NodeId, at: &[Affine], over: &[Affine], axes: &[usize]) -> Lowered<ExprId> {
        let (mut kept, mut reduced) = (at.iter(), over.iter());
        let rank = self.places.graph.shape(x).rank();
        let from: Vec<Affine> =
            (0..rank).filter_map(|i| if axes.contains(&i) { reduced.next() } else { kept.next() }).cloned().collect();
        self.value(x, &from, &[])
    }

    /// The place of a window's extreme: where only padding came first, as it does where every element is as low
    /// as padding is, the place of the window's first element.
    fn beside_padding(&mut self, place: ExprId, at: &[Affine], w: &crate::ir::Window, input: &Shape) -> ExprId {
        if input.elements() == 0 || w.padding.iter().all(|&(low, _)| low == 0) {
            return place;
        }
        let zero = self.constant(0.0, DType::I32);
        let mut first = zero;
        for (i, &(low, _)) in w.padding.iter().enumerate().filter(|(_, p)| p.0 > 0) {
            // How far inside the window the input begins; padding is narrower than the window.
            let later: usize = w.size[i + 1..].iter().product();
            let before = at[i + 1].scaled(-(w.stride[i] as i64)).shifted(low as i64).scaled(later as i64);
            let taps = self.add(Expr::Index(before), DType::I32);
            let taps = self.add(Expr::Binary(Binary::Max, taps, zero), DType::I32);
            first = if first == zero { taps } else { self.add(Expr::Binary(Binary::Add, first, taps), DType::I32) };
        }
        let wrong = self.add(Expr::Compare(Compare::Eq, place, zero), DType::Bool);
        self.add(Expr::Select(wrong, first, place), DType::I32)
    }

    /// `value` where the stored place of a pooled element equals `place`, else 0.
    #[allow(clippy::too_many_arguments, reason = "one use each in the two forms of the same gradient")]
    fn picked(
        &mut self,
        places: NodeId,
        pooled: &[Affine],
        guards: &[Guard],
        inside: Vec<(Affine, usize)>,
        place: Affine,
        value: ExprId,
        dtype: DType,
    ) -> Lowered<ExprId> {
        let chosen = self.within(places, pooled, guards, inside, -1.0)?;
        let here = self.add(Expr::Index(place), DType::I32);
        let same = self.add(Expr::Compare(Compare::Eq, chosen, here), DType::Bool);
        let zero = self.constant(0.0, dtype);
        Ok(self.add(Expr::Select(same, value, zero), dtype))
    }

    /// A node's value where every map lies in `0..extent`, `fill` elsewhere. Ranges that always hold
    /// vanish.
    fn within(
        &mut self,
        id: NodeId,
        at: &[Affine],
        guards: &[Guard],
        inside: Vec<(Affine, usize)>,
        fill: f64,
    ) -> Lowered<ExprId> {
        let added: Vec<Guard> = inside
            .into_iter()
            .filter(|(a, n)| !self.range(a).is_some_and(|(low, high)| low >= 0 && high < *n as i64))
            .map(|(expr, n)| Guard { expr, low: 0, high: n as i64 })
            .collect();
        if added.is_empty() {
            return self.value(id, at, guards);
        }
        let dtype = self.places.graph.dtype(id);
        if self.places.graph.shape(id).elements() == 0 {
            return Ok(self.constant(fill, dtype));
        }
        let mut all = guards.to_vec();
        all.extend(added.iter().filter(|g| !guards.contains(g)).cloned());
        let inner = self.value(id, at, &all)?;
        if let Expr::Load(load) = &self.body[inner.index()].expr
            && load.guards == all
            && (fill == 0.0 || guards.is_empty())
        {
            let load = Load { fill, ..load.clone() };
            return Ok(self.add(Expr::Load(load), dtype));
        }
        let inside = self.add(Expr::Within(added), DType::Bool);
        let fill = self.constant(fill, dtype);
        Ok(self.add(Expr::Select(inside, inner, fill), dtype))
    }

    fn cast(&mut self, x: ExprId, dtype: DType) -> ExprId {
        if self.body[x.index()].dtype == dtype { x } else { self.add(Expr::Cast(x), dtype) }
    }
}

/// The scope paths of nodes, sorted, without repeats. Stretched constants and coordinates are everybody's: the graph
/// has each once, under the layer that came first, which says nothing unless there is nothing else.
pub(super) fn scopes(graph: &Graph, nodes: &[NodeId]) -> Vec<String> {
    let shared = |mut id: NodeId| loop {
        let node = graph.node(id);
        match node.op {
            Op::Constant(_) | Op::Iota { .. } => return true,
            Op::Reshape(_) | Op::Permute(_) | Op::Broadcast(_) => id = node.inputs[0],
            _ => return false,
        }
    };
    let own: Vec<NodeId> = nodes.iter().copied().filter(|&n| !shared(n)).collect();
    let nodes = if own.is_empty() { nodes } else { &own };
    let mut scopes: Vec<String> = nodes.iter().map(|&n| graph.scope_of(n).to_string()).collect();
    scopes.sort_unstable();
    scopes.dedup();
    scopes
}

/// The row-major element number of coordinates.
fn linear(at: &[Affine], shape: &Shape) -> Affine {
    at.iter().zip(shape.strides()).fold(Affine::default(), |sum, (a, s)| sum.plus(a, s as i64))
}

/// Input coordinates of a window's element, with the ranges in which they lie inside.
fn window_input(
    at: &[Affine],
    over: &[Affine],
    w: &crate::ir::Window,
    shape: &Shape,
) -> (Vec<Affine>, Vec<(Affine, usize)>) {
    let mut from = at.to_vec();
    let mut inside = Vec::new();
    for i in 0..w.size.len() {
        let a = at[i + 1].scaled(w.stride[i] as i64).plus(&over[i], 1).shifted(-(w.padding[i].0 as i64));
        inside.push((a.clone(), shape[i + 1]));
        from[i + 1] = a;
    }
    (from, inside)
}

/// The row-major number of an element in its window.
fn window_place(over: &[Affine], size: &[usize]) -> Affine {
    over.iter().zip(size).fold(Affine::default(), |sum, (r, &n)| sum.scaled(n as i64).plus(r, 1))
}
