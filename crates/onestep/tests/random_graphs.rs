//! Random graphs: what the fused plan computes must be what the reference computes, whatever passes run.

use onestep::backend::Device;
use onestep::backend::reference::{Value, evaluate};
use onestep::ir::{Binary, DType, Graph, Literal, NodeId, Op, ReduceOp, Shape, Type, Unary};
use onestep::passes::{Passes, compile};
use onestep::testing::fill;
use proptest::prelude::*;

/// A step of a random program: which op, on which of the values so far, with a number to choose by.
type Choice = (u8, u16, u16, u32);

/// Grows a graph by one node, if the choice makes sense for its operands.
fn grow(g: &mut Graph, values: &mut Vec<NodeId>, (kind, a, b, n): Choice) {
    let pick = |i: u16| values[i as usize % values.len()];
    let (a, b) = (pick(a), pick(b));
    let shape = g.shape(a).clone();
    let rank = shape.rank();
    let n = n as usize;
    let node = match kind % 16 {
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
        _ => return,
    };
    if let Ok(node) = node
        && (1..=600).contains(&g.shape(node).elements())
    {
        values.push(node);
    }
}

fn program(choices: &[Choice], states: bool) -> (Graph, Vec<Literal>, Vec<Literal>) {
    let mut g = Graph::new();
    let x = g.input("x", Type::new([4, 6], DType::F32)).unwrap();
    let y = g.input("y", Type::new([3, 4, 2], DType::F32)).unwrap();
    let mut values = vec![x, y];
    let mut initial = Vec::new();
    if states {
        for name in ["p", "q"] {
            values.push(g.state(name, Type::new([24], DType::F32)).unwrap());
            initial.push(Literal::from_f32([24], &fill(7 + initial.len() as u32, 24, -1.0, 1.0)).unwrap());
        }
    }
    choices.iter().for_each(|&c| grow(&mut g, &mut values, c));
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
    let inputs = [Shape::from([4, 6]), Shape::from([3, 4, 2])]
        .iter()
        .enumerate()
        .map(|(i, s)| Literal::from_f32(s, &fill(i as u32, s.elements(), -1.0, 1.0)).unwrap())
        .collect();
    (g, inputs, initial)
}

fn agree(choices: &[Choice], states: bool, passes: &str) -> Result<(), TestCaseError> {
    let (graph, inputs, initial) = program(choices, states);
    let values = |list: &[Literal]| list.iter().map(Value::from_literal).collect::<Vec<_>>();
    let want = evaluate(&graph, &values(&inputs), &values(&initial)).unwrap();
    let device = Device::cpu_with_threads(1);
    let compiled = compile(&graph, &device.target(), passes.parse::<Passes>().unwrap()).unwrap();
    let memory: Vec<_> = initial.iter().map(|s| device.allocate(DType::F32, s.elements()).unwrap()).collect();
    initial.iter().zip(&memory).for_each(|(s, m)| m.upload(s.bytes()).unwrap());
    let mut program = device.compile(&compiled.graph, &compiled.plan, &memory).unwrap();
    inputs.iter().enumerate().for_each(|(i, x)| program.write_input(i, x.bytes()).unwrap());
    program.run().unwrap();
    let close = |want: &Value, got: Vec<f32>| {
        let scale = want.data.iter().fold(1.0f64, |m, v| m.max(v.abs()));
        want.data.iter().zip(&got).all(|(w, g)| (w - *g as f64).abs() <= 2e-4 * scale)
    };
    for (i, want) in want.outputs.iter().enumerate() {
        let got = program.read_output(i).unwrap().to_f32();
        prop_assert!(close(want, got.clone()), "output {i}: {want:?}\nis not {got:?}\n{graph}\n{}", compiled.plan);
    }
    for (want, memory) in want.states.iter().zip(&memory) {
        let got = Literal::from_bytes(DType::F32, [24], memory.download().unwrap()).unwrap().to_f32();
        prop_assert!(close(want, got.clone()), "state: {want:?}\nis not {got:?}\n{graph}\n{}", compiled.plan);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn fused_is_unfused(choices in prop::collection::vec(any::<Choice>(), 1..24), states: bool) {
        agree(&choices, states, "")?;
        agree(&choices, states, "-fuse")?;
    }

    #[test]
    fn each_pass_can_be_left_out(choices in prop::collection::vec(any::<Choice>(), 1..16), states: bool, off in 0usize..4) {
        agree(&choices, states, &format!("-{}", Passes::NAMES[off]))?;
    }
}
