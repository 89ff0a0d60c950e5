//! Large reductions over few points in two stages: the inner part of the reduced space becomes more points
//! of the grid, and a second kernel folds their results. Parts are fixed by shape and target, never by load,
//! so that results are deterministic.

use super::workers::{is_tiled, largest_workgroup};
use crate::plan::{
    Affine, BufferId, Expr, ExprId, Fold, Kernel, KernelKind, Load, LoopKernel, Out, Phase, Place, Plan, Target, Typed,
    Var,
};

/// Elements a reduction must have at each point before two stages pay.
const WORTH_SPLITTING: usize = 256;
/// Elements of a part from which on many threads are spread wider, by this factor: enough to make up for the second
/// stage, which grows.
const DEEP: usize = 64;
const WIDER: usize = 16;
/// Points from which a workgroup for each makes do with one stage, and the longest rows that it folds as fast as two.
const ENOUGH_BLOCKS: usize = 32;
const SHORT_FOR_A_BLOCK: usize = 1 << 12;
/// Most partial results that are stored where those of a point lie together: one by one, for neighbouring threads have
/// neighbouring points.
const MOST_APART: usize = 1 << 16;
/// Neighbouring elements that points should read together.
const SHORT_RUN: usize = 256;

/// Splits what is worth it.
pub(super) fn split(plan: &mut Plan, target: &Target) {
    let mut kernels = Vec::with_capacity(plan.kernels.len());
    for kernel in std::mem::take(&mut plan.kernels) {
        match &kernel.kind {
            KernelKind::Loop(whole) if is_tiled(whole, target) => kernels.push(kernel),
            KernelKind::Loop(whole) => {
                let parts = staged(plan, whole, target);
                kernels.extend(parts.into_iter().map(|k| Kernel { kind: KernelKind::Loop(k), ..kernel.clone() }));
            }
            KernelKind::Library(_) => kernels.push(kernel),
        }
    }
    plan.kernels = kernels;
}

/// How many parts a phase's reduction is cut into; 1 where it is left whole.
fn parts(phase: &Phase, grid: &[usize], target: &Target) -> usize {
    let total: usize = phase.reduce.iter().product();
    let points = grid.iter().product::<usize>() * workers(phase, grid, target);
    let folds = phase.outs.iter().all(|o| matches!(o, Out::Reduce { fold: Fold::Value(_), .. }));
    let Some(&last) = phase.reduce.last() else { return 1 };
    if !folds || total < WORTH_SPLITTING {
        return 1;
    }
    if target.subgroup > 1 && points >= ENOUGH_BLOCKS && total <= SHORT_FOR_A_BLOCK {
        return 1;
    }
    let most = match grid.last() {
        _ if points * 4 <= target.reduce_lanes => {
            let spread = target.reduce_lanes / points.max(1);
            let wider = if target.workgroup > 1 { (WIDER * spread).min(total / DEEP) } else { 0 };
            spread.max(wider)
        }
        // Many points of which few are neighbours: parts of the walk that follow them make a longer run.
        Some(&inner) if inner * 4 <= SHORT_RUN && continues(phase, grid) => SHORT_RUN / inner,
        _ => 1,
    };
    (1..=most).rev().find(|p| last.is_multiple_of(*p)).unwrap_or(1)
}

/// Whether the innermost step of a phase's walk moves to the elements that follow those of the innermost
/// grid axis.
fn continues(phase: &Phase, grid: &[usize]) -> bool {
    let (Some(&inner), Some(walk)) = (grid.last(), phase.reduce.len().checked_sub(1)) else { return false };
    let point = Var::Grid(grid.len() as u32 - 1);
    let follows = |a: &Affine| {
        let step = a.coefficient(Var::Reduce(walk as u32));
        a.coefficient(point) == 1 && step == inner as i64
    };
    phase.body.iter().any(|t| matches!(&t.expr, Expr::Load(l) if follows(&l.index)))
}

