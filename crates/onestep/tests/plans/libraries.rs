//! Plans for devices with libraries: which products and convolutions stay calls, and what they take in.

use expect_test::expect;
use onestep::ir::Graph;
use onestep::passes::{Passes, compile};
use onestep::plan::Target;
use onestep::testing::gpu;

use super::check_on;

/// Products that BLAS takes stay calls; a small one, and one whose bias starts in the middle, become loop nests.
#[test]
fn a_device_with_blas_alone() {
    check_on(
        &Target { library_dots: 1000, epilogues: true, nest_work: u64::MAX, ..gpu() },
        r#"graph {
  %0: bf16[16,8] = input "x"
  %1: bf16[8,16] = input "w"
  %2: bf16[40] = input "b"
  %3: bf16[16] = slice(%2) {start=[8],stop=[24]}
  %4: bf16[1,16] = reshape(%3)
  %5: bf16[16] = slice(%2) {start=[20],stop=[36]}
  %6: bf16[1,16] = reshape(%5)
  %7: bf16[16,16] = dot(%0, %1)
  %8: bf16[16,16] = broadcast(%4)
  %9: bf16[16,16] = add(%7, %8)
  %10: bf16[16,16] = broadcast(%6)
  %11: bf16[16,16] = mul(%9, %9)
  %12: bf16[16,16] = dot(%11, %11)
  %13: bf16[16,16] = add(%12, %10)
  %14: bf16[8,8] = dot(%0, %0) {ta}
  %15: bf16[4,8] = slice(%0) {start=[0,0],stop=[4,8]}
  %16: bf16[8,8] = dot(%15, %15) {ta}
  return %9 as "layer"
  return %13 as "bias between"
  return %14 as "square"
  return %16 as "small"
}"#,
        expect![[r#"
            plan, arena 512 bytes
              b0: bf16[128] input 0 "x"
              b1: bf16[128] input 1 "w"
              b2: bf16[40] input 2 "b"
              b3: bf16[256] at 0 "add"
              b8: bf16[256] output 0 "layer"
              b9: bf16[256] output 1 "bias between"
              b10: bf16[64] output 2 "square"
              b11: bf16[64] output 3 "small"
            k0 dot
                b3[256, 16, 1] = b0[0, 8, 1], b1[0, 16, 1], b2+8[1] then bias b=1 m=16 n=16 k=8
            k1 dot
                b10[64, 8, 1] = b0[0, 1, 8], b0[0, 8, 1] b=1 m=8 n=8 k=16
            k2 loop [256] by threads, 256 a workgroup, vectors of 8
              each:
                e0: bf16 = b3[g0]
                e1: bf16 = mul e0, e0
                b3[g0] = e1
                b8[g0] = e0
            k3 loop [16, 16] by matrix tiles, 256 a workgroup
              over [16]:
                e0: bf16 = b3[16*g0 + r0]
                e1: f32 = cast e0
                e2: bf16 = b3[g1 + 16*r0]
                e3: f32 = cast e2
                e4: f32 = mul e1, e3
                c0 = sum e4
              each:
                e0: f32 = c0
                e1: bf16 = b2[g1 + 20]
                e2: f32 = cast e1
                e3: f32 = add e0, e2
                e4: bf16 = cast e3
                b9[16*g0 + g1] = e4
            k4 loop [8, 8] by matrix tiles, 256 a workgroup
              over [4]:
                e0: bf16 = b0[g0 + 8*r0]
                e1: f32 = cast e0
                e2: bf16 = b0[g1 + 8*r0]
                e3: f32 = cast e2
                e4: f32 = mul e1, e3
                c0 = sum e4
              each:
                e0: f32 = c0
                e1: bf16 = cast e0
                b11[8*g0 + g1] = e1
        "#]],
    );
}

/// Where TF32 is allowed, the library is for larger products than where it is not.
#[test]
fn f32_is_for_blas_from_where_it_pays() {
    let graph = r#"graph {
  %0: f32[16,8] = input "x"
  %1: f32[8,8] = dot(%0, %0) {ta}
  return %1 as "square"
}"#;
    let target = |tf32, library_tf32| Target { library_dots: 1000, tf32, library_tf32, ..gpu() };
    check_on(
        &target(false, 1025),
        graph,
        expect![[r#"
        plan, arena 0 bytes
          b0: f32[128] input 0 "x"
          b2: f32[64] output 0 "square"
        k0 dot
            b2[64, 8, 1] = b0[0, 1, 8], b0[0, 8, 1] b=1 m=8 n=8 k=16
    "#]],
    );
    check_on(
        &target(true, 1024),
        graph,
        expect![[r#"
        plan, arena 0 bytes
          b0: f32[128] input 0 "x"
          b2: f32[64] output 0 "square"
        k0 dot
            b2[64, 8, 1] = b0[0, 1, 8], b0[0, 8, 1] in tf32 b=1 m=8 n=8 k=16
    "#]],
    );
    check_on(
        &target(true, 1025),
        graph,
        expect![[r#"
        plan, arena 0 bytes
          b0: f32[128] input 0 "x"
          b2: f32[64] output 0 "square"
        k0 loop [8, 8] by matrix tiles, 256 a workgroup
          over [16]:
            e0: f32 = b0[g0 + 8*r0]
            e1: f32 = b0[g1 + 8*r0]
            e2: f32 = mul e0, e1
            c0 = sum e2
          each:
            e0: f32 = c0
            b2[8*g0 + g1] = e0
    "#]],
    );
}

/// Convolutions that cuDNN takes stay calls, with their epilogues; what follows otherwise is a loop. The gradient of a
/// filter stays f32 from its sum on. One of four channels becomes a loop nest, and so does a small filter's gradient.
#[test]
fn a_device_with_convolutions_of_cudnn() {
    check_on(
        &Target { library_convs: 10_000, epilogues: true, nest_work: u64::MAX, ..gpu() },
        r#"graph {
  %0: bf16[2,6,6,8] = input "x"
  %1: bf16[8,3,3,8] = input "w"
  %2: bf16[8] = input "b"
  %3: bf16[1,1,1,8] = reshape(%2)
  %4: bf16[2,6,6,8] = conv(%0, %1) {stride=[1,1],padding=[1:1,1:1],dilation=[1,1],groups=1}
  %5: bf16[2,6,6,8] = broadcast(%3)
  %6: bf16[2,6,6,8] = add(%4, %5)
  %7: bf16[2,6,6,8] = conv_input_grad(%6, %1) {stride=[1,1],padding=[1:1,1:1],dilation=[1,1],groups=1}
  %8: bf16[2,6,6,8] = mul(%7, %0)
  %9: f32[2,6,6,8] = cast(%0)
  %10: f32[2,6,6,8] = cast(%6)
  %11: f32[8,3,3,8] = conv_filter_grad(%9, %10) {stride=[1,1],padding=[1:1,1:1],dilation=[1,1],groups=1}
  %12: bf16[2,6,6,4] = slice(%0) {start=[0,0,0,0],stop=[2,6,6,4]}
  %13: bf16[8,3,3,4] = slice(%1) {start=[0,0,0,0],stop=[8,3,3,4]}
  %14: bf16[2,6,6,8] = conv(%12, %13) {stride=[1,1],padding=[1:1,1:1],dilation=[1,1],groups=1}
  return %8 as "dx"
  return %11 as "dw"
  return %14 as "few channels"
}"#,
        expect![[r#"
            plan, arena 3328 bytes
              b0: bf16[576] input 0 "x"
              b1: bf16[576] input 1 "w"
              b2: bf16[8] input 2 "b"
              b3: bf16[576] at 0 "add"
              b4: bf16[576] at 1280 "conv_input_grad"
              b6: bf16[288] at 0 "slice"
              b7: bf16[288] at 2560 "slice"
              b9: bf16[576] output 0 "dx"
              b10: f32[576] output 1 "dw"
              b11: bf16[576] output 2 "few channels"
            k0 conv
                b3[288, 48, 8, 1] = b0[288, 48, 8, 1], b1[72, 24, 8, 1], b2[1] then bias input=[2, 6, 6, 8] filter=[8, 3, 3, 8] stride=[1, 1] padding=[(1, 1), (1, 1)] dilation=[1, 1] groups=1
            k1 conv_input_grad
                b4[288, 48, 8, 1] = b3[288, 48, 8, 1], b1[72, 24, 8, 1] input=[2, 6, 6, 8] filter=[8, 3, 3, 8] stride=[1, 1] padding=[(1, 1), (1, 1)] dilation=[1, 1] groups=1
            k2 conv_filter_grad
                b10[72, 24, 8, 1] = b0[288, 48, 8, 1], b3[288, 48, 8, 1] input=[2, 6, 6, 8] filter=[8, 3, 3, 8] stride=[1, 1] padding=[(1, 1), (1, 1)] dilation=[1, 1] groups=1
            island k3 to k4
            k3 loop [72, 4] by threads, 256 a workgroup
              each:
                e0: bf16 = b0[8*g0 + g1]
                b6[4*g0 + g1] = e0
            k4 loop [72, 4] by threads, 256 a workgroup
              each:
                e0: bf16 = b1[8*g0 + g1]
                b7[4*g0 + g1] = e0
            k5 loop [576] by threads, 256 a workgroup, vectors of 8
              each:
                e0: bf16 = b4[g0]
                e1: bf16 = b0[g0]
                e2: bf16 = mul e0, e1
                b9[g0] = e2
            k6 loop [2, 6, 6, 8] by matrix tiles, 256 a workgroup
              over [3, 3, 4]:
                e0: bf16 = b6[144*g0 + 24*g1 + 4*g2 + 24*r0 + 4*r1 + r2 - 28] if g1 + r0 - 1 in 0..6 and g2 + r1 - 1 in 0..6 else 0
                e1: f32 = cast e0
                e2: bf16 = b7[36*g3 + 12*r0 + 4*r1 + r2]
                e3: f32 = cast e2
                e4: f32 = mul e1, e3
                c0 = sum e4
              each:
                e0: f32 = c0
                e1: bf16 = cast e0
                b11[288*g0 + 48*g1 + 8*g2 + g3] = e1
        "#]],
    );
}

/// The gradient of what goes into a convolution takes the mask of the ReLU that made it, told from the ReLU's result. With
/// a stride the mask is a loop of its own.
#[test]
fn gradients_of_inputs_take_masks() {
    let of = |stride: usize, output: &str| {
        format!(
            r#"graph {{
  %0: bf16[2,6,6,8] = input "x"
  %1: bf16[8,3,3,8] = input "w"
  %2: bf16[1,1,1,8] = input "b"
  %3: bf16[16,3,3,8] = input "w2"
  %4: bf16[{output}] = input "dy"
  %5: bf16[2,6,6,8] = conv(%0, %1) {{stride=[1,1],padding=[1:1,1:1],dilation=[1,1],groups=1}}
  %6: bf16[2,6,6,8] = broadcast(%2)
  %7: bf16[2,6,6,8] = add(%5, %6)
  %8: bf16[1,1,1,1] = constant {{value=0}}
  %9: bf16[2,6,6,8] = broadcast(%8)
  %10: bool[2,6,6,8] = le(%7, %9)
  %11: bf16[2,6,6,8] = select(%10, %9, %7)
  %12: bf16[2,6,6,8] = conv_input_grad(%4, %3) {{stride=[{stride},{stride}],padding=[1:1,1:1],dilation=[1,1],groups=1}}
  %13: bf16[2,6,6,8] = select(%10, %9, %12)
  return %11 as "y"
  return %13 as "dx"
}}"#
        )
    };
    let target = Target { library_convs: 10_000, epilogues: true, masks: true, nest_work: u64::MAX, ..gpu() };
    check_on(
        &target,
        &of(1, "2,6,6,16"),
        expect![[r#"
        plan, arena 1280 bytes
          b0: bf16[576] input 0 "x"
          b1: bf16[576] input 1 "w"
          b2: bf16[8] input 2 "b"
          b3: bf16[1152] input 3 "w2"
          b4: bf16[1152] input 4 "dy"
          b5: bf16[576] at 0 "select"
          b7: bf16[576] output 0 "y"
          b8: bf16[576] output 1 "dx"
        k0 conv
            b5[288, 48, 8, 1] = b0[288, 48, 8, 1], b1[72, 24, 8, 1], b2[1] then bias, relu input=[2, 6, 6, 8] filter=[8, 3, 3, 8] stride=[1, 1] padding=[(1, 1), (1, 1)] dilation=[1, 1] groups=1
        k1 conv_input_grad
            b8[288, 48, 8, 1] = b4[576, 96, 16, 1], b3[72, 24, 8, 1], b5[288, 48, 8, 1] then mask input=[2, 6, 6, 8] filter=[16, 3, 3, 8] stride=[1, 1] padding=[(1, 1), (1, 1)] dilation=[1, 1] groups=1
        k2 loop [576] by threads, 256 a workgroup, vectors of 8
          each:
            e0: bf16 = b5[g0]
            b7[g0] = e0
    "#]],
    );
    check_on(
        &target,
        &of(2, "2,3,3,16"),
        expect![[r#"
        plan, arena 2560 bytes
          b0: bf16[576] input 0 "x"
          b1: bf16[576] input 1 "w"
          b2: bf16[8] input 2 "b"
          b3: bf16[1152] input 3 "w2"
          b4: bf16[288] input 4 "dy"
          b5: bf16[576] at 0 "select"
          b6: bf16[576] at 1280 "conv_input_grad"
          b7: bf16[576] output 0 "y"
          b8: bf16[576] output 1 "dx"
        k0 conv
            b5[288, 48, 8, 1] = b0[288, 48, 8, 1], b1[72, 24, 8, 1], b2[1] then bias, relu input=[2, 6, 6, 8] filter=[8, 3, 3, 8] stride=[1, 1] padding=[(1, 1), (1, 1)] dilation=[1, 1] groups=1
        k1 conv_input_grad
            b6[288, 48, 8, 1] = b4[144, 48, 16, 1], b3[72, 24, 8, 1] input=[2, 6, 6, 8] filter=[16, 3, 3, 8] stride=[2, 2] padding=[(1, 1), (1, 1)] dilation=[1, 1] groups=1
        k2 loop [576] by threads, 256 a workgroup, vectors of 8
          each:
            e0: bf16 = b5[g0]
            e1: bf16 = 0
            e2: bool = le e0, e1
            e3: bf16 = b6[g0]
            e4: bf16 = select e2, e1, e3
            b7[g0] = e0
            b8[g0] = e4
    "#]],
    );
    // What cuDNN does not take has its mask inside its loop.
    check_on(
        &Target { library_convs: 0, ..target },
        &of(1, "2,6,6,16"),
        expect![[r#"
        plan, arena 1280 bytes
          b0: bf16[576] input 0 "x"
          b1: bf16[576] input 1 "w"
          b2: bf16[8] input 2 "b"
          b3: bf16[1152] input 3 "w2"
          b4: bf16[1152] input 4 "dy"
          b5: bf16[576] at 0 "select"
          b7: bf16[576] output 0 "y"
          b8: bf16[576] output 1 "dx"
        k0 loop [2, 6, 6, 8] by matrix tiles, 256 a workgroup
          over [3, 3, 8]:
            e0: bf16 = b0[288*g0 + 48*g1 + 8*g2 + 48*r0 + 8*r1 + r2 - 56] if g1 + r0 - 1 in 0..6 and g2 + r1 - 1 in 0..6 else 0
            e1: f32 = cast e0
            e2: bf16 = b1[72*g3 + 24*r0 + 8*r1 + r2]
            e3: f32 = cast e2
            e4: f32 = mul e1, e3
            c0 = sum e4
          each:
            e0: f32 = c0
            e1: bf16 = b2[g3]
            e2: f32 = cast e1
            e3: f32 = add e0, e2
            e4: f32 = 0
            e5: bool = le e3, e4
            e6: f32 = select e5, e4, e3
            e7: bf16 = cast e6
            b5[288*g0 + 48*g1 + 8*g2 + g3] = e7
            b7[288*g0 + 48*g1 + 8*g2 + g3] = e7
        k1 loop [2, 6, 6, 8] by matrix tiles, 256 a workgroup
          over [3, 3, 16]:
            e0: bf16 = b4[576*g0 + 96*g1 + 16*g2 - 96*r0 - 16*r1 + r2 + 112] if g1 - r0 + 1 in 0..6 and g2 - r1 + 1 in 0..6 else 0
            e1: f32 = cast e0
            e2: bf16 = b3[g3 + 24*r0 + 8*r1 + 72*r2]
            e3: f32 = cast e2
            e4: f32 = mul e1, e3
            c0 = sum e4
          each:
            e0: f32 = c0
            e1: bf16 = b5[288*g0 + 48*g1 + 8*g2 + g3]
            e2: f32 = cast e1
            e3: f32 = 0
            e4: bool = le e2, e3
            e5: f32 = select e4, e3, e0
            e6: bf16 = cast e5
            b8[288*g0 + 48*g1 + 8*g2 + g3] = e6
    "#]],
    );
}

#[test]
fn a_small_filters_gradient_is_not_for_cudnn() {
    let graph = r#"graph {
  %0: bf16[2,6,6,16] = input "x"
  %1: bf16[2,6,6,8] = input "dy"
  %2: bf16[8,3,3,16] = conv_filter_grad(%0, %1) {stride=[1,1],padding=[1:1,1:1],dilation=[1,1],groups=1}
  return %2 as "dw"
}"#;
    for (least, call) in [(128, true), (129, false)] {
        let target = Target { library_convs: 1, library_filters: least, nest_work: u64::MAX, ..gpu() };
        let plan = compile(&Graph::parse(graph).unwrap(), &target, Passes::all()).unwrap().plan;
        let kept = plan.kernels.iter().any(|k| k.kind_name() == "conv_filter_grad");
        assert_eq!(kept, call, "{least}");
    }
}
