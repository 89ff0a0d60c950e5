//! A loop kernel compiled for the CPU: each phase's expressions as a list of instructions over registers
//! of a few hundred lanes, and each index map split into what moves with the outer loops and a fixed
//! pattern across the lanes.
//!
//! Lanes run either along the grid (each lane is a grid point, the reduced space is walked one point at a
//! time) or along the reduced rows (one grid point at a time). Results do not depend on the number of
//! threads: blocks are cut by shape alone.

use crate::ir::{DType, push_f64};
use crate::plan::{Affine, Expr, Fold, Guard, Let, LoopKernel, Out, Phase, Plan, Var};

/// Lanes of a register.
pub(super) const LANES: usize = 256;

/// Which loop the lanes run along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Along {
    Grid,
    Row,
}

/// A compiled loop kernel.
pub(super) struct Tape {
    pub along: Along,
    pub grid: Blocks,
    pub phases: Vec<PhaseTape>,
    pub carries: usize,
    pub registers: usize,
    pub lets: usize,
    /// Elements evaluated, times instructions: what decides whether threads pay.
    pub work: u64,
}

/// A compiled phase.
pub(super) struct PhaseTape {
    pub rows: Blocks,
    pub reduces: bool,
    pub constants: Vec<(usize, u32)>,
    pub steps: Vec<Step>,
    pub outs: Vec<OutTape>,
}

/// An expression into a register of the same number, or a derived variable.
pub(super) enum Step {
    Load { to: usize, from: Access, direct: bool },
    Carry { to: usize, carry: usize },
    Index { to: usize, at: Map },
    Within { to: usize, guards: Vec<GuardTape> },
    Random { to: usize, stream: u32, seed: [usize; 2], step: usize, index: Map, bits: bool },
    Unary { to: usize, op: crate::ir::Unary, a: usize, dtype: DType },
    Binary { to: usize, op: crate::ir::Binary, a: usize, b: usize, dtype: DType },
    Compare { to: usize, op: crate::ir::Compare, a: usize, b: usize, dtype: DType },
    Select { to: usize, c: usize, a: usize, b: usize },
    Cast { to: usize, a: usize, from: DType, into: DType },
    LetDiv { to: usize, a: Map, by: i64 },
    LetRem { to: usize, a: Map, by: i64 },
    LetValue { to: usize, value: usize, signed: bool },
}

/// An element access.
pub(super) struct Access {
    pub buffer: usize,
    pub dtype: DType,
    pub index: Map,
    pub guards: Vec<GuardTape>,
    pub fill: u32,
}

/// A compiled guard.
pub(super) struct GuardTape {
    pub expr: Map,
    pub low: i64,
    pub high: i64,
}

/// What becomes of a register.
pub(super) enum OutTape {
    Store { buffer: usize, dtype: DType, index: Map, value: usize },
    Reduce { fold: Fold, identity: u32, value: usize, carry: usize, dtype: DType },
}

/// An index map: a part that moves with the loops and a pattern across the lanes.
pub(super) struct Map {
    pub offset: i64,
    /// Loop variables (numbered through grid and reduced space) with coefficients.
    pub terms: Vec<(usize, i64)>,
    /// Derived variables with coefficients.
    pub lets: Vec<(usize, i64)>,
    pub lanes: Pattern,
}

/// How a map moves across the lanes of a block.
pub(super) enum Pattern {
    Uniform,
    Contiguous,
    Table(Box<[i32]>),
    /// As a table, for lanes that lie too far apart for 32 bits.
    Wide(Box<[i64]>),
}

/// A space cut into blocks of lanes: axes before `axis` are walked, `axis` in chunks, those after it lie
/// wholly within a block.
#[derive(Clone)]
pub(super) struct Blocks {
    pub extents: Vec<usize>,
    pub axis: usize,
    pub chunk: usize,
    /// Elements of the axes after `axis`.
    pub inner: usize,
}

impl Blocks {
    /// Blocks of up to [`LANES`] elements.
    fn lanes(extents: &[usize]) -> Self {
        if extents.is_empty() {
            return Blocks { extents: vec![1], axis: 0, chunk: 1, inner: 1 };
        }
        let mut axis = extents.len() - 1;
        let mut inner = 1;
        while axis > 0 && extents[axis] * inner * 2 <= LANES {
            inner *= extents[axis];
            axis -= 1;
        }
        let chunk = extents[axis].min(LANES / inner).max(1);
        Blocks { extents: extents.to_vec(), axis, chunk, inner }
    }

    /// Blocks of one element.
    fn points(extents: &[usize]) -> Self {
        let extents = if extents.is_empty() { vec![1] } else { extents.to_vec() };
        Blocks { axis: extents.len() - 1, chunk: 1, inner: 1, extents }
    }

