//! Random graphs: what the fused plan computes must be what the reference computes, whatever passes run.

use std::sync::LazyLock;

use onestep::backend::Device;
use onestep::backend::reference::{Value, evaluate};
use onestep::ir::{
    ArgOp, Binary, Compare, ConvSpec, DType, Graph, Literal, NodeId, Op, ReduceOp, Shape, Type, Unary, Window, infer,
    verify,
};
use onestep::passes::{Passes, Precision, compile, compile_in, narrow};
use onestep::testing::{devices, fill, run_once};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// A step of a random program: which op, on which of the values so far, with a number to choose by.
type Choice = (u8, u16, u16, u32);

/// The values so far.
struct Values {
    all: Vec<NodeId>,
    /// Those that no rounding has touched, so that a comparison, a place or a cast of them cannot tip over.
    exact: Vec<NodeId>,
}

/// A window that an axis of this extent holds.
fn window(extents: &[usize], n: usize) -> Window {
    let of = |f: &dyn Fn(usize, usize) -> usize| extents.iter().enumerate().map(|(i, &e)| f(n >> (3 * i), e)).collect();
    let size: Vec<usize> = of(&|n, e| 1 + n % 3.min(e));
    let padding = size.iter().enumerate().map(|(i, s)| ((n >> (6 + i)) % s, (n >> (8 + i)) % s)).collect();
    Window { stride: of(&|n, _| 1 + (n >> 1) % 3), size, padding }
}

/// The sum over axes, divided by the number of its terms so that values stay small.
fn mean(g: &mut Graph, x: NodeId, axes: &[usize]) -> NodeId {
    let terms: usize = axes.iter().map(|&a| g.shape(x)[a]).product();
    let scale = g.full_like(1.0 / terms as f64, x);
    let scaled = g.mul(x, scale);
    g.sum(scaled, axes)
}

/// Whole numbers from -3 to 3, i32, of the first elements of an exact value.
fn indices(g: &mut Graph, exact: NodeId, count: usize) -> NodeId {
    let elements = g.shape(exact).elements();
    let flat = g.reshape(exact, [elements]);
    let slice = Op::Slice { start: vec![0], stop: vec![count.min(elements)], step: vec![1] };
    let few = g.add_op(slice, &[flat]);
    let four = g.full_like(4.0, few);
    let few = g.mul(few, four);
    g.cast(few, DType::I32)
}

