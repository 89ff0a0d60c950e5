//! Algebra on the graph: constants are folded, neutral elements and repeated movements vanish, common
//! subexpressions meet by hash-consing, and what nothing needs is left behind.

use crate::error::Result;
use crate::ir::{Binary, DType, Graph, Literal, Node, NodeId, Op, Unary};

/// The simplified graph; it computes the same outputs and new states.
pub fn simplify(graph: &Graph) -> Result<Graph> {
    let (new, _) = graph.rewrite(|g, id, inputs| {
        let node = graph.node(id);
        match rule(g, node, inputs) {
            Some(known) => Ok(known),
            None => g.copy_node(node, inputs),
        }
    })?;
    // A second walk leaves behind what the first one made superfluous.
    let (new, _) = new.rewrite(|g, id, inputs| g.copy_node(new.node(id), inputs))?;
    Ok(new)
}

/// What an op on given (already simplified) inputs is the same as, if a rule knows.
fn rule(g: &mut Graph, node: &Node, inputs: &[NodeId]) -> Option<NodeId> {
    let x = *inputs.first()?;
    match &node.op {
        Op::Cast(dtype) if g.dtype(x) == *dtype => Some(x),
        Op::Reshape(shape) if g.shape(x) == shape => Some(x),
        Op::Reshape(shape) => match g.node(x).op {
            Op::Reshape(_) => Some(g.reshape(g.node(x).inputs[0], shape)),
            _ => None,
        },
        Op::Broadcast(shape) if g.shape(x) == shape => Some(x),
        Op::Broadcast(shape) => match g.node(x).op {
            Op::Broadcast(_) => Some(g.broadcast(g.node(x).inputs[0], shape)),
            _ => None,
        },
        Op::Permute(perm) if perm.is_sorted() => Some(x),
        Op::Permute(perm) => match g.node(x).op.clone() {
            Op::Permute(first) => {
                let both: Vec<usize> = perm.iter().map(|&p| first[p]).collect();
                let from = g.node(x).inputs[0];
                Some(if both.is_sorted() { from } else { g.add_op(Op::Permute(both), &[from]) })
            }
            _ => None,
        },
        Op::Slice { .. } if *g.shape(x) == node.shape => Some(x),
        Op::Pad { .. } if *g.shape(x) == node.shape => Some(x),
        Op::After if splat(g, x).is_some() => Some(x),
        Op::Concat { .. } if inputs.len() == 1 => Some(x),
        Op::Flip(axes) if axes.iter().all(|&a| node.shape[a] <= 1) => Some(x),
        Op::Unary(op) => unary(g, *op, x),
        Op::Binary(op) => binary(g, *op, x, inputs[1]),
        Op::Select if inputs[1] == inputs[2] => Some(inputs[1]),
        Op::Select => splat(g, x).map(|c| if c != 0.0 { inputs[1] } else { inputs[2] }),
        _ => None,
    }
}

fn unary(g: &mut Graph, op: Unary, x: NodeId) -> Option<NodeId> {
    if let (Unary::Neg | Unary::Not | Unary::Recip, Op::Unary(inner)) = (op, &g.node(x).op)
        && *inner == op
    {
        return Some(g.node(x).inputs[0]);
    }
    // A function of a stretched value is the stretched function.
    if let Op::Broadcast(shape) = g.node(x).op.clone()
        && splat(g, x).is_none()
    {
        let inner = g.unary(op, g.node(x).inputs[0]);
        return Some(g.broadcast(inner, &shape));
    }
    let v = splat(g, x)?;
    let value = match op {
        Unary::Neg => -v,
        Unary::Abs => v.abs(),
        Unary::Sqrt => v.sqrt(),
        Unary::Recip => v.recip(),
        Unary::Exp => v.exp(),
        Unary::Log => v.ln(),
        _ => return None,
    };
    fold(g, value, x)
}

fn binary(g: &mut Graph, op: Binary, a: NodeId, b: NodeId) -> Option<NodeId> {
    let (va, vb) = (splat(g, a), splat(g, b));
    match (op, va, vb) {
        (Binary::Add, Some(0.0), _) | (Binary::Mul, Some(1.0), _) => return Some(b),
        (Binary::Add | Binary::Sub, _, Some(0.0)) => return Some(a),
        (Binary::Mul | Binary::Div | Binary::Pow, _, Some(1.0)) => return Some(a),
        (Binary::Pow, _, Some(2.0)) => return Some(g.mul(a, a)),
        _ => {}
    }
    let (x, y) = (va?, vb?);
    if !g.dtype(a).is_float() {
        return None;
    }
    let value = match op {
        Binary::Add => x + y,
        Binary::Sub => x - y,
        Binary::Mul => x * y,
        Binary::Div => x / y,
        Binary::Pow => x.powf(y),
        Binary::Max if !x.is_nan() && !y.is_nan() => x.max(y),
        Binary::Min if !x.is_nan() && !y.is_nan() => x.min(y),
        _ => return None,
    };
    fold(g, value, a)
}

/// A constant like another value.
fn fold(g: &mut Graph, value: f64, like: NodeId) -> Option<NodeId> {
    Some(g.full_like(value, like))
}

/// The number that every element of a value is known to be.
fn splat(g: &Graph, x: NodeId) -> Option<f64> {
    let node = g.node(x);
    match &node.op {
        Op::Constant(literal) => uniform(literal),
        Op::Reshape(_) | Op::Broadcast(_) | Op::Permute(_) | Op::Flip(_) => splat(g, node.inputs[0]),
        Op::Cast(DType::F32 | DType::F64) if g.dtype(node.inputs[0]).is_float() => splat(g, node.inputs[0]),
        _ => None,
    }
}

fn uniform(literal: &Literal) -> Option<f64> {
    (literal.elements() == 1).then(|| literal.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::Type;

    #[test]
    fn neutral_elements_and_repeated_movements_vanish() {
        let mut g = Graph::new();
        let x = g.input("x", Type::new([2, 3], DType::F32)).unwrap();
        let zero = g.full_like(0.0, x);
        let one = g.full_like(1.0, x);
        let y = g.add(x, zero);
        let y = g.mul(y, one);
        let y = g.neg(y);
        let y = g.neg(y);
        let y = g.add_op(Op::Permute(vec![1, 0]), &[y]);
        let y = g.add_op(Op::Permute(vec![1, 0]), &[y]);
        let y = g.reshape(y, [6]);
        let y = g.reshape(y, [3, 2]);
        g.output("y", y).unwrap();
        let s = simplify(&g).unwrap();
        assert_eq!(s.len(), 2, "{s:?}");
        assert_eq!(s.node(s.outputs()[0].1).op, Op::Reshape([3, 2].into()));
    }
}
