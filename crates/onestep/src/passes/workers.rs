//! Who computes what: a thread, a warp or a workgroup for each grid point of a loop kernel, and how many
//! neighbouring elements a thread takes at once. Decided by shapes and the target's numbers alone, so that
//! the same program gets the same kernels, and the same bits.

use crate::ir::DType;
use crate::plan::{
    Expr, Fold, KernelKind, LoopKernel, Out, Phase, Plan, Scatter, Schedule, Target, Var, Workers, is_vector,
};

/// Threads of a workgroup in most kernels: enough to hide latency, few enough that small grids spread.
const THREADS: usize = 256;
/// Rows longer than this times the warp are shared by a whole workgroup, and so are shorter ones where there are few.
const STEPS_OF_A_WARP: usize = 32;
/// Threads that a kernel keeps busy before each of them takes several elements; and one that folds, whose threads wait
/// for memory again and again.
const BUSY: usize = 1 << 13;
const BUSY_FOLDING: usize = 1 << 15;
/// Rows of a scattered sum from which each has a workgroup of its own, of at least so many threads: as many as a word has
/// bits.
const ROWS: usize = 64;
const WORD: usize = 32;
/// What folding the partial results of several threads costs, in elements walked.
const FOLDING: usize = 16;

/// Schedules every loop kernel.
pub(super) fn decide_all(plan: &mut Plan, target: &Target) {
    if target.workgroup <= 1 {
        return;
    }
    for k in 0..plan.kernels.len() {
        if let KernelKind::Loop(kernel) = &plan.kernels[k].kind {
            let schedule = decide(plan, kernel, target);
            if let KernelKind::Loop(kernel) = &mut plan.kernels[k].kind {
                kernel.schedule = schedule;
            }
        }
    }
}

/// The schedule of a kernel that has the device to itself.
fn decide(plan: &Plan, kernel: &LoopKernel, target: &Target) -> Schedule {
    let most = largest_workgroup(target);
    if let Some(workers) = tiles(plan, kernel, target) {
        return Schedule { workers, threads: most, vector: 1 };
    }
    let (points, row) = (kernel.points(), kernel.longest_row());
    let workers = if row < target.subgroup || (points >= BUSY && walks_grid_in_order(kernel)) {
        Workers::Thread
    } else if most > target.subgroup
        && (row > STEPS_OF_A_WARP * target.subgroup || (row >= 2 * most && points * most <= 2 * target.reduce_lanes))
    {
        Workers::Block
    } else if target.subgroup > 1 {
        Workers::Warp(target.subgroup)
    } else {
        Workers::Thread
    };
    let wanted = match workers {
        Workers::Thread | Workers::Tiles | Workers::MatrixTiles => points.max(target.subgroup),
        Workers::Warp(lanes) => points * lanes,
        Workers::Block => row,
    };
    let threads = wanted.next_power_of_two().clamp(1, most);
    let schedule = Schedule { workers, threads, vector: 1 };
    Schedule { vector: vector(plan, kernel, schedule, target), ..schedule }
}

/// Whether a kernel is a contraction large enough for tiles.
pub(super) fn is_tiled(kernel: &LoopKernel, target: &Target) -> bool {
    target.tile_work > 0 && kernel.contraction().is_some_and(|c| c.work() >= target.tile_work)
}

/// Whether a kernel is a scattered sum of so many rows and steps that each row's steps had better be looked for first.
/// Of few rows each has many of the steps, and few workgroups would look for them.
pub(super) fn is_scattered(kernel: &LoopKernel, target: &Target) -> bool {
    let many = |s: &Scatter| s.group.extent() >= ROWS && s.work() >= target.tile_work;
    target.tile_work > 0 && largest_workgroup(target) >= WORD && kernel.scatter().is_some_and(|s| many(&s))
}

/// What computes a kernel by workgroups that do more than share a row, if it is to be.
fn tiles(plan: &Plan, kernel: &LoopKernel, target: &Target) -> Option<Workers> {
    if is_scattered(kernel, target) {
        return Some(Workers::Tiles);
    }
    let product = kernel.contraction().filter(|_| is_tiled(kernel, target))?;
    let [left, right] = [product.left, product.right].map(|load| plan.buffer(load.buffer).dtype);
    let by_matrix = left == right
        && match left {
            DType::BF16 | DType::F16 => target.matrix_units,
            DType::F32 => target.tf32,
            _ => false,
        };
    Some(if by_matrix { Workers::MatrixTiles } else { Workers::Tiles })
}

