//! Products and convolutions as tiles: a block of threads computes a tile of results, with what it reads of both
//! operands staged in shared memory. A convolution is the product it implies; nothing is copied to make it one.
//! Long sums are shared by groups of a block's threads, and longer ones by several blocks whose partial sums a second
//! kernel adds, always in a fixed order. What languages say differently is a [`Tongue`]'s.

mod cooperative;
mod cuda;
mod cut;
mod direct;
mod matrix;
mod runs;
mod staging;
mod wgsl;

use std::fmt::Write as _;

use super::bindings::{self, Access, Binding, Bindings, Bound, Slot};
use super::dialect::{Dialect, Scalar};
use super::wgsl::Wgsl;
use super::{Language, Source, helpers, printer};
use crate::error::Result;
use crate::ir::DType;
use crate::plan::{
    Affine, Axis, BufferId, Contraction, Guard, LoopKernel, Phase, Plan, Schedule, Var, Workers, is_vector,
};
use cuda::CudaTiles;
pub use cut::Tile;
use cut::{Cut, Math, OWN, THREADS};
use staging::Side;
use wgsl::WgslTiles;

/// What a tile kernel may use of a device.
#[derive(Clone, Copy, Debug)]
pub struct Tiling {
    /// Blocks that run side by side.
    pub multiprocessors: usize,
    /// Bytes that the threads of a block share.
    pub shared_bytes: usize,
    /// Whether subgroups of 32 threads multiply matrices of 16 by 16, of f16 with sums in f32 (for WGSL; CUDA's units
    /// are asked for by [`Workers::MatrixTiles`]).
    pub cooperative: bool,
    /// A tile of [`tilings`](super::tilings) that was measured to be the best; else extents decide.
    pub tile: Option<Tile>,
}

impl Tiling {
    /// What extents decide, on a device of so many multiprocessors and bytes.
    pub const fn new(multiprocessors: usize, shared_bytes: usize) -> Self {
        Tiling { multiprocessors, shared_bytes, cooperative: false, tile: None }
    }
}

/// What tile kernels need of a language besides its [`Dialect`].
trait Tongue {
    /// The language.
    fn dialect(&self) -> &dyn Dialect;
    /// What must stand before all else, if anything.
    fn enables(&self) -> Vec<String>;
    /// The kernel up to its first statement: what it binds, with scratch memory `workspace` where it is used, and shared
    /// memory: arrays of so many groups of four floats.
    fn head(&self, frame: &TileFrame) -> String;
    /// Declares `thread` and `block`.
    fn numbers(&self, frame: &TileFrame) -> Vec<String>;
    /// Number `i` of an entry of a list in shared memory.
    fn listed(&self, list: &str, entry: &str, i: usize) -> String;
    /// What the staged memory is called: `shared` as cells of a type, `sums` as floats.
    fn views(&self, cell: &str) -> Vec<String>;
    /// Before a kernel reads what those before it have written.
    fn take_turn(&self) -> Option<&'static str>;
    /// Lines for each of `0..count`, which is best not a loop when it runs; `body` is given the number.
    fn repeat(&self, t: &mut Text, name: &str, count: usize, body: &dyn Fn(&mut Text, &str));
    /// Declares a thread's own array, of one or two axes.
    fn local(&self, ty: Scalar, name: &str, lens: &[usize]) -> String;
    /// Declares and fills an array of floats.
    fn filled(&self, name: &str, values: &[String]) -> String;
    /// Gives a place in memory (`shared`, `sums`, `workspace`) a name; `cell` is the type of its elements.
    fn place(&self, name: &str, cell: &str, memory: &str, offset: &str) -> String;
    /// The element so far behind a place.
    fn at(&self, memory: &str, place: &str, offset: &str) -> String;
    /// Four floats in shared memory, so far behind a place that is a multiple of four.
    fn four(&self, memory: &str, place: &str, offset: usize) -> String;
    /// Four floats in one.
    fn join(&self, parts: &[String]) -> String;
    /// The type of four floats.
    fn four_type(&self) -> &'static str;
    /// Stores four results of a thread, so far behind a place in scratch memory.
    fn store_four(&self, place: &str, offset: usize, parts: &[String]) -> Vec<String>;
    /// Gives an array of sums the name of a carry.
    fn carry(&self, carry: &str, width: usize) -> String;
    /// Before the loop, where threads multiply: the sums of a thread.
    fn begin_sums(&self, t: &mut Text, cut: &Cut);
    /// The products of what is staged, each thread for itself, from its `own_m` and `own_n` on.
    fn multiply(&self, t: &mut Text, cut: &Cut, sides: [&Side; 2]);
    /// Puts the sums of a thread that a round takes where the groups' sums come together.
    fn put_together(&self, t: &mut Text, cut: &Cut, round: usize);
}

