//! Marks runs of kernels that go through a batch strip by strip, so that what one kernel writes is still in the
//! cache when the next one reads it. A strip is a sample; a convolution sets the pace, element-wise kernels and
//! partial sums join in.

use std::collections::BTreeMap;

use super::merge::refine_grid;
use crate::ir::DType;
use crate::plan::{
    Affine, BufferId, ConvDirection, Kernel, KernelKind, LibraryKernel, LoopKernel, Operand, Plan, Strips, Target, Var,
};

/// Points that a loop kernel must have in a strip.
const WORTH_A_STRIP: usize = 256;

/// Marks the runs, for targets that want them.
pub(super) fn mark(plan: &mut Plan, target: &Target) {
    let mut first = 0;
    while first < plan.kernels.len() {
        let found = strips_from(plan, first, target);
        match found {
            Some(strips) => {
                first = strips.kernels.end;
                for kernel in &mut plan.kernels[strips.kernels.clone()] {
                    if let KernelKind::Loop(kernel) = &mut kernel.kind {
                        by_strip(kernel, strips.count);
                    }
                }
                plan.strips.push(strips);
            }
            None => first += 1,
        }
    }
}

/// The longest run from a kernel on that fits the cache, if it is worth it.
fn strips_from(plan: &Plan, first: usize, target: &Target) -> Option<Strips> {
    let batch = |kernel: &Kernel| match &kernel.kind {
        KernelKind::Library(call) => match &**call {
            LibraryKernel::Conv { input, .. } => Some(input[0]),
            _ => None,
        },
        KernelKind::Loop(_) => None,
    };
    // A run starts with a convolution, or with a kernel that makes ready for one, which says how many strips there are.
    let count = plan.kernels[first..].iter().take(2).find_map(batch).filter(|&n| n > 1)?;
    let mut uses = Uses::default();
    let mut end = first;
    while let Some(kernel) = plan.kernels.get(end) {
        let Some(accesses) = accesses(plan, kernel, count) else { break };
        let mut next = uses.clone();
        if !next.add(&accesses) || next.bytes(plan, count) > target.strip_bytes {
            break;
        }
        (uses, end) = (next, end + 1);
    }
    let paced = plan.kernels[first..end].iter().any(|k| batch(k).is_some());
    // What fits the cache as a whole needs no strips.
    let whole = uses.bytes(plan, 1) > target.strip_bytes;
    (end - first >= 2 && paced && whole).then_some(Strips { kernels: first..end, count })
}

/// How a kernel uses a buffer.
#[derive(Clone, Copy)]
struct Access {
    buffer: BufferId,
    writes: bool,
    /// Whether strip s touches the s-th part of the buffer alone.
    by_strip: bool,
    /// Whether it is written after the last strip.
    sums: bool,
}

/// What a run of kernels does to buffers.
#[derive(Clone, Default)]
struct Uses {
    /// Whether any kernel writes it, whether all keep to their strip, and how many kernels use it.
    seen: BTreeMap<BufferId, (bool, bool, usize)>,
    /// Those that gradients of filters are written to, after the last strip.
    sums: Vec<BufferId>,
}

impl Uses {
    /// Adds a kernel; false if it would see what another strip writes.
    fn add(&mut self, accesses: &[Access]) -> bool {
        let mut mine: BTreeMap<BufferId, (bool, bool)> = BTreeMap::new();
        for access in accesses {
            if access.sums {
                self.sums.push(access.buffer);
                continue;
            }
            let entry = mine.entry(access.buffer).or_insert((false, true));
            *entry = (entry.0 || access.writes, entry.1 && access.by_strip);
        }
        for (buffer, (writes, by_strip)) in mine {
            let entry = self.seen.entry(buffer).or_insert((false, true, 0));
            *entry = (entry.0 || writes, entry.1 && by_strip, entry.2 + 1);
            if entry.0 && !entry.1 && entry.2 > 1 {
                return false;
            }
        }
        !self.sums.iter().any(|b| self.seen.contains_key(b))
    }

