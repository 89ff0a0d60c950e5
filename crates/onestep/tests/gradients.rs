//! Every gradient rule, and the gradient of every gradient, against central finite differences in f64 on
//! the reference; and the values that rules promise at kinks.

use std::collections::BTreeSet;

use onestep::backend::reference::{Value, evaluate};
use onestep::grad::{gradients, pullback};
use onestep::ir::{
    ArgOp, Binary, Compare, ConvSpec, DType, Graph, Literal, NodeId, Op, ReduceOp, Shape, Type, Unary, Window, verify,
};
use onestep::testing::fill;

/// Half the distance of the two points of a difference.
const H: f64 = 1e-5;
/// The most that a derivative d may be off, relative to max(1, |d|).
const TOLERANCE: f64 = 1e-6;

type Build = Box<dyn Fn(&mut Graph, &[NodeId]) -> NodeId>;

/// A function of inputs; those of dtype f64 are differentiated by.
struct Case {
    name: String,
    inputs: Vec<Value>,
    build: Build,
}

/// A case's graph: y = build(inputs), the sum of weights · y, its gradients, the sum of weights · gradients
/// and its gradients in turn.
struct Derived {
    graph: Graph,
    y: NodeId,
    loss: NodeId,
    first: Vec<NodeId>,
    slope: NodeId,
    second: Vec<NodeId>,
}

impl Case {
    fn derive(&self) -> Derived {
        let mut g = Graph::new();
        let typed = self.inputs.iter().enumerate();
        let x: Vec<NodeId> =
            typed.map(|(i, v)| g.input(&format!("x{i}"), Type::new(&v.shape, v.dtype)).unwrap()).collect();
        let wrt: Vec<NodeId> = x.iter().copied().filter(|&x| g.dtype(x) == DType::F64).collect();
        let y = (self.build)(&mut g, &x);
        let loss = weighted_sum(&mut g, 7, y);
        let first = gradients(&mut g, loss, &wrt).unwrap();
        let sums: Vec<NodeId> = (70..).zip(&first).map(|(seed, &d)| weighted_sum(&mut g, seed, d)).collect();
        let slope = sums.into_iter().reduce(|a, b| g.add(a, b)).unwrap();
        let second = gradients(&mut g, slope, &wrt).unwrap();
        assert_eq!(verify::verify(&g, &self.name), []);
        Derived { graph: g, y, loss, first, slope, second }
    }

    /// Faults of the gradients `of` a scalar against its differences.
    fn faults(&self, order: &str, graph: &Graph, of: NodeId, gradients: &[NodeId]) -> Vec<String> {
        let mut faults = Vec::new();
        let claimed = values(graph, gradients, &self.inputs);
        let scalar = with_outputs(graph, &[of]);
        let varied = self.inputs.iter().enumerate().filter(|(_, v)| v.dtype == DType::F64);
        for ((i, input), claimed) in varied.zip(claimed) {
            for (k, &got) in claimed.iter().enumerate() {
                let at = |x: f64| {
                    let mut inputs = self.inputs.clone();
                    inputs[i].data[k] = x;
                    evaluate(&scalar, &inputs, &[]).unwrap().outputs[0].data[0]
                };
                let want = (at(input.data[k] + H) - at(input.data[k] - H)) / (2.0 * H);
                let close = (got - want).abs() < TOLERANCE * want.abs().max(1.0);
                if !close {
                    let name = &self.name;
                    faults.push(format!("{name}: {order} derivative by element {k} of input {i}: {got}, not {want}"));
                }
            }
        }
        faults
    }
}

fn weighted_sum(g: &mut Graph, seed: u32, x: NodeId) -> NodeId {
    let shape = g.shape(x).clone();
    let weights: Vec<f64> = fill(seed, shape.elements(), 0.5, 1.5).into_iter().map(f64::from).collect();
    let weights = g.add_op(Op::Constant(Literal::from_f64(DType::F64, &shape, &weights).unwrap()), &[]);
    let terms = g.mul(weights, x);
    g.sum(terms, &(0..shape.rank()).collect::<Vec<_>>())
}

