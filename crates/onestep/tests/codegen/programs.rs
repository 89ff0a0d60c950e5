//! The small programs that kernels are printed for.

use onestep::grad::gradients;
use onestep::ir::{ConvSpec, DType, Graph, Literal, NodeId, Op};
use onestep::nn::loss::{Loss, sparse_cross_entropy};
use onestep::passes::{Passes, compile};
use onestep::plan::{Plan, Target};
use onestep::testing::{MOMENTUM_OF_A_LAYER, OpCase, fill, gpu};
use onestep::trace::{Mode, Tensor, Trace};

/// What a graph compiles to.
pub fn planned(graph: &Graph, passes: &str) -> Plan {
    planned_for(graph, &gpu(), passes)
}

/// The same where products of f32 may round their operands to TF32.
pub fn planned_in_tf32(graph: &Graph) -> Plan {
    planned_for(graph, &Target { tf32: true, ..gpu() }, "")
}

/// The same for a device without matrix units.
pub fn planned_for_threads(graph: &Graph) -> Plan {
    planned_for(graph, &Target { matrix_units: false, ..gpu() }, "")
}

fn planned_for(graph: &Graph, target: &Target, passes: &str) -> Plan {
    compile(graph, target, passes.parse::<Passes>().unwrap()).unwrap().plan
}

/// A program with contents for its inputs and states: floats in [-1, 1), small whole numbers.
fn case(name: &str, graph: Graph, tolerance_terms: usize) -> OpCase {
    let contents = |i: usize, ty: &onestep::ir::Declaration| {
        let (seed, n) = (i as u32 + 1, ty.ty.shape.elements());
        let (low, high) = if ty.ty.dtype.is_float() { (-1.0, 1.0) } else { (0.0, 9.99) };
        let values: Vec<f64> = fill(seed, n, low, high).into_iter().map(f64::from).collect();
        Literal::from_f64(ty.ty.dtype, &ty.ty.shape, &values).unwrap()
    };
    let inputs = graph.inputs().iter().enumerate().map(|(i, d)| contents(i, d)).collect();
    let states = graph.states().iter().enumerate().map(|(i, d)| contents(i + 100, d)).collect();
    OpCase { name: name.into(), graph, inputs, states, tolerance_terms }
}

fn traced(name: &str, terms: usize, build: impl FnOnce(&Trace) -> Vec<Tensor>) -> OpCase {
    let t = Trace::new();
    for (i, y) in build(&t).iter().enumerate() {
        t.set_output(&format!("y{i}"), y);
    }
    case(name, t.finish().unwrap().graph, terms)
}

/// The same with the gradients of its only output with respect to some inputs as further outputs.
fn with_gradients(mut case: OpCase, inputs: &[u32]) -> OpCase {
    let g = &mut case.graph;
    let loss = g.outputs()[0].1;
    let node = |g: &Graph, i: u32| {
        g.nodes().find(|(_, n)| matches!(n.op, Op::Input(id) if id.0 == i)).map(|(id, _)| id).unwrap()
    };
    let wrt: Vec<NodeId> = inputs.iter().map(|&i| node(g, i)).collect();
    for (i, d) in gradients(g, loss, &wrt).unwrap().into_iter().enumerate() {
        g.output(&format!("d{i}"), d).unwrap();
    }
    case
}

const F32: DType = DType::F32;

/// Views that fold into an index map.
pub fn views() -> OpCase {
    traced("views", 0, |t| {
        let x = t.input("x", [6, 4], F32).permute([1, 0]).reshape([2, 2, 6]).flip(2);
        vec![x.slice(2, 1, 6, 2).pad(&[0, 0, 1], &[0, 0, 1], 0.5).reshape([20]).exp()]
    })
}

/// A large reduction over few points.
pub fn bias_gradient() -> OpCase {
    traced("bias gradient", 1 << 13, |t| vec![t.input("g", [32, 16, 16, 8], F32).sum(0..3)])
}

/// Sums and maxima of so many columns that a thread takes several.
pub fn columns() -> OpCase {
    traced("columns", 12, |t| {
        let x = t.input("x", [12, 1 << 17], DType::BF16).cast(F32);
        vec![x.sum(0..1), x.max(0..1)]
    })
}

/// Sums of so many columns of what is stored too, and too dear to be computed twice.
pub fn stored_columns() -> OpCase {
    traced("stored columns", 12, |t| {
        let z = t.input("x", [12, 1 << 17], DType::BF16).tanh().exp();
        vec![z.clone(), z.cast(F32).sum(0..1)]
    })
}

