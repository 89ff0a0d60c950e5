//! From a loop kernel to a tape: which way lanes run, how each index map moves, how often each expression
//! changes, and which registers hold what.

use super::combine::{combine, store_directly};
use super::tape::{Access, Along, Blocks, GuardTape, Home, Map, OutTape, Pattern, PhaseTape, Step, Tape, Value};
use crate::ir::{DType, push_f64};
use crate::plan::{Affine, Expr, ExprId, Fold, Guard, Let, LoopKernel, Out, Phase, Plan, Typed, Var};

impl Tape {
    /// Compiles a kernel.
    pub(super) fn new(plan: &Plan, kernel: &LoopKernel) -> Self {
        let along = direction(kernel);
        let grid = match along {
            Along::Grid => Blocks::lanes(&kernel.grid),
            Along::Row => Blocks::points(&kernel.grid),
        };
        let stored: Vec<usize> = kernel.stores().map(|s| s.0.index()).collect();
        let (mut registers, mut values, mut lets, mut kept) = (0, 0, 0, 0);
        let phases: Vec<PhaseTape> = kernel
            .phases
            .iter()
            .map(|p| {
                let (phase, used, keeps) = phase(plan, p, along, &grid, &stored, [values, registers, lets, kept]);
                kept += keeps;
                values += p.body.len();
                lets += p.lets.len();
                registers += used;
                phase
            })
            .collect();
        let carries = kernel.phases.iter().flat_map(|p| &p.outs).filter_map(|o| match o {
            Out::Reduce { carry, .. } => Some(carry + 1),
            Out::Store { .. } => None,
        });
        Tape {
            along,
            carries: carries.max().unwrap_or(0),
            registers,
            values,
            lets,
            kept,
            work: kernel.work(),
            grid,
            phases,
        }
    }
}

/// Along which loop loads are closest together; short rows and many points favour the grid.
fn direction(kernel: &LoopKernel) -> Along {
    let row = |p: &Phase| p.reduce.iter().product::<usize>();
    let longest = kernel.phases.iter().map(row).max().unwrap_or(1);
    if longest <= 1 || longest == 0 {
        return Along::Grid;
    }
    let points = kernel.points();
    if points < 8 {
        return Along::Row;
    }
    // Loads that are near along the loop that a phase's innermost one is.
    let close = |innermost: &dyn Fn(&Phase) -> Var| {
        let near = |p: &Phase| {
            let var = innermost(p);
            p.loads().filter(|load| (0..=1).contains(&load.index.coefficient(var))).count()
        };
        kernel.phases.iter().filter(|p| row(p) > 1).map(near).sum::<usize>()
    };
    let along_rows = close(&|p| Var::Reduce(p.reduce.len() as u32 - 1));
    let along_grid = close(&|_| Var::Grid(kernel.grid.len() as u32 - 1));
    if longest >= 32 && along_rows > along_grid { Along::Row } else { Along::Grid }
}

/// How index maps move in a space cut into blocks.
struct Maps<'a> {
    along: Along,
    grid: &'a Blocks,
    rows: &'a Blocks,
}

impl Maps<'_> {
    /// The space that lanes run along.
    fn lanes(&self) -> &Blocks {
        match self.along {
            Along::Grid => self.grid,
            Along::Row => self.rows,
        }
    }

    fn map(&self, a: &Affine) -> Map {
        let mut terms = Vec::new();
        let mut lets = Vec::new();
        let space = self.lanes();
        let mut coefficients = vec![0; space.extents.len()];
        for &(var, c) in &a.terms {
            let (number, axis) = match var {
                Var::Grid(i) => (i as usize, (self.along == Along::Grid).then_some(i as usize)),
                Var::Reduce(i) => {
                    (self.grid.extents.len() + i as usize, (self.along == Along::Row).then_some(i as usize))
                }
                Var::Let(i) => {
                    lets.push((i as usize, c));
                    continue;
                }
            };
            match axis {
                Some(axis) if axis >= space.axis => {
                    coefficients[axis] = c;
                    // The chunk's start moves; what lies inside a block is in the pattern alone.
                    if axis == space.axis && space.chunk < space.extents[axis] {
                        terms.push((number, c));
                    }
                }
                _ => terms.push((number, c)),
            }
        }
        Map { offset: a.offset, terms, lets, lanes: space.pattern(&coefficients) }
    }

    /// Whether an index is the same on all lanes of a block.
    fn is_uniform(&self, a: &Affine) -> bool {
        let space = self.lanes();
        a.terms.iter().all(|&(var, _)| match (var, self.along) {
            (Var::Let(_), _) => false,
            (Var::Grid(i), Along::Grid) | (Var::Reduce(i), Along::Row) => {
                let axis = i as usize;
                let lanes = if axis == space.axis { space.chunk } else { space.extents[axis] };
                axis < space.axis || lanes == 1
            }
            (Var::Grid(_), Along::Row) | (Var::Reduce(_), Along::Grid) => true,
        })
    }
}

