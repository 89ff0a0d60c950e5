//! Printing and parsing: exact text, round trips over every op, and malformed text.

use std::collections::BTreeSet;

use expect_test::{Expect, expect};
use proptest::prelude::*;

use crate::ir::verify::assert_valid;
use crate::ir::*;

/// A graph with every op in it, with scopes, several states and outputs, and dead nodes.
fn every_op() -> Graph {
    let mut g = Graph::new();
    let mut input = |name: &str, shape: &[usize], dtype| g.input(name, Type::new(shape, dtype)).unwrap();
    let x = input("x", &[2, 3], DType::F32);
    let b = input("b", &[2, 3], DType::Bool);
    let image = input("image", &[1, 6, 6, 4], DType::F32);
    let kernel = input("kernel \"3x3\"\n", &[2, 3, 3, 2], DType::F32);
    let index = input("index", &[5], DType::I32);
    let (seed, step) = (input("seed", &[2], DType::U32), input("step", &[], DType::U32));
    input("unread", &[0, 7], DType::BF16);
    let state = g.state("params", Type::new([2, 3], DType::F32)).unwrap();
    g.state("unread", Type::new([1], DType::U8)).unwrap();

    g.set_scope("elementwise");
    for &op in Unary::ALL {
        g.unary(op, if op == Unary::Not { b } else { x });
    }
    for &op in Binary::ALL {
        let a = if matches!(op, Binary::And | Binary::Or | Binary::Xor) { b } else { x };
        let swapped = g.add_op(Op::Flip(vec![0, 1]), &[a]);
        g.binary(op, a, swapped);
    }
    for &op in Compare::ALL {
        g.compare(op, x, state);
    }
    let chosen = g.select(b, x, state);
    g.after(x, index);
    g.checkpoint("folds");
    g.checkpoint("moves.\"odd\" näme");
    g.cast(x, DType::F16);

    g.set_scope("moves.\"odd\" näme");
    g.reshape(x, [3, 2, 1]);
    g.add_op(Op::Permute(vec![1, 0]), &[x]);
    let one = g.full(-2.5, &Shape::from([2, 3]), DType::F32);
    let slice = |step| Op::Slice { start: vec![0, 1], stop: vec![2, 3], step };
    g.add_op(slice(vec![1, 1]), &[x]);
    g.add_op(slice(vec![1, 2]), &[x]);
    for value in [0.0, -0.0, 1.5, f64::NEG_INFINITY, f64::NAN, -f64::NAN] {
        g.add_op(Op::Pad { low: vec![0, 1], high: vec![2, 0], value: value.to_bits() }, &[x]);
    }
    g.add_op(Op::Concat { axis: 1 }, &[x, one, x]);
    let start = g.add_op(Op::Constant(Literal::scalar(DType::I32, -7.0)), &[]);
    g.add_op(Op::DynamicSlice { axis: 1, len: 2 }, &[x, start]);
    g.add_op(Op::Iota { shape: Shape::from([3, 4]), axis: 1, dtype: DType::U32 }, &[]);
    for dtype in [DType::U32, DType::F32] {
        g.add_op(Op::Random { shape: Shape::from([5]), dtype, stream: 9 }, &[seed, step]);
    }

    g.set_scope("folds");
    for &op in ReduceOp::ALL {
        g.reduce(op, x, &[0, 1]);
    }
    for &op in ArgOp::ALL {
        g.add_op(Op::ArgReduce { op, axes: vec![1] }, &[x]);
    }
    for (exclusive, reverse) in [(false, false), (false, true), (true, false), (true, true)] {
        g.add_op(Op::CumSum { axis: 1, exclusive, reverse }, &[x]);
    }
    let window = Window { size: vec![3, 2], stride: vec![2, 2], padding: vec![(1, 0), (0, 1)] };
    let pooled = g.add_op(Op::MaxPool(window.clone()), &[image]);
    let place = g.add_op(Op::MaxPoolIndex(window.clone()), &[image]);
    g.add_op(Op::MaxPoolGather(window.clone()), &[place, image]);
    let shape = g.shape(image).clone();
    g.add_op(Op::MaxPoolGrad { window: window.clone(), input: shape.clone() }, &[place, pooled]);
    g.add_op(Op::AvgPool(window.clone()), &[image]);
    g.add_op(Op::AvgPoolGrad { window, input: shape.clone() }, &[pooled]);

    g.set_scope("");
    let dot = g.add_op(Op::Dot { ta: true, tb: false }, &[x, x]);
    g.add_op(Op::Dot { ta: false, tb: true }, &[x, x]);
    g.add_op(Op::Dot { ta: false, tb: false }, &[x, dot]);
    let (stride, padding, dilation) = (vec![2, 1], vec![(1, 1), (0, 2)], vec![1, 2]);
    let spec = ConvSpec { stride, padding, dilation, groups: 2 };
    let y = g.add_op(Op::Conv(spec.clone()), &[image, kernel]);
    g.add_op(Op::ConvInputGrad { spec: spec.clone(), input: shape }, &[y, kernel]);
    g.add_op(Op::ConvFilterGrad { spec, filter: Shape::from([2, 3, 3, 2]) }, &[image, y]);
    let rows = g.add_op(Op::Gather { axis: 0 }, &[x, index]);
    g.add_op(Op::ScatterAdd { axis: 0 }, &[x, index, rows]);

    g.output("dot", dot).unwrap();
    g.output("sum \\ \"of\" all", rows).unwrap();
    g.update(StateId(0), chosen).unwrap();
    g
}

