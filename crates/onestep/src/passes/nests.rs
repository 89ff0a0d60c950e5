//! Turns library calls that a device has no use for into loop nests, which fuse with their neighbours and join
//! islands: running and scattered sums, and contractions that are small or that its library does not take.

use crate::plan::{ConvDirection, KernelKind, LibraryKernel, Plan, Target};

/// Replaces them all.
pub(super) fn replace(plan: &mut Plan, target: &Target) {
    for kernel in &mut plan.kernels {
        let KernelKind::Library(call) = &mut kernel.kind else { continue };
        if target.tf32 {
            call.allow_tf32();
        }
        if !stays(call, target) {
            kernel.kind = KernelKind::Loop(call.nest());
        }
    }
    // A nest without points computes nothing.
    plan.kernels.retain(|kernel| !matches!(&kernel.kind, KernelKind::Loop(nest) if nest.points() == 0));
}

/// Whether a call is worth being one.
fn stays(call: &LibraryKernel, target: &Target) -> bool {
    match call {
        LibraryKernel::Dot { .. } | LibraryKernel::Conv { .. } => {
            call.multiply_adds() >= target.nest_work || is_for_blas(call, target) || is_for_dnn(call, target)
        }
        LibraryKernel::CumSum { .. } | LibraryKernel::ScatterAdd { .. } => target.nest_work == 0,
    }
}

fn is_for_blas(call: &LibraryKernel, target: &Target) -> bool {
    is_worth_a_call(call, target.library_dots, target) && call.blas().is_some()
}

fn is_for_dnn(call: &LibraryKernel, target: &Target) -> bool {
    let Some(convolution) = call.dnn() else { return false };
    let [filters, .., channels] = convolution.filter.extents;
    let small = convolution.direction == ConvDirection::FilterGrad && filters * channels < target.library_filters;
    is_worth_a_call(call, target.library_convs, target) && !small
}

/// Whether a call is large enough for a library that takes those of so many multiply-adds, or none where that is 0.
fn is_worth_a_call(call: &LibraryKernel, least: u64, target: &Target) -> bool {
    let least_rounded = if call.uses_tf32() { target.library_tf32 } else { 0 };
    least > 0 && call.multiply_adds() >= least.max(least_rounded)
}