/// Grows a graph by one node, if the choice makes sense for its operands.
fn grow(g: &mut Graph, values: &mut Values, (kind, a, b, n): Choice) {
    let pick = |i: u16, of: &[NodeId]| of[i as usize % of.len()];
    let (a, b, exact) = (pick(a, &values.all), pick(b, &values.all), pick(b, &values.exact));
    let shape = g.shape(a).clone();
    let rank = shape.rank();
    let n = n as usize;
    let subset: Vec<usize> = (0..rank).filter(|i| n >> i & 1 == 1).collect();
    let moves = matches!(kind % 32, 6..=11 | 16 | 20);
    let node = match kind % 32 {
        0..=2 => {
            let ops = [Unary::Tanh, Unary::Neg, Unary::Sigmoid, Unary::Abs, Unary::Erf, Unary::Sin];
            g.push(Op::Unary(ops[n % ops.len()]), &[a])
        }
        3..=5 => {
            // The other operand is brought to this one's shape by summing it to a scalar and stretching that.
            let ops = [Binary::Add, Binary::Sub, Binary::Mul, Binary::Max];
            let b = match *g.shape(b) == shape {
                true => b,
                false => {
                    let axes: Vec<usize> = (0..g.shape(b).rank()).collect();
                    let sum = g.sum(b, &axes);
                    let small = g.unary(Unary::Tanh, sum);
                    let ones = g.reshape(small, vec![1; rank]);
                    g.broadcast(ones, &shape)
                }
            };
            g.push(Op::Binary(ops[n % ops.len()]), &[a, b])
        }
        6 => {
            let mut perm: Vec<usize> = (0..rank).collect();
            perm.rotate_left(n % rank.max(1));
            g.push(Op::Permute(perm), &[a])
        }
        7 => {
            let all = shape.elements();
            let first = (1..=all).filter(|d| all.is_multiple_of(*d)).nth(n % 4).unwrap_or(1);
            g.push(Op::Reshape([first, all / first].into()), &[a])
        }
        8 => g.push(Op::Flip((0..rank).filter(|i| n >> i & 1 == 1).collect()), &[a]),
        9 => {
            let start: Vec<usize> = (0..rank).map(|i| (n >> i) % 2.min(shape[i])).collect();
            let step = vec![1 + n % 2; rank];
            g.push(Op::Slice { start, stop: shape.to_vec(), step }, &[a])
        }
        10 => {
            let low = (0..rank).map(|i| (n >> i) & 1).collect();
            let high = (0..rank).map(|i| (n >> (i + 2)) & 1).collect();
            g.push(Op::Pad { low, high, value: 0.5f64.to_bits() }, &[a])
        }
        11 if rank > 0 => g.push(Op::Concat { axis: n % rank }, &[a, a]),
        12 | 13 if rank > 0 => {
            // Softmax along an axis, the row kernel of every classifier.
            let axis = [n % rank];
            let max = g.reduce(ReduceOp::Max, a, &axis);
            let max = g.expand(max, &axis, &shape);
            let d = g.sub(a, max);
            let e = g.unary(Unary::Exp, d);
            let sum = g.sum(e, &axis);
            let sum = g.expand(sum, &axis, &shape);
            g.push(Op::Binary(Binary::Div), &[e, sum])
        }
        14 if rank > 0 => {
            // Mean and deviation from it: two reductions over the same rows.
            let axis = [n % rank];
            let scale = g.full_like(1.0 / shape[axis[0]] as f64, a);
            let scaled = g.mul(a, scale);
            let mean = g.sum(scaled, &axis);
            let mean = g.expand(mean, &axis, &shape);
            g.push(Op::Binary(Binary::Sub), &[a, mean])
        }
        15 if rank == 2 && *g.shape(b) == shape => {
            let product = g.push(Op::Dot { ta: false, tb: true }, &[a, b]);
            product.map(|p| g.unary(Unary::Tanh, p))
        }
        16 => {
            let op = [ReduceOp::Max, ReduceOp::Min][n / 64 % 2];
            g.push(Op::Reduce { op, axes: subset }, &[a])
        }
        17 => Ok(mean(g, a, &subset)),
        18 => {
            // Where the extremes are, as numbers.
            let axes = (0..g.shape(exact).rank()).filter(|i| n >> i & 1 == 1).collect();
            let op = [ArgOp::Max, ArgOp::Min][n / 64 % 2];
            let place = g.add_op(Op::ArgReduce { op, axes }, &[exact]);
            let place = g.cast(place, DType::F32);
            let scale = g.full_like(0.0625, place);
            g.push(Op::Binary(Binary::Mul), &[place, scale])
        }
        19 if rank > 0 => {
            let sums = Op::CumSum { axis: n % rank, exclusive: n >> 4 & 1 == 1, reverse: n >> 5 & 1 == 1 };
            let scale = g.full_like(1.0 / shape[n % rank] as f64, a);
            let scaled = g.mul(a, scale);
            g.push(sums, &[scaled])
        }
        20 if rank > 0 => {
            let index = indices(g, exact, 1);
            let start = g.reshape(index, Shape::scalar());
            let axis = n % rank;
            g.push(Op::DynamicSlice { axis, len: 1 + n / 8 % shape[axis] }, &[a, start])
        }
        21 if rank > 0 => {
            let index = indices(g, exact, 1 + n / 8 % 6);
            g.push(Op::Gather { axis: n % rank }, &[a, index])
        }
        22 if rank > 0 => {
            let index = indices(g, exact, 1 + n / 8 % 6);
            let updates = g.add_op(Op::Gather { axis: n % rank }, &[a, index]);
            let updates = g.neg(updates);
            g.push(Op::ScatterAdd { axis: n % rank }, &[a, index, updates])
        }
        23 if rank == 2 || rank == 3 => {
            // Pools and their gradients over the axes but the last.
            let batched: Shape = std::iter::once(1).chain(shape.iter().copied()).collect();
            let w = window(&shape[..rank - 1], n);
            let x = g.reshape(a, &batched);
            if infer::pooled(&batched, &w).is_err() {
                return;
            }
            let pool = if n >> 12 & 1 == 0 { Op::AvgPool(w.clone()) } else { Op::MaxPool(w.clone()) };
            let pooled = g.add_op(pool, &[x]);
            if n >> 13 & 1 == 0 {
                g.push(Op::Reshape(g.shape(pooled)[1..].into()), &[pooled])
            } else if n >> 14 & 1 == 0 {
                g.push(Op::AvgPoolGrad { window: w, input: batched }, &[pooled])
            } else {
                let other = g.shape(exact).elements();
                let flat = g.reshape(exact, [other]);
                let all = batched.elements();
                let long = Op::Pad { low: vec![0], high: vec![all.saturating_sub(other)], value: 0.25f64.to_bits() };
                let flat = g.add_op(long, &[flat]);
                let flat = g.add_op(Op::Slice { start: vec![0], stop: vec![all], step: vec![1] }, &[flat]);
                let x = g.reshape(flat, &batched);
                let place = g.add_op(Op::MaxPoolIndex(w.clone()), &[x]);
                g.push(Op::MaxPoolGrad { window: w, input: batched }, &[place, pooled])
            }
        }
        24 | 25 if *g.shape(exact) == shape => {
            let ops = [Compare::Eq, Compare::Ne, Compare::Lt, Compare::Le];
            let limit = g.full_like([0.0, 0.5, -0.25][n / 4 % 3], exact);
            let condition = g.compare(ops[n % 4], exact, limit);
            let b = if *g.shape(b) == shape { b } else { limit };
            g.push(Op::Select, &[condition, a, b])
        }
        26 => {
            let dtype = [DType::I32, DType::U8, DType::Bool, DType::U32][n % 4];
            let eight = g.full_like(8.0, exact);
            let scaled = g.mul(exact, eight);
            let whole = g.cast(scaled, dtype);
            let axes: Vec<usize> = (0..g.shape(whole).rank()).filter(|i| n >> (i + 2) & 1 == 1).collect();
            let whole = if dtype == DType::I32 { g.sum(whole, &axes) } else { whole };
            let back = g.cast(whole, DType::F32);
            let scale = g.full_like(1.0 / 256.0, back);
            g.push(Op::Binary(Binary::Mul), &[back, scale])
        }
        27 if rank == 3 => {
            // A product with one operand's batch stretched, and a transposed one.
            let first = Op::Slice { start: vec![0; 3], stop: vec![1, shape[1], shape[2]], step: vec![1; 3] };
            let first = g.add_op(first, &[a]);
            let all = g.broadcast(first, &shape);
            let product = g.push(Op::Dot { ta: n & 1 == 1, tb: n & 1 == 0 }, &[a, all]);
            product.map(|p| g.unary(Unary::Tanh, p))
        }
        28 if rank == 3 => {
            // A convolution of a value with itself as weights, and what its gradients would be.
            let k = 1 + n % shape[1];
            let part = Op::Slice { start: vec![0; 3], stop: vec![shape[0], k, shape[2]], step: vec![1; 3] };
            let w = g.add_op(part, &[a]);
            let pad = (n / 8 % 2, n / 16 % 2);
            let spec = ConvSpec { stride: vec![1 + n / 32 % 2], padding: vec![pad], dilation: vec![1], groups: 1 };
            let y = g.add_op(Op::Conv(spec.clone()), &[a, w]);
            let y = g.unary(Unary::Tanh, y);
            let node = match n / 64 % 3 {
                0 => Ok(y),
                1 => g.push(Op::ConvInputGrad { spec, input: shape.clone() }, &[y, w]),
                _ => g.push(Op::ConvFilterGrad { spec, filter: g.shape(w).clone() }, &[a, y]),
            };
            node.map(|node| g.unary(Unary::Tanh, node))
        }
        29 => {
            // Dear enough to be stored where it is used twice.
            let x = g.unary(Unary::Sin, a);
            let x = g.unary(Unary::Erf, x);
            g.push(Op::Unary(Unary::Cos), &[x])
        }
        30 => {
            // The value once more, after another one.
            let node = g.node(a).clone();
            if node.inputs.is_empty() {
                return;
            }
            let inputs: Vec<NodeId> = node.inputs.iter().map(|&x| g.after(x, b)).collect();
            g.push(node.op, &inputs)
        }
        31 if rank > 0 => {
            // The first and the last half of an axis, in turn or joined the other way round.
            let (axis, half) = (n % rank, shape[n % rank] / 2);
            let mut part = |start: usize, stop: usize| {
                let (mut low, mut high) = (vec![0; rank], shape.to_vec());
                (low[axis], high[axis]) = (start, stop);
                g.add_op(Op::Slice { start: low, stop: high, step: vec![1; rank] }, &[a])
            };
            let parts = [part(half, shape[axis]), part(0, half)];
            g.push(Op::Concat { axis }, &parts)
        }
        _ => return,
    };
    if let Ok(node) = node
        && (1..=1400).contains(&g.shape(node).elements())
    {
        values.all.push(node);
        if moves && values.exact.contains(&a) {
            values.exact.push(node);
        }
    }
}

