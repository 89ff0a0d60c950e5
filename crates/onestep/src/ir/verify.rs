//! The verifier: every rule a graph must keep, all violations at once.

use std::fmt;

use super::infer::{Type, infer};
use super::op::Op;
use super::{Graph, NodeId};

/// A rule that a graph breaks, with the node and the pass after which it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The pass after which it was found.
    pub pass: String,
    /// The offending node, if it is one.
    pub node: Option<NodeId>,
    /// The layer that made the node.
    pub scope: String,
    /// The broken rule.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "after {}: ", self.pass)?;
        if let Some(node) = self.node {
            write!(f, "%{}: ", node.0)?;
        }
        if !self.scope.is_empty() {
            write!(f, "in `{}`: ", self.scope)?;
        }
        f.write_str(&self.message)
    }
}

/// Checks a graph; an empty answer means that it is sound.
///
/// Rules: inputs come before their users; each node has the type its op's rule gives; leaves agree with
/// their declarations; outputs and updates name existing nodes; a state is updated at most once, with a
/// value of its own type (states are donated, so a second update would be a double use).
pub fn verify(graph: &Graph, pass: &str) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut report = |node: Option<NodeId>, message: String| {
        let scope = node.filter(|n| n.index() < graph.len()).map(|n| graph.scope_of(n).to_string());
        found.push(Violation { pass: pass.to_string(), node, scope: scope.unwrap_or_default(), message });
    };
    for (id, node) in graph.nodes() {
        if let Some(bad) = node.inputs.iter().find(|i| **i >= id) {
            report(Some(id), format!("uses %{} which does not come before it", bad.0));
            continue;
        }
        let has = Type::new(&node.shape, node.dtype);
        let want = match node.op {
            Op::Input(i) => graph.inputs().get(i.0 as usize).map(|d| d.ty.clone()),
            Op::State(s) => graph.states().get(s.0 as usize).map(|d| d.ty.clone()),
            _ => {
                let types: Vec<Type> = node.inputs.iter().map(|&i| graph.ty(i)).collect();
                match infer(&node.op, &types) {
                    Ok(ty) => Some(ty),
                    Err(e) => {
                        report(Some(id), e.to_string());
                        continue;
                    }
                }
            }
        };
        match want {
            None => report(Some(id), format!("{} is not declared", node.op.name())),
            Some(want) if want != has => report(Some(id), format!("is {has} but its rule gives {want}")),
            Some(_) => {}
        }
    }
    for (name, id) in graph.outputs() {
        if id.index() >= graph.len() {
            report(None, format!("output `{name}` names %{} which does not exist", id.0));
        }
    }
    for (i, (state, id)) in graph.updates().iter().enumerate() {
        let Some(declared) = graph.states().get(state.0 as usize) else {
            report(None, format!("an update names state s{} which does not exist", state.0));
            continue;
        };
        if id.index() >= graph.len() {
            report(None, format!("the update of `{}` names %{} which does not exist", declared.name, id.0));
        } else if graph.ty(*id) != declared.ty {
            let has = graph.ty(*id);
            report(Some(*id), format!("state `{}` is {} but its new value is {has}", declared.name, declared.ty));
        }
        if graph.updates()[..i].iter().any(|(s, _)| s == state) {
            report(None, format!("state `{}` is updated twice", declared.name));
        }
    }
    found
}

/// Panics with every violation: passes call it in debug builds, where a violation is a bug of ours.
pub fn assert_valid(graph: &Graph, pass: &str) {
    let found = verify(graph, pass);
    if !found.is_empty() {
        let list: Vec<String> = found.iter().map(|v| v.to_string()).collect();
        panic!("onestep bug: the graph is broken\n{}", list.join("\n"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::{DType, Unary};

    #[test]
    fn reports_all_violations() {
        let mut g = Graph::new();
        let x = g.input("x", Type::new([2], DType::F32)).unwrap();
        g.push_unchecked(Op::Unary(Unary::Exp), vec![x], Type::new([3], DType::F32));
        g.push_unchecked(Op::Unary(Unary::Exp), vec![NodeId(9)], Type::new([2], DType::F32));
        g.push_unchecked(Op::Unary(Unary::Not), vec![x], Type::new([2], DType::Bool));
        let found: Vec<String> = verify(&g, "fuse").iter().map(|v| v.to_string()).collect();
        assert_eq!(
            found,
            [
                "after fuse: %1: is f32[3] but its rule gives f32[2]",
                "after fuse: %2: uses %9 which does not come before it",
                "after fuse: %3: not: wants bool, not f32[2]; cast it",
            ]
        );
    }
}