    /// Bytes that a strip touches.
    fn bytes(&self, plan: &Plan, count: usize) -> usize {
        let bytes = |(b, (_, by_strip, _)): (&BufferId, &(bool, bool, usize))| {
            plan.buffer(*b).bytes() / if *by_strip { count } else { 1 }
        };
        self.seen.iter().map(bytes).sum()
    }
}

/// What a kernel touches when it runs strip by strip; `None` if it cannot.
fn accesses(plan: &Plan, kernel: &Kernel, count: usize) -> Option<Vec<Access>> {
    match &kernel.kind {
        KernelKind::Library(call) => match &**call {
            LibraryKernel::Conv { direction, input, operands: [a, b], out, epilogue, .. }
                if input[0] == count && [a, b, out].iter().all(|o| o.dtype == DType::F32) =>
            {
                let whole = |o: &Operand| o.offset == 0 && plan.buffer(o.buffer).len == o.strides[0] as usize * count;
                let access = |o: &Operand, writes: bool, sampled: bool| Access {
                    buffer: o.buffer,
                    writes,
                    by_strip: sampled && whole(o),
                    sums: writes && !sampled,
                };
                let of_weights = *direction == ConvDirection::FilterGrad;
                let own = [access(a, false, true), access(b, false, of_weights), access(out, true, !of_weights)];
                let bias = epilogue.bias.iter().map(|bias| access(bias, false, false));
                let mask = epilogue.mask.iter().map(|mask| access(mask, false, true));
                Some(own.into_iter().chain(bias).chain(mask).collect())
            }
            _ => None,
        },
        KernelKind::Loop(kernel) => loop_accesses(plan, kernel, count),
    }
}

fn loop_accesses(plan: &Plan, kernel: &LoopKernel, count: usize) -> Option<Vec<Access>> {
    let outer = *kernel.grid.first()?;
    if !outer.is_multiple_of(count) || kernel.points() / count < WORTH_A_STRIP {
        return None;
    }
    let mut all = Vec::new();
    for phase in &kernel.phases {
        let extent = |var: Var| match var {
            Var::Grid(i) => kernel.grid.get(i as usize).copied(),
            Var::Reduce(i) => phase.reduce.get(i as usize).copied(),
            Var::Let(_) => None,
        };
        let loads = phase.loads().map(|load| (load.buffer, &load.index, false));
        let stores = phase.stores().map(|(buffer, index)| (buffer, index, true));
        all.extend(loads.chain(stores).map(|(buffer, index, writes)| {
            let by_strip = keeps_to_strip(index, outer, plan.buffer(buffer).len, count, extent);
            Access { buffer, writes, by_strip, sums: false }
        }));
    }
    // A kernel whose strips write one place would have to be in order.
    all.iter().all(|a| !a.writes || a.by_strip).then_some(all)
}

/// Whether an index stays in the s-th of `count` parts of a buffer while the first grid variable is in the s-th
/// part of its range.
fn keeps_to_strip(
    index: &Affine,
    outer: usize,
    len: usize,
    count: usize,
    extent: impl Fn(Var) -> Option<usize>,
) -> bool {
    let step = index.coefficient(Var::Grid(0));
    if step <= 0 || step as usize * outer != len {
        return false;
    }
    let (mut low, mut high) = (index.offset, index.offset + step * (outer / count) as i64 - step);
    for &(var, c) in index.terms.iter().filter(|t| t.0 != Var::Grid(0)) {
        let Some(extent) = extent(var) else { return false };
        let reach = c * (extent as i64 - 1);
        (low, high) = (low + reach.min(0), high + reach.max(0));
    }
    low >= 0 && high < (len / count) as i64
}

/// Gives strips a grid axis of their own.
fn by_strip(kernel: &mut LoopKernel, count: usize) {
    let [outer, rest @ ..] = kernel.grid.as_slice() else { return };
    if *outer != count {
        let grid = [&[count, outer / count], rest].concat();
        refine_grid(kernel, &grid);
    }
}
