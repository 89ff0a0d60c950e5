//! What the planner promises of memory: how much a step of a small CNN takes, and that the device takes just
//! what was planned.

use std::rc::Rc;

use onestep::backend::Device;
use onestep::backend::memory::Purpose;
use onestep::engine::{Definition, Engine, Phase, Spec};
use onestep::ir::{DType, Literal};
use onestep::nn::{BatchNorm, Conv2d, Dropout, Linear, Padding, loss};
use onestep::optim::{Adam, Schedule};
use onestep::passes::{Passes, Precision};
use onestep::plan::{Place, Plan};
use onestep::testing::{cuda, devices, wgpu};
use onestep::trace::{Module, Scope, Shape, Tensor};
use onestep::{ErrorKind, Result};

const BATCH: usize = 32;
/// Side and channels of the images and of each convolution's result, and each one's stride.
const LAYERS: [(&str, usize, usize, usize); 4] =
    [("conv1", 32, 32, 1), ("conv2", 16, 32, 2), ("conv3", 16, 64, 1), ("conv4", 8, 64, 2)];

fn small_cnn(s: &Scope, mut x: Tensor) -> Result<Tensor> {
    for (name, _, filters, stride) in LAYERS {
        x = Conv2d::new(filters, 3).stride(stride).padding(Padding::from(1)).apply(s, name, x)?.relu();
    }
    let x = Linear::new(128).apply(s, "fc1", x.flatten(1..))?.relu();
    let x = Dropout::new(0.5).apply(s, "drop", x)?;
    Linear::new(10).apply(s, "fc2", x)
}

fn engine(passes: Passes) -> Engine {
    engine_of(small_cnn, passes)
}

fn engine_of(model: impl Module + 'static, passes: Passes) -> Engine {
    engine_on(&Device::cpu_with_threads(1), model, passes).unwrap()
}

fn engine_on(device: &Device, model: impl Module + 'static, passes: Passes) -> Result<Engine> {
    let definition = Definition {
        model: Rc::new(model),
        loss: Rc::new(loss::sparse_cross_entropy()),
        optimizer: Rc::new(Adam::new(1e-3)),
        schedule: Schedule::constant(),
        clip: None,
        input: Spec::new([32, 32, 3], DType::F32),
        target: Spec::new(Shape::scalar(), DType::I32),
        scaling: None,
        precision: Precision::F32,
        seed: 0,
    };
    Engine::new(device, definition, passes)
}

/// Grey images, all of class 1.
fn batch(samples: usize) -> (Literal, Literal) {
    let x = Literal::from_f32([samples, 32, 32, 3], &vec![0.5; samples * 32 * 32 * 3]).unwrap();
    (x, Literal::from_f64(DType::I32, [samples], &vec![1.0; samples]).unwrap())
}

/// Bytes of the buffers at a kind of place.
fn bytes(plan: &Plan, at: impl Fn(&Place) -> bool) -> usize {
    plan.buffers.iter().filter(|b| at(&b.place)).map(|b| b.bytes()).sum()
}

