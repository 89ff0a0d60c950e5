//! Source text for devices of many threads: one printer walks the phases and expressions of loop kernels, a
//! small dialect says how a language writes them. Knows no device: it neither compiles text nor runs it, and
//! library kernels are not its business.
//!
//! What is printed keeps the meaning the CPU backend gives a plan: floats are computed in f32 and rounded to
//! their dtype when cast or stored, integers wrap, a division by zero gives 0, casts saturate, NaN goes
//! through maxima and minima. Fast-math options of a compiler break that and must stay off. Reductions fold
//! in a fixed order, without float atomics, so that results do not vary from run to run.

mod bindings;
mod contraction;
mod cuda;
mod dialect;
mod helpers;
mod printer;
mod ranges;
mod scatter;
mod wgsl;

use std::ops::Range;

use crate::error::{Error, Result};
use crate::plan::{Contraction, Kernel, KernelKind, LoopKernel, Plan, Scatter, Workers};

pub use bindings::{Access, Binding, Bound};
pub use contraction::{Tile, Tiling};
use dialect::Dialect;

/// A language to print in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// CUDA C++ without headers; warps have 32 lanes.
    Cuda,
    /// WGSL without extensions, but for what `subgroup` asks and cooperative matrices where [`Tiling::cooperative`] allows
    /// them.
    Wgsl {
        /// Storage buffers that a kernel may bind on the device. A kernel that needs more binds the arena as
        /// one.
        bindings: usize,
        /// Bytes that a binding may have on the device. What is larger is bound as several.
        binding_bytes: usize,
        /// Threads of every subgroup (a power of two), which then exchange what they fold; 0 where that is not
        /// known or not possible, and threads fold through shared memory alone.
        subgroup: usize,
    },
}

/// A printed kernel and how to launch it.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// The kernel's name in the text: `k3`, or `k3_to_k7` for an island.
    pub entry: String,
    /// Helper functions and types it uses, each complete, in an order in which they can stand.
    pub helpers: Vec<String>,
    /// The kernel alone.
    pub kernel: String,
    /// Threads of a workgroup.
    pub threads: usize,
    /// Workgroups on each of three axes.
    pub groups: [usize; 3],
    /// What to bind, in order.
    pub bindings: Vec<Binding>,
}

impl Source {
    /// The whole text.
    pub fn text(&self) -> String {
        text([self])
    }
}

/// The text of several kernels with their helpers once: for languages whose kernels can share a file (CUDA
/// C++; a WGSL kernel's bindings are global, so it wants a file of its own).
pub fn text<'a>(sources: impl IntoIterator<Item = &'a Source>) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let sources: Vec<&Source> = sources.into_iter().collect();
    for helper in sources.iter().flat_map(|s| &s.helpers) {
        if !parts.contains(&helper.as_str()) {
            parts.push(helper);
        }
    }
    parts.extend(sources.iter().map(|s| s.kernel.as_str()));
    parts.join("\n")
}

/// What a device launches, in order: islands, and kernels one by one.
pub fn launches(plan: &Plan) -> Vec<Range<usize>> {
    let mut all = Vec::new();
    let mut at = 0;
    while at < plan.kernels.len() {
        let island = plan.islands.iter().find(|r| r.start == at).cloned();
        let run = island.unwrap_or(at..at + 1);
        at = run.end;
        all.push(run);
    }
    all
}

/// Prints a loop kernel or an island, contractions and scattered sums ([`Workers::Tiles`]) by workgroups that each
/// compute many results together: the kernels to launch, one after the other. WGSL takes [`Workers::MatrixTiles`] as threads: its matrix units
/// are a [`Tile`]'s. Errors as [`print()`].
pub fn print_tiled(plan: &Plan, kernels: Range<usize>, tiling: Tiling, language: Language) -> Result<Vec<Source>> {
    let by_tiles = |nest: &LoopKernel| language == Language::Cuda || nest.schedule.workers != Workers::MatrixTiles;
    let entry = format!("k{}", kernels.start);
    let printed = match tiled(plan, &kernels).filter(|found| by_tiles(found.0)) {
        None => return Ok(vec![print(plan, kernels, language)?]),
        Some((nest, Tiled::Product(product))) => contraction::print(plan, &entry, nest, product, tiling, language),
        Some((nest, Tiled::Scatter(scatter))) => {
            dialect(language, |dialect| scatter::print(plan, &entry, nest, &scatter, dialect))
                .map(|source| vec![source])
        }
    };
    printed.map_err(|e| e.at(format!("kernel {entry}")))
}

