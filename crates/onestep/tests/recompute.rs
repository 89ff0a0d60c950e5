//! Marked blocks are computed again in the backward pass: the same bits as unmarked ones, on every device and
//! whatever passes run.

use std::rc::Rc;

use onestep::Result;
use onestep::backend::Device;
use onestep::engine::{Definition, Engine, Spec};
use onestep::ir::{DType, Literal};
use onestep::nn::{BatchNorm, Conv2d, Dropout, GlobalAvgPool, Linear, MaxPool2d, Padding, loss};
use onestep::optim::{AdamW, Schedule};
use onestep::passes::{Passes, Precision};
use onestep::testing::{fill, hash_uniform};
use onestep::trace::{Module, Scope, Shape, Tensor};

/// A block, marked or not.
fn block(s: &Scope, name: &str, marked: bool, f: impl FnOnce(&Scope) -> Result<Tensor>) -> Result<Tensor> {
    if marked { s.checkpoint(name, f) } else { s.layer(name, "module", f) }
}

/// Convolution, batch norm and dropout with a sum around them.
fn residual(s: &Scope, x: Tensor) -> Result<Tensor> {
    let channels = x.shape()[3];
    let y = Conv2d::new(channels, 3).padding(Padding::SAME).apply(s, "conv1", x.clone())?;
    let y = BatchNorm::new().apply(s, "norm1", y)?.relu();
    let y = Dropout::new(0.2).apply(s, "drop", y)?;
    let y = Conv2d::new(channels, 3).padding(Padding::SAME).apply(s, "conv2", y)?;
    Ok((BatchNorm::new().apply(s, "norm2", y)? + x).relu())
}

/// Blocks after each other, inside each other, and one with two results.
fn model(marked: bool) -> impl Fn(&Scope, Tensor) -> Result<Tensor> {
    move |s, x| {
        let x = Conv2d::new(8, 3).padding(Padding::SAME).apply(s, "stem", x)?.relu();
        let x = block(s, "block1", marked, |s| residual(s, x))?;
        let x = MaxPool2d::new(2).apply(s, "pool", x)?;
        let x = block(s, "outer", marked, |s| {
            let x = block(s, "inner1", marked, |s| residual(s, x))?;
            let x = block(s, "inner2", marked, |s| residual(s, x))?;
            Ok(x.gelu())
        })?;
        let mut gate = None;
        let x = block(s, "two", marked, |s| {
            let features = GlobalAvgPool::new().apply(s, "pool", x)?;
            gate = Some(Linear::new(16).apply(s, "gate", features.clone())?.sigmoid());
            Ok(Linear::new(16).apply(s, "value", features)?.tanh())
        })?;
        let x = gate.map_or(x.clone(), |gate| gate * x);
        Linear::new(10).apply(s, "out", x)
    }
}

fn engine(device: &Device, passes: Passes, marked: bool) -> Engine {
    let definition = Definition {
        model: Rc::new(model(marked)),
        loss: Rc::new(loss::sparse_cross_entropy()),
        optimizer: Rc::new(AdamW::new(1e-3)),
        schedule: Schedule::constant(),
        clip: None,
        input: Spec::new([8, 8, 3], DType::F32),
        target: Spec::new(Shape::scalar(), DType::I32),
        scaling: None,
        precision: Precision::F32,
        seed: 7,
    };
    Engine::new(device, definition, passes).unwrap()
}

/// Bits of the losses, parameters and running statistics after some steps.
fn train(device: &Device, passes: Passes, marked: bool) -> (Vec<u32>, Vec<(String, Literal)>) {
    let mut engine = engine(device, passes, marked);
    for step in 0..3 {
        let y: Vec<f64> = (0..6).map(|i| (hash_uniform(step + 1000, i) * 10.0).floor() as f64).collect();
        let x = Literal::from_f32([6, 8, 8, 3], &fill(step, 6 * 192, -1.0, 1.0)).unwrap();
        engine.train_step(&x, &Literal::from_f64(DType::I32, [6], &y).unwrap()).unwrap();
    }
    let losses = engine.recent_losses().unwrap().into_iter().map(|(_, loss)| loss.to_bits()).collect();
    (losses, engine.model_state().unwrap())
}

fn agree(device: &Device, switches: &str) {
    let passes = switches.parse().unwrap();
    let [(want, states), (got, again)] = [false, true].map(|marked| train(device, passes, marked));
    assert_eq!(want, got, "`{switches}`");
    for (want, got) in states.iter().zip(&again) {
        assert_eq!(want, got, "`{switches}`");
    }
    assert!(states.iter().any(|(name, _)| name == "outer.inner1.norm1.running_mean"));
}

#[test]
fn marked_blocks_give_the_same_bits_on_the_reference() {
    agree(&Device::reference(), "");
    agree(&Device::reference(), "-recompute");
}

#[test]
fn marked_blocks_give_the_same_bits_on_the_cpu_whatever_passes_run() {
    let off = Passes::NAMES.map(|name| format!("-{name}"));
    for switches in off.iter().map(String::as_str).chain(["", "-simplify,-fuse,-schedule,-memory"]) {
        agree(&Device::cpu_with_threads(1), switches);
    }
}

#[test]
fn without_the_pass_the_plan_is_that_of_an_unmarked_model() {
    let plan = |switches: &str, marked| {
        let mut engine = engine(&Device::cpu_with_threads(1), switches.parse().unwrap(), marked);
        engine.plan(64).unwrap().clone()
    };
    let unmarked = plan("", false);
    assert_eq!(plan("-recompute", true).to_string(), unmarked.to_string());
    assert!(plan("", true).arena_bytes < unmarked.arena_bytes);
}
