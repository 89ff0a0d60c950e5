//! From a loop kernel to a tape: which way lanes run, how each index map moves, how often each expression
//! changes, and which registers hold what.

use super::combine::{combine, gate, store_directly};
use super::tape::{
    Access, Along, Base, Blocks, Derived, Gate, Home, Map, OutTape, PARTIAL, Pattern, PhaseTape, Places, Range, Ranges,
    Step, Stretches, Tape, Value, WORTH_A_STRETCH, gcd, stretch,
};
use crate::ir::{DType, ReduceOp, push_f64};
use crate::plan::{Affine, BufferId, Expr, ExprId, Fold, Guard, Let, LoopKernel, Out, Phase, Plan, Typed, Var};

impl Tape {
    /// Compiles a kernel. If it runs strip by strip, those are its first axis, and no block has lanes of two.
    pub(super) fn new(plan: &Plan, kernel: &LoopKernel, by_strip: bool) -> Self {
        let along = direction(kernel);
        let grid = match along {
            Along::Grid => Blocks::lanes(&kernel.grid, by_strip as usize),
            Along::Row => Blocks::points(&kernel.grid),
        };
        let stored: Vec<usize> = kernel.stores().map(|s| s.0.index()).collect();
        let rows = kernel.phases.iter().map(|p| p.reduce.len().max(1)).max().unwrap_or(1);
        let variables = grid.extents.len() + rows;
        let (mut registers, mut values, mut lets, mut kept) = (0, 0, 0, 0);
        let phases: Vec<PhaseTape> = kernel
            .phases
            .iter()
            .map(|p| {
                let (phase, used, keeps) =
                    phase(plan, p, along, &grid, &stored, variables, [values, registers, lets, kept]);
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
        let lanes = phases.iter().map(|p| p.lanes).max().unwrap_or(1).next_power_of_two();
        Tape {
            along,
            lanes,
            carries: carries.max().unwrap_or(0),
            registers,
            values,
            variables,
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

    /// The number of a loop variable, and its axis if lanes run along it.
    fn variable(&self, var: Var) -> Option<(usize, Option<usize>)> {
        match var {
            Var::Grid(i) => Some((i as usize, (self.along == Along::Grid).then_some(i as usize))),
            Var::Reduce(i) => {
                Some((self.grid.extents.len() + i as usize, (self.along == Along::Row).then_some(i as usize)))
            }
            Var::Let(_) => None,
        }
    }

    /// The loop variables that a map moves with from block to block or from row to row, with coefficients.
    fn walked(&self, a: &Affine) -> impl Iterator<Item = (usize, i64)> {
        let space = self.lanes();
        a.terms.iter().filter_map(|&(var, c)| {
            let (number, axis) = self.variable(var)?;
            // The chunk's start moves; what lies inside a block is in the table alone.
            let inside = axis.is_some_and(|i| i > space.axis || (i == space.axis && space.chunk == space.extents[i]));
            (!inside).then_some((number, c))
        })
    }

    /// What a map's loop variables add on each lane of a block.
    fn table(&self, a: &Affine) -> Vec<i64> {
        let space = self.lanes();
        let mut coefficients = vec![0; space.extents.len()];
        for &(var, c) in &a.terms {
            if let Some((_, Some(axis))) = self.variable(var)
                && axis >= space.axis
            {
                coefficients[axis] = c;
            }
        }
        space.table(&coefficients)
    }
}

/// On how long stretches of lanes the expressions and the derived variables of a phase are the same.
#[derive(Default)]
struct Spans {
    values: Vec<usize>,
    lets: Vec<usize>,
}

impl Spans {
    fn new(maps: &Maps, phase: &Phase) -> Self {
        let mut spans = Spans::default();
        for typed in &phase.body {
            spans.derive(maps, phase);
            let first = match typed.expr {
                Expr::Carry(_) if maps.along == Along::Grid => 1,
                _ => maps.lanes().size(),
            };
            let operands = typed.expr.operands().into_iter().map(|e| spans.values[e.index()]);
            let indices = typed.expr.indices().into_iter().map(|a| spans.of(maps, a));
            spans.values.push(operands.chain(indices).fold(first, gcd));
        }
        spans.derive(maps, phase);
        spans
    }

    /// Adds the derived variables that depend on the expressions so far.
    fn derive(&mut self, maps: &Maps, phase: &Phase) {
        while let Some(l) = phase.lets.get(self.lets.len()) {
            let span = match l {
                Let::Div(a, _) | Let::Rem(a, _) => self.of(maps, a),
                Let::Value(e) => match self.values.get(e.index()) {
                    Some(&span) => span,
                    None => return,
                },
            };
            self.lets.push(span);
        }
    }

    /// That of a map.
    fn of(&self, maps: &Maps, a: &Affine) -> usize {
        self.of_lets(a).fold(stretch(&maps.table(a), 0), gcd)
    }

    /// Those of the derived variables of a map.
    fn of_lets(&self, a: &Affine) -> impl Iterator<Item = usize> {
        a.terms.iter().filter_map(|&(var, _)| match var {
            Var::Let(i) => Some(self.lets[i as usize]),
            Var::Grid(_) | Var::Reduce(_) => None,
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
    /// The number of loop variables.
    variables: usize,
    rates: Vec<Rate>,
    let_rates: Vec<Rate>,
    spans: Spans,
}

impl PhaseCompiler<'_> {
    fn dtype(&self, e: ExprId) -> DType {
        self.phase.body[e.index()].dtype
    }

    fn value(&self, e: ExprId) -> usize {
        self.first_value + e.index()
    }

    /// Whether a value is the same on all lanes.
    fn is_uniform(&self, e: ExprId) -> bool {
        self.spans.values[e.index()] == self.maps.lanes().size()
    }

    /// The part of a map that is the same on all lanes, and the derived variables that are not.
    fn base(&self, a: &Affine) -> (Base, Vec<(usize, i64)>) {
        let mut terms: Vec<(usize, i64)> = self.maps.walked(a).collect();
        let mut lets = Vec::new();
        for &(var, c) in &a.terms {
            let Var::Let(i) = var else { continue };
            match self.derived(i as usize) {
                Derived::Variable(number) => terms.push((number, c)),
                Derived::Lanes(number) => lets.push((number, c)),
            }
        }
        (Base { offset: a.offset, terms }, lets)
    }

    /// Where a derived variable is kept.
    fn derived(&self, i: usize) -> Derived {
        let number = self.first_let + i;
        match self.spans.lets[i] == self.maps.lanes().size() {
            true => Derived::Variable(self.variables + number),
            false => Derived::Lanes(number),
        }
    }

    /// A map looked at once for each stretch of `len` lanes.
    fn stretches(&self, a: &Affine, len: usize) -> Stretches {
        let table = self.maps.table(a);
        let (base, lets) = self.base(a);
        let starts = table.iter().step_by(len).copied().collect();
        let moves = len > 1 && table[1] != table[0];
        Stretches { len, moves, base, starts, lets }
    }

    /// The greatest length of stretches of lanes in which each of some maps stays or moves by one.
    fn stretch<'a>(&self, maps: impl Iterator<Item = &'a Affine>) -> usize {
        let each = maps.flat_map(|a| {
            let table = self.maps.table(a);
            self.spans.of_lets(a).chain([stretch(&table, 0).max(stretch(&table, 1))])
        });
        Some(each.fold(self.maps.lanes().size(), gcd)).filter(|&len| len >= WORTH_A_STRETCH).unwrap_or(1)
    }

    /// Guards that are the same on all lanes, and the others.
    fn guards<'g>(&self, guards: &'g [Guard]) -> (Vec<Gate>, Vec<&'g Guard>) {
        let lanes = self.maps.lanes().size();
        let (gates, ranges): (Vec<&Guard>, _) =
            guards.iter().partition(|g| self.spans.of(&self.maps, &g.expr) == lanes);
        let gate = |g: &Guard| Gate { expr: self.base(&g.expr).0, low: g.low, high: g.high };
        (gates.into_iter().map(gate).collect(), ranges)
    }

    fn ranges(&self, guards: &[&Guard], len: usize) -> Ranges {
        let range = |g: &&Guard| Range { expr: self.stretches(&g.expr, len), low: g.low, high: g.high };
        Ranges(guards.iter().map(range).collect())
    }

    /// How often a map moves.
    fn moves(&self, a: &Affine) -> Rate {
        let axes = self.maps.grid.extents.len();
        let terms = self.maps.walked(a).map(|(number, _)| if number < axes { Rate::Block } else { Rate::Step });
        let lets = a.terms.iter().filter_map(|&(var, _)| match var {
            Var::Let(i) => Some(self.let_rates[i as usize]),
            Var::Grid(_) | Var::Reduce(_) => None,
        });
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
                && self.is_uniform(*c)
            {
                reached[i] |= reached[a.index()] || reached[b.index()];
            }
        }
        self.phase.outs.iter().any(|out| match out {
            Out::Store { buffer: to, value, .. } => reached[value.index()] && to.index() != buffer,
            Out::Reduce { value, .. } => reached[value.index()],
        })
    }

    fn access(&self, buffer: BufferId, index: &Affine, guards: &[Guard], fill: u32) -> Access {
        let (gates, ranges) = self.guards(guards);
        let (base, lets) = self.base(index);
        let places = if ranges.is_empty() && lets.is_empty() {
            Places::Lanes(Map { base, lanes: Pattern::of(&self.maps.table(index)) })
        } else {
            let len = self.stretch(ranges.iter().map(|g| &g.expr).chain([index]));
            Places::Stretches { index: self.stretches(index, len), ranges: self.ranges(&ranges, len) }
        };
        Access { buffer: buffer.index(), dtype: self.plan.buffer(buffer).dtype, gates, places, fill }
    }

    /// The step of an expression with how often its value changes; `None` for a constant.
    fn step(&self, i: usize, typed: &Typed) -> Option<(Step, Rate)> {
        let to = self.first_value + i;
        let out = Value { number: to, home: Home::Register(0) };
        let of = |e: &ExprId| self.value(*e);
        let operands = typed.expr.operands();
        let operands = operands.iter().map(|e| self.rates[e.index()]);
        let indices = typed.expr.indices().into_iter().map(|a| self.moves(a));
        let rate = operands.chain(indices).max().unwrap_or(Rate::Once);
        let step = match &typed.expr {
            Expr::Const(_) => return None,
            Expr::Load(l) => {
                let from = self.access(l.buffer, &l.index, &l.guards, lane(l.fill, typed.dtype));
                let stored = self.stored.contains(&from.buffer);
                let rate = if stored { rate.max(Rate::Block) } else { rate };
                if from.direct().is_some() && !(stored && self.escapes(ExprId(i as u32), from.buffer)) {
                    return Some((Step::Direct { to, from }, rate));
                }
                // What does not move with the fastest loop is often there already.
                let fastest = match self.maps.along {
                    Along::Grid => self.maps.grid.axis,
                    Along::Row => self.maps.grid.extents.len() + self.maps.rows.axis,
                };
                let keeps = match &from.places {
                    Places::Lanes(map) if from.gates.is_empty() && !stored && rate != Rate::Once => {
                        !map.base.terms.iter().any(|t| t.0 == fastest)
                    }
                    _ => false,
                };
                return Some((Step::Load { to: out, from, kept: keeps.then_some(0) }, rate));
            }
            Expr::Carry(carry) => {
                return Some((Step::Carry { to, carry: *carry }, Rate::Block));
            }
            Expr::Index(a) => Step::Index { to: out, at: self.stretches(a, self.stretch([a].into_iter())) },
            Expr::Within(guards) => {
                let (gates, ranges) = self.guards(guards);
                let len = self.stretch(ranges.iter().map(|g| &g.expr));
                Step::Within { to: out, gates, ranges: self.ranges(&ranges, len) }
            }
            Expr::Random { stream, seed, step, index } => {
                let index = self.stretches(index, self.stretch([index].into_iter()));
                let seed = [of(&seed[0]), of(&seed[1])];
                let bits = typed.dtype == DType::U32;
                Step::Random { to: out, stream: *stream, seed, step: of(step), index, bits }
            }
            Expr::Unary(op, a) => Step::Unary { to: out, op: *op, a: of(a), dtype: self.dtype(*a) },
            Expr::Binary(op, a, b) => Step::Binary { to: out, op: *op, a: of(a), b: of(b), dtype: self.dtype(*a) },
            Expr::Compare(op, a, b) => Step::Compare { to: out, op: *op, a: of(a), b: of(b), dtype: self.dtype(*a) },
            Expr::Select(c, a, b) if self.is_uniform(*c) => Step::Choose { to, c: of(c), a: of(a), b: of(b) },
            Expr::Select(c, a, b) => Step::Select { to: out, c: of(c), a: of(a), b: of(b) },
            Expr::Cast(a) => Step::Cast { to: out, a: of(a), from: self.dtype(*a), into: typed.dtype },
        };
        Some((step, rate))
    }
}

/// Compiles a phase; `first` are the numbers of its first value, register, derived variable and kept load. Gives the
/// numbers of registers and of kept loads it uses, too.
fn phase(
    plan: &Plan,
    phase: &Phase,
    along: Along,
    grid: &Blocks,
    stored: &[usize],
    variables: usize,
    [first_value, first_register, first_let, first_kept]: [usize; 4],
) -> (PhaseTape, usize, usize) {
    let rows = match along {
        Along::Grid => Blocks::points(&phase.reduce),
        Along::Row => Blocks::lanes(&phase.reduce, 0),
    };
    let maps = Maps { along, grid, rows: &rows };
    let (rates, let_rates, spans) = (Vec::new(), Vec::new(), Spans::new(&maps, phase));
    let mut c = PhaseCompiler { maps, plan, phase, stored, first_value, first_let, variables, rates, let_rates, spans };
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
    let gate = gate(&mut each, &mut outs, first_value, |value| c.rates[value - first_value] == Rate::Once);
    combine(&mut each, &mut outs, first_value, |value| c.is_uniform(ExprId((value - first_value) as u32)));
    store_directly(&mut each, &[&once, &per_block], &mut outs, first_value, variables);
    let (mut registers, mut kept) = (first_register, first_kept);
    for step in once.iter_mut().chain(&mut per_block).chain(&mut each) {
        if let Step::Load { kept: Some(number), .. } = step {
            *number = kept;
            kept += 1;
        }
    }
    let lasting = each.iter_mut().filter(|step| step.lasts()).flat_map(Step::targets_mut);
    let always = once.iter_mut().chain(&mut per_block).flat_map(Step::targets_mut);
    for to in constants.iter_mut().map(|c| &mut c.0).chain(always).chain(lasting) {
        to.home = Home::Register(registers);
        registers += 1;
    }
    registers += share_registers(&mut each, &outs, first_value, phase.body.len(), registers);
    let lanes = c.maps.lanes().size();
    let reduces = !phase.reduce.is_empty();
    let tape = PhaseTape { reduces, lanes, gate, constants, once, per_block, steps: each, outs, rows };
    (tape, registers - first_register, kept - first_kept)
}

/// Adds the derived variables that come before expression `below`.
fn derived(c: &mut PhaseCompiler, steps: &mut [Vec<Step>; 3], below: usize) {
    while let Some(l) = c.phase.lets.get(c.let_rates.len()) {
        let to = c.derived(c.let_rates.len());
        // Stretches on which the variable is the same.
        let stretches = |a: &Affine| {
            let len = Some(c.spans.of(&c.maps, a)).filter(|&len| len >= WORTH_A_STRETCH).unwrap_or(1);
            c.stretches(a, len)
        };
        let (step, rate) = match l {
            Let::Div(a, by) => (Step::LetDiv { to, a: stretches(a), by: *by }, c.moves(a)),
            Let::Rem(a, by) => (Step::LetRem { to, a: stretches(a), by: *by }, c.moves(a)),
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
        Out::Store { buffer, index, value } => {
            OutTape::Store { to: c.access(*buffer, index, &[], 0), value: c.value(*value), written: false }
        }
        Out::Reduce { fold, value, carry, .. } => {
            let dtype = c.dtype(*value);
            let identity = match fold {
                Fold::Value(op) => lane(op.identity(dtype), dtype),
                Fold::Place(_) => 0,
            };
            let sums = *fold == Fold::Value(ReduceOp::Sum) && dtype.is_float();
            let long = sums && c.maps.rows.count() >= PARTIAL;
            OutTape::Reduce { fold: *fold, identity, value: c.value(*value), carry: *carry, dtype, long }
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
        for to in step.targets_mut().iter_mut().filter(|to| matches!(to.home, Home::Register(_))) {
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
