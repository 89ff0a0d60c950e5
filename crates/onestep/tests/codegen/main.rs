//! Source text for GPUs: what kernels look like, that their languages accept them, and that the CUDA C++ ones,
//! run on the host, compute what the reference does.

mod host;
mod programs;
mod wgsl;

use std::path::PathBuf;

use expect_test::{ExpectFile, expect, expect_file};
use host::Job;
use onestep::codegen::{Access, Binding, Bound, Language, Tile, Tiling, launches, print, print_tiled};
use onestep::ir::Graph;
use onestep::plan::{Place, Plan};
use onestep::testing::{OpCase, op_cases};
use programs::{planned, planned_in_tf32};
use wgsl::{BY_SUBGROUPS, WGSL, WINDOWS, sources};

/// With islands, and without them.
const SWITCHES: [&str; 2] = ["", "-islands"];

fn check(case: &OpCase, language: Language, expected: ExpectFile) {
    check_with(case, "-islands", language, expected);
}

fn check_with(case: &OpCase, passes: &str, language: Language, expected: ExpectFile) {
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
    jobs.extend(programs::exact_in_tf32().into_iter().map(|case| Job { plan: planned_in_tf32(&case.graph), case }));
    jobs
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("codegen")
}

#[test]
fn naga_accepts_all_wgsl() {
    let (mut wrong, mut count, mut joined, mut folding, mut several) = (Vec::new(), 0, 0, 0, 0);
    for job in jobs(&[SWITCHES.as_slice(), &["-fuse,-islands"]].concat()) {
        let tight = wgsl::tight(&job.plan);
        joined += tight.len();
        let mut windows = sources(&job.plan, WINDOWS);
        windows.retain(|source| source.bindings.iter().any(|b| b.window.is_some()));
        several += windows.len();
        let by_subgroups = sources(&job.plan, BY_SUBGROUPS).into_iter().filter(|s| s.kernel.contains("subgroup"));
        for source in sources(&job.plan, WGSL).into_iter().chain(tight).chain(windows).chain(by_subgroups) {
            let text = source.text();
            count += 1;
            folding += usize::from(text.contains("subgroup"));
            if let Some(fault) = wgsl::fault(&text) {
                wrong.push(format!("{} {}\n{fault}\n{text}", job.case.name, source.entry));
            }
        }
    }
    println!(
        "{count} kernels, {joined} of them with the arena as one, {several} with buffers bound as several, {folding} that \
         fold by subgroups"
    );
    assert!(count > 3000 && joined > 100 && several > 100 && folding > 100);
    assert!(wrong.is_empty(), "{} kernels are wrong:\n{}", wrong.len(), wrong[..wrong.len().min(5)].join("\n"));
}

#[test]
fn naga_accepts_all_tiles_in_wgsl() {
    let (mut wrong, mut count) = (Vec::new(), 0);
    for case in programs::all().into_iter().chain(op_cases()) {
        for source in wgsl::tiles(&programs::planned_for_threads(&case.graph)) {
            let text = source.text();
            count += 1;
            if let Some(fault) = wgsl::fault(&text) {
                wrong.push(format!("{} {}\n{fault}\n{text}", case.name, source.entry));
            }
        }
    }
    println!("{count} kernels");
    assert!(count > 200);
    assert!(wrong.is_empty(), "{} kernels are wrong:\n{}", wrong.len(), wrong[..wrong.len().min(5)].join("\n"));
}

#[test]
fn tiles_in_wgsl() {
    let plan = programs::planned_for_threads;
    let check = |plan: &Plan, expected| check_tiles_in(plan, WGSL, host::GPU, expected);
    check(&plan(&programs::product(48).graph), expect_file!["expected/product.wgsl"]);
    check(&plan(&programs::product(4096).graph), expect_file!["expected/long_product.wgsl"]);
    check(&plan(&programs::convolution().graph), expect_file!["expected/convolution.wgsl"]);
    check(&plan(&programs::bf16_product().graph), expect_file!["expected/bf16_product.wgsl"]);
}