    /// How many blocks there are.
    pub(super) fn count(&self) -> usize {
        let walked: usize = self.extents[..self.axis].iter().product();
        walked * self.extents[self.axis].div_ceil(self.chunk)
    }

    /// Writes the first coordinates of a block and gives its number of elements.
    pub(super) fn start(&self, mut block: usize, at: &mut [i64]) -> usize {
        let chunks = self.extents[self.axis].div_ceil(self.chunk);
        let start = (block % chunks) * self.chunk;
        block /= chunks;
        at[self.axis] = start as i64;
        for axis in (0..self.axis).rev() {
            at[axis] = (block % self.extents[axis]) as i64;
            block /= self.extents[axis];
        }
        self.chunk.min(self.extents[self.axis] - start) * self.inner
    }

    /// The row-major number of a block's first element, whose coordinates [`Blocks::start`] wrote.
    pub(super) fn number(&self, at: &[i64]) -> usize {
        (0..=self.axis).fold(0, |sum, axis| sum * self.extents[axis] + at[axis] as usize) * self.inner
    }

    /// Coefficients of a map on this space's lanes, as a table over one block.
    fn pattern(&self, coefficients: &[i64]) -> Pattern {
        let lanes = self.chunk * self.inner;
        let table: Vec<i64> = (0..lanes)
            .map(|lane| {
                let mut left = lane;
                let mut sum = 0;
                for axis in (self.axis + 1..self.extents.len()).rev() {
                    sum += coefficients[axis] * (left % self.extents[axis]) as i64;
                    left /= self.extents[axis];
                }
                sum + coefficients[self.axis] * left as i64
            })
            .collect();
        if table.iter().all(|&t| t == 0) {
            Pattern::Uniform
        } else if table.iter().enumerate().all(|(i, &t)| t == i as i64) {
            Pattern::Contiguous
        } else {
            let narrow = table.iter().map(|&t| i32::try_from(t).ok()).collect::<Option<_>>();
            narrow.map_or_else(|| Pattern::Wide(table.into()), Pattern::Table)
        }
    }
}

impl Tape {
    /// Compiles a kernel.
    pub(super) fn new(plan: &Plan, kernel: &LoopKernel) -> Self {
        let along = direction(kernel);
        let grid = match along {
            Along::Grid => Blocks::lanes(&kernel.grid),
            Along::Row => Blocks::points(&kernel.grid),
        };
        let stored: Vec<usize> = kernel.stores().map(|s| s.0.index()).collect();
        let phases: Vec<PhaseTape> = kernel.phases.iter().map(|p| phase(plan, p, along, &grid, &stored)).collect();
        let carries = kernel.phases.iter().flat_map(|p| &p.outs).filter_map(|o| match o {
            Out::Reduce { carry, .. } => Some(carry + 1),
            Out::Store { .. } => None,
        });
        let work = |p: &Phase| (p.reduce.iter().product::<usize>() * (p.body.len() + 1)) as u64;
        Tape {
            along,
            carries: carries.max().unwrap_or(0),
            registers: kernel.phases.iter().map(|p| p.body.len()).max().unwrap_or(0),
            lets: kernel.phases.iter().map(|p| p.lets.len()).max().unwrap_or(0),
            work: kernel.points() as u64 * kernel.phases.iter().map(work).sum::<u64>(),
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
    let close = |var: fn(&Phase) -> Option<Var>| {
        let near = |p: &Phase| {
            let Some(var) = var(p) else { return 0 };
            let near = |a: &Affine| (0..=1).contains(&a.coefficient(var));
            p.body.iter().filter(|t| matches!(&t.expr, Expr::Load(l) if near(&l.index))).count()
        };
        kernel.phases.iter().filter(|p| row(p) > 1).map(near).sum::<usize>()
    };
    let along_rows = close(|p| p.reduce.len().checked_sub(1).map(|i| Var::Reduce(i as u32)));
    let innermost = Var::Grid(kernel.grid.len() as u32 - 1);
    let along_grid = kernel
        .phases
        .iter()
        .filter(|p| row(p) > 1)
        .flat_map(|p| &p.body)
        .filter(|t| matches!(&t.expr, Expr::Load(l) if (0..=1).contains(&l.index.coefficient(innermost))))
        .count();
    if longest >= 32 && along_rows > along_grid { Along::Row } else { Along::Grid }
}

struct Compiler<'a> {
    along: Along,
    grid: &'a Blocks,
    rows: &'a Blocks,
}

impl Compiler<'_> {
    fn map(&self, a: &Affine) -> Map {
        let mut terms = Vec::new();
        let mut lets = Vec::new();
        let space = match self.along {
            Along::Grid => self.grid,
            Along::Row => self.rows,
        };
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
                    if axis == space.axis {
                        terms.push((number, c));
                    }
                }
                _ => terms.push((number, c)),
            }
        }
        Map { offset: a.offset, terms, lets, lanes: space.pattern(&coefficients) }
    }

    fn guards(&self, guards: &[Guard]) -> Vec<GuardTape> {
        guards.iter().map(|g| GuardTape { expr: self.map(&g.expr), low: g.low, high: g.high }).collect()
    }
}