fn with_outputs(graph: &Graph, nodes: &[NodeId]) -> Graph {
    let mut graph = graph.clone();
    nodes.iter().enumerate().for_each(|(i, &n)| graph.output(&format!("y{i}"), n).unwrap());
    graph
}

fn values(graph: &Graph, nodes: &[NodeId], inputs: &[Value]) -> Vec<Vec<f64>> {
    let outputs = evaluate(&with_outputs(graph, nodes), inputs, &[]).unwrap().outputs;
    outputs.into_iter().map(|v| v.data).collect()
}

/// The cases under construction.
#[derive(Default)]
struct Cases(Vec<Case>);

impl Cases {
    fn add(&mut self, name: &str, inputs: &[Value], build: impl Fn(&mut Graph, &[NodeId]) -> NodeId + 'static) {
        let types: Vec<String> = inputs.iter().map(|v| Type::new(&v.shape, v.dtype).to_string()).collect();
        let name = format!("#{} {name} of {}", self.0.len(), types.join(", "));
        self.0.push(Case { name, inputs: inputs.to_vec(), build: Box::new(build) });
    }

    fn op(&mut self, op: Op, inputs: &[Value]) {
        self.add(&format!("{op:?}"), inputs, move |g, x| g.add_op(op.clone(), x));
    }
}

fn value(dtype: DType, shape: &[usize], data: Vec<f64>) -> Value {
    Value { dtype, shape: shape.into(), data }
}

/// f64 numbers between lo and hi; the bounds are part of the seed, so that equal shapes differ.
fn uniform(shape: &[usize], lo: f32, hi: f32) -> Value {
    let seed = lo.to_bits() ^ hi.to_bits().rotate_left(7) ^ shape.len() as u32;
    let data = fill(seed, shape.iter().product(), lo, hi).into_iter().map(f64::from).collect();
    value(DType::F64, shape, data)
}

fn floats(shape: &[usize]) -> Value {
    uniform(shape, -2.0, 2.0)
}

fn ints(shape: &[usize], data: &[i32]) -> Value {
    value(DType::I32, shape, data.iter().map(|&i| i as f64).collect())
}

const SHAPES: [&[usize]; 4] = [&[], &[5], &[0, 2], &[2, 1, 3]];

fn elementwise(cases: &mut Cases) {
    for shape in SHAPES {
        for &op in Unary::ALL {
            let (lo, hi) = match op {
                Unary::Not | Unary::IsFinite => continue,
                Unary::Log | Unary::Sqrt | Unary::Rsqrt | Unary::Recip => (0.5, 2.5),
                Unary::Log1p => (-0.5, 2.0),
                Unary::Neg | Unary::Abs | Unary::Sign | Unary::Exp | Unary::Expm1 | Unary::Sin => (-2.0, 2.0),
                Unary::Cos | Unary::Tanh | Unary::Sigmoid | Unary::Erf => (-2.0, 2.0),
                Unary::Floor | Unary::Ceil | Unary::Round => (-3.0, 3.0),
            };
            cases.op(Op::Unary(op), &[uniform(shape, lo, hi)]);
        }
        for &op in Binary::ALL {
            let (a, b) = match op {
                Binary::And | Binary::Or | Binary::Xor => continue,
                Binary::Add | Binary::Sub | Binary::Mul | Binary::Max | Binary::Min => ((-2.0, 2.0), (-1.9, 2.1)),
                Binary::Div => ((-2.0, 2.0), (0.5, 2.0)),
                Binary::Rem => ((-5.0, 5.0), (1.1, 1.4)),
                Binary::Pow => ((0.5, 2.0), (-2.0, 3.0)),
            };
            cases.op(Op::Binary(op), &[uniform(shape, a.0, a.1), uniform(shape, b.0, b.1)]);
            cases.add(&format!("{op:?} with itself"), &[uniform(shape, 0.5, 1.5)], move |g, x| {
                let double = g.add(x[0], x[0]);
                g.binary(op, x[0], double)
            });
        }
        for &op in Compare::ALL {
            cases.add(&format!("{op:?} and select"), &[floats(shape), uniform(shape, -1.0, 1.0)], move |g, x| {
                let condition = g.compare(op, x[0], x[1]);
                let (a, b) = (g.mul(x[0], x[0]), g.unary(Unary::Exp, x[1]));
                g.select(condition, a, b)
            });
        }
        for dtype in [DType::F32, DType::BF16, DType::F16, DType::I32, DType::Bool] {
            cases.add(&format!("cast to {dtype} and back"), &[floats(shape)], move |g, x| {
                let square = g.mul(x[0], x[0]);
                let there = g.cast(square, dtype);
                let back = g.cast(there, DType::F64);
                g.mul(back, x[0])
            });
        }
        cases.add("is_finite and logic", &[floats(shape)], |g, x| {
            let finite = g.unary(Unary::IsFinite, x[0]);
            let infinite = g.unary(Unary::Not, finite);
            let either = g.binary(Binary::Or, finite, infinite);
            let mask = g.cast(either, DType::F64);
            g.mul(mask, x[0])
        });
    }
}

