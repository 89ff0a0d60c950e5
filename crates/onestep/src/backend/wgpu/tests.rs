//! The queue and its failures: steps that go out together, a device that is lost, buffers beyond the limits.

use super::*;
use wgpu::Features;

use crate::ErrorKind;
use crate::backend::Device;
use crate::backend::memory::Purpose;
use crate::data::{Dataset, Loader, datasets};
use crate::engine::Phase;
use crate::ir::{Literal, Op, StateId, Type, Unary};
use crate::passes::{Passes, compile};
use crate::testing::{OpCase, op_cases};
use crate::train::Config;

/// The best adapter there is; CI must have one.
fn open() -> Option<Wgpu> {
    let found = Wgpu::open("wgpu");
    if let Err(e) = &found {
        assert!(std::env::var_os("CI").is_none(), "CI must have an adapter: {e}");
        println!("skipped: no adapter: {e}");
    }
    found.ok()
}

/// The same, and where it records steps another time, without.
fn both_ways() -> Vec<Wgpu> {
    let Some(wgpu) = open() else { return Vec::new() };
    let records = wgpu.0.gpu.vulkan.is_some();
    let without = records.then(|| reopened(|gpu| gpu.vulkan = None));
    [wgpu].into_iter().chain(without).collect()
}

/// The best adapter there is, changed.
fn reopened(change: impl FnOnce(&mut Gpu)) -> Wgpu {
    let mut gpu = Gpu::open(adapters::named("wgpu").unwrap()).unwrap();
    change(&mut gpu);
    Wgpu::of(gpu)
}

/// Both ways twice: as an adapter whose memory is the host's reads inputs, and as any other. Nothing where the best one
/// has memory of its own.
fn in_place_and_copied() -> Vec<[Wgpu; 2]> {
    let in_place: Vec<_> = both_ways().into_iter().filter(|wgpu| wgpu.0.gpu.reads_in_place()).collect();
    let copied = |wgpu: &Wgpu| {
        let records = wgpu.0.gpu.vulkan.is_some();
        reopened(|gpu| {
            gpu.features.remove(Features::MAPPABLE_PRIMARY_BUFFERS);
            gpu.vulkan = gpu.vulkan.take().filter(|_| records);
        })
    };
    in_place.into_iter().map(|wgpu| [copied(&wgpu), wgpu]).collect()
}

/// A program that adds e^x of its input to a state.
fn program(wgpu: &Wgpu, state: &Memory) -> Box<dyn Executable> {
    let mut graph = Graph::new();
    let ty = Type { dtype: DType::F32, shape: [3].into() };
    let x = graph.input("x", ty.clone()).unwrap();
    let sum = graph.state("sum", ty).unwrap();
    let e = graph.push(Op::Unary(Unary::Exp), &[x]).unwrap();
    let next = graph.add(sum, e);
    graph.update(StateId(0), next).unwrap();
    let compiled = compile(&graph, &wgpu.target(), Passes::all()).unwrap();
    wgpu.compile(&compiled.graph, &compiled.plan, std::slice::from_ref(state)).unwrap()
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
}

#[test]
fn steps_that_wait_for_each_other_are_all_done() {
    both_ways().iter().for_each(waiting_steps);
}

fn waiting_steps(wgpu: &Wgpu) {
    let state = wgpu.allocate(DType::F32, 3).unwrap();
    let mut program = program(wgpu, &state);
    let mut want = 0.0;
    for step in 0..100 {
        let x = (step - step % 3) as f32 * 1e-3;
        if step % 3 == 0 {
            program.write_input(0, &Literal::from_f32([3], &[0.0, f32::NEG_INFINITY, x]).unwrap()).unwrap();
        }
        program.run().unwrap();
        want += x.exp();
        if step % 17 == 16 {
            let got = floats(&wgpu.download_later(&[&state]).unwrap().wait().unwrap());
            assert_eq!(got[..2], [(step + 1) as f32, 0.0], "step {step}");
            assert!((got[2] - want).abs() < 1e-3, "step {step}: {} is not {want}", got[2]);
        }
    }
    program.wait().unwrap();
    assert_eq!(floats(&state.download().unwrap())[0], 100.0);
}

/// A program that goes while its steps are under way, or wait to be submitted, takes nothing with it that they use.
#[test]
fn a_program_that_goes_early_is_waited_for() {
    for wgpu in both_ways() {
        let state = wgpu.allocate(DType::F32, 3).unwrap();
        for _ in 0..5 {
            let mut program = program(&wgpu, &state);
            (0..20).for_each(|_| program.run().unwrap());
        }
        assert_eq!(floats(&state.download().unwrap()), [100.0; 3]);
    }
}

