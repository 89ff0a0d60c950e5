//! Plans for devices of many threads: workers, islands, tiles.

use expect_test::expect;
use onestep::plan::Target;
use onestep::testing::{MOMENTUM_OF_A_LAYER, gpu};

use super::check_on;

/// Sums of rows of an input: what the workers of a GPU are depends on their shape.
fn row_sums(rows: usize, columns: usize) -> String {
    format!(
        r#"graph {{
  %0: f32[{rows},{columns}] = input "x"
  %1: f32[{rows}] = sum(%0) {{axes=[1]}}
  return %1 as "y"
}}"#
    )
}

fn without_islands() -> Target {
    Target { island_work: 0, ..gpu() }
}

#[test]
fn short_rows_are_summed_by_threads() {
    check_on(
        &without_islands(),
        &row_sums(100_000, 10),
        expect![[r#"
            plan, arena 0 bytes
              b0: f32[1000000] input 0 "x"
              b2: f32[100000] output 0 "y"
            k0 loop [100000] by threads, 256 a workgroup
              over [10]:
                e0: f32 = b0[10*g0 + r0]
                c0 = sum e0
              each:
                e0: f32 = c0
                b2[g0] = e0
        "#]],
    );
}

#[test]
fn rows_in_order_are_summed_by_warps_in_vectors() {
    check_on(
        &without_islands(),
        &row_sums(5_000, 384),
        expect![[r#"
        plan, arena 0 bytes
          b0: f32[1920000] input 0 "x"
          b2: f32[5000] output 0 "y"
        k0 loop [5000] by warps of 32, 256 a workgroup, vectors of 4
          over [384]:
            e0: f32 = b0[384*g0 + r0]
            c0 = sum e0
          each:
            e0: f32 = c0
            b2[g0] = e0
    "#]],
    );
}

#[test]
fn long_rows_are_summed_by_blocks() {
    check_on(
        &without_islands(),
        &row_sums(5_000, 6_144),
        expect![[r#"
        plan, arena 0 bytes
          b0: f32[30720000] input 0 "x"
          b2: f32[5000] output 0 "y"
        k0 loop [5000] by blocks, 256 a workgroup, vectors of 4
          over [6144]:
            e0: f32 = b0[6144*g0 + r0]
            c0 = sum e0
          each:
            e0: f32 = c0
            b2[g0] = e0
    "#]],
    );
}

#[test]
fn columns_in_order_are_summed_by_threads() {
    let graph = r#"graph {
  %0: f32[64,10000] = input "x"
  %1: f32[10000] = sum(%0) {axes=[0]}
  return %1 as "y"
}"#;
    check_on(
        &without_islands(),
        graph,
        expect![[r#"
        plan, arena 0 bytes
          b0: f32[640000] input 0 "x"
          b2: f32[10000] output 0 "y"
        k0 loop [10000] by threads, 256 a workgroup
          over [64]:
            e0: f32 = b0[g0 + 10000*r0]
            c0 = sum e0
          each:
            e0: f32 = c0
            b2[g0] = e0
    "#]],
    );
}

#[test]
fn vectors_need_whole_aligned_elements() {
    let graph = |n: usize| {
        format!(
            r#"graph {{
  %0: f32[{n}] = input "x"
  %1: f32[{n}] = exp(%0)
  %2: bf16[{n}] = cast(%1)
  return %1 as "y"
  return %2 as "narrow"
}}"#
        )
    };
    check_on(
        &without_islands(),
        &graph(1 << 16),
        expect![[r#"
        plan, arena 0 bytes
          b0: f32[65536] input 0 "x"
          b1: f32[65536] output 0 "y"
          b2: bf16[65536] output 1 "narrow"
        k0 loop [65536] by threads, 256 a workgroup, vectors of 4
          each:
            e0: f32 = b0[g0]
            e1: f32 = exp e0
            e2: bf16 = cast e1
            b1[g0] = e1
            b2[g0] = e2
    "#]],
    );
    check_on(
        &without_islands(),
        &graph((1 << 16) + 2),
        expect![[r#"
        plan, arena 0 bytes
          b0: f32[65538] input 0 "x"
          b1: f32[65538] output 0 "y"
          b2: bf16[65538] output 1 "narrow"
        k0 loop [65538] by threads, 256 a workgroup, vectors of 2
          each:
            e0: f32 = b0[g0]
            e1: f32 = exp e0
            e2: bf16 = cast e1
            b1[g0] = e1
            b2[g0] = e2
    "#]],
    );
    check_on(
        &without_islands(),
        &graph((1 << 16) + 1),
        expect![[r#"
        plan, arena 0 bytes
          b0: f32[65537] input 0 "x"
          b1: f32[65537] output 0 "y"
          b2: bf16[65537] output 1 "narrow"
        k0 loop [65537] by threads, 256 a workgroup
          each:
            e0: f32 = b0[g0]
            e1: f32 = exp e0
            e2: bf16 = cast e1
            b1[g0] = e1
            b2[g0] = e2
    "#]],
    );
}

/// Tiny kernels around a product.
const AROUND_A_PRODUCT: &str = r#"graph {
  %0: f32[8,16] = input "x"
  %1: f32[16,4] = input "w"
  %2: f32[8] = sum(%0) {axes=[1]}
  %3: f32[8] = flip(%2) {axes=[0]}
  %4: f32[8,1] = reshape(%3)
  %5: f32[8,16] = broadcast(%4)
  %6: f32[8,16] = sub(%0, %5)
  %7: f32[8,4] = dot(%6, %1)
  %8: f32[4] = sum(%7) {axes=[0]}
  %9: f32[4] = flip(%8) {axes=[0]}
  %10: f32[1,4] = reshape(%9)
  %11: f32[8,4] = broadcast(%10)
  %12: f32[8,4] = mul(%7, %11)
  return %12 as "y"
}"#;

#[test]
fn tiny_kernels_between_library_calls_are_islands() {
    check_on(
        &Target { nest_work: 0, ..gpu() },
        AROUND_A_PRODUCT,
        expect![[r#"
        plan, arena 768 bytes
          b0: f32[128] input 0 "x"
          b1: f32[64] input 1 "w"
          b2: f32[8] at 512 "sum"
          b3: f32[128] at 0 "sub"
          b4: f32[32] at 512 "dot"
          b5: f32[4] at 0 "sum"
          b6: f32[32] output 0 "y"
        island k0 to k1
        k0 loop [8] by threads, 128 a workgroup
          over [16]:
            e0: f32 = b0[16*g0 + r0]
            c0 = sum e0
          each:
            e0: f32 = c0
            b2[g0] = e0
        k1 loop [8, 16] by threads, 128 a workgroup
          each:
            e0: f32 = b0[16*g0 + g1]
            e1: f32 = b2[-g0 + 7]
            e2: f32 = sub e0, e1
            b3[16*g0 + g1] = e2
        k2 dot
            b4[32, 4, 1] = b3[0, 16, 1], b1[0, 4, 1] b=1 m=8 n=4 k=16
        island k3 to k4
        k3 loop [4] by threads, 32 a workgroup
          over [8]:
            e0: f32 = b4[g0 + 4*r0]
            c0 = sum e0
          each:
            e0: f32 = c0
            b5[g0] = e0
        k4 loop [8, 4] by threads, 32 a workgroup
          each:
            e0: f32 = b4[4*g0 + g1]
            e1: f32 = b5[-g1 + 3]
            e2: f32 = mul e0, e1
            b6[4*g0 + g1] = e2
    "#]],
    );
}

#[test]
fn without_library_calls_a_small_product_joins_the_island_and_a_larger_one_is_tiled() {
    check_on(
        &gpu(),
        AROUND_A_PRODUCT,
        expect![[r#"
        plan, arena 768 bytes
          b0: f32[128] input 0 "x"
          b1: f32[64] input 1 "w"
          b2: f32[8] at 512 "sum"
          b3: f32[128] at 0 "sub"
          b4: f32[32] at 512 "dot"
          b5: f32[4] at 0 "sum"
          b6: f32[32] output 0 "y"
        island k0 to k1
        k0 loop [8] by threads, 128 a workgroup
          over [16]:
            e0: f32 = b0[16*g0 + r0]
            c0 = sum e0
          each:
            e0: f32 = c0
            b2[g0] = e0
        k1 loop [8, 16] by threads, 128 a workgroup
          each:
            e0: f32 = b0[16*g0 + g1]
            e1: f32 = b2[-g0 + 7]
            e2: f32 = sub e0, e1
            b3[16*g0 + g1] = e2
        k2 loop [8, 4] by tiles, 256 a workgroup
          over [16]:
            e0: f32 = b3[16*g0 + r0]
            e1: f32 = b1[g1 + 4*r0]
            e2: f32 = mul e0, e1
            c0 = sum e2
          each:
            e0: f32 = c0
            b4[4*g0 + g1] = e0
        island k3 to k4
        k3 loop [4] by threads, 32 a workgroup
          over [8]:
            e0: f32 = b4[g0 + 4*r0]
            c0 = sum e0
          each:
            e0: f32 = c0
            b5[g0] = e0
        k4 loop [8, 4] by threads, 32 a workgroup
          each:
            e0: f32 = b4[4*g0 + g1]
            e1: f32 = b5[-g1 + 3]
            e2: f32 = mul e0, e1
            b6[4*g0 + g1] = e2
    "#]],
    );
    let small = Target { tile_work: 1 << 20, ..gpu() };
    check_on(
        &small,
        AROUND_A_PRODUCT,
        expect![[r#"
        plan, arena 768 bytes
          b0: f32[128] input 0 "x"
          b1: f32[64] input 1 "w"
          b2: f32[8] at 512 "sum"
          b3: f32[128] at 0 "sub"
          b4: f32[32] at 512 "dot"
          b5: f32[4] at 0 "sum"
          b6: f32[32] output 0 "y"
        island k0 to k4
        k0 loop [8] by threads, 256 a workgroup
          over [16]:
            e0: f32 = b0[16*g0 + r0]
            c0 = sum e0
          each:
            e0: f32 = c0
            b2[g0] = e0
        k1 loop [8, 16] by threads, 256 a workgroup
          each:
            e0: f32 = b0[16*g0 + g1]
            e1: f32 = b2[-g0 + 7]
            e2: f32 = sub e0, e1
            b3[16*g0 + g1] = e2
        k2 loop [8, 4] by threads, 256 a workgroup
          over [16]:
            e0: f32 = b3[16*g0 + r0]
            e1: f32 = b1[g1 + 4*r0]
            e2: f32 = mul e0, e1
            c0 = sum e2
          each:
            e0: f32 = c0
            b4[4*g0 + g1] = e0
        k3 loop [4] by threads, 256 a workgroup
          over [8]:
            e0: f32 = b4[g0 + 4*r0]
            c0 = sum e0
          each:
            e0: f32 = c0
            b5[g0] = e0
        k4 loop [8, 4] by threads, 256 a workgroup
          each:
            e0: f32 = b4[4*g0 + g1]
            e1: f32 = b5[-g1 + 3]
            e2: f32 = mul e0, e1
            b6[4*g0 + g1] = e2
    "#]],
    );
}

/// The mask of a ReLU's gradient is computed by the first stage of the sum that is the gradient of the bias before it; what
/// else reads the masked gradient comes after. Where columns and parts are few, each element has a
/// thread of its own.
#[test]
fn sums_by_columns_compute_what_they_add() {
    let graph = |rows: usize| {
        format!(
            r#"graph {{
  %0: bf16[{rows},64] = input "x"
  %1: bf16[{rows},32] = input "y"
  %2: bf16[{rows},16] = input "dy"
  %3: bf16[16,32] = input "w"
  %4: bf16[1,1] = constant {{value=0}}
  %5: bf16[{rows},32] = broadcast(%4)
  %6: bool[{rows},32] = le(%1, %5)
  %7: bf16[{rows},32] = dot(%2, %3)
  %8: bf16[{rows},32] = select(%6, %5, %7)
  %9: f32[{rows},32] = cast(%8)
  %10: f32[32] = sum(%9) {{axes=[0]}}
  %11: bf16[64,32] = dot(%0, %8) {{ta}}
  return %10 as "db"
  return %11 as "dw"
}}"#
        )
    };
    let target = Target { library_dots: 1, nest_work: u64::MAX, reduce_lanes: 1024, ..gpu() };
    check_on(
        &target,
        &graph(32768),
        expect![[r#"
            plan, arena 2162688 bytes
              b0: bf16[2097152] input 0 "x"
              b1: bf16[1048576] input 1 "y"
              b2: bf16[524288] input 2 "dy"
              b3: bf16[512] input 3 "w"
              b4: bf16[1048576] at 0 "dot"
              b8: f32[32] output 0 "db"
              b9: bf16[2048] output 1 "dw"
              b10: f32[16384] at 2097152 "partial"
            k0 dot
                b4[1048576, 32, 1] = b2[0, 16, 1], b3[0, 32, 1] b=1 m=32768 n=32 k=16
            k1 loop [512, 32] by threads, 256 a workgroup, vectors of 8
              over [64]:
                e0: bf16 = b1[32*g0 + g1 + 16384*r0]
                e1: bf16 = 0
                e2: bool = le e0, e1
                e3: bf16 = b4[32*g0 + g1 + 16384*r0]
                e4: bf16 = select e2, e1, e3
                e5: f32 = cast e4
                b4[32*g0 + g1 + 16384*r0] = e4
                c0 = sum e5
              each:
                e0: f32 = c0
                b10[g0 + 512*g1] = e0
            k2 dot
                b9[2048, 32, 1] = b0[0, 1, 64], b4[0, 32, 1] b=1 m=64 n=32 k=32768
            k3 loop [32] by warps of 32, 256 a workgroup, vectors of 4
              over [512]:
                e0: f32 = b10[512*g0 + r0]
                c0 = sum e0
              each:
                e0: f32 = c0
                b8[g0] = e0
        "#]],
    );
    check_on(
        &target,
        &graph(4096),
        expect![[r#"
            plan, arena 262144 bytes
              b0: bf16[262144] input 0 "x"
              b1: bf16[131072] input 1 "y"
              b2: bf16[65536] input 2 "dy"
              b3: bf16[512] input 3 "w"
              b4: bf16[131072] at 0 "dot"
              b8: f32[32] output 0 "db"
              b9: bf16[2048] output 1 "dw"
            k0 dot
                b4[131072, 32, 1] = b2[0, 16, 1], b3[0, 32, 1] b=1 m=4096 n=32 k=16
            k1 loop [131072] by threads, 256 a workgroup, vectors of 8
              each:
                e0: bf16 = b1[g0]
                e1: bf16 = 0
                e2: bool = le e0, e1
                e3: bf16 = b4[g0]
                e4: bf16 = select e2, e1, e3
                b4[g0] = e4
            k2 dot
                b9[2048, 32, 1] = b0[0, 1, 64], b4[0, 32, 1] b=1 m=64 n=32 k=4096
            k3 loop [32] by blocks, 256 a workgroup
              over [4096]:
                e0: bf16 = b4[g0 + 32*r0]
                e1: f32 = cast e0
                c0 = sum e1
              each:
                e0: f32 = c0
                b8[g0] = e0
        "#]],
    );
}

#[test]
fn an_optimizer_ends_the_kernels_that_compute_gradients() {
    check_on(
        &gpu(),
        MOMENTUM_OF_A_LAYER,
        expect![[r#"
            plan, arena 0 bytes
              b0: f32[112] state 0 "params"
              b1: f32[112] state 1 "momentum"
              b2: f32[384] input 0 "x"
              b3: f32[64] input 1 "dy"
              b8: f32[384] output 0 "dx"
            island k0 to k1
            k0 loop [4] by threads, 64 a workgroup
              over [16]:
                e0: f32 = b3[g0 + 4*r0]
                c0 = sum e0
              each:
                e0: f32 = c0
                e1: f32 = b0[g0 + 96]
                e2: f32 = b1[g0 + 96]
                e3: f32 = 0.5
                e4: f32 = mul e2, e3
                e5: f32 = add e4, e0
                e6: f32 = sub e1, e5
                b0[g0 + 96] = e6
                b1[g0 + 96] = e5
            k1 loop [12] by threads, 64 a workgroup
              each:
                e0: f32 = 0
                e1: f32 = b0[g0 + 100]
                e2: f32 = b1[g0 + 100]
                e3: f32 = 0.5
                e4: f32 = mul e2, e3
                e5: f32 = add e4, e0
                e6: f32 = sub e1, e5
                b0[g0 + 100] = e6
                b1[g0 + 100] = e5
            k2 loop [16, 24] by tiles, 256 a workgroup
              over [4]:
                e0: f32 = b3[4*g0 + r0]
                e1: f32 = b0[g1 + 24*r0]
                e2: f32 = mul e0, e1
                c0 = sum e2
              each:
                e0: f32 = c0
                b8[24*g0 + g1] = e0
            k3 loop [4, 24] by tiles, 256 a workgroup
              over [16]:
                e0: f32 = b3[g0 + 4*r0]
                e1: f32 = b2[g1 + 24*r0]
                e2: f32 = mul e0, e1
                c0 = sum e2
              each:
                e0: f32 = c0
                e1: f32 = b0[24*g0 + g1]
                e2: f32 = b1[24*g0 + g1]
                e3: f32 = 0.5
                e4: f32 = mul e2, e3
                e5: f32 = add e4, e0
                e6: f32 = sub e1, e5
                b0[24*g0 + g1] = e6
                b1[24*g0 + g1] = e5
        "#]],
    );
}

#[test]
fn what_is_waited_for_comes_before_what_is_not() {
    check_on(
        &gpu(),
        r#"graph {
  %0: f32[8,4] = input "x"
  %1: f32[65536] = input "many"
  %2: f32[8] = sum(%0) {axes=[1]}
  %3: f32[4] = sum(%0) {axes=[0]}
  %4: f32[] = sum(%3) {axes=[0]}
  %5: f32[1] = reshape(%4)
  %6: f32[65536] = broadcast(%5)
  %7: f32[65536] = mul(%1, %6)
  return %2 as "for the host"
  return %7 as "long"
}"#,
        expect![[r#"
            plan, arena 512 bytes
              b0: f32[32] input 0 "x"
              b1: f32[65536] input 1 "many"
              b3: f32[4] at 0 "sum"
              b4: f32[1] at 256 "sum"
              b5: f32[8] output 0 "for the host"
              b6: f32[65536] output 1 "long"
            island k0 to k1
            k0 loop [4] by threads, 32 a workgroup
              over [8]:
                e0: f32 = b0[g0 + 4*r0]
                c0 = sum e0
              each:
                e0: f32 = c0
                b3[g0] = e0
            k1 loop [] by threads, 32 a workgroup
              over [4]:
                e0: f32 = b3[r0]
                c0 = sum e0
              each:
                e0: f32 = c0
                b4[0] = e0
            k2 loop [65536] by threads, 256 a workgroup, vectors of 4
              each:
                e0: f32 = b1[g0]
                e1: f32 = b4[0]
                e2: f32 = mul e0, e1
                b6[g0] = e2
            k3 loop [8] by threads, 32 a workgroup
              over [4]:
                e0: f32 = b0[4*g0 + r0]
                c0 = sum e0
              each:
                e0: f32 = c0
                b5[g0] = e0
        "#]],
    );
}