fn movement(cases: &mut Cases) {
    let reshapes: [(&[usize], &[usize]); 3] = [(&[2, 6], &[3, 1, 4]), (&[1], &[]), (&[0, 3], &[3, 0, 2])];
    for (from, to) in reshapes {
        cases.op(Op::Reshape(to.into()), &[floats(from)]);
    }
    let permutes: [(&[usize], &[usize]); 4] =
        [(&[3, 4], &[1, 0]), (&[2, 3, 4], &[2, 0, 1]), (&[2, 3, 2, 2], &[3, 1, 0, 2]), (&[], &[])];
    for (shape, perm) in permutes {
        cases.op(Op::Permute(perm.to_vec()), &[floats(shape)]);
    }
    let broadcasts: [(&[usize], &[usize]); 5] =
        [(&[1, 3], &[4, 3]), (&[2, 1, 1], &[2, 3, 4]), (&[1, 1], &[2, 2]), (&[3, 1], &[3, 0]), (&[2], &[2])];
    for (from, to) in broadcasts {
        cases.op(Op::Broadcast(to.into()), &[floats(from)]);
    }
    let slices: [(&[usize], [&[usize]; 3]); 8] = [
        (&[6], [&[1], &[4], &[1]]),
        (&[7], [&[0], &[7], &[2]]),
        (&[7], [&[1], &[7], &[3]]),
        (&[8], [&[2], &[7], &[4]]),
        (&[5], [&[3], &[5], &[usize::MAX]]),
        (&[5], [&[2], &[2], &[2]]),
        (&[4, 5, 3], [&[1, 0, 2], &[4, 5, 3], &[2, 3, 1]]),
        (&[], [&[], &[], &[]]),
    ];
    for (shape, [start, stop, step]) in slices {
        let op = Op::Slice { start: start.to_vec(), stop: stop.to_vec(), step: step.to_vec() };
        cases.op(op, &[floats(shape)]);
    }
    for (shape, low, high) in
        [(&[3][..], vec![2], vec![1]), (&[2, 3], vec![0, 1], vec![2, 0]), (&[0], vec![1], vec![1])]
    {
        cases.op(Op::Pad { low, high, value: 3.5f64.to_bits() }, &[floats(shape)]);
    }
    for (axis, last) in [(0, [4, 3]), (1, [2, 0])] {
        cases.op(Op::Concat { axis }, &[floats(&[2, 3]), uniform(&[2, 3], 0.0, 1.0), floats(&last)]);
    }
    cases.add("concat of one input twice", &[floats(&[2, 2])], |g, x| g.add_op(Op::Concat { axis: 1 }, &[x[0], x[0]]));
    for axes in [vec![], vec![0], vec![1], vec![0, 1, 2]] {
        cases.op(Op::Flip(axes), &[floats(&[2, 3, 2])]);
    }
    cases.op(Op::After, &[floats(&[2, 3]), floats(&[4])]);
    for start in [-3, 0, 1, 99] {
        for (axis, len) in [(0, 2), (1, 3), (1, 5), (1, 0)] {
            cases.op(Op::DynamicSlice { axis, len }, &[floats(&[3, 5]), ints(&[], &[start])]);
        }
    }
}