#[test]
fn both_ways_tell_how_long_kernels_take() {
    for wgpu in both_ways() {
        let state = wgpu.allocate(DType::F32, 3).unwrap();
        let mut program = program(&wgpu, &state);
        let times = (0..3).map(|_| program.run_timed().unwrap()).collect::<Vec<_>>();
        assert_eq!(floats(&state.download().unwrap()), [3.0; 3]);
        let Some(last) = times.last().cloned().flatten() else { continue };
        assert!(last.iter().sum::<std::time::Duration>().as_nanos() > 0, "{last:?}");
    }
}

#[test]
fn a_lost_device_is_an_error() {
    both_ways().iter().for_each(lose);
}

fn lose(wgpu: &Wgpu) {
    let state = wgpu.allocate(DType::F32, 3).unwrap();
    let mut program = program(wgpu, &state);
    program.run().unwrap();
    wgpu.0.gpu.device.destroy();
    let x = Literal::from_f32([3], &[1.0; 3]).unwrap();
    let failed = (0..3).find_map(|_| program.write_input(0, &x).and_then(|()| program.run()).err());
    let failed = failed.or_else(|| program.wait().err()).expect("a device that is gone says so");
    assert_eq!(failed.kind(), ErrorKind::Device, "{failed}");
    assert!(state.download().is_err() && wgpu.allocate(DType::F32, 3).is_err());
}

#[test]
fn buffers_beyond_the_limits_are_errors_of_memory() {
    let Some(wgpu) = open() else { return };
    let limits = &wgpu.0.gpu.limits;
    let e = wgpu.0.pool.zeroed(limits.max_buffer_size as usize + 1, Purpose::Arena).err().unwrap();
    assert_eq!(e.kind(), ErrorKind::Memory);
    assert!(e.to_string().contains("out of memory"), "{e}");
    assert!(wgpu.allocate(DType::F32, usize::MAX).is_err());
}

