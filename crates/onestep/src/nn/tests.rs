//! Whole models traced: shapes, parameters, summaries, the exact text of errors, and config files.

use super::*;
use crate::backend::reference::{Value, evaluate};
use crate::error::{Error, Result};
use crate::grad::gradients;
use crate::ir::verify::verify;
use crate::trace::{DType, Mode, Module, Scope, Tensor, Trace, Traced};

fn lenet(s: &Scope, x: Tensor) -> Result<Tensor> {
    let x = Conv2d::new(32, 3).apply(s, "conv1", x)?.relu();
    let x = MaxPool2d::new(2).apply(s, "pool1", x)?;
    Linear::new(10).apply(s, "out", x.flatten(1..))
}

fn trace_as(mode: Mode, model: &dyn Fn(&Scope, Tensor) -> Result<Tensor>, shape: &[usize]) -> Result<Traced> {
    let t = Trace::new();
    let y = model(&t.scope(mode), t.input("x", shape, DType::F32))?;
    t.set_output("y", &y);
    let traced = t.finish()?;
    assert_eq!(verify(&traced.graph, "trace"), []);
    Ok(traced)
}

fn trace(model: &dyn Module, shape: &[usize]) -> Result<Traced> {
    trace_as(Mode::Train, &|s, x| model.apply(s, "m", x), shape)
}

fn output(model: &dyn Module, shape: &[usize]) -> String {
    let traced = trace(model, shape).unwrap();
    traced.graph.shape(traced.graph.outputs()[0].1).to_string()
}

fn error(model: &dyn Module, shape: &[usize]) -> String {
    trace(model, shape).unwrap_err().to_string()
}

#[test]
fn lenet_traces_with_its_summary() {
    let traced = trace_as(Mode::Train, &lenet, &[32, 28, 28, 1]).unwrap();
    let layers: Vec<String> =
        traced.layers.iter().map(|l| format!("{} {} {} {}", l.path, l.kind, l.output, l.parameters)).collect();
    assert_eq!(
        layers,
        ["conv1 conv2d [32,26,26,32] 320", "pool1 max_pool2d [32,13,13,32] 0", "out linear [32,10] 54090"]
    );
    let parameters: Vec<String> = traced.parameters.iter().map(|p| format!("{}{}", p.name, p.shape)).collect();
    assert_eq!(parameters, ["conv1.weight[32,3,3,1]", "conv1.bias[32]", "out.weight[10,5408]", "out.bias[10]"]);
}

#[test]
fn layers_give_their_shapes() {
    let image: &[usize] = &[2, 7, 9, 4];
    let cases: [(&dyn Module, &[usize], &str); 18] = [
        (&Linear::new(3), &[2, 5, 4], "[2,5,3]"),
        (&Conv2d::new(6, 3), image, "[2,5,7,6]"),
        (&Conv2d::new(6, 3).padding(Padding::SAME), image, "[2,7,9,6]"),
        (&Conv2d::new(6, [3, 5]).padding(Padding::SAME).stride(2), image, "[2,4,5,6]"),
        (&Conv2d::new(6, 3).padding(1).stride([2, 1]).dilation(2).groups(2), image, "[2,3,7,6]"),
        (&Conv2d::new(6, 3).padding(vec![(0, 1), (2, 0)]), image, "[2,6,9,6]"),
        (&Conv1d::new(6, 3), &[2, 9, 4], "[2,7,6]"),
        (&Conv3d::new(6, 3), &[2, 9, 8, 7, 4], "[2,7,6,5,6]"),
        (&ConvTranspose2d::new(6, 3).stride(2).groups(2), image, "[2,15,19,6]"),
        (&ConvTranspose2d::new(6, 3).stride(2).padding(Padding::SAME), image, "[2,14,18,6]"),
        (&ConvTranspose2d::new(6, 2).stride(3).padding(Padding::SAME), image, "[2,21,27,6]"),
        (&MaxPool2d::new(2), image, "[2,3,4,4]"),
        (&AvgPool2d::new(3).stride(2).padding(1).count_include_pad(false), image, "[2,4,5,4]"),
        (&GlobalAvgPool::new(), image, "[2,4]"),
        (&BatchNorm::new(), image, "[2,7,9,4]"),
        (&LayerNorm::new(), image, "[2,7,9,4]"),
        (&Dropout::new(0.3), image, "[2,7,9,4]"),
        (&Flatten::new(), image, "[2,252]"),
    ];
    for (layer, shape, want) in cases {
        assert_eq!(output(layer, shape), want, "{}", layer.kind());
    }
    for activation in Activation::ALL {
        assert_eq!(output(&activation, &[2, 3]), "[2,3]");
    }
}

