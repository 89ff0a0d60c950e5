//! Recognises loop nests that are matrix products in disguise: a sum of products of two loads, whatever follows
//! it. Devices of many threads compute those by tiles.

use super::ExprId;
use super::index::Var;
use super::kernel::{Expr, Fold, Let, Load, LoopKernel, Out, Phase};
use crate::ir::{Binary, DType, ReduceOp};

/// A loop nest read as the product `sum[b, m, n] = Σ_k left[b, m, k] · right[b, k, n]`.
#[derive(Clone, Debug)]
pub struct Contraction<'a> {
    /// What the sums are of.
    pub left: &'a Load,
    /// What the sums are of.
    pub right: &'a Load,
    /// Grid variables that both loads depend on.
    pub batch: Axis,
    /// Those that the left one alone depends on.
    pub m: Axis,
    /// Those that the right one alone depends on.
    pub n: Axis,
    /// The reduced space.
    pub k: Axis,
    /// The carry that holds the sum.
    pub carry: usize,
}

/// Some loop variables taken as one axis, outermost first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Axis {
    /// The variables with their extents.
    pub vars: Vec<(Var, usize)>,
}

impl Axis {
    /// The number of places.
    pub fn extent(&self) -> usize {
        self.vars.iter().map(|v| v.1).product()
    }
}

impl Contraction<'_> {
    /// Multiply-adds, those on padding included.
    pub fn work(&self) -> u64 {
        [&self.batch, &self.m, &self.n, &self.k].iter().map(|a| a.extent() as u64).product()
    }

    /// The same product with rows and columns changed about.
    pub fn turned(self) -> Self {
        Contraction { left: self.right, right: self.left, m: self.n, n: self.m, ..self }
    }
}

impl LoopKernel {
    /// The nest as a product with at least two rows and two columns, if it is one.
    pub fn contraction(&self) -> Option<Contraction<'_>> {
        let [sum, after] = &self.phases[..] else { return None };
        if sum.reduce.is_empty() || !after.reduce.is_empty() {
            return None;
        }
        let [Out::Reduce { fold: Fold::Value(ReduceOp::Sum), value, carry, dtype }] = sum.outs[..] else {
            return None;
        };
        let Expr::Binary(Binary::Mul, a, b) = sum.body[value.index()].expr else { return None };
        let (left, right) = (sum.widened(a)?, sum.widened(b)?);
        let plain = dtype.is_float()
            && left.fill == 0.0
            && right.fill == 0.0
            && sum.loads().count() == 2
            && !sum.lets.iter().any(|l| matches!(l, Let::Value(_)));
        if !plain {
            return None;
        }
        let (mut batch, mut m, mut n) = (Axis::default(), Axis::default(), Axis::default());
        for (i, &extent) in self.grid.iter().enumerate() {
            let var = Var::Grid(i as u32);
            let axis = match (depends(sum, left, var), depends(sum, right, var)) {
                (true, true) => &mut batch,
                (false, true) => &mut n,
                (_, false) => &mut m,
            };
            axis.vars.push((var, extent));
        }
        let vars = sum.reduce.iter().enumerate().map(|(i, &extent)| (Var::Reduce(i as u32), extent)).collect();
        let found = Contraction { left, right, batch, m, n, k: Axis { vars }, carry };
        (found.m.extent() > 1 && found.n.extent() > 1).then_some(found)
    }
}

impl Phase {
    /// The load that an expression is, or that it widens to f32.
    pub(super) fn widened(&self, e: ExprId) -> Option<&Load> {
        let typed = |e: ExprId| &self.body[e.index()];
        match &typed(e).expr {
            Expr::Load(load) => Some(load),
            // A cast that rounds is more than a load.
            Expr::Cast(inner) if typed(e).dtype == DType::F32 && typed(*inner).dtype.is_float() => {
                match &typed(*inner).expr {
                    Expr::Load(load) => Some(load),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

/// Whether what a load reads depends on a variable, through derived ones too.
fn depends(phase: &Phase, load: &Load, var: Var) -> bool {
    load.indices().flat_map(|a| &a.terms).any(|&(v, _)| match v {
        Var::Let(i) => match &phase.lets[i as usize] {
            Let::Div(a, _) | Let::Rem(a, _) => a.coefficient(var) != 0,
            Let::Value(_) => true,
        },
        _ => v == var,
    })
}

#[cfg(test)]
mod tests {
    use super::super::{BufferId, Epilogue, LibraryKernel, Operand};
    use super::*;

    #[test]
    fn widened_operands_are_loads_and_rounded_ones_are_not() {
        let dtype = DType::BF16;
        let matrix = |buffer, row| Operand { buffer: BufferId(buffer), dtype, offset: 0, strides: vec![0, row, 1] };
        let (extents, epilogue) = ([1, 4, 3, 5], Epilogue::default());
        let (lhs, rhs, out) = (matrix(0, 5), matrix(1, 3), matrix(2, 3));
        let mut nest = LibraryKernel::Dot { extents, lhs, rhs, out, epilogue, tf32: false }.nest();
        let found = nest.contraction().map(|c| [&c.batch, &c.m, &c.n, &c.k].map(Axis::extent));
        assert_eq!(found, Some([1, 4, 3, 5]));
        let cast = nest.phases[0].body.iter_mut().find(|t| matches!(t.expr, Expr::Cast(_)));
        cast.unwrap().dtype = DType::F16;
        assert!(nest.contraction().is_none());
    }
}
