//! Layers and losses against PyTorch: values, gradients and running statistics of every case in
//! `golden/layers.json` and `golden/losses.json`, on the reference backend.

use onestep::backend::reference::{Value, evaluate};
use onestep::grad::{gradients, pullback};
use onestep::ir::{DType, Graph, NodeId, Op, Shape, StateId};
use onestep::nn::loss::{self, Loss};
use onestep::nn::{
    Activation, AvgPool2d, BatchNorm, Conv, ConvTranspose2d, Embedding, GlobalAvgPool, LayerNorm, Linear, MaxPool2d,
};
use onestep::trace::{Mode, Module, Trace, Traced};
use serde_json::Value as Json;

/// Relative to the larger of the value and 1: constants of a graph are f32, the dumps have twelve digits.
const TOLERANCE: f64 = 1e-6;

fn cases(file: &str) -> Vec<Json> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}; run golden/make.py", path.display()));
    serde_json::from_str(&text).unwrap()
}

fn number(json: &Json) -> f64 {
    json.as_f64().unwrap_or_else(|| panic!("{json} is no number"))
}

fn list<T>(json: &Json, of: impl Fn(&Json) -> T) -> Vec<T> {
    json.as_array().unwrap_or_else(|| panic!("{json} is no list")).iter().map(of).collect()
}

fn size(json: &Json) -> usize {
    number(json) as usize
}

fn sizes(json: &Json) -> Vec<usize> {
    list(json, size)
}

fn pairs(json: &Json) -> Vec<(usize, usize)> {
    list(json, |p| (size(&p[0]), size(&p[1])))
}

/// `fill(seed, ..)[i]` of golden/README.md.
fn fill(seed: u32, i: u32, low: f32, high: f32) -> f32 {
    let mut x = i.wrapping_mul(2_654_435_761).wrapping_add(seed.wrapping_mul(0x9E37_79B9));
    x ^= x >> 16;
    x = x.wrapping_mul(0x85EB_CA6B);
    x ^= x >> 13;
    x = x.wrapping_mul(0xC2B2_AE35);
    x ^= x >> 16;
    low + (high - low) * ((x >> 8) as f32 / (1 << 24) as f32)
}

fn tensor(json: &Json, dtype: DType) -> Value {
    let shape = Shape::from(sizes(&json["shape"]));
    let data = match json.get("fill") {
        None => list(&json["data"], number),
        Some(f) => {
            let (seed, low, high) = (number(&f[0]) as u32, number(&f[1]) as f32, number(&f[2]) as f32);
            (0..shape.elements()).map(|i| fill(seed, i as u32, low, high) as f64).collect()
        }
    };
    Value { dtype, shape, data }
}

fn floats(json: &Json) -> Value {
    tensor(json, DType::F32)
}

fn assert_close(what: &str, got: &Value, want: &Value) {
    assert_eq!(got.shape, want.shape, "{what}");
    for (i, (g, w)) in got.data.iter().zip(&want.data).enumerate() {
        assert!((g - w).abs() <= TOLERANCE * w.abs().max(1.0), "{what}[{i}]: {g} but PyTorch has {w}");
    }
}

fn conv<const N: usize>(o: &Json) -> Box<dyn Module> {
    Box::new(
        Conv::<N>::new(size(&o["out_channels"]), sizes(&o["kernel"]))
            .stride(sizes(&o["stride"]))
            .padding(pairs(&o["padding"]))
            .dilation(sizes(&o["dilation"]))
            .groups(size(&o["groups"]))
            .bias(o["bias"] == true),
    )
}

fn layer(kind: &str, o: &Json) -> Box<dyn Module> {
    match kind {
        "linear" => {
            let layer = Linear::new(size(&o["out_features"])).bias(o["bias"] == true);
            Box::new(layer.in_features(size(&o["in_features"])))
        }
        "conv1d" => conv::<1>(o),
        "conv2d" => conv::<2>(o),
        "conv_transpose2d" => Box::new(
            ConvTranspose2d::new(size(&o["out_channels"]), sizes(&o["kernel"]))
                .stride(sizes(&o["stride"]))
                .padding(pairs(&o["padding"]))
                .output_padding(sizes(&o["output_padding"]))
                .dilation(sizes(&o["dilation"]))
                .groups(size(&o["groups"]))
                .bias(o["bias"] == true),
        ),
        "max_pool2d" => {
            Box::new(MaxPool2d::new(sizes(&o["kernel"])).stride(sizes(&o["stride"])).padding(pairs(&o["padding"])))
        }
        "avg_pool2d" => Box::new(
            AvgPool2d::new(sizes(&o["kernel"]))
                .stride(sizes(&o["stride"]))
                .padding(pairs(&o["padding"]))
                .count_include_pad(o["count_include_pad"] == true),
        ),
        "global_avg_pool2d" => Box::new(GlobalAvgPool::new()),
        "batch_norm1d" | "batch_norm2d" => {
            Box::new(BatchNorm::new().eps(number(&o["eps"])).momentum(number(&o["momentum"])))
        }
        "layer_norm" => Box::new(LayerNorm::new().eps(number(&o["eps"]))),
        "embedding" => Box::new(Embedding::new(size(&o["vocabulary"]), size(&o["width"]))),
        "leaky_relu" => Box::new(Activation::LeakyRelu(number(&o["negative_slope"]))),
        "gelu" if o["approximate"] == "tanh" => Box::new(Activation::GeluTanh),
        _ => {
            let name = kind.replace("hardswish", "hard_swish").replace("hardsigmoid", "hard_sigmoid");
            let found = Activation::ALL.into_iter().find(|a| a.name() == name);
            Box::new(found.unwrap_or_else(|| panic!("this test knows no layer `{kind}`")))
        }
    }
}