/// What the threads of a block share.
#[derive(Default)]
struct Memory {
    /// Name and size of floats, in groups of four.
    floats: Option<(&'static str, usize)>,
    /// The size of what holds operands alone, where sums have memory of their own, in groups of four halves.
    halves: Option<usize>,
    /// Lists of numbers: name, numbers of an entry, entries.
    lists: Vec<(String, usize, usize)>,
}

/// A tile kernel's text but for its body.
struct TileFrame<'a> {
    entry: &'a str,
    bindings: &'a [(Binding, Slot)],
    /// How scratch memory is used, where it is.
    scratch: Option<Access>,
    memory: Memory,
    /// Threads of a workgroup.
    threads: usize,
    /// Workgroups in all, and on each axis.
    blocks: usize,
    groups: [usize; 3],
}

/// Prints a loop nest that is a contraction: one kernel, or two where the first leaves partial sums in scratch
/// memory.
pub(super) fn print(
    plan: &Plan,
    entry: &str,
    nest: &LoopKernel,
    product: Contraction,
    tiling: Tiling,
    language: Language,
) -> Result<Vec<Source>> {
    let (product, cut) = cut(plan, nest, product, tiling);
    let tongue: &dyn Tongue = match language {
        Language::Cuda => &CudaTiles,
        Language::Wgsl { bindings, binding_bytes, subgroup } => {
            let wgsl = Wgsl { bindings, binding_bytes, subgroup };
            &WgslTiles { wgsl, cooperative: cut.math == Math::Cooperative }
        }
    };
    printer::refuse_f64(plan, [nest].into_iter(), tongue.dialect())?;
    let product = &product;
    // Where operands are not staged there are as many threads as a block has results.
    let vector = if cut.direct { 1 } else { taken(plan, nest, product) };
    let nest = &LoopKernel { schedule: Schedule { vector, ..nest.schedule }, ..nest.clone() };
    let rules = tongue.dialect().rules();
    let part = |phases: &[Phase]| LoopKernel { phases: phases.to_vec(), ..nest.clone() };
    let collect = |nest: &LoopKernel| bindings::collect(plan, [nest].into_iter(), rules);
    let printed = |bindings| Printed { plan, nest, product, cut, bindings, tongue }.with_few_loads().with_vectors();
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
    if let Some(cut) = tiling.tile.and_then(|tile| by(plan, &product, &tile, tiling)) {
        return (product, cut);
    }
    let math = math(plan, nest, &product);
    let cut = direct::cut(nest, &product, math, tiling);
    let cut = cut.unwrap_or_else(|| Cut::choose(&product, math, tiling));
    (product, cut)
}

/// The cut by a tile, where that fits the product and the device.
fn by(plan: &Plan, product: &Contraction, tile: &Tile, tiling: Tiling) -> Option<Cut> {
    let halves = [product.left, product.right].iter().all(|load| plan.buffer(load.buffer).dtype == DType::F16);
    let fits = !tile.is_cooperative() || (tiling.cooperative && halves);
    Cut::by(tile, product, tiling).filter(|_| fits)
}

