//! Products and convolutions for CUDA as tiles: a block of threads computes a tile of results, with what it
//! reads of both operands staged in shared memory. A convolution is the product it implies; nothing is copied
//! to make it one. Long sums are shared by groups of a block's threads, and longer ones by several blocks whose
//! partial sums a second kernel adds, always in a fixed order.

mod cut;
mod direct;
mod matrix;
mod runs;
mod staging;

use std::fmt::Write as _;

use super::bindings::{self, Access, Binding, Bindings, Bound};
use super::dialect::Dialect;
use super::{Source, cuda, helpers, printer};
use crate::error::Result;
use crate::ir::DType;
use crate::plan::{Affine, Axis, Contraction, LoopKernel, Phase, Plan, Schedule, Var, Workers, is_vector};
use cut::{Cut, Math, OWN, THREADS};
use staging::Side;

/// What a tile kernel may use of a device.
#[derive(Clone, Copy, Debug)]
pub struct Tiling {
    /// Blocks that run side by side.
    pub multiprocessors: usize,
}

/// Prints a loop nest that is a contraction: one kernel, or two where the first leaves partial sums in scratch
/// memory.
pub(super) fn print(
    plan: &Plan,
    entry: &str,
    nest: &LoopKernel,
    product: Contraction,
    tiling: Tiling,
) -> Result<Vec<Source>> {
    let (product, cut) = cut(plan, nest, product, tiling);
    let product = &product;
    // Where operands are not staged there are as many threads as a block has results.
    let vector = if cut.direct { 1 } else { taken(plan, nest, product) };
    let nest = &LoopKernel { schedule: Schedule { vector, ..nest.schedule }, ..nest.clone() };
    let rules = cuda::Cuda.rules();
    let part = |phases: &[Phase]| LoopKernel { phases: phases.to_vec(), ..nest.clone() };
    let collect = |nest: &LoopKernel| bindings::collect(plan, [nest].into_iter(), rules);
    let printed = |bindings| Printed { plan, nest, product, cut, bindings }.with_few_loads();
    if cut.parts == 1 {
        return Ok(vec![printed(collect(nest)?).tiles(entry)]);
    }
    let tiles = printed(collect(&part(&nest.phases[..1]))?).tiles(entry);
    let sums = printed(collect(&part(&nest.phases[1..]))?).sums(&format!("{entry}_sum"));
    Ok(vec![tiles, sums])
}

/// Bytes of scratch memory that the kernels of a contraction share.
pub(super) fn scratch_bytes(plan: &Plan, nest: &LoopKernel, product: Contraction, tiling: Tiling) -> usize {
    let (product, cut) = cut(plan, nest, product, tiling);
    if cut.parts == 1 { 0 } else { cut.parts * results(&product) * 4 }
}

/// How a contraction is cut, with columns along which results lie together.
fn cut<'a>(plan: &Plan, nest: &LoopKernel, product: Contraction<'a>, tiling: Tiling) -> (Contraction<'a>, Cut) {
    let product = if rows_are_near(nest, &product) { product.turned() } else { product };
    let math = math(plan, nest, &product);
    let cut = direct::cut(nest, &product, math, tiling);
    let cut = cut.unwrap_or_else(|| Cut::choose(&product, math, tiling));
    (product, cut)
}

/// Whether results of neighbouring rows, not columns, lie side by side.
fn rows_are_near(nest: &LoopKernel, product: &Contraction) -> bool {
    let near = |var: Var| nest.stores().all(|(_, index)| index.coefficient(var) == 1);
    product.m.vars.last().is_some_and(|v| near(v.0))
}

/// How many neighbouring results a thread stores at once.
fn taken(plan: &Plan, nest: &LoopKernel, product: &Contraction) -> usize {
    let Some(&(var, extent)) = product.n.vars.last() else { return 1 };
    let innermost = nest.grid.len().checked_sub(1).map(|i| Var::Grid(i as u32));
    let together = |width: &usize| {
        let stored = |(buffer, index)| {
            plan.buffer(buffer).dtype.size() * width <= STORED_BYTES && is_vector(index, &[], var, *width)
        };
        extent.is_multiple_of(*width) && nest.stores().all(stored)
    };
    let widest = if Some(var) == innermost { [8, 4].into_iter().find(together) } else { None };
    widest.unwrap_or(1)
}

