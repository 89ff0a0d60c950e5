//! scratch
use std::rc::Rc; use std::time::Instant;
use onestep::backend::Device; use onestep::engine::*; use onestep::ir::*; use onestep::nn::*; use onestep::optim::*; use onestep::passes::Passes; use onestep::trace::{Module, Scope, Tensor}; use onestep::Result;
fn mlp(s: &Scope, x: Tensor) -> Result<Tensor> {
    let x = Linear::new(128).apply(s, "fc1", x)?.relu();
    let x = Linear::new(64).apply(s, "fc2", x)?.relu();
    Linear::new(10).apply(s, "fc3", x)
}
fn small_cnn(s: &Scope, mut x: Tensor) -> Result<Tensor> {
    for (name, filters, stride) in [("conv1", 32, 1), ("conv2", 32, 2), ("conv3", 64, 1), ("conv4", 64, 2)] {
        x = onestep::nn::Conv2d::new(filters, 3).stride(stride).padding(Padding::from(1)).apply(s, name, x)?.relu();
    }
    let x = Linear::new(128).apply(s, "fc1", x.flatten(1..))?.relu();
    let x = Dropout::new(0.5).apply(s, "d", x)?;
    Linear::new(10).apply(s, "fc2", x)
}
fn seed_cnn(s: &Scope, x: Tensor) -> Result<Tensor> {
    let x = onestep::nn::Conv2d::new(8, 3).padding(Padding::from(1)).apply(s, "conv1", x)?.relu();
    Linear::new(2).apply(s, "fc1", x.mean([1, 2]))
}
fn time(name: &str, m: impl Module + 'static, sample: &[usize], opt: Rc<dyn Optimizer>, threads: usize, n: usize) {
    let def = Definition { model: Rc::new(m), loss: Rc::new(loss::sparse_cross_entropy()), optimizer: opt, schedule: Schedule::constant(), clip: None, input: Spec::new(sample, DType::F32), target: Spec::new(Shape::scalar(), DType::I32), scaling: None, seed: 0 };
    let t = Instant::now();
    let mut e = Engine::new(&Device::cpu_with_threads(threads), def, Passes::from_env().unwrap()).unwrap();
    let shape: Vec<usize> = [&[32], sample].concat();
    let k: usize = shape.iter().product();
    let x = Literal::from_f32(shape, &onestep::testing::fill(1, k, 0.0, 1.0)).unwrap();
    let y = Literal::from_f64(DType::I32, [32], &[1.0; 32]).unwrap();
    e.train_step(&x, &y).unwrap();
    println!("{name}: first step {:.1} ms", t.elapsed().as_secs_f64() * 1e3);
    if std::env::var("PLAN").is_ok() { println!("{}", e.plan(32).unwrap()); }
    let mut all = vec![];
    for _ in 0..5 { let t = Instant::now(); for _ in 0..n { e.train_step(&x, &y).unwrap(); } all.push(t.elapsed().as_secs_f64() * 1e6 / n as f64); }
    println!("{name} threads {threads}: {all:.0?} us, peak {}", e.peak_bytes());
}
fn main() {
    let which = std::env::args().nth(1).unwrap_or_default();
    for t in [1, 2] {
        if which.is_empty() || which == "seed" { time("seed_cnn", seed_cnn, &[32, 32, 3], Rc::new(Sgd::new(0.01).momentum(0.9)), t, 100); }
        if which.is_empty() || which == "mlp" { time("mlp", mlp, &[784], Rc::new(Adam::new(1e-3)), t, 200); }
        if which.is_empty() || which == "small" { time("small_cnn", small_cnn, &[32, 32, 3], Rc::new(Adam::new(1e-3)), t, 10); }
    }
}
