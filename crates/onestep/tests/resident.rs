//! Data that lie on the device: an epoch gives the bits of a streamed one, without the host between its steps.

use std::rc::Rc;

use onestep::Result;
use onestep::backend::Device;
use onestep::data::permutation;
use onestep::engine::{Definition, Engine, InputScaling, Passes, Phase, Precision, Spec};
use onestep::ir::{DType, Literal};
use onestep::nn::{BatchNorm, Conv2d, Dropout, Linear, MaxPool2d, Padding, loss};
use onestep::optim::{Adam, Schedule};
use onestep::plan::KernelKind;
use onestep::testing::{devices, hash_uniform};
use onestep::trace::{Module, Scope, Shape, Tensor};

const SAMPLES: usize = 75;
const BATCH: usize = 16;

fn convolutions(s: &Scope, x: Tensor) -> Result<Tensor> {
    let x = Conv2d::new(8, 3).padding(Padding::SAME).apply(s, "conv", x)?;
    let x = BatchNorm::new().apply(s, "norm", x)?.relu();
    let x = MaxPool2d::new(2).apply(s, "pool", x)?;
    let x = Dropout::new(0.25).apply(s, "drop", x.flatten(1..))?;
    Linear::new(10).apply(s, "out", x)
}

fn layers(s: &Scope, x: Tensor) -> Result<Tensor> {
    let x = Linear::new(40).apply(s, "hidden", x.flatten(1..))?.relu();
    Linear::new(10).apply(s, "out", x)
}

/// Images of 8 by 8 with two channels, in bytes that are scaled or in plain floats.
fn engine(device: &Device, model: impl Module + 'static, dtype: DType) -> Engine {
    let definition = Definition {
        model: Rc::new(model),
        loss: Rc::new(loss::sparse_cross_entropy()),
        optimizer: Rc::new(Adam::new(1e-2)),
        schedule: Schedule::constant(),
        clip: None,
        input: Spec::new([8, 8, 2], dtype),
        target: Spec::new(Shape::scalar(), DType::I32),
        scaling: (dtype == DType::U8).then(|| InputScaling {
            scale: 1.0 / 255.0,
            mean: vec![0.4, 0.5],
            std: vec![0.3],
        }),
        seed: 5,
        precision: Precision::F32,
    };
    Engine::new(device, definition, Passes::all()).unwrap()
}

/// Some samples of the set, in the order of their numbers.
fn samples(dtype: DType, numbers: &[u32]) -> (Literal, Literal) {
    let pixel = |n: u32, i: u32| (hash_uniform(n, i) * if dtype == DType::U8 { 256.0 } else { 2.0 }) as f64;
    let pixels: Vec<f64> = numbers.iter().flat_map(|&n| (0..128).map(move |i| pixel(n, i))).collect();
    let labels: Vec<f64> = numbers.iter().map(|&n| (hash_uniform(1000, n) * 10.0).floor() as f64).collect();
    let inputs = Literal::from_f64(dtype, [numbers.len(), 8, 8, 2], &pixels).unwrap();
    (inputs, Literal::from_f64(DType::I32, [numbers.len()], &labels).unwrap())
}

fn all() -> Vec<u32> {
    (0..SAMPLES as u32).collect()
}

/// Two epochs with a ragged last batch, and the test figures after each.
fn streamed(engine: &mut Engine, dtype: DType) {
    for epoch in 0..2 {
        for batch in permutation(SAMPLES as u32, 3, epoch).chunks(BATCH) {
            let (x, y) = samples(dtype, batch);
            engine.train_step(&x, &y).unwrap();
        }
        engine.reset_metrics(Phase::Eval).unwrap();
        for batch in all().chunks(BATCH) {
            let (x, y) = samples(dtype, batch);
            engine.eval_step(&x, &y).unwrap();
        }
    }
}