#[test]
fn measured_tiles_in_wgsl() {
    // The first of each kind.
    let texts = |case: &OpCase, cooperative| {
        let plan = programs::planned_for_threads(&case.graph);
        let printed = Tile::all().map(|tile| {
            let tiling = Tiling { cooperative, tile: Some(tile), ..host::GPU };
            print_tiled(&plan, 0..1, tiling, WGSL).unwrap()[0].kernel.clone()
        });
        printed.collect::<Vec<_>>()
    };
    expect_file!["expected/product_8x8.wgsl"].assert_eq(&texts(&programs::product(48), false)[0]);
    let layer = texts(&programs::f16_layer(), true);
    let cooperative: Vec<&String> = layer.iter().filter(|text| text.contains("coopMultiplyAdd")).collect();
    expect_file!["expected/f16_layer_cooperative.wgsl"].assert_eq(cooperative[0]);
    // Where the device has none, and where operands are not of f16, threads multiply.
    let others = [texts(&programs::f16_layer(), false), texts(&programs::bf16_product(), true)].concat();
    assert!(!others.iter().any(|text| text.contains("coop")) && cooperative.len() > 1);
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
    for (job, (outputs, states)) in jobs.iter().zip(&results) {
        wrong.extend(job.case.check(outputs, states).err());
    }
    println!("{} programs ran", jobs.len());
    assert!(wrong.is_empty(), "{} programs are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn views_and_powers() {
    check(&programs::views(), Language::Cuda, expect_file!["expected/views.cu"]);
    check(&programs::views(), WGSL, expect_file!["expected/views.wgsl"]);
}

#[test]
fn a_reduction_in_two_stages() {
    check(&programs::bias_gradient(), Language::Cuda, expect_file!["expected/bias_gradient.cu"]);
}

#[test]
fn sums_of_several_columns_by_each_thread() {
    check(&programs::columns(), Language::Cuda, expect_file!["expected/columns.cu"]);
    check(&programs::columns(), WGSL, expect_file!["expected/columns.wgsl"]);
    check(&programs::stored_columns(), Language::Cuda, expect_file!["expected/stored_columns.cu"]);
}

#[test]
fn softmax_by_warps_and_over_long_rows() {
    check(&programs::softmax(10, 100), Language::Cuda, expect_file!["expected/softmax.cu"]);
    check(&programs::softmax(10, 100), WGSL, expect_file!["expected/softmax.wgsl"]);
    check(&programs::softmax(4, 8192), Language::Cuda, expect_file!["expected/long_softmax.cu"]);
    check(&programs::softmax(600, 2048), Language::Cuda, expect_file!["expected/block_softmax.cu"]);
}

#[test]
fn a_loss_with_its_gradient() {
    check(&programs::cross_entropy(), Language::Cuda, expect_file!["expected/cross_entropy.cu"]);
}

#[test]
fn layer_norm_and_its_gradients() {
    check(&programs::layer_norm(), Language::Cuda, expect_file!["expected/layer_norm.cu"]);
}

#[test]
fn places_of_extremes() {
    check(&programs::arg_max(), Language::Cuda, expect_file!["expected/arg_max.cu"]);
    check(&programs::arg_max(), WGSL, expect_file!["expected/arg_max.wgsl"]);
}

#[test]
fn an_optimizer_in_place() {
    check(&programs::adam(), Language::Cuda, expect_file!["expected/adam.cu"]);
}

#[test]
fn random_numbers() {
    check(&programs::dropout(), Language::Cuda, expect_file!["expected/dropout.cu"]);
    check(&programs::dropout(), WGSL, expect_file!["expected/dropout.wgsl"]);
}

#[test]
fn narrow_floats_and_bytes() {
    check(&programs::bf16(), Language::Cuda, expect_file!["expected/bf16.cu"]);
    check(&programs::bf16(), WGSL, expect_file!["expected/bf16.wgsl"]);
    check(&programs::bytes(), WGSL, expect_file!["expected/bytes.wgsl"]);
}

#[test]
fn indices_known_on_the_device() {
    check(&programs::gather(), Language::Cuda, expect_file!["expected/gather.cu"]);
}

#[test]
fn an_island_of_a_loss_and_its_mean() {
    check_with(&programs::cross_entropy(), "", Language::Cuda, expect_file!["expected/island.cu"]);
    check_with(&programs::cross_entropy(), "", WGSL, expect_file!["expected/island.wgsl"]);
}

#[test]
fn a_scattered_sum_looks_for_its_steps() {
    let plan = planned(&programs::scatter().graph, "");
    let expected = [expect_file!["expected/scatter.cu"], expect_file!["expected/scatter.wgsl"]];
    for (language, expected) in [Language::Cuda, WGSL].into_iter().zip(expected) {
        check_tiles_with("found", &plan, language, host::GPU, expected);
    }
}

/// The contractions of a program by tiles.
fn check_tiles(case: &OpCase, expected: ExpectFile) {
    check_tiles_of(&planned(&case.graph, ""), expected);
}

fn check_tiles_of(plan: &Plan, expected: ExpectFile) {
    check_tiles_in(plan, Language::Cuda, host::GPU, expected);
}

fn check_tiles_in(plan: &Plan, language: Language, tiling: Tiling, expected: ExpectFile) {
    check_tiles_with("staged", plan, language, tiling, expected);
}

/// The kernels whose text has a word.
fn check_tiles_with(word: &str, plan: &Plan, language: Language, tiling: Tiling, expected: ExpectFile) {
    let printed = launches(plan).into_iter().map(|k| print_tiled(plan, k, tiling, language).unwrap());
    let kernels: Vec<String> = printed.flatten().map(|s| s.kernel).filter(|k| k.contains(word)).collect();
    assert!(!kernels.is_empty());
    expected.assert_eq(&kernels.join("\n"));
}

#[test]
fn products_by_tiles() {
    check_tiles(&programs::product(48), expect_file!["expected/product.cu"]);
    check_tiles(&programs::product(4096), expect_file!["expected/long_product.cu"]);
}

#[test]
fn a_convolution_by_tiles_with_its_gradients() {
    check_tiles(&programs::convolution(), expect_file!["expected/convolution.cu"]);
}

#[test]
fn a_convolution_of_few_channels_loads_runs_of_them() {
    check_tiles(&programs::weighted_convolution(3, 5), expect_file!["expected/few_channels.cu"]);
}

#[test]
fn products_by_matrix_units() {
    let case = programs::product(4096);
    check_tiles_of(&planned_in_tf32(&case.graph), expect_file!["expected/tf32_product.cu"]);
    check_tiles(&programs::bf16_product(), expect_file!["expected/bf16_product.cu"]);
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
            const float* b0,
            float* b1) {
          take_turn();
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
    let error = print(&plan, 0..1, wgsl::wgsl(3)).unwrap_err();
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
    let mut plan = planned(&graph.unwrap(), "-fuse,-islands,-memory");
    // As a memory plan may have it that computes in place.
    plan.buffers
        .iter_mut()
        .filter(|b| matches!(b.place, Place::Arena(_)))
        .for_each(|b| b.place = Place::Arena(Some(256)));
    expect![[r#"
        extern "C" __global__ void __launch_bounds__(32) k1(
            const float* b1,
            float* b2) {
          take_turn();
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
        fn k1(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) local: u32) {
          let thread: i32 = i32(local);
          let block: i32 = i32(group_id.x);
          let item: i32 = block * 32 + thread;
          if (item >= 10) {
            return;
          }
          let g0: i32 = item;
          {
            let e0: f32 = bitcast<f32>(arena[g0]);
            let e1: f32 = sqrt(e0);
            arena[g0] = bitcast<u32>(e1);
          }
        }
    "#]]
    .assert_eq(&wgsl.kernel);
    let bound = Bound::Arena { start: 256, end: 256 + 40 };
    assert_eq!(wgsl.bindings, [Binding::whole(bound, Access::ReadWrite)]);
    assert_eq!(wgsl::fault(&wgsl.text()), None);
}

/// What is larger than a binding is bound as several, and reached through functions.
#[test]
fn buffers_beyond_a_binding() {
    let graph = "graph {\n  %0: f32[300] = input \"x\"\n  %1: f32[300] = sqrt(%0)\n  return %1 as \"y\"\n}";
    let plan = planned(&Graph::parse(graph).unwrap(), "-workers");
    let wgsl = &sources(&plan, WINDOWS)[0];
    expect![[r#"
        @group(0) @binding(0) var<storage, read> b0_0: array<f32>;
        @group(0) @binding(1) var<storage, read> b0_1: array<f32>;
        @group(0) @binding(2) var<storage, read_write> b1_0: array<f32>;
        @group(0) @binding(3) var<storage, read_write> b1_1: array<f32>;
        fn b0_at(i: u32) -> f32 {
          if (i < 256u) { return b0_0[i]; }
          return b0_1[i - 256u];
        }
        fn b1_at(i: u32) -> f32 {
          if (i < 256u) { return b1_0[i]; }
          return b1_1[i - 256u];
        }
        fn b1_set(i: u32, value: f32) {
          if (i < 256u) { b1_0[i] = value; return; }
          b1_1[i - 256u] = value; return;
        }

        @compute @workgroup_size(1)
        fn k0(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) local: u32) {
          let thread: i32 = i32(local);
          let block: i32 = i32(group_id.x);
          let item: i32 = block + thread;
          let g0: i32 = item;
          {
            let e0: f32 = b0_at(u32(g0));
            let e1: f32 = sqrt(e0);
            b1_set(u32(g0), e1);
          }
        }
    "#]]
    .assert_eq(&wgsl.kernel);
    let windows: Vec<_> = wgsl.bindings.iter().map(|binding| binding.window).collect();
    assert_eq!(windows, [Some((0, 1024)), Some((1024, 1200)), Some((0, 1024)), Some((1024, 1200))]);
    assert_eq!(wgsl::fault(&wgsl.text()), None);
}

/// Within a subgroup by shuffles; subgroups through shared memory, in order.
#[test]
fn folds_by_subgroups() {
    let graph = "graph {\n  %0: f32[4,96] = input \"x\"\n  %1: f32[4] = sum(%0) {axes=[1]}\n  return %1 as \"y\"\n}";
    let plan = planned(&Graph::parse(graph).unwrap(), "");
    let wgsl = &sources(&plan, BY_SUBGROUPS)[0];
    expect![[r#"
        @group(0) @binding(0) var<storage, read> b0: array<vec2<f32>>;
        @group(0) @binding(1) var<storage, read_write> b2: array<f32>;
        var<workgroup> shared_float0: array<f32, 16>;

        @compute @workgroup_size(128)
        fn k0(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(subgroup_id) subgroup: u32, @builtin(subgroup_invocation_id) within: u32) {
          let thread: i32 = i32(subgroup * 8u + within);
          let block: i32 = i32(group_id.x);
          let lane: i32 = thread % 32;
          let item: i32 = block * 4 + thread / 32;
          let g0: i32 = item;
          var c0: f32 = 0.0f;
          {
            for (var row: i32 = lane; row < 48; row += 32) {
              let r0_first: i32 = row * 2;
              let v0: vec2<f32> = b0[u32(96 * g0 + r0_first) / 2u];
              {
                const part: i32 = 0;
                let r0: i32 = r0_first + part;
                let e0: f32 = v0[part];
                c0 = c0 + e0;
              }
              {
                const part: i32 = 1;
                let r0: i32 = r0_first + part;
                let e0: f32 = v0[part];
                c0 = c0 + e0;
              }
            }
          }
          for (var step: u32 = 4u; step > 0u; step /= 2u) {
            let other_c0: f32 = subgroupShuffleXor(c0, step);
            c0 = c0 + other_c0;
          }
          if (lane % 8 == 0) {
            shared_float0[thread / 8] = c0;
          }
          workgroupBarrier();
          c0 = shared_float0[(thread - lane) / 8];
          for (var next: i32 = 1; next < 4; next += 1) {
            let other_c0: f32 = shared_float0[(thread - lane) / 8 + next];
            c0 = c0 + other_c0;
          }
          workgroupBarrier();
          {
            let e0: f32 = c0;
            if (lane == 0) {
              b2[g0] = e0;
            }
          }
        }
    "#]].assert_eq(&wgsl.kernel);
    assert_eq!(wgsl::fault(&wgsl.text()), None);
    // A workgroup that is no whole number of subgroups folds as one without.
    let alone = wgsl::folding_by(2 * wgsl.threads);
    assert_eq!(sources(&plan, alone)[0], sources(&plan, WGSL)[0]);
}

/// WebGPU has 65,535 groups on an axis: more take two, and those too many there do nothing.
#[test]
fn more_groups_than_an_axis_holds() {
    let graph = Graph::parse(
        "graph {\n  %0: f32[16777472,3] = input \"x\"\n  %1: f32[16777472,3] = exp(%0)\n  return %1 as \"y\"\n}",
    );
    let plan = planned(&graph.unwrap(), "-workers");
    let wgsl = &sources(&plan, wgsl::wgsl(8))[0];
    let blocks = plan.buffers.iter().map(|b| b.len).max().unwrap().div_ceil(wgsl.threads);
    assert!(wgsl.groups[0] <= 65_535 && wgsl.groups[1] > 1, "{:?}", wgsl.groups);
    let excess = wgsl.groups.iter().product::<usize>() - blocks;
    assert_eq!(excess > 0, wgsl.kernel.contains(&format!("if (block >= {blocks}) {{")), "{}", wgsl.kernel);
    assert!(excess > 0, "{:?} are just enough", wgsl.groups);
    assert_eq!(wgsl::fault(&wgsl.text()), None);
}
