//! Source text for GPUs: what kernels look like, that their languages accept them, and that the CUDA C++ ones,
//! run on the host, compute what the reference does.

mod host;
mod programs;
mod wgsl;

use std::path::PathBuf;

use expect_test::{Expect, expect};
use host::Job;
use onestep::codegen::{Access, Binding, Bound, Language, print};
use onestep::ir::Graph;
use onestep::plan::Place;
use onestep::testing::{OpCase, op_cases};
use programs::planned;
use wgsl::{WGSL, sources};

/// With islands, and without them.
const SWITCHES: [&str; 2] = ["", "-islands"];

fn check(case: &OpCase, language: Language, expected: Expect) {
    check_with(case, "-islands", language, expected);
}

fn check_with(case: &OpCase, passes: &str, language: Language, expected: Expect) {
    let plan = planned(&case.graph, passes);
    let kernels: Vec<String> = sources(&plan, language).into_iter().map(|s| s.kernel).collect();
    expected.assert_eq(&kernels.join("\n"));
}

/// Every program under some switches of passes.
fn jobs(switches: &[&str]) -> Vec<Job> {
    let cases: Vec<OpCase> = programs::all().into_iter().chain(op_cases()).collect();
    let mut jobs: Vec<Job> = Vec::new();
    for case in cases {
        let first = jobs.len();
        for passes in switches {
            let plan = planned(&case.graph, passes);
            // Most programs are one kernel, whatever the switches.
            if jobs[first..].iter().all(|j| j.plan != plan) {
                jobs.push(Job { case: case.clone(), plan });
            }
        }
    }
    jobs
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("codegen")
}

#[test]
fn naga_accepts_all_wgsl() {
    let (mut wrong, mut count, mut joined) = (Vec::new(), 0, 0);
    for job in jobs(&[SWITCHES.as_slice(), &["-fuse,-islands"]].concat()) {
        let tight = wgsl::tight(&job.plan);
        joined += tight.len();
        for source in sources(&job.plan, WGSL).into_iter().chain(tight) {
            let text = source.text();
            count += 1;
            if let Some(fault) = wgsl::fault(&text) {
                wrong.push(format!("{} {}\n{fault}\n{text}", job.case.name, source.entry));
            }
        }
    }
    println!("{count} kernels, {joined} of them with the arena as one");
    assert!(count > 3000 && joined > 100);
    assert!(wrong.is_empty(), "{} kernels are wrong:\n{}", wrong.len(), wrong[..wrong.len().min(5)].join("\n"));
}

