//! Reverse-mode differentiation, graph to graph: the walk from outputs to inputs. What each op
//! contributes stands in `rules`, what is computed again for it in `recompute`; nothing here knows of
//! parameters, losses or optimizers.

mod recompute;
mod rules;

use crate::error::{Error, Result};
use crate::ir::{Graph, NodeId};
use recompute::Recompute;

/// Gradients of the scalar `loss` (float, shape `[]`) with respect to each node of `wrt` (floats), added to
/// the same graph. Each has the type of its node; it is zeros where the loss does not depend on it. The
/// result is made of ordinary nodes, so that it can be differentiated again. What [`Graph::checkpoint`] marks
/// is computed again rather than kept for the gradients, which have the same bits either way (gradients of them
/// are the same but for rounding). A loss that is not a float scalar or a `wrt` that is not a float is an error.
pub fn gradients(graph: &mut Graph, loss: NodeId, wrt: &[NodeId]) -> Result<Vec<NodeId>> {
    if graph.shape(loss).rank() != 0 {
        let ty = graph.ty(loss);
        return Err(Error::shape(format!("the loss is {ty}; only a scalar has a gradient, so take its mean or sum")));
    }
    wants_float(graph, "the loss", loss)?;
    let seed = graph.full_like(1.0, loss);
    pullback(graph, &[(loss, seed)], wrt)
}

/// Vector-Jacobian product: the sum over `outputs`, pairs of a node and its cotangent (of the same float
/// type), of the cotangent times the derivative of the node with respect to each node of `wrt` (floats).
/// Each result has the type of its node; it is zeros where no output depends on it. Types that do not fit
/// are an error.
pub fn pullback(graph: &mut Graph, outputs: &[(NodeId, NodeId)], wrt: &[NodeId]) -> Result<Vec<NodeId>> {
    wrt.iter().try_for_each(|&x| wants_float(graph, "a node to differentiate by", x))?;
    for &(y, dy) in outputs {
        wants_float(graph, "an output", y)?;
        if graph.ty(y) != graph.ty(dy) {
            let (y, dy) = (graph.ty(y), graph.ty(dy));
            return Err(Error::shape(format!("an output is {y} but its cotangent is {dy}; both must be alike")));
        }
    }
    let end = outputs.iter().map(|(y, _)| y.index() + 1).max().unwrap_or(0);
    let varies = varies(graph, end, wrt);
    let mut cotangents: Vec<Option<NodeId>> = vec![None; graph.len()];
    let mut recompute = Recompute::new(graph);
    let before = graph.set_scope("");
    for &(y, dy) in outputs {
        accumulate(graph, &mut cotangents, y, dy);
    }
    for y in (0..end).rev().map(|i| NodeId(i as u32)) {
        let Some(dy) = cotangents[y.index()].filter(|_| varies[y.index()]) else { continue };
        let scope = graph.scope_of(y).to_string();
        graph.set_scope(&scope);
        let seen = recompute.of(graph, y, dy);
        for (k, x) in graph.node(y).inputs.clone().into_iter().enumerate().filter(|(_, x)| varies[x.index()]) {
            if let Some(dx) = rules::cotangent(graph, seen, k, dy) {
                accumulate(graph, &mut cotangents, x, dx);
            }
        }
    }
    let result = wrt.iter().map(|&x| cotangents[x.index()].unwrap_or_else(|| graph.full_like(0.0, x))).collect();
    graph.set_scope(&before);
    Ok(result)
}

/// Which of the first `end` nodes are floats that change when a node of `wrt` does.
fn varies(graph: &Graph, end: usize, wrt: &[NodeId]) -> Vec<bool> {
    let mut varies = vec![false; end];
    wrt.iter().filter(|x| x.index() < end).for_each(|x| varies[x.index()] = true);
    for (id, node) in graph.nodes().take(end) {
        varies[id.index()] |= node.dtype.is_float() && node.inputs.iter().any(|x| varies[x.index()]);
    }
    varies
}

fn accumulate(graph: &mut Graph, cotangents: &mut [Option<NodeId>], x: NodeId, dx: NodeId) {
    let slot = &mut cotangents[x.index()];
    *slot = Some(slot.map_or(dx, |sum| graph.add(sum, dx)));
}

