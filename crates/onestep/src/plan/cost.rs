//! What a kernel costs, counted from the plan: arithmetic and memory touched. Says nothing of time, and nothing of
//! what a device does besides (packing, padding, recomputing).

use super::{
    Affine, BufferId, ConvDirection, Expr, Guard, Kernel, KernelKind, Let, LibraryKernel, LoopKernel, Operand, Out,
    Phase, Plan, Var,
};

/// Bytes of buffers that a kernel touches. An element counts once, however often it is loaded, and counts in both
/// numbers where it is updated in place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes read.
    pub read: u64,
    /// Bytes written.
    pub written: u64,
}

/// Some elements of a buffer, from the first to behind the last.
pub type Span = (BufferId, std::ops::Range<usize>);

impl Kernel {
    /// The arithmetic operations as the plan writes them. In a loop kernel each function of one or two numbers
    /// (+, max, exp, …), each comparison, selection, random number and each value that is folded counts 1 at each
    /// point, whatever its dtype; loads, casts, index arithmetic and range checks count nothing. A matrix product
    /// counts 2·b·m·n·k. A convolution counts, in each direction, 2 for each pair of an output element and a weight
    /// that makes it, those on padding included. What an epilogue does to a result counts 1 each. A running sum and a
    /// scattered add count 1 for each addition, the latter also as a loop kernel whose workgroups look for what counts.
    pub fn flops(&self) -> u64 {
        match &self.kind {
            KernelKind::Loop(kernel) => kernel.flops(),
            KernelKind::Library(kernel) => kernel.flops(),
        }
    }

    /// The bytes of the plan's buffers that it touches. Exact where the index maps of a buffer are affine and cover
    /// what they span; overlapping, strided or computed indices are bounded by what they span, by how many
    /// combinations of loop variables there are, and by the buffer.
    pub fn traffic(&self, plan: &Plan) -> Traffic {
        let (reads, writes) = self.accesses(plan);
        Traffic { read: bytes(plan, reads), written: bytes(plan, writes) }
    }

    /// The elements that it may read, and those that it may write: for each load and store its buffer, and the elements
    /// from the first to behind the last. Exact where index maps are affine; where the device alone knows an index, the
    /// whole buffer.
    pub fn spans(&self, plan: &Plan) -> (Vec<Span>, Vec<Span>) {
        let (reads, writes) = self.accesses(plan);
        let spans = |accesses: Vec<Access>| {
            let touched = accesses.into_iter().filter(|access| access.count > 0);
            touched.map(|access| (access.buffer, access.inside(plan))).collect()
        };
        (spans(reads), spans(writes))
    }

    fn accesses(&self, plan: &Plan) -> (Vec<Access>, Vec<Access>) {
        match &self.kind {
            KernelKind::Loop(kernel) => kernel.accesses(plan),
            KernelKind::Library(kernel) => (
                kernel.reads().iter().enumerate().map(|(i, o)| kernel.access(Some(i), o)).collect(),
                vec![kernel.access(None, kernel.out())],
            ),
        }
    }
}

impl Phase {
    fn flops(&self, grid: &[usize]) -> u64 {
        let counts = |expr: &Expr| match expr {
            Expr::Unary(..) | Expr::Binary(..) | Expr::Compare(..) | Expr::Select(..) | Expr::Random { .. } => true,
            Expr::Load(_) | Expr::Carry(_) | Expr::Const(_) | Expr::Index(_) | Expr::Within(_) | Expr::Cast(_) => false,
        };
        let computed = self.body.iter().filter(|typed| counts(&typed.expr)).count();
        let folded = self.outs.iter().filter(|out| matches!(out, Out::Reduce { .. })).count();
        product(grid.iter().chain(&self.reduce)) * (computed + folded) as u64
    }
}

impl LibraryKernel {
    /// Multiply-adds of a contraction, those on padding included; 0 for what only adds.
    pub fn multiply_adds(&self) -> u64 {
        match self {
            LibraryKernel::Dot { extents, .. } => product(extents),
            LibraryKernel::Conv { filter, output, .. } => product(output) * product(filter.iter().skip(1)),
            LibraryKernel::CumSum { .. } | LibraryKernel::ScatterAdd { .. } => 0,
        }
    }

