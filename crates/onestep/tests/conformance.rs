//! Every op, dtype and shape of the conformance suite on every backend, against the reference; with all
//! passes and with each of them switched off.

use std::panic::{AssertUnwindSafe, catch_unwind};

use onestep::backend::Device;
use onestep::passes::{Passes, compile};
use onestep::plan::Target;
use onestep::testing::{OpCase, op_cases};

fn conforms(device: &Device, passes: Passes) {
    conforms_as(device, &device.target(), passes);
}

fn conforms_as(device: &Device, target: &Target, passes: Passes) {
    all_conform(op_cases(), device, target, passes);
}

fn all_conform(cases: Vec<OpCase>, device: &Device, target: &Target, passes: Passes) {
    let mut wrong = Vec::new();
    for case in &cases {
        // A panic must name its case too.
        let run = AssertUnwindSafe(|| {
            let compiled = compile(&case.graph, target, passes).unwrap();
            case.judge(device, &compiled).unwrap()
        });
        wrong.extend(catch_unwind(run).unwrap_or_else(|_| Some(format!("{}: panicked", case.name))));
    }
    assert!(wrong.is_empty(), "{} of {} cases are wrong:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn cpu_with_all_passes() {
    conforms(&Device::cpu_with_threads(1), Passes::all());
}

#[test]
fn cpu_on_two_threads() {
    conforms(&Device::cpu_with_threads(2), Passes::all());
}

/// What a device without a library runs: every product, convolution and sum as a loop nest, with all that can follow it.
#[test]
fn cpu_with_nests_for_calls() {
    let cpu = Device::cpu_with_threads(2);
    conforms_as(&cpu, &Target { nest_work: u64::MAX, masks: true, ..cpu.target() }, Passes::all());
}

/// What a device runs whose library has products alone.
#[test]
fn cpu_with_nests_for_calls_but_products() {
    let cpu = Device::cpu_with_threads(1);
    conforms_as(&cpu, &Target { nest_work: u64::MAX, library_dots: 1, ..cpu.target() }, Passes::all());
}

/// What a device of many threads runs: sums by columns compute what they add, here however few columns there are.
#[test]
fn cpu_with_sums_that_compute_what_they_add() {
    let cpu = Device::cpu_with_threads(2);
    let target = Target { workgroup: 2, reduce_lanes: 1, nest_work: u64::MAX, library_dots: 1, ..cpu.target() };
    conforms_as(&cpu, &target, Passes::all());
}

#[test]
fn cpu_with_each_pass_off() {
    for name in Passes::NAMES {
        conforms(&Device::cpu_with_threads(1), format!("-{name}").parse().unwrap());
    }
}

#[test]
fn cuda_with_all_passes() {
    let Some(gpu) = onestep::testing::cuda() else { return };
    conforms(&gpu, Passes::all());
}

#[test]
fn cuda_with_each_pass_off() {
    let Some(gpu) = onestep::testing::cuda() else { return };
    for name in Passes::NAMES {
        conforms(&gpu, format!("-{name}").parse().unwrap());
    }
}

/// Every product that cuBLASLt takes is its, however small.
#[test]
fn cuda_with_library_products() {
    let Some(gpu) = onestep::testing::cuda() else { return };
    let target = gpu.target();
    if target.library_dots == 0 {
        return println!("skipped: there is no cuBLASLt");
    }
    conforms_as(&gpu, &Target { library_dots: 1, ..target }, Passes::all());
}

/// Every convolution that cuDNN takes is its, however small.
#[test]
fn cuda_with_library_convolutions() {
    let Some(gpu) = onestep::testing::cuda() else { return };
    let target = gpu.target();
    if target.library_convs == 0 {
        return println!("skipped: there is no cuDNN");
    }
    conforms_as(&gpu, &Target { library_convs: 1, library_filters: 0, ..target }, Passes::all());
}

/// Products and convolutions of f32 that may be rounded to TF32, of numbers that it holds: by libraries, and by tiles.
#[test]
fn cuda_in_tf32() {
    let Some(gpu) = onestep::testing::cuda() else { return };
    let gpu = gpu.allow_tf32(true);
    let target = gpu.target();
    // Where one contraction reads another's result, that is not among these numbers.
    let alone = |case: &OpCase| case.contractions() == 1;
    let cases = || op_cases().into_iter().filter(alone).map(OpCase::coarse).collect::<Vec<_>>();
    assert!(cases().len() > 20, "{} cases", cases().len());
    for (dots, convs) in [(1.min(target.library_dots), 1.min(target.library_convs)), (0, 0)] {
        let sizes = Target { library_tf32: 0, library_filters: 0, tile_work: 1, ..target.clone() };
        all_conform(cases(), &gpu, &Target { library_dots: dots, library_convs: convs, ..sizes }, Passes::all());
    }
}

/// What runs without cuDNN.
#[test]
fn cuda_without_library_convolutions() {
    let Some(gpu) = onestep::testing::cuda() else { return };
    conforms_as(&gpu, &Target { library_convs: 0, ..gpu.target() }, Passes::all());
}

#[test]
fn wgpu_with_all_passes() {
    let Some(gpu) = onestep::testing::wgpu() else { return };
    conforms(&gpu, Passes::all());
}

/// Every contraction by tiles, however small.
#[test]
fn wgpu_with_tiles_for_all_contractions() {
    let Some(gpu) = onestep::testing::wgpu() else { return };
    conforms_as(&gpu, &Target { tile_work: 1, ..gpu.target() }, Passes::all());
}

#[test]
fn wgpu_with_each_pass_off() {
    let Some(gpu) = onestep::testing::wgpu() else { return };
    for name in Passes::NAMES {
        conforms(&gpu, format!("-{name}").parse().unwrap());
    }
}

#[test]
fn reference_as_a_device() {
    conforms(&Device::reference(), Passes::all());
}