fn reductions(cases: &mut Cases) {
    let folds: [(&[usize], &[usize]); 7] = [
        (&[4], &[0]),
        (&[3, 4], &[0]),
        (&[3, 4], &[1]),
        (&[2, 3, 2], &[0, 2]),
        (&[2, 3], &[0, 1]),
        (&[], &[]),
        (&[3], &[]),
    ];
    for (shape, axes) in folds {
        for &op in ReduceOp::ALL {
            cases.op(Op::Reduce { op, axes: axes.to_vec() }, &[uniform(shape, 0.5, 2.0)]);
        }
        for &op in ArgOp::ALL {
            let axes = axes.to_vec();
            cases.add(&format!("arg{op:?} over {axes:?}"), &[floats(shape)], move |g, x| {
                let place = g.add_op(Op::ArgReduce { op, axes: axes.clone() }, x);
                g.cast(place, DType::F64)
            });
        }
    }
    for op in [ReduceOp::Sum, ReduceOp::Prod] {
        cases.op(Op::Reduce { op, axes: vec![0] }, &[floats(&[0, 3])]);
        cases.op(Op::Reduce { op, axes: vec![0] }, &[floats(&[3, 0])]);
    }
    for (exclusive, reverse) in [(false, false), (false, true), (true, false), (true, true)] {
        for (shape, axis) in [(&[5][..], 0), (&[2, 3, 2], 1), (&[1, 3], 0), (&[0], 0)] {
            cases.op(Op::CumSum { axis, exclusive, reverse }, &[floats(shape)]);
        }
    }
}

fn windows(cases: &mut Cases) {
    let window = |size: &[usize], stride: &[usize], padding: &[(usize, usize)]| Window {
        size: size.to_vec(),
        stride: stride.to_vec(),
        padding: padding.to_vec(),
    };
    let pools: [(&[usize], Window); 5] = [
        (&[2, 7, 2], window(&[3], &[2], &[(1, 1)])),
        (&[1, 6, 6, 2], window(&[2, 2], &[2, 2], &[(0, 0), (0, 0)])),
        (&[2, 5, 4, 1], window(&[3, 2], &[1, 1], &[(1, 0), (0, 1)])),
        (&[1, 5, 5, 1], window(&[2, 2], &[3, 2], &[(0, 0), (1, 1)])),
        (&[1, 4, 3, 3, 1], window(&[2, 2, 3], &[2, 1, 1], &[(0, 1), (0, 0), (1, 2)])),
    ];
    for (shape, window) in pools {
        let x = uniform(shape, -3.0, 3.0);
        let input = x.shape.clone();
        let mut g = Graph::new();
        let image = g.input("x", Type::new(&input, DType::F64)).unwrap();
        let place = g.add_op(Op::MaxPoolIndex(window.clone()), &[image]);
        let pooled = g.shape(place).to_vec();
        let place = ints(
            &pooled,
            &values(&g, &[place], std::slice::from_ref(&x))[0].iter().map(|&v| v as i32).collect::<Vec<_>>(),
        );
        let cotangent = floats(&pooled);
        cases.op(Op::MaxPool(window.clone()), std::slice::from_ref(&x));
        cases.op(Op::MaxPoolGather(window.clone()), &[place.clone(), uniform(shape, -1.0, 1.0)]);
        cases.op(Op::MaxPoolGrad { window: window.clone(), input: input.clone() }, &[place, cotangent.clone()]);
        cases.op(Op::AvgPool(window.clone()), &[x]);
        cases.op(Op::AvgPoolGrad { window, input }, &[cotangent]);
    }
}