    /// For each operand read, in order, and then for the one written: the elements of its buffer from the first that
    /// is touched to behind the last.
    pub fn spans(&self) -> Vec<std::ops::Range<usize>> {
        let reads = self.reads().into_iter().enumerate().map(|(i, operand)| self.access(Some(i), operand));
        let touched = reads.chain([self.access(None, self.out())]);
        touched.map(|a| if a.count == 0 { 0..0 } else { a.low as usize..a.high as usize }).collect()
    }

    fn flops(&self) -> u64 {
        match self {
            LibraryKernel::Dot { .. } | LibraryKernel::Conv { .. } => 2 * self.multiply_adds() + self.epilogue_flops(),
            LibraryKernel::CumSum { extents, .. } => product(extents),
            LibraryKernel::ScatterAdd { extents: [outer, _, indices, inner], .. } => product([outer, indices, inner]),
        }
    }

    /// Elements of the bias or of the mask that an epilogue reads.
    fn epilogue_elements(&self) -> usize {
        match self {
            LibraryKernel::Dot { extents: [_, _, n, _], .. } => *n,
            LibraryKernel::Conv { direction: ConvDirection::InputGrad, input, .. } => input.iter().product(),
            LibraryKernel::Conv { filter, .. } => filter[0],
            LibraryKernel::CumSum { .. } | LibraryKernel::ScatterAdd { .. } => 0,
        }
    }

    fn epilogue_flops(&self) -> u64 {
        let ops = self.epilogue().map_or(0, |e| e.reads().count() + e.relu as usize);
        (ops * self.written()) as u64
    }

    /// What it touches of an operand: number `read` of those read, or the one written.
    fn access(&self, read: Option<usize>, operand: &Operand) -> Access {
        let extents = match (self, read) {
            (LibraryKernel::Dot { .. } | LibraryKernel::Conv { .. }, Some(2)) => {
                return Access::dense(operand, self.epilogue_elements());
            }
            (LibraryKernel::Dot { extents: [b, m, _, k], .. }, Some(0)) => vec![*b, *m, *k],
            (LibraryKernel::Dot { extents: [b, _, n, k], .. }, Some(_)) => vec![*b, *k, *n],
            (LibraryKernel::Dot { extents: [b, m, n, _], .. }, None) => vec![*b, *m, *n],
            (LibraryKernel::Conv { direction, input, filter, output, .. }, read) => {
                use ConvDirection::{FilterGrad, Forward, InputGrad};
                let shape = match (direction, read) {
                    (Forward | FilterGrad, Some(0)) | (InputGrad, None) => input,
                    (Forward, Some(_)) | (FilterGrad, None) => filter,
                    (InputGrad, Some(0)) | (FilterGrad, Some(_)) | (Forward, None) => output,
                    (InputGrad, Some(_)) => filter,
                };
                return Access::dense(operand, shape.iter().product());
            }
            (LibraryKernel::ScatterAdd { extents: [_, _, indices, _], .. }, Some(1)) => {
                return Access::dense(operand, *indices);
            }
            (LibraryKernel::ScatterAdd { extents: [outer, _, indices, inner], .. }, Some(2)) => {
                return Access::dense(operand, outer * indices * inner);
            }
            (LibraryKernel::CumSum { .. } | LibraryKernel::ScatterAdd { .. }, _) => {
                return Access::dense(operand, self.written());
            }
        };
        Access::strided(operand, &extents)
    }
}

/// Elements of a buffer that one load or store touches: those from `low` to before `high`, at most `count` of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Access {
    buffer: BufferId,
    low: i64,
    high: i64,
    count: u64,
    /// The distances of the loops with how often they turn: equal ones from equal places touch the same elements.
    pattern: Vec<(i64, i64)>,
}

impl Access {
    fn new(buffer: BufferId, range: Range, pattern: Vec<(i64, i64)>, most: u64) -> Self {
        let combinations = pattern.iter().fold(1u64, |n, &(_, extent)| n.saturating_mul(extent.max(0) as u64));
        Access { buffer, low: range.low, high: range.high + 1, count: combinations.min(most), pattern }
    }

