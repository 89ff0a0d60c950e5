//! Passes as text in, text out: what small graphs compile to. `UPDATE_EXPECT=1 cargo test` blesses.

mod devices;
mod libraries;

use expect_test::{Expect, expect};
use onestep::ir::Graph;
use onestep::passes::compile;
use onestep::plan::Target;

fn check(graph: &str, expected: Expect) {
    check_on(&Target { name: "test".into(), ..Target::default() }, graph, expected);
}

fn check_on(target: &Target, graph: &str, expected: Expect) {
    check_with(target, "", graph, expected);
}

fn check_with(target: &Target, switches: &str, graph: &str, expected: Expect) {
    let graph = Graph::parse(graph).unwrap();
    let compiled = compile(&graph, target, switches.parse().unwrap()).unwrap();
    expected.assert_eq(&compiled.plan.to_string());
}

#[test]
fn softmax_is_one_row_kernel() {
    check(
        r#"graph {
  %0: f32[4,10] = input "x"
  %1: f32[4] = reduce_max(%0) {axes=[1]}
  %2: f32[4,1] = reshape(%1)
  %3: f32[4,10] = broadcast(%2)
  %4: f32[4,10] = sub(%0, %3)
  %5: f32[4,10] = exp(%4)
  %6: f32[4] = sum(%5) {axes=[1]}
  %7: f32[4,1] = reshape(%6)
  %8: f32[4,10] = broadcast(%7)
  %9: f32[4,10] = div(%5, %8)
  return %9 as "y"
}"#,
        expect![[r#"
            plan, arena 0 bytes
              b0: f32[40] input 0 "x"
              b3: f32[40] output 0 "y"
            k0 loop [4]
              over [10]:
                e0: f32 = b0[10*g0 + r0]
                c0 = reduce_max e0
              over [10]:
                e0: f32 = b0[10*g0 + r0]
                e1: f32 = c0
                e2: f32 = sub e0, e1
                e3: f32 = exp e2
                c1 = sum e3
              over [10]:
                e0: f32 = b0[10*g0 + r0]
                e1: f32 = c0
                e2: f32 = sub e0, e1
                e3: f32 = exp e2
                e4: f32 = c1
                e5: f32 = div e3, e4
                b3[10*g0 + r0] = e5
        "#]],
    );
}

#[test]
fn views_fold_into_index_maps() {
    check(
        r#"graph {
  %0: f32[6,4] = input "x"
  %1: f32[4,6] = permute(%0) {perm=[1,0]}
  %2: f32[2,2,6] = reshape(%1)
  %3: f32[2,2,6] = flip(%2) {axes=[2]}
  %4: f32[2,2,3] = slice(%3) {start=[0,0,1],stop=[2,2,6],step=[1,1,2]}
  %5: f32[2,2,5] = pad(%4) {low=[0,0,1],high=[0,0,1],value=0}
  %6: f32[20] = reshape(%5)
  return %6 as "y"
}"#,
        expect![[r#"
            plan, arena 0 bytes
              b0: f32[24] input 0 "x"
              b1: f32[20] output 0 "y"
            k0 loop [4, 5]
              each:
                l0 = (-2*g1) / 6
                l1 = (-2*g1) % 6
                e0: f32 = b0[g0 + l0 + 4*l1 + 1] if g1 - 1 in 0..3 else 0
                b1[5*g0 + g1] = e0
        "#]],
    );
}

#[test]
fn an_optimizer_is_one_kernel_that_writes_its_states_in_place() {
    check(
        r#"graph {
  state s0 "params": f32[64]
  state s1 "momentum": f32[64]
  %0: f32[64] = state s0
  %1: f32[64] = state s1
  %2: f32[8] = input "a"
  %3: f32[56] = input "b"
  %4: f32[64] = concat(%2, %3) {axis=0}
  %5: f32[] = constant {value=0.9}
  %6: f32[1] = reshape(%5)
  %7: f32[64] = broadcast(%6)
  %8: f32[64] = mul(%1, %7)
  %9: f32[64] = add(%8, %4)
  %10: f32[64] = sub(%0, %9)
  update s0 = %10
  update s1 = %9
}"#,
        expect![[r#"
            plan, arena 256 bytes
              b0: f32[64] state 0 "params"
              b1: f32[64] state 1 "momentum"
              b2: f32[8] input 0 "a"
              b3: f32[56] input 1 "b"
              b4: f32[64] at 0 "concat"
            k0 loop [8]
              each:
                e0: f32 = b2[g0]
                b4[g0] = e0
            k1 loop [56]
              each:
                e0: f32 = b3[g0]
                b4[g0 + 8] = e0
            k2 loop [64]
              each:
                e0: f32 = b0[g0]
                e1: f32 = b1[g0]
                e2: f32 = 0.8999999761581421
                e3: f32 = mul e1, e2
                e4: f32 = b4[g0]
                e5: f32 = add e3, e4
                e6: f32 = sub e0, e5
                b0[g0] = e6
                b1[g0] = e5
        "#]],
    );
}

#[test]
fn states_that_swap_pass_through_the_arena() {
    check(
        r#"graph {
  state s0 "a": f32[8]
  state s1 "b": f32[8]
  %0: f32[8] = state s0
  %1: f32[8] = state s1
  %2: f32[8] = flip(%0) {axes=[0]}
  update s0 = %1
  update s1 = %2
}"#,
        expect![[r#"
            plan, arena 64 bytes
              b0: f32[8] state 0 "a"
              b1: f32[8] state 1 "b"
              b3: f32[8] at 0 "new state"
            k0 loop [8]
              each:
                e0: f32 = b0[-g0 + 7]
                b3[g0] = e0
            k1 loop [8]
              each:
                e0: f32 = b1[g0]
                b0[g0] = e0
            k2 loop [8]
              each:
                e0: f32 = b3[g0]
                b1[g0] = e0
        "#]],
    );
}

#[test]
fn a_product_writes_straight_to_its_place_in_a_concatenation() {
    check(
        r#"graph {
  %0: f32[3,5] = input "a"
  %1: f32[3,2] = input "b"
  %2: f32[5,2] = dot(%0, %1) {ta}
  %3: f32[10] = reshape(%2)
  %4: f32[6] = reshape(%1)
  %5: f32[16] = concat(%3, %4) {axis=0}
  %6: f32[16] = exp(%5)
  return %6 as "y"
}"#,
        expect![[r#"
            plan, arena 64 bytes
              b0: f32[15] input 0 "a"
              b1: f32[6] input 1 "b"
              b3: f32[16] at 0 "concat"
              b4: f32[16] output 0 "y"
            k0 dot
                b3[10, 2, 1] = b0[0, 1, 5], b1[0, 2, 1] b=1 m=5 n=2 k=3
            k1 loop [6]
              each:
                e0: f32 = b1[g0]
                b3[g0 + 10] = e0
            k2 loop [16]
              each:
                e0: f32 = b3[g0]
                e1: f32 = exp e0
                b4[g0] = e1
        "#]],
    );
}

#[test]
fn a_large_reduction_over_few_points_has_two_stages() {
    check(
        r#"graph {
  %0: f32[32,16,16,8] = input "g"
  %1: f32[8] = sum(%0) {axes=[0,1,2]}
  return %1 as "bias"
}"#,
        expect![[r#"
            plan, arena 2048 bytes
              b0: f32[65536] input 0 "g"
              b2: f32[8] output 0 "bias"
              b3: f32[512] at 0 "partial"
            k0 loop [512]
              over [128]:
                e0: f32 = b0[g0 + 512*r0]
                c0 = sum e0
              each:
                e0: f32 = c0
                b3[g0] = e0
            k1 loop [8]
              over [64]:
                e0: f32 = b3[g0 + 8*r0]
                c0 = sum e0
              each:
                e0: f32 = c0
                b2[g0] = e0
        "#]],
    );
}

#[test]
fn a_relu_keeps_its_result_alone_and_where_its_input_was() {
    check(
        r#"graph {
  %0: f32[4,3] = input "x"
  %1: f32[3,5] = input "w"
  %2: f32[4,5] = input "v"
  %3: f32[4,5] = dot(%0, %1)
  %4: f32[] = constant {value=0}
  %5: f32[1,1] = reshape(%4)
  %6: f32[4,5] = broadcast(%5)
  %7: bool[4,5] = le(%3, %6)
  %8: f32[4,5] = select(%7, %6, %3)
  %9: f32[4,4] = dot(%8, %2) {tb}
  %10: f32[4,5] = dot(%9, %2)
  %11: f32[4,5] = select(%7, %6, %10)
  %12: f32[3,5] = dot(%0, %11) {ta}
  return %12 as "dw"
}"#,
        expect![[r#"
            plan, arena 320 bytes
              b0: f32[12] input 0 "x"
              b1: f32[15] input 1 "w"
              b2: f32[20] input 2 "v"
              b3: f32[20] at 0 "dot"
              b5: f32[16] at 256 "dot"
              b6: f32[20] at 128 "dot"
              b9: f32[15] output 0 "dw"
            k0 dot
                b3[20, 5, 1] = b0[0, 3, 1], b1[0, 5, 1] b=1 m=4 n=5 k=3
            k1 loop [20]
              each:
                e0: f32 = b3[g0]
                e1: f32 = 0
                e2: bool = le e0, e1
                e3: f32 = select e2, e1, e0
                b3[g0] = e3
            k2 dot
                b5[16, 4, 1] = b3[0, 5, 1], b2[0, 1, 5] b=1 m=4 n=4 k=5
            k3 dot
                b6[20, 5, 1] = b5[0, 4, 1], b2[0, 5, 1] b=1 m=4 n=5 k=4
            k4 loop [20]
              each:
                e0: f32 = b3[g0]
                e1: f32 = 0
                e2: bool = le e0, e1
                e3: f32 = b6[g0]
                e4: f32 = select e2, e1, e3
                b3[g0] = e4
            k5 dot
                b9[15, 5, 1] = b0[0, 1, 3], b3[0, 5, 1] b=1 m=3 n=5 k=4
        "#]],
    );
}

#[test]
fn a_gradient_is_summed_before_more_are_made() {
    check(
        r#"graph {
  %0: f32[64,8] = input "dy"
  %1: f32[8,8] = input "v"
  %2: f32[8,8] = input "w"
  %3: f32[64,8] = dot(%0, %1)
  %4: f32[64,8] = dot(%3, %2)
  %5: f32[64,8] = dot(%4, %2)
  %6: f32[8] = sum(%3) {axes=[0]}
  %7: f32[8] = sum(%5) {axes=[0]}
  return %6 as "second"
  return %7 as "first"
}"#,
        expect![[r#"
            plan, arena 4096 bytes
              b0: f32[512] input 0 "dy"
              b1: f32[64] input 1 "v"
              b2: f32[64] input 2 "w"
              b3: f32[512] at 0 "dot"
              b4: f32[512] at 2048 "dot"
              b5: f32[512] at 0 "dot"
              b8: f32[8] output 0 "second"
              b9: f32[8] output 1 "first"
            k0 dot
                b3[512, 8, 1] = b0[0, 8, 1], b1[0, 8, 1] b=1 m=64 n=8 k=8
            k1 dot
                b4[512, 8, 1] = b3[0, 8, 1], b2[0, 8, 1] b=1 m=64 n=8 k=8
            k2 loop [8]
              over [64]:
                e0: f32 = b3[g0 + 8*r0]
                c0 = sum e0
              each:
                e0: f32 = c0
                b8[g0] = e0
            k3 dot
                b5[512, 8, 1] = b4[0, 8, 1], b2[0, 8, 1] b=1 m=64 n=8 k=8
            k4 loop [8]
              over [64]:
                e0: f32 = b5[g0 + 8*r0]
                c0 = sum e0
              each:
                e0: f32 = c0
                b9[g0] = e0
        "#]],
    );
}

/// Two layers forward, then the gradient of the second one's weights, for which its input is computed again.
const COMPUTED_AGAIN: &str = r#"graph {
  %0: f32[4,4] = input "x"
  %1: f32[4,4] = input "w"
  %2: f32[4,4] = dot(%0, %1)
  %3: f32[4,4] = tanh(%2)
  %4: f32[4,4] = dot(%3, %1)
  %5: f32[4,4] = exp(%4)
  %6: f32[4,4] = sin(%5)
  %7: f32[4,4] = after(%0, %6)
  %8: f32[4,4] = after(%1, %6)
  %9: f32[4,4] = dot(%7, %8)
  %10: f32[4,4] = tanh(%9)
  %11: f32[4,4] = dot(%10, %6) {ta}
  return %11 as "dw"
}"#;

#[test]
fn what_stands_behind_a_barrier_waits_and_is_computed_again() {
    check(
        COMPUTED_AGAIN,
        expect![[r#"
        plan, arena 128 bytes
          b0: f32[16] input 0 "x"
          b1: f32[16] input 1 "w"
          b2: f32[16] at 0 "dot"
          b4: f32[16] at 64 "dot"
          b6: f32[16] at 0 "dot"
          b9: f32[16] output 0 "dw"
        k0 dot
            b2[16, 4, 1] = b0[0, 4, 1], b1[0, 4, 1] b=1 m=4 n=4 k=4
        k1 loop [16]
          each:
            e0: f32 = b2[g0]
            e1: f32 = tanh e0
            b2[g0] = e1
        k2 dot
            b4[16, 4, 1] = b2[0, 4, 1], b1[0, 4, 1] b=1 m=4 n=4 k=4
        k3 loop [16], signals 0
          each:
            e0: f32 = b4[g0]
            e1: f32 = exp e0
            e2: f32 = sin e1
            b4[g0] = e2
        k4 dot, waits for 0
            b6[16, 4, 1] = b0[0, 4, 1], b1[0, 4, 1] b=1 m=4 n=4 k=4
        k5 loop [16]
          each:
            e0: f32 = b6[g0]
            e1: f32 = tanh e0
            b6[g0] = e1
        k6 dot
            b9[16, 4, 1] = b6[0, 1, 4], b4[0, 4, 1] b=1 m=4 n=4 k=4
    "#]],
    );
}

#[test]
fn without_recompute_it_is_kept() {
    let target = Target { name: "test".into(), ..Target::default() };
    check_with(
        &target,
        "-recompute",
        COMPUTED_AGAIN,
        expect![[r#"
        plan, arena 128 bytes
          b0: f32[16] input 0 "x"
          b1: f32[16] input 1 "w"
          b2: f32[16] at 0 "dot"
          b4: f32[16] at 64 "dot"
          b7: f32[16] output 0 "dw"
        k0 dot
            b2[16, 4, 1] = b0[0, 4, 1], b1[0, 4, 1] b=1 m=4 n=4 k=4
        k1 loop [16]
          each:
            e0: f32 = b2[g0]
            e1: f32 = tanh e0
            b2[g0] = e1
        k2 dot
            b4[16, 4, 1] = b2[0, 4, 1], b1[0, 4, 1] b=1 m=4 n=4 k=4
        k3 loop [16]
          each:
            e0: f32 = b4[g0]
            e1: f32 = exp e0
            e2: f32 = sin e1
            b4[g0] = e2
        k4 dot
            b7[16, 4, 1] = b2[0, 1, 4], b4[0, 4, 1] b=1 m=4 n=4 k=4
    "#]],
    );
}