/// Parses what a graph prints and wants the same graph.
fn round_trip(g: &Graph) {
    assert_valid(g, "building");
    let text = g.to_text();
    let read = Graph::parse(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    assert_valid(&read, "parsing");
    assert_eq!(read.to_text(), text);
    assert_eq!((read.inputs(), read.states(), read.checkpoints()), (g.inputs(), g.states(), g.checkpoints()));
    for ((id, a), (_, b)) in g.nodes().zip(read.nodes()) {
        assert_eq!((&a.op, &a.inputs, g.scope_of(id)), (&b.op, &b.inputs, read.scope_of(id)));
    }
}

#[test]
fn every_op_survives() {
    let g = every_op();
    let names: BTreeSet<&str> = g.nodes().map(|(_, n)| n.op.name()).collect();
    let families = Unary::ALL.len() + Binary::ALL.len() + Compare::ALL.len() + ReduceOp::ALL.len() + ArgOp::ALL.len();
    assert_eq!(names.len(), families + 29, "an op is missing here");
    round_trip(&g);
}

#[test]
fn every_constant_survives() {
    let odd = [0.0, -0.0, 0.1, -1.0 / 3.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 1e-40];
    let mut g = Graph::new();
    let mut add = |literal| g.add_op(Op::Constant(literal), &[]);
    for dtype in DType::ALL {
        let values = if dtype.is_float() { &odd[..] } else { &[0.0, 1.0, 1.0][..] };
        values.iter().for_each(|&v| {
            add(Literal::scalar(dtype, v));
        });
        add(Literal::from_f64(dtype, [values.len()], values).unwrap());
        add(Literal::from_f64(dtype, [5, 3], &[1.0; 15]).unwrap());
        add(Literal::zeros(dtype, [0, 3]));
    }
    add(Literal::from_f64(DType::I32, [2], &[i32::MIN as f64, i32::MAX as f64]).unwrap());
    add(Literal::from_f64(DType::U32, [1, 1], &[u32::MAX as f64]).unwrap());
    add(Literal::from_f32([3], &[f32::MAX, f32::MIN_POSITIVE, f32::from_bits(1)]).unwrap());
    add(Literal::from_f32([1], &[f32::from_bits(0xffc0_1234)]).unwrap());
    round_trip(&g);
}

#[test]
fn declarations_survive_without_their_nodes() {
    let (g, _) = every_op().rewrite(|new, id, inputs| new.copy_node(every_op().node(id), inputs)).unwrap();
    assert!(g.to_text().contains("  input \"unread\": bf16[0,7]\n"));
    round_trip(&g);
    round_trip(&Graph::new());
}

#[test]
fn text_is_as_documented() {
    let text = r#"graph {
  state s0 "params": f32[1024]
  %0: f32[32,784] = input "x"
  %1: f32[1024] = state s0
  %2: f32[784] = slice(%1) {start=[0],stop=[784]}
  %3: f32[784,1] = reshape(%2) @ "fc"
  %4: f32[32,1] = dot(%0, %3) @ "fc"
  %5: f32[] = constant {value=0.1}
  %6: f32[2] = constant {value=[1.0,-inf]}
  %7: f32[3,4] = pad(%6) {low=[0],high=[1]}
  update s0 = %1
  return %4 as "logits"
}"#;
    let fault = Graph::parse(text).unwrap_err().to_string();
    assert_eq!(fault, "line 10, column 18: %7 is declared f32[3,4] but is f32[3]");
    let text = text.replace("f32[3,4]", "f32[3]");
    assert_eq!(Graph::parse(&text).unwrap().to_text(), text);
    let commented = text.replace("  update s0", "\t// the step\n update // a state\n s0");
    assert_eq!(Graph::parse(&commented).unwrap().to_text(), text);
    let renumbered = text.replace("%7", "%70").replace("%4", "%44");
    assert_eq!(Graph::parse(&renumbered).unwrap().to_text(), text);
}