fn program(choices: &[Choice], states: bool) -> (Graph, Vec<Literal>, Vec<Literal>) {
    let mut g = Graph::new();
    let x = g.input("x", Type::new([4, 6], DType::F32)).unwrap();
    let y = g.input("y", Type::new([3, 4, 2], DType::F32)).unwrap();
    let z = g.input("z", Type::new([3, 300], DType::F32)).unwrap();
    let mut values = Values { all: vec![x, y, z], exact: vec![x, y, z] };
    let mut initial = Vec::new();
    if states {
        for name in ["p", "q"] {
            values.all.push(g.state(name, Type::new([24], DType::F32)).unwrap());
            initial.push(Literal::from_f32([24], &fill(7 + initial.len() as u32, 24, -1.0, 1.0)).unwrap());
        }
    }
    choices.iter().for_each(|&c| grow(&mut g, &mut values, c));
    let values = values.all;
    let last: Vec<NodeId> = values.iter().rev().take(3).copied().collect();
    for (i, node) in last.iter().enumerate() {
        g.output(&format!("o{i}"), *node).unwrap();
    }
    if states {
        // New values of the states: the last values of their shape, often each other.
        let shape = Shape::from([24]);
        let fitting: Vec<NodeId> = values.iter().rev().filter(|v| *g.shape(**v) == shape).copied().collect();
        g.update(onestep::ir::StateId(0), fitting[0]).unwrap();
        g.update(onestep::ir::StateId(1), fitting[fitting.len() / 2]).unwrap();
    }
    let inputs = [Shape::from([4, 6]), Shape::from([3, 4, 2]), Shape::from([3, 300])]
        .iter()
        .enumerate()
        .map(|(i, s)| Literal::from_f32(s, &fill(i as u32, s.elements(), -1.0, 1.0)).unwrap())
        .collect();
    (g, inputs, initial)
}

