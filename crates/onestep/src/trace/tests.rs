//! Tests of shapes, broadcasting, axes and error messages. Values are tested against the reference backend.

use super::*;
use crate::error::{ErrorKind, Result};
use crate::ir::verify::verify;

const F32: DType = DType::F32;

fn shape(t: &Tensor) -> String {
    format!("{}{}", t.dtype(), t.shape())
}

fn error(t: &Trace) -> String {
    t.check().expect_err("an error was expected").to_string()
}

#[test]
fn operators_broadcast_by_reference_and_by_value() {
    let t = Trace::new();
    let x = t.input("x", [4, 3], F32);
    let b = t.input("b", [3], F32);
    let y = -(&x + &b) * 2.0 - x.clone() / b.clone() + 1.0 / &x;
    assert_eq!(shape(&y), "f32[4,3]");
    assert_eq!(shape(&x.unsqueeze(0).gt(b.unsqueeze(-1).unsqueeze(-1))), "bool[3,4,3]");
    assert_eq!(shape(&where_(&b.lt(0.0), &x, 0.0)), "f32[4,3]");
    assert_eq!(shape(&b.lt(0.0).select(1.0, 0.0)), "f32[3]");
    t.set_output("y", &y);
    assert_eq!(verify(&t.finish().unwrap().graph, "trace"), []);
}

#[test]
fn axes_are_numbers_lists_and_ranges() {
    let t = Trace::new();
    let x = t.input("x", [2, 3, 4, 5], F32);
    for (got, want) in [
        (x.sum(-1), "f32[2,3,4]"),
        (x.sum([0, -1]), "f32[3,4]"),
        (x.sum_keep(1..), "f32[2,1,1,1]"),
        (x.mean(..), "f32[]"),
        (x.max(-3..-1), "f32[2,5]"),
        (x.min([1, 2, 3]), "f32[2]"),
        (x.std(..-1, 1), "f32[5]"),
        (x.argmax(-1), "i32[2,3,4]"),
        (x.argmin_keep(..), "i32[1,1,1,1]"),
        (x.flatten(1..), "f32[2,60]"),
        (x.permute([0, 3, 1, 2]), "f32[2,5,3,4]"),
        (x.transpose(-1, 1), "f32[2,5,4,3]"),
        (x.flip(..), "f32[2,3,4,5]"),
        (x.slice(-1, 1, 5, 2), "f32[2,3,4,2]"),
        (x.narrow(1, 1, 2), "f32[2,2,4,5]"),
        (x.pad(&[0, 1, 0, 0], &[0, 0, 2, 0], 0.0), "f32[2,4,6,5]"),
        (concat(&[&x, &x], -1), "f32[2,3,4,10]"),
        (stack(&[&x, &x], -1), "f32[2,3,4,5,2]"),
        (x.split(&[1, 2], 1)[1].clone(), "f32[2,2,4,5]"),
        (x.softmax(1), "f32[2,3,4,5]"),
        (x.logsumexp(-2), "f32[2,3,5]"),
        (x.cumsum(0), "f32[2,3,4,5]"),
        (x.narrow(0, 0, 1).squeeze(0), "f32[3,4,5]"),
    ] {
        assert_eq!(shape(&got), want);
    }
    t.check().unwrap();
}

#[test]
fn products_and_indices() {
    let t = Trace::new();
    let (m, v) = (t.input("m", [4, 3], F32), t.input("v", [3], F32));
    let (batch, one) = (t.input("batch", [5, 2, 3], F32), t.input("one", [1, 3, 7], F32));
    let index = t.input("index", [2, 6], DType::I32);
    for (got, want) in [
        (m.matmul(&v), "f32[4]"),
        (v.matmul_t(&m), "f32[4]"),
        (v.matmul(&v), "f32[]"),
        (v.matmul(&one), "f32[1,7]"),
        (batch.matmul_t(&m), "f32[5,2,4]"),
        (batch.matmul(&one), "f32[5,2,7]"),
        (m.matmul(&one), "f32[1,4,7]"),
        (m.embedding(&index), "f32[2,6,3]"),
        (m.gather(&index, -1), "f32[4,2,6]"),
        (m.scatter_add(&index, &m.embedding(&index), 0), "f32[4,3]"),
        (index.one_hot(10, F32), "f32[2,6,10]"),
        (m.dynamic_slice(0, &t.scalar(1.0, DType::I32), 2), "f32[2,3]"),
        (t.iota([2, 3], -1, DType::I32), "i32[2,3]"),
        (m.zeros_like(), "f32[4,3]"),
    ] {
        assert_eq!(shape(&got), want);
    }
    t.check().unwrap();
}

#[test]
fn a_poisoned_tensor_keeps_the_first_error() {
    let t = Trace::new();
    let (x, y) = (t.input("x", [2, 3], F32), t.input("y", [4], F32));
    let bad = &x + &y;
    assert_eq!((bad.rank(), bad.dim(0), bad.node()), (0, 0, None));
    let later = (bad.softmax(7).matmul(&x) + 1.0).sum(..).maximum(&bad);
    assert_eq!(later.split(&[1, 1], 0).len(), 2);
    t.set_output("y", &later);
    t.scope(Mode::Train).update(&x, &later);
    let message = "add: f32[2,3] and f32[4] do not broadcast: counted from the last axis, extents must be equal or 1";
    assert_eq!(error(&t), message);
    assert_eq!(t.finish().unwrap_err().to_string(), message);
}

