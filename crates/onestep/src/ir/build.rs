//! Short constructors for those who write graphs by hand inside the compiler: gradient rules and passes.
//! Types are known to fit there, so a mistake is a bug of ours and panics.

use super::op::{Binary, Compare, Op, ReduceOp, Unary};
use super::{DType, Graph, Literal, NodeId, Shape};

impl Graph {
    /// Adds an op whose inputs are known to fit.
    pub fn add_op(&mut self, op: Op, inputs: &[NodeId]) -> NodeId {
        self.push(op, inputs).unwrap_or_else(|e| panic!("onestep bug: {e}"))
    }

    /// An element-wise function.
    pub fn unary(&mut self, op: Unary, x: NodeId) -> NodeId {
        self.add_op(Op::Unary(op), &[x])
    }

    /// An element-wise function of two values of one type.
    pub fn binary(&mut self, op: Binary, a: NodeId, b: NodeId) -> NodeId {
        self.add_op(Op::Binary(op), &[a, b])
    }

    /// a + b.
    pub fn add(&mut self, a: NodeId, b: NodeId) -> NodeId {
        self.binary(Binary::Add, a, b)
    }

    /// a - b.
    pub fn sub(&mut self, a: NodeId, b: NodeId) -> NodeId {
        self.binary(Binary::Sub, a, b)
    }

    /// a * b.
    pub fn mul(&mut self, a: NodeId, b: NodeId) -> NodeId {
        self.binary(Binary::Mul, a, b)
    }

    /// a / b.
    pub fn div(&mut self, a: NodeId, b: NodeId) -> NodeId {
        self.binary(Binary::Div, a, b)
    }

    /// -x.
    pub fn neg(&mut self, x: NodeId) -> NodeId {
        self.unary(Unary::Neg, x)
    }

    /// A comparison.
    pub fn compare(&mut self, op: Compare, a: NodeId, b: NodeId) -> NodeId {
        self.add_op(Op::Compare(op), &[a, b])
    }

    /// `condition ? a : b`.
    pub fn select(&mut self, condition: NodeId, a: NodeId, b: NodeId) -> NodeId {
        self.add_op(Op::Select, &[condition, a, b])
    }

    /// Converts to a dtype; nothing where it is that already.
    pub fn cast(&mut self, x: NodeId, dtype: DType) -> NodeId {
        if self.dtype(x) == dtype { x } else { self.add_op(Op::Cast(dtype), &[x]) }
    }

    /// x, not before `when`.
    pub fn after(&mut self, x: NodeId, when: NodeId) -> NodeId {
        self.add_op(Op::After, &[x, when])
    }

    /// A constant of a shape: a scalar, stretched.
    pub fn full(&mut self, value: f64, shape: &Shape, dtype: DType) -> NodeId {
        let scalar = self.add_op(Op::Constant(Literal::scalar(dtype, value)), &[]);
        let ones = self.reshape(scalar, vec![1; shape.rank()]);
        self.broadcast(ones, shape)
    }

    /// A constant of the shape and dtype of another value.
    pub fn full_like(&mut self, value: f64, like: NodeId) -> NodeId {
        let shape = self.shape(like).clone();
        self.full(value, &shape, self.dtype(like))
    }

    /// Other extents for the same elements; nothing where they are the same.
    pub fn reshape(&mut self, x: NodeId, shape: impl Into<Shape>) -> NodeId {
        let shape = shape.into();
        if *self.shape(x) == shape { x } else { self.add_op(Op::Reshape(shape), &[x]) }
    }

    /// Stretches axes of extent 1; nothing where there are none to stretch.
    pub fn broadcast(&mut self, x: NodeId, shape: &Shape) -> NodeId {
        if self.shape(x) == shape { x } else { self.add_op(Op::Broadcast(shape.clone()), &[x]) }
    }

    /// Folds axes; they vanish. Nothing where there are none.
    pub fn reduce(&mut self, op: ReduceOp, x: NodeId, axes: &[usize]) -> NodeId {
        if axes.is_empty() { x } else { self.add_op(Op::Reduce { op, axes: axes.to_vec() }, &[x]) }
    }

    /// Sums axes; they vanish.
    pub fn sum(&mut self, x: NodeId, axes: &[usize]) -> NodeId {
        self.reduce(ReduceOp::Sum, x, axes)
    }

    /// Puts axes back that a reduction removed and stretches them: the adjoint of a sum.
    pub fn expand(&mut self, x: NodeId, axes: &[usize], shape: &Shape) -> NodeId {
        let kept = self.reshape(x, shape.keeping(axes));
        self.broadcast(kept, shape)
    }
}