fn state_node(graph: &Graph, state: StateId) -> NodeId {
    graph.nodes().find(|(_, n)| n.op == Op::State(state)).expect("the parameter is in the graph").0
}

/// A parameter's or buffer's own name: "weight" of "m.weight".
fn own(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

fn check_layer(case: &Json) {
    let name = case["name"].as_str().unwrap();
    let kind = case["layer"].as_str().unwrap();
    let dtype = if kind == "embedding" { DType::I32 } else { DType::F32 };
    let x = tensor(&case["x"], dtype);
    let mode = if case["options"]["training"] == false { Mode::Eval } else { Mode::Train };

    let t = Trace::new();
    let input = t.input("x", &x.shape, dtype);
    let y = layer(kind, &case["options"]).apply(&t.scope(mode), "m", input.clone()).unwrap();
    t.set_output("y", &y);
    let Traced { mut graph, parameters, .. } = t.finish().unwrap();
    assert_eq!(parameters.len(), case["params"].as_object().unwrap().len(), "{name}: parameters");

    let mut wrt: Vec<NodeId> = parameters.iter().map(|p| state_node(&graph, p.state)).collect();
    wrt.extend(input.node().filter(|_| dtype.is_float()));
    let g = floats(&case["g"]).to_literal().unwrap();
    let g = graph.push(Op::Constant(g), &[]).unwrap();
    for (i, node) in pullback(&mut graph, &[(y.node().unwrap(), g)], &wrt).unwrap().into_iter().enumerate() {
        graph.output(&format!("gradient {i}"), node).unwrap();
    }

    let states: Vec<Value> = graph
        .states()
        .iter()
        .map(|d| {
            let found = ["params", "buffers"].iter().find_map(|of| case.get(of)?.get(own(&d.name)));
            floats(found.unwrap_or_else(|| panic!("{name}: no value for {}", d.name)))
        })
        .collect();
    let after = evaluate(&graph, &[x], &states).unwrap();

    assert_close(&format!("{name}: y"), &after.outputs[0], &floats(&case["y"]));
    for (p, got) in parameters.iter().zip(&after.outputs[1..]) {
        assert_close(&format!("{name}: d {}", p.name), got, &floats(&case["dparams"][own(&p.name)]));
    }
    if dtype.is_float() {
        assert_close(&format!("{name}: dx"), after.outputs.last().unwrap(), &floats(&case["dx"]));
    }
    for (d, got) in graph.states().iter().zip(&after.states) {
        if let Some(want) = case.get("buffers_after").and_then(|b| b.get(own(&d.name))) {
            assert_close(&format!("{name}: {} after", d.name), got, &floats(want));
        }
    }
}

fn loss_of(kind: &str, o: &Json) -> (Box<dyn Loss>, f64) {
    let smoothing = o.get("label_smoothing").map_or(0.0, number);
    match kind {
        "sparse_cross_entropy" => {
            let loss = loss::sparse_cross_entropy().label_smoothing(smoothing);
            let ignored = o.get("ignore_index").map(|i| number(i) as i32);
            (Box::new(ignored.map_or(loss.clone(), |i| loss.ignore_index(i))), 1.0)
        }
        "dense_cross_entropy" => (Box::new(loss::cross_entropy().label_smoothing(smoothing)), 1.0),
        "bce_with_logits" => {
            let loss = loss::bce_with_logits();
            let weights = o.get("pos_weight").map(|w| list(w, number));
            (Box::new(weights.map_or(loss.clone(), |w| loss.pos_weight(w))), 1.0)
        }
        "mse" => (Box::new(loss::mse()), 1.0),
        "l1" => (Box::new(loss::l1()), 1.0),
        "huber" => (Box::new(loss::huber(number(&o["delta"]))), 1.0),
        // The same curve by another name, up to a factor.
        "smooth_l1" => (Box::new(loss::huber(number(&o["beta"]))), 1.0 / number(&o["beta"])),
        _ => panic!("this test knows no loss `{kind}`"),
    }
}

fn check_loss(case: &Json) {
    let name = case["name"].as_str().unwrap();
    let kind = case["loss"].as_str().unwrap();
    let x = floats(&case["input"]);
    let target = tensor(&case["target"], if kind == "sparse_cross_entropy" { DType::I32 } else { DType::F32 });
    let (loss, factor) = loss_of(kind, &case["options"]);

    let t = Trace::new();
    let (input, wanted) = (t.input("x", &x.shape, x.dtype), t.input("target", &target.shape, target.dtype));
    let value = loss.apply(&t.scope(Mode::Train), &input, &wanted).unwrap() * factor;
    t.set_output("loss", &value);
    let mut graph = t.finish().unwrap().graph;
    let dx = gradients(&mut graph, value.node().unwrap(), &[input.node().unwrap()]).unwrap();
    graph.output("dx", dx[0]).unwrap();

    let after = evaluate(&graph, &[x, target], &[]).unwrap();
    let want = Value { dtype: DType::F32, shape: Shape::scalar(), data: vec![number(&case["value"])] };
    assert_close(name, &after.outputs[0], &want);
    assert_close(&format!("{name}: dx"), &after.outputs[1], &floats(&case["dinput"]));
}

#[test]
fn layers_agree_with_pytorch() {
    cases("layers.json").iter().for_each(check_layer);
}

#[test]
fn losses_agree_with_pytorch() {
    cases("losses.json").iter().for_each(check_loss);
}