#[test]
fn messages_name_the_fact_and_the_mend() {
    let fails = |f: &dyn Fn(&Tensor, &Tensor)| {
        let t = Trace::new();
        f(&t.input("x", [2, 3], F32), &t.input("i", [3], DType::I32));
        error(&t)
    };
    let cases: [(String, &str); 9] = [
        (fails(&|x, i| drop(x * i)), "mul: f32[2,3] and i32[3] differ in dtype; `cast` one of them to f32 or i32"),
        (fails(&|_, i| drop(i * 2.5)), "the number 2.5 is no i32; cast the tensor to a float first"),
        (fails(&|x, _| drop(x.sum(2))), "there is no axis 2 in [2,3]; its axes are -2 to 1"),
        (fails(&|x, _| drop(x.permute([1, -1]))), "permute: axis 1 of [2,3] is named twice; name each axis once"),
        (fails(&|_, i| drop(i.mean(0))), "mean: works on floats, not i32[3]; cast it"),
        (fails(&|x, _| drop(x.flatten([1, 0]))), "flatten: axes [1, 0] of f32[2,3] are not neighbours; permute first"),
        (fails(&|x, _| drop(x.split(&[1, 1], 1))), "split: [1, 1] add up to 2, but axis 1 of f32[2,3] is 3"),
        (fails(&|x, _| drop(x.matmul(x))), "dot: f32[2,3] has 3 columns to contract but f32[2,3] has 2 rows"),
        (fails(&|x, _| drop(x + concat::<Tensor>(&[], 0))), "concat: there are no tensors to join; pass at least one"),
    ];
    for (got, want) in cases {
        assert_eq!(got, want);
    }
}

fn dense(s: &Scope, x: Tensor) -> Result<Tensor> {
    let fan_in = x.dim(-1);
    Ok(x.matmul_t(&s.param("weight", [4, fan_in], Init::torch_default(fan_in))))
}

#[test]
fn layers_name_parameters_nodes_and_summaries() {
    let t = Trace::new();
    let block = |s: &Scope, x: Tensor| {
        let shift = s.param("shift", [4], Init::zeros());
        s.layer("fc", "dense", |s| dense(s, x)).map(|x| x + shift)
    };
    let y = block.apply(&t.scope(Mode::Eval), "block", t.input("x", [2, 3], F32)).unwrap();
    t.set_output("y", &y);
    let traced = t.finish().unwrap();
    let names: Vec<_> = traced.parameters.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["block.shift", "block.fc.weight"]);
    let layers: Vec<_> =
        traced.layers.iter().map(|l| format!("{} {} {} {}", l.path, l.kind, l.output, l.parameters)).collect();
    assert_eq!(layers, ["block module [2,4] 4", "block.fc dense [2,4] 12"]);
    let dot = traced.graph.nodes().find(|(_, n)| n.op.name() == "dot").unwrap().0;
    assert_eq!(traced.graph.scope_of(dot), "block.fc");
}

#[test]
fn a_layer_error_is_prefixed_once() {
    let t = Trace::new();
    let s = t.scope(Mode::Train);
    let x = t.input("x", [2, 3], F32);
    let nested = |s: &Scope, x: Tensor| s.layer("fc", "dense", |_| Ok(x.reshape([4])));
    let e = nested.apply(&s, "block", x).unwrap_err();
    assert_eq!(e.to_string(), "dense `block.fc`: reshape: f32[2,3] has 6 elements but [4] has 4");
    assert_eq!(e.kind(), ErrorKind::Shape);
    assert_eq!(s.check().unwrap_err().to_string(), e.to_string());

    let t = Trace::new();
    let refuse = |_: &Scope, _: Tensor| Err(crate::Error::config("set `count`"));
    let outer = |s: &Scope, x: Tensor| refuse.apply(s, "inner", x);
    let e = outer.apply(&t.scope(Mode::Train), "outer", t.input("x", [1], F32)).unwrap_err();
    assert_eq!(e.to_string(), "in `outer.inner`: set `count`");
}

#[test]
fn a_name_used_twice_is_an_error() {
    let t = Trace::new();
    let s = t.scope(Mode::Train);
    let x = t.input("x", [2, 4], F32);
    let x = s.layer("fc", "dense", |s| dense(s, x)).unwrap();
    let e = s.layer("fc", "dense", |s| dense(s, x)).unwrap_err();
    assert_eq!(
        e.to_string(),
        "dense `fc`: there is already a parameter `fc.weight`; name this layer differently, or reuse the tensor to \
         share it"
    );
}

#[test]
fn states_updates_and_random_streams() {
    let t = Trace::new();
    let s = t.scope(Mode::Train).child("a");
    let mean = s.buffer("mean", [3], 0.5);
    s.update(&mean, &(&mean * 0.9));
    let noise = s.uniform([3]) + s.normal([3]);
    t.set_output("noise", &noise);
    t.set_output("step", &s.step_number());
    let traced = t.finish().unwrap();
    let states: Vec<_> = traced.buffers.iter().map(|b| (b.name.as_str(), b.kind, b.value)).collect();
    assert_eq!(
        states,
        [
            ("a.mean", StateKind::Buffer, 0.5),
            ("rng.seed", StateKind::System, 0.0),
            ("rng.step", StateKind::System, 0.0)
        ]
    );
    assert_eq!(traced.graph.updates().len(), 1);
    assert_eq!(traced.graph.nodes().filter(|(_, n)| n.op.name() == "random").count(), 3);
    assert_eq!(verify(&traced.graph, "trace"), []);

    let again =
        Trace::from_graph(traced.graph.rewrite(|g, id, inputs| g.copy_node(traced.graph.node(id), inputs)).unwrap().0);
    let step = again.state("rng.step", Shape::scalar(), DType::U32);
    again.scope(Mode::Train).update(&step, &(&step + 1.0));
    again.state("rng.step", [1], DType::U32);
    assert_eq!(error(&again), "state `rng.step` is asked for as u32[1] but was declared as u32[]; rename one of them");
}
