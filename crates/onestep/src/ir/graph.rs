//! The graph: an arena of nodes in SSA form, hash-consed, in topological order by construction.

use std::collections::HashMap;

use super::infer::{Type, infer};
use super::op::{InputId, Op, StateId};
use super::{DType, Shape};
use crate::error::{Error, Result};

/// A node's index in its graph. A node's inputs always have smaller ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u32);

impl NodeId {
    /// The id as an index.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// One value: what computes it, from what, of which type, and which layer asked for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The operation.
    pub op: Op,
    /// Its inputs, in the order the op's documentation gives.
    pub inputs: Vec<NodeId>,
    /// Result shape.
    pub shape: Shape,
    /// Result dtype.
    pub dtype: DType,
    scope: u32,
}

impl Node {
    /// The inputs whose values it reads: all but the one that [`Op::After`] only waits for.
    pub fn operands(&self) -> &[NodeId] {
        match self.op {
            Op::After => &self.inputs[..1],
            _ => &self.inputs,
        }
    }
}

/// A declared input or state: its name and type.
#[derive(Clone, Debug, PartialEq)]
pub struct Declaration {
    /// Unique among its kind.
    pub name: String,
    /// Its type.
    pub ty: Type,
}

/// A static program over tensors: inputs and states in, outputs and new state values out.
#[derive(Clone, Debug)]
pub struct Graph {
    nodes: Vec<Node>,
    consed: HashMap<(Op, Vec<NodeId>), NodeId>,
    scopes: Vec<String>,
    scope: u32,
    inputs: Vec<Declaration>,
    states: Vec<Declaration>,
    outputs: Vec<(String, NodeId)>,
    updates: Vec<(StateId, NodeId)>,
    checkpoints: Vec<String>,
}

impl Default for Graph {
    fn default() -> Self {
        Graph {
            nodes: Vec::new(),
            consed: HashMap::new(),
            scopes: vec![String::new()],
            scope: 0,
            inputs: Vec::new(),
            states: Vec::new(),
            outputs: Vec::new(),
            updates: Vec::new(),
            checkpoints: Vec::new(),
        }
    }
}

impl Graph {
    /// An empty graph.
    pub fn new() -> Self {
        Self::default()
    }

    /// Declares an input and gives its node. A name used before is an error.
    pub fn input(&mut self, name: &str, ty: Type) -> Result<NodeId> {
        let id = self.declare_input(name, ty)?;
        Ok(self.read_input(id))
    }

    /// Declares a state and gives the node of its value at the start of the step.
    pub fn state(&mut self, name: &str, ty: Type) -> Result<NodeId> {
        let id = self.declare_state(name, ty)?;
        Ok(self.read_state(id))
    }

    /// Declares an input that nothing reads yet.
    pub(super) fn declare_input(&mut self, name: &str, ty: Type) -> Result<InputId> {
        declare(&mut self.inputs, "input", name, ty)?;
        Ok(InputId(self.inputs.len() as u32 - 1))
    }

    /// Declares a state that nothing reads yet.
    pub(super) fn declare_state(&mut self, name: &str, ty: Type) -> Result<StateId> {
        declare(&mut self.states, "state", name, ty)?;
        Ok(StateId(self.states.len() as u32 - 1))
    }

    /// The node of a declared input.
    pub(super) fn read_input(&mut self, id: InputId) -> NodeId {
        let ty = self.inputs[id.0 as usize].ty.clone();
        self.insert(Op::Input(id), Vec::new(), ty)
    }

    /// The node of a declared state's value at the start of the step.
    pub(crate) fn read_state(&mut self, id: StateId) -> NodeId {
        let ty = self.states[id.0 as usize].ty.clone();
        self.insert(Op::State(id), Vec::new(), ty)
    }