#[test]
fn errors_name_the_layer_the_fact_and_the_mend() {
    let cases: [(&dyn Module, &[usize], &str); 9] = [
        (
            &Linear::new(10).in_features(512),
            &[32, 784],
            "linear `m`: input is [32,784] but the weights want 512 features; set in_features to 784 or leave it out",
        ),
        (
            &Conv2d::new(8, 3),
            &[32, 784],
            "conv2d `m`: input is [32,784] but must be [batch, height, width, channels]; reshape it",
        ),
        (
            &Conv2d::new(8, 3).groups(3),
            &[1, 8, 8, 4],
            "conv2d `m`: 4 channels and 8 filters do not divide into 3 groups; make both multiples of `groups`",
        ),
        (
            &Conv2d::new(8, 5),
            &[1, 4, 4, 2],
            "conv2d `m`: conv: a kernel [8,5,5,2] (dilation [1, 1]) does not fit [1,4,4,2]",
        ),
        (&Conv2d::new(8, 3).stride(0), &[1, 4, 4, 2], "conv2d `m`: stride [0, 0] must be at least 1 on each axis"),
        (&Conv2d::new(8, [3, 3, 3]), &[1, 4, 4, 2], "conv2d `m`: kernel [3, 3, 3] has 3 numbers; give one, or 2"),
        (&Dropout::new(1.5), &[4], "dropout `m`: p is 1.5 but must be a probability from 0 to 1"),
        (&BatchNorm::new(), &[4], "batch_norm `m`: input is [4] but must be [batch, .., channels]"),
        (&Embedding::new(5, 2), &[4], "embedding `m`: gather: wants i32, not f32[4]; cast it"),
    ];
    for (layer, shape, want) in cases {
        assert_eq!(error(layer, shape), want);
    }
}

#[test]
fn sharing_a_name_is_an_error_that_says_so() {
    let twice = |s: &Scope, x: Tensor| {
        let x = Linear::new(4).apply(s, "fc", x)?;
        Linear::new(4).apply(s, "fc", x)
    };
    let e = trace_as(Mode::Train, &twice, &[2, 4]).unwrap_err();
    assert_eq!(
        e.to_string(),
        "linear `fc`: there is already a parameter `fc.weight`; name this layer differently, or reuse the tensor to \
         share it"
    );
}

#[test]
fn mode_decides_on_dropout_and_statistics() {
    let model = |s: &Scope, x: Tensor| BatchNorm::new().apply(s, "norm", Dropout::new(0.5).apply(s, "drop", x)?);
    let train = trace_as(Mode::Train, &model, &[4, 3]).unwrap();
    let eval = trace_as(Mode::Eval, &model, &[4, 3]).unwrap();
    let names = |t: &Traced| t.buffers.iter().map(|b| b.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&train), ["rng.seed", "rng.step", "norm.running_mean", "norm.running_var"]);
    assert_eq!(names(&eval), ["norm.running_mean", "norm.running_var"]);
    assert_eq!((train.graph.updates().len(), eval.graph.updates().len()), (2, 0));
}

const RESNET: &str = r#"
layers = [
    { type = "conv2d", filters = 8, kernel = 3, padding = "same", bias = false, activation = "relu" },
    { type = "residual", name = "block1", checkpoint = true, activation = { type = "leaky_relu", slope = 0.2 }, layers = [
        { type = "conv2d", filters = 16, kernel = [3, 3], stride = 2, padding = 1 },
        { type = "batch_norm", momentum = 0.2 },
        { type = "relu" },
        { type = "conv2d", filters = 16, kernel = 3, padding = [[1, 1], [1, 1]] },
    ], shortcut = [
        { type = "conv2d", filters = 16, kernel = 1, stride = 2 },
    ] },
    { type = "max_pool2d", kernel = 2 },
    { type = "global_avg_pool" },
    { type = "linear", name = "out", out = 10 },
]
"#;