#[test]
fn cuda_kernels_run_on_the_host_agree_with_the_reference() {
    let jobs = jobs(&SWITCHES);
    host::write_cuda(&folder(), &jobs);
    let compiler = match host::compiler() {
        Ok(compiler) => compiler,
        Err(why) if std::env::var_os("CI").is_none() => return println!("skipped: no C++ compiler: {why}"),
        Err(why) => panic!("no C++ compiler, which CI must have: {why}"),
    };
    let mut wrong = Vec::new();
    let results = host::run(&compiler, &folder(), &jobs);
    for (job, result) in jobs.iter().zip(&results) {
        if let Some((outputs, states)) = result {
            wrong.extend(job.case.check(outputs, states).err());
        }
    }
    let run = results.iter().flatten().count();
    println!("{run} of {} programs ran", jobs.len());
    assert!(run * 10 > jobs.len() * 8);
    assert!(wrong.is_empty(), "{} programs are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn views_and_powers() {
    check(
        &programs::views(),
        Language::Cuda,
        expect![[r#"
        extern "C" __global__ void __launch_bounds__(32) k0(
            const float* __restrict__ b0,
            float* __restrict__ b1) {
          const int thread = threadIdx.x;
          const int block = blockIdx.x;
          const int item = block * 32 + thread;
          if (item >= 20) {
            return;
          }
          const int g0 = item / 5;
          const int g1 = item % 5;
          {
            const int l0 = floor_div<int>(-2 * g1, 6);
            const int l1 = floor_rem<int>(-2 * g1, 6);
            float e0 = 0.0f;
            if (g1 - 1 >= 0 && g1 - 1 < 3) {
              e0 = b0[g0 + l0 + 4 * l1 + 1];
            }
            float e1 = 0.5f;
            if (g1 - 1 >= 0 && g1 - 1 < 3) {
              e1 = b0[g0 + l0 + 4 * l1 + 1];
            }
            const float e2 = expf(e1);
            b1[5 * g0 + g1] = e2;
          }
        }
    "#]],
    );
    check(
        &programs::views(),
        WGSL,
        expect![[r#"
        @group(0) @binding(0) var<storage, read> b0: array<f32>;
        @group(0) @binding(1) var<storage, read_write> b1: array<f32>;

        @compute @workgroup_size(32)
        fn k0(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
          let thread: i32 = i32(local);
          let block: i32 = i32(group.x);
          let item: i32 = block * 32 + thread;
          if (item >= 20) {
            return;
          }
          let g0: i32 = item / 5;
          let g1: i32 = item % 5;
          {
            let l0: i32 = floor_div(-2 * g1, 6);
            let l1: i32 = floor_rem(-2 * g1, 6);
            var e0: f32 = 0.0f;
            if (g1 - 1 >= 0 && g1 - 1 < 3) {
              e0 = b0[g0 + l0 + 4 * l1 + 1];
            }
            var e1: f32 = 0.5f;
            if (g1 - 1 >= 0 && g1 - 1 < 3) {
              e1 = b0[g0 + l0 + 4 * l1 + 1];
            }
            let e2: f32 = exp(e1);
            b1[5 * g0 + g1] = e2;
          }
        }
    "#]],
    );
}

#[test]
fn a_reduction_in_two_stages() {
    check(
        &programs::bias_gradient(),
        Language::Cuda,
        expect![[r#"
        extern "C" __global__ void __launch_bounds__(256) k0(
            const float* __restrict__ b0,
            float* __restrict__ b3) {
          const int thread = threadIdx.x;
          const int block = blockIdx.x;
          const int item = block * 256 + thread;
          const int g0 = item;
          float c0 = 0.0f;
          {
            for (int r0 = 0; r0 < 16; r0 += 1) {
              const float e0 = b0[g0 + 4096 * r0];
              c0 = c0 + e0;
            }
          }
          {
            const float e0 = c0;
            b3[g0] = e0;
          }
        }

        extern "C" __global__ void __launch_bounds__(256) k1(
            float* __restrict__ b2,
            const float* __restrict__ b3) {
          const int thread = threadIdx.x;
          const int block = blockIdx.x;
          const int lane = thread % 32;
          const int item = block * 8 + thread / 32;
          const int g0 = item;
          float c0 = 0.0f;
          {
            for (int row = lane; row < 512; row += 32) {
              const int r0 = row;
              const float e0 = b3[g0 + 8 * r0];
              c0 = c0 + e0;
            }
          }
          for (int step = 16; step > 0; step /= 2) {
            const float other_c0 = __shfl_xor_sync(0xffffffffu, c0, step);
            c0 = c0 + other_c0;
          }
          {
            const float e0 = c0;
            if (lane == 0) {
              b2[g0] = e0;
            }
          }
        }
    "#]],
    );
}

#[test]
fn softmax_by_warps_and_by_blocks() {
    check(
        &programs::softmax(10, 100),
        Language::Cuda,
        expect![[r#"
        extern "C" __global__ void __launch_bounds__(256) k0(
            const float* __restrict__ b0,
            float* __restrict__ b5) {
          const int thread = threadIdx.x;
          const int block = blockIdx.x;
          const int lane = thread % 32;
          const int place = block * 8 + thread / 32;
          const bool live = place < 10;
          const int item = live ? place : 9;
          const int g0 = item;
          float c0 = __uint_as_float(0xff800000u);
          {
            for (int row = lane; row < 50; row += 32) {
              const int r0_first = row * 2;
              const Floats2 v0 = *reinterpret_cast<const Floats2*>(b0 + (100 * g0 + r0_first));
              #pragma unroll
              for (int part = 0; part < 2; part += 1) {
                const int r0 = r0_first + part;
                const float e0 = v0.at[part];
                c0 = larger(c0, e0);
              }
            }
          }
          for (int step = 16; step > 0; step /= 2) {
            const float other_c0 = __shfl_xor_sync(0xffffffffu, c0, step);
            c0 = larger(c0, other_c0);
          }
          float c1 = 0.0f;
          {
            const float e0 = c0;
            const float e1 = ceilf(e0);
            const bool e2 = is_finite(e1);
            const float e3 = 0.0f;
            const float e4 = e2 ? e1 : e3;
            c1 = e4;
          }
          float c2 = 0.0f;
          {
            for (int row = lane; row < 50; row += 32) {
              const int r0_first = row * 2;
              const Floats2 v0 = *reinterpret_cast<const Floats2*>(b0 + (100 * g0 + r0_first));
              const float e1 = c1;
              #pragma unroll
              for (int part = 0; part < 2; part += 1) {
                const int r0 = r0_first + part;
                const float e0 = v0.at[part];
                const float e2 = e0 - e1;
                const float e3 = expf(e2);
                c2 = c2 + e3;
              }
            }
          }
          for (int step = 16; step > 0; step /= 2) {
            const float other_c2 = __shfl_xor_sync(0xffffffffu, c2, step);
            c2 = c2 + other_c2;
          }
          float c3 = 0.0f;
          {
            const float e0 = c2;
            const float e1 = 0.25f;
            const float e2 = larger(e0, e1);
            c3 = e2;
          }
          {
            for (int row = lane; row < 50; row += 32) {
              const int r0_first = row * 2;
              const Floats2 v0 = *reinterpret_cast<const Floats2*>(b0 + (100 * g0 + r0_first));
              const float e1 = c1;
              const float e4 = c3;
              Floats2 s0 = Floats2{};
              #pragma unroll
              for (int part = 0; part < 2; part += 1) {
                const int r0 = r0_first + part;
                const float e0 = v0.at[part];
                const float e2 = e0 - e1;
                const float e3 = expf(e2);
                const float e5 = e3 / e4;
                s0.at[part] = e5;
              }
              if (live) {
                *reinterpret_cast<Floats2*>(b5 + (100 * g0 + r0_first)) = s0;
              }
            }
          }
        }
    "#]],
    );
    check(
        &programs::softmax(10, 100),
        WGSL,
        expect![[r#"
        @group(0) @binding(0) var<storage, read> b0: array<vec2<f32>>;
        @group(0) @binding(1) var<storage, read_write> b5: array<vec2<f32>>;
        var<workgroup> shared_float0: array<f32, 256>;

        @compute @workgroup_size(256)
        fn k0(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
          let thread: i32 = i32(local);
          let block: i32 = i32(group.x);
          let lane: i32 = thread % 32;
          let place: i32 = block * 8 + thread / 32;
          let live: bool = place < 10;
          let item: i32 = select(9, place, live);
          let g0: i32 = item;
          var c0: f32 = from_bits(0xff800000u);
          {
            for (var row: i32 = lane; row < 50; row += 32) {
              let r0_first: i32 = row * 2;
              let v0: vec2<f32> = b0[(100 * g0 + r0_first) / 2];
              for (var part: i32 = 0; part < 2; part += 1) {
                let r0: i32 = r0_first + part;
                let e0: f32 = v0[part];
                c0 = larger(c0, e0);
              }
            }
          }
          shared_float0[thread] = c0;
          workgroupBarrier();
          for (var step: i32 = 16; step > 0; step /= 2) {
            if (lane < step) {
              let other_c0: f32 = shared_float0[thread + step];
              c0 = larger(c0, other_c0);
              shared_float0[thread] = c0;
            }
            workgroupBarrier();
          }
          c0 = shared_float0[thread - lane];
          workgroupBarrier();
          var c1: f32 = 0.0f;
          {
            let e0: f32 = c0;
            let e1: f32 = ceil(e0);
            let e2: bool = is_finite(e1);
            let e3: f32 = 0.0f;
            let e4: f32 = select(e3, e1, e2);
            c1 = e4;
          }
          var c2: f32 = 0.0f;
          {
            for (var row: i32 = lane; row < 50; row += 32) {
              let r0_first: i32 = row * 2;
              let v0: vec2<f32> = b0[(100 * g0 + r0_first) / 2];
              let e1: f32 = c1;
              for (var part: i32 = 0; part < 2; part += 1) {
                let r0: i32 = r0_first + part;
                let e0: f32 = v0[part];
                let e2: f32 = e0 - e1;
                let e3: f32 = exp(e2);
                c2 = c2 + e3;
              }
            }
          }
          shared_float0[thread] = c2;
          workgroupBarrier();
          for (var step: i32 = 16; step > 0; step /= 2) {
            if (lane < step) {
              let other_c2: f32 = shared_float0[thread + step];
              c2 = c2 + other_c2;
              shared_float0[thread] = c2;
            }
            workgroupBarrier();
          }
          c2 = shared_float0[thread - lane];
          workgroupBarrier();
          var c3: f32 = 0.0f;
          {
            let e0: f32 = c2;
            let e1: f32 = 0.25f;
            let e2: f32 = larger(e0, e1);
            c3 = e2;
          }
          {
            for (var row: i32 = lane; row < 50; row += 32) {
              let r0_first: i32 = row * 2;
              let v0: vec2<f32> = b0[(100 * g0 + r0_first) / 2];
              let e1: f32 = c1;
              let e4: f32 = c3;
              var s0: vec2<f32> = vec2<f32>();
              for (var part: i32 = 0; part < 2; part += 1) {
                let r0: i32 = r0_first + part;
                let e0: f32 = v0[part];
                let e2: f32 = e0 - e1;
                let e3: f32 = exp(e2);
                let e5: f32 = e3 / e4;
                s0[part] = e5;
              }
              if (live) {
                b5[(100 * g0 + r0_first) / 2] = s0;
              }
            }
          }
        }
    "#]],
    );
    check(
        &programs::softmax(4, 8192),
        Language::Cuda,
        expect![[r#"
        extern "C" __global__ void __launch_bounds__(256) k0(
            const float* __restrict__ b0,
            float* __restrict__ b6) {
          const int thread = threadIdx.x;
          const int block = blockIdx.x;
          const int item = block * 256 + thread;
          const int g0 = item / 1024;
          const int g1 = item % 1024;
          float c0 = __uint_as_float(0xff800000u);
          {
            for (int r0 = 0; r0 < 8; r0 += 1) {
              const float e0 = b0[8192 * g0 + g1 + 1024 * r0];
              c0 = larger(c0, e0);
            }
          }
          {
            const float e0 = c0;
            b6[1024 * g0 + g1] = e0;
          }
        }

        extern "C" __global__ void __launch_bounds__(128) k1(
            float* __restrict__ b2,
            const float* __restrict__ b6,
            float* __restrict__ b7) {
          const int thread = threadIdx.x;
          const int block = blockIdx.x;
          const int lane = thread % 32;
          const int item = block * 4 + thread / 32;
          const int g0 = item;
          float c0 = __uint_as_float(0xff800000u);
          {
            for (int row = lane; row < 256; row += 32) {
              const int r0_first = row * 4;
              const Floats4 v0 = *reinterpret_cast<const Floats4*>(b6 + (1024 * g0 + r0_first));
              #pragma unroll
              for (int part = 0; part < 4; part += 1) {
                const int r0 = r0_first + part;
                const float e0 = v0.at[part];
                c0 = larger(c0, e0);
              }
            }
          }
          for (int step = 16; step > 0; step /= 2) {
            const float other_c0 = __shfl_xor_sync(0xffffffffu, c0, step);
            c0 = larger(c0, other_c0);
          }
          float c1 = 0.0f;
          {
            const float e0 = c0;
            const float e1 = ceilf(e0);
            const bool e2 = is_finite(e1);
            const float e3 = 0.0f;
            const float e4 = e2 ? e1 : e3;
            c1 = e4;
            if (lane == 0) {
              b2[g0] = e4;
            }
          }
          {
            const float e0 = c1;
            if (lane == 0) {
              b7[g0] = e0;
            }
          }
        }

        extern "C" __global__ void __launch_bounds__(256) k2(
            const float* __restrict__ b0,
            const float* __restrict__ b7,
            float* __restrict__ b8) {
          const int thread = threadIdx.x;
          const int block = blockIdx.x;
          const int item = block * 256 + thread;
          const int g0 = item / 4;
          const int g1 = item % 4;
          float c2 = 0.0f;
          {
            for (int r0 = 0; r0 < 8; r0 += 1) {
              const float e0 = b0[g0 + 8192 * g1 + 1024 * r0];
              const float e1 = b7[g1];
              const float e2 = e0 - e1;
              const float e3 = expf(e2);
              c2 = c2 + e3;
            }
          }
          {
            const float e0 = c2;
            b8[4 * g0 + g1] = e0;
          }
        }

        extern "C" __global__ void __launch_bounds__(128) k3(
            float* __restrict__ b4,
            const float* __restrict__ b8) {
          const int thread = threadIdx.x;
          const int block = blockIdx.x;
          const int lane = thread % 32;
          const int item = block * 4 + thread / 32;
          const int g0 = item;
          float c2 = 0.0f;
          {
            for (int row = lane; row < 1024; row += 32) {
              const int r0 = row;
              const float e0 = b8[g0 + 4 * r0];
              c2 = c2 + e0;
            }
          }
          for (int step = 16; step > 0; step /= 2) {
            const float other_c2 = __shfl_xor_sync(0xffffffffu, c2, step);
            c2 = c2 + other_c2;
          }
          {
            const float e0 = c2;
            const float e1 = 0.25f;
            const float e2 = larger(e0, e1);
            if (lane == 0) {
              b4[g0] = e2;
            }
          }
        }

        extern "C" __global__ void __launch_bounds__(256) k4(
            const float* __restrict__ b0,
            const float* __restrict__ b2,
            const float* __restrict__ b4,
            float* __restrict__ b5) {
          const int thread = threadIdx.x;
          const int block = blockIdx.x;
          const int item = block * 256 + thread;
          const int g0 = item / 2048;
          const int g1_first = (item % 2048) * 4;
          {
            const Floats4 v0 = *reinterpret_cast<const Floats4*>(b0 + (8192 * g0 + g1_first));
            const float e1 = b2[g0];
            const float e4 = b4[g0];
            Floats4 s0 = Floats4{};
            #pragma unroll
            for (int part = 0; part < 4; part += 1) {
              const int g1 = g1_first + part;
              const float e0 = v0.at[part];
              const float e2 = e0 - e1;
              const float e3 = expf(e2);
              const float e5 = e3 / e4;
              s0.at[part] = e5;
            }
            *reinterpret_cast<Floats4*>(b5 + (8192 * g0 + g1_first)) = s0;
          }
        }
    "#]],
    );
}

#[test]
fn a_loss_with_its_gradient() {
    check(
        &programs::cross_entropy(),
        Language::Cuda,
        expect![[r#"
        extern "C" __global__ void __launch_bounds__(32) k0(
            const float* __restrict__ b0,
            const int* __restrict__ b1,
            float* __restrict__ b6,
            float* __restrict__ b12) {
          const int thread = threadIdx.x;
          const int block = blockIdx.x;
          const int item = block * 32 + thread;
          const int g0 = item;
          float c0 = 0.0f;
          {
            const int e0 = 0;
            const int e1 = b1[g0];
            const bool e2 = e0 <= e1;
            const int e3 = 10;
            const bool e4 = e1 < e3;
            const bool e5 = e2 & e4;
            const float e6 = 0.03125f;
            const float e7 = 0.0f;
            const float e8 = e5 ? e6 : e7;
            const float e9 = -e8;
            c0 = e9;
          }
          float c1 = 0.0f;
          float c2 = __uint_as_float(0xff800000u);
          {
            for (int r0 = 0; r0 < 10; r0 += 1) {
              const int e0 = b1[g0];
              const int e1 = (int)(r0);
              const bool e2 = e0 == e1;
              const float e3 = c0;
              const float e4 = 0.0f;
              const float e5 = e2 ? e3 : e4;
              const float e6 = -e5;
              const float e7 = b0[10 * g0 + r0];
              c1 = c1 + e6;
              c2 = larger(c2, e7);
            }
          }
          float c3 = 0.0f;
          {
            const float e0 = c2;
            const float e1 = ceilf(e0);
            const bool e2 = is_finite(e1);
            const float e3 = 0.0f;
            const float e4 = e2 ? e1 : e3;
            c3 = e4;
          }
          float c4 = 0.0f;
          {
            for (int r0 = 0; r0 < 10; r0 += 1) {
              const float e0 = b0[10 * g0 + r0];
              const float e1 = c3;
              const float e2 = e0 - e1;
              const float e3 = expf(e2);
              c4 = c4 + e3;
            }
          }
          float c5 = 0.0f;
          float c7 = 0.0f;
          {
            const float e0 = c4;
            const float e1 = 0.25f;
            const float e2 = larger(e0, e1);
            const float e3 = logf(e2);
            const bool e4 = e1 < e0;
            const float e5 = c1;
            const float e6 = e5 / e2;
            const bool e7 = e1 <= e0;
            const float e8 = 0.5f;
            const float e9 = e6 * e8;
            const float e10 = 0.0f;
            const float e11 = e7 ? e9 : e10;
            const float e12 = e4 ? e6 : e11;
            c5 = e3;
            c7 = e12;
          }
          float c6 = 0.0f;
          {
            for (int r0 = 0; r0 < 10; r0 += 1) {
              const int e0 = b1[g0];
              const int e1 = (int)(r0);
              const bool e2 = e0 == e1;
              const float e3 = b0[10 * g0 + r0];
              const float e4 = c3;
              const float e5 = e3 - e4;
              const float e6 = c5;
              const float e7 = e5 - e6;
              const float e8 = 0.0f;
              const float e9 = e2 ? e7 : e8;
              const float e10 = c0;
              const float e11 = e2 ? e10 : e8;
              const float e12 = c7;
              const float e13 = expf(e5);
              const float e14 = e12 * e13;
              const float e15 = e11 + e14;
              c6 = c6 + e9;
              b12[10 * g0 + r0] = e15;
            }
          }
          {
            const float e0 = c6;
            b6[g0] = e0;
          }
        }

        extern "C" __global__ void __launch_bounds__(32) k1(
            const int* __restrict__ b1,
            const float* __restrict__ b6,
            float* __restrict__ b11) {
          const int thread = threadIdx.x;
          const int block = blockIdx.x;
          const int lane = thread % 32;
          const int item = block + thread / 32;
          float c0 = 0.0f;
          {
            for (int row = lane; row < 32; row += 32) {
              const int r0 = row;
              const int e0 = 0;
              const int e1 = b1[r0];
              const bool e2 = e0 <= e1;
              const int e3 = 10;
              const bool e4 = e1 < e3;
              const bool e5 = e2 & e4;
              const float e6 = b6[r0];
              const float e7 = -e6;
              const float e8 = __uint_as_float(0x7fc00000u);
              const float e9 = e5 ? e7 : e8;
              c0 = c0 + e9;
            }
          }
          for (int step = 16; step > 0; step /= 2) {
            const float other_c0 = __shfl_xor_sync(0xffffffffu, c0, step);
            c0 = c0 + other_c0;
          }
          {
            const float e0 = c0;
            const float e1 = 32.0f;
            const float e2 = e0 / e1;
            if (lane == 0) {
              b11[0] = e2;
            }
          }
        }
    "#]],
    );
}

#[test]
fn layer_norm_and_its_gradients() {
    check(
        &programs::layer_norm(),
        Language::Cuda,
        expect![[r#"
        extern "C" __global__ void __launch_bounds__(256) k0(
            const float* __restrict__ b0,
            const float* __restrict__ b1,
            const float* __restrict__ b2,
            float* __restrict__ b4,
            float* __restrict__ b6,
            float* __restrict__ b11,
            float* __restrict__ b13) {
          const int thread = threadIdx.x;
          const int block = blockIdx.x;
          const int lane = thread % 32;
          const int item = block * 8 + thread / 32;
          const int g0 = item;
          float c0 = 0.0f;
          {
            for (int row = lane; row < 48; row += 32) {
              const int r0_first = row * 4;
              const Floats4 v0 = *reinterpret_cast<const Floats4*>(b0 + (192 * g0 + r0_first));
              #pragma unroll
              for (int part = 0; part < 4; part += 1) {
                const int r0 = r0_first + part;
                const float e0 = v0.at[part];
                c0 = c0 + e0;
              }
            }
          }
          for (int step = 16; step > 0; step /= 2) {
            const float other_c0 = __shfl_xor_sync(0xffffffffu, c0, step);
            c0 = c0 + other_c0;
          }
          float c1 = 0.0f;
          {
            const float e0 = c0;
            const float e1 = 192.0f;
            const float e2 = e0 / e1;
            c1 = e2;
            if (lane == 0) {
              b4[g0] = e2;
            }
          }
          float c2 = 0.0f;
          float c3 = 0.0f;
          {
            for (int row = lane; row < 48; row += 32) {
              const int r0_first = row * 4;
              const Floats4 v0 = *reinterpret_cast<const Floats4*>(b0 + (192 * g0 + r0_first));
              const float e1 = c1;
              const Floats4 v4 = *reinterpret_cast<const Floats4*>(b2 + (192 * g0 + r0_first));
              const Floats4 v5 = *reinterpret_cast<const Floats4*>(b1 + (r0_first));
              #pragma unroll
              for (int part = 0; part < 4; part += 1) {
                const int r0 = r0_first + part;
                const float e0 = v0.at[part];
                const float e2 = e0 - e1;
                const float e3 = e2 * e2;
                const float e4 = v4.at[part];
                const float e5 = v5.at[part];
                const float e6 = e4 * e5;
                const float e7 = e6 * e2;
                c2 = c2 + e3;
                c3 = c3 + e7;
              }
            }
          }
          for (int step = 16; step > 0; step /= 2) {
            const float other_c2 = __shfl_xor_sync(0xffffffffu, c2, step);
            c2 = c2 + other_c2;
          }
          for (int step = 16; step > 0; step /= 2) {
            const float other_c3 = __shfl_xor_sync(0xffffffffu, c3, step);
            c3 = c3 + other_c3;
          }
          float c4 = 0.0f;
          float c5 = 0.0f;
          {
            const float e0 = c2;
            const float e1 = 192.0f;
            const float e2 = e0 / e1;
            const float e3 = 1e-5f;
            const float e4 = e2 + e3;
            const float e5 = rsqrtf(e4);
            const float e6 = c3;
            const float e7 = e5 * e5;
            const float e8 = e7 * e5;
            const float e9 = -0.5f;
            const float e10 = e8 * e9;
            const float e11 = e6 * e10;
            const float e12 = e11 / e1;
            c4 = e5;
            c5 = e12;
            if (lane == 0) {
              b6[g0] = e5;
            }
          }
          float c6 = 0.0f;
          {
            for (int row = lane; row < 48; row += 32) {
              const int r0_first = row * 4;
              const Floats4 v0 = *reinterpret_cast<const Floats4*>(b2 + (192 * g0 + r0_first));
              const Floats4 v1 = *reinterpret_cast<const Floats4*>(b1 + (r0_first));
              const float e3 = c4;
              const float e5 = c5;
              const Floats4 v6 = *reinterpret_cast<const Floats4*>(b0 + (192 * g0 + r0_first));
              const float e7 = c1;
              Floats4 s0 = Floats4{};
              #pragma unroll
              for (int part = 0; part < 4; part += 1) {
                const int r0 = r0_first + part;
                const float e0 = v0.at[part];
                const float e1 = v1.at[part];
                const float e2 = e0 * e1;
                const float e4 = e2 * e3;
                const float e6 = v6.at[part];
                const float e8 = e6 - e7;
                const float e9 = e5 * e8;
                const float e10 = e4 + e9;
                const float e11 = e10 + e9;
                const float e12 = -e11;
                s0.at[part] = e11;
                c6 = c6 + e12;
              }
              *reinterpret_cast<Floats4*>(b11 + (192 * g0 + r0_first)) = s0;
            }
          }
          for (int step = 16; step > 0; step /= 2) {
            const float other_c6 = __shfl_xor_sync(0xffffffffu, c6, step);
            c6 = c6 + other_c6;
          }
          {
            const float e0 = c6;
            const float e1 = 192.0f;
            const float e2 = e0 / e1;
            if (lane == 0) {
              b13[g0] = e2;
            }
          }
        }

        extern "C" __global__ void __launch_bounds__(256) k1(
            const float* __restrict__ b0,
            const float* __restrict__ b1,
            const float* __restrict__ b2,
            const float* __restrict__ b4,
            const float* __restrict__ b6,
            float* __restrict__ b17) {
          const int thread = threadIdx.x;
          const int block = blockIdx.x;
          const int lane = thread % 32;
          const int item = block * 8 + thread / 32;
          const int g0 = item;
          float c0 = 0.0f;
          {
            for (int row = lane; row < 32; row += 32) {
              const int r0_first = row * 2;
              const Floats2 v1 = *reinterpret_cast<const Floats2*>(b4 + (r0_first));
              const Floats2 v3 = *reinterpret_cast<const Floats2*>(b6 + (r0_first));
              const float e5 = b1[g0];
              #pragma unroll
              for (int part = 0; part < 2; part += 1) {
                const int r0 = r0_first + part;
                const float e0 = b0[g0 + 192 * r0];
                const float e1 = v1.at[part];
                const float e2 = e0 - e1;
                const float e3 = v3.at[part];
                const float e4 = e2 * e3;
                const float e6 = e4 * e5;
                const float e7 = b2[g0 + 192 * r0];
                const float e8 = e6 * e7;
                c0 = c0 + e8;
              }
            }
          }
          for (int step = 16; step > 0; step /= 2) {
            const float other_c0 = __shfl_xor_sync(0xffffffffu, c0, step);
            c0 = c0 + other_c0;
          }
          {
            const float e0 = c0;
            if (lane == 0) {
              b17[g0] = e0;
            }
          }
        }

        extern "C" __global__ void __launch_bounds__(32) k2(
            float* __restrict__ b14,
            const float* __restrict__ b17) {
          const int thread = threadIdx.x;
          const int block = blockIdx.x;
          const int lane = thread % 32;
          const int item = block + thread / 32;
          float c0 = 0.0f;
          {
            for (int row = lane; row < 48; row += 32) {
              const int r0_first = row * 4;
              const Floats4 v0 = *reinterpret_cast<const Floats4*>(b17 + (r0_first));
              #pragma unroll
              for (int part = 0; part < 4; part += 1) {
                const int r0 = r0_first + part;
                const float e0 = v0.at[part];
                c0 = c0 + e0;
              }
            }
          }
          for (int step = 16; step > 0; step /= 2) {
            const float other_c0 = __shfl_xor_sync(0xffffffffu, c0, step);
            c0 = c0 + other_c0;
          }
          {
            const float e0 = c0;
            if (lane == 0) {
              b14[0] = e0;
            }
          }
        }

        extern "C" __global__ void __launch_bounds__(256) k3(
            const float* __restrict__ b11,
            const float* __restrict__ b13,
            float* __restrict__ b15) {
          const int thread = threadIdx.x;
          const int block = blockIdx.x;
          const int item = block * 256 + thread;
          const int g0 = item / 192;
          const int g1 = item % 192;
          {
            const float e0 = b11[192 * g0 + g1];
            const float e1 = b13[g0];
            const float e2 = e0 + e1;
            b15[192 * g0 + g1] = e2;
          }
        }

        extern "C" __global__ void __launch_bounds__(256) k4(
            const float* __restrict__ b0,
            const float* __restrict__ b2,
            const float* __restrict__ b4,
            const float* __restrict__ b6,
            float* __restrict__ b16) {
          const int thread = threadIdx.x;
          const int block = blockIdx.x;
          const int lane = thread % 32;
          const int item = block * 8 + thread / 32;
          const int g0 = item;
          float c0 = 0.0f;
          {
            for (int row = lane; row < 32; row += 32) {
              const int r0_first = row * 2;
              const Floats2 v2 = *reinterpret_cast<const Floats2*>(b4 + (r0_first));
              const Floats2 v4 = *reinterpret_cast<const Floats2*>(b6 + (r0_first));
              #pragma unroll
              for (int part = 0; part < 2; part += 1) {
                const int r0 = r0_first + part;
                const float e0 = b2[g0 + 192 * r0];
                const float e1 = b0[g0 + 192 * r0];
                const float e2 = v2.at[part];
                const float e3 = e1 - e2;
                const float e4 = v4.at[part];
                const float e5 = e3 * e4;
                const float e6 = e0 * e5;
                c0 = c0 + e6;
              }
            }
          }
          for (int step = 16; step > 0; step /= 2) {
            const float other_c0 = __shfl_xor_sync(0xffffffffu, c0, step);
            c0 = c0 + other_c0;
          }
          {
            const float e0 = c0;
            if (lane == 0) {
              b16[g0] = e0;
            }
          }
        }
    "#]],
    );
}

#[test]
fn places_of_extremes() {
    check(
        &programs::arg_max(),
        Language::Cuda,
        expect![[r#"
        extern "C" __global__ void __launch_bounds__(256) k0(
            const float* __restrict__ b0,
            int* __restrict__ b2) {
          const int thread = threadIdx.x;
          const int block = blockIdx.x;
          const int lane = thread % 32;
          const int item = block * 8 + thread / 32;
          const int g0 = item;
          float best0 = 0.0f;
          int c0 = -1;
          {
            for (int row = lane; row < 75; row += 32) {
              const int r0_first = row * 4;
              const Floats4 v0 = *reinterpret_cast<const Floats4*>(b0 + (300 * g0 + r0_first));
              #pragma unroll
              for (int part = 0; part < 4; part += 1) {
                const int r0 = r0_first + part;
                const float e0 = v0.at[part];
                if (c0 < 0 || is_first_largest(e0, best0)) {
                  best0 = e0;
                  c0 = (int)(r0);
                }
              }
            }
          }
          for (int step = 16; step > 0; step /= 2) {
            const float other_best0 = __shfl_xor_sync(0xffffffffu, best0, step);
            const int other_c0 = __shfl_xor_sync(0xffffffffu, c0, step);
            if (other_c0 >= 0 && (c0 < 0 || is_first_largest(other_best0, best0) || (!(is_first_largest(best0, other_best0)) && other_c0 < c0))) {
              best0 = other_best0;
              c0 = other_c0;
            }
          }
          c0 = c0 < 0 ? 0 : c0;
          {
            const int e0 = c0;
            if (lane == 0) {
              b2[g0] = e0;
            }
          }
        }
    "#]],
    );
    check(
        &programs::arg_max(),
        WGSL,
        expect![[r#"
        @group(0) @binding(0) var<storage, read> b0: array<vec4<f32>>;
        @group(0) @binding(1) var<storage, read_write> b2: array<i32>;
        var<workgroup> shared_float0: array<f32, 256>;
        var<workgroup> shared_int1: array<i32, 256>;

        @compute @workgroup_size(256)
        fn k0(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
          let thread: i32 = i32(local);
          let block: i32 = i32(group.x);
          let lane: i32 = thread % 32;
          let item: i32 = block * 8 + thread / 32;
          let g0: i32 = item;
          var best0: f32 = 0.0f;
          var c0: i32 = -1;
          {
            for (var row: i32 = lane; row < 75; row += 32) {
              let r0_first: i32 = row * 4;
              let v0: vec4<f32> = b0[(300 * g0 + r0_first) / 4];
              for (var part: i32 = 0; part < 4; part += 1) {
                let r0: i32 = r0_first + part;
                let e0: f32 = v0[part];
                if (c0 < 0 || is_first_largest(e0, best0)) {
                  best0 = e0;
                  c0 = r0;
                }
              }
            }
          }
          shared_float0[thread] = best0;
          shared_int1[thread] = c0;
          workgroupBarrier();
          for (var step: i32 = 16; step > 0; step /= 2) {
            if (lane < step) {
              let other_best0: f32 = shared_float0[thread + step];
              let other_c0: i32 = shared_int1[thread + step];
              if (other_c0 >= 0 && (c0 < 0 || is_first_largest(other_best0, best0) || (!(is_first_largest(best0, other_best0)) && other_c0 < c0))) {
                best0 = other_best0;
                c0 = other_c0;
              }
              shared_float0[thread] = best0;
              shared_int1[thread] = c0;
            }
            workgroupBarrier();
          }
          best0 = shared_float0[thread - lane];
          c0 = shared_int1[thread - lane];
          workgroupBarrier();
          c0 = select(c0, 0, c0 < 0);
          {
            let e0: i32 = c0;
            if (lane == 0) {
              b2[g0] = e0;
            }
          }
        }
    "#]],
    );
}

#[test]
fn an_optimizer_in_place() {
    check(
        &programs::adam(),
        Language::Cuda,
        expect![[r#"
        extern "C" __global__ void __launch_bounds__(256) k0(
            float* __restrict__ b0,
            float* __restrict__ b1,
            float* __restrict__ b2,
            const float* __restrict__ b3) {
          const int thread = threadIdx.x;
          const int block = blockIdx.x;
          const int item = block * 256 + thread;
          if (item >= 25000) {
            return;
          }
          const int g0_first = item * 4;
          {
            const Floats4 v0 = *reinterpret_cast<const Floats4*>(b0 + (g0_first));
            const Floats4 v1 = *reinterpret_cast<const Floats4*>(b1 + (g0_first));
            const float e2 = 0.9f;
            const Floats4 v4 = *reinterpret_cast<const Floats4*>(b3 + (g0_first));
            const Floats4 v6 = *reinterpret_cast<const Floats4*>(b2 + (g0_first));
            Floats4 s0 = Floats4{};
            Floats4 s1 = Floats4{};
            Floats4 s2 = Floats4{};
            #pragma unroll
            for (int part = 0; part < 4; part += 1) {
              const int g0 = g0_first + part;
              const float e0 = v0.at[part];
              const float e1 = v1.at[part];
              const float e3 = e1 * e2;
              const float e4 = v4.at[part];
              const float e5 = e3 + e4;
              const float e6 = v6.at[part];
              const float e7 = e6 * e6;
              const float e8 = e7 * e2;
              const float e9 = e4 * e4;
              const float e10 = e8 + e9;
              const float e11 = e10 + e2;
              const float e12 = sqrtf(e11);
              const float e13 = e5 / e12;
              const float e14 = e0 - e13;
              s0.at[part] = e14;
              s1.at[part] = e5;
              s2.at[part] = e10;
            }
            *reinterpret_cast<Floats4*>(b0 + (g0_first)) = s0;
            *reinterpret_cast<Floats4*>(b1 + (g0_first)) = s1;
            *reinterpret_cast<Floats4*>(b2 + (g0_first)) = s2;
          }
        }
    "#]],
    );
}

#[test]
fn random_numbers() {
    check(
        &programs::dropout(),
        Language::Cuda,
        expect![[r#"
        extern "C" __global__ void __launch_bounds__(256) k0(
            const float* __restrict__ b0,
            const unsigned* __restrict__ b1,
            const unsigned* __restrict__ b2,
            float* __restrict__ b4,
            unsigned char* __restrict__ b5) {
          const int thread = threadIdx.x;
          const int block = blockIdx.x;
          const int item = block * 256 + thread;
          const int g0_first = item * 4;
          {
            const float e0 = 0.25f;
            const unsigned e1 = b1[0];
            const unsigned e2 = b1[1];
            const unsigned e3 = b2[0];
            const Words v4 = philox((unsigned)((g0_first) / 4), 7u, e3, e1, e2);
            const Floats4 v6 = *reinterpret_cast<const Floats4*>(b0 + (g0_first));
            Floats4 s0 = Floats4{};
            Bytes4 s1 = Bytes4{};
            #pragma unroll
            for (int part = 0; part < 4; part += 1) {
              const int g0 = g0_first + part;
              const float e4 = uniform(v4.at[part]);
              const bool e5 = e0 <= e4;
              const float e6 = v6.at[part];
              const float e7 = e6 - e6;
              const float e8 = e5 ? e6 : e7;
              s0.at[part] = e8;
              s1.at[part] = (unsigned char)e5;
            }
            *reinterpret_cast<Floats4*>(b4 + (g0_first)) = s0;
            *reinterpret_cast<Bytes4*>(b5 + (g0_first)) = s1;
          }
        }
    "#]],
    );
    check(
        &programs::dropout(),
        WGSL,
        expect![[r#"
        @group(0) @binding(0) var<storage, read> b0: array<vec4<f32>>;
        @group(0) @binding(1) var<storage, read> b1: array<u32>;
        @group(0) @binding(2) var<storage, read> b2: array<u32>;
        @group(0) @binding(3) var<storage, read_write> b4: array<vec4<f32>>;
        @group(0) @binding(4) var<storage, read_write> b5: array<u32>;

        @compute @workgroup_size(256)
        fn k0(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
          let thread: i32 = i32(local);
          let block: i32 = i32(group.x);
          let item: i32 = block * 256 + thread;
          let g0_first: i32 = item * 4;
          {
            let e0: f32 = 0.25f;
            let e1: u32 = b1[0];
            let e2: u32 = b1[1];
            let e3: u32 = b2[0];
            let v4: vec4<u32> = philox(u32((g0_first) / 4), 7u, e3, e1, e2);
            let v6: vec4<f32> = b0[(g0_first) / 4];
            var s0: vec4<f32> = vec4<f32>();
            var s1: u32 = u32();
            for (var part: i32 = 0; part < 4; part += 1) {
              let g0: i32 = g0_first + part;
              let e4: f32 = unit(v4[part]);
              let e5: bool = e0 <= e4;
              let e6: f32 = v6[part];
              let e7: f32 = e6 - e6;
              let e8: f32 = select(e7, e6, e5);
              s0[part] = e8;
              s1 |= select(0u, 1u, e5) << (8u * u32(part));
            }
            b4[(g0_first) / 4] = s0;
            b5[(g0_first) / 4] = s1;
          }
        }
    "#]],
    );
}

#[test]
fn narrow_floats_and_bytes() {
    check(
        &programs::bf16(),
        Language::Cuda,
        expect![[r#"
        extern "C" __global__ void __launch_bounds__(256) k0(
            const unsigned short* __restrict__ b0,
            const unsigned short* __restrict__ b1,
            unsigned short* __restrict__ b2) {
          const int thread = threadIdx.x;
          const int block = blockIdx.x;
          const int item = block * 256 + thread;
          const int g0 = item / 64;
          const int g1_first = (item % 64) * 8;
          {
            const Shorts8 v0 = *reinterpret_cast<const Shorts8*>(b0 + (512 * g0 + g1_first));
            const Shorts8 v1 = *reinterpret_cast<const Shorts8*>(b1 + (g1_first));
            const float e3 = 0.0f;
            Shorts8 s0 = Shorts8{};
            #pragma unroll
            for (int part = 0; part < 8; part += 1) {
              const int g1 = g1_first + part;
              const float e0 = bf16_value(v0.at[part]);
              const float e1 = bf16_value(v1.at[part]);
              const float e2 = e0 + e1;
              const bool e4 = e2 <= e3;
              const float e5 = e4 ? e3 : e2;
              s0.at[part] = (unsigned short)bf16_bits(e5);
            }
            *reinterpret_cast<Shorts8*>(b2 + (512 * g0 + g1_first)) = s0;
          }
        }
    "#]],
    );
    check(
        &programs::bf16(),
        WGSL,
        expect![[r#"
        @group(0) @binding(0) var<storage, read> b0: array<vec4<u32>>;
        @group(0) @binding(1) var<storage, read> b1: array<vec4<u32>>;
        @group(0) @binding(2) var<storage, read_write> b2: array<vec4<u32>>;

        @compute @workgroup_size(256)
        fn k0(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
          let thread: i32 = i32(local);
          let block: i32 = i32(group.x);
          let item: i32 = block * 256 + thread;
          let g0: i32 = item / 64;
          let g1_first: i32 = (item % 64) * 8;
          {
            let v0: vec4<u32> = b0[(512 * g0 + g1_first) / 8];
            let v1: vec4<u32> = b1[(g1_first) / 8];
            let e3: f32 = 0.0f;
            var s0: vec4<u32> = vec4<u32>();
            for (var part: i32 = 0; part < 8; part += 1) {
              let g1: i32 = g1_first + part;
              let e0: f32 = bf16_value((v0[part / 2] >> (16u * u32(part % 2))) & 0xffffu);
              let e1: f32 = bf16_value((v1[part / 2] >> (16u * u32(part % 2))) & 0xffffu);
              let e2: f32 = e0 + e1;
              let e4: bool = e2 <= e3;
              let e5: f32 = select(e2, e3, e4);
              s0[part / 2] |= bf16_bits(e5) << (16u * u32(part % 2));
            }
            b2[(512 * g0 + g1_first) / 8] = s0;
          }
        }
    "#]],
    );
    check(
        &programs::bytes(),
        WGSL,
        expect![[r#"
        @group(0) @binding(0) var<storage, read> b0: array<u32>;
        @group(0) @binding(1) var<storage, read_write> b1: array<vec4<f32>>;
        @group(0) @binding(2) var<storage, read_write> b2: array<u32>;

        @compute @workgroup_size(256)
        fn k0(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
          let thread: i32 = i32(local);
          let block: i32 = i32(group.x);
          let item: i32 = block * 256 + thread;
          let g0: i32 = item / 7;
          let g1_first: i32 = (item % 7) * 4;
          {
            let v0: u32 = u32(b0[(28 * g0 + g1_first) / 4]);
            let e2: f32 = 255.0f;
            var s0: vec4<f32> = vec4<f32>();
            var s1: u32 = u32();
            for (var part: i32 = 0; part < 4; part += 1) {
              let g1: i32 = g1_first + part;
              let e0: u32 = (v0 >> (8u * u32(part))) & 0xffu;
              let e1: f32 = f32(e0);
              let e3: f32 = e1 / e2;
              let e4: u32 = (b0[(28 * g0 - g1 + 27) / 4] >> (8u * u32((28 * g0 - g1 + 27) % 4))) & 0xffu;
              let e5: bool = e4 < e0;
              s0[part] = e3;
              s1 |= select(0u, 1u, e5) << (8u * u32(part));
            }
            b1[(28 * g0 + g1_first) / 4] = s0;
            b2[(28 * g0 + g1_first) / 4] = s1;
          }
        }
    "#]],
    );
}

#[test]
fn more_than_31_bits_of_elements() {
    let graph = Graph::parse(
        r#"graph {
  %0: f32[70000,70001] = input "x"
  %1: f32[70000,70001] = flip(%0) {axes=[0]}
  %2: f32[70000,70001] = neg(%1)
  return %2 as "y"
}"#,
    );
    let plan = planned(&graph.unwrap(), "");
    expect![[r#"
        extern "C" __global__ void __launch_bounds__(256) k0(
            const float* __restrict__ b0,
            float* __restrict__ b1) {
          const long long thread = threadIdx.x;
          const long long block = blockIdx.x;
          const long long item = block * 256 + thread;
          if (item >= 4900070000) {
            return;
          }
          const long long g0 = item / 70001;
          const long long g1 = item % 70001;
          {
            const float e0 = b0[-70001 * g0 + g1 + 4899999999];
            const float e1 = -e0;
            b1[70001 * g0 + g1] = e1;
          }
        }
    "#]]
    .assert_eq(&sources(&plan, Language::Cuda)[0].kernel);
    let error = print(&plan, 0..1, WGSL).unwrap_err();
    expect![
        "kernel k0: counts elements beyond 2^31, which WGSL has no integers for; make the batch or the tensors smaller"
    ]
    .assert_eq(&error.to_string());
}

#[test]
fn what_a_language_cannot_hold_is_refused() {
    let graph = r#"graph {
  %0: f64[4] = input "x"
  %1: f64[4] = neg(%0)
  return %1 as "y"
}"#;
    let plan = planned(&Graph::parse(graph).unwrap(), "");
    expect!["kernel k0: computes in f64, which CUDA kernels do not; use f32, or the reference device"]
        .assert_eq(&print(&plan, 0..1, Language::Cuda).unwrap_err().to_string());
    let plan = planned(&programs::layer_norm().graph, "-islands");
    let error = print(&plan, 0..1, Language::Wgsl { bindings: 3 }).unwrap_err();
    expect!["kernel k0: binds 4 buffers, but the device takes 3; raise its limit, or switch fusion off (ONESTEP_PASSES=-fuse)"].assert_eq(&error.to_string());
}

#[test]
fn buffers_that_share_memory() {
    let graph = Graph::parse(
        r#"graph {
  %0: f32[10] = input "x"
  %1: f32[10] = exp(%0)
  %2: f32[10] = sqrt(%1)
  %3: f32[10] = log(%2)
  return %3 as "y"
}"#,
    );
    let mut plan = planned(&graph.unwrap(), "-fuse,-islands");
    // As a memory plan may have it that computes in place.
    plan.buffers
        .iter_mut()
        .filter(|b| matches!(b.place, Place::Arena(_)))
        .for_each(|b| b.place = Place::Arena(Some(256)));
    expect![[r#"
        extern "C" __global__ void __launch_bounds__(32) k1(
            const float* b1,
            float* b2) {
          const int thread = threadIdx.x;
          const int block = blockIdx.x;
          const int item = block * 32 + thread;
          if (item >= 10) {
            return;
          }
          const int g0 = item;
          {
            const float e0 = b1[g0];
            const float e1 = sqrtf(e0);
            b2[g0] = e1;
          }
        }
    "#]]
    .assert_eq(&sources(&plan, Language::Cuda)[1].kernel);
    let wgsl = &sources(&plan, WGSL)[1];
    expect![[r#"
        @group(0) @binding(0) var<storage, read_write> arena: array<u32>;

        @compute @workgroup_size(32)
        fn k1(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
          let thread: i32 = i32(local);
          let block: i32 = i32(group.x);
          let item: i32 = block * 32 + thread;
          if (item >= 10) {
            return;
          }
          let g0: i32 = item;
          {
            let e0: f32 = bitcast<f32>(arena[g0 + 64]);
            let e1: f32 = sqrt(e0);
            arena[g0 + 64] = bitcast<u32>(e1);
          }
        }
    "#]]
    .assert_eq(&wgsl.kernel);
    assert_eq!(wgsl.bindings, [Binding { bound: Bound::Arena, access: Access::ReadWrite }]);
    assert_eq!(wgsl::fault(&wgsl.text()), None);
}

#[test]
fn an_island_of_a_loss_and_its_mean() {
    check_with(
        &programs::cross_entropy(),
        "",
        Language::Cuda,
        expect![[r#"
        extern "C" __global__ void __launch_bounds__(256) k0_to_k1(
            const float* __restrict__ b0,
            const int* __restrict__ b1,
            float* __restrict__ b6,
            float* __restrict__ b11,
            float* __restrict__ b12) {
          const int thread = threadIdx.x;
          // k0
          {
            for (int item = thread; item < 32; item += 256) {
              const int g0 = item;
              float c0 = 0.0f;
              {
                const int e0 = 0;
                const int e1 = b1[g0];
                const bool e2 = e0 <= e1;
                const int e3 = 10;
                const bool e4 = e1 < e3;
                const bool e5 = e2 & e4;
                const float e6 = 0.03125f;
                const float e7 = 0.0f;
                const float e8 = e5 ? e6 : e7;
                const float e9 = -e8;
                c0 = e9;
              }
              float c1 = 0.0f;
              float c2 = __uint_as_float(0xff800000u);
              {
                for (int r0 = 0; r0 < 10; r0 += 1) {
                  const int e0 = b1[g0];
                  const int e1 = (int)(r0);
                  const bool e2 = e0 == e1;
                  const float e3 = c0;
                  const float e4 = 0.0f;
                  const float e5 = e2 ? e3 : e4;
                  const float e6 = -e5;
                  const float e7 = b0[10 * g0 + r0];
                  c1 = c1 + e6;
                  c2 = larger(c2, e7);
                }
              }
              float c3 = 0.0f;
              {
                const float e0 = c2;
                const float e1 = ceilf(e0);
                const bool e2 = is_finite(e1);
                const float e3 = 0.0f;
                const float e4 = e2 ? e1 : e3;
                c3 = e4;
              }
              float c4 = 0.0f;
              {
                for (int r0 = 0; r0 < 10; r0 += 1) {
                  const float e0 = b0[10 * g0 + r0];
                  const float e1 = c3;
                  const float e2 = e0 - e1;
                  const float e3 = expf(e2);
                  c4 = c4 + e3;
                }
              }
              float c5 = 0.0f;
              float c7 = 0.0f;
              {
                const float e0 = c4;
                const float e1 = 0.25f;
                const float e2 = larger(e0, e1);
                const float e3 = logf(e2);
                const bool e4 = e1 < e0;
                const float e5 = c1;
                const float e6 = e5 / e2;
                const bool e7 = e1 <= e0;
                const float e8 = 0.5f;
                const float e9 = e6 * e8;
                const float e10 = 0.0f;
                const float e11 = e7 ? e9 : e10;
                const float e12 = e4 ? e6 : e11;
                c5 = e3;
                c7 = e12;
              }
              float c6 = 0.0f;
              {
                for (int r0 = 0; r0 < 10; r0 += 1) {
                  const int e0 = b1[g0];
                  const int e1 = (int)(r0);
                  const bool e2 = e0 == e1;
                  const float e3 = b0[10 * g0 + r0];
                  const float e4 = c3;
                  const float e5 = e3 - e4;
                  const float e6 = c5;
                  const float e7 = e5 - e6;
                  const float e8 = 0.0f;
                  const float e9 = e2 ? e7 : e8;
                  const float e10 = c0;
                  const float e11 = e2 ? e10 : e8;
                  const float e12 = c7;
                  const float e13 = expf(e5);
                  const float e14 = e12 * e13;
                  const float e15 = e11 + e14;
                  c6 = c6 + e9;
                  b12[10 * g0 + r0] = e15;
                }
              }
              {
                const float e0 = c6;
                b6[g0] = e0;
              }
            }
          }
          __syncthreads();
          // k1
          {
            const int lane = thread % 32;
            for (int first = 0; first < 1; first += 8) {
              const int place = first + thread / 32;
              const bool live = place < 1;
              const int item = live ? place : 0;
              float c0 = 0.0f;
              {
                for (int row = lane; row < 32; row += 32) {
                  const int r0 = row;
                  const int e0 = 0;
                  const int e1 = b1[r0];
                  const bool e2 = e0 <= e1;
                  const int e3 = 10;
                  const bool e4 = e1 < e3;
                  const bool e5 = e2 & e4;
                  const float e6 = b6[r0];
                  const float e7 = -e6;
                  const float e8 = __uint_as_float(0x7fc00000u);
                  const float e9 = e5 ? e7 : e8;
                  c0 = c0 + e9;
                }
              }
              for (int step = 16; step > 0; step /= 2) {
                const float other_c0 = __shfl_xor_sync(0xffffffffu, c0, step);
                c0 = c0 + other_c0;
              }
              {
                const float e0 = c0;
                const float e1 = 32.0f;
                const float e2 = e0 / e1;
                if (lane == 0 && live) {
                  b11[0] = e2;
                }
              }
            }
          }
        }
    "#]],
    );
    check_with(
        &programs::cross_entropy(),
        "",
        WGSL,
        expect![[r#"
        @group(0) @binding(0) var<storage, read> b0: array<f32>;
        @group(0) @binding(1) var<storage, read> b1: array<i32>;
        @group(0) @binding(2) var<storage, read_write> b6: array<f32>;
        @group(0) @binding(3) var<storage, read_write> b11: array<f32>;
        @group(0) @binding(4) var<storage, read_write> b12: array<f32>;
        var<workgroup> shared_float0: array<f32, 256>;

        @compute @workgroup_size(256)
        fn k0_to_k1(@builtin(local_invocation_index) local: u32) {
          let thread: i32 = i32(local);
          // k0
          {
            for (var item: i32 = thread; item < 32; item += 256) {
              let g0: i32 = item;
              var c0: f32 = 0.0f;
              {
                let e0: i32 = 0;
                let e1: i32 = b1[g0];
                let e2: bool = e0 <= e1;
                let e3: i32 = 10;
                let e4: bool = e1 < e3;
                let e5: bool = e2 & e4;
                let e6: f32 = 0.03125f;
                let e7: f32 = 0.0f;
                let e8: f32 = select(e7, e6, e5);
                let e9: f32 = -e8;
                c0 = e9;
              }
              var c1: f32 = 0.0f;
              var c2: f32 = from_bits(0xff800000u);
              {
                for (var r0: i32 = 0; r0 < 10; r0 += 1) {
                  let e0: i32 = b1[g0];
                  let e1: i32 = r0;
                  let e2: bool = e0 == e1;
                  let e3: f32 = c0;
                  let e4: f32 = 0.0f;
                  let e5: f32 = select(e4, e3, e2);
                  let e6: f32 = -e5;
                  let e7: f32 = b0[10 * g0 + r0];
                  c1 = c1 + e6;
                  c2 = larger(c2, e7);
                }
              }
              var c3: f32 = 0.0f;
              {
                let e0: f32 = c2;
                let e1: f32 = ceil(e0);
                let e2: bool = is_finite(e1);
                let e3: f32 = 0.0f;
                let e4: f32 = select(e3, e1, e2);
                c3 = e4;
              }
              var c4: f32 = 0.0f;
              {
                for (var r0: i32 = 0; r0 < 10; r0 += 1) {
                  let e0: f32 = b0[10 * g0 + r0];
                  let e1: f32 = c3;
                  let e2: f32 = e0 - e1;
                  let e3: f32 = exp(e2);
                  c4 = c4 + e3;
                }
              }
              var c5: f32 = 0.0f;
              var c7: f32 = 0.0f;
              {
                let e0: f32 = c4;
                let e1: f32 = 0.25f;
                let e2: f32 = larger(e0, e1);
                let e3: f32 = log(e2);
                let e4: bool = e1 < e0;
                let e5: f32 = c1;
                let e6: f32 = e5 / e2;
                let e7: bool = e1 <= e0;
                let e8: f32 = 0.5f;
                let e9: f32 = e6 * e8;
                let e10: f32 = 0.0f;
                let e11: f32 = select(e10, e9, e7);
                let e12: f32 = select(e11, e6, e4);
                c5 = e3;
                c7 = e12;
              }
              var c6: f32 = 0.0f;
              {
                for (var r0: i32 = 0; r0 < 10; r0 += 1) {
                  let e0: i32 = b1[g0];
                  let e1: i32 = r0;
                  let e2: bool = e0 == e1;
                  let e3: f32 = b0[10 * g0 + r0];
                  let e4: f32 = c3;
                  let e5: f32 = e3 - e4;
                  let e6: f32 = c5;
                  let e7: f32 = e5 - e6;
                  let e8: f32 = 0.0f;
                  let e9: f32 = select(e8, e7, e2);
                  let e10: f32 = c0;
                  let e11: f32 = select(e8, e10, e2);
                  let e12: f32 = c7;
                  let e13: f32 = exp(e5);
                  let e14: f32 = e12 * e13;
                  let e15: f32 = e11 + e14;
                  c6 = c6 + e9;
                  b12[10 * g0 + r0] = e15;
                }
              }
              {
                let e0: f32 = c6;
                b6[g0] = e0;
              }
            }
          }
          storageBarrier();
          // k1
          {
            let lane: i32 = thread % 32;
            for (var first: i32 = 0; first < 1; first += 8) {
              let place: i32 = first + thread / 32;
              let live: bool = place < 1;
              let item: i32 = select(0, place, live);
              var c0: f32 = 0.0f;
              {
                for (var row: i32 = lane; row < 32; row += 32) {
                  let r0: i32 = row;
                  let e0: i32 = 0;
                  let e1: i32 = b1[r0];
                  let e2: bool = e0 <= e1;
                  let e3: i32 = 10;
                  let e4: bool = e1 < e3;
                  let e5: bool = e2 & e4;
                  let e6: f32 = b6[r0];
                  let e7: f32 = -e6;
                  let e8: f32 = from_bits(0x7fc00000u);
                  let e9: f32 = select(e8, e7, e5);
                  c0 = c0 + e9;
                }
              }
              shared_float0[thread] = c0;
              workgroupBarrier();
              for (var step: i32 = 16; step > 0; step /= 2) {
                if (lane < step) {
                  let other_c0: f32 = shared_float0[thread + step];
                  c0 = c0 + other_c0;
                  shared_float0[thread] = c0;
                }
                workgroupBarrier();
              }
              c0 = shared_float0[thread - lane];
              workgroupBarrier();
              {
                let e0: f32 = c0;
                let e1: f32 = 32.0f;
                let e2: f32 = e0 / e1;
                if (lane == 0 && live) {
                  b11[0] = e2;
                }
              }
            }
          }
        }
    "#]],
    );
}

#[test]
fn indices_known_on_the_device() {
    check(
        &programs::gather(),
        Language::Cuda,
        expect![[r#"
        extern "C" __global__ void __launch_bounds__(128) k0(
            const float* __restrict__ b0,
            const int* __restrict__ b1,
            float* __restrict__ b2) {
          const int thread = threadIdx.x;
          const int block = blockIdx.x;
          const int item = block * 128 + thread;
          if (item >= 80) {
            return;
          }
          const int g0 = item / 16;
          const int g1 = item % 16;
          {
            const int e0 = b1[g0];
            const int l0 = (int)e0;
            float e1 = 0.0f;
            if (l0 >= 0 && l0 < 9) {
              e1 = b0[g1 + 16 * l0];
            }
            b2[16 * g0 + g1] = e1;
          }
        }
    "#]],
    );
}
