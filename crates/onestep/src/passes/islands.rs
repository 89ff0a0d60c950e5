//! Islands: runs of loop kernels so small that launching them costs more than running them. One workgroup
//! runs them all, with barriers in between. Marks runs, and puts what is waited for before what is not, as two islands
//! that can run side by side; devices without workgroups run the members one by one.

use std::collections::BTreeSet;
use std::ops::Range;

use super::schedule::{Dependencies, Order, Uses};
use super::workers::{in_one_workgroup, largest_workgroup};
use crate::plan::{KernelKind, LoopKernel, Place, Plan, Target};

/// Marks runs of at least two kernels and schedules their members for one workgroup.
pub(super) fn mark(plan: &mut Plan, target: &Target) {
    if target.island_work == 0 {
        return;
    }
    // Kernels change places within a run alone, so that what is behind it stays as it was.
    let dependencies = Dependencies::new(plan, &Uses::of_all(plan));
    let order = dependencies.order();
    let mut start = 0;
    while start < plan.kernels.len() {
        let run = run_from(plan, start, target);
        start = run.end.max(start + 1);
        if run.len() < 2 {
            continue;
        }
        let waited_for = if target.side_by_side { waited_for_first(plan, &order, &run) } else { run.end };
        for island in [run.start..waited_for, waited_for..run.end] {
            if island.len() > 1 {
                schedule(plan, &island, target);
                plan.islands.push(island);
            }
        }
    }
}

/// Puts those of a run that the next kernel waits for before the others: the end of the former. What is behind a run is
/// mostly the long way of the step, and numbers for the host, say, need not hold it up.
fn waited_for_first(plan: &mut Plan, order: &Order, run: &Range<usize>) -> usize {
    let waits = |next: &usize| run.clone().any(|member| order.has_path(member, *next));
    let Some(next) = (run.end..plan.kernels.len()).find(waits) else { return run.end };
    let (first, rest): (Vec<usize>, Vec<usize>) = run.clone().partition(|&member| order.has_path(member, next));
    let sorted: Vec<_> = first.iter().chain(&rest).map(|&member| plan.kernels[member].clone()).collect();
    plan.kernels[run.clone()].clone_from_slice(&sorted);
    run.start + first.len()
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
