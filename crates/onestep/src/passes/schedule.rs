//! The order of kernels: after what they read, before what overwrites it, otherwise as the program was
//! written.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::plan::{Place, Plan};

/// Which kernels must run before which.
pub(super) struct Dependencies {
    after: Vec<Vec<usize>>,
}

impl Dependencies {
    /// From what kernels read and write: a buffer's readers follow its writers, but for states, which are
    /// read before they are written.
    pub(super) fn new(plan: &Plan) -> Self {
        let n = plan.kernels.len();
        let mut writers = vec![Vec::new(); plan.buffers.len()];
        for (k, kernel) in plan.kernels.iter().enumerate() {
            kernel.writes().iter().for_each(|b| writers[b.index()].push(k));
        }
        let mut after = vec![Vec::new(); n];
        for (k, kernel) in plan.kernels.iter().enumerate() {
            for b in kernel.reads() {
                let state = matches!(plan.buffer(b).place, Place::State(_));
                for &w in writers[b.index()].iter().filter(|&&w| w != k) {
                    if state { after[k].push(w) } else { after[w].push(k) }
                }
            }
        }
        for list in &mut after {
            list.sort_unstable();
            list.dedup();
        }
        Dependencies { after }
    }

    /// Whether `to` must wait for `from`, directly or through others.
    pub(super) fn has_path(&self, from: usize, to: usize) -> bool {
        self.reaches(self.after[from].clone(), to)
    }

    /// Whether `to` waits for `from` through another kernel.
    pub(super) fn has_detour(&self, from: usize, to: usize) -> bool {
        self.reaches(self.after[from].iter().copied().filter(|&k| k != to).collect(), to)
    }

    fn reaches(&self, mut open: Vec<usize>, to: usize) -> bool {
        let mut seen = vec![false; self.after.len()];
        while let Some(k) = open.pop() {
            if k == to {
                return true;
            }
            if !std::mem::replace(&mut seen[k], true) {
                open.extend(&self.after[k]);
            }
        }
        false
    }
}

/// Orders the kernels.
pub(super) fn schedule(plan: &mut Plan) {
    let after = Dependencies::new(plan).after;
    let mut waits = vec![0usize; after.len()];
    after.iter().flatten().for_each(|&k| waits[k] += 1);
    let mut ready: BinaryHeap<Reverse<usize>> = (0..after.len()).filter(|&k| waits[k] == 0).map(Reverse).collect();
    let mut order = Vec::with_capacity(after.len());
    while let Some(Reverse(k)) = ready.pop() {
        order.push(k);
        for &next in &after[k] {
            waits[next] -= 1;
            if waits[next] == 0 {
                ready.push(Reverse(next));
            }
        }
    }
    if order.len() != after.len() {
        panic!("onestep bug: kernels wait for each other in a circle");
    }
    let mut kernels: Vec<_> = std::mem::take(&mut plan.kernels).into_iter().map(Some).collect();
    plan.kernels = order.iter().filter_map(|&k| kernels[k].take()).collect();
}