/// How often a value changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rate {
    /// Never during a run.
    Once,
    /// From block to block.
    Block,
    /// At every step of the walk.
    Step,
}

/// What compiling a phase knows of it.
struct PhaseCompiler<'a> {
    maps: Maps<'a>,
    plan: &'a Plan,
    phase: &'a Phase,
    stored: &'a [usize],
    /// Numbers of the first value and derived variable of this phase.
    first_value: usize,
    first_let: usize,
    rates: Vec<Rate>,
    let_rates: Vec<Rate>,
    /// Whether a value is the same on all lanes.
    uniform: Vec<bool>,
}

impl PhaseCompiler<'_> {
    fn dtype(&self, e: ExprId) -> DType {
        self.phase.body[e.index()].dtype
    }

    fn value(&self, e: ExprId) -> usize {
        self.first_value + e.index()
    }

    fn map(&self, a: &Affine) -> Map {
        let mut map = self.maps.map(a);
        map.lets.iter_mut().for_each(|l| l.0 += self.first_let);
        map
    }

    fn guards(&self, guards: &[Guard]) -> Vec<GuardTape> {
        guards.iter().map(|g| GuardTape { expr: self.map(&g.expr), low: g.low, high: g.high }).collect()
    }

    /// How often a map moves.
    fn moves(&self, map: &Map) -> Rate {
        let axes = self.maps.grid.extents.len();
        let terms = map.terms.iter().map(|t| if t.0 < axes { Rate::Block } else { Rate::Step });
        let lets = map.lets.iter().map(|l| self.let_rates[l.0 - self.first_let]);
        terms.chain(lets).max().unwrap_or(Rate::Once)
    }

    /// A rate of this phase: where a block is one step, what changes with the block changes with the step.
    fn rate(&self, rate: Rate) -> Rate {
        if rate == Rate::Block && self.maps.rows.count() <= 1 { Rate::Step } else { rate }
    }

    /// Whether a value, as it is, is folded or reaches memory other than the buffer it was loaded from: it
    /// must then be copied before stores to that buffer.
    fn escapes(&self, e: ExprId, buffer: usize) -> bool {
        let mut reached = vec![false; self.phase.body.len()];
        reached[e.index()] = true;
        for (i, typed) in self.phase.body.iter().enumerate() {
            if let Expr::Select(c, a, b) = &typed.expr
                && self.uniform[c.index()]
            {
                reached[i] |= reached[a.index()] || reached[b.index()];
            }
        }
        self.phase.outs.iter().any(|out| match out {
            Out::Store { buffer: to, value, .. } => reached[value.index()] && to.index() != buffer,
            Out::Reduce { value, .. } => reached[value.index()],
        })
    }

    fn access(&self, l: &crate::plan::Load, dtype: DType) -> Access {
        Access {
            buffer: l.buffer.index(),
            dtype: self.plan.buffer(l.buffer).dtype,
            index: self.map(&l.index),
            guards: self.guards(&l.guards),
            fill: lane(l.fill, dtype),
        }
    }

    /// The step of an expression with how often its value changes; `None` for a constant.
    fn step(&self, i: usize, typed: &Typed) -> Option<(Step, Rate)> {
        let to = self.first_value + i;
        let out = Value { number: to, home: Home::Register(0) };
        let of = |e: &ExprId| self.value(*e);
        let operands = typed.expr.operands();
        let rate = operands.iter().map(|e| self.rates[e.index()]).max().unwrap_or(Rate::Once);
        let step = match &typed.expr {
            Expr::Const(_) => return None,
            Expr::Load(l) => {
                let from = self.access(l, typed.dtype);
                let guards = from.guards.iter().map(|g| self.moves(&g.expr));
                let mut rate = guards.fold(self.moves(&from.index), Rate::max);
                let stored = self.stored.contains(&from.buffer);
                if stored {
                    rate = rate.max(Rate::Block);
                }
                let direct = from.dtype.size() == 4
                    && from.guards.is_empty()
                    && from.index.lets.is_empty()
                    && matches!(from.index.lanes, Pattern::Contiguous)
                    && !(stored && self.escapes(ExprId(i as u32), from.buffer));
                if direct {
                    return Some((Step::Direct { to, from }, rate));
                }
                // What does not move with the fastest loop is often there already.
                let fastest = match self.maps.along {
                    Along::Grid => self.maps.grid.axis,
                    Along::Row => self.maps.grid.extents.len() + self.maps.rows.axis,
                };
                let slow = rate != Rate::Once && !from.index.terms.iter().any(|t| t.0 == fastest);
                let keeps = slow && !stored && from.guards.is_empty() && from.index.lets.is_empty();
                return Some((Step::Load { to: out, from, kept: keeps.then_some(0) }, rate));
            }
            Expr::Carry(carry) => {
                return Some((Step::Carry { to, carry: *carry }, Rate::Block));
            }
            Expr::Index(a) => {
                let at = self.map(a);
                let rate = self.moves(&at);
                return Some((Step::Index { to: out, at }, rate));
            }
            Expr::Within(guards) => {
                let guards = self.guards(guards);
                let rate = guards.iter().map(|g| self.moves(&g.expr)).max().unwrap_or(Rate::Once);
                return Some((Step::Within { to: out, guards }, rate));
            }
            Expr::Random { stream, seed, step, index } => {
                let index = self.map(index);
                let moves = self.moves(&index);
                let seed = [of(&seed[0]), of(&seed[1])];
                let bits = typed.dtype == DType::U32;
                let step = Step::Random { to: out, stream: *stream, seed, step: of(step), index, bits };
                return Some((step, rate.max(moves)));
            }
            Expr::Unary(op, a) => Step::Unary { to: out, op: *op, a: of(a), dtype: self.dtype(*a) },
            Expr::Binary(op, a, b) => Step::Binary { to: out, op: *op, a: of(a), b: of(b), dtype: self.dtype(*a) },
            Expr::Compare(op, a, b) => Step::Compare { to: out, op: *op, a: of(a), b: of(b), dtype: self.dtype(*a) },
            Expr::Select(c, a, b) if self.uniform[c.index()] => Step::Choose { to, c: of(c), a: of(a), b: of(b) },
            Expr::Select(c, a, b) => Step::Select { to: out, c: of(c), a: of(a), b: of(b) },
            Expr::Cast(a) => Step::Cast { to: out, a: of(a), from: self.dtype(*a), into: typed.dtype },
        };
        Some((step, rate))
    }
}