    /// Adds an op (or finds the same one), checking its inputs' types. Inputs and states are declared
    /// with [`Graph::input`] and [`Graph::state`].
    pub fn push(&mut self, op: Op, inputs: &[NodeId]) -> Result<NodeId> {
        let types: Vec<Type> = inputs.iter().map(|&i| self.ty(i)).collect();
        let ty = infer(&op, &types)?;
        Ok(self.insert(op, inputs.to_vec(), ty))
    }

    fn insert(&mut self, op: Op, inputs: Vec<NodeId>, ty: Type) -> NodeId {
        let next = NodeId(self.nodes.len() as u32);
        let key = (op, inputs);
        if let Some(&id) = self.consed.get(&key) {
            return id;
        }
        let (op, inputs) = key.clone();
        self.consed.insert(key, next);
        self.nodes.push(Node { op, inputs, shape: ty.shape, dtype: ty.dtype, scope: self.scope });
        next
    }

    /// Marks the layer at a path: gradients taken from now on compute again what its nodes, and those of layers
    /// inside it, gave, rather than have it kept (Chen et al. 2016, "Training deep nets with sublinear memory
    /// cost"). The same twice is the same as once.
    pub fn checkpoint(&mut self, path: &str) {
        if !self.checkpoints.iter().any(|p| p == path) {
            self.checkpoints.push(path.to_string());
        }
    }

    /// Names a result that the host can read. A name used before is an error.
    pub fn output(&mut self, name: &str, node: NodeId) -> Result<()> {
        if self.outputs.iter().any(|(n, _)| n == name) {
            return Err(Error::name(format!("there are two outputs named `{name}`; rename one")));
        }
        self.outputs.push((name.to_string(), node));
        Ok(())
    }

    /// Sets the value a state has after the step. Twice for one state is an error.
    pub fn update(&mut self, state: StateId, node: NodeId) -> Result<()> {
        let declared = &self.states[state.0 as usize];
        if self.updates.iter().any(|(s, _)| *s == state) {
            return Err(Error::graph(format!("state `{}` is updated twice in one step", declared.name)));
        }
        let ty = self.ty(node);
        if ty != declared.ty {
            return Err(Error::shape(format!(
                "state `{}` is {} but its new value is {ty}",
                declared.name, declared.ty
            )));
        }
        self.updates.push((state, node));
        Ok(())
    }

    /// Removes every update and gives them back: for who wants to wrap them and set them anew.
    pub fn take_updates(&mut self) -> Vec<(StateId, NodeId)> {
        std::mem::take(&mut self.updates)
    }

