//! The order of kernels: after what they read and the events they wait for, before what overwrites it. Of
//! those that may run, one that gives back more memory than it takes comes first; otherwise they run as the
//! program was written.

use std::collections::{BTreeMap, BTreeSet};

use crate::plan::{BufferId, Kernel, Place, Plan, Span};

/// The buffers a kernel touches and the events it signals and waits for, each list sorted, without repeats.
pub(super) struct Uses {
    pub(super) reads: Vec<BufferId>,
    pub(super) writes: Vec<BufferId>,
    /// What it reads and writes of states.
    state_reads: Vec<Span>,
    state_writes: Vec<Span>,
    signals: Vec<u32>,
    waits: Vec<u32>,
}

impl Uses {
    pub(super) fn of(plan: &Plan, kernel: &Kernel) -> Self {
        let Kernel { signals, waits, .. } = kernel;
        let [state_reads, state_writes] = <[Vec<Span>; 2]>::from(kernel.spans(plan)).map(|mut spans| {
            spans.retain(|(buffer, _)| matches!(plan.buffer(*buffer).place, Place::State(_)));
            spans
        });
        Uses {
            reads: kernel.reads(),
            writes: kernel.writes(),
            state_reads,
            state_writes,
            signals: signals.clone(),
            waits: waits.clone(),
        }
    }

    pub(super) fn of_all(plan: &Plan) -> Vec<Self> {
        plan.kernels.iter().map(|kernel| Uses::of(plan, kernel)).collect()
    }

    /// Whether it reads elements of a state that another kernel writes.
    fn meets(&self, buffer: BufferId, writer: &Uses) -> bool {
        let here = |span: &&Span| span.0 == buffer;
        self.state_reads.iter().filter(here).any(|(_, read)| {
            let written = writer.state_writes.iter().filter(here);
            written.into_iter().any(|(_, written)| read.start < written.end && written.start < read.end)
        })
    }

    /// Every buffer once.
    fn touched(&self) -> impl Iterator<Item = BufferId> {
        let written = self.writes.iter().filter(|b| !self.reads.contains(b));
        self.reads.iter().chain(written).copied()
    }
}

/// Which kernels must run before which.
pub(super) struct Dependencies {
    /// For each kernel those that wait for it directly.
    after: Vec<Vec<usize>>,
    /// For each buffer the kernels that read it, and those that write it.
    readers: Vec<Vec<usize>>,
    writers: Vec<Vec<usize>>,
}

impl Dependencies {
    /// From what the plan's kernels touch: a buffer's readers follow its writers, but for states, whose elements are
    /// read before they are written; who waits for an event follows those that signal it.
    pub(super) fn new(plan: &Plan, uses: &[Uses]) -> Self {
        let mut readers = vec![Vec::new(); plan.buffers.len()];
        let mut writers = vec![Vec::new(); plan.buffers.len()];
        let mut after = vec![Vec::new(); uses.len()];
        let mut signallers: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for (k, Uses { reads, writes, signals, .. }) in uses.iter().enumerate() {
            reads.iter().for_each(|b| readers[b.index()].push(k));
            writes.iter().for_each(|b| writers[b.index()].push(k));
            signals.iter().for_each(|&event| signallers.entry(event).or_default().push(k));
        }
        for (i, (readers, writers)) in readers.iter().zip(&writers).enumerate() {
            let buffer = BufferId(i as u32);
            let state = matches!(plan.buffer(buffer).place, Place::State(_));
            for (&r, &w) in readers.iter().flat_map(|r| writers.iter().map(move |w| (r, w))).filter(|(r, w)| r != w) {
                match state {
                    true if uses[r].meets(buffer, &uses[w]) => after[r].push(w),
                    true => {}
                    false => after[w].push(r),
                }
            }
        }
        for (w, Uses { waits, .. }) in uses.iter().enumerate() {
            let before = waits.iter().filter_map(|event| signallers.get(event)).flatten();
            before.filter(|&&k| k != w).for_each(|&k| after[k].push(w));
        }
        for list in &mut after {
            list.sort_unstable();
            list.dedup();
        }
        Dependencies { after, readers, writers }
    }

    /// The kernels that read a buffer, in order.
    pub(super) fn readers(&self, buffer: BufferId) -> &[usize] {
        &self.readers[buffer.index()]
    }

    /// The kernels that write a buffer, in order.
    pub(super) fn writers(&self, buffer: BufferId) -> &[usize] {
        &self.writers[buffer.index()]
    }