/// Which expressions of a phase are the same on all lanes of a block.
fn uniform(maps: &Maps, phase: &Phase) -> Vec<bool> {
    let mut uniform: Vec<bool> = Vec::with_capacity(phase.body.len());
    for typed in &phase.body {
        let operands = typed.expr.operands().iter().all(|e| uniform[e.index()]);
        let indices = typed.expr.indices().into_iter().all(|a| maps.is_uniform(a));
        let carry = matches!(typed.expr, Expr::Carry(_)) && maps.along == Along::Grid;
        uniform.push(operands && indices && !carry);
    }
    uniform
}

/// Compiles a phase; `first` are the numbers of its first value, register, derived variable and kept load. Gives the
/// numbers of registers and of kept loads it uses, too.
fn phase(
    plan: &Plan,
    phase: &Phase,
    along: Along,
    grid: &Blocks,
    stored: &[usize],
    [first_value, first_register, first_let, first_kept]: [usize; 4],
) -> (PhaseTape, usize, usize) {
    let rows = match along {
        Along::Grid => Blocks::points(&phase.reduce),
        Along::Row => Blocks::lanes(&phase.reduce),
    };
    let maps = Maps { along, grid, rows: &rows };
    let (rates, let_rates, uniform) = (Vec::new(), Vec::new(), uniform(&maps, phase));
    let mut c = PhaseCompiler { maps, plan, phase, stored, first_value, first_let, rates, let_rates, uniform };
    let mut constants = Vec::new();
    let mut steps: [Vec<Step>; 3] = Default::default();
    for (i, typed) in phase.body.iter().enumerate() {
        derived(&mut c, &mut steps, i);
        match c.step(i, typed) {
            None => {
                let Expr::Const(v) = typed.expr else { continue };
                constants.push((Value { number: first_value + i, home: Home::Register(0) }, lane(v, typed.dtype)));
                c.rates.push(Rate::Once);
            }
            Some((step, rate)) => {
                let rate = c.rate(rate);
                steps[rate as usize].push(step);
                c.rates.push(rate);
            }
        }
    }
    derived(&mut c, &mut steps, phase.body.len());
    let mut outs: Vec<OutTape> = phase.outs.iter().map(|out| out_tape(&c, out)).collect();
    let [mut once, mut per_block, mut each] = steps;
    combine(&mut each, &outs, first_value, phase.body.len());
    store_directly(&mut each, &[&once, &per_block], &mut outs, first_value);
    let (mut registers, mut kept) = (first_register, first_kept);
    for step in once.iter_mut().chain(&mut per_block).chain(&mut each) {
        if let Step::Load { kept: Some(number), .. } = step {
            *number = kept;
            kept += 1;
        }
    }
    let lasting = each.iter_mut().filter(|step| step.lasts()).filter_map(Step::target_mut);
    let always = once.iter_mut().chain(&mut per_block).filter_map(Step::target_mut);
    for to in constants.iter_mut().map(|c| &mut c.0).chain(always).chain(lasting) {
        to.home = Home::Register(registers);
        registers += 1;
    }
    registers += share_registers(&mut each, &outs, first_value, phase.body.len(), registers);
    let space = c.maps.lanes();
    let lanes = space.chunk * space.inner;
    let reduces = !phase.reduce.is_empty();
    let tape = PhaseTape { reduces, lanes, constants, once, per_block, steps: each, outs, rows };
    (tape, registers - first_register, kept - first_kept)
}