    /// A node.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    /// Every node with its id, inputs before users.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = (NodeId, &Node)> {
        self.nodes.iter().enumerate().map(|(i, n)| (NodeId(i as u32), n))
    }

    /// The number of nodes.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is no node.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// A node's shape.
    pub fn shape(&self, id: NodeId) -> &Shape {
        &self.node(id).shape
    }

    /// A node's dtype.
    pub fn dtype(&self, id: NodeId) -> DType {
        self.node(id).dtype
    }

    /// A node's type.
    pub fn ty(&self, id: NodeId) -> Type {
        Type::new(self.shape(id), self.dtype(id))
    }

    /// The path of the layer that made a node ("block2.conv1"), empty at the top.
    pub fn scope_of(&self, id: NodeId) -> &str {
        &self.scopes[self.node(id).scope as usize]
    }

    /// Sets the path that new nodes carry and gives the one before.
    pub fn set_scope(&mut self, path: &str) -> String {
        let before = self.scopes[self.scope as usize].clone();
        self.scope = match self.scopes.iter().position(|s| s == path) {
            Some(i) => i as u32,
            None => {
                self.scopes.push(path.to_string());
                self.scopes.len() as u32 - 1
            }
        };
        before
    }

    /// The declared inputs; [`InputId`] indexes them.
    pub fn inputs(&self) -> &[Declaration] {
        &self.inputs
    }

    /// The declared states; [`StateId`] indexes them.
    pub fn states(&self) -> &[Declaration] {
        &self.states
    }

    /// The named results.
    pub fn outputs(&self) -> &[(String, NodeId)] {
        &self.outputs
    }

    /// The states that change, with their new values.
    pub fn updates(&self) -> &[(StateId, NodeId)] {
        &self.updates
    }

    /// The paths of layers that [`Graph::checkpoint`] marked.
    pub fn checkpoints(&self) -> &[String] {
        &self.checkpoints
    }

    /// Every node something depends on: outputs and new state values, in order.
    pub fn roots(&self) -> impl Iterator<Item = NodeId> {
        self.outputs.iter().map(|(_, n)| *n).chain(self.updates.iter().map(|(_, n)| *n))
    }

    /// Which nodes the roots reach, by index.
    pub fn live(&self) -> Vec<bool> {
        let mut live = vec![false; self.len()];
        self.roots().for_each(|n| live[n.index()] = true);
        for i in (0..self.len()).rev() {
            if live[i] {
                self.nodes[i].inputs.iter().for_each(|n| live[n.index()] = true);
            }
        }
        live
    }

    /// Builds a new graph from the live nodes of this one: `rewrite` gets the new graph, the old node and
    /// its new inputs, and says what stands for it. Declarations and marks are kept; scopes are set before each call.
    pub fn rewrite(
        &self,
        mut rewrite: impl FnMut(&mut Graph, NodeId, &[NodeId]) -> Result<NodeId>,
    ) -> Result<(Graph, Vec<Option<NodeId>>)> {
        let (inputs, states, checkpoints) = (self.inputs.clone(), self.states.clone(), self.checkpoints.clone());
        let mut new = Graph { inputs, states, checkpoints, ..Graph::default() };
        let mut map: Vec<Option<NodeId>> = vec![None; self.len()];
        let live = self.live();
        for (id, node) in self.nodes().filter(|(id, _)| live[id.index()]) {
            let inputs: Vec<NodeId> = node.inputs.iter().filter_map(|i| map[i.index()]).collect();
            new.set_scope(self.scope_of(id));
            map[id.index()] = Some(rewrite(&mut new, id, &inputs)?);
        }
        new.set_scope("");
        let at = |id: &NodeId| map[id.index()].unwrap_or_else(|| panic!("onestep bug: root {id:?} was not rewritten"));
        new.outputs = self.outputs.iter().map(|(n, id)| (n.clone(), at(id))).collect();
        new.updates = self.updates.iter().map(|(s, id)| (*s, at(id))).collect();
        Ok((new, map))
    }

    /// Puts a copy of one of another graph's nodes here, on inputs that live here. Leaves keep their ids,
    /// so both graphs must have the same declarations.
    pub fn copy_node(&mut self, node: &Node, inputs: &[NodeId]) -> Result<NodeId> {
        match node.op {
            Op::Input(_) | Op::State(_) => {
                Ok(self.insert(node.op.clone(), Vec::new(), Type::new(&node.shape, node.dtype)))
            }
            _ => self.push(node.op.clone(), inputs),
        }
    }

    /// Adds a node without checking anything; the verifier's tests need broken graphs.
    #[cfg(test)]
    pub(crate) fn push_unchecked(&mut self, op: Op, inputs: Vec<NodeId>, ty: Type) -> NodeId {
        self.nodes.push(Node { op, inputs, shape: ty.shape, dtype: ty.dtype, scope: 0 });
        NodeId(self.nodes.len() as u32 - 1)
    }
}

fn declare(list: &mut Vec<Declaration>, kind: &str, name: &str, ty: Type) -> Result<()> {
    if list.iter().any(|d| d.name == name) {
        return Err(Error::name(format!("there are two {kind}s named `{name}`; rename one")));
    }
    if ty.shape.checked_elements().is_none() {
        return Err(Error::shape(format!("{kind} `{name}` {ty} has more than 2^48 elements")));
    }
    list.push(Declaration { name: name.to_string(), ty });
    Ok(())
}