/// Threads that share a row: those of a workgroup, where the target has them and the row lies in order.
fn workers(phase: &Phase, grid: &[usize], target: &Target) -> usize {
    let total: usize = phase.reduce.iter().product();
    if rows_in_order(phase, grid) { largest_workgroup(target).min(total).max(1) } else { 1 }
}

/// Whether neighbouring elements of a row are neighbours in memory, rather than those of neighbouring points.
fn rows_in_order(phase: &Phase, grid: &[usize]) -> bool {
    let near = |var: Var| {
        let near = |a: &Affine| a.coefficient(var) == 1;
        phase.body.iter().filter(|t| matches!(&t.expr, Expr::Load(l) if near(&l.index))).count()
    };
    let (Some(inner), Some(innermost)) = (phase.reduce.len().checked_sub(1), grid.len().checked_sub(1)) else {
        return true;
    };
    near(Var::Reduce(inner as u32)) > near(Var::Grid(innermost as u32))
}

/// A kernel as a sequence of kernels with every large reduction in two stages.
fn staged(plan: &mut Plan, whole: &LoopKernel, target: &Target) -> Vec<LoopKernel> {
    if whole.phases.iter().all(|p| parts(p, &whole.grid, target) == 1) {
        return vec![whole.clone()];
    }
    let mut kernels = Vec::new();
    let mut current = LoopKernel { grid: whole.grid.clone(), ..LoopKernel::default() };
    // Where the carries of finished kernels are kept, one element a grid point.
    let mut kept: Vec<(usize, BufferId)> = Vec::new();
    for (i, phase) in whole.phases.iter().enumerate() {
        let count = parts(phase, &whole.grid, target);
        if count == 1 {
            current.phases.push(with_kept(phase, &whole.grid, &kept));
            continue;
        }
        finish(plan, &mut kernels, &mut current, &whole.phases[i..], &mut kept);
        let shared = workers(phase, &whole.grid, target) > 1;
        let apart = target.subgroup > 1 && whole.points() * count <= MOST_APART;
        let cut = Cut { parts: count, shared, apart };
        let (first, second) = two_stages(plan, &with_kept(phase, &whole.grid, &kept), &whole.grid, cut);
        kernels.push(first);
        current.phases.push(second);
    }
    finish(plan, &mut kernels, &mut current, &[], &mut kept);
    kernels
}

/// The row-major number of a grid point.
fn number(grid: &[usize]) -> Affine {
    let start = Affine::default();
    grid.iter()
        .enumerate()
        .fold(start, |sum, (i, &n)| sum.scaled(n as i64).plus(&Affine::var(Var::Grid(i as u32), 1), 1))
}

fn load(buffer: BufferId, index: Affine) -> Expr {
    Expr::Load(Load { buffer, index, guards: Vec::new(), fill: 0.0 })
}

/// The phase with carries of finished kernels read from where they are kept.
fn with_kept(phase: &Phase, grid: &[usize], kept: &[(usize, BufferId)]) -> Phase {
    let mut phase = phase.clone();
    for typed in &mut phase.body {
        if let Expr::Carry(k) = typed.expr
            && let Some((_, buffer)) = kept.iter().find(|(carry, _)| *carry == k)
        {
            typed.expr = load(*buffer, number(grid));
        }
    }
    phase
}

