//! Scopes: names of layers and parameters, random numbers, the step, and the mode.

use std::f64::consts::PI;

use super::init::Init;
use super::{StateKind, Tensor, Trace};
use crate::error::Result;
use crate::ir::{DType, Op, Shape, Type};

/// What a model is traced for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Training: dropout drops, batch norm uses and updates batch statistics.
    Train,
    /// Evaluation and inference.
    Eval,
}

/// A place in a model: parameters declared here are named under its path.
#[derive(Clone)]
pub struct Scope {
    trace: Trace,
    path: String,
    mode: Mode,
}

impl Scope {
    pub(super) fn root(trace: Trace, mode: Mode) -> Self {
        Scope { trace, path: String::new(), mode }
    }

    /// The scope `name` inside this one.
    pub fn child(&self, name: &str) -> Scope {
        Scope { path: self.full_name(name), ..self.clone() }
    }

    /// The path of names from the root: "block2.conv1", empty at the root.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The trace that is being built.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// What the model is traced for.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether the model is traced for training.
    pub fn training(&self) -> bool {
        self.mode == Mode::Train
    }

    /// Declares a trainable parameter, f32. A name used twice is an error.
    pub fn param(&self, name: &str, shape: impl Into<Shape>, init: Init) -> Tensor {
        self.trace.parameter(self.full_name(name), shape.into(), init)
    }

    /// Declares a state that is saved but not trained, f32, every element `value` at first.
    pub fn buffer(&self, name: &str, shape: impl Into<Shape>, value: f64) -> Tensor {
        self.trace.buffer(self.full_name(name), Type::new(shape, DType::F32), StateKind::Buffer, value)
    }

    /// Declares a state of an optimizer, f32, every element `value` at first.
    pub fn slot(&self, name: &str, shape: impl Into<Shape>, value: f64) -> Tensor {
        self.trace.buffer(self.full_name(name), Type::new(shape, DType::F32), StateKind::Slot, value)
    }

    /// Sets the value that a parameter, buffer or slot has after the step: of its type, and once.
    pub fn update(&self, state: &Tensor, new: &Tensor) {
        self.trace.update(state, new);
    }

    /// Random numbers, uniform in [0, 1), f32: new ones at each step and each call. They follow from the
    /// states "rng.seed" (`u32[2]`) and "rng.step" (`u32[]`), which the engine sets and advances.
    pub fn uniform(&self, shape: impl Into<Shape>) -> Tensor {
        let op = Op::Random { shape: shape.into(), dtype: DType::F32, stream: self.trace.next_stream() };
        self.trace.push(op, &[&self.trace.system("rng.seed", [2]), &self.step()])
    }

    /// Random numbers of the standard normal distribution, f32, by Box and Muller's transform of two
    /// [`Scope::uniform`] tensors.
    pub fn normal(&self, shape: impl Into<Shape>) -> Tensor {
        let shape = shape.into();
        let radius = ((1.0 - self.uniform(&shape)).log() * -2.0).sqrt();
        radius * (self.uniform(shape) * (2.0 * PI)).cos()
    }

    /// The number of steps done before this one: u32[].
    pub fn step(&self) -> Tensor {
        self.trace.system("rng.step", Shape::scalar())
    }

    /// The number of this step, 1 at the first: f32[].
    pub fn step_number(&self) -> Tensor {
        self.step().cast(DType::F32) + 1.0
    }

    /// Runs a layer in the scope `name`: its nodes carry the path, its errors begin with "kind `path`:"
    /// (or "in `path`:" where the kind is just "module"), and a [`LayerInfo`](super::LayerInfo) is kept.
    /// Gives the first error, if there is one.
    pub fn layer(&self, name: &str, kind: &str, f: impl FnOnce(&Scope) -> Result<Tensor>) -> Result<Tensor> {
        let scope = self.child(name);
        self.trace.layer(&scope.path, kind, || f(&scope))
    }

    /// Runs a block of layers in the scope `name`, as [`Scope::layer`] does, and marks it as a checkpoint:
    /// what it computes is not kept for the backward pass but computed again there, from what comes into it.
    /// Of a stack of such blocks only their results are kept, at the price of a second forward pass (Chen et al.
    /// 2016, "Training deep nets with sublinear memory cost"). Results and gradients keep their bits, running
    /// statistics are updated once. Marks nest; what leaves the block by other ways than `f`'s result counts as a
    /// result too. Nothing changes outside of training.
    ///
    /// ```
    /// use onestep::prelude::*;
    ///
    /// fn deep(s: &Scope, mut x: Tensor) -> Result<Tensor> {
    ///     for i in 0..16 {
    ///         x = s.checkpoint(&format!("block{i}"), |s| {
    ///             let y = Linear::new(64).apply(s, "fc1", x.clone())?.relu();
    ///             Ok(x + Linear::new(64).apply(s, "fc2", y)?)
    ///         })?;
    ///     }
    ///     Linear::new(10).apply(s, "out", x)
    /// }
    /// # let trace = onestep::trace::Trace::new();
    /// # let x = trace.input("x", [2, 64], onestep::trace::DType::F32);
    /// # assert_eq!(deep(&trace.scope(Mode::Train), x)?.shape().dims(), [2, 10]);
    /// # Ok::<(), onestep::Error>(())
    /// ```
    pub fn checkpoint(&self, name: &str, f: impl FnOnce(&Scope) -> Result<Tensor>) -> Result<Tensor> {
        self.layer(name, "module", |s| {
            s.mark_checkpoint();
            f(s)
        })
    }

    /// Marks this scope as [`Scope::checkpoint`] does.
    pub(crate) fn mark_checkpoint(&self) {
        self.trace.checkpoint(&self.path);
    }

    /// The first error of the trace so far.
    pub fn check(&self) -> Result<()> {
        self.trace.check()
    }

    fn full_name(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_string() } else { format!("{}.{name}", self.path) }
    }
}
