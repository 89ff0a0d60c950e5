//! Turns library calls that a device has no use for into loop nests, which fuse with their neighbours and join
//! islands: running and scattered sums, and small contractions.

use crate::plan::{KernelKind, LibraryKernel, Plan, Target};

/// Replaces them all.
pub(super) fn replace(plan: &mut Plan, target: &Target) {
    for kernel in &mut plan.kernels {
        if let KernelKind::Library(call) = &kernel.kind
            && is_small(call, target)
        {
            kernel.kind = KernelKind::Loop(call.nest());
        }
    }
    // A nest without points computes nothing.
    plan.kernels.retain(|kernel| !matches!(&kernel.kind, KernelKind::Loop(nest) if nest.points() == 0));
}

fn is_small(call: &LibraryKernel, target: &Target) -> bool {
    match call {
        LibraryKernel::Dot { .. } | LibraryKernel::Conv { .. } => call.multiply_adds() < target.nest_work,
        LibraryKernel::CumSum { .. } | LibraryKernel::ScatterAdd { .. } => target.nest_work > 0,
    }
}