fn check(body: &str, expect: Expect) {
    let text = format!("graph {{\nstate s0 \"w\": f32[2]\n%0: f32[2] = input \"x\"\n{body}\n}}");
    expect.assert_eq(&Graph::parse(&text).unwrap_err().to_string());
}

#[test]
fn faults_name_their_place() {
    check("%1: f32[2] = sine(%0)", expect!["line 4, column 14: there is no op `sine`"]);
    check("%1: f32[2] = add(%0)", expect!["line 4, column 14: add takes 2 inputs, not 1"]);
    check("%1: f32[2] = add(%0 %0)", expect!["line 4, column 21: expected `,` but found `%0)`"]);
    check("%1: f32[2] = exp(%1)", expect!["line 4, column 18: %1 is used before it is defined"]);
    check("%0: f32[2] = exp(%0)", expect!["line 4, column 1: there are two nodes %0; renumber one"]);
    check("%1: f32[3] = exp(%0)", expect!["line 4, column 14: %1 is declared f32[3] but is f32[2]"]);
    check(
        "%1: f31[2] = exp(%0)",
        expect!["line 4, column 5: there is no dtype `f31`; there are f64, f32, bf16, f16, i32, u32, u8, bool"],
    );
    check(
        "%1: u8[] = constant {value=300}",
        expect!["line 4, column 12: the attribute `value` of constant cannot hold `300` as u8"],
    );
    check(
        "%1: u8[2] = constant {bytes=0x0g}",
        expect!["line 4, column 13: the attribute `bytes` of constant must be `0x` and pairs of hex digits"],
    );
    check(
        "%1: f32[] = sum(%0)",
        expect!["line 4, column 13: the attribute `axes` of sum must be a list such as [1,2]"],
    );
    check(
        "%1: f32[2] = exp(%0) {axis=1}",
        expect!["line 4, column 14: the attribute `axis` of exp does not exist or is given twice"],
    );
    check("%1: f32[2] = state s1", expect!["line 4, column 20: expected a declared state such as `s0` but found `s1`"]);
    check("update s0 = %0\n update s0 = %0", expect!["line 5, column 2: state `w` is updated twice in one step"]);
    check("return %0 as \"lo", expect!["line 4, column 14: expected a \"string\" but found `\"lo`"]);
    check(
        "%1: f32[99999999999,99999999999] = iota {axis=0}",
        expect!["line 4, column 5: f32[99999999999,99999999999] has more than 2^48 elements"],
    );
    check(
        "%1: f32[70000,70000] = iota {axis=0}\n%2: i32[] = argmax(%1) {axes=[0,1]}",
        expect![
            "line 5, column 13: argmax: 4900000000 places of f32[70000,70000] do not fit i32; reduce fewer axes at once"
        ],
    );
    check("}", expect!["line 5, column 1: expected the end of the text but found `}`"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whatever happens to a text, the parser answers, and what it accepts is sound.
    #[test]
    fn mutated_text_never_panics(edits in prop::collection::vec((any::<prop::sample::Index>(), 0usize..12, piece()), 1..4)) {
        let mut text: Vec<char> = every_op().to_text().chars().collect();
        for (at, cut, piece) in edits {
            let at = at.index(text.len() + 1);
            let end = (at + cut).min(text.len());
            text.splice(at..end, piece.chars());
        }
        let text: String = text.into_iter().collect();
        if let Ok(g) = Graph::parse(&text) {
            assert_valid(&g, "parsing");
            prop_assert_eq!(Graph::parse(&g.to_text()).unwrap().to_text(), g.to_text());
        }
    }
}

fn piece() -> impl Strategy<Value = String> {
    const KNOWN: &[&str] = &[
        "",
        "%3",
        "[",
        "]",
        "{",
        "}",
        "0",
        "18446744073709551615",
        "-1",
        "axis=9",
        "\"",
        "\\",
        "=",
        ",",
        "f64[2,3]",
        "s0",
    ];
    prop_oneof![prop::sample::select(KNOWN).prop_map(String::from), "\\PC{0,4}", "[0-9]{1,3}"]
}
