//! Programs whose kernels are easily put together wrongly: values that are read where they lay after something else
//! was stored there, states that are written while others of a strip still read them, masks that outlive what they
//! were made from. Each failed once.

use onestep::backend::Device;
use onestep::backend::reference::{Value, evaluate};
use onestep::ir::*;
use onestep::passes::{Passes, compile};
use onestep::testing::{devices, fill, run_once};

fn f32s(shape: impl Into<Shape>, seed: u32) -> Literal {
    let shape = shape.into();
    Literal::from_f32(shape.clone(), &fill(seed, shape.elements(), -1.0, 1.0)).unwrap()
}

/// Compares outputs on the CPU, on one thread and on three, and on a GPU with the reference's.
fn check(g: &Graph, inputs: &[Literal], states: &[Literal]) {
    let devices = devices().into_iter().chain([Device::cpu_with_threads(3)]);
    devices.for_each(|device| check_on(&device, g, inputs, states));
}

fn check_on(device: &Device, g: &Graph, inputs: &[Literal], states: &[Literal]) {
    let compiled = compile(g, &device.target(), Passes::all()).unwrap();
    let (outputs, _) = run_once(device, &compiled, inputs, states).unwrap();
    let values = |l: &[Literal]| l.iter().map(Value::from_literal).collect::<Vec<_>>();
    let want = evaluate(g, &values(inputs), &values(states)).unwrap();
    for (o, want) in want.outputs.iter().enumerate() {
        let got = outputs[o].to_f64();
        let wrong = got.iter().zip(&want.data).position(|(a, b)| (*a - *b).abs() > 1e-3);
        assert!(wrong.is_none(), "output {o}, element {wrong:?}: {got:?} is not {:?}", want.data);
    }
}

#[test]
fn bias_updated_in_a_strip() {
    let mut g = Graph::new();
    let ty = |s: &[usize]| Type { dtype: DType::F32, shape: s.to_vec().into() };
    let x = g.input("x", ty(&[2, 8, 16, 4])).unwrap();
    let w = g.input("w", ty(&[512, 1, 1, 4])).unwrap();
    let b = g.state("b", ty(&[512])).unwrap();
    let spec = ConvSpec { stride: vec![1; 2], padding: vec![(0, 0); 2], dilation: vec![1; 2], groups: 1 };
    let y = g.push(Op::Conv(spec), &[x, w]).unwrap();
    let shape = g.shape(y).clone();
    let ones = g.reshape(b, [1, 1, 1, 512]);
    let wide = g.broadcast(ones, &shape);
    let y = g.add(y, wide);
    g.output("y", y).unwrap();
    let ten = g.full_like(10.0, b);
    let next = g.add(b, ten);
    g.update(StateId(0), next).unwrap();
    check(&g, &[f32s([2, 8, 16, 4], 1), f32s([512, 1, 1, 4], 2)], &[f32s([512], 3)]);
}

#[test]
fn chosen_after_overwritten() {
    let mut g = Graph::new();
    let ty = |s: &[usize]| Type { dtype: DType::F32, shape: s.to_vec().into() };
    let a = g.input("a", ty(&[64, 48])).unwrap();
    let w = g.input("w", ty(&[48, 48])).unwrap();
    let y = g.input("y", ty(&[64, 48])).unwrap();
    let c = g.input("c", Type { dtype: DType::Bool, shape: Shape::scalar() }).unwrap();
    let d = g.push(Op::Dot { ta: false, tb: false }, &[a, w]).unwrap();
    let two = g.full_like(2.0, d);
    let t = g.mul(d, two);
    let e = g.push(Op::Dot { ta: false, tb: false }, &[t, w]).unwrap();
    let ones = g.reshape(c, [1, 1]);
    let cond = g.broadcast(ones, &[64, 48].into());
    let chosen = g.select(cond, d, y);
    let f = g.push(Op::Dot { ta: false, tb: false }, &[chosen, w]).unwrap();
    g.output("e", e).unwrap();
    g.output("f", f).unwrap();
    let c = Literal::from_f64(DType::Bool, Shape::scalar(), &[1.0]).unwrap();
    check(&g, &[f32s([64, 48], 1), f32s([48, 48], 2), f32s([64, 48], 3), c], &[]);
}

/// A ReLU after a product with a bias, whose mask is used elsewhere, too: before the choice, or with another zero.
fn mask_first(zero: f64) {
    let mut g = Graph::new();
    let ty = |s: &[usize]| Type { dtype: DType::F32, shape: s.to_vec().into() };
    let a = g.input("a", ty(&[64, 48])).unwrap();
    let w = g.input("w", ty(&[48, 48])).unwrap();
    let b = g.input("b", ty(&[48])).unwrap();
    let d = g.push(Op::Dot { ta: false, tb: false }, &[a, w]).unwrap();
    let ones = g.reshape(b, [1, 48]);
    let wide = g.broadcast(ones, &[64, 48].into());
    let s = g.add(d, wide);
    let z = g.full_like(0.0, s);
    let z2 = g.full_like(zero, s);
    let m = g.compare(Compare::Le, s, z2);
    if zero.is_sign_positive() {
        let n = g.cast(m, DType::F32);
        let n = g.sum(n, &[0, 1]);
        let y = g.select(m, z, s);
        g.output("n", n).unwrap();
        g.output("y", y).unwrap();
    } else {
        let y = g.select(m, z, s);
        let n = g.cast(m, DType::F32);
        let n = g.sum(n, &[0, 1]);
        g.output("n", n).unwrap();
        g.output("y", y).unwrap();
    }
    check(&g, &[f32s([64, 48], 1), f32s([48, 48], 2), f32s([48], 3)], &[]);
}

#[test]
fn mask_used_before_the_choice() {
    mask_first(0.0);
}

#[test]
fn mask_of_minus_zero() {
    mask_first(-0.0);
}