/// A linear layer with a ReLU over so many features.
pub fn product(features: usize) -> OpCase {
    traced("product", features, |t| {
        let (x, w) = (t.input("x", [32, features], F32), t.input("w", [features, 24], F32));
        vec![(x.matmul(&w) + t.input("b", [24], F32)).relu()]
    })
}

/// A layer of few rows whose weights lie along the features.
pub fn small_linear(rows: usize, features: usize, dtype: DType) -> OpCase {
    traced("small linear", features, |t| {
        let (x, w) = (t.input("x", [rows, features], dtype), t.input("w", [40, features], dtype));
        vec![x.matmul(&w.permute([1, 0]))]
    })
}

/// The gradients of such a layer's input and weights.
pub fn small_linear_gradients(rows: usize, features: usize) -> OpCase {
    let loss = traced("gradients of a small linear", features, |t| {
        let (x, w) = (t.input("x", [rows, features], F32), t.input("w", [40, features], F32));
        vec![(x.matmul(&w.permute([1, 0])) * t.input("g", [rows, 40], F32)).sum(0..2)]
    });
    with_gradients(loss, &[0, 1])
}

/// A product of bf16 that is large enough to fill a device.
pub fn bf16_product() -> OpCase {
    traced("bf16 product", 64, |t| {
        vec![t.input("x", [1024, 64], DType::BF16).matmul(&t.input("w", [64, 512], DType::BF16))]
    })
}

/// A layer of f16 with a bias and a ReLU.
pub fn f16_layer() -> OpCase {
    traced("f16 layer", 64, |t| {
        let (x, w) = (t.input("x", [128, 64], DType::F16), t.input("w", [64, 96], DType::F16));
        vec![(x.matmul(&w).cast(F32) + t.input("b", [96], F32)).relu()]
    })
}

/// A convolution with a stride, and the gradients of its input and filter.
pub fn convolution() -> OpCase {
    let loss = traced("convolution", 3000, |t| {
        let (x, w) = (t.input("x", [4, 16, 16, 8], F32), t.input("w", [8, 3, 3, 8], F32));
        let spec = ConvSpec { stride: vec![2, 2], padding: vec![(1, 1); 2], dilation: vec![1, 1], groups: 1 };
        vec![x.conv(&w, spec).tanh().sum(0..4)]
    });
    with_gradients(loss, &[0, 1])
}

/// A weighted sum of a convolution's results, with the gradients of its input and filter: what these contract is
/// what came in. `channels` come in, `filters` go out.
pub fn weighted_convolution(channels: usize, filters: usize) -> OpCase {
    let loss = traced("weighted convolution", 3000, |t| {
        let (x, w) = (t.input("x", [4, 10, 10, channels], F32), t.input("w", [filters, 3, 3, channels], F32));
        let spec = ConvSpec { stride: vec![1, 1], padding: vec![(1, 1); 2], dilation: vec![1, 1], groups: 1 };
        vec![(x.conv(&w, spec) * t.input("g", [4, 10, 10, filters], F32)).sum(0..4)]
    });
    with_gradients(loss, &[0, 1])
}

/// Programs whose products are exact in TF32.
pub fn exact_in_tf32() -> Vec<OpCase> {
    let products =
        [product(48), product(4096), product(19), small_linear(32, 784, F32), small_linear_gradients(20, 72)];
    let convolutions = [weighted_convolution(8, 24), weighted_convolution(3, 5)];
    products.into_iter().chain(convolutions).map(OpCase::coarse).collect()
}

/// Softmax over rows for a warp, and for a workgroup.
pub fn softmax(rows: usize, classes: usize) -> OpCase {
    traced("softmax", classes, |t| vec![t.input("x", [rows, classes], F32).softmax(1)])
}

/// A classifier's loss with the gradient of its logits.
pub fn cross_entropy() -> OpCase {
    let loss = traced("cross entropy", 400, |t| {
        let (logits, target) = (t.input("logits", [32, 10], F32), t.input("target", [32], DType::I32));
        vec![sparse_cross_entropy().apply(&t.scope(Mode::Train), &logits, &target).unwrap()]
    });
    with_gradients(loss, &[0])
}