fn contractions(cases: &mut Cases) {
    for (ta, tb) in [(false, false), (false, true), (true, false), (true, true)] {
        for batch in [&[][..], &[2], &[2, 3], &[0]] {
            let matrix = |rows, columns, t: bool| [batch, &if t { [columns, rows] } else { [rows, columns] }].concat();
            let (a, b) = (matrix(2, 3, ta), matrix(3, 4, tb));
            cases.op(Op::Dot { ta, tb }, &[floats(&a), uniform(&b, -1.0, 1.0)]);
        }
        cases.add("dot with itself", &[floats(&[3, 3])], move |g, x| g.add_op(Op::Dot { ta, tb }, &[x[0], x[0]]));
    }
    let spec = |stride: &[usize], padding: &[(usize, usize)], dilation: &[usize], groups| ConvSpec {
        stride: stride.to_vec(),
        padding: padding.to_vec(),
        dilation: dilation.to_vec(),
        groups,
    };
    let convs: [(&[usize], &[usize], ConvSpec); 8] = [
        (&[2, 6, 2], &[3, 3, 2], spec(&[1], &[(1, 1)], &[1], 1)),
        (&[1, 7, 4], &[4, 2, 2], spec(&[2], &[(0, 1)], &[3], 2)),
        (&[1, 4, 4, 2], &[2, 3, 3, 2], spec(&[1, 1], &[(1, 1), (1, 1)], &[1, 1], 1)),
        (&[2, 5, 4, 2], &[2, 2, 3, 1], spec(&[2, 1], &[(0, 1), (2, 0)], &[1, 1], 2)),
        (&[1, 6, 5, 2], &[1, 2, 2, 2], spec(&[3, 2], &[(1, 2), (0, 0)], &[2, 3], 1)),
        (&[1, 3, 3, 3], &[6, 2, 2, 1], spec(&[1, 2], &[(0, 0), (1, 0)], &[1, 1], 3)),
        (&[1, 5, 5, 1], &[2, 1, 1, 1], spec(&[2, 3], &[(0, 0), (0, 0)], &[1, 1], 1)),
        (&[1, 3, 4, 3, 2], &[2, 2, 2, 2, 1], spec(&[1, 2, 1], &[(1, 0), (0, 1), (0, 0)], &[1, 1, 2], 2)),
    ];
    for (image, filter, spec) in convs {
        let (x, w) = (floats(image), uniform(filter, -1.0, 1.0));
        let (input, kernel) = (Shape::from(image), Shape::from(filter));
        let output = onestep::ir::infer::conv_output(&input, &kernel, &spec).unwrap();
        let g = uniform(&output, -1.5, 1.0);
        cases.op(Op::Conv(spec.clone()), &[x.clone(), w.clone()]);
        cases.op(Op::ConvInputGrad { spec: spec.clone(), input }, &[g.clone(), w]);
        cases.op(Op::ConvFilterGrad { spec, filter: kernel }, &[x, g]);
    }
}

fn indexing(cases: &mut Cases) {
    let indices = [ints(&[], &[1]), ints(&[4], &[2, 0, 2, 1]), ints(&[2, 2], &[-1, 1, 99, 1]), ints(&[0], &[])];
    for index in indices {
        for (shape, axis) in [(&[3][..], 0), (&[3, 2], 0), (&[2, 3, 2], 1), (&[2, 4], 1)] {
            let gathered = [&shape[..axis], &index.shape, &shape[axis + 1..]].concat();
            let updates = uniform(&gathered, -1.0, 1.0);
            cases.op(Op::Gather { axis }, &[floats(shape), index.clone()]);
            cases.op(Op::ScatterAdd { axis }, &[floats(shape), index.clone(), updates]);
        }
    }
}

/// A two-layer network with softmax cross entropy: many rules in a row, inputs used more than once.
fn networks(cases: &mut Cases) {
    let inputs =
        [floats(&[3, 4]), uniform(&[4, 5], -1.0, 1.0), uniform(&[1, 5], -0.5, 0.5), uniform(&[5, 4], -0.9, 1.0)];
    cases.add("a network", &inputs, |g, v| {
        let dot = Op::Dot { ta: false, tb: false };
        let (x, h) = (v[0], g.add_op(dot.clone(), &v[..2]));
        let shape = g.shape(h).clone();
        let bias = g.broadcast(v[2], &shape);
        let h = g.add(h, bias);
        let h = g.unary(Unary::Tanh, h);
        let logits = g.add_op(dot, &[h, v[3]]);
        let logits = g.add(logits, x);
        let shape = g.shape(logits).clone();
        let top = g.reduce(ReduceOp::Max, logits, &[1]);
        let top = g.expand(top, &[1], &shape);
        let shifted = g.sub(logits, top);
        let exp = g.unary(Unary::Exp, shifted);
        let sum = g.sum(exp, &[1]);
        let log = g.unary(Unary::Log, sum);
        let log = g.expand(log, &[1], &shape);
        g.sub(shifted, log)
    });
}

