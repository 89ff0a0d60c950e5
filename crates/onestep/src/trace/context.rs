//! The trace: the graph being built, what was declared in it, and the first error.

use std::cell::RefCell;
use std::rc::Rc;

use super::init::Init;
use super::{Mode, Scope, Tensor};
use crate::error::{Error, Result};
use crate::ir::{DType, Graph, Literal, NodeId, Op, Shape, StateId, Type};

/// A graph under construction. Cheap to clone: clones build the same graph.
///
/// Operations on tensors never fail at once: the first error is kept here, everything after it is a
/// no-op, and [`Trace::finish`] and [`Scope::check`] return it.
#[derive(Clone, Default)]
pub struct Trace(Rc<RefCell<Recording>>);

#[derive(Default)]
struct Recording {
    graph: Graph,
    error: Option<Error>,
    parameters: Vec<Parameter>,
    buffers: Vec<Buffer>,
    layers: Vec<LayerInfo>,
    /// Indices into `layers` of those entered and not left, outermost first.
    open: Vec<usize>,
    streams: u32,
}

/// A trainable parameter, f32.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Full name: "block2.conv1.weight".
    pub name: String,
    /// Shape.
    pub shape: Shape,
    /// Its state in the graph.
    pub state: StateId,
    /// How it is initialised.
    pub init: Init,
}

/// What a state is for; decides what saves, trains and resets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StateKind {
    /// Trained by the optimizer, saved with the model.
    Parameter,
    /// Not trained, saved with the model (running statistics).
    Buffer,
    /// Belongs to the optimizer.
    Slot,
    /// Belongs to the engine (step counter, seed).
    System,
}

/// A state that is not trained, with the value it starts from.
#[derive(Clone, Debug, PartialEq)]
pub struct Buffer {
    /// Full name: "block2.norm.running_mean".
    pub name: String,
    /// Shape.
    pub shape: Shape,
    /// Element type.
    pub dtype: DType,
    /// Its state in the graph.
    pub state: StateId,
    /// What it is for.
    pub kind: StateKind,
    /// The value of every element before the first step.
    pub value: f64,
}

/// One layer of a traced model, for summaries and profiles. Layers stand in the order they were entered.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerInfo {
    /// Full name: "block2.conv1".
    pub path: String,
    /// The kind of layer: "conv2d".
    pub kind: String,
    /// Shape of its result.
    pub output: Shape,
    /// Its result in the trace's graph.
    pub node: NodeId,
    /// Parameter elements created in it, those of layers inside it left out.
    pub parameters: usize,
}

/// A finished trace.
#[derive(Clone, Debug)]
pub struct Traced {
    /// The graph with its outputs and state updates.
    pub graph: Graph,
    /// Parameters in the order of their declaration.
    pub parameters: Vec<Parameter>,
    /// All other declared states in the order of their declaration.
    pub buffers: Vec<Buffer>,
    /// Layers in the order they were entered.
    pub layers: Vec<LayerInfo>,
}

impl Trace {
    /// A trace of an empty graph.
    pub fn new() -> Self {
        Self::default()
    }

    /// Continues a graph: its inputs and states are found by [`Trace::tensor`] and [`Trace::state`].
    /// Random streams start after those in use.
    pub fn from_graph(graph: Graph) -> Self {
        let used =
            graph.nodes().filter_map(|(_, n)| if let Op::Random { stream, .. } = n.op { Some(stream) } else { None });
        let streams = used.max().map_or(0, |s| s.wrapping_add(1));
        Trace(Rc::new(RefCell::new(Recording { graph, streams, ..Default::default() })))
    }

    /// Declares an input that the host passes at each step. A name used twice is an error.
    pub fn input(&self, name: &str, shape: impl Into<Shape>, dtype: DType) -> Tensor {
        let ty = Type::new(shape, dtype);
        self.record(|r| r.graph.input(name, ty))
    }

    /// A state that lives on the device: declares it, or finds it where it was declared before with the
    /// same type.
    pub fn state(&self, name: &str, shape: impl Into<Shape>, dtype: DType) -> Tensor {
        let ty = Type::new(shape, dtype);
        self.record(|r| match r.graph.states().iter().position(|d| d.name == name) {
            None => r.graph.state(name, ty),
            Some(i) if r.graph.states()[i].ty == ty => Ok(r.graph.read_state(StateId(i as u32))),
            Some(i) => Err(Error::name(format!(
                "state `{name}` is asked for as {ty} but was declared as {}; rename one of them",
                r.graph.states()[i].ty
            ))),
        })
    }

