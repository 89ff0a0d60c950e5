//! Merges loop kernels: a producer into what reads it over the same points (so that softmax, layer norm
//! or a loss with its gradient become one kernel), siblings that read the same values, and stores nobody
//! reads out of existence. A library kernel whose result is only copied writes to the copy's place.

use std::collections::HashSet;

use super::schedule::{Dependencies, Uses};
use super::workers::{is_scattered, is_tiled};
use crate::ir::{DType, ReduceOp};
use crate::plan::{
    Affine, BufferId, Expr, ExprId, Fold, Kernel, KernelKind, Let, Load, LoopKernel, Out, Phase, Place, Plan, Target,
    Typed, Var,
};

/// Expressions a merged kernel may have: beyond that registers run out on every device.
const BODY_LIMIT: usize = 256;
/// Rows that a kernel over a single row may be merged into; longer ones want all of the device.
const SINGLE_ROW_LIMIT: usize = 1024;

/// Merges what can be merged.
pub(super) fn merge(plan: &mut Plan, target: &Target) {
    Merger::new(plan, target).merge_all(Pairs::Producers);
    redirect_copies(plan);
    Merger::new(plan, target).merge_all(Pairs::Siblings);
    drop_dead_stores(plan);
}

/// Which pairs of kernels are tried.
#[derive(Clone, Copy, PartialEq)]
enum Pairs {
    /// One writes what the other reads.
    Producers,
    /// Both read the same, or are tiny.
    Siblings,
}

/// A plan in the middle of merging, with what need not be found out again after each merge.
struct Merger<'a> {
    plan: &'a mut Plan,
    target: &'a Target,
    /// What each kernel touches.
    uses: Vec<Uses>,
    /// A name for each kernel as it is now: a merged kernel gets a new one.
    names: Vec<u32>,
    next_name: u32,
    /// Pairs of names that no rule merges, whatever waits for what.
    refused: HashSet<[u32; 2]>,
}

impl<'a> Merger<'a> {
    fn new(plan: &'a mut Plan, target: &'a Target) -> Self {
        let uses = Uses::of_all(plan);
        let next_name = uses.len() as u32;
        Merger { plan, target, uses, names: (0..next_name).collect(), next_name, refused: HashSet::new() }
    }

    /// Merges pairs, the first that rules allow each time, until there is none.
    fn merge_all(&mut self, pairs: Pairs) {
        while let Some((a, b, kernel)) = self.find(pairs) {
            let [first, second] = [a, b].map(|k| &self.plan.kernels[k]);
            self.plan.kernels[b] = in_place_of([first, second], kernel);
            self.uses[b] = Uses::of(self.plan, &self.plan.kernels[b]);
            self.names[b] = self.next_name;
            self.next_name += 1;
            self.plan.kernels.remove(a);
            self.uses.remove(a);
            self.names.remove(a);
        }
    }

    /// The first pair of kernels that rules allow, as one kernel.
    fn find(&mut self, pairs: Pairs) -> Option<(usize, usize, LoopKernel)> {
        let dependencies = Dependencies::new(self.plan, &self.uses);
        let order = dependencies.order();
        for b in 0..self.plan.kernels.len() {
            let candidates = match pairs {
                Pairs::Producers => self.producers(&dependencies, b),
                Pairs::Siblings => self.siblings(&dependencies, b),
            };
            for a in candidates {
                let names = [self.names[a], self.names[b]];
                if self.refused.contains(&names) || order.has_detour(a, b) || order.has_path(b, a) {
                    continue;
                }
                match self.pair(pairs, a, b) {
                    Some(kernel) => return Some((a, b, kernel)),
                    None => self.refused.insert(names),
                };
            }
        }
        None
    }

    /// Two kernels as one, if rules allow it.
    fn pair(&self, pairs: Pairs, a: usize, b: usize) -> Option<LoopKernel> {
        let (KernelKind::Loop(first), KernelKind::Loop(second)) =
            (&self.plan.kernels[a].kind, &self.plan.kernels[b].kind)
        else {
            return None;
        };
        let together = first.phases.len() + second.phases.len();
        let merged = merged(self.plan, first, second, self.target)?;
        // Tiles are worth more than a kernel saved.
        for is_together in [is_tiled, is_scattered] {
            if [first, second].iter().any(|k| is_together(k, self.target)) && !is_together(&merged, self.target) {
                return None;
            }
        }
        let apart = pairs == Pairs::Siblings && merged.phases.len() == together && merged.points() > 1;
        (!apart).then_some(merged)
    }

