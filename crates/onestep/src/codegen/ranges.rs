//! Ranges of index maps: whether 32 bits hold every index of a kernel, which comparisons always hold, and
//! which divisions never see a negative number.

use crate::ir::{Binary, DType};
use crate::plan::{Affine, Expr, ExprId, Guard, Let, LoopKernel, Out, Phase, Var};

/// Smallest and largest value.
pub(super) type Range = (i64, i64);

/// Beyond any index: what is this large counts as unbounded.
const FAR: i64 = 1 << 60;

/// Extents of a phase's variables.
pub(super) struct Ranges<'a> {
    grid: &'a [usize],
    phase: &'a Phase,
    lets: Vec<Range>,
    /// Of each derived variable, what it is to be clamped to, if it is.
    clamped: Vec<Option<Range>>,
}

impl<'a> Ranges<'a> {
    /// For a phase of a kernel; with `clamped` variables that data decide stay within what their guards let through and
    /// one more on each side, where nothing but guarded loads and conditions uses them.
    pub(super) fn new(kernel: &'a LoopKernel, phase: &'a Phase, clamped: bool) -> Self {
        let mut ranges = Ranges { grid: &kernel.grid, phase, lets: Vec::new(), clamped: Vec::new() };
        for (i, l) in phase.lets.iter().enumerate() {
            let mut range = match l {
                Let::Div(a, by) => {
                    let (low, high) = ranges.of(a);
                    (low.div_euclid(*by), high.div_euclid(*by))
                }
                Let::Rem(_, by) => (0, by - 1),
                Let::Value(e) => ranges.value(*e),
            };
            let bounds = match l {
                Let::Value(_) if clamped => let_through(phase, i as u32),
                _ => None,
            };
            let bounds = bounds.filter(|(low, high)| range.0 < *low || range.1 > *high);
            range = bounds.map_or(range, |(low, high)| (range.0.clamp(low, high), range.1.clamp(low, high)));
            ranges.lets.push(range);
            ranges.clamped.push(bounds);
        }
        ranges
    }

    /// What a derived variable is to be clamped to, if it is.
    pub(super) fn clamp(&self, number: usize) -> Option<Range> {
        self.clamped[number]
    }

    /// The values a map takes.
    pub(super) fn of(&self, a: &Affine) -> Range {
        self.valid(a, &[])
    }

    /// The values a map takes where guards hold.
    pub(super) fn valid(&self, a: &Affine, guards: &[Guard]) -> Range {
        let mut sum = (a.offset, a.offset);
        for &(var, c) in &a.terms {
            sum = plus(sum, scaled(self.variable(var, guards), c));
        }
        for g in guards.iter().filter(|g| g.expr == *a) {
            sum = (sum.0.max(g.low), sum.1.min(g.high - 1));
        }
        sum
    }

    /// Whether 32 bits hold a map's value and every sum and product on the way to it.
    pub(super) fn fits(&self, a: &Affine, guards: &[Guard]) -> bool {
        let narrow = |r: Range| i32::try_from(r.0).is_ok() && i32::try_from(r.1).is_ok();
        let mut sum = (0, 0);
        let terms = a.terms.iter().all(|&(var, c)| {
            let term = scaled(self.variable(var, guards), c);
            sum = plus(sum, term);
            narrow(term) && narrow(sum)
        });
        terms && narrow(plus(sum, (a.offset, a.offset)))
    }

    /// Whether 32 bits hold every index of the phase.
    pub(super) fn all_fit(&self) -> bool {
        let lets = self.phase.lets.iter().all(|l| match l {
            Let::Div(a, by) | Let::Rem(a, by) => self.fits(a, &[]) && i32::try_from(*by).is_ok(),
            Let::Value(_) => true,
        });
        let guards = |guards: &[Guard]| guards.iter().all(|g| self.fits(&g.expr, &[]));
        let body = self.phase.body.iter().all(|t| match &t.expr {
            Expr::Load(l) => guards(&l.guards) && self.fits(&l.index, &l.guards),
            Expr::Within(list) => guards(list),
            Expr::Index(a) | Expr::Random { index: a, .. } => self.fits(a, &[]),
            Expr::Carry(_)
            | Expr::Const(_)
            | Expr::Unary(..)
            | Expr::Binary(..)
            | Expr::Compare(..)
            | Expr::Select(..)
            | Expr::Cast(_) => true,
        });
        let stores = self.phase.outs.iter().all(|o| match o {
            Out::Store { index, .. } => self.fits(index, &[]),
            Out::Reduce { .. } => true,
        });
        lets && body && stores
    }

    fn variable(&self, var: Var, guards: &[Guard]) -> Range {
        let (mut low, mut high) = match var {
            Var::Grid(i) => (0, self.grid[i as usize] as i64 - 1),
            Var::Reduce(i) => (0, self.phase.reduce[i as usize] as i64 - 1),
            Var::Let(i) => self.lets[i as usize],
        };
        for g in guards.iter().filter(|g| g.expr == Affine::var(var, 1)) {
            (low, high) = (low.max(g.low), high.min(g.high - 1));
        }
        (low, high.max(low))
    }

    /// The values an integer expression takes.
    fn value(&self, id: ExprId) -> Range {
        let typed = &self.phase.body[id.index()];
        match &typed.expr {
            Expr::Const(v) => (*v as i64, *v as i64),
            Expr::Index(a) => self.of(a),
            Expr::Binary(Binary::Max, a, b) => {
                let (a, b) = (self.value(*a), self.value(*b));
                (a.0.max(b.0), a.1.max(b.1))
            }
            Expr::Binary(Binary::Min, a, b) => {
                let (a, b) = (self.value(*a), self.value(*b));
                (a.0.min(b.0), a.1.min(b.1))
            }
            _ => match typed.dtype {
                DType::U8 => (0, u8::MAX as i64),
                DType::Bool => (0, 1),
                DType::U32 => (0, u32::MAX as i64),
                _ => (i32::MIN as i64, i32::MAX as i64),
            },
        }
    }
}