/// What multiplies.
fn math(plan: &Plan, nest: &LoopKernel, product: &Contraction) -> Math {
    match (nest.schedule.workers, plan.buffer(product.left.buffer).dtype) {
        (Workers::MatrixTiles, DType::F32) => Math::Tf32,
        (Workers::MatrixTiles, dtype) => Math::Half(dtype),
        _ => Math::Scalar,
    }
}

fn results(product: &Contraction) -> usize {
    product.batch.extent() * product.m.extent() * product.n.extent()
}

/// Threads that adding partial sums should keep busy.
const BUSY: usize = 1 << 15;
/// Most elements that a thread loads one by one before it stages them.
const MOST_LOADS_ALONE: usize = 8;
/// Bytes of results that a thread stores at once where they lie together.
const STORED_BYTES: usize = 16;

/// Lines that give an axis's variables their values at place `at`, those that `used` says are used; of the variable
/// that is taken several at a time, the first.
fn decode(axis: &Axis, at: &str, used: impl Fn(Var) -> bool, taken: Option<Var>) -> Vec<String> {
    let mut below = axis.extent();
    let mut lines = Vec::new();
    for (i, &(var, extent)) in axis.vars.iter().enumerate() {
        below /= extent.max(1);
        if used(var) || taken == Some(var) {
            let divided = if below > 1 { format!("{at} / {below}") } else { at.to_string() };
            let value = if i > 0 { format!("{divided} % {extent}") } else { divided };
            let first = if taken == Some(var) { "_first" } else { "" };
            lines.push(format!("const int {var}{first} = {value};"));
        }
    }
    lines
}

/// The part of a map that an axis's variables give at place `at`, as terms of a sum. Variables whose coefficients go
/// together as in a dense tensor are taken as one.
fn along(axis: &Axis, map: &Affine, at: &str) -> Vec<String> {
    let mut terms = Vec::new();
    let (mut below, mut first) = (axis.extent(), 0);
    while first < axis.vars.len() {
        let mut last = first;
        let coefficient = |i: usize| map.coefficient(axis.vars[i].0);
        while last + 1 < axis.vars.len() && coefficient(last) == coefficient(last + 1) * axis.vars[last + 1].1 as i64 {
            last += 1;
        }
        let extent: usize = axis.vars[first..=last].iter().map(|v| v.1).product();
        below /= extent.max(1);
        if coefficient(last) != 0 {
            let mut value = at.to_string();
            if below > 1 {
                value = format!("{value} / {below}");
            }
            if first > 0 {
                value = format!("{value} % {extent}");
            }
            terms.push(match coefficient(last) {
                1 => value,
                c if value == at => format!("{c} * {value}"),
                c => format!("{c} * ({value})"),
            });
        }
        first = last + 1;
    }
    terms
}

/// A contraction on its way into text.
struct Printed<'a> {
    plan: &'a Plan,
    nest: &'a LoopKernel,
    product: &'a Contraction<'a>,
    cut: Cut,
    bindings: Bindings,
}