/// Ends the current kernel: what later phases need of its carries is stored.
fn finish(
    plan: &mut Plan,
    kernels: &mut Vec<LoopKernel>,
    current: &mut LoopKernel,
    later: &[Phase],
    kept: &mut Vec<(usize, BufferId)>,
) {
    let mut store = Phase::default();
    for phase in &current.phases {
        for out in &phase.outs {
            let Out::Reduce { carry, dtype, .. } = out else { continue };
            let needed = later.iter().flat_map(|p| &p.body).any(|t| t.expr == Expr::Carry(*carry));
            if needed {
                let buffer = plan.add_buffer(Place::Arena(None), *dtype, current.points(), "carry");
                kept.push((*carry, buffer));
                let value = ExprId(store.body.len() as u32);
                store.body.push(Typed { expr: Expr::Carry(*carry), dtype: *dtype });
                store.outs.push(Out::Store { buffer, index: number(&current.grid), value });
            }
        }
    }
    if !store.outs.is_empty() {
        current.phases.push(store);
    }
    if !current.phases.is_empty() {
        let grid = current.grid.clone();
        kernels.push(std::mem::replace(current, LoopKernel { grid, ..LoopKernel::default() }));
    }
}

/// How a reduction is cut.
struct Cut {
    parts: usize,
    /// Whether several threads share a part, which is then a run of the row, else every so manyth element of it.
    shared: bool,
    /// Whether a point's partial results lie together, for threads that share them, rather than those of a part.
    apart: bool,
}

/// The kernel that folds each part, and the phase that folds the parts.
fn two_stages(plan: &mut Plan, phase: &Phase, grid: &[usize], cut: Cut) -> (LoopKernel, Phase) {
    let Cut { parts, shared, apart } = cut;
    let inner = phase.reduce.len() - 1;
    // Parts go where neighbouring points read neighbouring elements.
    let parts_last = rows_in_order(phase, grid);
    let place = match parts_last {
        true => grid.len(),
        false if continues(phase, grid) => grid.len() - 1,
        false => 0,
    };
    let part = Var::Grid(place as u32);
    let mut wide = grid.to_vec();
    wide.insert(place, parts);
    let mut first = phase.clone();
    first.reduce[inner] /= parts;
    // Parts of one element leave no variable to walk.
    let (across, left) = match first.reduce[inner] {
        1 => (1, 0),
        run if shared => (run as i64, 1),
        _ => (1, parts as i64),
    };
    first.map_indices(|a| {
        a.substitute(|var| match var {
            Var::Grid(i) if i as usize >= place => Affine::var(Var::Grid(i + 1), 1),
            Var::Reduce(i) if i as usize == inner => Affine::var(part, across).plus(&Affine::var(var, 1), left),
            other => Affine::var(other, 1),
        })
    });
    if left == 0 {
        first.reduce.pop();
    }
    let points: usize = grid.iter().product();
    let kept = match apart {
        true => {
            let point = |var| match var {
                Var::Grid(i) if i as usize >= place => Affine::var(Var::Grid(i + 1), 1),
                other => Affine::var(other, 1),
            };
            number(grid).substitute(point).scaled(parts as i64).plus(&Affine::var(part, 1), 1)
        }
        false => number(&wide),
    };
    let mut store = Phase::default();
    let mut second = Phase { reduce: vec![parts], ..Phase::default() };
    for out in &phase.outs {
        let Out::Reduce { fold, carry, dtype, .. } = out else { continue };
        let buffer = plan.add_buffer(Place::Arena(None), *dtype, points * parts, "partial");
        let value = ExprId(store.body.len() as u32);
        store.body.push(Typed { expr: Expr::Carry(*carry), dtype: *dtype });
        store.outs.push(Out::Store { buffer, index: kept.clone(), value });
        // The partial of a point and a part: the parts' axis walks, the others are the point's.
        let index = kept.substitute(|var| match var {
            Var::Grid(i) if i as usize == place => Affine::var(Var::Reduce(0), 1),
            Var::Grid(i) if i as usize > place => Affine::var(Var::Grid(i - 1), 1),
            other => Affine::var(other, 1),
        });
        second.body.push(Typed { expr: load(buffer, index), dtype: *dtype });
        second.outs.push(Out::Reduce { fold: *fold, value, carry: *carry, dtype: *dtype });
    }
    (LoopKernel { grid: wide, phases: vec![first, store], ..LoopKernel::default() }, second)
}
