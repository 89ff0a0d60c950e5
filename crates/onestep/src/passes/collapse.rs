//! Joins neighbouring loop variables that every index map walks as one, so that inner loops are long.

use crate::plan::{Affine, KernelKind, LoopKernel, Phase, Plan, Var};

/// Joins what can be joined in every loop kernel.
pub(super) fn collapse_all(plan: &mut Plan) {
    for kernel in &mut plan.kernels {
        if let KernelKind::Loop(kernel) = &mut kernel.kind {
            collapse(kernel);
        }
    }
}

/// Joins what can be joined, in the grid and in each phase's reduced space.
pub(super) fn collapse(kernel: &mut LoopKernel) {
    let mut i = 0;
    while i + 1 < kernel.grid.len() {
        let inner = kernel.grid[i + 1] as i64;
        let (u, v) = (Var::Grid(i as u32), Var::Grid(i as u32 + 1));
        if kernel.phases.iter().all(|p| evenly(p, u, v, inner)) {
            kernel.grid[i] *= kernel.grid[i + 1];
            kernel.grid.remove(i + 1);
            kernel.map_indices(|_, a| join(a, i as u32, Var::Grid, inner));
        } else {
            i += 1;
        }
    }
    for phase in &mut kernel.phases {
        let mut i = 0;
        while i + 1 < phase.reduce.len() {
            let inner = phase.reduce[i + 1] as i64;
            if evenly(phase, Var::Reduce(i as u32), Var::Reduce(i as u32 + 1), inner) {
                phase.reduce[i] *= phase.reduce[i + 1];
                phase.reduce.remove(i + 1);
                phase.map_indices(|a| join(a, i as u32, Var::Reduce, inner));
            } else {
                i += 1;
            }
        }
    }
}

fn evenly(phase: &Phase, outer: Var, inner: Var, extent: i64) -> bool {
    phase.indices().iter().all(|a| a.coefficient(outer) == a.coefficient(inner) * extent)
}

/// The map with variable `i` and `i + 1` joined: the joined one steps as the inner one did.
fn join(a: &Affine, i: u32, var: fn(u32) -> Var, inner: i64) -> Affine {
    let number = |v: Var| match (v, var(0)) {
        (Var::Grid(n), Var::Grid(_)) | (Var::Reduce(n), Var::Reduce(_)) => Some(n),
        _ => None,
    };
    let step = a.coefficient(var(i + 1));
    debug_assert_eq!(a.coefficient(var(i)), step * inner);
    let mut joined = a.substitute(|v| match number(v) {
        Some(n) if n == i || n == i + 1 => Affine::default(),
        Some(n) if n > i + 1 => Affine::var(var(n - 1), 1),
        _ => Affine::var(v, 1),
    });
    joined = joined.plus(&Affine::var(var(i), 1), step);
    joined
}