impl Printed<'_> {
    /// The same with fewer steps staged at once where a thread would load more elements one by one than its registers
    /// hold.
    fn with_few_loads(mut self) -> Self {
        while self.sides().iter().any(|side| side.loads_alone() > MOST_LOADS_ALONE) && self.cut.k > self.cut.together()
        {
            self.cut.k = (self.cut.k / 2).next_multiple_of(self.cut.together());
        }
        self
    }

    /// Both operands on their way into shared memory, one behind the other.
    fn sides(&self) -> [Side<'_>; 2] {
        let Contraction { m, n, left, right, .. } = self.product;
        let Cut { m: tm, n: tn, k: steps, .. } = self.cut;
        let left = Side { printed: self, load: left, axis: m, origin: "m0", name: "a", wide: tm, steps, at: 0 };
        let at = left.elements();
        let right = Side { printed: self, load: right, axis: n, origin: "n0", name: "b", wide: tn, steps, at };
        [left, right]
    }

    /// The kernel's first line, with scratch memory if it is used.
    fn signature(&self, entry: &str, scratch: Option<Access>) -> (String, Vec<Binding>) {
        let mut bound: Vec<Binding> = self.bindings.list.iter().map(|b| b.0).collect();
        let extra = scratch.map(|access| {
            bound.push(Binding { bound: Bound::Workspace, access });
            let constant = if access == Access::Read { "const " } else { "" };
            format!("    {constant}float* workspace")
        });
        // Two blocks side by side hide each other's waits.
        (cuda::signature(entry, &format!("{}, 2", self.cut.threads()), &self.bindings.list, extra), bound)
    }

    /// The tile kernel.
    fn tiles(&self, entry: &str) -> Source {
        let Cut { math, m: tm, n: tn, groups, parts, .. } = self.cut;
        let Contraction { batch, .. } = self.product;
        let [mt, nt] = self.cut.tiles(self.product);
        let [left, right] = self.sides();
        let sides = [&left, &right];
        let staged = if self.cut.direct { 0 } else { (right.at + right.elements()) * math.bytes() };
        let shared = staged.max(groups * tm * self.cut.row() * 4);
        let (head, bound) = self.signature(entry, (parts > 1).then_some(Access::ReadWrite));
        let mut t = Text { text: head, depth: 1 };
        t.line(format!("__shared__ float4 staged[{}];", shared.div_ceil(16)));
        t.line("float* const sums = reinterpret_cast<float*>(staged);".into());
        t.line("const int thread = threadIdx.x;".into());
        t.line(format!("const int part = blockIdx.x % {parts};"));
        t.line(format!("const int tile = blockIdx.x / {parts};"));
        t.line(format!("const int m0 = tile % {mt} * {tm};"));
        t.line(format!("const int n0 = tile / {mt} % {nt} * {tn};"));
        t.lines(decode(batch, &format!("(tile / {})", mt * nt), |var| self.uses(var, 0) || self.uses(var, 1), None));
        match self.cut.direct {
            true => self.multiply_directly(&mut t),
            false => self.multiply_staged(&mut t, sides),
        }
        match math {
            Math::Scalar => self.put_together(&mut t),
            Math::Tf32 | Math::Half(_) => matrix::put_together(&mut t, &self.cut, sides),
        }
        self.gather(&mut t);
        t.depth = 0;
        t.line("}".into());
        self.source(entry, t.text, parts * mt * nt * batch.extent(), bound)
    }

    /// The products of all steps, of operands that are staged in shared memory so many steps at a time.
    fn multiply_staged(&self, t: &mut Text, sides: [&Side; 2]) {
        let Cut { math, k: tk, .. } = self.cut;
        let k = &self.product.k;
        t.line(format!("{0}* const shared = reinterpret_cast<{0}*>(staged);", math.cell()));
        sides.iter().for_each(|side| side.declare(t));
        let chunk = self.cut.chunk(k.extent());
        t.line(format!("const int k_first = part * {chunk};"));
        t.line(format!("const int k_end = min(k_first + {chunk}, {});", k.extent()));
        sides.iter().for_each(|side| side.prepare(t));
        match math {
            Math::Scalar => self.prepare(t),
            Math::Tf32 | Math::Half(_) => matrix::prepare(t, &self.cut),
        }
        // So far all was numbers; from here on the kernel reads what those before it have written.
        t.line("take_turn();".into());
        if sides.iter().any(|side| side.has_steps()) {
            t.line("__syncthreads();".into());
        }
        sides.iter().for_each(|side| side.fetch(t, "k_first"));
        t.open(format!("for (int k0 = k_first; k0 < k_end; k0 += {tk}) {{"));
        sides.iter().for_each(|side| side.stage(t));
        t.line("__syncthreads();".into());
        t.open(format!("if (k0 + {tk} < k_end) {{"));
        sides.iter().for_each(|side| side.fetch(t, &format!("k0 + {tk}")));
        t.close();
        match math {
            Math::Scalar => self.multiply(t, sides),
            Math::Tf32 | Math::Half(_) => matrix::multiply(t, &self.cut, sides),
        }
        t.line("__syncthreads();".into());
        t.close();
    }

    /// Before the loop: what a thread that multiplies for itself has of a tile, and its sums.
    fn prepare(&self, t: &mut Text) {
        let Cut { n: tn, groups, .. } = self.cut;
        let per_group = THREADS / groups;
        t.line(format!("float sum[{OWN}][{OWN}] = {{}};"));
        t.line(format!("const int group = thread / {per_group};"));
        t.line(format!("const int own_n = thread % {per_group} % {} * {OWN};", tn / OWN));
        t.line(format!("const int own_m = thread % {per_group} / {} * {OWN};", tn / OWN));
    }

    /// The products of what is staged, each thread for itself.
    fn multiply(&self, t: &mut Text, sides: [&Side; 2]) {
        let Cut { k: tk, groups, .. } = self.cut;
        t.line(format!("const int k_count = min(k_end - k0, {tk});"));
        t.line("#pragma unroll 8".into());
        t.open(format!("for (int k = group; k < k_count; k += {groups}) {{"));
        for (to, own, side) in [("x", "own_m", sides[0]), ("y", "own_n", sides[1])] {
            let place = format!("shared + {} + k * {} + {own}", side.at, side.row());
            t.line(format!("const float4 {to} = *reinterpret_cast<const float4*>({place});"));
        }
        t.line("const float xs[4] = {x.x, x.y, x.z, x.w};".into());
        t.line("const float ys[4] = {y.x, y.y, y.z, y.w};".into());
        t.line("#pragma unroll".into());
        t.open(format!("for (int i = 0; i < {OWN}; ++i) {{"));
        t.line("#pragma unroll".into());
        t.line(format!("for (int j = 0; j < {OWN}; ++j) sum[i][j] += xs[i] * ys[j];"));
        t.close();
        t.close();
    }

    /// Puts the sums of a thread where the groups' sums come together.
    fn put_together(&self, t: &mut Text) {
        let Cut { m: tm, n: tn, .. } = self.cut;
        t.line("#pragma unroll".into());
        t.open(format!("for (int i = 0; i < {OWN}; ++i) {{"));
        t.line(format!(
            "*reinterpret_cast<float4*>(sums + group * {} + (own_m + i) * {tn} + own_n) = \
             make_float4(sum[i][0], sum[i][1], sum[i][2], sum[i][3]);",
            tm * tn
        ));
        t.close();
    }

    /// Adds what the groups hold of a tile, and stores it.
    fn gather(&self, t: &mut Text) {
        let Cut { m: tm, n: tn, groups, parts, .. } = self.cut;
        let Contraction { m, n, .. } = self.product;
        t.line("__syncthreads();".into());
        let width = self.nest.schedule.vector;
        t.open(format!("for (int at = thread; at < {}; at += {}) {{", tm * tn / width, self.cut.threads()));
        // Neighbouring threads store neighbouring results.
        let across = tn / width;
        let [row, column] = [format!("at / {across}"), printer::times(&format!("at % {across}"), width)];
        t.line(format!("const float* const from = sums + ({row}) * {} + {column};", self.cut.row()));
        let group = tm * self.cut.row();
        let sums: Vec<String> = match width {
            1 => vec![(0..groups).map(|g| format!("from[{}]", g * group)).collect::<Vec<_>>().join(" + ")],
            _ => {
                let fours = || (0..groups).flat_map(|g| (0..width / 4).map(move |four| (g, four)));
                for (g, four) in fours() {
                    let at = g * group + 4 * four;
                    t.line(format!("const float4 of{g}_{four} = *reinterpret_cast<const float4*>(from + {at});"));
                }
                let sum = |i: usize| {
                    let part = |g: usize| format!("of{g}_{}.{}", i / 4, ["x", "y", "z", "w"][i % 4]);
                    (0..groups).map(part).collect::<Vec<_>>().join(" + ")
                };
                (0..width).map(sum).collect()
            }
        };
        t.line(format!("const int m = m0 + {row};"));
        t.line(format!("const int n = n0 + {column};"));
        t.line(format!("if (m >= {} || n >= {}) continue;", m.extent(), n.extent()));
        if parts > 1 {
            let [mt, nt] = self.cut.tiles(self.product);
            let result = format!("tile / {} * {} + m * {} + n", mt * nt, m.extent() * n.extent(), n.extent());
            t.line(format!("float* const to = workspace + part * {} + {result};", results(self.product)));
            if width == 1 {
                t.line(format!("*to = {};", sums[0]));
            }
            for (i, four) in sums.chunks_exact(4).enumerate() {
                let four = four.join(", ");
                t.line(format!("*reinterpret_cast<float4*>(to + {}) = make_float4({four});", 4 * i));
            }
        } else {
            t.line(format!("const float whole[{width}] = {{{}}};", sums.join(", ")));
            t.line(self.carry());
            t.lines(self.decode(m, "m"));
            t.lines(self.decode(n, "n"));
            self.finish(t);
        }
        t.close();
    }

    /// The kernel that adds partial sums: columns of threads that each have some results, and where these are few,
    /// several of them for the same results, which put their sums together at last.
    fn sums(&self, entry: &str) -> Source {
        let Contraction { batch, m, n, .. } = self.product;
        let (results, parts, width) = (results(self.product), self.cut.parts, self.nest.schedule.vector);
        let (head, bound) = self.signature(entry, Some(Access::Read));
        let takers = results / width;
        let sharers = [1, 2, 4, 8, 16].into_iter().find(|s| takers * s >= BUSY || 2 * s >= parts).unwrap_or(32);
        let column = THREADS / sharers;
        let groups = takers.div_ceil(column);
        let mut t = Text { text: head, depth: 1 };
        if sharers > 1 {
            t.line(format!("__shared__ float together[{}];", THREADS * width));
        }
        t.line("take_turn();".into());
        t.line(format!(
            "const int first = {};",
            printer::times(&format!("(blockIdx.x * {column} + threadIdx.x % {column})"), width)
        ));
        t.line(format!("const int at = first < {results} ? first : 0;"));
        t.line(format!("float whole[{width}] = {{}};"));
        t.line("#pragma unroll 8".into());
        t.open(format!("for (int part = threadIdx.x / {column}; part < {parts}; part += {sharers}) {{"));
        t.line("#pragma unroll".into());
        t.line(format!("for (int i = 0; i < {width}; ++i) whole[i] += workspace[part * {results} + at + i];"));
        t.close();
        if sharers > 1 {
            t.line("#pragma unroll".into());
            t.line(format!("for (int i = 0; i < {width}; ++i) together[i * {THREADS} + threadIdx.x] = whole[i];"));
            t.line("__syncthreads();".into());
            t.line(format!("if (threadIdx.x >= {column}) return;"));
            t.open(format!("for (int sharer = 1; sharer < {sharers}; ++sharer) {{"));
            t.line("#pragma unroll".into());
            t.open(format!("for (int i = 0; i < {width}; ++i) {{"));
            t.line(format!("whole[i] += together[i * {THREADS} + sharer * {column} + threadIdx.x];"));
            t.close();
            t.close();
        }
        t.line(format!("if (first >= {results}) return;"));
        t.line(self.carry());
        let (mx, nx) = (m.extent(), n.extent());
        t.line(format!("const int m = at / {nx} % {mx};"));
        t.line(format!("const int n = at % {nx};"));
        t.lines(self.decode(batch, &format!("(at / {})", mx * nx)));
        t.lines(self.decode(m, "m"));
        t.lines(self.decode(n, "n"));
        self.finish(&mut t);
        t.depth = 0;
        t.line("}".into());
        self.source(entry, t.text, groups, bound)
    }

    /// The line that gives the sum, or the array of sums, the name of its carry.
    fn carry(&self) -> String {
        let carry = self.product.carry;
        match self.nest.schedule.vector {
            1 => format!("const float c{carry} = whole[0];"),
            width => format!("const float (&c{carry})[{width}] = whole;"),
        }
    }

    /// Lines that give an axis's variables at place `at` the values that what follows the sum uses.
    fn decode(&self, axis: &Axis, at: &str) -> Vec<String> {
        let taken = self.nest.vector_axis(&self.nest.phases[1]);
        decode(axis, at, |var| self.uses(var, 1), taken)
    }

    /// What follows the sum: the nest's second phase.
    fn finish(&self, t: &mut Text) {
        t.text.push_str(&printer::phase_of_one(self.plan, self.nest, 1, &self.bindings, &cuda::Cuda, t.depth));
    }

    /// Whether a phase uses a variable.
    fn uses(&self, var: Var, phase: usize) -> bool {
        self.nest.phases[phase].indices().iter().any(|a| a.coefficient(var) != 0)
    }

    fn source(&self, entry: &str, kernel: String, groups: usize, bindings: Vec<Binding>) -> Source {
        let mut helpers = cuda::Cuda.definitions(&kernel);
        helpers.extend(helpers::used(cuda::HELPERS, &kernel));
        Source { entry: entry.into(), helpers, kernel, threads: self.cut.threads(), groups: [groups, 1, 1], bindings }
    }
}

impl Affine {
    /// The map as C.
    fn code(&self) -> String {
        self.to_string().replace('*', " * ")
    }
}

/// Lines with their depth.
struct Text {
    text: String,
    depth: usize,
}

impl Text {
    fn line(&mut self, line: String) {
        let indent = if line.starts_with("#pragma") { 0 } else { self.depth };
        let _ = writeln!(self.text, "{}{line}", "  ".repeat(indent));
    }

    fn lines(&mut self, lines: Vec<String>) {
        lines.into_iter().for_each(|line| self.line(line));
    }

    fn open(&mut self, line: String) {
        self.line(line);
        self.depth += 1;
    }

    fn close(&mut self) {
        self.depth -= 1;
        self.line("}".into());
    }
}
