//! Products and convolutions for CUDA as tiles: a block of threads computes a tile of results, with what it
//! reads of both operands staged in shared memory. A convolution is the product it implies; nothing is copied
//! to make it one. Long sums are shared by groups of a block's threads, and longer ones by several blocks whose
//! partial sums a second kernel adds, always in a fixed order.

use std::fmt::Write as _;

use super::bindings::{self, Access, Binding, Bindings, Bound};
use super::dialect::Dialect;
use super::{Source, cuda, helpers, printer};
use crate::error::Result;
use crate::plan::{Affine, Axis, Contraction, Guard, Let, Load, LoopKernel, Phase, Plan, Var};

/// What a tile kernel may use of a device.
#[derive(Clone, Copy, Debug)]
pub struct Tiling {
    /// Blocks that run side by side.
    pub multiprocessors: usize,
}

/// Prints a loop nest that is a contraction: one kernel, or two where the first leaves partial sums in scratch
/// memory. Gives the bytes of that, too.
pub(super) fn print(
    plan: &Plan,
    entry: &str,
    nest: &LoopKernel,
    product: &Contraction,
    tiling: Tiling,
) -> Result<(Vec<Source>, usize)> {
    let rules = cuda::Cuda.rules();
    let part = |phases: &[Phase]| LoopKernel { phases: phases.to_vec(), ..nest.clone() };
    let collect = |nest: &LoopKernel| bindings::collect(plan, [nest].into_iter(), rules);
    let shape = Shape::choose(product, tiling);
    let printed = |bindings| Printed { plan, nest, product, shape, bindings };
    if shape.parts == 1 {
        return Ok((vec![printed(collect(nest)?).tiles(entry)], 0));
    }
    let tiles = printed(collect(&part(&nest.phases[..1]))?).tiles(entry);
    let sums = printed(collect(&part(&nest.phases[1..]))?).sums(&format!("{entry}_sum"));
    Ok((vec![tiles, sums], shape.parts * results(product) * 4))
}

fn results(product: &Contraction) -> usize {
    product.batch.extent() * product.m.extent() * product.n.extent()
}

/// How the work is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shape {
    /// Rows and columns of a block's tile.
    m: usize,
    n: usize,
    /// Steps of the sum staged at once.
    k: usize,
    /// Groups of threads that share the steps.
    groups: usize,
    /// Blocks that share the sum.
    parts: usize,
}

/// Threads of a block.
const THREADS: usize = 256;
/// Rows and columns of results that a thread holds.
const OWN: usize = 4;
/// Elements that a thread moves at once where they lie together.
const VECTOR: usize = 4;
/// Elements of an operand's tile that are staged at once.
const STAGED: usize = 4096;
/// Steps of the sum that one block walks at least before others share it, and most blocks that do.
const WORTH_PARTS: usize = 128;
const MOST_PARTS: usize = 256;
/// Threads that add the parts of a result together, where there are few results of many parts.
const WARP: usize = 32;
const FEW_RESULTS: usize = 1 << 13;

impl Shape {
    fn choose(product: &Contraction, tiling: Tiling) -> Self {
        let [batch, m, n, k] = [&product.batch, &product.m, &product.n, &product.k].map(Axis::extent);
        let blocks = |tm: usize, tn: usize| m.div_ceil(tm) * n.div_ceil(tn) * batch;
        let side = |extent: usize| extent.next_power_of_two().clamp(16, 64);
        let (mut tm, mut tn) = (side(m), side(n));
        let most = if k >= 4 * WORTH_PARTS { k.div_ceil(WORTH_PARTS).min(MOST_PARTS) } else { 1 };
        // Smaller tiles where large ones leave multiprocessors without work.
        while blocks(tm, tn) * most < tiling.multiprocessors && (tm > 16 || tn > 16) {
            if tm >= tn { tm /= 2 } else { tn /= 2 }
        }
        let groups = THREADS / (tm * tn / (OWN * OWN));
        let step = (STAGED / tm.max(tn)).min(k.max(1)).next_multiple_of(groups.max(VECTOR));
        let parts = (2 * tiling.multiprocessors).div_ceil(blocks(tm, tn)).min(most);
        Shape { m: tm, n: tn, k: step, groups, parts }
    }