    /// The elements that lie in the buffer.
    fn inside(&self, plan: &Plan) -> std::ops::Range<usize> {
        let bound = |at: i64| at.clamp(0, plan.buffer(self.buffer).len as i64) as usize;
        bound(self.low)..bound(self.high)
    }

    fn dense(operand: &Operand, len: usize) -> Self {
        Access::strided(&Operand { strides: vec![1], ..operand.clone() }, &[len])
    }

    fn strided(operand: &Operand, extents: &[usize]) -> Self {
        let axes = || operand.strides.iter().zip(extents).map(|(&stride, &extent)| (stride, extent as i64));
        let mut pattern: Vec<_> = axes().filter(|&(stride, extent)| stride != 0 && extent != 1).collect();
        pattern.sort_unstable();
        let range = axes().fold(Range::of(operand.offset), |range, (stride, extent)| {
            range.plus(Range { low: 0, high: extent - 1 }, stride)
        });
        Access::new(operand.buffer, range, pattern, product(extents))
    }
}

/// The distinct bytes of some accesses.
fn bytes(plan: &Plan, mut accesses: Vec<Access>) -> u64 {
    accesses.retain(|access| access.count > 0);
    accesses.sort();
    accesses.dedup();
    let mut total = 0;
    let mut rest = accesses.as_slice();
    while let [first, ..] = rest {
        // A run of accesses of one buffer whose ranges overlap: together they touch no more than they span.
        let (mut high, mut count, mut n) = (first.high, 0u64, 0);
        for access in rest.iter().take_while(|a| a.buffer == first.buffer) {
            if access.low >= high {
                break;
            }
            high = high.max(access.high);
            count = count.saturating_add(access.count);
            n += 1;
        }
        let inside = Access { high, ..first.clone() }.inside(plan);
        total += count.min(inside.len() as u64) * plan.buffer(first.buffer).dtype.size() as u64;
        rest = &rest[n.max(1)..];
    }
    total
}

impl LoopKernel {
    fn flops(&self) -> u64 {
        let each = |phases: &[Phase]| phases.iter().map(|phase| phase.flops(&self.grid)).sum::<u64>();
        match self.scatter().filter(|_| self.schedule.workers.are_tiles()) {
            Some(scatter) => scatter.additions() + each(&self.phases[1..]),
            None => each(&self.phases),
        }
    }

    /// What it loads, and what it stores.
    fn accesses(&self, plan: &Plan) -> (Vec<Access>, Vec<Access>) {
        let (mut reads, mut writes) = (Vec::new(), Vec::new());
        for phase in &self.phases {
            let points = product(self.grid.iter().chain(&phase.reduce));
            let loops = Loops { kernel: self, phase };
            let access = |buffer: BufferId, index: &Affine, guards: &[Guard]| {
                let whole = Range { low: 0, high: plan.buffer(buffer).len as i64 - 1 };
                let range = loops.range(index, guards).unwrap_or(whole);
                Access::new(buffer, range, loops.pattern(index, guards), points)
            };
            for typed in &phase.body {
                if let Expr::Load(load) = &typed.expr {
                    reads.push(access(load.buffer, &load.index, &load.guards));
                }
            }
            for out in &phase.outs {
                if let Out::Store { buffer, index, .. } = out {
                    writes.push(access(*buffer, index, &[]));
                }
            }
        }
        (reads, writes)
    }
}

/// The values from `low` to `high`, both included.
#[derive(Clone, Copy, Debug)]
struct Range {
    low: i64,
    high: i64,
}

impl Range {
    fn of(value: i64) -> Self {
        Range { low: value, high: value }
    }

    fn extent(self) -> i64 {
        (self.high - self.low + 1).max(0)
    }

    /// The sums with `scale` times values of another range.
    fn plus(self, other: Range, scale: i64) -> Self {
        let (a, b) = (other.low * scale, other.high * scale);
        Range { low: self.low + a.min(b), high: self.high + a.max(b) }
    }
}

/// The loop variables of a phase.
struct Loops<'a> {
    kernel: &'a LoopKernel,
    phase: &'a Phase,
}