#[test]
fn a_network_is_data() {
    let net = Sequential::from_toml(RESNET).unwrap();
    assert_eq!(output(&net, &[2, 8, 8, 3]), "[2,10]");
    let paths: Vec<String> = trace_as(Mode::Train, &|s, x| net.forward(s, x), &[2, 8, 8, 3])
        .unwrap()
        .layers
        .into_iter()
        .map(|l| l.path)
        .collect();
    assert_eq!(
        paths,
        [
            "conv2d_1",
            "block1",
            "block1.conv2d_1",
            "block1.batch_norm_1",
            "block1.relu_1",
            "block1.conv2d_2",
            "block1.shortcut.conv2d_1",
            "max_pool2d_1",
            "global_avg_pool_1",
            "out"
        ]
    );
    let traced = trace_as(Mode::Train, &|s, x| net.forward(s, x), &[2, 8, 8, 3]).unwrap();
    assert_eq!(traced.graph.checkpoints(), ["block1"]);
    let json = serde_json::to_string(&net).unwrap();
    assert_eq!(Sequential::from_json(&json).unwrap(), net);
    let table = std::collections::BTreeMap::from([("layers", &net)]);
    assert_eq!(Sequential::from_toml(&toml::to_string(&table).unwrap()).unwrap(), net);
}

