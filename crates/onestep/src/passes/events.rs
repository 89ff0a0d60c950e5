//! Events: what the barriers of a graph hold back, and until when. A barrier ([`Op::After`]) is a view that
//! stores nothing, so it lives on in the plan as an order of kernels: those that compute something through it
//! wait for those that store what its second input is made of.

use std::collections::BTreeSet;

use crate::ir::{Graph, NodeId, Op};

/// The events of a graph, numbered from 0.
pub(super) struct Events {
    /// For each node the event that it is known.
    known: Vec<Option<u32>>,
    /// For each stored node the events that its kernels signal, sorted.
    signals: Vec<Vec<u32>>,
}

impl Events {
    /// One event for each node that a live barrier waits for.
    pub(super) fn find(graph: &Graph, live: &[bool], stored: &[bool]) -> Self {
        let mut events = Events { known: vec![None; graph.len()], signals: vec![Vec::new(); graph.len()] };
        let mut next = 0;
        for (_, node) in graph.nodes().filter(|(id, node)| live[id.index()] && node.op == Op::After) {
            let when = node.inputs[1];
            if events.known[when.index()].is_some() {
                continue;
            }
            events.known[when.index()] = Some(next);
            let parts = below(graph, stored, when).into_iter().filter(|id| stored[id.index()]);
            parts.for_each(|id| events.signals[id.index()].push(next));
            next += 1;
        }
        events
    }

    /// The events that the kernels of a stored node signal.
    pub(super) fn signals(&self, id: NodeId) -> &[u32] {
        &self.signals[id.index()]
    }

    /// The events that a kernel waits for which computes these nodes on its way, sorted.
    pub(super) fn waits(&self, graph: &Graph, nodes: impl IntoIterator<Item = NodeId>) -> Vec<u32> {
        let barriers = nodes.into_iter().map(|id| graph.node(id)).filter(|node| node.op == Op::After);
        let events: BTreeSet<u32> = barriers.filter_map(|node| self.known[node.inputs[1].index()]).collect();
        events.into_iter().collect()
    }
}

/// A node and what it is computed from, down to what is stored.
pub(super) fn below(graph: &Graph, stored: &[bool], from: NodeId) -> BTreeSet<NodeId> {
    let mut found = BTreeSet::from([from]);
    let mut open = vec![from];
    while let Some(id) = open.pop() {
        if !stored[id.index()] {
            open.extend(graph.node(id).operands().iter().filter(|input| found.insert(**input)));
        }
    }
    found
}
