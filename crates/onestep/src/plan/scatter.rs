//! Recognises loop nests that are scattered sums: at every point a sum over all steps, of which those count whose index
//! is the point's row. Devices of many threads look for these steps first.

use super::contraction::Axis;
use super::index::{Affine, Var};
use super::kernel::{Expr, Fold, Load, LoopKernel, Out};
use crate::ir::{Compare, ReduceOp};

/// A loop nest read as `sum[group, lane] = Σ_k { update[group, lane, k] where index[group, k] = row[group] }`, with
/// whatever follows the sum.
#[derive(Clone, Debug)]
pub struct Scatter<'a> {
    /// The index of each step.
    pub index: &'a Load,
    /// The row whose steps count at a point.
    pub row: &'a Affine,
    /// What is added.
    pub update: &'a Load,
    /// Grid variables on which it depends which steps count.
    pub group: Axis,
    /// The other grid variables.
    pub lanes: Axis,
    /// Steps of the sum.
    pub steps: usize,
    /// The carry that holds the sum.
    pub carry: usize,
}

impl Scatter<'_> {
    /// Steps that are looked at, at all points.
    pub fn work(&self) -> u64 {
        [self.group.extent(), self.lanes.extent(), self.steps].iter().map(|&n| n as u64).product()
    }

    /// Additions, if every step counts in one of the rows.
    pub fn additions(&self) -> u64 {
        let beside_rows = self.group.vars.iter().filter(|(var, _)| self.row.coefficient(*var) == 0);
        beside_rows.map(|&(_, extent)| extent as u64).product::<u64>() * (self.lanes.extent() * self.steps) as u64
    }
}

impl LoopKernel {
    /// The nest as a scattered sum of floats, if it is one.
    pub fn scatter(&self) -> Option<Scatter<'_>> {
        let [sum, after] = &self.phases[..] else { return None };
        let (&[steps], [], []) = (&sum.reduce[..], &after.reduce[..], &sum.lets[..]) else { return None };
        let [Out::Reduce { fold: Fold::Value(ReduceOp::Sum), value, carry, dtype }] = sum.outs[..] else {
            return None;
        };
        let expr = |e: super::ExprId| &sum.body[e.index()].expr;
        let &Expr::Select(counts, update, nothing) = expr(value) else { return None };
        let &Expr::Compare(Compare::Eq, index, row) = expr(counts) else { return None };
        let (Expr::Load(index), Expr::Index(row), Expr::Const(0.0)) = (expr(index), expr(row), expr(nothing)) else {
            return None;
        };
        // Narrow floats are summed in f32.
        let update = sum.widened(update)?;
        if !dtype.is_float() || sum.loads().count() != 2 || !index.guards.is_empty() || !update.guards.is_empty() {
            return None;
        }
        let (mut group, mut lanes) = (Axis::default(), Axis::default());
        for (i, &extent) in self.grid.iter().enumerate() {
            let var = Var::Grid(i as u32);
            let decides = [row, &index.index].iter().any(|map| map.coefficient(var) != 0);
            (if decides { &mut group } else { &mut lanes }).vars.push((var, extent));
        }
        Some(Scatter { index, row, update, group, lanes, steps, carry })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{BufferId, LibraryKernel, Operand};
    use crate::ir::DType;

    #[test]
    fn scattered_sums_of_floats_are_found_and_those_of_integers_are_not() {
        let nest = |dtype| {
            let of = |buffer, dtype| Operand { buffer: BufferId(buffer), dtype, offset: 0, strides: Vec::new() };
            let [base, updates, out] = [0, 2, 3].map(|buffer| of(buffer, dtype));
            let index = of(1, DType::I32);
            LibraryKernel::ScatterAdd { extents: [1, 100, 7, 12], base, index, updates, out }.nest()
        };
        for dtype in [DType::F32, DType::BF16] {
            let nest = nest(dtype);
            let found = nest.scatter().unwrap();
            assert_eq!((found.group.extent(), found.lanes.extent(), found.steps), (100, 12, 7));
            assert_eq!((found.work(), found.additions()), (100 * 12 * 7, 12 * 7));
            assert_eq!((found.index.buffer, found.update.buffer), (BufferId(1), BufferId(2)));
        }
        assert!(nest(DType::I32).scatter().is_none());
    }
}