    /// Tiles along rows and columns.
    fn tiles(&self, product: &Contraction) -> [usize; 2] {
        [product.m.extent().div_ceil(self.m), product.n.extent().div_ceil(self.n)]
    }

    /// Steps of the sum that a block walks.
    fn chunk(&self, k: usize) -> usize {
        k.div_ceil(self.parts).next_multiple_of(VECTOR)
    }
}

/// Lines that give an axis's variables their values at place `at`, those that `used` says are used.
fn decode(axis: &Axis, at: &str, used: impl Fn(Var) -> bool) -> Vec<String> {
    let mut below = axis.extent();
    let mut lines = Vec::new();
    for (i, &(var, extent)) in axis.vars.iter().enumerate() {
        below /= extent.max(1);
        if used(var) {
            let divided = if below > 1 { format!("{at} / {below}") } else { at.to_string() };
            let value = if i > 0 { format!("{divided} % {extent}") } else { divided };
            lines.push(format!("const int {var} = {value};"));
        }
    }
    lines
}

/// A contraction on its way into text.
struct Printed<'a> {
    plan: &'a Plan,
    nest: &'a LoopKernel,
    product: &'a Contraction<'a>,
    shape: Shape,
    bindings: Bindings,
}

impl Printed<'_> {
    /// The kernel's first line, with scratch memory if it is used.
    fn signature(&self, entry: &str, scratch: Option<Access>) -> (String, Vec<Binding>) {
        let mut bound: Vec<Binding> = self.bindings.list.iter().map(|b| b.0).collect();
        let extra = scratch.map(|access| {
            bound.push(Binding { bound: Bound::Workspace, access });
            let constant = if access == Access::Read { "const " } else { "" };
            format!("    {constant}float* workspace")
        });
        (cuda::signature(entry, THREADS, &self.bindings.list, extra), bound)
    }

    /// The tile kernel.
    fn tiles(&self, entry: &str) -> Source {
        let Shape { m: tm, n: tn, k: tk, groups, parts } = self.shape;
        let Contraction { batch, m, n, k, left, right, .. } = self.product;
        let [mt, nt] = self.shape.tiles(self.product);
        let per_group = THREADS / groups;
        let (row_m, row_n) = (tm + 4, tn + 4);
        let staged = tk * (row_m + row_n);
        let shared = staged.max(groups * tm * tn);
        let (head, bound) = self.signature(entry, (parts > 1).then_some(Access::ReadWrite));
        let mut t = Text { text: head, depth: 1 };
        t.line(format!("__shared__ float4 staged[{}];", shared.div_ceil(4)));
        t.line("float* const shared = reinterpret_cast<float*>(staged);".into());
        t.line("take_turn();".into());
        t.line("const int thread = threadIdx.x;".into());
        t.line(format!("const int part = blockIdx.x % {parts};"));
        t.line(format!("const int tile = blockIdx.x / {parts};"));
        t.line(format!("const int m0 = tile % {mt} * {tm};"));
        t.line(format!("const int n0 = tile / {mt} % {nt} * {tn};"));
        t.lines(decode(batch, &format!("(tile / {})", mt * nt), |var| self.uses(var, 0) || self.uses(var, 1)));
        let chunk = self.shape.chunk(k.extent());
        t.line(format!("const int k_first = part * {chunk};"));
        t.line(format!("const int k_end = min(k_first + {chunk}, {});", k.extent()));
        let sides = [
            Side { printed: self, load: left, axis: m, origin: "m0", name: "a", width_of_tile: tm, row: row_m, at: 0 },
            Side {
                printed: self,
                load: right,
                axis: n,
                origin: "n0",
                name: "b",
                width_of_tile: tn,
                row: row_n,
                at: tk * row_m,
            },
        ];
        sides.iter().for_each(|side| side.prepare(&mut t, tk));
        t.line(format!("float sum[{OWN}][{OWN}] = {{}};"));
        t.line(format!("const int group = thread / {per_group};"));
        t.line(format!("const int own_n = thread % {per_group} % {} * {OWN};", tn / OWN));
        t.line(format!("const int own_m = thread % {per_group} / {} * {OWN};", tn / OWN));
        sides.iter().for_each(|side| side.fetch(&mut t, tk, "k_first"));
        t.open(format!("for (int k0 = k_first; k0 < k_end; k0 += {tk}) {{"));
        sides.iter().for_each(|side| side.stage(&mut t, tk));
        t.line("__syncthreads();".into());
        t.open(format!("if (k0 + {tk} < k_end) {{"));
        sides.iter().for_each(|side| side.fetch(&mut t, tk, &format!("k0 + {tk}")));
        t.close();
        t.line(format!("const int k_count = min(k_end - k0, {tk});"));
        t.line("#pragma unroll 8".into());
        t.open(format!("for (int k = group; k < k_count; k += {groups}) {{"));
        t.line(format!("const float4 x = *reinterpret_cast<const float4*>(shared + k * {row_m} + own_m);"));
        t.line(format!(
            "const float4 y = *reinterpret_cast<const float4*>(shared + {} + k * {row_n} + own_n);",
            tk * row_m
        ));
        t.line("const float xs[4] = {x.x, x.y, x.z, x.w};".into());
        t.line("const float ys[4] = {y.x, y.y, y.z, y.w};".into());
        t.line("#pragma unroll".into());
        t.open(format!("for (int i = 0; i < {OWN}; ++i) {{"));
        t.line("#pragma unroll".into());
        t.line(format!("for (int j = 0; j < {OWN}; ++j) sum[i][j] += xs[i] * ys[j];"));
        t.close();
        t.close();
        t.line("__syncthreads();".into());
        t.close();
        self.gather(&mut t);
        t.depth = 0;
        t.line("}".into());
        self.source(entry, t.text, parts * mt * nt * batch.extent(), bound)
    }

    /// Adds what the groups hold of a tile, and stores it.
    fn gather(&self, t: &mut Text) {
        let Shape { m: tm, n: tn, groups, parts, .. } = self.shape;
        let Contraction { m, n, carry, .. } = self.product;
        let sum = format!("c{carry}");
        t.line("#pragma unroll".into());
        t.open(format!("for (int i = 0; i < {OWN}; ++i) {{"));
        t.line(format!(
            "*reinterpret_cast<float4*>(shared + group * {} + (own_m + i) * {tn} + own_n) = \
             make_float4(sum[i][0], sum[i][1], sum[i][2], sum[i][3]);",
            tm * tn
        ));
        t.close();
        t.line("__syncthreads();".into());
        t.open(format!("for (int at = thread; at < {}; at += {THREADS}) {{", tm * tn));
        // Neighbouring threads store neighbouring results.
        let (place, row, column) = match self.rows_are_near() {
            true => (format!("at % {tm} * {tn} + at / {tm}"), format!("at % {tm}"), format!("at / {tm}")),
            false => ("at".to_string(), format!("at / {tn}"), format!("at % {tn}")),
        };
        t.line(format!("const int place = {place};"));
        t.line(format!("float {sum} = 0.0f;"));
        t.line("#pragma unroll".into());
        t.line(format!("for (int g = 0; g < {groups}; ++g) {sum} += shared[g * {} + place];", tm * tn));
        t.line(format!("const int m = m0 + {row};"));
        t.line(format!("const int n = n0 + {column};"));
        t.line(format!("if (m >= {} || n >= {}) continue;", m.extent(), n.extent()));
        if parts > 1 {
            let [mt, nt] = self.shape.tiles(self.product);
            let result = format!("tile / {} * {} + m * {} + n", mt * nt, m.extent() * n.extent(), n.extent());
            t.line(format!("workspace[part * {} + {result}] = {sum};", results(self.product)));
        } else {
            t.lines(decode(m, "m", |var| self.uses(var, 1)));
            t.lines(decode(n, "n", |var| self.uses(var, 1)));
            self.finish(t);
        }
        t.close();
    }

    /// The kernel that adds partial sums.
    fn sums(&self, entry: &str) -> Source {
        let Contraction { batch, m, n, carry, .. } = self.product;
        let results = results(self.product);
        let (head, bound) = self.signature(entry, Some(Access::Read));
        let mut t = Text { text: head, depth: 1 };
        t.line("take_turn();".into());
        let parts = self.shape.parts;
        let lanes = if parts >= WARP && results < FEW_RESULTS { WARP } else { 1 };
        t.line(format!("const int at = (blockIdx.x * {THREADS} + threadIdx.x) / {lanes};"));
        t.line(format!("if (at >= {results}) return;"));
        t.line(format!("float c{carry} = 0.0f;"));
        let first = if lanes > 1 { format!("threadIdx.x % {lanes}") } else { "0".into() };
        t.line("#pragma unroll 8".into());
        t.line(format!(
            "for (int part = {first}; part < {parts}; part += {lanes}) c{carry} += workspace[part * {results} + at];"
        ));
        if lanes > 1 {
            t.open(format!("for (int step = {}; step > 0; step /= 2) {{", lanes / 2));
            t.line(format!("c{carry} += __shfl_xor_sync(0xffffffffu, c{carry}, step);"));
            t.close();
            t.line(format!("if (threadIdx.x % {lanes} > 0) return;"));
        }
        let used = |var: Var| self.uses(var, 1);
        let (mx, nx) = (m.extent(), n.extent());
        t.line(format!("const int m = at / {nx} % {mx};"));
        t.line(format!("const int n = at % {nx};"));
        t.lines(decode(batch, &format!("(at / {})", mx * nx), used));
        t.lines(decode(m, "m", used));
        t.lines(decode(n, "n", used));
        self.finish(&mut t);
        t.depth = 0;
        t.line("}".into());
        self.source(entry, t.text, (results * lanes).div_ceil(THREADS), bound)
    }

    /// What follows the sum: the nest's second phase.
    fn finish(&self, t: &mut Text) {
        t.text.push_str(&printer::phase_of_one(self.plan, self.nest, 1, &self.bindings, &cuda::Cuda, t.depth));
    }

    /// Whether a phase uses a variable.
    fn uses(&self, var: Var, phase: usize) -> bool {
        self.nest.phases[phase].indices().iter().any(|a| a.coefficient(var) != 0)
    }

    /// Whether results of neighbouring rows lie side by side.
    fn rows_are_near(&self) -> bool {
        let near = |var: Var| self.nest.stores().all(|(_, index)| index.coefficient(var) == 1);
        self.product.m.vars.last().is_some_and(|v| near(v.0))
    }

    fn source(&self, entry: &str, kernel: String, groups: usize, bindings: Vec<Binding>) -> Source {
        let mut helpers = cuda::Cuda.definitions(&kernel);
        helpers.extend(helpers::used(cuda::HELPERS, &kernel));
        Source { entry: entry.into(), helpers, kernel, threads: THREADS, groups: [groups, 1, 1], bindings }
    }
}