fn agree(choices: &[Choice], states: bool, passes: &str) -> Result<(), TestCaseError> {
    DEVICES.iter().try_for_each(|device| agree_on(device, choices, states, passes))
}

static DEVICES: LazyLock<Vec<Device>> = LazyLock::new(devices);

fn agree_on(device: &Device, choices: &[Choice], states: bool, passes: &str) -> Result<(), TestCaseError> {
    let (graph, inputs, initial) = program(choices, states);
    let values = |list: &[Literal]| list.iter().map(Value::from_literal).collect::<Vec<_>>();
    let want = evaluate(&graph, &values(&inputs), &values(&initial)).unwrap();
    let compiled = compile(&graph, &device.target(), passes.parse::<Passes>().unwrap()).unwrap();
    let (outputs, states) = run_once(device, &compiled, &inputs, &initial).unwrap();
    let close = |want: &Value, got: Vec<f32>| {
        let scale = want.data.iter().fold(1.0f64, |m, v| m.max(v.abs()));
        want.data.iter().zip(&got).all(|(w, g)| (w - *g as f64).abs() <= 2e-4 * scale)
    };
    for (i, want) in want.outputs.iter().enumerate() {
        let got = outputs[i].to_f32();
        prop_assert!(close(want, got.clone()), "output {i}: {want:?}\nis not {got:?}\n{graph}\n{}", compiled.plan);
    }
    for (want, got) in want.states.iter().zip(&states) {
        let got = got.to_f32();
        prop_assert!(close(want, got.clone()), "state: {want:?}\nis not {got:?}\n{graph}\n{}", compiled.plan);
    }
    Ok(())
}