#[test]
fn every_tile_computes_what_the_reference_does() {
    let Some(wgpu) = open() else { return };
    let target = Target { tile_work: 1, ..wgpu.target() };
    let cases: Vec<OpCase> = op_cases().into_iter().filter(|case| case.contractions() > 0).collect();
    // Such kernels take long to compile. Matrix units take f16 alone; the others' tiles share out the cases.
    let (of_halves, others): (Vec<Tile>, Vec<Tile>) = Tile::all().partition(Tile::is_cooperative);
    let halves: Vec<&OpCase> = cases.iter().filter(|c| c.inputs.iter().all(|x| x.dtype() == DType::F16)).collect();
    let mut due: Vec<(Tile, Vec<&OpCase>)> = Vec::new();
    if wgpu.0.gpu.features.contains(Features::SHADER_F16) {
        // Without the units their part is emulated.
        due.extend(of_halves.into_iter().map(|tile| (tile, halves.clone())));
    }
    let share = |i: usize| cases.iter().skip(i).step_by(2 * others.len());
    due.extend(others.iter().enumerate().map(|(i, &tile)| (tile, share(i).collect())));
    let (mut wrong, mut count) = (Vec::new(), 0);
    for (tile, cases) in due {
        // Where the units' part is emulated, wgpu compiles the kernels.
        let emulated = tile.is_cooperative() && !wgpu.0.gpu.cooperative;
        let mut own = reopened(|gpu| gpu.vulkan = gpu.vulkan.take().filter(|_| !emulated));
        Arc::get_mut(&mut own.0).unwrap().tile = Some(tile);
        let own = Device::new(own);
        for case in cases {
            let compiled = compile(&case.graph, &target, Passes::all()).unwrap();
            wrong.extend(case.judge(&own, &compiled).unwrap().map(|e| format!("{tile:?}: {e}")));
            count += 1;
        }
        println!("{tile:?}: {count} programs, {} of them wrong", wrong.len());
    }
    assert!(count > 50 && wrong.is_empty(), "{} of {count} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// Every seventh case of the conformance suite with bindings so small that most buffers are bound as several.
#[test]
fn what_is_larger_than_a_binding_is_bound_as_several() {
    if open().is_none() {
        return;
    }
    let device = Device::new(reopened(|gpu| gpu.limits.max_storage_buffer_binding_size = 256));
    let (mut wrong, mut several) = (Vec::new(), 0);
    for case in op_cases().iter().step_by(7) {
        let compiled = compile(&case.graph, &device.target(), Passes::all()).unwrap();
        match case.judge(&device, &compiled) {
            Ok(verdict) => {
                several += usize::from(compiled.plan.buffers.iter().any(|buffer| buffer.bytes() > 256));
                wrong.extend(verdict);
            }
            // Some take more windows than a layout has bindings.
            Err(e) => assert!(e.kind() == ErrorKind::Unsupported && e.to_string().contains("buffers"), "{e}"),
        }
    }
    assert!(several > 30, "{several} cases");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The losses of two epochs of streamed batches, the last of each of another size and each of some steps, with an
/// evaluation in between.
fn streamed_losses(device: &Device) -> Vec<u64> {
    let text = include_str!("../../../../../bench/workloads/seed_cnn.toml");
    let mut config = Config::parse(text, "seed_cnn").unwrap();
    config.set_learning_rate(1e-2).unwrap();
    let set: Arc<dyn Dataset> = Arc::new(datasets::random([32, 32, 3], 2, 300, 3).unwrap());
    let mut trainer = config.trainer(&set).unwrap().device(device.clone()).build(&set).unwrap();
    let loader = Loader::new(set, 32).unwrap().shuffle(Some(1));
    let engine = trainer.engine_mut();
    let mut losses = Vec::new();
    for epoch in 0..2 {
        for (i, batch) in loader.epoch(epoch).enumerate() {
            let batch = batch.unwrap();
            engine.train_step(&batch.input, &batch.target).unwrap();
            (0..i % 3).for_each(|_| engine.repeat_step(batch.indices.len()).unwrap());
            if i % 4 == 0 {
                engine.eval_step(&batch.input, &batch.target).unwrap();
            }
        }
        losses.extend(engine.recent_losses().unwrap().into_iter().map(|(_, loss)| u64::from(loss.to_bits())));
        losses.push(engine.metrics(Phase::Eval).unwrap().loss.to_bits());
    }
    losses
}

#[test]
fn inputs_that_are_read_in_place_give_the_same_bits() {
    for [copied, in_place] in in_place_and_copied() {
        let [copied, in_place] = [copied, in_place].map(Device::new);
        let want = streamed_losses(&copied);
        assert!(want.len() > 40);
        assert_eq!(streamed_losses(&in_place), want);
    }
}

/// Nothing is made once a program is there, and nothing is left of it, whatever is written between steps.
#[test]
fn inputs_that_are_read_in_place_need_nothing_but_two_sets_of_memory() {
    // So many that a run takes longer than queueing the next.
    const ELEMENTS: usize = (1 << 17) + 1;
    for [copied, in_place] in in_place_and_copied() {
        let ran = [copied, in_place].map(|wgpu| {
            let mut graph = Graph::new();
            // Bytes lie in words, of which the last is not full.
            let ty = |dtype| Type { dtype, shape: [ELEMENTS].into() };
            let (a, b) = (graph.input("a", ty(DType::U8)).unwrap(), graph.input("b", ty(DType::I32)).unwrap());
            let s = graph.state("s", ty(DType::I32)).unwrap();
            // What each run has read shows in all that come after.
            let (a, odd) = (graph.cast(a, DType::I32), graph.full_like(31.0, s));
            let (sum, before) = (graph.add(a, b), graph.mul(s, odd));
            let next = graph.add(before, sum);
            graph.update(StateId(0), next).unwrap();
            let state = wgpu.allocate(DType::I32, ELEMENTS).unwrap();
            let compiled = compile(&graph, &wgpu.target(), Passes::all()).unwrap();
            let mut program = wgpu.compile(&compiled.graph, &compiled.plan, std::slice::from_ref(&state)).unwrap();
            // The first timed run makes a clock.
            program.run_timed().unwrap();
            let before = wgpu.statistics().unwrap();
            let input = |ty: DType, step: usize| {
                let bytes = (0..ELEMENTS * ty.size()).map(|i| (i * step) as u8).collect::<Vec<u8>>();
                Literal::from_bytes(ty, [ELEMENTS], bytes).unwrap()
            };
            for (step, what) in [3, 3, 0, 0, 0, 0, 1, 2, 2, 1, 3, 3, 3, 1, 0, 0, 0, 2].repeat(3).into_iter().enumerate()
            {
                if what & 1 != 0 {
                    program.write_input(0, &input(DType::U8, 7 * step + 1)).unwrap();
                }
                if what & 2 != 0 {
                    program.write_input(1, &input(DType::I32, 5 * step + 3)).unwrap();
                }
                match step % 10 {
                    9 => drop(program.run_timed().unwrap()),
                    _ => program.run().unwrap(),
                }
            }
            program.wait().unwrap();
            if wgpu.0.gpu.reads_in_place() {
                assert_eq!(wgpu.statistics().unwrap(), before);
                let inputs: usize =
                    [DType::U8, DType::I32].iter().map(|ty| (ELEMENTS * ty.size()).next_multiple_of(4)).sum();
                assert_eq!(before.of(Purpose::Input).in_use, 2 * inputs);
                assert!(program.bytes() <= wgpu.program_bytes(&compiled.graph, &compiled.plan).unwrap());
            }
            drop(program);
            assert_eq!(wgpu.statistics().unwrap().total.in_use, state.bytes() + staging(&wgpu));
            state.download().unwrap()
        });
        assert_eq!(ran[0], ran[1]);
        assert!(ran[0].iter().any(|&byte| byte != 0));
    }
}

fn staging(wgpu: &Wgpu) -> usize {
    wgpu.statistics().unwrap().of(Purpose::Staging).in_use
}