    /// Kernels that write what kernel `b` reads.
    fn producers(&self, dependencies: &Dependencies, b: usize) -> Vec<usize> {
        let arena = |id: &&BufferId| matches!(self.plan.buffer(**id).place, Place::Arena(_));
        let reads = self.uses[b].reads.iter().filter(arena);
        let mut all: Vec<usize> = reads.flat_map(|r| dependencies.writers(*r)).copied().filter(|&a| a != b).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Earlier kernels over as many points that read something kernel `b` reads, or are as tiny.
    fn siblings(&self, dependencies: &Dependencies, b: usize) -> Vec<usize> {
        let points = |i: usize| match &self.plan.kernels[i].kind {
            KernelKind::Loop(k) => Some(k.points()),
            KernelKind::Library(_) => None,
        };
        let Some(mine) = points(b) else { return Vec::new() };
        let alike = |a: &usize| *a < b && points(*a) == Some(mine);
        if mine == 1 {
            return (0..b).filter(alike).collect();
        }
        let reads = self.uses[b].reads.iter();
        let mut all: Vec<usize> = reads.flat_map(|r| dependencies.readers(*r)).copied().filter(alike).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// A loop nest that does what two kernels did.
pub(super) fn in_place_of([first, second]: [&Kernel; 2], nest: LoopKernel) -> Kernel {
    Kernel {
        scopes: union(&first.scopes, &second.scopes),
        kind: KernelKind::Loop(nest),
        signals: union(&first.signals, &second.signals),
        waits: union(&first.waits, &second.waits),
    }
}

/// Both sorted lists as one.
fn union<T: Ord + Clone>(a: &[T], b: &[T]) -> Vec<T> {
    let mut all = [a, b].concat();
    all.sort_unstable();
    all.dedup();
    all
}

/// Both kernels as one, if their points can be made to agree and everything `b` reads of `a` is at its own point.
fn merged(plan: &Plan, a: &LoopKernel, b: &LoopKernel, target: &Target) -> Option<LoopKernel> {
    let (mut a, b) = aligned(a, b, target)?;
    let stored: Vec<Stored> = stored(&a);
    let mut carries = a.phases.iter().flat_map(|p| &p.outs).filter(|o| matches!(o, Out::Reduce { .. })).count();
    // Where b's carries come from, in the merged kernel: number and phase.
    let mut renamed: Vec<Option<(usize, usize)>> = Vec::new();
    for phase in &b.phases {
        let mut earliest = 0;
        let mut exactly = None;
        for typed in &phase.body {
            match &typed.expr {
                Expr::Carry(k) => earliest = earliest.max(renamed[*k]?.1 + 1),
                Expr::Load(load) => {
                    let Some(from) = stored.iter().find(|s| s.buffer == load.buffer) else { continue };
                    if load.index != from.index || !load.guards.is_empty() {
                        return None;
                    }
                    earliest = earliest.max(from.phase);
                    if from.per_row_element {
                        // It is at hand in that phase alone.
                        if exactly.is_some_and(|p| p != from.phase) {
                            return None;
                        }
                        exactly = Some(from.phase);
                    }
                }
                _ => {}
            }
        }
        let fits = |p: usize| same_space(&a.phases[p], phase);
        let at = match exactly {
            Some(p) if p >= earliest && fits(p) => p,
            Some(_) => return None,
            None => match (earliest..a.phases.len()).find(|&p| fits(p)) {
                Some(p) => p,
                None => {
                    a.phases.push(Phase { reduce: phase.reduce.clone(), ..Phase::default() });
                    a.phases.len() - 1
                }
            },
        };
        append(&mut a, at, phase, &stored, &mut renamed, &mut carries);
    }
    let body: usize = a.phases.iter().map(|p| p.body.len()).sum();
    let hazard = a.loads().any(|l| {
        // A buffer of the arena that the merged kernel writes was replaced by its value everywhere.
        matches!(plan.buffer(l.buffer).place, Place::Arena(_)) && a.stores().any(|s| s.0 == l.buffer)
    });
    (body <= BODY_LIMIT && !hazard && a.updates_in_place()).then_some(a)
}

/// What a kernel stores, and where.
struct Stored {
    buffer: BufferId,
    index: Affine,
    phase: usize,
    value: ExprId,
    /// Whether it is stored for each element of a row rather than once a grid point.
    per_row_element: bool,
}

fn stored(kernel: &LoopKernel) -> Vec<Stored> {
    let mut all = Vec::new();
    for (p, phase) in kernel.phases.iter().enumerate() {
        for out in &phase.outs {
            if let Out::Store { buffer, index, value } = out {
                let per_row_element = !phase.reduce.is_empty();
                all.push(Stored { buffer: *buffer, index: index.clone(), phase: p, value: *value, per_row_element });
            }
        }
    }
    all
}

fn same_space(a: &Phase, b: &Phase) -> bool {
    a.reduce == b.reduce
}

/// Adds a phase's expressions to phase `at`, with loads of what `into` stores replaced by the values.
fn append(
    into: &mut LoopKernel,
    at: usize,
    phase: &Phase,
    stored: &[Stored],
    renamed: &mut Vec<Option<(usize, usize)>>,
    carries: &mut usize,
) {
    let mut map: Vec<ExprId> = Vec::with_capacity(phase.body.len());
    let mut lets: Vec<u32> = Vec::new();
    let rename = |lets: &[u32], a: &Affine| {
        a.substitute(|var| match var {
            Var::Let(i) => Affine::var(Var::Let(lets[i as usize]), 1),
            other => Affine::var(other, 1),
        })
    };
    let mut pending = phase.lets.iter();
    for (i, typed) in phase.body.iter().enumerate() {
        // Derived variables are numbered in the order of what they need, so each is known before its use.
        let needs = needed_lets(&typed.expr);
        while lets.len() < needs {
            let Some(l) = pending.next() else { break };
            let l = match l {
                Let::Div(a, n) => Let::Div(rename(&lets, a), *n),
                Let::Rem(a, n) => Let::Rem(rename(&lets, a), *n),
                Let::Value(e) => Let::Value(map[e.index()]),
            };
            lets.push(add_let(&mut into.phases[at], l));
        }
        let from = match &typed.expr {
            Expr::Load(load) => stored.iter().find(|s| s.buffer == load.buffer),
            _ => None,
        };
        let id = match from {
            Some(from) if from.phase == at => from.value,
            Some(from) => {
                let carry = carried(into, from, typed.dtype, carries);
                add(&mut into.phases[at], Typed { expr: Expr::Carry(carry), dtype: typed.dtype })
            }
            None => {
                let expr = match &typed.expr {
                    Expr::Carry(k) => match renamed[*k] {
                        Some((k, _)) => Expr::Carry(k),
                        None => panic!("onestep bug: carry c{k} is used before its phase"),
                    },
                    other => other.with_operands(|e| map[e.index()]),
                };
                let mut one = Phase { body: vec![Typed { expr, dtype: typed.dtype }], ..Phase::default() };
                one.map_indices(|a| rename(&lets, a));
                let typed = one.body.swap_remove(0);
                add(&mut into.phases[at], typed)
            }
        };
        debug_assert_eq!(map.len(), i);
        map.push(id);
    }
    for out in &phase.outs {
        let out = match out {
            Out::Store { buffer, index, value } => {
                Out::Store { buffer: *buffer, index: rename(&lets, index), value: map[value.index()] }
            }
            Out::Reduce { fold, value, carry, dtype } => {
                if renamed.len() <= *carry {
                    renamed.resize(*carry + 1, None);
                }
                renamed[*carry] = Some((*carries, at));
                *carries += 1;
                Out::Reduce { fold: *fold, value: map[value.index()], carry: *carries - 1, dtype: *dtype }
            }
        };
        into.phases[at].outs.push(out);
    }
}

/// The number of a carry that holds what was stored once a grid point in an earlier phase.
fn carried(into: &mut LoopKernel, from: &Stored, dtype: DType, carries: &mut usize) -> usize {
    let phase = &mut into.phases[from.phase];
    // What is stored may itself be a carry.
    if let Expr::Carry(k) = phase.body[from.value.index()].expr {
        return k;
    }
    let known = phase.outs.iter().find_map(|o| match o {
        Out::Reduce { value, carry, .. } if *value == from.value => Some(*carry),
        _ => None,
    });
    known.unwrap_or_else(|| {
        let carry = *carries;
        *carries += 1;
        phase.outs.push(Out::Reduce { fold: Fold::Value(ReduceOp::Sum), value: from.value, carry, dtype });
        carry
    })
}

/// How many derived variables an expression needs to be known.
fn needed_lets(expr: &Expr) -> usize {
    let highest = expr.indices().into_iter().flat_map(|a| &a.terms).filter_map(|t| match t.0 {
        Var::Let(i) => Some(i as usize + 1),
        _ => None,
    });
    highest.max().unwrap_or(0)
}

fn add_let(phase: &mut Phase, l: Let) -> u32 {
    let at = phase.lets.iter().position(|x| *x == l).unwrap_or_else(|| {
        phase.lets.push(l);
        phase.lets.len() - 1
    });
    at as u32
}

fn add(phase: &mut Phase, typed: Typed) -> ExprId {
    let at = phase.body.iter().position(|t| t.is_same(&typed)).unwrap_or_else(|| {
        phase.body.push(typed);
        phase.body.len() - 1
    });
    ExprId(at as u32)
}

/// Both kernels over one grid: their grids refined to common extents; a map over rows turned into a phase
/// over the row where the other kernel reduces rows.
fn aligned(a: &LoopKernel, b: &LoopKernel, target: &Target) -> Option<(LoopKernel, LoopKernel)> {
    let (na, nb) = (a.points(), b.points());
    let row_of = |k: &LoopKernel| k.phases.iter().map(|p| p.reduce.iter().product()).find(|&r: &usize| r > 1);
    let is_map = |k: &LoopKernel| k.phases.len() == 1 && k.phases[0].reduce.is_empty();
    let row_fits = |points: usize, row: usize| row <= target.row_limit && (points > 1 || row <= SINGLE_ROW_LIMIT);
    let (mut a, mut b) = if na == nb {
        (a.clone(), b.clone())
    } else if let Some(row) = row_of(a)
        && is_map(b)
        && nb == na.checked_mul(row)?
        && row_fits(na, row)
    {
        (a.clone(), as_rows(b, row)?)
    } else if let Some(row) = row_of(b)
        && is_map(a)
        && na == nb.checked_mul(row)?
        && row_fits(nb, row)
    {
        (as_rows(a, row)?, b.clone())
    } else {
        return None;
    };
    let cuts = common_cuts(&a.grid, &b.grid)?;
    refine_grid(&mut a, &cuts);
    refine_grid(&mut b, &cuts);
    // Rows of one length are cut alike, so that phases over them can become one.
    let spaces: Vec<Vec<usize>> = a.phases.iter().chain(&b.phases).map(|p| p.reduce.clone()).collect();
    for space in &spaces {
        let total: usize = space.iter().product();
        let alike = spaces.iter().filter(|s| s.iter().product::<usize>() == total && !s.is_empty());
        let common = alike.cloned().try_fold(space.clone(), |all, s| common_cuts(&all, &s));
        let Some(common) = common else { continue };
        for phase in a.phases.iter_mut().chain(&mut b.phases) {
            if !phase.reduce.is_empty() && phase.reduce.iter().product::<usize>() == total {
                refine_reduce(phase, &common);
            }
        }
    }
    Some((a, b))
}

/// A map with the last `row` points of its linear order walked in a phase.
fn as_rows(kernel: &LoopKernel, row: usize) -> Option<LoopKernel> {
    let mut kernel = kernel.clone();
    let points = kernel.points() / row;
    let cuts = common_cuts(&kernel.grid, &[points, row])?;
    refine_grid(&mut kernel, &cuts);
    let mut inner = 1;
    let mut first = kernel.grid.len();
    while inner < row {
        first -= 1;
        inner *= kernel.grid[first];
    }
    kernel.map_indices(|_, a| {
        a.substitute(|var| match var {
            Var::Grid(i) if i as usize >= first => Affine::var(Var::Reduce(i - first as u32), 1),
            other => Affine::var(other, 1),
        })
    });
    kernel.phases[0].reduce = kernel.grid.split_off(first);
    Some(kernel)
}

/// Extents that refine both spaces of equally many points, if there are such.
fn common_cuts(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let suffixes = |extents: &[usize]| {
        let mut stride = 1;
        extents
            .iter()
            .rev()
            .map(|&e| {
                stride *= e;
                stride
            })
            .collect::<Vec<usize>>()
    };
    let mut cuts = [suffixes(a), suffixes(b)].concat();
    cuts.sort_unstable();
    cuts.dedup();
    cuts.retain(|&c| c != 1);
    let mut extents = Vec::with_capacity(cuts.len());
    let mut below = 1;
    for cut in cuts {
        if cut % below != 0 {
            return None;
        }
        extents.push(cut / below);
        below = cut;
    }
    extents.reverse();
    Some(extents)
}

/// For each old variable, the new variables (with coefficients) it consists of.
fn refinement(old: &[usize], new: &[usize], var: fn(u32) -> Var) -> Vec<Affine> {
    let mut at = 0;
    old.iter()
        .map(|&extent| {
            let start = at;
            let mut have = 1;
            while have < extent {
                have *= new[at];
                at += 1;
            }
            let mut stride = 1;
            (start..at).rev().fold(Affine::default(), |sum, i| {
                let next = sum.plus(&Affine::var(var(i as u32), 1), stride);
                stride *= new[i] as i64;
                next
            })
        })
        .collect()
}

pub(super) fn refine_grid(kernel: &mut LoopKernel, extents: &[usize]) {
    if kernel.grid == extents {
        return;
    }
    let pieces = refinement(&kernel.grid, extents, Var::Grid);
    kernel.grid = extents.to_vec();
    kernel.map_indices(|_, a| {
        a.substitute(|var| match var {
            Var::Grid(i) => pieces[i as usize].clone(),
            other => Affine::var(other, 1),
        })
    });
}

fn refine_reduce(phase: &mut Phase, extents: &[usize]) {
    if phase.reduce == extents {
        return;
    }
    let pieces = refinement(&phase.reduce, extents, Var::Reduce);
    phase.reduce = extents.to_vec();
    phase.map_indices(|a| {
        a.substitute(|var| match var {
            Var::Reduce(i) => pieces[i as usize].clone(),
            other => Affine::var(other, 1),
        })
    });
}

/// Lets a library kernel write straight to where its result is copied, if nothing else reads it.
fn redirect_copies(plan: &mut Plan) {
    let mut copy = 0;
    while copy < plan.kernels.len() {
        match redirected(plan, copy) {
            Some((library, buffer, offset)) => {
                if let KernelKind::Library(kernel) = &mut plan.kernels[library].kind {
                    kernel.out_mut().buffer = buffer;
                    kernel.out_mut().offset = offset;
                }
                let Kernel { signals, .. } = plan.kernels.remove(copy);
                let library = &mut plan.kernels[library - usize::from(copy < library)];
                library.signals = union(&library.signals, &signals);
            }
            None => copy += 1,
        }
    }
}

/// The library kernel whose result kernel `copy` only moves, and to where.
fn redirected(plan: &Plan, copy: usize) -> Option<(usize, BufferId, i64)> {
    let KernelKind::Loop(kernel) = &plan.kernels[copy].kind else { return None };
    let [Phase { body, outs, .. }] = kernel.phases.as_slice() else { return None };
    if body.len() != 1 || outs.len() != 1 {
        return None;
    }
    let mut kernel = kernel.clone();
    super::collapse::collapse(&mut kernel);
    let [Phase { body, outs, reduce, .. }] = kernel.phases.as_slice() else { return None };
    let (
        [Typed { expr: Expr::Load(Load { buffer: from, index: read, guards, .. }), .. }],
        [Out::Store { buffer, index, .. }],
    ) = (body.as_slice(), outs.as_slice())
    else {
        return None;
    };
    let dense = kernel.grid.len() <= 1 && reduce.is_empty() && guards.is_empty() && read.offset == 0;
    let whole = kernel.points() == plan.buffer(*from).len && index.terms == read.terms;
    let unit = read.terms.iter().all(|t| t.1 == 1);
    if !(dense && whole && unit) {
        return None;
    }
    let library = (0..plan.kernels.len()).find(|&k| plan.kernels[k].writes() == [*from])?;
    let KernelKind::Library(call) = &plan.kernels[library].kind else { return None };
    let readers = plan.kernels.iter().filter(|k| k.reads().contains(from)).count();
    let writers = plan.kernels.iter().filter(|k| k.writes().contains(from)).count();
    let same_type = plan.buffer(*from).dtype == plan.buffer(*buffer).dtype;
    if readers != 1 || writers != 1 || !same_type || call.reads().iter().any(|o| o.buffer == *buffer) {
        return None;
    }
    // Moving the store up to the library kernel must not close a circle through the state's readers.
    let is_state = matches!(plan.buffer(*buffer).place, Place::State(_));
    let circle = is_state && {
        let uses = Uses::of_all(plan);
        let dependencies = Dependencies::new(plan, &uses);
        let order = dependencies.order();
        (0..uses.len()).any(|k| k != copy && uses[k].reads.contains(buffer) && order.has_path(library, k))
    };
    (!circle).then_some((library, *buffer, index.offset))
}

/// Removes stores to the arena that nobody reads, the expressions they needed, and kernels left empty.
fn drop_dead_stores(plan: &mut Plan) {
    loop {
        let mut read = vec![false; plan.buffers.len()];
        plan.kernels.iter().flat_map(Kernel::reads).for_each(|b| read[b.index()] = true);
        let keep = |b: BufferId| read[b.index()] || !matches!(plan.buffers[b.index()].place, Place::Arena(_));
        let mut changed = false;
        for kernel in &mut plan.kernels {
            if let KernelKind::Loop(kernel) = &mut kernel.kind {
                for phase in &mut kernel.phases {
                    let before = phase.outs.len();
                    phase.outs.retain(|o| !matches!(o, Out::Store { buffer, .. } if !keep(*buffer)));
                    changed |= phase.outs.len() != before;
                }
                drop_dead_expressions(kernel);
            }
        }
        let before = plan.kernels.len();
        plan.kernels.retain(|k| match &k.kind {
            KernelKind::Loop(k) => k.phases.iter().any(|p| !p.outs.is_empty()),
            KernelKind::Library(k) => keep(k.out().buffer),
        });
        if !changed && plan.kernels.len() == before {
            return;
        }
    }
}

/// Removes carries nobody uses, expressions nothing needs, and phases without a purpose.
fn drop_dead_expressions(kernel: &mut LoopKernel) {
    for p in (0..kernel.phases.len()).rev() {
        let used: Vec<usize> = kernel.phases[p..]
            .iter()
            .flat_map(|q| &q.body)
            .filter_map(|t| if let Expr::Carry(k) = t.expr { Some(k) } else { None })
            .collect();
        let phase = &mut kernel.phases[p];
        phase.outs.retain(|o| !matches!(o, Out::Reduce { carry, .. } if !used.contains(carry)));
        let mut live = vec![false; phase.body.len()];
        for out in &phase.outs {
            match out {
                Out::Store { value, .. } | Out::Reduce { value, .. } => live[value.index()] = true,
            }
        }
        if phase.lets.is_empty() {
            for i in (0..live.len()).rev().filter(|&i| i < phase.body.len()) {
                if live[i] {
                    phase.body[i].expr.operands().iter().for_each(|e| live[e.index()] = true);
                }
            }
        } else {
            live.fill(true);
        }
        let mut map = vec![ExprId(0); live.len()];
        let mut body = Vec::new();
        for (i, typed) in std::mem::take(&mut phase.body).into_iter().enumerate().filter(|(i, _)| live[*i]) {
            map[i] = ExprId(body.len() as u32);
            let expr = typed.expr.with_operands(|e| map[e.index()]);
            body.push(Typed { expr, dtype: typed.dtype });
        }
        phase.body = body;
        for out in &mut phase.outs {
            match out {
                Out::Store { value, .. } | Out::Reduce { value, .. } => *value = map[value.index()],
            }
        }
    }
    kernel.phases.retain(|p| !p.outs.is_empty());
}
