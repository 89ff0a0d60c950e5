//! Views as strides: which graph values are a strided window on another value's buffer, so that a
//! library kernel can read them in place.

use crate::ir::{DType, Graph, NodeId, Op, Shape};

/// A value as strides over another value's dense elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StridedView {
    /// The value that has a buffer.
    pub base: NodeId,
    /// First element.
    pub offset: i64,
    /// Distance in elements on each axis; 0 where it is stretched.
    pub strides: Vec<i64>,
}

/// The value as a view of the nearest value below it that is not a view, or of the nearest `stored` one;
/// `None` where strides cannot say it.
pub(super) fn strided(graph: &Graph, id: NodeId, stored: &[bool]) -> Option<StridedView> {
    view(graph, id, stored, false)
}

/// As [`strided`], through conversions of narrow floats to f32 too: for those who sum in f32 whatever they read.
pub(super) fn widened(graph: &Graph, id: NodeId, stored: &[bool]) -> Option<StridedView> {
    view(graph, id, stored, true)
}

fn view(graph: &Graph, id: NodeId, stored: &[bool], widened: bool) -> Option<StridedView> {
    let node = graph.node(id);
    let widens = widened && is_widening(graph, id);
    if stored[id.index()] || !(node.op.is_view() || widens) {
        let strides = node.shape.strides().iter().map(|&s| s as i64).collect();
        return Some(StridedView { base: id, offset: 0, strides });
    }
    let from = graph.shape(node.inputs[0]);
    let mut view = view(graph, node.inputs[0], stored, widened)?;
    match &node.op {
        Op::Permute(perm) => view.strides = perm.iter().map(|&p| view.strides[p]).collect(),
        Op::Broadcast(shape) => {
            let stretched = |i: usize| from[i] == 1 && shape[i] != 1;
            view.strides = (0..shape.rank()).map(|i| if stretched(i) { 0 } else { view.strides[i] }).collect();
        }
        Op::Slice { start, step, .. } => {
            for i in 0..start.len() {
                view.offset += view.strides[i] * start[i] as i64;
                view.strides[i] *= step[i] as i64;
            }
        }
        Op::Flip(axes) => {
            for &i in axes {
                view.offset += view.strides[i] * (from[i] as i64 - 1);
                view.strides[i] = -view.strides[i];
            }
        }
        Op::After | Op::Cast(_) => {}
        Op::Reshape(shape) => view.strides = reshaped(from, &view.strides, shape)?,
        _ => return None,
    }
    Some(view)
}

/// Whether a node converts narrow floats to f32, which changes no value.
pub(super) fn is_widening(graph: &Graph, id: NodeId) -> bool {
    let node = graph.node(id);
    node.op == Op::Cast(DType::F32) && matches!(graph.dtype(node.inputs[0]), DType::BF16 | DType::F16)
}

/// Strides after a reshape, if strides can say it: every group of axes that is split or joined must be
/// evenly spaced.
fn reshaped(from: &Shape, strides: &[i64], to: &Shape) -> Option<Vec<i64>> {
    if from.elements() == 0 {
        return Some(to.strides().iter().map(|&s| s as i64).collect());
    }
    let mut out = vec![0i64; to.rank()];
    let old: Vec<(usize, i64)> = from.iter().zip(strides).filter(|(d, _)| **d != 1).map(|(&d, &s)| (d, s)).collect();
    let mut at = 0;
    let mut axis = 0;
    while at < old.len() {
        // Grow a group of old axes and a group of new ones until they hold equally many elements.
        let (first, mut have) = (at, old[at].0);
        at += 1;
        let start = axis;
        let mut want = 1;
        while want != have {
            if want < have {
                want *= to[axis];
                axis += 1;
            } else {
                have *= old[at].0;
                at += 1;
            }
        }
        let evenly = old[first..at].windows(2).all(|w| w[0].1 == w[1].1 * w[1].0 as i64);
        if !evenly {
            return None;
        }
        let mut stride = old[at - 1].1;
        for i in (start..axis).rev() {
            out[i] = stride;
            stride *= to[i] as i64;
        }
    }
    Some(out)
}

/// Strides of a batch of matrices with its batch axes joined to one, if they are evenly spaced.
pub(super) fn batch_joined(shape: &Shape, strides: &[i64]) -> Option<Vec<i64>> {
    let matrix = shape.rank() - 2;
    let batch: Shape = shape[..matrix].into();
    let mut joined = reshaped(&batch, &strides[..matrix], &[batch.elements()].into())?;
    joined.extend(&strides[matrix..]);
    Some(joined)
}

impl StridedView {
    /// Whether the elements lie densely in row-major order.
    pub(super) fn is_dense(&self, shape: &Shape) -> bool {
        let dense = shape.strides();
        (0..shape.rank()).all(|i| shape[i] == 1 || self.strides[i] == dense[i] as i64)
    }
}
