//! Recomputation. Gradients of a layer marked with [`Graph::checkpoint`] come with a second computation of it
//! behind barriers; this decides that it stays.

use crate::error::Result;
use crate::ir::{Graph, Op};

/// The graph without its barriers: what would be computed again is then what was computed before, and is kept
/// instead.
pub(super) fn keep(graph: &Graph) -> Result<Graph> {
    let (new, _) = graph.rewrite(|g, id, inputs| match graph.node(id).op {
        Op::After => Ok(inputs[0]),
        _ => g.copy_node(graph.node(id), inputs),
    })?;
    Ok(new)
}