    /// A constant tensor.
    pub fn constant(&self, literal: Literal) -> Tensor {
        self.push(Op::Constant(literal), &[])
    }

    /// A constant number of shape []. A number that the dtype cannot hold (2.5 as i32) is an error.
    pub fn scalar(&self, value: f64, dtype: DType) -> Tensor {
        let literal = Literal::scalar(dtype, value);
        if !dtype.is_float() && literal.get(0) != value {
            return self
                .fail(Error::dtype(format!("the number {value} is no {dtype}; cast the tensor to a float first")));
        }
        self.constant(literal)
    }

    /// A tensor whose elements all have one value.
    pub fn full(&self, shape: impl Into<Shape>, value: f64, dtype: DType) -> Tensor {
        self.scalar(value, dtype).broadcast_to(shape)
    }

    /// Zeros.
    pub fn zeros(&self, shape: impl Into<Shape>, dtype: DType) -> Tensor {
        self.full(shape, 0.0, dtype)
    }

    /// Ones.
    pub fn ones(&self, shape: impl Into<Shape>, dtype: DType) -> Tensor {
        self.full(shape, 1.0, dtype)
    }

    /// The coordinate along an axis, counted from 0 (any dtype but bool).
    pub fn iota(&self, shape: impl Into<Shape>, axis: i64, dtype: DType) -> Tensor {
        let shape = shape.into();
        match super::axes::axis(axis, &shape) {
            Ok(axis) => self.push(Op::Iota { shape, axis, dtype }, &[]),
            Err(e) => self.fail(e.at("iota")),
        }
    }

    /// A handle to a node of the graph.
    pub fn tensor(&self, node: NodeId) -> Tensor {
        self.record(|r| match node.index() < r.graph.len() {
            true => Ok(node),
            false => Err(Error::graph(format!("there is no node %{} in this trace", node.0))),
        })
    }

    /// The root scope, under which parameters are named.
    pub fn scope(&self, mode: Mode) -> Scope {
        Scope::root(self.clone(), mode)
    }

    /// Names a result that the host can read. A name used twice is an error.
    pub fn set_output(&self, name: &str, tensor: &Tensor) {
        if let Some(node) = self.own(tensor) {
            self.record(|r| r.graph.output(name, node).map(|()| node));
        }
    }

    /// The graph with everything declared, or the first error. Clones of the trace and its tensors stay valid.
    pub fn finish(self) -> Result<Traced> {
        self.check()?;
        let r = self.0.borrow();
        Ok(Traced {
            graph: r.graph.clone(),
            parameters: r.parameters.clone(),
            buffers: r.buffers.clone(),
            layers: r.layers.clone(),
        })
    }

    /// The first error so far.
    pub fn check(&self) -> Result<()> {
        match &self.0.borrow().error {
            None => Ok(()),
            Some(e) => Err(Error::new(e.kind(), e.to_string())),
        }
    }

    /// Adds an op, or records why it does not fit and gives a poisoned tensor.
    pub(super) fn push(&self, op: Op, inputs: &[&Tensor]) -> Tensor {
        let Some(nodes) = inputs.iter().map(|t| self.own(t)).collect::<Option<Vec<_>>>() else {
            return Tensor::new(self.clone(), None);
        };
        self.record(|r| r.graph.push(op, &nodes))
    }

    /// Keeps an error if it is the first, with the layer it happened in, and gives a poisoned tensor.
    pub(super) fn fail(&self, error: Error) -> Tensor {
        let mut r = self.0.borrow_mut();
        if r.error.is_none() {
            let place = r.open.last().map(|&i| place(&r.layers[i].kind, &r.layers[i].path));
            r.error = Some(match place {
                Some(place) => error.at(place),
                None => error,
            });
        }
        Tensor::new(self.clone(), None)
    }

    fn record(&self, f: impl FnOnce(&mut Recording) -> Result<NodeId>) -> Tensor {
        let made = f(&mut self.0.borrow_mut());
        match made {
            Ok(node) => Tensor::new(self.clone(), Some(node)),
            Err(e) => self.fail(e),
        }
    }

    /// The node of a tensor of this trace. A tensor of another trace hands over its error or is one.
    fn own(&self, tensor: &Tensor) -> Option<NodeId> {
        if !Rc::ptr_eq(&self.0, &tensor.trace().0) {
            let foreign = || Error::graph("tensors of two traces meet in one operation; build both in one trace");
            self.fail(tensor.trace().check().err().unwrap_or_else(foreign));
            return None;
        }
        tensor.node()
    }

