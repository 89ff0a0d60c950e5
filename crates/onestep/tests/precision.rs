//! Mixed precision as a pass: graphs as text in, text out, and what their plans become. `UPDATE_EXPECT=1 cargo test`
//! blesses. Whole training runs are in `mixed_training.rs`.

use expect_test::{Expect, expect};
use onestep::grad::gradients;
use onestep::ir::verify::assert_valid;
use onestep::ir::{Graph, StateId};
use onestep::passes::{Passes, Precision, compile_in, narrow, simplify};
use onestep::plan::Target;

fn check(graph: &str, expected: Expect) {
    let graph = Graph::parse(graph).unwrap();
    let narrowed = narrow(&graph, Precision::Bf16).unwrap();
    assert_valid(&narrowed, "precision");
    expected.assert_eq(&narrowed.to_string());
    // Its own result has nothing to narrow.
    assert_eq!(narrow(&narrowed, Precision::Bf16).unwrap().to_string(), narrowed.to_string());
}

/// A training step: the graph's output "loss" is differentiated by its state 0, which takes a step down.
fn step(forward: &str) -> Graph {
    let mut g = Graph::parse(forward).unwrap();
    let loss = g.outputs()[0].1;
    let params = g.nodes().find(|(_, n)| n.op == onestep::ir::Op::State(StateId(0))).unwrap().0;
    let grad = gradients(&mut g, loss, &[params]).unwrap()[0];
    let rate = g.full_like(0.125, grad);
    let change = g.mul(grad, rate);
    let new = g.binary(onestep::ir::Binary::Sub, params, change);
    g.update(StateId(0), new).unwrap();
    simplify(&g).unwrap()
}

fn plan(graph: &Graph, expected: Expect) {
    let target = Target { name: "test".into(), epilogues: true, ..Target::default() };
    let compiled = compile_in(Precision::Bf16, graph, &target, Passes::all()).unwrap();
    expected.assert_eq(&compiled.plan.to_string());
}

/// 6 → 4 → ReLU → 3, the mean of the squared results as the loss.
const LINEAR: &str = r#"graph {
  state s0 "params": f32[40]
  %0: f32[40] = state s0
  %1: f32[8,6] = input "x"
  %2: f32[24] = slice(%0) {start=[0],stop=[24]}
  %3: f32[4,6] = reshape(%2)
  %4: f32[8,4] = dot(%1, %3) {tb} @ "fc1"
  %5: f32[4] = slice(%0) {start=[24],stop=[28]}
  %6: f32[1,4] = reshape(%5)
  %7: f32[8,4] = broadcast(%6)
  %8: f32[8,4] = add(%4, %7) @ "fc1"
  %9: f32[] = constant {value=0}
  %10: f32[1,1] = reshape(%9)
  %11: f32[8,4] = broadcast(%10)
  %12: bool[8,4] = le(%8, %11)
  %13: f32[8,4] = select(%12, %11, %8)
  %14: f32[12] = slice(%0) {start=[28],stop=[40]}
  %15: f32[3,4] = reshape(%14)
  %16: f32[8,3] = dot(%13, %15) {tb} @ "fc2"
  %17: f32[8,3] = mul(%16, %16) @ "loss"
  %18: f32[] = sum(%17) {axes=[0,1]} @ "loss"
  return %18 as "loss"
}"#;

