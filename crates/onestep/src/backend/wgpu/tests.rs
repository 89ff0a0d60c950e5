//! The queue and its failures: steps that go out together, a device that is lost, buffers beyond the limits.

use super::*;
use crate::ErrorKind;
use crate::backend::memory::Purpose;
use crate::ir::{Literal, Op, StateId, Type, Unary};
use crate::passes::{Passes, compile};

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
    let without = records.then(|| {
        let mut gpu = Gpu::open(adapters::named("wgpu").unwrap()).unwrap();
        gpu.vulkan = None;
        Wgpu::of(gpu)
    });
    [wgpu].into_iter().chain(without).collect()
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
    let e = wgpu.allocate(DType::U8, limits.max_storage_buffer_binding_size as usize + 1).err().unwrap();
    assert_eq!(e.kind(), ErrorKind::Memory);
    assert!(e.to_string().contains("sees at most"), "{e}");
    let e = wgpu.0.pool.zeroed(limits.max_buffer_size as usize + 1, Purpose::Arena).err().unwrap();
    assert_eq!(e.kind(), ErrorKind::Memory);
    assert!(e.to_string().contains("out of memory"), "{e}");
    assert!(wgpu.allocate(DType::F32, usize::MAX).is_err());
}
