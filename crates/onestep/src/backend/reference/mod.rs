//! The reference: a graph interpreted op by op in f64, as plain as a textbook.
//!
//! It is the judge in every test and is never fast: no fusion, no threads, no reuse of memory. Floats of
//! every width are held in f64 and never rounded to their dtype, so what another backend may differ by
//! follows from its own rounding alone.

mod contraction;
mod elementwise;
mod executable;
mod index;
mod movement;
mod random;
mod reduce;
mod window;

use crate::error::{Error, Result};
pub use executable::Reference;

use crate::ir::{DType, Declaration, Graph, Literal, Node, Op, Shape};

/// The most elements the reference holds in one tensor (16 GiB of f64).
const MAX_ELEMENTS: usize = 1 << 31;

/// A tensor of the reference, row-major. Floats of every width are held unrounded; integers and bools are
/// exact integer-valued f64, wrapped to their dtype after each op.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    /// The dtype that the tensor stands for.
    pub dtype: DType,
    /// The extents.
    pub shape: Shape,
    /// As many elements as the shape has, row-major.
    pub data: Vec<f64>,
}

impl Value {
    /// What a literal holds.
    pub fn from_literal(literal: &Literal) -> Self {
        Value { dtype: literal.dtype(), shape: literal.shape().clone(), data: literal.to_f64() }
    }

    /// Rounds to the dtype. An error if the data are not as many as the shape says.
    pub fn to_literal(&self) -> Result<Literal> {
        Literal::from_f64(self.dtype, &self.shape, &self.data)
    }
}

impl From<&Literal> for Value {
    fn from(literal: &Literal) -> Self {
        Value::from_literal(literal)
    }
}

/// What a step leaves behind.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluated {
    /// The outputs in the order of [`Graph::outputs`].
    pub outputs: Vec<Value>,
    /// Every state after the step in the order of [`Graph::states`]: the new value where the graph updates
    /// it, the old one elsewhere.
    pub states: Vec<Value>,
}

/// Evaluates a graph: one value for each of [`Graph::inputs`] and [`Graph::states`], in their order. Wrong
/// numbers, shapes or dtypes of values are errors, and so is a tensor of more than 2^31 elements.
pub fn evaluate(graph: &Graph, inputs: &[Value], states: &[Value]) -> Result<Evaluated> {
    let nodes = evaluate_nodes(graph, inputs, states)?;
    let mut after = states.to_vec();
    for (state, node) in graph.updates() {
        after[state.0 as usize] = computed(&nodes, node.index()).clone();
    }
    let outputs = graph.outputs().iter().map(|(_, node)| computed(&nodes, node.index()).clone()).collect();
    Ok(Evaluated { outputs, states: after })
}

/// Evaluates a graph and gives the value of each live node by its index, `None` for dead ones. Inputs and
/// errors are those of [`evaluate`].
pub fn evaluate_nodes(graph: &Graph, inputs: &[Value], states: &[Value]) -> Result<Vec<Option<Value>>> {
    check("input", graph.inputs(), inputs)?;
    check("state", graph.states(), states)?;
    let live = graph.live();
    let mut nodes: Vec<Option<Value>> = Vec::with_capacity(graph.len());
    for (id, node) in graph.nodes() {
        if !live[id.index()] {
            nodes.push(None);
            continue;
        }
        if node.shape.elements() > MAX_ELEMENTS {
            return Err(Error::memory(format!(
                "{} gives {}{}, too much for the reference; evaluate a smaller shape or use another backend",
                node.op.name(),
                node.dtype,
                node.shape
            )));
        }
        let args: Vec<&Value> = node.inputs.iter().map(|i| computed(&nodes, i.index())).collect();
        let data = apply(node, &args, inputs, states);
        assert_eq!(
            data.len(),
            node.shape.elements(),
            "onestep bug: {} gave a wrong number of elements",
            node.op.name()
        );
        nodes.push(Some(Value { dtype: node.dtype, shape: node.shape.clone(), data }));
    }
    Ok(nodes)
}

