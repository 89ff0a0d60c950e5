//! Batches that are copied to the device while it computes: runs read what was last written, whatever is written,
//! repeated and downloaded in between, and training gives the same bits as with a wait after each step.

use std::sync::Arc;

use onestep::backend::Device;
use onestep::data::{Batch, Loader, datasets};
use onestep::ir::{DType, Graph, HostBytes, Literal, StateId, Type};
use onestep::passes::{Passes, compile};
use onestep::testing::devices;
use onestep::train::{Config, Trainer};

/// So many that a copy takes longer than queueing the next.
const ELEMENTS: usize = 1 << 17;

/// A tensor of one number and its position, in memory lent by the device or in ordinary memory.
fn tensor(device: &Device, lent: bool, number: i32) -> Literal {
    let lender = device.lender().filter(|_| lent);
    let mut bytes = HostBytes::of(lender.as_deref(), ELEMENTS * 4);
    let elements = bytes.bytes_mut().unwrap().chunks_exact_mut(4).zip(0i32..);
    elements.for_each(|(element, i)| element.copy_from_slice(&(number ^ i).to_le_bytes()));
    Literal::from_bytes(DType::I32, [ELEMENTS], bytes).unwrap()
}

/// `s' = 31 s + 7 a + b`, wrapping: what each run has read shows in all that come after.
fn history() -> Graph {
    let mut g = Graph::new();
    let ty = || Type::new([ELEMENTS], DType::I32);
    let (a, b) = (g.input("a", ty()).unwrap(), g.input("b", ty()).unwrap());
    let s = g.state("s", ty()).unwrap();
    let mut sum = b;
    for (factor, x) in [(7.0, a), (31.0, s)] {
        let factor = g.full_like(factor, x);
        let scaled = g.mul(x, factor);
        sum = g.add(sum, scaled);
    }
    g.update(StateId(0), sum).unwrap();
    g
}

#[test]
fn runs_read_what_was_written_last() {
    let graph = history();
    for device in devices() {
        for lent in [false, true] {
            let compiled = compile(&graph, &device.target(), Passes::all()).unwrap();
            let state = device.allocate(DType::I32, ELEMENTS).unwrap();
            let mut program = device.compile(&compiled.graph, &compiled.plan, std::slice::from_ref(&state)).unwrap();
            let (mut inputs, mut want) = ([vec![0i32; ELEMENTS], vec![0i32; ELEMENTS]], vec![0i32; ELEMENTS]);
            let check = |want: &[i32], when: &str| {
                let bytes: Vec<u8> = want.iter().flat_map(|v| v.to_le_bytes()).collect();
                assert!(state.download().unwrap() == bytes, "{}, lent: {lent}, {when}", device.name());
            };
            // Whole batches, one input, none, one twice, each several times in a row.
            for (step, what) in (1..).zip([0, 1, 2, 2, 0, 1, 3, 4, 4, 4, 0, 0, 0, 0, 1, 3, 2, 0].repeat(3)) {
                let mut write = |input: usize, number: i32| {
                    let value = tensor(&device, lent, number);
                    program.write_input(input, &value).unwrap();
                    inputs[input] =
                        value.bytes().chunks_exact(4).map(|b| i32::from_le_bytes(b.try_into().unwrap())).collect();
                };
                match what {
                    0 => [0, 1].into_iter().for_each(|i| write(i, 1000 * step + i as i32)),
                    1 => write(0, 1000 * step),
                    2 => write(1, 1000 * step),
                    3 => [1, 2].into_iter().for_each(|n| write(1, 1000 * step + n)),
                    _ => {}
                }
                program.run().unwrap();
                for ((want, a), b) in want.iter_mut().zip(&inputs[0]).zip(&inputs[1]) {
                    *want = want.wrapping_mul(31).wrapping_add(a.wrapping_mul(7)).wrapping_add(*b);
                }
                // Looking is in order with runs, as is writing a state.
                if step % 7 == 0 {
                    check(&want, &format!("step {step}"));
                }
                if step % 11 == 0 {
                    want.fill(step);
                    let bytes: Vec<u8> = want.iter().flat_map(|v| v.to_le_bytes()).collect();
                    state.upload(&bytes).unwrap();
                }
            }
            check(&want, "at the end");
            // What is under way when a program goes does not reach who has its memory next.
            let last = tensor(&device, lent, -1);
            program.write_input(0, &last).unwrap();
            drop(program);
            let next = device.allocate(DType::I32, ELEMENTS).unwrap();
            assert!(next.download().unwrap().iter().all(|&b| b == 0));
        }
    }
}

fn trainer(device: &Device) -> Trainer {
    let text = include_str!("../../../bench/workloads/seed_cnn.toml");
    let mut config = Config::parse(text, "seed_cnn").unwrap();
    config.set_learning_rate(1e-2).unwrap();
    let (train, _) = config.datasets().unwrap();
    config.trainer(&train).unwrap().device(device.clone()).build(&train).unwrap()
}

/// The losses of two epochs of batches, each of some steps on the same batch.
fn losses(device: &Device, loader: &Loader, wait: bool) -> Vec<u32> {
    let mut trainer = trainer(device);
    let engine = trainer.engine_mut();
    let mut step = |batch: &Batch, index: usize| {
        engine.train_step(&batch.input, &batch.target).unwrap();
        for _ in 0..index % 3 {
            engine.repeat_step(batch.indices.len()).unwrap();
        }
        if wait {
            engine.wait().unwrap();
        }
    };
    for epoch in 0..2 {
        loader.epoch(epoch).enumerate().for_each(|(i, batch)| step(&batch.unwrap(), i));
    }
    engine.recent_losses().unwrap().into_iter().map(|(_, loss)| loss.to_bits()).collect()
}

#[test]
fn streamed_batches_give_the_bits_of_steps_that_are_waited_for() {
    let set = Arc::new(datasets::random([32, 32, 3], 2, 1000, 3).unwrap());
    for device in devices() {
        let loader = Loader::new(set.clone(), 32).unwrap().shuffle(Some(1));
        let want = losses(&device, &loader.clone().prefetch(0), true);
        assert_eq!(want.len(), 126);
        for streamed in [loader.clone(), loader.clone().workers(3).prefetch(4), loader.lender(device.lender())] {
            assert_eq!(losses(&device, &streamed, false), want, "{}", device.name());
        }
    }
}