/// The values of a derived variable that some guard lets through, and one more on each side; `None` if something but
/// guarded loads uses it.
fn let_through(phase: &Phase, number: u32) -> Option<Range> {
    let mut depends = vec![false; phase.lets.len()];
    for (i, l) in phase.lets.iter().enumerate() {
        depends[i] = match l {
            Let::Div(a, _) | Let::Rem(a, _) => uses(a, &depends),
            Let::Value(_) => i == number as usize,
        };
    }
    let mut through: Option<Range> = None;
    let mut guarded = |guards: &[Guard]| {
        // One that looks at the variable alone turns away whatever is beyond, and all others with it.
        let own: Vec<&Guard> = guards.iter().filter(|g| g.expr.terms == [(Var::Let(number), 1)]).collect();
        for g in &own {
            let (from, below) = (g.low - g.expr.offset, g.high - g.expr.offset);
            let (low, high) = through.unwrap_or((from, below));
            through = Some((low.min(from), high.max(below)));
        }
        !own.is_empty()
    };
    let only_guarded = phase.body.iter().all(|t| match &t.expr {
        Expr::Load(l) => !l.indices().any(|a| uses(a, &depends)) || guarded(&l.guards),
        Expr::Within(list) => !list.iter().any(|g| uses(&g.expr, &depends)) || guarded(list),
        other => !other.indices().into_iter().any(|a| uses(a, &depends)),
    });
    let stored = phase.outs.iter().any(|o| matches!(o, Out::Store { index, .. } if uses(index, &depends)));
    through.filter(|_| only_guarded && !stored).map(|(low, high)| (low - 1, high))
}

/// Whether a map uses some derived variable.
fn uses(a: &Affine, some: &[bool]) -> bool {
    a.terms.iter().any(|t| matches!(t.0, Var::Let(i) if some[i as usize]))
}

fn plus(a: Range, b: Range) -> Range {
    ((a.0 + b.0).clamp(-FAR, FAR), (a.1 + b.1).clamp(-FAR, FAR))
}

fn scaled(a: Range, by: i64) -> Range {
    let product = |v: i64| v.saturating_mul(by).clamp(-FAR, FAR);
    let (x, y) = (product(a.0), product(a.1));
    (x.min(y), x.max(y))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{BufferId, Load, Typed};

    #[test]
    fn guards_narrow_what_a_device_side_index_can_be() {
        let place = Affine::var(Var::Let(0), 1);
        let guard = Guard { expr: place.clone(), low: 0, high: 100 };
        let load = |guards| Load {
            buffer: BufferId(0),
            index: Affine::var(Var::Let(0), 64).plus(&place, 0),
            guards,
            fill: 0.0,
        };
        let index = Typed { expr: Expr::Load(load(vec![])), dtype: DType::I32 };
        let phase = Phase { lets: vec![Let::Value(ExprId(0))], body: vec![index], ..Phase::default() };
        let kernel = LoopKernel { grid: vec![4], ..LoopKernel::default() };
        let ranges = Ranges::new(&kernel, &phase, false);
        let wide = Affine::var(Var::Let(0), 64);
        assert!(!ranges.fits(&wide, &[]));
        assert!(ranges.fits(&wide, std::slice::from_ref(&guard)));
        assert_eq!(ranges.valid(&wide, &[guard]), (0, 64 * 99));
    }

    #[test]
    fn what_data_decide_is_clamped_where_only_guarded_loads_use_it() {
        let bare = Affine::var(Var::Let(0), 1);
        let guard = |expr: &Affine| Guard { expr: expr.clone(), low: 0, high: 100 };
        let load = |index: Affine, guards| Expr::Load(Load { buffer: BufferId(0), index, guards, fill: 0.0 });
        let of = |expr, dtype| Typed { expr, dtype };
        let index = of(load(Affine::default(), vec![]), DType::I32);
        let derived = Affine::var(Var::Let(1), 64);
        let phase = |guards| Phase {
            lets: vec![Let::Value(ExprId(0)), Let::Div(bare.scaled(64), 2)],
            body: vec![index.clone(), of(load(derived.clone(), guards), DType::F32)],
            ..Phase::default()
        };
        let kernel = LoopKernel { grid: vec![4], ..LoopKernel::default() };
        let guarded = phase(vec![guard(&bare)]);
        let ranges = Ranges::new(&kernel, &guarded, true);
        assert_eq!((ranges.clamp(0), ranges.clamp(1)), (Some((-1, 100)), None));
        assert!(ranges.all_fit() && !Ranges::new(&kernel, &guarded, false).all_fit());
        for guards in [vec![], vec![guard(&derived)]] {
            let phase = phase(guards);
            assert_eq!(Ranges::new(&kernel, &phase, true).clamp(0), None);
        }
    }

    #[test]
    fn sums_on_the_way_count_too() {
        let kernel = LoopKernel { grid: vec![1 << 16, 1 << 16], ..LoopKernel::default() };
        let phase = Phase::default();
        let ranges = Ranges::new(&kernel, &phase, false);
        let there_and_back = Affine::var(Var::Grid(0), 1 << 16).plus(&Affine::var(Var::Grid(1), -(1 << 16)), 1);
        assert!(!ranges.fits(&there_and_back, &[]));
        assert!(ranges.fits(&Affine::var(Var::Grid(0), 1 << 14), &[]));
    }
}