fn wants_float(graph: &Graph, what: &str, x: NodeId) -> Result<()> {
    if graph.dtype(x).is_float() {
        return Ok(());
    }
    let (ty, scope) = (graph.ty(x), graph.scope_of(x));
    let place = if scope.is_empty() { String::new() } else { format!(" (made in `{scope}`)") };
    Err(Error::dtype(format!("{what} is {ty}{place}, but only floats have derivatives; cast it")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::verify::assert_valid;
    use crate::ir::{Binary, DType, Op, Type, Unary};

    fn input(g: &mut Graph, name: &str, shape: &[usize]) -> NodeId {
        g.input(name, Type::new(shape, DType::F32)).unwrap()
    }

    #[test]
    fn a_square_gives_twice_its_side() {
        let mut g = Graph::new();
        let x = input(&mut g, "x", &[]);
        let y = g.mul(x, x);
        let d = gradients(&mut g, y, &[x]).unwrap()[0];
        let one = g.full_like(1.0, y);
        let half = g.mul(one, x);
        assert_eq!(d, g.add(half, half));
        assert_valid(&g, "grad");
    }

    #[test]
    fn what_the_loss_does_not_see_has_zeros() {
        let mut g = Graph::new();
        let (x, other) = (input(&mut g, "x", &[2]), input(&mut g, "other", &[3]));
        let floor = g.unary(Unary::Floor, x);
        let loss = g.sum(floor, &[0]);
        let d = gradients(&mut g, loss, &[x, other]).unwrap();
        assert_eq!(d, [g.full_like(0.0, x), g.full_like(0.0, other)]);
    }

    #[test]
    fn only_paths_from_wrt_to_the_loss_are_walked() {
        let mut g = Graph::new();
        let (x, w) = (input(&mut g, "x", &[4, 3]), input(&mut g, "w", &[3, 2]));
        let e = g.unary(Unary::Sin, x);
        let y = g.add_op(Op::Dot { ta: false, tb: false }, &[e, w]);
        let loss = g.sum(y, &[0, 1]);
        gradients(&mut g, loss, &[w]).unwrap();
        assert!(!g.nodes().any(|(_, n)| n.op == Op::Unary(Unary::Cos)), "x's gradient was not asked for");
    }

    #[test]
    fn an_inner_node_can_be_asked_for_too() {
        let mut g = Graph::new();
        let x = input(&mut g, "x", &[]);
        let h = g.unary(Unary::Exp, x);
        let y = g.unary(Unary::Neg, h);
        let d = gradients(&mut g, y, &[x, h]).unwrap();
        assert_eq!(d[0], g.mul(d[1], h));
    }

    #[test]
    fn new_nodes_carry_the_scope_they_differentiate() {
        let mut g = Graph::new();
        let x = input(&mut g, "x", &[]);
        g.set_scope("fc1");
        let y = g.unary(Unary::Sin, x);
        g.set_scope("loss");
        let d = gradients(&mut g, y, &[x]).unwrap()[0];
        assert_eq!(g.scope_of(d), "fc1");
        assert_eq!(g.set_scope(""), "loss");
    }

    #[test]
    fn a_matrix_product_needs_no_permutes() {
        for (ta, tb) in [(false, false), (false, true), (true, false), (true, true)] {
            let mut g = Graph::new();
            let a = input(&mut g, "a", if ta { &[3, 4] } else { &[4, 3] });
            let b = input(&mut g, "b", if tb { &[5, 3] } else { &[3, 5] });
            let y = g.add_op(Op::Dot { ta, tb }, &[a, b]);
            let loss = g.sum(y, &[0, 1]);
            let d = gradients(&mut g, loss, &[a, b]).unwrap();
            assert_eq!([g.ty(d[0]), g.ty(d[1])], [g.ty(a), g.ty(b)]);
            assert!(!g.nodes().any(|(_, n)| matches!(n.op, Op::Permute(_))));
        }
    }

    #[test]
    fn integers_stop_the_walk() {
        let mut g = Graph::new();
        let x = input(&mut g, "x", &[]);
        let i = g.cast(x, DType::I32);
        let back = g.cast(i, DType::F32);
        let y = g.binary(Binary::Add, back, x);
        let d = gradients(&mut g, y, &[x]).unwrap()[0];
        assert_eq!(d, g.full_like(1.0, y));
    }

    #[test]
    fn faults_are_named() {
        let mut g = Graph::new();
        let (x, i) = (input(&mut g, "x", &[2]), g.input("i", Type::new([], DType::I32)).unwrap());
        let message = |r: Result<Vec<NodeId>>| r.unwrap_err().to_string();
        assert!(message(gradients(&mut g, x, &[x])).contains("take its mean or sum"));
        assert!(message(gradients(&mut g, i, &[x])).contains("the loss is i32[]"));
        assert!(message(pullback(&mut g, &[(x, x)], &[i])).contains("only floats have derivatives"));
        assert!(message(pullback(&mut g, &[(x, i)], &[x])).contains("its cotangent is i32[]"));
    }
}