impl Loops<'_> {
    /// The values of an index map where its guards hold; `None` if the device alone knows them.
    fn range(&self, index: &Affine, guards: &[Guard]) -> Option<Range> {
        index.terms.iter().try_fold(Range::of(index.offset), |sum, &(var, coefficient)| {
            Some(sum.plus(self.variable(var, guards)?, coefficient))
        })
    }

    /// Each variable's coefficient and number of values, sorted; a value that the device alone knows may be any.
    fn pattern(&self, index: &Affine, guards: &[Guard]) -> Vec<(i64, i64)> {
        let extent = |var| self.variable(var, guards).map_or(i64::MAX, Range::extent);
        let mut pattern: Vec<_> = index.terms.iter().map(|&(var, c)| (c, extent(var))).filter(|p| p.1 != 1).collect();
        pattern.sort_unstable();
        pattern
    }

    /// A variable's values where the guards on it alone hold.
    fn variable(&self, var: Var, guards: &[Guard]) -> Option<Range> {
        let turns = |extents: &[usize], i: u32| extents.get(i as usize).map(|&n| Range { low: 0, high: n as i64 - 1 });
        let mut range = match var {
            Var::Grid(i) => turns(&self.kernel.grid, i),
            Var::Reduce(i) => turns(&self.phase.reduce, i),
            Var::Let(i) => match self.phase.lets.get(i as usize)? {
                Let::Div(a, n) => {
                    self.range(a, &[]).map(|r| Range { low: r.low.div_euclid(*n), high: r.high.div_euclid(*n) })
                }
                Let::Rem(a, n) => self.range(a, &[]).map(|r| match r.low.div_euclid(*n) == r.high.div_euclid(*n) {
                    true => Range { low: r.low.rem_euclid(*n), high: r.high.rem_euclid(*n) },
                    false => Range { low: 0, high: n - 1 },
                }),
                Let::Value(_) => None,
            },
        }?;
        for guard in guards {
            if guard.expr.terms == [(var, 1)] {
                range.low = range.low.max(guard.low - guard.expr.offset);
                range.high = range.high.min(guard.high - 1 - guard.expr.offset);
            }
        }
        Some(range)
    }
}

fn product<'a>(extents: impl IntoIterator<Item = &'a usize>) -> u64 {
    extents.into_iter().map(|&n| n as u64).product()
}

#[cfg(test)]
mod tests {
    use super::super::{ConvDirection, Epilogue, ExprId, Fold, Load, Place, Typed};
    use super::*;
    use crate::ir::{Binary, Compare, ConvSpec, DType, ReduceOp, Unary};

    /// A plan of buffers of so many elements.
    fn plan(buffers: &[(DType, usize)]) -> Plan {
        let mut plan = Plan::default();
        for &(dtype, len) in buffers {
            plan.add_buffer(Place::Arena(None), dtype, len, "");
        }
        plan
    }

    fn check(plan: &Plan, kind: KernelKind, flops: u64, read: u64, written: u64) {
        let kernel = Kernel::new(Vec::new(), kind);
        assert_eq!((kernel.flops(), kernel.traffic(plan)), (flops, Traffic { read, written }), "{kernel}");
    }

    fn var(terms: &[(Var, i64)]) -> Affine {
        terms.iter().fold(Affine::default(), |sum, &(var, c)| sum.plus(&Affine::var(var, c), 1))
    }

    fn guarded(buffer: u32, index: Affine, guards: Vec<Guard>) -> Typed {
        let load = Load { buffer: BufferId(buffer), index, guards, fill: 0.0 };
        Typed { expr: Expr::Load(load), dtype: DType::F32 }
    }

    fn load(buffer: u32, index: Affine) -> Typed {
        guarded(buffer, index, Vec::new())
    }

    fn f32(expr: Expr) -> Typed {
        Typed { expr, dtype: DType::F32 }
    }

    fn store(buffer: u32, index: Affine, value: u32) -> Out {
        Out::Store { buffer: BufferId(buffer), index, value: ExprId(value) }
    }