/// The tilings that are worth measuring for a contraction: what extents decide first, then the tiles that fit.
pub(super) fn tilings(plan: &Plan, nest: &LoopKernel, product: Contraction, tiling: Tiling) -> Vec<Tiling> {
    let product = if rows_are_near(nest, &product) { product.turned() } else { product };
    let fit = Tile::all().filter(|tile| tile.suits(&product) && by(plan, &product, tile, tiling).is_some());
    std::iter::once(tiling).chain(fit.map(|tile| Tiling { tile: Some(tile), ..tiling })).collect()
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

/// An axis's variables with their values at place `at`, those that `used` says are used; of the variable that is taken
/// several at a time, the first.
pub(super) fn decode(axis: &Axis, at: &str, used: impl Fn(Var) -> bool, taken: Option<Var>) -> Vec<(String, String)> {
    let mut below = axis.extent();
    let mut lines = Vec::new();
    for (i, &(var, extent)) in axis.vars.iter().enumerate() {
        below /= extent.max(1);
        if used(var) || taken == Some(var) {
            let divided = if below > 1 { format!("{at} / {below}") } else { at.to_string() };
            let value = if i > 0 { format!("{divided} % {extent}") } else { divided };
            let first = if taken == Some(var) { "_first" } else { "" };
            lines.push((format!("{var}{first}"), value));
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
    tongue: &'a dyn Tongue,
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

    /// The same with operands seen as vectors where every access takes so many of their elements at once: staging does
    /// otherwise than the nest's own loops.
    fn with_vectors(mut self) -> Self {
        let axis = self.nest.vector_axis(&self.nest.phases[1]);
        let mut widths: Vec<(BufferId, usize)> = self.sides().map(|side| (side.load.buffer, side.width())).to_vec();
        let wide = |index: &Affine, guards: &[Guard]| {
            let vector = self.nest.schedule.vector;
            if axis.is_some_and(|axis| is_vector(index, guards, axis, vector)) { vector } else { 1 }
        };
        let after = &self.nest.phases[1];
        widths.extend(after.loads().map(|load| (load.buffer, wide(&load.index, &load.guards))));
        widths.extend(self.nest.stores().map(|(buffer, index)| (buffer, wide(index, &[]))));
        let width = |id: BufferId| {
            let mut all = widths.iter().filter(|w| w.0 == id).map(|w| w.1);
            let first = all.next().unwrap_or(1);
            if all.all(|w| w == first) { first } else { 1 }
        };
        let joined = |slot: &Slot| slot.name == bindings::JOINED;
        for (&id, slot) in &mut self.bindings.slots {
            slot.width = if joined(slot) { 1 } else { width(id) };
        }
        for (binding, slot) in &mut self.bindings.list {
            if let Bound::Buffer(id) = binding.bound {
                slot.width = width(id);
            }
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

    fn dialect(&self) -> &dyn Dialect {
        self.tongue.dialect()
    }

    /// A line that declares a number.
    fn int(&self, t: &mut Text, name: &str, value: &str) {
        let dialect = self.dialect();
        t.line(dialect.constant(name, dialect.ty(Scalar::Index, false), value));
    }

    /// Opens a loop that counts.
    fn count(&self, t: &mut Text, name: &str, from: &str, below: &str, step: usize) {
        let dialect = self.dialect();
        t.open(dialect.count(name, dialect.ty(Scalar::Index, false), from, below, step));
    }

    /// A kernel of so many blocks: `body` prints its statements.
    fn kernel(
        &self,
        entry: &str,
        scratch: Option<Access>,
        memory: Memory,
        [threads, blocks]: [usize; 2],
        body: impl Fn(&mut Text),
    ) -> Source {
        let dialect = self.dialect();
        let groups = printer::spread(blocks, dialect.most_groups());
        let frame = TileFrame { entry, bindings: &self.bindings.list, scratch, memory, threads, blocks, groups };
        let mut t = Text { text: self.tongue.head(&frame), depth: 1 };
        t.lines(self.tongue.numbers(&frame));
        body(&mut t);
        t.depth = 0;
        t.line("}".into());
        let mut helpers = self.tongue.enables();
        helpers.extend(helpers::needed(dialect, &t.text));
        let scratch = scratch.map(|access| Binding::whole(Bound::Workspace, access));
        let bindings = self.bindings.list.iter().map(|b| b.0).chain(scratch).collect();
        Source { entry: entry.into(), helpers, kernel: t.text, threads, groups, bindings }
    }

    /// The tile kernel.
    fn tiles(&self, entry: &str) -> Source {
        let Cut { math, groups, parts, .. } = self.cut;
        let [mt, nt] = self.cut.tiles(self.product);
        let [left, right] = self.sides();
        let staged = if self.cut.direct { 0 } else { (right.at + right.elements()) * math.bytes() };
        let sums = groups * self.cut.rows_of_round() * self.cut.row() * 4;
        let apart = math == Math::Cooperative;
        let floats = if apart { sums } else { staged.max(sums) };
        let scratch = (parts > 1).then_some(Access::ReadWrite);
        let blocks = parts * mt * nt * self.product.batch.extent();
        let staged_sides = [&left, &right].into_iter().filter(|_| !self.cut.direct);
        let memory = Memory {
            floats: Some(("staged", floats.div_ceil(16))),
            halves: apart.then(|| staged.div_ceil(8)),
            lists: staged_sides.filter_map(Side::list).collect(),
        };
        let body = |t: &mut Text| self.tile(t, [&left, &right]);
        self.kernel(entry, scratch, memory, [self.cut.threads(), blocks], body)
    }

    /// What a block does for its tile.
    fn tile(&self, t: &mut Text, sides: [&Side; 2]) {
        let Cut { math, m: tm, n: tn, parts, .. } = self.cut;
        let batch = &self.product.batch;
        let [mt, nt] = self.cut.tiles(self.product);
        t.lines(self.tongue.views(math.cell()));
        self.int(t, "part", &format!("block % {parts}"));
        self.int(t, "tile", &format!("block / {parts}"));
        self.int(t, "m0", &format!("tile % {mt} * {tm}"));
        self.int(t, "n0", &format!("tile / {mt} % {nt} * {tn}"));
        let vars = decode(batch, &format!("(tile / {})", mt * nt), |var| self.uses(var, 0) || self.uses(var, 1), None);
        vars.iter().for_each(|(name, value)| self.int(t, name, value));
        match self.cut.direct {
            true => self.multiply_directly(t),
            false => self.multiply_staged(t, sides),
        }
        let rounds = self.cut.rounds();
        for round in 0..rounds {
            if rounds > 1 {
                t.open("{".into());
            }
            match math {
                Math::Scalar => self.tongue.put_together(t, &self.cut, round),
                Math::Tf32 | Math::Half(_) => matrix::put_together(t, &self.cut, sides),
                Math::Cooperative => cooperative::put_together(t, &self.cut, round),
            }
            self.gather(t, round);
            if rounds > 1 {
                t.close();
            }
            if round + 1 < rounds {
                t.line(self.dialect().meet().into());
            }
        }
    }

    /// The products of all steps, of operands that are staged in shared memory so many steps at a time.
    fn multiply_staged(&self, t: &mut Text, sides: [&Side; 2]) {
        let Cut { math, k: tk, .. } = self.cut;
        let k = &self.product.k;
        let chunk = self.cut.chunk(k.extent());
        self.int(t, "k_first", &format!("part * {chunk}"));
        self.int(t, "k_end", &format!("min(k_first + {chunk}, {})", k.extent()));
        sides.iter().for_each(|side| side.prepare(t));
        match math {
            Math::Scalar => self.prepare(t),
            Math::Tf32 | Math::Half(_) => matrix::prepare(t, &self.cut),
            Math::Cooperative => cooperative::prepare(t, &self.cut),
        }
        // So far all was numbers; from here on the kernel reads what those before it have written.
        self.tongue.take_turn().into_iter().for_each(|line| t.line(line.into()));
        let meet = self.dialect().meet();
        if sides.iter().any(|side| side.has_steps()) {
            t.line(meet.into());
        }
        sides.iter().for_each(|side| side.fetch(t, "k_first"));
        self.count(t, "k0", "k_first", "k_end", tk);
        sides.iter().for_each(|side| side.stage(t));
        t.line(meet.into());
        t.open(format!("if (k0 + {tk} < k_end) {{"));
        sides.iter().for_each(|side| side.fetch(t, &format!("k0 + {tk}")));
        t.close();
        match math {
            Math::Scalar => self.tongue.multiply(t, &self.cut, sides),
            Math::Tf32 | Math::Half(_) => matrix::multiply(t, &self.cut, sides),
            Math::Cooperative => cooperative::multiply(t, &self.cut, sides),
        }
        t.line(meet.into());
        t.close();
    }

    /// Before the loop: what a thread that multiplies for itself has of a tile, and its sums.
    fn prepare(&self, t: &mut Text) {
        let [down, across] = self.cut.owners();
        let per_group = down * across;
        self.tongue.begin_sums(t, &self.cut);
        self.int(t, "group", &format!("thread / {per_group}"));
        self.int(t, "own_n", &format!("thread % {per_group} % {across} * {OWN}"));
        self.int(t, "own_m", &format!("thread % {per_group} / {across} * {OWN}"));
    }

    /// Adds what the groups hold of a tile's rows of a round, and stores it.
    fn gather(&self, t: &mut Text, round: usize) {
        let Cut { groups, parts, .. } = self.cut;
        let (tm, tn) = (self.cut.rows_of_round(), self.cut.columns_of_round());
        let Contraction { m, n, .. } = self.product;
        let tongue = self.tongue;
        t.line(self.dialect().meet().into());
        let width = self.nest.schedule.vector;
        self.count(t, "at", "thread", &(tm * tn / width).to_string(), self.cut.threads());
        // Neighbouring threads store neighbouring results.
        let across = tn / width;
        let [row, column] = [format!("at / {across}"), printer::times(&format!("at % {across}"), width)];
        t.line(tongue.place("start", "const float", "sums", &format!("({row}) * {} + {column}", self.cut.row())));
        let group = tm * self.cut.row();
        let sums: Vec<String> = match width {
            1 => {
                let part = |g: usize| tongue.at("sums", "start", &(g * group).to_string());
                vec![(0..groups).map(part).collect::<Vec<_>>().join(" + ")]
            }
            _ => {
                let fours = || (0..groups).flat_map(|g| (0..width / 4).map(move |four| (g, four)));
                for (g, four) in fours() {
                    let value = tongue.four("sums", "start", g * group + 4 * four);
                    t.line(self.dialect().constant(&format!("of{g}_{four}"), tongue.four_type(), &value));
                }
                let sum = |i: usize| {
                    let part = |g: usize| format!("of{g}_{}.{}", i / 4, ["x", "y", "z", "w"][i % 4]);
                    (0..groups).map(part).collect::<Vec<_>>().join(" + ")
                };
                (0..width).map(sum).collect()
            }
        };
        self.int(t, "m", &format!("m0 + {}", self.cut.row_in_tile(round, &row)));
        self.int(t, "n", &format!("n0 + {}", self.cut.column_in_tile(round, &column)));
        t.open(format!("if (m >= {} || n >= {}) {{", m.extent(), n.extent()));
        t.line("continue;".into());
        t.close();
        if parts > 1 {
            let [mt, nt] = self.cut.tiles(self.product);
            let result = format!("tile / {} * {} + m * {} + n", mt * nt, m.extent() * n.extent(), n.extent());
            t.line(tongue.place("to", "float", "workspace", &format!("part * {} + {result}", results(self.product))));
            if width == 1 {
                t.line(format!("{} = {};", tongue.at("workspace", "to", "0"), sums[0]));
            }
            for (i, four) in sums.chunks_exact(4).enumerate() {
                t.lines(tongue.store_four("to", 4 * i, four));
            }
        } else {
            t.line(tongue.filled("whole", &sums));
            t.line(self.carry());
            self.decode(t, m, "m");
            self.decode(t, n, "n");
            self.finish(t);
        }
        t.close();
    }

    /// The kernel that adds partial sums: columns of threads that each have some results, and where these are few,
    /// several of them for the same results, which put their sums together at last.
    fn sums(&self, entry: &str) -> Source {
        let (results, parts, width) = (results(self.product), self.cut.parts, self.nest.schedule.vector);
        let takers = results / width;
        let sharers = [1, 2, 4, 8, 16].into_iter().find(|s| takers * s >= BUSY || 2 * s >= parts).unwrap_or(32);
        let floats = (sharers > 1).then_some(("together", (THREADS * width).div_ceil(4)));
        let memory = Memory { floats, ..Memory::default() };
        let blocks = takers.div_ceil(THREADS / sharers);
        self.kernel(entry, Some(Access::Read), memory, [THREADS, blocks], |t| self.add_parts(t, sharers))
    }

    /// What a block does of adding partial sums.
    fn add_parts(&self, t: &mut Text, sharers: usize) {
        let Contraction { batch, m, n, .. } = self.product;
        let (results, parts, width) = (results(self.product), self.cut.parts, self.nest.schedule.vector);
        let (tongue, column) = (self.tongue, THREADS / sharers);
        tongue.take_turn().into_iter().for_each(|line| t.line(line.into()));
        let first = printer::times(&format!("(block * {column} + thread % {column})"), width);
        self.int(t, "first", &first);
        self.int(t, "at", &self.dialect().select(&format!("first < {results}"), "first", "0"));
        t.line(tongue.filled("whole", &vec!["0.0f".to_string(); width]));
        self.count(t, "part", &format!("thread / {column}"), &parts.to_string(), sharers);
        t.line(tongue.place("start", "const float", "workspace", &format!("part * {results} + at")));
        tongue.repeat(t, "i", width, &|t, i| t.line(format!("whole[{i}] += {};", tongue.at("workspace", "start", i))));
        t.close();
        if sharers > 1 {
            let shared = |i: &str| tongue.at("together", "thread", &format!("{i} * {THREADS}"));
            tongue.repeat(t, "i", width, &|t, i| t.line(format!("{} = whole[{i}];", shared(i))));
            t.line(self.dialect().meet().into());
            t.open(format!("if (thread >= {column}) {{"));
            t.line("return;".into());
            t.close();
            self.count(t, "sharer", "1", &sharers.to_string(), 1);
            let other = |i: &str| tongue.at("together", "thread", &format!("{i} * {THREADS} + sharer * {column}"));
            tongue.repeat(t, "i", width, &|t, i| t.line(format!("whole[{i}] += {};", other(i))));
            t.close();
        }
        t.open(format!("if (first >= {results}) {{"));
        t.line("return;".into());
        t.close();
        t.line(self.carry());
        let (mx, nx) = (m.extent(), n.extent());
        self.int(t, "m", &format!("at / {nx} % {mx}"));
        self.int(t, "n", &format!("at % {nx}"));
        self.decode(t, batch, &format!("(at / {})", mx * nx));
        self.decode(t, m, "m");
        self.decode(t, n, "n");
        self.finish(t);
    }

    /// The line that gives the sum, or the array of sums, the name of its carry.
    fn carry(&self) -> String {
        let carry = format!("c{}", self.product.carry);
        match self.nest.schedule.vector {
            1 => self.dialect().constant(&carry, self.dialect().ty(Scalar::Float, false), "whole[0]"),
            width => self.tongue.carry(&carry, width),
        }
    }

    /// Gives an axis's variables at place `at` the values that what follows the sum uses.
    fn decode(&self, t: &mut Text, axis: &Axis, at: &str) {
        let taken = self.nest.vector_axis(&self.nest.phases[1]);
        let vars = decode(axis, at, |var| self.uses(var, 1), taken);
        vars.iter().for_each(|(name, value)| self.int(t, name, value));
    }

    /// What follows the sum: the nest's second phase.
    fn finish(&self, t: &mut Text) {
        t.text.push_str(&printer::phase_of_one(self.plan, self.nest, 1, &self.bindings, self.dialect(), t.depth));
    }

    /// Whether a phase uses a variable.
    fn uses(&self, var: Var, phase: usize) -> bool {
        self.nest.phases[phase].indices().iter().any(|a| a.coefficient(var) != 0)
    }
}

impl Affine {
    /// The map as C.
    pub(super) fn code(&self) -> String {
        self.to_string().replace('*', " * ")
    }
}

/// Lines with their depth.
pub(super) struct Text {
    pub(super) text: String,
    pub(super) depth: usize,
}

impl Text {
    pub(super) fn line(&mut self, line: String) {
        let indent = if line.starts_with("#pragma") { 0 } else { self.depth };
        let _ = writeln!(self.text, "{}{line}", "  ".repeat(indent));
    }

    pub(super) fn lines(&mut self, lines: Vec<String>) {
        lines.into_iter().for_each(|line| self.line(line));
    }

    pub(super) fn open(&mut self, line: String) {
        self.line(line);
        self.depth += 1;
    }

    pub(super) fn close(&mut self) {
        self.depth -= 1;
        self.line("}".into());
    }
}
