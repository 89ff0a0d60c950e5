//! Islands: runs of loop kernels so small that launching them costs more than running them. One workgroup
//! runs them all, with barriers in between. Only marks runs; the order stays, and devices without workgroups
//! run the members one by one.

use std::collections::BTreeSet;
use std::ops::Range;

use super::workers::{in_one_workgroup, largest_workgroup};
use crate::plan::{KernelKind, LoopKernel, Place, Plan, Target};

/// Marks runs of at least two kernels and schedules their members for one workgroup.
pub(super) fn mark(plan: &mut Plan, target: &Target) {
    if target.island_work == 0 {
        return;
    }
    let mut start = 0;
    while start < plan.kernels.len() {
        let island = run_from(plan, start, target);
        start = island.end.max(start + 1);
        if island.len() > 1 {
            schedule(plan, &island, target);
            plan.islands.push(island);
        }
    }
}

/// The longest run from a kernel on that is small enough together and uses few enough buffers.
fn run_from(plan: &Plan, start: usize, target: &Target) -> Range<usize> {
    let mut work = 0;
    let mut buffers = BTreeSet::new();
    let mut end = start;
    for kernel in &plan.kernels[start..] {
        let KernelKind::Loop(nest) = &kernel.kind else { break };
        if nest.schedule.workers.are_tiles() {
            break;
        }
        work += nest.work();
        for id in kernel.reads().into_iter().chain(kernel.writes()) {
            // Intermediates all lie in the arena.
            let apart = !matches!(plan.buffer(id).place, Place::Arena(_));
            buffers.insert(apart.then_some(id));
        }
        if work > target.island_work || buffers.len() > target.bindings {
            break;
        }
        end += 1;
    }
    start..end
}

/// Gives the members one workgroup of as many threads as the member that can use most.
fn schedule(plan: &mut Plan, island: &Range<usize>, target: &Target) {
    let elements = |k: &LoopKernel| k.points() * k.longest_row();
    let members = || plan.kernels[island.clone()].iter();
    let nests = members().filter_map(|k| if let KernelKind::Loop(nest) = &k.kind { Some(nest) } else { None });
    let most = nests.map(elements).max().unwrap_or(1);
    let largest = largest_workgroup(target);
    let threads = most.next_power_of_two().clamp(target.subgroup.min(largest), largest);
    for kernel in &mut plan.kernels[island.clone()] {
        if let KernelKind::Loop(nest) = &mut kernel.kind {
            nest.schedule = in_one_workgroup(nest, threads, target);
        }
    }
}
