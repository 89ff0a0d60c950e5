//! What the backward pass sees of layers marked with [`Graph::checkpoint`]: their nodes once more, computed
//! from what came into the layer, behind a barrier that waits for the gradient of what went out. States and
//! random numbers are the same, so every value is too. Inside a marked layer within another one, what comes in
//! is what the outer one computed again.

use std::collections::HashMap;

use crate::ir::{Graph, NodeId, Op};

/// The marked layers of a graph that is being differentiated.
pub(super) struct Recompute {
    blocks: Vec<Block>,
}

struct Block {
    path: String,
    /// The innermost marked layer around it.
    outer: Option<usize>,
    /// The gradient that its second computation waits for, once the walk has come to it.
    when: Option<NodeId>,
    /// Nodes as seen from inside the second computation.
    seen: HashMap<NodeId, NodeId>,
}

impl Recompute {
    pub(super) fn new(graph: &Graph) -> Self {
        let block = |path: &String| Block { path: path.clone(), outer: None, when: None, seen: HashMap::new() };
        let mut blocks: Vec<Block> = graph.checkpoints().iter().map(block).collect();
        blocks.sort_by_key(|b| b.path.len());
        for inner in 1..blocks.len() {
            blocks[inner].outer = (0..inner).rev().find(|&b| holds(&blocks[b].path, &blocks[inner].path));
        }
        Recompute { blocks }
    }

    /// What stands for `y` in the rule of its op, once its gradient `dy` is known: itself, or its second
    /// computation. Nodes must be asked for from the last to the first.
    pub(super) fn of(&mut self, graph: &mut Graph, y: NodeId, dy: NodeId) -> NodeId {
        let block = (0..self.blocks.len()).rev().find(|&b| holds(&self.blocks[b].path, graph.scope_of(y)));
        if let Some(block) = block {
            self.enter(graph, block, y, dy);
        }
        self.seen_from(graph, block, y)
    }

    /// Computes a marked layer again, all of it up to its node `last`, unless that was done; what nothing needs
    /// of it is left behind by every pass.
    fn enter(&mut self, graph: &mut Graph, block: usize, last: NodeId, when: NodeId) {
        if self.blocks[block].when.is_some() {
            return;
        }
        if let Some(outer) = self.blocks[block].outer {
            self.enter(graph, outer, last, when);
        }
        self.blocks[block].when = Some(when);
        let before = graph.set_scope("");
        for id in (0..=last.0).map(NodeId) {
            let node = graph.node(id);
            if node.inputs.is_empty() || !holds(&self.blocks[block].path, graph.scope_of(id)) {
                continue;
            }
            let (node, scope) = (node.clone(), graph.scope_of(id).to_string());
            graph.set_scope(&scope);
            let inputs: Vec<NodeId> = node.inputs.iter().map(|&x| self.seen_from(graph, Some(block), x)).collect();
            let again = graph.add_op(node.op, &inputs);
            self.blocks[block].seen.insert(id, again);
        }
        graph.set_scope(&before);
    }

    /// A node as the second computation of a marked layer sees it, or as it is outside of all.
    fn seen_from(&mut self, graph: &mut Graph, block: Option<usize>, x: NodeId) -> NodeId {
        let Some(block) = block else { return x };
        if let Some(&seen) = self.blocks[block].seen.get(&x) {
            return seen;
        }
        let x_outside = self.seen_from(graph, self.blocks[block].outer, x);
        let seen = match (&graph.node(x).op, self.blocks[block].when) {
            (Op::Constant(_) | Op::Iota { .. }, _) | (_, None) => x_outside,
            (_, Some(when)) => graph.after(x_outside, when),
        };
        self.blocks[block].seen.insert(x, seen);
        seen
    }
}

/// Whether a layer is the one at `path` or inside it.
fn holds(path: &str, scope: &str) -> bool {
    scope.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}