/// A convolution with bias, ReLU and max pooling, and a second convolution.
const CONV: &str = r#"graph {
  state s0 "params": f32[176]
  %0: f32[176] = state s0
  %1: f32[2,8,8,2] = input "x"
  %2: f32[72] = slice(%0) {start=[0],stop=[72]}
  %3: f32[4,3,3,2] = reshape(%2)
  %4: f32[2,8,8,4] = conv(%1, %3) {stride=[1,1],padding=[1:1,1:1],dilation=[1,1],groups=1} @ "conv1"
  %5: f32[4] = slice(%0) {start=[72],stop=[76]}
  %6: f32[1,1,1,4] = reshape(%5)
  %7: f32[2,8,8,4] = broadcast(%6)
  %8: f32[2,8,8,4] = add(%4, %7) @ "conv1"
  %9: f32[] = constant {value=0}
  %10: f32[1,1,1,1] = reshape(%9)
  %11: f32[2,8,8,4] = broadcast(%10)
  %12: bool[2,8,8,4] = le(%8, %11)
  %13: f32[2,8,8,4] = select(%12, %11, %8)
  %14: f32[2,4,4,4] = max_pool(%13) {size=[2,2],stride=[2,2],padding=[0:0,0:0]} @ "pool"
  %15: f32[72] = slice(%0) {start=[76],stop=[148]}
  %16: f32[2,3,3,4] = reshape(%15)
  %17: f32[2,4,4,2] = conv(%14, %16) {stride=[1,1],padding=[1:1,1:1],dilation=[1,1],groups=1} @ "conv2"
  %18: f32[2,4,4,2] = mul(%17, %17) @ "loss"
  %19: f32[] = sum(%18) {axes=[0,1,2,3]} @ "loss"
  return %19 as "loss"
}"#;