/// The reference does not round, so narrowing must change nothing there, unless it is a constant's value.
fn narrows(choices: &[Choice], states: bool, precision: Precision) -> Result<(), TestCaseError> {
    let (graph, inputs, initial) = program(choices, states);
    let narrowed = narrow(&graph, precision).unwrap();
    verify::assert_valid(&narrowed, "precision");
    prop_assert_eq!(narrow(&narrowed, precision).unwrap().to_string(), narrowed.to_string());
    let fits = |literal: &Literal| {
        let values = literal.to_f64();
        Literal::from_f64(precision.dtype(), literal.shape(), &values).unwrap().to_f64() == values
    };
    let values = |list: &[Literal]| list.iter().map(Value::from_literal).collect::<Vec<_>>();
    if graph.nodes().all(|(_, node)| !matches!(&node.op, Op::Constant(c) if c.dtype() == DType::F32 && !fits(c))) {
        let [want, got] = [&graph, &narrowed].map(|g| evaluate(g, &values(&inputs), &values(&initial)).unwrap());
        let same = |a: &Value, b: &Value| {
            a.dtype == b.dtype && a.data.iter().zip(&b.data).all(|(a, b)| a == b || a.is_nan() && b.is_nan())
        };
        let pairs = want.outputs.iter().zip(&got.outputs).chain(want.states.iter().zip(&got.states));
        prop_assert!(pairs.clone().all(|(a, b)| same(a, b)), "{graph}\nis not\n{narrowed}");
    }
    for device in DEVICES.iter() {
        let compiled = compile_in(precision, &graph, &device.target(), Passes::all()).unwrap();
        let memory: Vec<_> = initial.iter().map(|s| device.allocate(DType::F32, s.elements()).unwrap()).collect();
        let mut program = device.compile(&compiled.graph, &compiled.plan, &memory).unwrap();
        inputs.iter().enumerate().for_each(|(i, x)| program.write_input(i, x).unwrap());
        program.run().unwrap();
    }
    Ok(())
}

// The seed is fixed, so that a change is judged by the change; vary it to look for more.
proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn fused_is_unfused(choices in prop::collection::vec(any::<Choice>(), 1..24), states: bool) {
        agree(&choices, states, "")?;
        agree(&choices, states, "-fuse")?;
    }

    #[test]
    fn narrowing_changes_dtypes_alone(choices in prop::collection::vec(any::<Choice>(), 1..24), states: bool, half: bool) {
        narrows(&choices, states, if half { Precision::F16 } else { Precision::Bf16 })?;
    }

    #[test]
    fn each_pass_can_be_left_out(choices in prop::collection::vec(any::<Choice>(), 1..16), states: bool, off in 0..Passes::NAMES.len()) {
        agree(&choices, states, &format!("-{}", Passes::NAMES[off]))?;
    }
}
