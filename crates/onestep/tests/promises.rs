//! Promises of the step: same bits run to run and for any number of threads; the same losses whatever
//! passes run; after the first step one submission, and no allocation at all.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::rc::Rc;

use onestep::Result;
use onestep::backend::Device;
use onestep::engine::{Definition, Engine, Phase, Spec};
use onestep::ir::{DType, Literal};
use onestep::nn::{BatchNorm, Conv2d, Dropout, Linear, MaxPool2d, Padding, loss};
use onestep::optim::{AdamW, Clip, Schedule};
use onestep::passes::{Passes, Precision};
use onestep::testing::{devices, fill, hash_uniform};
use onestep::trace::{Module, Scope, Shape, Tensor};

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    static LIVE: Cell<isize> = const { Cell::new(0) };
}

/// Counts the allocations of each thread, and the bytes it holds.
struct Counting;

// SAFETY: every call goes to the system's allocator unchanged; counting touches thread-local cells alone.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|n| n.set(n.get() + 1));
        LIVE.with(|n| n.set(n.get() + layout.size() as isize));
        // SAFETY: passed on from the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.with(|n| n.set(n.get() - layout.size() as isize));
        // SAFETY: passed on from the caller.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A bit of everything: convolution, batch norm, pooling, dropout, two matrix products.
fn model(s: &Scope, x: Tensor) -> Result<Tensor> {
    let x = Conv2d::new(12, 3).padding(Padding::SAME).apply(s, "conv1", x)?;
    let x = BatchNorm::new().apply(s, "norm1", x)?.relu();
    let x = MaxPool2d::new(2).apply(s, "pool1", x)?;
    let x = Linear::new(48).apply(s, "fc1", x.flatten(1..))?.relu();
    let x = Dropout::new(0.25).apply(s, "drop", x)?;
    Linear::new(10).apply(s, "fc2", x)
}

fn engine(device: &Device, precision: Precision, passes: Passes) -> Engine {
    let definition = Definition {
        model: Rc::new(model),
        loss: Rc::new(loss::sparse_cross_entropy()),
        optimizer: Rc::new(AdamW::new(1e-3)),
        schedule: Schedule::cosine(100, 1e-5).warmup(3),
        clip: Some(Clip::GlobalNorm(1.0)),
        input: Spec::new([16, 16, 3], DType::F32),
        target: Spec::new(Shape::scalar(), DType::I32),
        scaling: None,
        precision,
        seed: 7,
    };
    Engine::new(device, definition, passes).unwrap()
}

/// A batch that depends on its number alone.
fn batch(number: u32, size: usize) -> (Literal, Literal) {
    let x = fill(number, size * 768, -1.0, 1.0);
    let y: Vec<f64> = (0..size).map(|i| (hash_uniform(number + 1000, i as u32) * 10.0).floor() as f64).collect();
    (Literal::from_f32([size, 16, 16, 3], &x).unwrap(), Literal::from_f64(DType::I32, [size], &y).unwrap())
}

/// Bits of the losses and of every parameter after some steps, ragged batches among them.
fn train(device: &Device, passes: Passes, steps: u32) -> (Vec<f32>, Vec<(String, Literal)>) {
    train_in(Precision::F32, device, passes, steps)
}

fn train_in(precision: Precision, device: &Device, passes: Passes, steps: u32) -> (Vec<f32>, Vec<(String, Literal)>) {
    let mut engine = engine(device, precision, passes);
    for step in 0..steps {
        let (x, y) = batch(step, if step % 4 == 3 { 17 } else { 64 });
        engine.train_step(&x, &y).unwrap();
    }
    let losses = engine.recent_losses().unwrap().into_iter().map(|(_, loss)| loss).collect();
    (losses, engine.model_state().unwrap())
}

#[test]
fn the_same_bits_run_to_run_and_with_any_number_of_threads() {
    for precision in Precision::ALL {
        let train = |threads| train_in(precision, &Device::cpu_with_threads(threads), Passes::all(), 12);
        let first = train(1);
        assert_eq!(first.0.len(), 12);
        for threads in [1, 2, 3] {
            let again = train(threads);
            let bits = |losses: &[f32]| losses.iter().map(|l| l.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&first.0), bits(&again.0), "{precision}, {threads} threads");
            assert_eq!(first.1, again.1, "{precision}, {threads} threads");
        }
    }
}

#[test]
fn the_same_bits_run_to_run_on_a_gpu() {
    for gpu in onestep::testing::cuda().into_iter().chain(onestep::testing::wgpu()) {
        for precision in Precision::ALL {
            let [first, again] = [(); 2].map(|()| train_in(precision, &gpu, Passes::all(), 12));
            let bits = |losses: &[f32]| losses.iter().map(|l| l.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&first.0), bits(&again.0), "{precision} on {}", gpu.name());
            assert_eq!(first.1, again.1, "{precision} on {}", gpu.name());
        }
    }
}

#[test]
fn losses_agree_with_the_reference_whatever_passes_run() {
    let (want, _) = train(&Device::reference(), Passes::all(), 6);
    for device in devices() {
        for switches in ["", "-simplify", "-fuse", "-schedule", "-memory", "-simplify,-fuse,-schedule,-memory"] {
            let (losses, _) = train(&device, switches.parse().unwrap(), 6);
            for (step, (loss, want)) in losses.iter().zip(&want).enumerate() {
                let name = device.name();
                assert!((loss - want).abs() <= 2e-5 * want, "{name} `{switches}`, step {step}: {loss} is not {want}");
            }
        }
    }
}

#[test]
fn a_step_after_the_first_submits_once_and_allocates_nothing() {
    for precision in Precision::ALL {
        let mut engine = engine(&Device::cpu_with_threads(1), precision, Passes::all());
        let (x, y) = batch(0, 64);
        engine.train_step(&x, &y).unwrap();
        let (peak, live) = (engine.peak_bytes(), LIVE.with(Cell::get));
        for _ in 0..5 {
            let (submissions, allocations) = (engine.submissions(), ALLOCATIONS.with(Cell::get));
            engine.train_step(&x, &y).unwrap();
            assert_eq!(ALLOCATIONS.with(Cell::get) - allocations, 0, "heap allocations in a step in {precision}");
            assert_eq!(engine.submissions() - submissions, 1);
        }
        assert_eq!(engine.peak_bytes(), peak);
        assert_eq!(LIVE.with(Cell::get), live, "bytes held after five more steps in {precision}");
    }
}

#[test]
fn a_step_on_resident_data_submits_once_and_allocates_nothing() {
    let mut engine = engine(&Device::cpu_with_threads(1), Precision::F32, Passes::all());
    let (x, y) = batch(0, 200);
    engine.make_resident(Phase::Train, &x, &y).unwrap();
    engine.run(1, 40).unwrap();
    let (submissions, allocations) = (engine.submissions(), ALLOCATIONS.with(Cell::get));
    engine.run(4, 40).unwrap();
    assert_eq!(ALLOCATIONS.with(Cell::get) - allocations, 0, "heap allocations in four steps");
    assert_eq!(engine.submissions() - submissions, 4);
    assert_eq!(engine.health().unwrap(), None);
}