fn all_cases() -> Vec<Case> {
    let mut cases = Cases::default();
    [elementwise, movement, reductions, windows, contractions, indexing, networks]
        .iter()
        .for_each(|add| add(&mut cases));
    cases.0
}

#[test]
fn first_and_second_derivatives_agree_with_differences() {
    let mut faults = Vec::new();
    for case in all_cases() {
        let Derived { graph, loss, first, slope, second, .. } = case.derive();
        faults.extend(case.faults("first", &graph, loss, &first));
        faults.extend(case.faults("second", &graph, slope, &second));
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults[..faults.len().min(40)].join("\n"));
}

/// Complete on purpose: a new op breaks the build here until it has cases.
fn variant(op: &Op) -> Option<usize> {
    Some(match op {
        Op::Input(_) | Op::State(_) | Op::Constant(_) | Op::Iota { .. } | Op::Random { .. } => return None,
        Op::MaxPoolIndex(_) => return None,
        Op::Unary(_) => 0,
        Op::Binary(_) => 1,
        Op::Compare(_) => 2,
        Op::Select => 3,
        Op::Cast(_) => 4,
        Op::Reshape(_) => 5,
        Op::Permute(_) => 6,
        Op::Broadcast(_) => 7,
        Op::Slice { .. } => 8,
        Op::Pad { .. } => 9,
        Op::Concat { .. } => 10,
        Op::Flip(_) => 11,
        Op::DynamicSlice { .. } => 12,
        Op::Reduce { .. } => 13,
        Op::ArgReduce { .. } => 14,
        Op::CumSum { .. } => 15,
        Op::MaxPool(_) => 16,
        Op::MaxPoolGather(_) => 17,
        Op::MaxPoolGrad { .. } => 18,
        Op::AvgPool(_) => 19,
        Op::AvgPoolGrad { .. } => 20,
        Op::Dot { .. } => 21,
        Op::Conv(_) => 22,
        Op::ConvInputGrad { .. } => 23,
        Op::ConvFilterGrad { .. } => 24,
        Op::Gather { .. } => 25,
        Op::ScatterAdd { .. } => 26,
        Op::After => 27,
    })
}

#[test]
fn every_op_has_cases() {
    let mut variants = BTreeSet::new();
    for case in all_cases() {
        let Derived { graph, y, .. } = case.derive();
        variants.extend(graph.nodes().filter(|(id, _)| *id <= y).filter_map(|(_, n)| variant(&n.op)));
    }
    assert!(variants.into_iter().eq(0..28));
}

/// Gradients of the sum of a function, and of the sum of these.
fn at(inputs: &[Value], build: impl Fn(&mut Graph, &[NodeId]) -> NodeId) -> [Vec<Vec<f64>>; 2] {
    let mut g = Graph::new();
    let typed = inputs.iter().enumerate();
    let x: Vec<NodeId> = typed.map(|(i, v)| g.input(&format!("x{i}"), Type::new(&v.shape, v.dtype)).unwrap()).collect();
    let y = build(&mut g, &x);
    let sum = |g: &mut Graph, y: NodeId| {
        let axes: Vec<usize> = (0..g.shape(y).rank()).collect();
        g.sum(y, &axes)
    };
    let loss = sum(&mut g, y);
    let first = gradients(&mut g, loss, &x).unwrap();
    let slope =
        first.iter().map(|&d| sum(&mut g, d)).collect::<Vec<_>>().into_iter().reduce(|a, b| g.add(a, b)).unwrap();
    let second = gradients(&mut g, slope, &x).unwrap();
    [values(&g, &first, inputs), values(&g, &second, inputs)]
}

fn list(data: &[f64]) -> Value {
    value(DType::F64, &[data.len()], data.to_vec())
}

#[test]
fn ties_share_the_gradient() {
    for (op, wins) in [(Binary::Max, [0.5, 1.0, 0.0]), (Binary::Min, [0.5, 0.0, 1.0])] {
        let [first, _] = at(&[list(&[1.0, 2.0, 3.0]), list(&[1.0, 1.0, 4.0])], |g, x| g.binary(op, x[0], x[1]));
        assert_eq!(first, [wins.to_vec(), wins.iter().map(|w| 1.0 - w).collect()]);
    }
    for (op, shares) in [(ReduceOp::Max, [0.0, 0.5, 0.5, 0.0]), (ReduceOp::Min, [0.5, 0.0, 0.0, 0.5])] {
        let [first, second] = at(&[list(&[1.0, 3.0, 3.0, 1.0])], |g, x| g.reduce(op, x[0], &[0]));
        assert_eq!((first, second), (vec![shares.to_vec()], vec![vec![0.0; 4]]));
    }
}