#[test]
fn config_errors_name_what_exists() {
    let fails = |json: &str| Sequential::from_json(json).unwrap_err().to_string();
    let unknown = fails(r#"[{"type": "flatten"}, {"type": "conv2"}]"#);
    assert!(unknown.starts_with("layer 2: there is no layer `conv2`; there are linear, conv1d, conv2d,"), "{unknown}");
    assert_eq!(
        fails(r#"[{"type": "linear", "name": "out", "out": 3, "units": 4}]"#),
        "layer 1: linear `out`: unknown field `units`, expected one of `out`, `in_features`, `bias`"
    );
    assert_eq!(
        fails(r#"[{"type": "relu", "checkpoint": 1}]"#),
        "layer 1: relu: `checkpoint` must be true or false, not 1"
    );
    assert_eq!(fails(r#"[{"type": "linear"}]"#), "layer 1: linear: missing field `out`");
    assert_eq!(
        fails(r#"[{"type": "max_pool2d", "kernel": "two"}]"#),
        "layer 1: max_pool2d: expected a number or a list with a number for each spatial axis"
    );
    assert_eq!(fails(r#"[{"filters": 3}]"#), "layer 1: this layer has no name; write { type = \"…\", … }");
    assert_eq!(
        fails(r#"[{"type": "relu", "name": "a"}, {"type": "relu", "name": "a"}]"#),
        "there are two layers named `a`; rename one"
    );
    let activation = fails(r#"[{"type": "linear", "out": 3, "activation": "rlu"}]"#);
    assert!(
        activation.starts_with("layer 1: linear: there is no activation `rlu`; there are relu, leaky_relu,"),
        "{activation}"
    );
    let loss = serde_json::from_str::<LossSpec>(r#""hinge""#).unwrap_err().to_string();
    assert!(loss.starts_with("there is no loss `hinge`; there are sparse_cross_entropy,"), "{loss}");
}

#[test]
fn every_activation_is_a_layer_type_and_reads_back() {
    for activation in Activation::ALL.into_iter().chain([Activation::LeakyRelu(0.3)]) {
        assert!(LayerSpec::TYPES.iter().any(|(name, _)| *name == activation.name()), "{}", activation.name());
        let net = Sequential::new().add("a", activation).activation(activation);
        assert_eq!(Sequential::from_json(&serde_json::to_string(&net).unwrap()).unwrap(), net);
    }
}

#[test]
fn losses_check_their_targets_and_read_back() {
    let apply = |loss: &dyn Loss, output: &[usize], target: &[usize], dtype| -> Result<String, Error> {
        let t = Trace::new();
        let (x, y) = (t.input("x", output, DType::F32), t.input("y", target, dtype));
        let value = loss.apply(&t.scope(Mode::Train), &x, &y)?;
        let shapes = format!("{:?} {:?}", value.shape(), loss.correct(&x, &y).map(|c| c.shape()));
        t.set_output("loss", &value);
        assert_eq!(verify(&t.finish()?.graph, "trace"), []);
        Ok(shapes)
    };
    let sparse = loss::sparse_cross_entropy().label_smoothing(0.1).ignore_index(-1);
    assert_eq!(apply(&sparse, &[4, 10], &[4], DType::I32).unwrap(), "Shape([]) Some(Shape([]))");
    assert_eq!(
        apply(&loss::bce_with_logits().pos_weight([2.0]), &[4], &[4], DType::F32).unwrap(),
        "Shape([]) Some(Shape([]))"
    );
    assert_eq!(apply(&loss::huber(0.5), &[4, 2], &[4, 2], DType::F32).unwrap(), "Shape([]) None");
    assert_eq!(
        apply(&sparse, &[4, 10], &[4], DType::F32).unwrap_err().to_string(),
        "sparse_cross_entropy: logits are [4,10], so targets must be integers [4], not f32[4]"
    );
    assert_eq!(
        apply(&loss::mse(), &[4, 1], &[4], DType::F32).unwrap_err().to_string(),
        "mse: the output is [4,1] but the target is [4]; reshape one of them"
    );
    for spec in [LossSpec::from(sparse), loss::cross_entropy().into(), loss::huber(2.0).into(), loss::l1().into()] {
        assert_eq!(serde_json::from_str::<LossSpec>(&serde_json::to_string(&spec).unwrap()).unwrap(), spec);
    }
}

#[test]
fn slopes_at_kinks_are_pytorchs_and_nan_stays() {
    for (activation, slope) in [
        (Activation::Relu, 0.0),
        (Activation::Relu6, 0.0),
        (Activation::LeakyRelu(0.25), 0.25),
        (Activation::Elu, 1.0),
        (Activation::Softplus, 0.5),
    ] {
        let t = Trace::new();
        let x = t.input("x", [2], DType::F32);
        let y = activation.of(&x);
        let first = y.narrow(0, 0, 1).sum(..);
        t.set_output("y", &y);
        let mut graph = t.finish().unwrap().graph;
        let dx = gradients(&mut graph, first.node().unwrap(), &[x.node().unwrap()]).unwrap()[0];
        graph.output("dx", dx).unwrap();
        let x = Value { dtype: DType::F32, shape: [2].into(), data: vec![0.0, f64::NAN] };
        let outputs = evaluate(&graph, &[x], &[]).unwrap().outputs;
        assert!(outputs[0].data[1].is_nan(), "{activation:?}");
        assert_eq!(outputs[1].data[0], slope, "{activation:?}");
    }
}

#[test]
fn labels_that_do_not_exist_are_loud_and_ignored_ones_silent() {
    let loss = |loss: loss::SparseCrossEntropy, labels: [f64; 2]| {
        let t = Trace::new();
        let (x, y) = (t.input("x", [2, 3], DType::F32), t.input("y", [2], DType::I32));
        t.set_output("loss", &loss.apply(&t.scope(Mode::Train), &x, &y).unwrap());
        t.set_output("correct", &loss::correct(&x, &y));
        let x = Value { dtype: DType::F32, shape: [2, 3].into(), data: vec![0.0, 9.0, 0.0, 0.0, 0.0, 9.0] };
        let y = Value { dtype: DType::I32, shape: [2].into(), data: labels.to_vec() };
        let outputs = evaluate(&t.finish().unwrap().graph, &[x, y], &[]).unwrap().outputs;
        (outputs[0].data[0], outputs[1].data[0])
    };
    let plain = loss::sparse_cross_entropy;
    assert!(loss(plain(), [1.0, 3.0]).0.is_nan());
    assert!(loss(plain().ignore_index(-1), [1.0, -2.0]).0.is_nan());
    assert_eq!(loss(plain().ignore_index(-1), [-1.0, -1.0]), (0.0, 0.0));
    assert_eq!(loss(plain(), [1.0, 0.0]).1, 1.0);
}