    /// A kernel of one phase that does nothing but load, and store its last expression at each grid point.
    fn loads(grid: &[usize], reduce: &[usize], body: Vec<Typed>) -> KernelKind {
        let outs = vec![store(1, Affine::constant(0), body.len() as u32 - 1)];
        let phases = vec![Phase { reduce: reduce.to_vec(), body, outs, ..Phase::default() }];
        KernelKind::Loop(LoopKernel { grid: grid.to_vec(), phases, ..LoopKernel::default() })
    }

    const R: Var = Var::Reduce(0);
    const G: Var = Var::Grid(0);
    const H: Var = Var::Grid(1);

    #[test]
    fn a_row_kernel_counts_each_operation_at_each_point_and_each_element_once() {
        // [5, 7]: the sum of exp(x + bias) over each row; then each element divided by it selected by a comparison.
        let plan = plan(&[(DType::F32, 35), (DType::F32, 7), (DType::F32, 35)]);
        let x = || load(0, var(&[(G, 7), (R, 1)]));
        let sum = Phase {
            reduce: vec![7],
            body: vec![
                x(),
                load(1, var(&[(R, 1)])),
                f32(Expr::Binary(Binary::Add, ExprId(0), ExprId(1))),
                f32(Expr::Unary(Unary::Exp, ExprId(2))),
            ],
            outs: vec![Out::Reduce { fold: Fold::Value(ReduceOp::Sum), value: ExprId(3), carry: 0, dtype: DType::F32 }],
            ..Phase::default()
        };
        let divide = Phase {
            reduce: vec![7],
            body: vec![
                x(),
                f32(Expr::Carry(0)),
                f32(Expr::Binary(Binary::Div, ExprId(0), ExprId(1))),
                f32(Expr::Const(1.0)),
                f32(Expr::Compare(Compare::Lt, ExprId(2), ExprId(3))),
                f32(Expr::Select(ExprId(4), ExprId(2), ExprId(3))),
                f32(Expr::Cast(ExprId(5))),
            ],
            outs: vec![store(2, var(&[(G, 7), (R, 1)]), 6)],
            ..Phase::default()
        };
        let kernel = LoopKernel { grid: vec![5], phases: vec![sum, divide], ..LoopKernel::default() };
        check(&plan, KernelKind::Loop(kernel), 35 * 3 + 35 * 3, (35 + 7) * 4, 35 * 4);
    }

    #[test]
    fn elements_count_once_however_they_are_reached() {
        let plan = plan(&[(DType::F32, 100), (DType::U8, 1)]);
        let read = |grid: &[usize], body: Vec<Typed>, elements: u64| {
            check(&plan, loads(grid, &[], body), 0, elements * 4, 1);
        };
        // Every second one; both halves of pairs; a slice twice; two slices; slices that overlap.
        read(&[20], vec![load(0, var(&[(G, 2)]))], 20);
        read(&[20], vec![load(0, var(&[(G, 2)])), load(0, var(&[(G, 2)]).shifted(1))], 40);
        read(&[20], vec![load(0, var(&[(G, 1)])), load(0, var(&[(G, 1)]))], 20);
        read(&[20], vec![load(0, var(&[(G, 1)])), load(0, var(&[(G, 1)]).shifted(50))], 40);
        read(&[20], vec![load(0, var(&[(G, 1)])), load(0, var(&[(G, 1)]).shifted(10))], 30);
        // Backwards; one element; windows that overlap; a transposed matrix.
        read(&[20], vec![load(0, var(&[(G, -1)]).shifted(19))], 20);
        read(&[20], vec![load(0, Affine::constant(3))], 1);
        read(&[10, 3], vec![load(0, var(&[(G, 1), (H, 1)]))], 12);
        read(&[4, 5], vec![load(0, var(&[(G, 1), (H, 4)]))], 20);
        // Padding on both sides of 100 elements, by a guard on the variable; no point at all.
        let guard = Guard { expr: var(&[(G, 1)]).shifted(-5), low: 0, high: 100 };
        read(&[110], vec![guarded(0, var(&[(G, 1)]).shifted(-5), vec![guard])], 100);
        check(&plan, loads(&[0], &[], vec![load(0, var(&[(G, 1)]))]), 0, 0, 0);
    }