    /// The type of a node of this trace.
    pub(super) fn ty(&self, node: NodeId) -> Type {
        self.0.borrow().graph.ty(node)
    }

    /// Declares a trainable parameter under its full name.
    pub(super) fn parameter(&self, name: String, shape: Shape, init: Init) -> Tensor {
        self.record(|r| {
            let (state, node) = r.declare(&name, Type::new(&shape, DType::F32), "parameter")?;
            if let Some(&layer) = r.open.last() {
                r.layers[layer].parameters += shape.elements();
            }
            r.parameters.push(Parameter { name, shape, state, init });
            Ok(node)
        })
    }

    /// Declares a state that is not trained under its full name.
    pub(super) fn buffer(&self, name: String, ty: Type, kind: StateKind, value: f64) -> Tensor {
        self.record(|r| {
            let (state, node) = r.declare(&name, ty.clone(), "state")?;
            r.buffers.push(Buffer { name, shape: ty.shape, dtype: ty.dtype, state, kind, value });
            Ok(node)
        })
    }

    /// A state of the engine's, declared where it is first asked for.
    pub(super) fn system(&self, name: &str, shape: impl Into<Shape>) -> Tensor {
        let ty = Type::new(shape, DType::U32);
        let declared = self.0.borrow().graph.states().iter().any(|d| d.name == name);
        match declared {
            true => self.state(name, &ty.shape, ty.dtype),
            false => self.buffer(name.to_string(), ty, StateKind::System, 0.0),
        }
    }

    /// Sets the value that a state has after the step.
    pub(super) fn update(&self, state: &Tensor, new: &Tensor) {
        let (Some(state), Some(new)) = (self.own(state), self.own(new)) else { return };
        self.record(|r| match r.graph.node(state).op {
            Op::State(id) => r.graph.update(id, new).map(|()| new),
            _ => Err(Error::graph("only a state can be updated; pass the tensor that declared it")),
        });
    }

    /// Marks the layer at a path; see [`Scope::checkpoint`].
    pub(super) fn checkpoint(&self, path: &str) {
        self.0.borrow_mut().graph.checkpoint(path);
    }

    /// A number that no other random tensor of this trace has.
    pub(super) fn next_stream(&self) -> u32 {
        let mut r = self.0.borrow_mut();
        let stream = r.streams;
        r.streams = stream.wrapping_add(1);
        stream
    }

    /// Runs a layer: nodes carry its path, its errors name it, and a summary of it is kept.
    pub(super) fn layer(&self, path: &str, kind: &str, f: impl FnOnce() -> Result<Tensor>) -> Result<Tensor> {
        self.check()?;
        let (index, before) = {
            let mut r = self.0.borrow_mut();
            let index = r.layers.len();
            r.open.push(index);
            r.layers.push(LayerInfo {
                path: path.to_string(),
                kind: kind.to_string(),
                output: Shape::scalar(),
                node: NodeId(0),
                parameters: 0,
            });
            (index, r.graph.set_scope(path))
        };
        let result = f();
        if let Err(e) = &result {
            self.fail(Error::new(e.kind(), e.to_string()));
        }
        let mut r = self.0.borrow_mut();
        r.graph.set_scope(&before);
        r.open.pop();
        drop(r);
        self.check()?;
        let output = result?;
        if let Some(node) = self.own(&output) {
            let mut r = self.0.borrow_mut();
            let shape = r.graph.shape(node).clone();
            let layer = &mut r.layers[index];
            (layer.output, layer.node) = (shape, node);
        }
        Ok(output)
    }
}

impl Recording {
    fn declare(&mut self, name: &str, ty: Type, what: &str) -> Result<(StateId, NodeId)> {
        if self.graph.states().iter().any(|d| d.name == name) {
            return Err(Error::name(format!(
                "there is already a {what} `{name}`; name this layer differently, or reuse the tensor to share it"
            )));
        }
        let node = self.graph.state(name, ty)?;
        Ok((StateId(self.graph.states().len() as u32 - 1), node))
    }
}

/// How errors name a layer: "conv2d `block2.conv1`", or "in `block2`" for a function.
fn place(kind: &str, path: &str) -> String {
    match kind {
        "module" => format!("in `{path}`"),
        _ => format!("{kind} `{path}`"),
    }
}
