//! The queue and its failures: steps that go out together, a device that is lost, buffers beyond the limits.

use super::*;
use wgpu::Features;

use crate::ErrorKind;
use crate::backend::Device;
use crate::backend::memory::Purpose;
use crate::ir::{Literal, Op, StateId, Type, Unary};
use crate::passes::{Passes, compile};
use crate::testing::{OpCase, op_cases};

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