fn resident(engine: &mut Engine, dtype: DType) {
    let (x, y) = samples(dtype, &all());
    engine.make_resident(Phase::Train, &x, &y).unwrap();
    engine.make_resident(Phase::Eval, &x, &y).unwrap();
    for epoch in 0..2 {
        engine.start_epoch(&permutation(SAMPLES as u32, 3, epoch)).unwrap();
        let before = engine.submissions();
        engine.run(SAMPLES / BATCH, BATCH).unwrap();
        engine.run(1, SAMPLES % BATCH).unwrap();
        assert_eq!(engine.submissions() - before, SAMPLES.div_ceil(BATCH) as u64);
        engine.reset_metrics(Phase::Eval).unwrap();
        engine.evaluate_resident(BATCH).unwrap();
    }
}

#[test]
fn an_epoch_on_the_device_gives_the_bits_of_a_streamed_one() {
    for device in devices() {
        for dtype in [DType::U8, DType::F32] {
            for deep in [false, true] {
                let new = || match deep {
                    true => engine(&device, convolutions, dtype),
                    false => engine(&device, layers, dtype),
                };
                let [mut a, mut b] = [new(), new()];
                streamed(&mut a, dtype);
                resident(&mut b, dtype);
                let what = format!("{} on {dtype}, convolutions: {deep}", device.name());
                let bits = |engine: &mut Engine| -> Vec<(u64, u32)> {
                    engine.recent_losses().unwrap().into_iter().map(|(step, loss)| (step, loss.to_bits())).collect()
                };
                assert_eq!(bits(&mut a), bits(&mut b), "{what}");
                assert_eq!(a.model_state().unwrap(), b.model_state().unwrap(), "{what}");
                assert_eq!(a.optimizer_state().unwrap(), b.optimizer_state().unwrap(), "{what}");
                for phase in [Phase::Train, Phase::Eval] {
                    assert_eq!(a.metrics(phase).unwrap(), b.metrics(phase).unwrap(), "{what}");
                }
                assert_eq!(a.confusion().unwrap(), b.confusion().unwrap(), "{what}");
            }
        }
    }
}

/// No kernel goes over the whole set: one reads the rows of the batch, and makes of them what the model wants.
#[test]
fn a_step_touches_the_rows_of_its_batch_alone() {
    let mut engine = engine(&Device::cpu_with_threads(1), convolutions, DType::U8);
    let (x, y) = samples(DType::U8, &all());
    engine.make_resident(Phase::Train, &x, &y).unwrap();
    let plan = engine.resident_plan(BATCH).unwrap();
    let points = |state: &str| -> Vec<usize> {
        let reading = plan.kernels.iter().filter(|k| k.reads().iter().any(|&id| plan.buffer(id).name == state));
        let points = reading.map(|kernel| match &kernel.kind {
            KernelKind::Loop(kernel) => kernel.grid.iter().product(),
            KernelKind::Library(call) => panic!("{} reads {state}", call.name()),
        });
        points.collect()
    };
    assert_eq!(points("engine.data.train.input"), [BATCH * 8 * 8 * 2]);
    assert_eq!(points("engine.data.train.order").iter().max(), Some(&(BATCH * 8 * 8 * 2)));
    assert!(points("engine.data.train.target").iter().all(|&points| points <= BATCH));
}

#[test]
fn running_many_steps_is_running_each_of_them_and_another_epoch_compiles_nothing() {
    let (x, y) = samples(DType::U8, &all());
    let [mut once, mut each] = [(); 2].map(|()| engine(&Device::cpu_with_threads(1), layers, DType::U8));
    for engine in [&mut once, &mut each] {
        engine.make_resident(Phase::Train, &x, &y).unwrap();
    }
    for epoch in 0..2 {
        for engine in [&mut once, &mut each] {
            engine.start_epoch(&permutation(SAMPLES as u32, 1, epoch)).unwrap();
        }
        once.run(4, BATCH).unwrap();
        (0..4).for_each(|_| each.run(1, BATCH).unwrap());
    }
    assert_eq!(once.model_state().unwrap(), each.model_state().unwrap());
    let bytes = once.peak_bytes();
    // A set of the same size takes the place of the last one.
    once.make_resident(Phase::Train, &x, &y).unwrap();
    once.run(1, BATCH).unwrap();
    assert_eq!((once.peak_bytes(), once.submissions(), each.submissions()), (bytes, 9, 8));
    once.release(Phase::Train);
    assert!(once.peak_bytes() < bytes);
}