/// The arena of small_cnn's training step is within a quarter of what no order of its kernels could do without.
///
/// The backward pass of a convolution reads its input `x` (for the filter's gradient) and the gradient `dy` of
/// its result before the bias, and writes the gradient `dx` of its input. A ReLU's result tells its mask, so
/// of each layer one activation is kept, `y[i]`; `dy` lies where the gradient of the ReLU's result was.
/// Differentiating layer i thus needs at once: every activation below it (`y[0]` to `y[i - 1]`, of which the
/// last is its input), `dy`, and `dx`. The images are an input and not in the arena. By then the gradients of
/// fc1, nine tenths of all parameters, are in the flat gradient that the optimizer reads. What is small (the
/// 128 features and 10 logits of each image) is not counted.
#[test]
fn a_training_step_holds_little_more_than_its_backward_pass_must_keep() {
    let activations = LAYERS.map(|(_, side, channels, _)| BATCH * side * side * channels * 4);
    let differentiating = |layer: usize| {
        let below: usize = activations[..layer].iter().sum();
        below + activations[layer] + if layer == 0 { 0 } else { activations[layer - 1] }
    };
    let mut engine = engine(Passes::all());
    let gradient = 4 * engine.parameter_count();
    let least = gradient + (0..LAYERS.len()).map(differentiating).max().unwrap();
    assert_eq!(least, 4 * 591_274 + 4 * BATCH * (32 * 32 * 32 + 16 * 16 * 32 + 2 * 16 * 16 * 64 + 8 * 8 * 64));

    let plan = engine.plan(BATCH).unwrap();
    let states = bytes(plan, |p| matches!(p, Place::State(_)));
    assert!(states > 3 * gradient, "parameters and two moments");
    let ratio = (plan.arena_bytes + states) as f64 / (least + states) as f64;
    assert!((1.0..1.25).contains(&ratio), "{} bytes planned, {least} needed, states {states}", plan.arena_bytes);
    // The arena alone keeps the promise too.
    assert!(plan.arena_bytes * 4 <= least * 5, "{} bytes planned, {least} needed", plan.arena_bytes);
}

#[test]
fn the_device_takes_what_was_planned_to_the_byte() {
    let without = Passes { memory: false, ..Passes::all() };
    let [planned, apart] = [Passes::all(), without].map(|passes| {
        let mut engine = engine(passes);
        let before = engine.peak_bytes();
        let (x, y) = batch(BATCH);
        engine.train_step(&x, &y).unwrap();
        let taken = engine.peak_bytes() - before;
        let plan = engine.plan(BATCH).unwrap();
        (taken - bytes(plan, |p| !matches!(p, Place::State(_) | Place::Arena(_))), plan.arena_bytes)
    });
    // What the device holds beyond arena, inputs, outputs and constants is scratch, which no pass plans.
    assert_eq!(planned.0 - planned.1, apart.0 - apart.1);
    assert!(planned.1 * 3 < apart.1 * 2, "{} bytes shared, {} apart", planned.1, apart.1);
}

/// Sixteen blocks of two convolutions, marked or not, on images of 32 by 32.
fn deep(marked: bool) -> impl Fn(&Scope, Tensor) -> Result<Tensor> {
    move |s, x| {
        let mut x = Conv2d::new(16, 3).padding(Padding::SAME).apply(s, "stem", x)?.relu();
        for i in 0..16 {
            let block = |s: &Scope| {
                let conv = Conv2d::new(16, 3).padding(Padding::SAME);
                let y = BatchNorm::new().apply(s, "norm1", conv.apply(s, "conv1", x.clone())?)?.relu();
                let y = BatchNorm::new().apply(s, "norm2", conv.apply(s, "conv2", y)?)?;
                Ok((x + y).relu())
            };
            let name = format!("block{i}");
            x = if marked { s.checkpoint(&name, block) } else { s.layer(&name, "module", block) }?;
        }
        Linear::new(10).apply(s, "out", x.mean([1, 2]))
    }
}

/// Of a stack of marked blocks only what goes from one to the next is kept, and what one of them computes.
#[test]
fn a_deep_stack_of_marked_blocks_holds_less_than_half() {
    let [apart, marked] = [false, true].map(|marked| {
        let mut engine = engine_of(deep(marked), Passes::all());
        engine.plan(BATCH).unwrap().arena_bytes
    });
    assert!(marked * 2 < apart, "{marked} bytes marked, {apart} unmarked");
    // The results of stem and blocks, and six more of that size while a block is computed and differentiated.
    let activation = BATCH * 32 * 32 * 16 * 4;
    assert!(marked < (17 + 6) * activation, "{marked} bytes marked");
}