fn check(kind: &str, declared: &[Declaration], given: &[Value]) -> Result<()> {
    if declared.len() != given.len() {
        return Err(Error::graph(format!(
            "the graph declares {} {kind}s but {} values were given; pass one for each",
            declared.len(),
            given.len()
        )));
    }
    for (want, has) in declared.iter().zip(given) {
        if has.dtype != want.ty.dtype {
            return Err(Error::dtype(format!("{kind} `{}` is {} but got {}; cast it", want.name, want.ty, has.dtype)));
        }
        if has.shape != want.ty.shape || has.data.len() != has.shape.elements() {
            return Err(Error::shape(format!(
                "{kind} `{}` is {} but got {}{} with {} elements",
                want.name,
                want.ty,
                has.dtype,
                has.shape,
                has.data.len()
            )));
        }
    }
    Ok(())
}

fn computed(nodes: &[Option<Value>], index: usize) -> &Value {
    nodes[index].as_ref().unwrap_or_else(|| panic!("onestep bug: node %{index} is used but was not evaluated"))
}

/// The elements of one node, from the values of its inputs.
fn apply(node: &Node, args: &[&Value], inputs: &[Value], states: &[Value]) -> Vec<f64> {
    let dtype = node.dtype;
    match &node.op {
        Op::Input(id) => inputs[id.0 as usize].data.clone(),
        Op::State(id) => states[id.0 as usize].data.clone(),
        Op::Constant(literal) => literal.to_f64(),
        Op::Iota { shape, axis, dtype } => index::iota(shape, *axis, *dtype),
        Op::Random { shape, dtype, stream } => random::random(shape, *dtype, *stream, args[0], args[1]),
        Op::Unary(op) => args[0].data.iter().map(|&x| elementwise::unary(*op, dtype, x)).collect(),
        Op::Binary(op) => zip(args, |a, b| elementwise::binary(*op, dtype, a, b)),
        Op::Compare(op) => zip(args, |a, b| elementwise::compare(*op, a, b)),
        Op::Select => {
            let branches = args[1].data.iter().zip(&args[2].data);
            args[0].data.iter().zip(branches).map(|(&c, (&a, &b))| if c != 0.0 { a } else { b }).collect()
        }
        Op::Cast(to) => args[0].data.iter().map(|&x| elementwise::cast(args[0].dtype, *to, x)).collect(),
        Op::Reshape(_) | Op::After => args[0].data.clone(),
        Op::Permute(perm) => movement::permute(args[0], perm),
        Op::Broadcast(shape) => movement::broadcast(args[0], shape),
        Op::Slice { start, step, .. } => movement::slice(args[0], &node.shape, start, step),
        Op::Pad { low, value, .. } => movement::pad(args[0], &node.shape, low, f64::from_bits(*value)),
        Op::Concat { axis } => movement::concat(args, &node.shape, *axis),
        Op::Flip(axes) => movement::flip(args[0], axes),
        Op::DynamicSlice { axis, len } => movement::dynamic_slice(args[0], args[1], &node.shape, *axis, *len),
        Op::Reduce { op, axes } => reduce::reduce(*op, args[0], axes),
        Op::ArgReduce { op, axes } => reduce::arg_reduce(*op, args[0], axes),
        Op::CumSum { axis, exclusive, reverse } => reduce::cumsum(args[0], *axis, *exclusive, *reverse),
        Op::MaxPool(w) => window::max_pool(args[0], &node.shape, w).0,
        Op::MaxPoolIndex(w) => window::max_pool(args[0], &node.shape, w).1,
        Op::MaxPoolGather(w) => window::max_pool_gather(args[0], args[1], w),
        Op::MaxPoolGrad { window, input } => window::max_pool_grad(args[0], args[1], input, window),
        Op::AvgPool(w) => window::avg_pool(args[0], &node.shape, w),
        Op::AvgPoolGrad { window, input } => window::avg_pool_grad(args[0], input, window),
        Op::Dot { ta, tb } => contraction::dot(args[0], args[1], *ta, *tb),
        Op::Conv(spec) => contraction::conv(args[0], args[1], &node.shape, spec),
        Op::ConvInputGrad { spec, input } => contraction::conv_input_grad(args[0], args[1], input, spec),
        Op::ConvFilterGrad { spec, filter } => contraction::conv_filter_grad(args[0], args[1], filter, spec),
        Op::Gather { axis } => index::gather(args[0], args[1], *axis),
        Op::ScatterAdd { axis } => index::scatter_add(args[0], args[1], args[2], *axis),
    }
}

