//! Spreads an optimizer over the kernels that compute gradients: a kernel that goes through a buffer element by element,
//! whose elements others compute segment by segment, becomes the end of each of those. The buffer is then never written,
//! and the step is a kernel shorter. Only for devices to which a kernel is a launch.

use super::collapse::collapse;
use super::merge::in_place_of;
use super::schedule::{Dependencies, Uses};
use crate::plan::{Affine, BufferId, Kernel, KernelKind, LoopKernel, Out, Place, Plan, Target, Var};

/// Spreads what can be spread.
pub(super) fn spread(plan: &mut Plan, target: &Target) {
    if target.workgroup <= 1 {
        return;
    }
    let mut at = 0;
    while at < plan.kernels.len() {
        match spread_one(plan, at) {
            Some(kernels) => plan.kernels = kernels,
            None => at += 1,
        }
    }
}

/// The plan's kernels without the one at `at`, which the writers of a buffer that it alone reads do instead.
fn spread_one(plan: &Plan, at: usize) -> Option<Vec<Kernel>> {
    let KernelKind::Loop(reader) = &plan.kernels[at].kind else { return None };
    let mut map = reader.clone();
    collapse(&mut map);
    let [phase] = &map.phases[..] else { return None };
    if map.grid.len() != 1 || !phase.reduce.is_empty() || !phase.lets.is_empty() {
        return None;
    }
    phase.loads().find_map(|load| spread_over(plan, at, &map, load.buffer))
}

/// The same for one buffer, if the map reads its own element at each point and the buffer has no others.
fn spread_over(plan: &Plan, at: usize, map: &LoopKernel, buffer: BufferId) -> Option<Vec<Kernel>> {
    let alone = |(k, kernel): (usize, &Kernel)| k == at || !kernel.reads().contains(&buffer);
    let own = Affine::var(Var::Grid(0), 1);
    let reads_own = map.loads().filter(|l| l.buffer == buffer).all(|l| l.index == own && l.guards.is_empty());
    let whole = plan.buffer(buffer).len == map.points();
    let is_intermediate = matches!(plan.buffer(buffer).place, Place::Arena(_));
    if !is_intermediate || !whole || !reads_own || !plan.kernels.iter().enumerate().all(alone) {
        return None;
    }
    let mut kernels = plan.kernels.clone();
    let mut covered = 0;
    for kernel in kernels.iter_mut().filter(|kernel| kernel.writes().contains(&buffer)) {
        let KernelKind::Loop(writer) = &kernel.kind else { return None };
        covered += writer.points();
        *kernel = in_place_of([kernel, &plan.kernels[at]], ended_by(writer, map, buffer)?);
    }
    kernels.remove(at);
    let plan = Plan { buffers: plan.buffers.clone(), kernels, ..Plan::default() };
    let ordered = || !Dependencies::new(&plan, &Uses::of_all(&plan)).has_circle();
    (covered == map.points() && ordered()).then_some(plan.kernels)
}

/// The writer of a segment, which goes on with what the map does at the segment's points instead of storing it.
fn ended_by(writer: &LoopKernel, map: &LoopKernel, buffer: BufferId) -> Option<LoopKernel> {
    let mut stores = writer.stores().filter(|s| s.0 == buffer);
    let (Some((_, index)), None) = (stores.next(), stores.next()) else { return None };
    let index = index.clone();
    let mut ended = writer.clone();
    let phase = ended.phases.iter_mut().find(|p| p.stores().any(|s| s.0 == buffer))?;
    let points = writer.grid.iter().enumerate().map(|(i, &extent)| (Var::Grid(i as u32), extent));
    if !phase.reduce.is_empty() || index.dense(points).is_none() {
        return None;
    }
    let place = phase.outs.iter().position(|o| matches!(o, Out::Store { buffer: b, .. } if *b == buffer))?;
    let Out::Store { value, .. } = phase.outs.remove(place) else { return None };
    let mut end = map.phases[0].clone();
    end.map_indices(|a| a.substitute(|_| index.clone()));
    phase.goes_on(&end, |load| (load.buffer == buffer).then_some(value));
    ended.updates_in_place().then_some(ended)
}