/// Out of memory is an error that names the largest batch that fits: that one trains, and one more does not.
#[test]
fn a_batch_that_does_not_fit_is_refused_with_the_largest_that_does() {
    let mut free = engine(Passes::all());
    free.plan(9).unwrap();
    // As a GPU's pool rounds what it hands out, it is given more.
    let of_gpus = 2 * free.peak_bytes() + (32 << 20);
    let limits = [("cpu", free.peak_bytes() + 1000), ("cuda", of_gpus), ("wgpu", of_gpus)];
    for (name, limit) in limits {
        let open = || match name {
            "cpu" => Some(Device::cpu_with_threads(1)),
            "cuda" => cuda(),
            _ => wgpu(),
        };
        let train = |samples: usize| -> Option<Result<()>> {
            let device = open()?.with_memory_limit(limit).unwrap();
            let mut engine = engine_on(&device, small_cnn, Passes::all()).unwrap();
            let (x, y) = batch(samples);
            let before = device.statistics().unwrap().total.in_use;
            let trained = engine.train_step(&x, &y);
            if trained.is_err() {
                assert_eq!(device.statistics().unwrap().total.in_use, before, "nothing is held of what failed");
            }
            Some(trained)
        };
        let Some(trained) = train(512) else { continue };
        let e = trained.unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Memory);
        let message = e.to_string();
        assert!(message.contains("a training step on a batch of 512 takes ") && message.contains("the limit of "));
        let (_, behind) = message.split_once("the largest batch that fits is ").unwrap();
        let largest: usize = behind.split(';').next().unwrap().parse().unwrap();
        assert!((1..512).contains(&largest) && (name != "cpu" || largest >= 9), "{message}");
        train(largest).unwrap().unwrap();
        assert!(train(largest + 1).unwrap().is_err(), "{message}");
    }
    let tight = Device::cpu_with_threads(1).with_memory_limit(free.state_bytes() + 100).unwrap();
    let e = engine_on(&tight, small_cnn, Passes::all()).unwrap().plan(4).unwrap_err().to_string();
    assert!(e.contains("not even a batch of 1 fits"), "{e}");
    let none = Device::cpu_with_threads(1).with_memory_limit(1000).unwrap();
    let e = engine_on(&none, small_cnn, Passes::all()).err().unwrap();
    assert_eq!(e.kind(), ErrorKind::Memory);
    assert!(e.to_string().starts_with("cpu is out of memory within the limit of 1000 B"), "{e}");
    assert!(Device::reference().with_memory_limit(1).is_err());
}

/// What a device counts goes back to nothing when all is dropped, but for a GPU's staging rings.
#[test]
fn everything_is_given_back() {
    for device in devices() {
        let in_use = || {
            let statistics = device.statistics().unwrap();
            Purpose::ALL.iter().filter(|&&p| p != Purpose::Staging).map(|&p| statistics.of(p).in_use).sum::<usize>()
        };
        let mut engine = engine_on(&device, small_cnn, Passes::all()).unwrap();
        assert_eq!(in_use(), engine.state_bytes());
        let (x, y) = batch(10);
        engine.make_resident(Phase::Train, &x, &y).unwrap();
        engine.make_resident(Phase::Eval, &x, &y).unwrap();
        engine.run(2, 4).unwrap();
        engine.evaluate_resident(4).unwrap();
        engine.train_step(&x, &y).unwrap();
        engine.predict(&x).unwrap();
        let asked = engine.request_metrics(Phase::Train).unwrap();
        let mut other = engine_on(&device, small_cnn, Passes::all()).unwrap();
        other.copy_state_from(&engine, onestep::engine::Selection::All).unwrap();
        assert!(in_use() > engine.state_bytes() + other.state_bytes());
        drop((engine, other));
        assert_eq!(asked.wait().unwrap().samples, 8 + 10, "{}: an answer outlives its engine", device.name());
        assert_eq!(in_use(), 0, "{}", device.name());
    }
}