    /// An order in which kernels can run, but for those that wait for each other in a circle; `choose` picks from those
    /// that wait for nothing.
    fn sequence(&self, mut choose: impl FnMut(&BTreeSet<usize>) -> Option<usize>) -> Vec<usize> {
        let mut waits = vec![0usize; self.after.len()];
        self.after.iter().flatten().for_each(|&k| waits[k] += 1);
        let mut ready: BTreeSet<usize> = (0..waits.len()).filter(|&k| waits[k] == 0).collect();
        let mut sequence = Vec::with_capacity(waits.len());
        while let Some(k) = choose(&ready) {
            ready.remove(&k);
            sequence.push(k);
            for &next in &self.after[k] {
                waits[next] -= 1;
                if waits[next] == 0 {
                    ready.insert(next);
                }
            }
        }
        sequence
    }

    /// Whether kernels wait for each other in a circle, so that there is no order.
    pub(super) fn has_circle(&self) -> bool {
        self.sequence(|ready| ready.first().copied()).len() < self.after.len()
    }

    /// What follows from them: which kernel waits for which, directly or through others.
    pub(super) fn order(&self) -> Order<'_> {
        let words = self.after.len().div_ceil(64);
        let mut reached = vec![vec![0u64; words]; self.after.len()];
        for k in self.sequence(|ready| ready.first().copied()).into_iter().rev() {
            let mut row = std::mem::take(&mut reached[k]);
            for &next in &self.after[k] {
                row[next / 64] |= 1 << (next % 64);
                row.iter_mut().zip(&reached[next]).for_each(|(mine, its)| *mine |= its);
            }
            reached[k] = row;
        }
        Order { after: &self.after, reached }
    }
}

/// Which kernels wait for which, as sets of bits.
pub(super) struct Order<'a> {
    after: &'a [Vec<usize>],
    reached: Vec<Vec<u64>>,
}

impl Order<'_> {
    /// Whether `to` must wait for `from`, directly or through others.
    pub(super) fn has_path(&self, from: usize, to: usize) -> bool {
        self.reached[from][to / 64] >> (to % 64) & 1 == 1
    }

    /// Whether `to` waits for `from` through another kernel.
    pub(super) fn has_detour(&self, from: usize, to: usize) -> bool {
        self.after[from].iter().any(|&k| k != to && self.has_path(k, to))
    }
}

/// What is in memory while kernels are put in order.
struct Memory<'a> {
    plan: &'a Plan,
    uses: &'a [Uses],
    /// For each buffer how many kernels have yet to touch it, and whether one has.
    left: Vec<usize>,
    begun: Vec<bool>,
}

impl<'a> Memory<'a> {
    fn new(plan: &'a Plan, uses: &'a [Uses]) -> Self {
        let mut left = vec![0; plan.buffers.len()];
        uses.iter().flat_map(Uses::touched).for_each(|b| left[b.index()] += 1);
        Memory { plan, uses, left, begun: vec![false; plan.buffers.len()] }
    }

    /// Whether a kernel ends intermediates of more bytes than those it begins.
    fn shrinks(&self, kernel: usize) -> bool {
        let (mut freed, mut taken) = (0, 0);
        for b in self.uses[kernel].touched().filter(|b| matches!(self.plan.buffer(*b).place, Place::Arena(_))) {
            let bytes = self.plan.buffer(b).bytes();
            freed += if self.left[b.index()] == 1 { bytes } else { 0 };
            taken += if self.begun[b.index()] { 0 } else { bytes };
        }
        freed > taken
    }

    fn run(&mut self, kernel: usize) {
        for b in self.uses[kernel].touched() {
            self.left[b.index()] -= 1;
            self.begun[b.index()] = true;
        }
    }
}

/// Orders the kernels.
pub(super) fn schedule(plan: &mut Plan) {
    let uses = Uses::of_all(plan);
    let mut memory = Memory::new(plan, &uses);
    let sequence = Dependencies::new(plan, &uses).sequence(|ready| {
        let next = ready.iter().copied().find(|&k| memory.shrinks(k)).or(ready.first().copied());
        next.inspect(|&k| memory.run(k))
    });
    if sequence.len() != uses.len() {
        panic!("onestep bug: kernels wait for each other in a circle");
    }
    let mut kernels: Vec<_> = std::mem::take(&mut plan.kernels).into_iter().map(Some).collect();
    plan.kernels = sequence.iter().filter_map(|&k| kernels[k].take()).collect();
}