#[test]
fn marked_layers_have_the_same_derivatives_twice() {
    let derivatives = |marked: &[&str]| {
        at(&[uniform(&[2, 3], 0.0, 1.0)], |g, x| {
            marked.iter().for_each(|path| g.checkpoint(path));
            g.set_scope("outer");
            let h = g.unary(Unary::Sin, x[0]);
            g.set_scope("outer.inner");
            let h = g.unary(Unary::Tanh, h);
            let h = g.unary(Unary::Exp, h);
            g.set_scope("outer");
            let y = g.mul(h, x[0]);
            g.set_scope("");
            y
        })
    };
    let want = derivatives(&[]);
    for marked in [&["outer"][..], &["outer.inner"], &["outer.inner", "outer"]] {
        let [first, second] = derivatives(marked);
        assert_eq!(first, want[0], "{marked:?}");
        // Both computations of a node have a gradient of their own here, which are added later.
        for (got, want) in second[0].iter().zip(&want[1][0]) {
            assert!((got - want).abs() < 1e-12, "{marked:?}: {got}, not {want}");
        }
    }
}

#[test]
fn a_product_with_zeros_has_a_gradient() {
    let gradient = |x: &[f64]| at(&[list(x)], |g, x| g.reduce(ReduceOp::Prod, x[0], &[0]))[0][0].clone();
    assert_eq!(gradient(&[2.0, 0.0, 3.0]), [0.0, 6.0, 0.0]);
    assert_eq!(gradient(&[0.0, 0.0, 3.0]), [0.0, 0.0, 0.0]);
    assert_eq!(gradient(&[2.0, 4.0, 3.0]), [12.0, 6.0, 8.0]);
}

#[test]
fn powers_are_sound_at_zero() {
    let [first, second] = at(&[list(&[0.0, 0.0, 0.0, 3.0])], |g, x| {
        let exponents = g.add_op(Op::Constant(Literal::from_f64(DType::F64, [4], &[0.0, 1.0, 2.0, 0.0]).unwrap()), &[]);
        g.binary(Binary::Pow, x[0], exponents)
    });
    assert_eq!(first, [[0.0, 1.0, 0.0, 0.0]]);
    assert_eq!(second, [[0.0, 0.0, 2.0, 0.0]]);
    let [first, _] = at(&[list(&[0.0, 0.0, 2.0]), list(&[2.0, 0.0, 0.0])], |g, x| g.binary(Binary::Pow, x[0], x[1]));
    assert_eq!(first, [[0.0, 0.0, 0.0], [0.0, 0.0, 2f64.ln()]]);
}

#[test]
fn kinks_take_the_middle() {
    let [first, _] = at(&[list(&[-2.0, 0.0, 2.0])], |g, x| g.unary(Unary::Abs, x[0]));
    assert_eq!(first, [[-1.0, 0.0, 1.0]]);
}

#[test]
fn a_pullback_is_the_gradient_of_the_weighted_sum() {
    let mut g = Graph::new();
    let [x, c] = ["x", "c"].map(|name| g.input(name, Type::new([2, 3], DType::F64)).unwrap());
    let (sin, exp) = (g.unary(Unary::Sin, x), g.unary(Unary::Exp, x));
    let back = pullback(&mut g, &[(sin, c), (exp, x), (x, c)], &[x]).unwrap()[0];
    let [inputs_x, inputs_c] = [floats(&[2, 3]), uniform(&[2, 3], 0.0, 1.0)];
    let got = values(&g, &[back], &[inputs_x.clone(), inputs_c.clone()]).remove(0);
    for (got, (x, c)) in got.iter().zip(inputs_x.data.iter().zip(&inputs_c.data)) {
        let want = c * x.cos() + x * x.exp() + c;
        assert!((got - want).abs() < 1e-12, "{got}, not {want}");
    }
}