/// The tilings that are worth measuring for a kernel in WGSL, the one that extents decide first: it alone where the
/// kernel is not printed by tiles, or where it says which tile.
pub fn tilings(plan: &Plan, kernels: &Range<usize>, tiling: Tiling) -> Vec<Tiling> {
    let free = |nest: &LoopKernel| nest.schedule.workers == Workers::Tiles && tiling.tile.is_none();
    match tiled(plan, kernels) {
        Some((nest, Tiled::Product(product))) if free(nest) => contraction::tilings(plan, nest, product, tiling),
        _ => vec![tiling],
    }
}

/// Bytes of the scratch memory that what [`print_tiled`] prints shares.
pub fn scratch_bytes(plan: &Plan, kernels: &Range<usize>, tiling: Tiling) -> usize {
    match tiled(plan, kernels) {
        Some((nest, Tiled::Product(product))) => contraction::scratch_bytes(plan, nest, product, tiling),
        _ => 0,
    }
}

/// What workgroups compute that each have many results.
enum Tiled<'a> {
    Product(Contraction<'a>),
    Scatter(Scatter<'a>),
}

/// The nest that is printed so, if one is.
fn tiled<'a>(plan: &'a Plan, kernels: &Range<usize>) -> Option<(&'a LoopKernel, Tiled<'a>)> {
    let [Kernel { kind: KernelKind::Loop(nest), .. }] = &plan.kernels[kernels.clone()] else { return None };
    let by_tiles =
        nest.schedule.workers.are_tiles() && !printer::is_wide(plan, [nest].into_iter(), 1 << 16, &cuda::Cuda);
    let product = || nest.contraction().map(Tiled::Product);
    let scatter = || nest.scatter().map(Tiled::Scatter);
    by_tiles.then(|| product().or_else(scatter)).flatten().map(|tiled| (nest, tiled))
}

/// Prints a loop kernel of a plan, or an island of them (`kernels` is then the island's range). Memory must
/// have been planned. An error says what the language cannot hold: f64, or for WGSL indices beyond 32 bits and
/// more buffers than a kernel may bind.
pub fn print(plan: &Plan, kernels: Range<usize>, language: Language) -> Result<Source> {
    let place = || match kernels.len() {
        1 => format!("kernel k{}", kernels.start),
        _ => format!("island k{} to k{}", kernels.start, kernels.end - 1),
    };
    let members: Vec<_> = plan.kernels[kernels.clone()]
        .iter()
        .map(|k| match &k.kind {
            KernelKind::Loop(nest) => nest,
            KernelKind::Library(call) => panic!("onestep bug: {} is a library call, not a loop nest", call.name()),
        })
        .collect();
    let threads = members.first().map_or(1, |m| m.schedule.threads);
    for m in &members {
        let s = m.schedule;
        let whole = match s.workers {
            Workers::Thread | Workers::Tiles | Workers::MatrixTiles => true,
            Workers::Warp(lanes) => lanes.is_power_of_two() && threads.is_multiple_of(lanes),
            Workers::Block => threads.is_power_of_two(),
        };
        assert!(s.threads == threads && whole, "onestep bug: {} does not fit {threads} threads", s);
    }
    let entry = match kernels.len() {
        1 => format!("k{}", kernels.start),
        _ => format!("k{}_to_k{}", kernels.start, kernels.end - 1),
    };
    let numbered: Vec<_> = kernels.clone().zip(members).collect();
    let printed = dialect(language, |dialect| printer::print(plan, &entry, &numbered, threads, dialect));
    printed.map_err(|e: Error| e.at(place()))
}

/// Does something in a language.
fn dialect<T>(language: Language, what: impl FnOnce(&dyn Dialect) -> T) -> T {
    match language {
        Language::Cuda => what(&cuda::Cuda),
        Language::Wgsl { bindings, binding_bytes, subgroup } => what(&wgsl::Wgsl { bindings, binding_bytes, subgroup }),
    }
}