impl Affine {
    /// The map as C.
    fn code(&self) -> String {
        self.to_string().replace('*', " * ")
    }
}

/// An operand on its way into shared memory.
struct Side<'a> {
    printed: &'a Printed<'a>,
    load: &'a Load,
    /// Its own axis: rows of the left operand, columns of the right one.
    axis: &'a Axis,
    /// Where the tile begins on that axis.
    origin: &'static str,
    name: &'static str,
    /// The tile's width on that axis, and the distance of its steps in shared memory.
    width_of_tile: usize,
    row: usize,
    /// Where it begins in shared memory.
    at: usize,
}

impl Side<'_> {
    /// Whether steps of the sum, not places of its own axis, lie side by side in memory.
    fn along_k(&self) -> bool {
        let near = |axis: &Axis| axis.vars.last().is_some_and(|v| self.load.index.coefficient(v.0) == 1);
        near(&self.printed.product.k) || !near(self.axis)
    }

    /// Elements that a thread moves at once: several where they lie together, all of them there or none.
    fn width(&self) -> usize {
        let axis = if self.along_k() { &self.printed.product.k } else { self.axis };
        let Some(&(var, extent)) = axis.vars.last() else { return 1 };
        let whole = |c: i64| c % VECTOR as i64 == 0;
        let Load { index, guards, .. } = self.load;
        let lets = &self.printed.nest.phases[0].lets;
        let apart = |a: &Affine| a.coefficient(var) == 0;
        let together = extent.is_multiple_of(VECTOR)
            && index.coefficient(var) == 1
            && whole(index.offset)
            && index.terms.iter().all(|&(v, c)| v == var || whole(c))
            && guards.iter().all(|g| apart(&g.expr))
            && lets.iter().all(|l| matches!(l, Let::Div(a, _) | Let::Rem(a, _) if apart(a)));
        if together { VECTOR } else { 1 }
    }

    fn loads(&self, tk: usize) -> usize {
        (self.width_of_tile * tk / self.width()).div_ceil(THREADS)
    }

    /// Place on its own axis and step of the first of the `i`-th elements that a thread moves, counted from the
    /// tile's corner.
    fn place(&self, tk: usize) -> [String; 2] {
        let (at, wide) = (format!("(thread + i * {THREADS})"), self.width_of_tile);
        match (self.along_k(), self.width()) {
            (true, 1) => [format!("{at} / {tk}"), format!("{at} % {tk}")],
            // Neighbouring threads take neighbouring rows: what they put into shared memory lies side by side.
            (true, width) => [format!("{at} % {wide}"), format!("{at} / {wide} * {width}")],
            (false, 1) => [format!("{at} % {wide}"), format!("{at} / {wide}")],
            (false, width) => [format!("{at} % {} * {width}", wide / width), format!("{at} / {}", wide / width)],
        }
    }

    /// The maps that are evaluated at each element: those of derived variables, of guards, and the index.
    fn maps(&self) -> Vec<&Affine> {
        let lets = self.printed.nest.phases[0].lets.iter().map(|l| match l {
            Let::Div(a, _) | Let::Rem(a, _) => a,
            Let::Value(_) => panic!("onestep bug: a contraction's index depends on data"),
        });
        lets.chain(self.load.indices()).collect()
    }

    /// Whether a derived variable is used by the operand.
    fn uses_let(&self, i: usize) -> bool {
        self.load.indices().any(|a| a.coefficient(Var::Let(i as u32)) != 0)
    }

    fn is_used(&self, map: usize) -> bool {
        let lets = self.printed.nest.phases[0].lets.len();
        map >= lets || self.uses_let(map)
    }

    /// The part of a map that its own axis and the batch decide, and the rest.
    fn parts(&self, map: &Affine) -> (Affine, Affine) {
        let still = |var: Var| matches!(var, Var::Grid(_));
        let part = |wanted: bool| Affine {
            offset: if wanted { map.offset } else { 0 },
            terms: map.terms.iter().copied().filter(|t| still(t.0) == wanted).collect(),
        };
        (part(true), part(false))
    }

    /// Before the loop: where its own axis stands for each element that a thread loads.
    fn prepare(&self, t: &mut Text, tk: usize) {
        let (n, count) = (self.name, self.loads(tk));
        let mut maps: Vec<(usize, &Affine)> = self.maps().into_iter().enumerate().collect();
        maps.retain(|(i, _)| self.is_used(*i));
        t.line(format!("float {n}_next[{count}][{}];", self.width()));
        t.line(format!("bool {n}_in[{count}];"));
        maps.iter().for_each(|(i, _)| t.line(format!("int {n}_map{i}[{count}];")));
        t.line("#pragma unroll".into());
        t.open(format!("for (int i = 0; i < {count}; ++i) {{"));
        t.line(format!("const int own = {} + {};", self.origin, self.place(tk)[0]));
        t.line(format!("{n}_in[i] = own < {};", self.axis.extent()));
        let used = |var: Var| maps.iter().any(|(_, map)| map.coefficient(var) != 0);
        t.lines(decode(self.axis, "own", used));
        maps.iter().for_each(|(i, map)| t.line(format!("{n}_map{i}[i] = {};", self.parts(map).0.code())));
        t.close();
    }

    /// Loads the elements of the steps from `first` on into registers.
    fn fetch(&self, t: &mut Text, tk: usize, first: &str) {
        let (n, count) = (self.name, self.loads(tk));
        let lets = &self.printed.nest.phases[0].lets;
        let uses = |var: Var| self.maps().iter().enumerate().any(|(i, a)| self.is_used(i) && a.coefficient(var) != 0);
        t.line("#pragma unroll".into());
        t.open(format!("for (int i = 0; i < {count}; ++i) {{"));
        t.line(format!("const int k = {first} + {};", self.place(tk)[1]));
        t.lines(decode(&self.printed.product.k, "k", uses));
        let value = |i: usize, map: &Affine| {
            let rest = self.parts(map).1;
            if rest.terms.is_empty() { format!("{n}_map{i}[i]") } else { format!("{n}_map{i}[i] + {}", rest.code()) }
        };
        for (i, l) in lets.iter().enumerate().filter(|(i, _)| self.uses_let(*i)) {
            let (function, a, by) = match l {
                Let::Div(a, by) => ("floor_div", a, by),
                Let::Rem(a, by) => ("floor_rem", a, by),
                Let::Value(_) => panic!("onestep bug: a contraction's index depends on data"),
            };
            t.line(format!("const int l{i} = {function}<int>({}, {by});", value(i, a)));
        }
        let mut inside = vec![format!("{n}_in[i]"), "k < k_end".to_string()];
        for (i, Guard { expr, low, high }) in self.load.guards.iter().enumerate() {
            let place = value(lets.len() + i, expr);
            t.line(format!("const int q{i} = {place};"));
            inside.push(format!("q{i} >= {low} && q{i} < {high}"));
        }
        let index = value(lets.len() + self.load.guards.len(), &self.load.index);
        let slot = &self.printed.bindings.slots[&self.load.buffer];
        let width = self.width();
        (0..width).for_each(|j| t.line(format!("{n}_next[i][{j}] = 0.0f;")));
        t.open(format!("if ({}) {{", inside.join(" && ")));
        if width == 1 {
            t.line(format!("{n}_next[i][0] = {};", cuda::Cuda.load(slot, &index)));
        } else {
            let (ty, all) = (cuda::Cuda.vector_type(slot, width), cuda::Cuda.vector_load(slot, width, &index));
            t.line(format!("const {ty} v = {all};"));
            let part = |j: usize| cuda::Cuda.vector_get(slot, width, "v", &j.to_string());
            (0..width).for_each(|j| t.line(format!("{n}_next[i][{j}] = {};", part(j))));
        }
        t.close();
        t.close();
    }

    /// Moves what was loaded into shared memory.
    fn stage(&self, t: &mut Text, tk: usize) {
        let (n, count) = (self.name, self.loads(tk));
        let [own, step] = self.place(tk);
        t.line("#pragma unroll".into());
        t.open(format!("for (int i = 0; i < {count}; ++i) {{"));
        let width = self.width();
        let whole = (self.width_of_tile * tk / width).is_multiple_of(THREADS);
        if !whole {
            t.open(format!("if (thread + i * {THREADS} < {}) {{", self.width_of_tile * tk / width));
        }
        t.line(format!("float* const to = shared + {} + ({step}) * {} + ({own});", self.at, self.row));
        if width == 1 || self.along_k() {
            (0..width).for_each(|j| t.line(format!("to[{}] = {n}_next[i][{j}];", j * self.row)));
        } else {
            let parts: Vec<String> = (0..width).map(|j| format!("{n}_next[i][{j}]")).collect();
            t.line(format!("*reinterpret_cast<float4*>(to) = make_float4({});", parts.join(", ")));
        }
        if !whole {
            t.close();
        }
        t.close();
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