#[test]
fn a_linear_layer_and_its_gradients() {
    check(
        &step(LINEAR).to_string(),
        expect![[r#"
        graph {
          state s0 "params": f32[40]
          %0: f32[40] = state s0
          %1: f32[8,6] = input "x"
          %2: bf16[8,6] = cast(%1)
          %3: bf16[40] = cast(%0)
          %4: bf16[24] = slice(%3) {start=[0],stop=[24]} @ "fc1"
          %5: bf16[4,6] = reshape(%4) @ "fc1"
          %6: bf16[8,4] = dot(%2, %5) {tb} @ "fc1"
          %7: bf16[4] = slice(%3) {start=[24],stop=[28]} @ "fc1"
          %8: bf16[1,4] = reshape(%7) @ "fc1"
          %9: bf16[8,4] = broadcast(%8) @ "fc1"
          %10: bf16[8,4] = add(%6, %9) @ "fc1"
          %11: bf16[] = constant {value=0.0}
          %12: bf16[1,1] = reshape(%11)
          %13: bf16[8,4] = broadcast(%12)
          %14: bool[8,4] = le(%10, %13)
          %15: bf16[8,4] = select(%14, %13, %10)
          %16: f32[8,4] = cast(%15)
          %17: bf16[12] = slice(%3) {start=[28],stop=[40]} @ "fc2"
          %18: bf16[3,4] = reshape(%17) @ "fc2"
          %19: bf16[8,3] = dot(%15, %18) {tb} @ "fc2"
          %20: bf16[8,3] = mul(%19, %19) @ "loss"
          %21: f32[8,3] = cast(%20) @ "loss"
          %22: f32[] = sum(%21) {axes=[0,1]} @ "loss"
          %23: bf16[8,3] = add(%19, %19) @ "loss"
          %24: f32[8,3] = cast(%23) @ "loss"
          %25: bf16[8,4] = dot(%23, %18) @ "fc2"
          %26: f32[3,4] = dot(%24, %16) {ta} @ "fc2"
          %27: f32[12] = reshape(%26)
          %28: f32[40] = pad(%27) {low=[28],high=[0]}
          %29: bf16[8,4] = select(%14, %13, %25)
          %30: f32[8,4] = cast(%29)
          %31: f32[4] = sum(%30) {axes=[0]}
          %32: f32[40] = pad(%31) {low=[24],high=[12]}
          %33: f32[40] = add(%28, %32)
          %34: f32[8,6] = cast(%2) @ "fc1"
          %35: f32[4,6] = dot(%30, %34) {ta} @ "fc1"
          %36: f32[24] = reshape(%35)
          %37: f32[40] = pad(%36) {low=[0],high=[16]}
          %38: f32[40] = add(%33, %37)
          %39: f32[] = constant {value=0.125}
          %40: f32[1] = reshape(%39)
          %41: f32[40] = broadcast(%40)
          %42: f32[40] = mul(%38, %41)
          %43: f32[40] = sub(%0, %42)
          update s0 = %43
          return %22 as "loss"
        }"#]],
    );
}

#[test]
fn the_plan_of_linear_layers() {
    plan(
        &step(LINEAR),
        expect![[r#"
        plan, arena 512 bytes
          b0: f32[40] state 0 "params"
          b1: f32[48] input 0 "x"
          b2: bf16[48] at 0 "cast"
          b3: bf16[40] at 128 "cast"
          b4: bf16[32] at 256 "select"
          b5: bf16[24] at 384 "dot"
          b7: bf16[24] at 448 "add"
          b8: bf16[32] at 320 "dot"
          b9: f32[12] at 384 "dot"
          b11: f32[4] at 320 "sum"
          b12: f32[24] at 128 "dot"
          b13: f32[1] output 0 "loss"
        k0 loop [48]
          each:
            e0: f32 = b1[g0]
            e1: bf16 = cast e0
            b2[g0] = e1
        k1 loop [40]
          each:
            e0: f32 = b0[g0]
            e1: bf16 = cast e0
            b3[g0] = e1
        k2 dot
            b4[32, 4, 1] = b2[0, 6, 1], b3[0, 1, 6], b3+24[1] then bias, relu b=1 m=8 n=4 k=6
        k3 dot @ fc2
            b5[24, 3, 1] = b4[0, 4, 1], b3+28[0, 1, 4] b=1 m=8 n=3 k=4
        k4 loop [24] @ loss
          each:
            e0: bf16 = b5[g0]
            e1: bf16 = add e0, e0
            b7[g0] = e1
        k5 dot @ fc2
            b8[32, 4, 1] = b7[0, 3, 1], b3+28[0, 4, 1] b=1 m=8 n=4 k=3
        k6 loop [] @ loss
          over [24]:
            e0: bf16 = b5[r0]
            e1: bf16 = mul e0, e0
            e2: f32 = cast e1
            c0 = sum e2
          each:
            e0: f32 = c0
            b13[0] = e0
        k7 dot @ fc2
            b9[12, 4, 1] = b7[0, 1, 3], b4[0, 4, 1] b=1 m=3 n=4 k=8
        k8 loop [32]
          each:
            e0: bf16 = b4[g0]
            e1: bf16 = 0
            e2: bool = le e0, e1
            e3: bf16 = b8[g0]
            e4: bf16 = select e2, e1, e3
            b4[g0] = e4
        k9 loop [4]
          over [8]:
            e0: bf16 = b4[g0 + 4*r0]
            e1: f32 = cast e0
            c0 = sum e1
          each:
            e0: f32 = c0
            b11[g0] = e0
        k10 dot @ fc1
            b12[24, 6, 1] = b4[0, 1, 4], b2[0, 6, 1] b=1 m=4 n=6 k=8
        k11 loop [40]
          each:
            l0 = (g0) / 6
            l1 = (g0) % 6
            e0: f32 = b0[g0]
            e1: f32 = b9[g0 - 28] if g0 - 28 in 0..12 else 0
            e2: f32 = b11[g0 - 24] if g0 - 24 in 0..4 else 0
            e3: f32 = add e1, e2
            e4: f32 = b12[6*l0 + l1] if g0 in 0..24 else 0
            e5: f32 = add e3, e4
            e6: f32 = 0.125
            e7: f32 = mul e5, e6
            e8: f32 = sub e0, e7
            b0[g0] = e8
    "#]],
    );
}

#[test]
fn convolution_bias_relu_and_pooling() {
    check(
        CONV,
        expect![[r#"
        graph {
          state s0 "params": f32[176]
          %0: f32[176] = state s0
          %1: f32[2,8,8,2] = input "x"
          %2: bf16[2,8,8,2] = cast(%1)
          %3: bf16[176] = cast(%0)
          %4: bf16[72] = slice(%3) {start=[0],stop=[72]} @ "conv1"
          %5: bf16[4,3,3,2] = reshape(%4) @ "conv1"
          %6: bf16[2,8,8,4] = conv(%2, %5) {stride=[1,1],padding=[1:1,1:1],dilation=[1,1],groups=1} @ "conv1"
          %7: bf16[4] = slice(%3) {start=[72],stop=[76]} @ "conv1"
          %8: bf16[1,1,1,4] = reshape(%7) @ "conv1"
          %9: bf16[2,8,8,4] = broadcast(%8) @ "conv1"
          %10: bf16[2,8,8,4] = add(%6, %9) @ "conv1"
          %11: bf16[] = constant {value=0.0}
          %12: bf16[1,1,1,1] = reshape(%11)
          %13: bf16[2,8,8,4] = broadcast(%12)
          %14: bool[2,8,8,4] = le(%10, %13)
          %15: bf16[2,8,8,4] = select(%14, %13, %10)
          %16: bf16[2,4,4,4] = max_pool(%15) {size=[2,2],stride=[2,2],padding=[0:0,0:0]} @ "pool"
          %17: bf16[72] = slice(%3) {start=[76],stop=[148]} @ "conv2"
          %18: bf16[2,3,3,4] = reshape(%17) @ "conv2"
          %19: bf16[2,4,4,2] = conv(%16, %18) {stride=[1,1],padding=[1:1,1:1],dilation=[1,1],groups=1} @ "conv2"
          %20: bf16[2,4,4,2] = mul(%19, %19) @ "loss"
          %21: f32[2,4,4,2] = cast(%20) @ "loss"
          %22: f32[] = sum(%21) {axes=[0,1,2,3]} @ "loss"
          return %22 as "loss"
        }"#]],
    );
}

#[test]
fn the_plan_of_convolutions() {
    plan(
        &step(CONV),
        expect![[r#"
        plan, arena 3200 bytes
          b0: f32[176] state 0 "params"
          b1: f32[256] input 0 "x"
          b2: bf16[256] at 1024 "cast"
          b3: bf16[176] at 2048 "cast"
          b4: bf16[512] at 0 "select"
          b5: bf16[128] at 2432 "max_pool"
          b6: bf16[64] at 2944 "conv"
          b8: bf16[64] at 3072 "add"
          b9: bf16[128] at 2688 "conv_input_grad"
          b10: f32[72] at 2048 "conv_filter_grad"
          b11: i32[128] at 1536 "max_pool_index"
          b14: f32[4] at 1024 "sum"
          b15: f32[72] at 1536 "conv_filter_grad"
          b16: f32[1] output 0 "loss"
        k0 loop [256]
          each:
            e0: f32 = b1[g0]
            e1: bf16 = cast e0
            b2[g0] = e1
        k1 loop [176]
          each:
            e0: f32 = b0[g0]
            e1: bf16 = cast e0
            b3[g0] = e1
        k2 conv
            b4[256, 32, 4, 1] = b2[128, 16, 2, 1], b3[18, 6, 2, 1], b3+72[1] then bias, relu input=[2, 8, 8, 2] filter=[4, 3, 3, 2] stride=[1, 1] padding=[(1, 1), (1, 1)] dilation=[1, 1] groups=1
        k3 loop [8, 4, 4] @ pool
          over [2, 2]:
            e0: bf16 = b4[64*g0 + 8*g1 + g2 + 32*r0 + 4*r1]
            c0 = reduce_max e0
            c1 = argmax e0
          each:
            e0: bf16 = c0
            e1: i32 = c1
            b5[16*g0 + 4*g1 + g2] = e0
            b11[16*g0 + 4*g1 + g2] = e1
        k4 conv @ conv2
            b6[32, 8, 2, 1] = b5[64, 16, 4, 1], b3+76[36, 12, 4, 1] input=[2, 4, 4, 4] filter=[2, 3, 3, 4] stride=[1, 1] padding=[(1, 1), (1, 1)] dilation=[1, 1] groups=1
        k5 loop [64] @ loss
          each:
            e0: bf16 = b6[g0]
            e1: bf16 = add e0, e0
            b8[g0] = e1
        k6 conv_input_grad @ conv2
            b9[64, 16, 4, 1] = b8[32, 8, 2, 1], b3+76[36, 12, 4, 1] input=[2, 4, 4, 4] filter=[2, 3, 3, 4] stride=[1, 1] padding=[(1, 1), (1, 1)] dilation=[1, 1] groups=1
        k7 conv_filter_grad @ conv2
            b10[36, 12, 4, 1] = b5[64, 16, 4, 1], b8[32, 8, 2, 1] input=[2, 4, 4, 4] filter=[2, 3, 3, 4] stride=[1, 1] padding=[(1, 1), (1, 1)] dilation=[1, 1] groups=1
        k8 loop [8, 2, 4, 2, 4] @ pool
          each:
            e0: bf16 = b9[16*g0 + 4*g2 + g4]
            e1: i32 = b11[16*g0 + 4*g2 + g4]
            e2: i32 = index 2*g1 + g3
            e3: bool = eq e1, e2
            e4: bf16 = 0
            e5: bf16 = select e3, e0, e4
            e6: bf16 = b4[64*g0 + 32*g1 + 8*g2 + 4*g3 + g4]
            e7: bool = le e6, e4
            e8: bf16 = select e7, e4, e5
            b4[64*g0 + 32*g1 + 8*g2 + 4*g3 + g4] = e8
        k9 conv_filter_grad @ conv1
            b15[18, 6, 2, 1] = b2[128, 16, 2, 1], b4[256, 32, 4, 1] input=[2, 8, 8, 2] filter=[4, 3, 3, 2] stride=[1, 1] padding=[(1, 1), (1, 1)] dilation=[1, 1] groups=1
        k10 loop [4]
          over [128]:
            e0: bf16 = b4[g0 + 4*r0]
            e1: f32 = cast e0
            c0 = sum e1
          each:
            e0: f32 = c0
            b14[g0] = e0
        k11 loop [] @ loss
          over [64]:
            e0: bf16 = b6[r0]
            e1: bf16 = mul e0, e0
            e2: f32 = cast e1
            c0 = sum e2
          each:
            e0: f32 = c0
            b16[0] = e0
        k12 loop [176]
          each:
            l0 = (g0 + 32) / 36
            l1 = (g0 + 32) % 36
            l2 = (l1) / 12
            l3 = (l1) % 12
            l4 = (l3) / 4
            l5 = (l3) % 4
            l6 = (g0) / 18
            l7 = (g0) % 18
            l8 = (l7) / 6
            l9 = (l7) % 6
            l10 = (l9) / 2
            l11 = (l9) % 2
            e0: f32 = b0[g0]
            e1: f32 = b10[36*l0 + 12*l2 + 4*l4 + l5 - 108] if g0 - 76 in 0..72 else 0
            e2: f32 = b14[g0 - 72] if g0 - 72 in 0..4 else 0
            e3: f32 = add e1, e2
            e4: f32 = b15[18*l6 + 6*l8 + 2*l10 + l11] if g0 in 0..72 else 0
            e5: f32 = add e3, e4
            e6: f32 = 0.125
            e7: f32 = mul e5, e6
            e8: f32 = sub e0, e7
            b0[g0] = e8
    "#]],
    );
}

#[test]
fn a_layer_norm_is_f32_between_products() {
    check(
        r#"graph {
  %0: f32[4,6] = input "x"
  %1: f32[6,8] = input "w1"
  %2: f32[4,8] = dot(%0, %1)
  %3: f32[4] = sum(%2) {axes=[1]}
  %4: f32[] = constant {value=0.125}
  %5: f32[1] = reshape(%4)
  %6: f32[4] = broadcast(%5)
  %7: f32[4] = mul(%3, %6)
  %8: f32[4,1] = reshape(%7)
  %9: f32[4,8] = broadcast(%8)
  %10: f32[4,8] = sub(%2, %9)
  %11: f32[4,8] = mul(%10, %10)
  %12: f32[4] = sum(%11) {axes=[1]}
  %13: f32[4] = rsqrt(%12)
  %14: f32[4,1] = reshape(%13)
  %15: f32[4,8] = broadcast(%14)
  %16: f32[4,8] = mul(%10, %15)
  %17: f32[8,3] = input "w2"
  %18: f32[4,3] = dot(%16, %17)
  %19: f32[4] = sum(%18) {axes=[1]}
  return %19 as "y"
}"#,
        expect![[r#"
            graph {
              %0: f32[4,6] = input "x"
              %1: f32[6,8] = input "w1"
              %2: bf16[4,6] = cast(%0)
              %3: bf16[6,8] = cast(%1)
              %4: bf16[4,8] = dot(%2, %3)
              %5: f32[4,8] = cast(%4)
              %6: f32[4] = sum(%5) {axes=[1]}
              %7: f32[] = constant {value=0.125}
              %8: f32[1] = reshape(%7)
              %9: f32[4] = broadcast(%8)
              %10: f32[4] = mul(%6, %9)
              %11: f32[4,1] = reshape(%10)
              %12: f32[4,8] = broadcast(%11)
              %13: f32[4,8] = sub(%5, %12)
              %14: f32[4,8] = mul(%13, %13)
              %15: f32[4] = sum(%14) {axes=[1]}
              %16: f32[4] = rsqrt(%15)
              %17: f32[4,1] = reshape(%16)
              %18: f32[4,8] = broadcast(%17)
              %19: f32[4,8] = mul(%13, %18)
              %20: bf16[4,8] = cast(%19)
              %21: f32[8,3] = input "w2"
              %22: bf16[8,3] = cast(%21)
              %23: bf16[4,3] = dot(%20, %22)
              %24: f32[4,3] = cast(%23)
              %25: f32[4] = sum(%24) {axes=[1]}
              return %25 as "y"
            }"#]],
    );
}

#[test]
fn a_softmax_is_f32_and_an_output_is_not_rounded() {
    check(
        r#"graph {
  %0: f32[4,6] = input "x"
  %1: f32[6,8] = input "w1"
  %2: f32[4,8] = dot(%0, %1)
  %3: f32[4] = reduce_max(%2) {axes=[1]}
  %4: f32[4,1] = reshape(%3)
  %5: f32[4,8] = broadcast(%4)
  %6: f32[4,8] = sub(%2, %5)
  %7: f32[4,8] = exp(%6)
  %8: f32[4] = sum(%7) {axes=[1]}
  %9: f32[4,1] = reshape(%8)
  %10: f32[4,8] = broadcast(%9)
  %11: f32[4,8] = div(%7, %10)
  %12: f32[8,3] = input "w2"
  %13: f32[4,3] = dot(%11, %12)
  return %13 as "y"
}"#,
        expect![[r#"
            graph {
              %0: f32[4,6] = input "x"
              %1: f32[6,8] = input "w1"
              %2: bf16[4,6] = cast(%0)
              %3: bf16[6,8] = cast(%1)
              %4: bf16[4,8] = dot(%2, %3)
              %5: f32[4,8] = cast(%4)
              %6: f32[4] = reduce_max(%5) {axes=[1]}
              %7: f32[4,1] = reshape(%6)
              %8: f32[4,8] = broadcast(%7)
              %9: f32[4,8] = sub(%5, %8)
              %10: f32[4,8] = exp(%9)
              %11: f32[4] = sum(%10) {axes=[1]}
              %12: f32[4,1] = reshape(%11)
              %13: f32[4,8] = broadcast(%12)
              %14: f32[4,8] = div(%10, %13)
              %15: bf16[4,8] = cast(%14)
              %16: f32[4,8] = cast(%15)
              %17: f32[8,3] = input "w2"
              %18: bf16[8,3] = cast(%17)
              %19: f32[8,3] = cast(%18)
              %20: f32[4,3] = dot(%16, %19)
              return %20 as "y"
            }"#]],
    );
}

#[test]
fn what_is_narrow_already_stays_as_it_is() {
    let narrow_already = r#"graph {
  %0: bf16[4,6] = input "x"
  %1: bf16[6,8] = input "w"
  %2: bf16[4,8] = dot(%0, %1)
  %3: bf16[4,8] = exp(%2)
  %4: f32[4,8] = cast(%3)
  %5: f32[4] = sum(%4) {axes=[1]}
  return %5 as "y"
}"#;
    let graph = Graph::parse(narrow_already).unwrap();
    for precision in Precision::ALL {
        assert_eq!(narrow(&graph, precision).unwrap().to_string(), graph.to_string());
    }
}

#[test]
fn precisions_have_names() {
    for precision in Precision::ALL {
        assert_eq!(precision.to_string().parse::<Precision>().unwrap(), precision);
    }
    let e = "bf17".parse::<Precision>().unwrap_err().to_string();
    assert_eq!(e, "there is no precision `bf17`; there are f32, bf16, f16");
}
