//! Dynamic loss scaling for f16 (Micikevicius et al. 2018, "Mixed precision training"), all on the device. Gradients
//! are taken of the loss times a power of two, so that small ones do not vanish in f16, and divided by it again, which
//! is exact. Where one is not finite, the step leaves parameters, slots and buffers as they were and the scale is
//! halved; after so many steps without that it is doubled. As PyTorch's `GradScaler`, with these differences:
//!
//! - The step is counted, and so are its samples, its loss and the schedule's step, as they are in a PyTorch loop that
//!   calls its scheduler once a batch. The optimizer's own corrections follow the same count.
//! - The scale stays between 1 and 2^64. A gradient that is not finite at scale 1 is no matter of scale: it counts as a
//!   loss that is not finite does, and ends the training.
//!
//! The loss itself is never multiplied, only its gradient, so a loss that is not finite is the model's doing.

use super::metrics::HEALTH;
use crate::error::Result;
use crate::trace::{Buffer, DType, Graph, NodeId, Scope, Shape, StateId, StateKind, Tensor, Trace, Type};

/// The scale, f32[].
pub(super) const SCALE: &str = "engine.train.loss_scale";
/// Steps since the scale last changed, u32[].
pub(super) const STEPS: &str = "engine.train.scale_steps";

/// The smallest scale and the largest.
const RANGE: (f64, f64) = (1.0, 18_446_744_073_709_551_616.0);

/// Where the scale starts, a power of two, and after how many steps it grows.
#[derive(Clone, Copy, Debug)]
pub(super) struct LossScaling {
    pub(super) start: f64,
    pub(super) interval: u32,
}

impl Default for LossScaling {
    fn default() -> Self {
        LossScaling { start: 65536.0, interval: 2000 }
    }
}

impl LossScaling {
    /// The gradient of the loss, f32[], by itself: the scale. Also declares the state, with what it starts from.
    pub(super) fn cotangent(self, graph: &mut Graph) -> Result<(NodeId, Buffer)> {
        let (shape, dtype) = (Shape::scalar(), DType::F32);
        let node = graph.state(SCALE, Type::new(&shape, dtype))?;
        let state = StateId(graph.states().len() as u32 - 1);
        let kind = StateKind::System;
        Ok((node, Buffer { name: SCALE.to_string(), shape, dtype, state, kind, value: self.start }))
    }

    /// Gradients without the scale, and whether all are finite, bool[].
    pub(super) fn unscale(self, trace: &Trace, grads: &Tensor) -> (Tensor, Tensor) {
        let grads = grads * trace.state(SCALE, [], DType::F32).recip();
        let finite = grads.is_finite().cast(DType::I32).min(..).eq(1.0);
        (grads, finite)
    }

    /// Whether a smaller scale cannot help where gradients are not finite, bool[].
    pub(super) fn is_least(self, trace: &Trace) -> Tensor {
        trace.state(SCALE, [], DType::F32).le(RANGE.0)
    }

    /// The scale and the count of the next step.
    pub(super) fn record(self, s: &Scope, finite: &Tensor) {
        let scale = s.trace().state(SCALE, [], DType::F32);
        let steps = s.trace().state(STEPS, [], DType::U32);
        let next = &steps + 1.0;
        let grows = next.ge(f64::from(self.interval));
        let larger = (&scale * 2.0).minimum(RANGE.1);
        let smaller = (&scale * 0.5).maximum(RANGE.0);
        s.update(&scale, &finite.select(grows.select(larger, &scale), smaller));
        let none = s.trace().scalar(0.0, DType::U32);
        s.update(&steps, &finite.select(grows.select(&none, &next), &none));
    }
}

/// Whether a state goes on in a step that is skipped: what counts and watches, not what is trained.
pub(super) fn goes_on(state: &str) -> bool {
    state != HEALTH && (state.starts_with("engine.") || state.starts_with("rng."))
}
