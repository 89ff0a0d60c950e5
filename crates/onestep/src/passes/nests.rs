//! Turns library calls that a device has no use for into loop nests, which fuse with their neighbours and join
//! islands: running and scattered sums, and contractions that are small or that its library does not take.

use crate::ir::DType;
use crate::plan::{ConvDirection, KernelKind, LibraryKernel, Plan, Target};

/// Replaces them all.
pub(super) fn replace(plan: &mut Plan, target: &Target) {
    for kernel in &mut plan.kernels {
        if let KernelKind::Library(call) = &kernel.kind
            && !stays(call, target)
        {
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
    if target.library_dots == 0 || call.multiply_adds() < target.library_dots {
        return false;
    }
    // BLAS multiplies f32 as it is, where tiles may round.
    call.blas().is_some_and(|product| product.left.operand.dtype != DType::F32 || !target.tf32)
}

fn is_for_dnn(call: &LibraryKernel, target: &Target) -> bool {
    let Some(convolution) = call.dnn() else { return false };
    let [filters, .., channels] = convolution.filter.extents;
    let small = convolution.direction == ConvDirection::FilterGrad && filters * channels < target.library_filters;
    target.library_convs > 0 && call.multiply_adds() >= target.library_convs && !small
}