/// The schedule of a kernel that one workgroup runs alone: what leaves its threads the fewest steps.
pub(super) fn in_one_workgroup(kernel: &LoopKernel, threads: usize, target: &Target) -> Schedule {
    let (points, row) = (kernel.points(), kernel.longest_row());
    let shared = |lanes: usize| points.div_ceil(threads / lanes) * (row.div_ceil(lanes) + FOLDING);
    let alone = (points.div_ceil(threads) * row, Workers::Thread);
    let mut choices = vec![alone];
    if row > 1 && target.subgroup > 1 && threads >= target.subgroup {
        choices.push((shared(target.subgroup), Workers::Warp(target.subgroup)));
        choices.push((shared(threads), Workers::Block));
    }
    let workers = choices.into_iter().min_by_key(|c| c.0).map_or(Workers::Thread, |c| c.1);
    Schedule { workers, threads, vector: 1 }
}

/// The most threads that a workgroup should have: a power of two whose folds fit the shared memory.
pub(super) fn largest_workgroup(target: &Target) -> usize {
    // A fold keeps a value and a place for each thread.
    let fits = (target.shared_bytes / 8).max(target.subgroup);
    let most = target.workgroup.min(THREADS).min(fits).max(1);
    if most.is_power_of_two() { most } else { most.next_power_of_two() / 2 }
}

/// Whether more of what reducing phases load lies in order along the grid than along the rows.
fn walks_grid_in_order(kernel: &LoopKernel) -> bool {
    let loads = |var: &dyn Fn(&Phase) -> Option<Var>| {
        let in_order = |p: &Phase| {
            let near = |var: Var| {
                p.body.iter().filter(move |t| matches!(&t.expr, Expr::Load(l) if l.index.coefficient(var) == 1)).count()
            };
            var(p).map_or(0, near)
        };
        kernel.phases.iter().filter(|p| !p.reduce.is_empty()).map(in_order).sum::<usize>()
    };
    let last = |extents: &[usize]| extents.len().checked_sub(1).map(|i| i as u32);
    let grid = loads(&|_| last(&kernel.grid).map(Var::Grid));
    grid > loads(&|p| last(&p.reduce).map(Var::Reduce))
}

/// How many neighbouring elements a thread takes at once.
fn vector(plan: &Plan, kernel: &LoopKernel, schedule: Schedule, target: &Target) -> usize {
    let places = |p: &Phase| p.outs.iter().any(|o| matches!(o, Out::Reduce { fold: Fold::Place(_), .. }));
    let alone = schedule.workers == Workers::Thread;
    // A thread keeps one place of an extreme.
    if alone && kernel.phases.iter().any(places) {
        return 1;
    }
    let axis = if alone { kernel.grid.last() } else { None };
    let extents: Vec<usize> = match alone {
        true => axis.into_iter().copied().collect(),
        false => kernel.phases.iter().filter_map(|p| p.reduce.last().copied()).collect(),
    };
    let busy = if kernel.longest_row() > 1 { BUSY_FOLDING } else { BUSY };
    let enough = |width: usize| {
        if alone { kernel.points() / width >= busy } else { kernel.longest_row() / width >= target.subgroup }
    };
    let mut width = 8;
    while width > 1 {
        let tried = LoopKernel { schedule: Schedule { vector: width, ..schedule }, ..kernel.clone() };
        let divides = !extents.is_empty() && extents.iter().all(|e| e.is_multiple_of(width));
        if divides && worth_it(plan, &tried, target, enough(width)) {
            return width;
        }
        width /= 2;
    }
    1
}

/// Whether vectors pay in a kernel that has been given a width: something is loaded or stored that way, no
/// vector is wider than the target's, and there are elements enough; or narrow stores go out in whole words.
fn worth_it(plan: &Plan, kernel: &LoopKernel, target: &Target, enough: bool) -> bool {
    let width = kernel.schedule.vector;
    let (mut vectors, mut words) = (false, false);
    // What is loaded again and again decides, not what is stored once.
    let walks = |p: &Phase| !p.reduce.is_empty() || kernel.longest_row() == 1;
    for phase in &kernel.phases {
        let Some(axis) = kernel.vector_axis(phase) else { continue };
        let loads = phase.body.iter().filter_map(|t| match &t.expr {
            Expr::Load(l) => Some((l.buffer, is_vector(&l.index, &l.guards, axis, width), false)),
            _ => None,
        });
        let stores = phase.outs.iter().filter_map(|o| match o {
            Out::Store { buffer, index, .. } => Some((*buffer, is_vector(index, &[], axis, width), true)),
            Out::Reduce { .. } => None,
        });
        for (buffer, together, stored) in loads.chain(stores) {
            let size = plan.buffer(buffer).dtype.size();
            if together && size * width > target.vector_bytes {
                return false;
            }
            vectors |= together && walks(phase);
            words |= together && stored && size < 4 && size * width >= 4;
        }
    }
    (vectors && enough) || words
}
