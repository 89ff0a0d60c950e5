//! Times training steps of onestep's workloads in Burn through Vulkan, with its default features (fusion and autotuning
//! among them): `burn-peer WORKLOAD… [--steps N] [--repeats N] [--batch N]`. Prints a JSON object for each, as
//! `onestep bench --json` does.

use std::path::Path;
use std::time::Instant;

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::optim::momentum::MomentumConfig;
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer, SgdConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, DeviceKind, Distribution, Int, Tensor};
use serde::Deserialize;

/// Seconds of warming up at least, and of each repeat.
const WARM_UP: f64 = 2.0;
const REPEAT: f64 = 0.2;

#[derive(Deserialize)]
struct Workload {
    data: Data,
    model: Layers,
    training: Training,
    optimizer: Rule,
}

#[derive(Deserialize)]
struct Data {
    shape: Vec<usize>,
    classes: usize,
}

#[derive(Deserialize)]
struct Layers {
    layers: Vec<Layer>,
}

#[derive(Deserialize)]
struct Training {
    batch_size: usize,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Rule {
    Sgd { learning_rate: f64, momentum: f64 },
    Adam { learning_rate: f64 },
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Layer {
    Conv2d {
        filters: usize,
        kernel: usize,
        padding: usize,
        #[serde(default = "one")]
        stride: usize,
    },
    GlobalAvgPool,
    Flatten,
    Linear {
        out: usize,
        activation: Option<String>,
    },
    Dropout {
        p: f64,
    },
}

fn one() -> usize {
    1
}

/// The layers with parameters, in order; every convolution has a ReLU behind it.
#[derive(Module, Debug)]
struct Network {
    convolutions: Vec<Conv2d>,
    linears: Vec<Linear>,
    dropout: Dropout,
}

impl Network {
    fn new(workload: &Workload, device: &Device) -> Self {
        // Channels first, as Burn has images.
        let mut shape = workload.data.shape.clone();
        shape.rotate_right(1);
        let (mut convolutions, mut linears, mut p) = (Vec::new(), Vec::new(), 0.0);
        for layer in &workload.model.layers {
            match layer {
                Layer::Conv2d { filters, kernel, padding, stride } => {
                    let side = *padding;
                    let config = Conv2dConfig::new([shape[0], *filters], [*kernel; 2])
                        .with_stride([*stride; 2])
                        .with_padding(PaddingConfig2d::Explicit(side, side, side, side));
                    convolutions.push(config.init(device));
                    shape = vec![*filters]
                        .into_iter()
                        .chain(shape[1..].iter().map(|n| (n + 2 * side - kernel) / stride + 1))
                        .collect();
                }
                Layer::GlobalAvgPool => shape.truncate(1),
                Layer::Flatten => shape = vec![shape.iter().product()],
                Layer::Linear { out, .. } => {
                    linears.push(LinearConfig::new(shape[0], *out).init(device));
                    shape = vec![*out];
                }
                Layer::Dropout { p: of } => p = *of,
            }
        }
        Network { convolutions, linears, dropout: DropoutConfig::new(p).init() }
    }

    fn forward(&self, layers: &[Layer], images: Option<Tensor<4>>, rows: Option<Tensor<2>>) -> Tensor<2> {
        let (mut convolutions, mut linears) = (self.convolutions.iter(), self.linears.iter());
        let (mut images, mut rows) = (images, rows);
        for layer in layers {
            match layer {
                Layer::Conv2d { .. } => {
                    images = images.map(|x| relu(convolutions.next().expect("a convolution").forward(x)))
                }
                Layer::GlobalAvgPool => rows = images.take().map(|x| x.mean_dim(3).mean_dim(2).flatten(1, 3)),
                Layer::Flatten => rows = images.take().map(|x| x.flatten(1, 3)),
                Layer::Linear { activation, .. } => {
                    rows = rows.map(|x| {
                        let x = linears.next().expect("a linear layer").forward(x);
                        if activation.is_some() { relu(x) } else { x }
                    });
                }
                Layer::Dropout { .. } => rows = rows.map(|x| self.dropout.forward(x)),
            }
        }
        rows.expect("logits")
    }
}

struct Options {
    workloads: Vec<String>,
    steps: Option<usize>,
    repeats: usize,
    batch: Option<usize>,
}

fn options() -> Options {
    let mut options = Options { workloads: Vec::new(), steps: None, repeats: 10, batch: None };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number =
            || words.next().and_then(|w| w.parse().ok()).unwrap_or_else(|| panic!("{word} takes a number"));
        match &*word {
            "--steps" => options.steps = Some(number()),
            "--repeats" => options.repeats = number(),
            "--batch" => options.batch = Some(number()),
            // Burn has its own.
            "--threads" => drop(number()),
            "--device" => assert_eq!(words.next().as_deref(), Some("vulkan"), "Burn is timed through Vulkan"),
            _ => options.workloads.push(word),
        }
    }
    options
}

fn main() {
    let options = options();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../workloads");
    for name in &options.workloads {
        let text = std::fs::read_to_string(folder.join(format!("{name}.toml"))).expect("a workload of onestep");
        let workload: Workload = toml::from_str(&text).expect("a workload that this program knows");
        let batch = options.batch.unwrap_or(workload.training.batch_size);
        let mut times = measured(&workload, batch, &options);
        times.sort_by(f64::total_cmp);
        let median = (times[(times.len() - 1) / 2] + times[times.len() / 2]) / 2.0;
        println!(
            "{}",
            serde_json::json!({
                "peer": "burn vulkan", "workload": name, "device": "vulkan", "threads": 1, "batch": batch,
                "precision": "f32", "median_us": median, "min_us": times[0], "max_us": times[times.len() - 1],
                "items_per_second": (batch as f64 * 1e6 / median).round(), "version": "0.22.1",
            })
        );
    }
}

/// Microseconds a step of each repeat.
fn measured(workload: &Workload, batch: usize, options: &Options) -> Vec<f64> {
    let inner = Device::vulkan(DeviceKind::DefaultDevice);
    let device = inner.clone().autodiff();
    let shape = &workload.data.shape;
    let (images, rows) = match shape[..] {
        [height, width, channels] => {
            (Some(Tensor::<4>::random([batch, channels, height, width], Distribution::Default, &device)), None)
        }
        _ => (None, Some(Tensor::<2>::random([batch, shape[0]], Distribution::Default, &device))),
    };
    let labels: Vec<i32> = (0..batch).map(|i| (i % workload.data.classes) as i32).collect();
    let labels = Tensor::<1, Int>::from_data(labels.as_slice(), &device);
    let loss = CrossEntropyLossConfig::new().init(&device);
    let (mut optimizer, rate): (ModuleOptimizer, f64) = match &workload.optimizer {
        Rule::Sgd { learning_rate, momentum } => {
            let momentum = MomentumConfig::new().with_momentum(*momentum).with_dampening(0.0);
            (SgdConfig::new().with_momentum(Some(momentum)).init(), *learning_rate)
        }
        Rule::Adam { learning_rate } => (AdamConfig::new().init(), *learning_rate),
    };
    let mut network = Some(Network::new(workload, &device));
    let mut step = |n: usize| {
        for _ in 0..n {
            let model = network.take().expect("the network");
            let logits = model.forward(&workload.model.layers, images.clone(), rows.clone());
            let loss = loss.forward(logits, labels.clone());
            let gradients = GradientsParams::from_grads(loss.backward(), &model);
            network = Some(optimizer.step(rate, model, gradients));
        }
    };
    let wait = || device.sync().expect("the device works");
    let (began, mut done) = (Instant::now(), 0);
    while done < 3 || began.elapsed().as_secs_f64() < WARM_UP {
        step(1);
        wait();
        done += 1;
    }
    // What autotuning took counts to the warm-up alone.
    let began = Instant::now();
    step(20);
    wait();
    let each = began.elapsed().as_secs_f64() / 20.0;
    let steps = options.steps.unwrap_or((REPEAT / each).ceil() as usize).max(1);
    step(steps);
    wait();
    let repeat = |_| {
        let began = Instant::now();
        step(steps);
        wait();
        1e6 * began.elapsed().as_secs_f64() / steps as f64
    };
    (0..options.repeats).map(repeat).collect()
}