/// Layer norm, and the gradients of its input and scale.
pub fn layer_norm() -> OpCase {
    let loss = traced("layer norm", 1 << 14, |t| {
        let (x, scale, g) = (t.input("x", [64, 192], F32), t.input("scale", [192], F32), t.input("g", [64, 192], F32));
        let centred = &x - x.mean_keep(1);
        let variance = (&centred * &centred).mean_keep(1);
        vec![(centred * (variance + 1e-5).rsqrt() * scale * g).sum(..)]
    });
    with_gradients(loss, &[0, 1])
}

/// The places of the largest of rows.
pub fn arg_max() -> OpCase {
    traced("arg max", 0, |t| vec![t.input("x", [16, 300], F32).argmax(1)])
}

/// Adam over a flat arena, in place.
pub fn adam() -> OpCase {
    let graph = Graph::parse(
        r#"graph {
  state s0 "params": f32[100000]
  state s1 "first": f32[100000]
  state s2 "second": f32[100000]
  %0: f32[100000] = state s0
  %1: f32[100000] = state s1
  %2: f32[100000] = state s2
  %3: f32[100000] = input "gradient"
  %4: f32[] = constant {value=0.9}
  %5: f32[1] = reshape(%4)
  %6: f32[100000] = broadcast(%5)
  %7: f32[100000] = mul(%1, %6)
  %8: f32[100000] = add(%7, %3)
  %9: f32[100000] = mul(%3, %3)
  %10: f32[100000] = mul(%2, %2)
  %11: f32[100000] = mul(%10, %6)
  %12: f32[100000] = add(%11, %9)
  %13: f32[100000] = add(%12, %6)
  %14: f32[100000] = sqrt(%13)
  %15: f32[100000] = div(%8, %14)
  %16: f32[100000] = sub(%0, %15)
  update s0 = %16
  update s1 = %8
  update s2 = %12
}"#,
    );
    case("adam", graph.unwrap(), 8)
}

/// A layer's gradients, and the step of SGD with momentum that ends the kernels which compute them.
pub fn momentum_of_a_layer() -> OpCase {
    case("momentum of a layer", Graph::parse(MOMENTUM_OF_A_LAYER).unwrap(), 64)
}

/// Dropout over an activation that is large enough for vectors.
pub fn dropout() -> OpCase {
    let graph = Graph::parse(
        r#"graph {
  %0: f32[128,512] = input "x"
  %1: u32[2] = input "seed"
  %2: u32[] = input "step"
  %3: f32[128,512] = random(%1, %2) {stream=7}
  %4: f32[] = constant {value=0.25}
  %5: f32[1,1] = reshape(%4)
  %6: f32[128,512] = broadcast(%5)
  %7: bool[128,512] = le(%6, %3)
  %8: f32[128,512] = sub(%0, %0)
  %9: f32[128,512] = select(%7, %0, %8)
  return %9 as "y"
  return %7 as "kept"
}"#,
    );
    case("dropout", graph.unwrap(), 0)
}

/// bf16 in and out.
pub fn bf16() -> OpCase {
    traced("bf16", 0, |t| {
        let (x, b) = (t.input("x", [256, 512], DType::BF16), t.input("bias", [512], DType::BF16));
        vec![(x + b).relu()]
    })
}

/// Rows of a table.
pub fn gather() -> OpCase {
    traced("gather", 0, |t| vec![t.input("table", [9, 16], F32).gather(&t.input("index", [5], DType::I32), 0)])
}

/// What the gradient of an embedding is: rows added where indices say.
pub fn scatter() -> OpCase {
    traced("scatter", 700, |t| {
        let (base, index) = (t.input("base", [100, 300], F32), t.input("index", [700], DType::I32));
        vec![base.scatter_add(&index, &t.input("updates", [700, 300], F32), 0)]
    })
}

/// Bytes of images, scaled, and a mask of bytes.
pub fn bytes() -> OpCase {
    traced("bytes", 0, |t| {
        let x = t.input("x", [64, 28, 28], DType::U8);
        vec![x.cast(F32) / 255.0, x.gt(x.flip(2))]
    })
}

/// Every program of this file.
pub fn all() -> Vec<OpCase> {
    vec![
        views(),
        product(48),
        product(4096),
        bf16_product(),
        small_linear(24, 64, DType::BF16),
        small_linear(9, 72, DType::F16),
        convolution(),
        bias_gradient(),
        columns(),
        stored_columns(),
        softmax(10, 100),
        softmax(4, 8192),
        softmax(600, 2048),
        cross_entropy(),
        layer_norm(),
        arg_max(),
        adam(),
        momentum_of_a_layer(),
        dropout(),
        bf16(),
        gather(),
        scatter(),
        bytes(),
    ]
}