    #[test]
    fn computed_indices_are_bounded_by_points_and_buffer() {
        let kernel = |rows: usize, lets: Vec<Let>| {
            let body = vec![load(1, var(&[(G, 1)])), load(0, var(&[(Var::Let(0), 4), (H, 1)]))];
            let outs = vec![store(2, var(&[(G, 4), (H, 1)]), 1)];
            let phases = vec![Phase { lets, body, outs, ..Phase::default() }];
            KernelKind::Loop(LoopKernel { grid: vec![rows, 4], phases, ..LoopKernel::default() })
        };
        // Rows of a table [10, 4] by indices: 3 of them at most, then all.
        for (rows, touched) in [(3, 12), (30, 40)] {
            let plan = plan(&[(DType::F32, 40), (DType::I32, rows), (DType::F32, rows * 4)]);
            let (rows, gathered) = (rows as u64, kernel(rows, vec![Let::Value(ExprId(0))]));
            check(&plan, gathered, 0, touched * 4 + rows * 4, rows * 16);
        }
        // Each row for three points; rows in turn.
        let plan = plan(&[(DType::F32, 40), (DType::I32, 6), (DType::F32, 24)]);
        check(&plan, kernel(6, vec![Let::Div(var(&[(G, 1)]), 3)]), 0, (2 * 4 + 6) * 4, 96);
        check(&plan, kernel(6, vec![Let::Rem(var(&[(G, 1)]), 5)]), 0, (5 * 4 + 6) * 4, 96);
    }

    #[test]
    fn library_calls_count_what_they_compute() {
        let dtype = DType::F32;
        let operand =
            |buffer, strides: &[i64]| Operand { buffer: BufferId(buffer), dtype, offset: 0, strides: strides.to_vec() };
        // [4, 3] · [3, 5] with a batch of 2 that shares the right side.
        let dot = LibraryKernel::Dot {
            extents: [2, 4, 5, 3],
            lhs: operand(0, &[12, 3, 1]),
            rhs: operand(1, &[0, 1, 3]),
            out: operand(2, &[20, 5, 1]),
            epilogue: Epilogue::default(),
            tf32: false,
        };
        let buffers = plan(&[(DType::F32, 24), (DType::F32, 15), (DType::F32, 40)]);
        check(&buffers, KernelKind::Library(Box::new(dot)), 2 * 2 * 4 * 5 * 3, (24 + 15) * 4, 40 * 4);

        // Images 2 of 8×8×3, filters 6 of 3×3×3, pad 1: the same work in each direction, other tensors.
        let (image, filter, output) = (2 * 64 * 3, 6 * 27, 2 * 64 * 6);
        let conv = |direction| LibraryKernel::Conv {
            direction,
            spec: ConvSpec { stride: vec![1; 2], padding: vec![(1, 1); 2], dilation: vec![1; 2], groups: 1 },
            input: vec![2, 8, 8, 3],
            filter: vec![6, 3, 3, 3],
            output: vec![2, 8, 8, 6],
            operands: [operand(0, &[]), operand(1, &[])],
            out: operand(2, &[]),
            epilogue: Epilogue::default(),
            tf32: false,
        };
        for (direction, [a, b, out]) in [
            (ConvDirection::Forward, [image, filter, output]),
            (ConvDirection::InputGrad, [output, filter, image]),
            (ConvDirection::FilterGrad, [image, output, filter]),
        ] {
            let plan = plan(&[a, b, out].map(|n| (DType::F32, n)));
            let kernel = KernelKind::Library(Box::new(conv(direction)));
            check(&plan, kernel, 2 * 768 * 27, 4 * (a + b) as u64, 4 * out as u64);
        }

        let scatter = LibraryKernel::ScatterAdd {
            extents: [2, 10, 3, 4],
            base: operand(0, &[]),
            index: operand(1, &[]),
            updates: operand(2, &[]),
            out: operand(0, &[]),
        };
        let buffers = plan(&[(DType::F32, 80), (DType::I32, 3), (DType::F32, 24)]);
        check(&buffers, KernelKind::Library(Box::new(scatter)), 24, (80 + 3 + 24) * 4, 80 * 4);
    }
}