fn phase(plan: &Plan, phase: &Phase, along: Along, grid: &Blocks, stored: &[usize]) -> PhaseTape {
    let rows = match along {
        Along::Grid => Blocks::points(&phase.reduce),
        Along::Row => Blocks::lanes(&phase.reduce),
    };
    let compiler = Compiler { along, grid, rows: &rows };
    let mut constants = Vec::new();
    let mut steps = Vec::new();
    let mut lets = 0;
    let add_lets = |steps: &mut Vec<Step>, lets: &mut usize, below: usize| {
        while let Some(l) = phase.lets.get(*lets) {
            match l {
                Let::Div(a, by) => steps.push(Step::LetDiv { to: *lets, a: compiler.map(a), by: *by }),
                Let::Rem(a, by) => steps.push(Step::LetRem { to: *lets, a: compiler.map(a), by: *by }),
                Let::Value(e) if e.index() < below => steps.push(Step::LetValue {
                    to: *lets,
                    value: e.index(),
                    signed: phase.body[e.index()].dtype == DType::I32,
                }),
                Let::Value(_) => return,
            }
            *lets += 1;
        }
    };
    for (to, typed) in phase.body.iter().enumerate() {
        add_lets(&mut steps, &mut lets, to);
        let dtype = typed.dtype;
        let of = |e: crate::plan::ExprId| phase.body[e.index()].dtype;
        steps.push(match &typed.expr {
            Expr::Const(v) => {
                constants.push((to, lane(*v, dtype)));
                continue;
            }
            Expr::Load(l) => {
                let from = Access {
                    buffer: l.buffer.index(),
                    dtype: plan.buffer(l.buffer).dtype,
                    index: compiler.map(&l.index),
                    guards: compiler.guards(&l.guards),
                    fill: lane(l.fill, dtype),
                };
                let direct = from.dtype.size() == 4
                    && from.guards.is_empty()
                    && from.index.lets.is_empty()
                    && matches!(from.index.lanes, Pattern::Contiguous)
                    && !stored.contains(&from.buffer);
                Step::Load { to, from, direct }
            }
            Expr::Carry(carry) => Step::Carry { to, carry: *carry },
            Expr::Index(a) => Step::Index { to, at: compiler.map(a) },
            Expr::Within(guards) => Step::Within { to, guards: compiler.guards(guards) },
            Expr::Random { stream, seed, step, index } => Step::Random {
                to,
                stream: *stream,
                seed: [seed[0].index(), seed[1].index()],
                step: step.index(),
                index: compiler.map(index),
                bits: dtype == DType::U32,
            },
            Expr::Unary(op, a) => Step::Unary { to, op: *op, a: a.index(), dtype: of(*a) },
            Expr::Binary(op, a, b) => Step::Binary { to, op: *op, a: a.index(), b: b.index(), dtype: of(*a) },
            Expr::Compare(op, a, b) => Step::Compare { to, op: *op, a: a.index(), b: b.index(), dtype: of(*a) },
            Expr::Select(c, a, b) => Step::Select { to, c: c.index(), a: a.index(), b: b.index() },
            Expr::Cast(a) => Step::Cast { to, a: a.index(), from: of(*a), into: dtype },
        });
    }
    add_lets(&mut steps, &mut lets, phase.body.len());
    let outs = phase.outs.iter().map(|out| match out {
        Out::Store { buffer, index, value } => OutTape::Store {
            buffer: buffer.index(),
            dtype: plan.buffer(*buffer).dtype,
            index: compiler.map(index),
            value: value.index(),
        },
        Out::Reduce { fold, value, carry, .. } => {
            let dtype = phase.body[value.index()].dtype;
            let identity = match fold {
                Fold::Value(op) => lane(op.identity(dtype), dtype),
                Fold::Place(_) => 0,
            };
            OutTape::Reduce { fold: *fold, identity, value: value.index(), carry: *carry, dtype }
        }
    });
    PhaseTape { reduces: !phase.reduce.is_empty(), constants, steps, outs: outs.collect(), rows }
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