/// Adds the derived variables that come before expression `below`.
fn derived(c: &mut PhaseCompiler, steps: &mut [Vec<Step>; 3], below: usize) {
    while let Some(l) = c.phase.lets.get(c.let_rates.len()) {
        let to = c.first_let + c.let_rates.len();
        let (step, rate) = match l {
            Let::Div(a, by) => {
                let a = c.map(a);
                let rate = c.moves(&a);
                (Step::LetDiv { to, a, by: *by }, rate)
            }
            Let::Rem(a, by) => {
                let a = c.map(a);
                let rate = c.moves(&a);
                (Step::LetRem { to, a, by: *by }, rate)
            }
            Let::Value(e) if e.index() < below => {
                let signed = c.dtype(*e) == DType::I32;
                (Step::LetValue { to, value: c.value(*e), signed }, c.rates[e.index()])
            }
            Let::Value(_) => return,
        };
        let rate = c.rate(rate);
        steps[rate as usize].push(step);
        c.let_rates.push(rate);
    }
}

fn out_tape(c: &PhaseCompiler, out: &Out) -> OutTape {
    match out {
        Out::Store { buffer, index, value } => OutTape::Store {
            buffer: buffer.index(),
            dtype: c.plan.buffer(*buffer).dtype,
            index: c.map(index),
            value: c.value(*value),
            written: false,
        },
        Out::Reduce { fold, value, carry, .. } => {
            let dtype = c.dtype(*value);
            let identity = match fold {
                Fold::Value(op) => lane(op.identity(dtype), dtype),
                Fold::Place(_) => 0,
            };
            OutTape::Reduce { fold: *fold, identity, value: c.value(*value), carry: *carry, dtype }
        }
    }
}

/// Gives each step a register from `first` on, taking those over whose value is not needed any more. A step
/// never writes a register it reads. Gives how many there are.
fn share_registers(steps: &mut [Step], outs: &[OutTape], first_value: usize, values: usize, first: usize) -> usize {
    // A value lives to the last step that reads it, or that reads what was chosen from it.
    let end = steps.len();
    let mut last = vec![0; values];
    for out in outs {
        let (OutTape::Store { value, .. } | OutTape::Reduce { value, .. }) = out;
        last[value - first_value] = end;
    }
    for (i, step) in steps.iter().enumerate().rev() {
        let lives = match step {
            Step::Choose { to, .. } => last[to - first_value].max(i),
            _ => i,
        };
        step.reads(|value| {
            let last = &mut last[value - first_value];
            *last = (*last).max(lives);
        });
    }
    let mut free: Vec<usize> = Vec::new();
    let mut held: Vec<(usize, usize)> = Vec::new();
    let mut count = 0;
    for (i, step) in steps.iter_mut().enumerate() {
        if step.lasts() {
            continue;
        }
        if let Some(to) = step.target_mut().filter(|to| matches!(to.home, Home::Register(_))) {
            let register = free.pop().unwrap_or_else(|| {
                count += 1;
                first + count - 1
            });
            to.home = Home::Register(register);
            held.push((last[to.number - first_value], register));
        }
        held.retain(|&(until, register)| {
            if until <= i {
                free.push(register);
            }
            until > i
        });
    }
    count
}

/// A number as a lane: floats as f32 bits, integers as they are, bool as 0 or 1.
fn lane(v: f64, dtype: DType) -> u32 {
    let mut bytes = Vec::with_capacity(8);
    let held = match dtype {
        DType::F64 | DType::F32 | DType::BF16 | DType::F16 => DType::F32,
        other => other,
    };
    push_f64(held, v, &mut bytes);
    bytes.resize(4, 0);
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}
