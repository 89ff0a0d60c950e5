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

    /// Computes a marked layer again, all of it up to its node `last`, unless that was done. What nothing needs of
    /// it is dead and costs nothing.
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
            (Op::Constant(_) | Op::Iota { .. }, _) => x_outside,
            (_, Some(when)) => graph.after(x_outside, when),
            (_, None) => panic!("onestep bug: a marked layer is seen before the walk has come to it"),
        };
        self.blocks[block].seen.insert(x, seen);
        seen
    }
}

/// Whether a layer is the one at `path` or inside it.
fn holds(path: &str, scope: &str) -> bool {
    scope.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::super::gradients;
    use super::*;
    use crate::ir::verify::assert_valid;
    use crate::ir::{DType, Type, Unary};
    use expect_test::{Expect, expect};

    /// The graph of a function's derivative by x, f32[], without what it does not need.
    fn check(build: impl Fn(&mut Graph, NodeId) -> NodeId, expected: Expect) {
        let mut g = Graph::new();
        let x = g.input("x", Type::new([], DType::F32)).unwrap();
        let y = build(&mut g, x);
        let d = gradients(&mut g, y, &[x]).unwrap()[0];
        assert_valid(&g, "grad");
        g.output("d", d).unwrap();
        let (needed, _) = g.rewrite(|new, id, inputs| new.copy_node(g.node(id), inputs)).unwrap();
        expected.assert_eq(&needed.to_text());
    }

    #[test]
    fn a_marked_layer_is_computed_again_once_its_gradient_is_known() {
        let build = |g: &mut Graph, x| {
            g.checkpoint("block");
            g.set_scope("block.fc1");
            let h = g.unary(Unary::Sin, x);
            g.set_scope("block.fc2");
            let h = g.unary(Unary::Sin, h);
            g.set_scope("blocks");
            g.unary(Unary::Sin, h)
        };
        check(
            build,
            expect![[r#"
            graph {
              checkpoint "block"
              %0: f32[] = input "x"
              %1: f32[] = sin(%0) @ "block.fc1"
              %2: f32[] = sin(%1) @ "block.fc2"
              %3: f32[] = constant {value=1.0} @ "blocks"
              %4: f32[] = cos(%2) @ "blocks"
              %5: f32[] = mul(%3, %4) @ "blocks"
              %6: f32[] = after(%0, %5) @ "block.fc1"
              %7: f32[] = sin(%6) @ "block.fc1"
              %8: f32[] = cos(%7) @ "block.fc2"
              %9: f32[] = mul(%5, %8) @ "block.fc2"
              %10: f32[] = cos(%6) @ "block.fc1"
              %11: f32[] = mul(%9, %10) @ "block.fc1"
              return %11 as "d"
            }"#]],
        );
    }

    #[test]
    fn inside_a_marked_layer_another_one_starts_from_what_was_computed_again() {
        let build = |g: &mut Graph, x| {
            g.checkpoint("outer");
            g.checkpoint("outer.inner");
            g.set_scope("outer");
            let h = g.unary(Unary::Sin, x);
            g.set_scope("outer.inner");
            let h = g.unary(Unary::Erf, h);
            let h = g.unary(Unary::Tanh, h);
            g.set_scope("outer");
            g.unary(Unary::Cos, h)
        };
        check(
            build,
            expect![[r#"
            graph {
              checkpoint "outer"
              checkpoint "outer.inner"
              %0: f32[] = input "x"
              %1: f32[] = constant {value=1.0} @ "outer"
              %2: f32[] = after(%0, %1) @ "outer"
              %3: f32[] = sin(%2) @ "outer"
              %4: f32[] = erf(%3) @ "outer.inner"
              %5: f32[] = tanh(%4) @ "outer.inner"
              %6: f32[] = sin(%5) @ "outer"
              %7: f32[] = neg(%6) @ "outer"
              %8: f32[] = mul(%1, %7) @ "outer"
              %9: f32[] = after(%3, %8) @ "outer.inner"
              %10: f32[] = erf(%9) @ "outer.inner"
              %11: f32[] = tanh(%10) @ "outer.inner"
              %12: f32[] = mul(%11, %11) @ "outer.inner"
              %13: f32[] = sub(%1, %12) @ "outer.inner"
              %14: f32[] = mul(%8, %13) @ "outer.inner"
              %15: f32[] = mul(%9, %9) @ "outer.inner"
              %16: f32[] = neg(%15) @ "outer.inner"
              %17: f32[] = exp(%16) @ "outer.inner"
              %18: f32[] = constant {value=1.1283792} @ "outer.inner"
              %19: f32[] = mul(%17, %18) @ "outer.inner"
              %20: f32[] = mul(%14, %19) @ "outer.inner"
              %21: f32[] = cos(%2) @ "outer"
              %22: f32[] = mul(%20, %21) @ "outer"
              return %22 as "d"
            }"#]],
        );
    }

    #[test]
    fn constants_are_everybodys_and_leaves_are_read_again() {
        let build = |g: &mut Graph, x| {
            g.checkpoint("block");
            g.set_scope("block");
            let scale = g.state("scale", Type::new([], DType::F32)).unwrap();
            let two = g.full_like(2.0, x);
            let h = g.mul(x, scale);
            let h = g.mul(h, two);
            g.unary(Unary::Exp, h)
        };
        check(
            build,
            expect![[r#"
            graph {
              state s0 "scale": f32[]
              checkpoint "block"
              %0: f32[] = input "x"
              %1: f32[] = state s0 @ "block"
              %2: f32[] = constant {value=2.0} @ "block"
              %3: f32[] = constant {value=1.0} @ "block"
              %4: f32[] = after(%0, %3) @ "block"
              %5: f32[] = after(%1, %3) @ "block"
              %6: f32[] = mul(%4, %5) @ "block"
              %7: f32[] = mul(%6, %2) @ "block"
              %8: f32[] = exp(%7) @ "block"
              %9: f32[] = mul(%3, %8) @ "block"
              %10: f32[] = mul(%9, %2) @ "block"
              %11: f32[] = mul(%10, %5) @ "block"
              return %11 as "d"
            }"#]],
        );
    }
}
