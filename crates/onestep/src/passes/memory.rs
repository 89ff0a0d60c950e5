//! Places every intermediate in one arena: exact lifetimes over the fixed order, largest first, each at
//! the lowest offset where nothing that lives at the same time is in the way.

use crate::plan::{Place, Plan, Target};

/// Gives every used intermediate its offset and sets the arena's size. With `reuse` off nothing shares
/// memory.
pub(super) fn place(plan: &mut Plan, target: &Target, reuse: bool) {
    let mut lives: Vec<Option<(usize, usize)>> = vec![None; plan.buffers.len()];
    for (k, kernel) in plan.kernels.iter().enumerate() {
        for b in kernel.reads().into_iter().chain(kernel.writes()) {
            let life = lives[b.index()].get_or_insert((k, k));
            life.1 = k;
        }
    }
    // The kernels of a strip run side by side.
    for strips in &plan.strips {
        for life in lives.iter_mut().flatten() {
            if life.1 >= strips.kernels.start && life.0 < strips.kernels.end {
                *life = (life.0.min(strips.kernels.start), life.1.max(strips.kernels.end - 1));
            }
        }
    }
    if !reuse {
        lives.iter_mut().flatten().for_each(|life| *life = (0, plan.kernels.len()));
    }
    let rounded = |bytes: usize| bytes.max(1).next_multiple_of(target.alignment);
    let mut waiting: Vec<usize> = (0..plan.buffers.len())
        .filter(|&b| lives[b].is_some() && matches!(plan.buffers[b].place, Place::Arena(_)))
        .collect();
    waiting.sort_by_key(|&b| (std::cmp::Reverse(plan.buffers[b].bytes()), b));
    let mut placed: Vec<(usize, usize, (usize, usize))> = Vec::new();
    for b in waiting {
        let Some(life) = lives[b] else { continue };
        let size = rounded(plan.buffers[b].bytes());
        let mut in_the_way: Vec<(usize, usize)> = placed
            .iter()
            .filter(|(_, _, other)| other.0 <= life.1 && life.0 <= other.1)
            .map(|&(start, end, _)| (start, end))
            .collect();
        in_the_way.sort_unstable();
        let mut offset = 0;
        for (start, end) in in_the_way {
            if start >= offset + size {
                break;
            }
            offset = offset.max(end);
        }
        placed.push((offset, offset + size, life));
        plan.buffers[b].place = Place::Arena(Some(offset));
        plan.arena_bytes = plan.arena_bytes.max(offset + size);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::DType;
    use crate::plan::{Kernel, KernelKind, LoopKernel};

    #[test]
    fn what_lives_together_does_not_overlap() {
        let mut plan = Plan::default();
        let x = plan.add_buffer(Place::Input(0), DType::F32, 100, "x");
        let mut last = x;
        for i in 0..6 {
            let next = plan.add_buffer(Place::Arena(None), DType::F32, 100 + i, "");
            let kind = KernelKind::Loop(LoopKernel::copy(last, next, 100, DType::F32));
            plan.kernels.push(Kernel { scopes: Vec::new(), kind });
            last = next;
        }
        let target = Target { name: "test".into(), row_limit: 1, ..Target::default() };
        place(&mut plan, &target, true);
        // A chain needs two buffers at a time.
        assert_eq!(plan.arena_bytes, 2 * 448);
        let mut apart = plan.clone();
        place(&mut apart, &target, false);
        assert_eq!(apart.arena_bytes, 6 * 448);
    }
}
