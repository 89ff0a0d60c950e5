//! Lets the first stage of a sum compute what it adds. A kernel that stores each element of a buffer and one that sums
//! all of it up by columns, as the mask of a ReLU's gradient and the gradient of the bias before it, become one, and the
//! buffer is not read again. For targets with workgroups, where such buffers are far larger than any cache.

use super::merge::in_place_of;
use crate::plan::{Affine, BufferId, ExprId, KernelKind, LoopKernel, Out, Phase, Plan, Target, Var};

/// Points that the sum must have for each that keeps the device busy. Each walks its part alone and waits for memory at
/// every step, where the maker has a thread for each element.
const BUSY: usize = 12;

/// Joins all such pairs.
pub(super) fn absorb(plan: &mut Plan, target: &Target) {
    if target.workgroup <= 1 {
        return;
    }
    let mut sum = 0;
    while sum < plan.kernels.len() {
        match pair(plan, sum, target) {
            Some((maker, kernel)) => {
                let [first, second] = [maker, sum].map(|k| &plan.kernels[k]);
                plan.kernels[maker] = in_place_of([first, second], kernel);
                plan.kernels.remove(sum);
            }
            None => sum += 1,
        }
    }
}

/// The kernel that makes what kernel `sum` adds, and both as one, to run in the maker's place.
fn pair(plan: &Plan, sum: usize, target: &Target) -> Option<(usize, LoopKernel)> {
    let (KernelKind::Loop(second), [], []) =
        (&plan.kernels[sum].kind, &plan.kernels[sum].waits[..], &plan.kernels[sum].signals[..])
    else {
        return None;
    };
    let busy = second.points() >= BUSY * target.reduce_lanes;
    let walk = second.phases.first().filter(|phase| !phase.reduce.is_empty() && busy)?;
    let (reads, writes) = (plan.kernels[sum].reads(), plan.kernels[sum].writes());
    let maker = (0..sum).rev().find(|&k| plan.kernels[k].writes().iter().any(|b| reads.contains(b)))?;
    let KernelKind::Loop(first) = &plan.kernels[maker].kind else { return None };
    // What runs between the two must not see that the sum comes earlier. It writes nothing that the sum reads: the maker
    // is the last to do so.
    let between = &plan.kernels[maker..sum];
    if between.iter().any(|k| k.reads().iter().chain(&k.writes()).any(|b| writes.contains(b))) {
        return None;
    }
    Some((maker, joined(plan, first, second, walk)?))
}

/// Both as one: the walk of the sum computes each element, stores it, and adds it.
fn joined(plan: &Plan, maker: &LoopKernel, sum: &LoopKernel, walk: &Phase) -> Option<LoopKernel> {
    let ([points], [made]) = (&maker.grid[..], &maker.phases[..]) else { return None };
    if !made.reduce.is_empty() || !made.lets.is_empty() || !walk.lets.is_empty() {
        return None;
    }
    let own = Affine::var(Var::Grid(0), 1);
    let stored: Vec<(BufferId, ExprId)> = made
        .outs
        .iter()
        .filter_map(|out| match out {
            Out::Store { buffer, index, value } if *index == own => Some((*buffer, *value)),
            Out::Store { .. } | Out::Reduce { .. } => None,
        })
        .collect();
    let value = |buffer| stored.iter().find(|s| s.0 == buffer).map(|s| s.1);
    let mut loads = walk.loads().filter(|load| value(load.buffer).is_some());
    let place = loads.next().filter(|load| load.guards.is_empty())?.index.clone();
    let elsewhere = loads.any(|load| load.index != place || !load.guards.is_empty())
        || sum.phases[1..].iter().flat_map(Phase::loads).any(|load| value(load.buffer).is_some());
    let whole = stored.len() == made.outs.len() && stored.iter().all(|s| plan.buffer(s.0).len == *points);
    if elsewhere || !whole || !covers(&place, &sum.grid, &walk.reduce, *points) {
        return None;
    }
    let mut phase = made.clone();
    phase.reduce = walk.reduce.clone();
    phase.map_indices(|index| {
        index.substitute(|var| if var == Var::Grid(0) { place.clone() } else { Affine::var(var, 1) })
    });
    phase.goes_on(walk, |load| value(load.buffer));
    let phases = [&[phase], &sum.phases[1..]].concat();
    Some(LoopKernel { phases, ..sum.clone() })
}

/// Whether an index takes each number below `count` once as grid and reduced space are walked, neighbours on the
/// innermost axis of the grid.
fn covers(index: &Affine, grid: &[usize], reduce: &[usize], count: usize) -> bool {
    let numbered = |extents: &[usize], var: fn(u32) -> Var| {
        extents.iter().enumerate().map(|(i, &n)| (var(i as u32), n)).collect::<Vec<_>>()
    };
    let axes = [numbered(grid, Var::Grid), numbered(reduce, Var::Reduce)].concat();
    let all: usize = axes.iter().map(|axis| axis.1).product();
    let nearest = index.dense(axes.into_iter()).and_then(|vars| vars.first().copied());
    index.offset == 0 && all == count && nearest == Some(Var::Grid(grid.len() as u32 - 1))
}