fn zip(args: &[&Value], f: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    args[0].data.iter().zip(&args[1].data).map(|(&a, &b)| f(a, b)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::ir::{Binary, Type, Unary};

    /// A value of any dtype.
    pub(super) fn value<const N: usize>(dtype: DType, shape: [usize; N], data: &[f64]) -> Value {
        Value { dtype, shape: shape.into(), data: data.to_vec() }
    }

    /// An f32 value.
    pub(super) fn floats<const N: usize>(shape: [usize; N], data: &[f64]) -> Value {
        value(DType::F32, shape, data)
    }

    /// An i32 value.
    pub(super) fn ints<const N: usize>(shape: [usize; N], data: &[f64]) -> Value {
        value(DType::I32, shape, data)
    }

    /// One op on inputs.
    pub(super) fn run(op: Op, inputs: &[Value]) -> Value {
        let mut g = Graph::new();
        let ids: Vec<_> = inputs
            .iter()
            .enumerate()
            .map(|(i, v)| g.input(&i.to_string(), Type::new(&v.shape, v.dtype)).unwrap())
            .collect();
        let out = g.push(op, &ids).unwrap();
        g.output("out", out).unwrap();
        evaluate(&g, inputs, &[]).unwrap().outputs.remove(0)
    }

    #[test]
    fn a_step_replaces_updated_states_and_keeps_the_others() {
        let mut g = Graph::new();
        let ty = Type::new([2], DType::F32);
        let x = g.input("x", ty.clone()).unwrap();
        let s = g.state("s", ty.clone()).unwrap();
        g.state("kept", ty).unwrap();
        let sum = g.add(s, x);
        let dead = g.unary(Unary::Exp, sum);
        g.update(crate::ir::StateId(0), sum).unwrap();
        g.output("before", s).unwrap();
        let states = [floats([2], &[10.0, 20.0]), floats([2], &[7.0, 8.0])];
        let inputs = [floats([2], &[1.0, 2.0])];
        let done = evaluate(&g, &inputs, &states).unwrap();
        assert_eq!(done.outputs, [states[0].clone()]);
        assert_eq!(done.states, [floats([2], &[11.0, 22.0]), states[1].clone()]);
        assert_eq!(evaluate_nodes(&g, &inputs, &states).unwrap()[dead.index()], None);
    }

    #[test]
    fn wrong_inputs_are_errors() {
        let mut g = Graph::new();
        let x = g.input("x", Type::new([2], DType::F32)).unwrap();
        let y = g.binary(Binary::Add, x, x);
        g.output("y", y).unwrap();
        let kind = |inputs: &[Value]| evaluate(&g, inputs, &[]).unwrap_err().kind();
        assert_eq!(kind(&[]), ErrorKind::Graph);
        assert_eq!(kind(&[ints([2], &[1.0, 2.0])]), ErrorKind::DType);
        assert_eq!(kind(&[floats([1], &[1.0])]), ErrorKind::Shape);
        assert_eq!(kind(&[floats([2], &[1.0])]), ErrorKind::Shape);
    }

    #[test]
    fn a_tensor_beyond_memory_is_an_error() {
        let mut g = Graph::new();
        let huge = g.full(0.0, &Shape::from([1 << 40]), DType::F32);
        g.output("huge", huge).unwrap();
        assert_eq!(evaluate(&g, &[], &[]).unwrap_err().kind(), ErrorKind::Memory);
    }

    #[test]
    fn literals_round_trip() {
        let literal = Literal::from_f64(DType::BF16, [2], &[1.5, -2.0]).unwrap();
        let value = Value::from_literal(&literal);
        assert_eq!(value.data, [1.5, -2.0]);
        assert_eq!(value.to_literal().unwrap(), literal);
        assert!(floats([3], &[1.0]).to_literal().is_err());
    }

    #[test]
    fn constants_are_what_their_bits_say() {
        let literal = Literal::from_f32([1], &[0.1]).unwrap();
        assert_eq!(run(Op::Constant(literal), &[]).data, [0.1f32 as f64]);
    }
}