#[test]
fn sets_and_orders_that_do_not_fit_are_refused() {
    let mut engine = engine(&Device::cpu_with_threads(1), layers, DType::U8);
    let (x, y) = samples(DType::U8, &all());
    let none = engine.run(1, BATCH).unwrap_err().to_string();
    assert!(none.contains("make one resident first"), "{none}");
    assert!(engine.start_epoch(&all()).is_err() && engine.evaluate_resident(BATCH).is_err());
    assert!(engine.make_resident(Phase::Train, &x, &samples(DType::U8, &[0]).1).is_err());
    engine.make_resident(Phase::Train, &x, &y).unwrap();
    let short = engine.start_epoch(&[0, 1]).unwrap_err().to_string();
    assert!(short.contains("pass one for each of the 75 samples"), "{short}");
    let mut wrong = all();
    wrong[7] = 75;
    assert!(engine.start_epoch(&wrong).unwrap_err().to_string().contains("number 75 (at place 7)"));
    let long = engine.run(5, BATCH).unwrap_err().to_string();
    assert!(long.contains("75 of its 75 samples left"), "{long}");
    assert!(engine.run(usize::MAX, BATCH).is_err() && engine.run(1, 0).is_err());
    assert_eq!(engine.submissions(), 0);
    engine.run(4, BATCH).unwrap();
    engine.run(1, SAMPLES % BATCH).unwrap();
    assert!(engine.run(1, 1).is_err(), "the epoch is over");
}

/// Where the loss is not finite, the position stays too.
#[test]
fn a_loss_that_is_not_finite_stops_the_epoch_where_it_is() {
    let mut engine = engine(&Device::cpu_with_threads(1), layers, DType::F32);
    let (x, y) = samples(DType::F32, &all());
    let mut pixels = x.to_f32();
    pixels[20 * 128] = f32::NAN;
    let x = Literal::from_f32(x.shape(), &pixels).unwrap();
    engine.make_resident(Phase::Train, &x, &y).unwrap();
    engine.run(1, BATCH).unwrap();
    let before = (engine.model_state().unwrap(), engine.optimizer_state().unwrap());
    engine.run(3, BATCH).unwrap();
    assert_eq!((engine.health().unwrap(), engine.step().unwrap()), (Some(2), 1));
    assert_eq!((engine.model_state().unwrap(), engine.optimizer_state().unwrap()), before);
    assert!(before.1.iter().all(|(name, _)| !name.contains("data")), "a data set is no part of a checkpoint");
}

/// What is asked for is what was there then, whatever is submitted before anyone looks.
#[test]
fn metrics_asked_for_are_those_of_their_step() {
    let (x, y) = samples(DType::U8, &all());
    for device in devices() {
        let mut engine = engine(&device, convolutions, DType::U8);
        engine.make_resident(Phase::Train, &x, &y).unwrap();
        let mut asked = vec![engine.request_metrics(Phase::Train).unwrap()];
        for _ in 0..4 {
            engine.run(1, BATCH).unwrap();
            asked.push(engine.request_metrics(Phase::Train).unwrap());
        }
        let health = engine.request_health().unwrap();
        engine.start_epoch(&all()).unwrap();
        engine.run(4, BATCH).unwrap();
        // The device has answered all once it has done what came after.
        engine.wait().unwrap();
        assert!(asked.iter().all(|answer| answer.is_done().unwrap()), "{}", device.name());
        let answers: Vec<_> = asked.into_iter().map(|answer| answer.wait().unwrap()).collect();
        let steps: Vec<u64> = answers.iter().map(|metrics| metrics.steps).collect();
        assert_eq!(steps, [0, 1, 2, 3, 4], "{}", device.name());
        assert_eq!(answers[4].samples, 4 * BATCH as u64);
        let losses = engine.recent_losses().unwrap();
        assert!((answers[1].loss - f64::from(losses[0].1)).abs() < 1e-6);
        assert_eq!((health.wait().unwrap(), engine.metrics(Phase::Train).unwrap().steps), (None, 8));
    }
}
