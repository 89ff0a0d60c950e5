//! Places every intermediate in one arena: exact lifetimes over the fixed order, largest first, each at
//! the lowest offset where nothing that lives at the same time is in the way. A loop kernel writes over what
//! it reads last where each point reads just the element that it writes.

use crate::plan::{BufferId, Expr, Kernel, KernelKind, LoopKernel, Out, Place, Plan, Target, Var};

/// Gives every used intermediate its offset and sets the arena's size. With `reuse` off nothing shares
/// memory.
pub(super) fn place(plan: &mut Plan, target: &Target, reuse: bool) {
    let mut lives = lives(plan);
    // The kernels of a run of strips go side by side.
    for strips in &plan.strips {
        for life in lives.iter_mut().flatten() {
            if life.1 >= strips.kernels.start && life.0 < strips.kernels.end {
                *life = (life.0.min(strips.kernels.start), life.1.max(strips.kernels.end - 1));
            }
        }
    }
    if reuse {
        overwrite(plan, &mut lives);
    } else {
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

/// The first and the last kernel that touch a buffer.
type Life = (usize, usize);

fn lives(plan: &Plan) -> Vec<Option<Life>> {
    let mut lives: Vec<Option<Life>> = vec![None; plan.buffers.len()];
    for (k, kernel) in plan.kernels.iter().enumerate() {
        for b in kernel.reads().into_iter().chain(kernel.writes()) {
            lives[b.index()].get_or_insert((k, k)).1 = k;
        }
    }
    lives
}

/// Makes one buffer of an intermediate that begins at a loop kernel and one that ends there, where that
/// kernel may write over what it reads.
fn overwrite(plan: &mut Plan, lives: &mut [Option<Life>]) {
    let mut renamed: Vec<BufferId> = (0..plan.buffers.len() as u32).map(BufferId).collect();
    for k in 0..plan.kernels.len() {
        rename(&mut plan.kernels[k], &renamed);
        let KernelKind::Loop(kernel) = &plan.kernels[k].kind else { continue };
        let arena = |b: BufferId| matches!(plan.buffer(b).place, Place::Arena(_));
        let mut pairs: Vec<(BufferId, BufferId)> = Vec::new();
        for (new, _) in kernel.stores().filter(|(b, _)| arena(*b) && starts(lives, *b, k)) {
            let old = kernel.loads().map(|l| l.buffer).find(|&old| {
                let like =
                    plan.buffer(old).dtype == plan.buffer(new).dtype && plan.buffer(old).len == plan.buffer(new).len;
                let free = pairs.iter().all(|pair| pair.0 != old && pair.1 != new);
                arena(old) && like && free && ends(lives, old, k) && may_overwrite(kernel, old, new)
            });
            pairs.extend(old.map(|old| (old, new)));
        }
        for (old, new) in pairs {
            renamed[new.index()] = old;
            let end = lives[new.index()].take().map_or(k, |life| life.1);
            lives[old.index()].iter_mut().for_each(|life| life.1 = end);
        }
        rename(&mut plan.kernels[k], &renamed);
    }
}

fn starts(lives: &[Option<Life>], b: BufferId, k: usize) -> bool {
    lives[b.index()].is_some_and(|life| life.0 == k)
}

fn ends(lives: &[Option<Life>], b: BufferId, k: usize) -> bool {
    lives[b.index()].is_some_and(|life| life.0 < k && life.1 == k)
}

/// Whether a kernel that stores to `new` may store to `old` in its place: every load of `old` is of the
/// element that the same point stores, in the same phase, or in one before that reads no other element of
/// the row or walks the row alike, and nothing masks it. No two points store the same element, so none reads
/// what another has written.
fn may_overwrite(kernel: &LoopKernel, old: BufferId, new: BufferId) -> bool {
    let mut stores = kernel.phases.iter().enumerate().flat_map(|(p, phase)| {
        phase.outs.iter().filter_map(move |out| match out {
            Out::Store { buffer, index, .. } if *buffer == new => Some((p, index)),
            _ => None,
        })
    });
    let (Some((p, index)), None) = (stores.next(), stores.next()) else { return false };
    let has = |kind: fn(&Var) -> bool| index.terms.iter().any(|t| kind(&t.0));
    let (derived, walks) = (has(|v| matches!(v, Var::Let(_))), has(|v| matches!(v, Var::Reduce(_))));
    kernel.phases.iter().enumerate().all(|(q, phase)| {
        let alike = !walks || phase.reduce == kernel.phases[p].reduce;
        let in_reach = q == p || (q < p && !derived && alike);
        phase.body.iter().all(|typed| match &typed.expr {
            Expr::Load(load) if load.buffer == old => in_reach && load.guards.is_empty() && load.index == *index,
            _ => true,
        })
    })
}

fn rename(kernel: &mut Kernel, names: &[BufferId]) {
    match &mut kernel.kind {
        KernelKind::Loop(kernel) => {
            for phase in &mut kernel.phases {
                for typed in &mut phase.body {
                    if let Expr::Load(load) = &mut typed.expr {
                        load.buffer = names[load.buffer.index()];
                    }
                }
                for out in &mut phase.outs {
                    if let Out::Store { buffer, .. } = out {
                        *buffer = names[buffer.index()];
                    }
                }
            }
        }
        KernelKind::Library(kernel) => {
            kernel.operands_mut().into_iter().for_each(|o| o.buffer = names[o.buffer.index()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::{Binary, DType, ReduceOp};
    use crate::plan::{Affine, ExprId, Fold, Load, Phase, Typed};

    #[test]
    fn what_lives_together_does_not_overlap() {
        let mut plan = Plan::default();
        let x = plan.add_buffer(Place::Input(0), DType::F32, 100, "x");
        let mut last = x;
        for i in 0..6 {
            let next = plan.add_buffer(Place::Arena(None), DType::F32, 100 + i, "");
            let kind = KernelKind::Loop(LoopKernel::copy(last, next, 100, DType::F32));
            plan.kernels.push(Kernel::new(Vec::new(), kind));
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

    /// Rows of ten elements of buffer 0 less their sums, to buffer 1.
    fn centred() -> LoopKernel {
        let index = Affine::var(Var::Grid(0), 10).plus(&Affine::var(Var::Reduce(0), 1), 1);
        let typed = |expr| Typed { expr, dtype: DType::F32 };
        let x = || typed(Expr::Load(Load { buffer: BufferId(0), index: index.clone(), guards: Vec::new(), fill: 0.0 }));
        let sum = Out::Reduce { fold: Fold::Value(ReduceOp::Sum), value: ExprId(0), carry: 0, dtype: DType::F32 };
        let less = Expr::Binary(Binary::Sub, ExprId(0), ExprId(1));
        let store = Out::Store { buffer: BufferId(1), index: index.clone(), value: ExprId(2) };
        let phase = |body, out| Phase { reduce: vec![10], body, outs: vec![out], ..Phase::default() };
        let second = phase(vec![x(), typed(Expr::Carry(0)), typed(less)], store);
        LoopKernel { grid: vec![4], phases: vec![phase(vec![x()], sum), second], ..LoopKernel::default() }
    }

    #[test]
    fn a_row_may_be_written_over_once_it_has_been_read() {
        let may = |change: fn(&mut LoopKernel)| {
            let mut kernel = centred();
            change(&mut kernel);
            may_overwrite(&kernel, BufferId(0), BufferId(1))
        };
        assert!(may(|_| ()));
        assert!(!may(|k| k.phases.push(k.phases[0].clone())), "a later phase reads what is gone by then");
        assert!(!may(|k| k.phases[0].reduce = vec![20]), "the first phase reads the next row too");
        assert!(!may(|k| k.phases[0].map_indices(|a| a.clone().shifted(1))), "another element");
        assert!(
            !may(|k| k.phases[1].outs.push(Out::Store {
                buffer: BufferId(1),
                index: Affine::constant(50),
                value: ExprId(0)
            })),
            "two elements of the result come from one"
        );
    }

    #[test]
    fn what_a_kernel_reads_last_it_writes_over() {
        let mut plan = Plan::default();
        let x = plan.add_buffer(Place::Input(0), DType::F32, 40, "x");
        let [a, b] = ["a", "b"].map(|name| plan.add_buffer(Place::Arena(None), DType::F32, 40, name));
        let y = plan.add_buffer(Place::Output(0), DType::F32, 40, "y");
        let copy = |from, to| KernelKind::Loop(LoopKernel::copy(from, to, 40, DType::F32));
        let mut centred = centred();
        centred.phases.iter_mut().flat_map(|p| &mut p.body).for_each(|t| {
            if let Expr::Load(load) = &mut t.expr {
                load.buffer = a;
            }
        });
        let Some(Out::Store { buffer, .. }) = centred.phases[1].outs.first_mut() else { panic!("it stores") };
        *buffer = b;
        for kind in [copy(x, a), KernelKind::Loop(centred), copy(b, y)] {
            plan.kernels.push(Kernel::new(Vec::new(), kind));
        }
        let target = Target { name: "test".into(), row_limit: 1, ..Target::default() };
        place(&mut plan, &target, true);
        assert_eq!(plan.arena_bytes, 192);
        assert_eq!(plan.kernels[1].writes(), [a]);
        assert_eq!(plan.kernels[2].reads(), [a]);
    }
}
