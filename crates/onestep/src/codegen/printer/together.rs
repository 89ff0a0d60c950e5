//! What of a phase goes for several elements at once: stores of whole vectors, words of one random block, and which
//! expressions are the same for all of them.

use super::Context;
use crate::plan::{Affine, BufferId, Expr, Guard, Let, Out, Phase, Typed, Var, is_vector};

/// Stores of several elements at once: number among the outs, buffer and index.
pub(super) fn vector_stores<'a>(cx: &Context<'a>) -> Vec<(usize, BufferId, &'a Affine)> {
    let outs = cx.phase.outs.iter().enumerate();
    outs.filter_map(|(i, o)| match o {
        Out::Store { buffer, index, .. } => {
            let together = is_vector(index, &[], cx.axis?, cx.kernel.schedule.vector);
            together.then_some((i, *buffer, index))
        }
        Out::Reduce { .. } => None,
    })
    .collect()
}

/// Whether the four words of one random block are those of the four elements taken at once.
pub(super) fn draws_together(cx: &Context, typed: &Typed) -> bool {
    let Expr::Random { seed, step, index, .. } = &typed.expr else { return false };
    let still = [seed[0], seed[1], *step].iter().all(|e| !cx.varies[e.index()]);
    still && cx.kernel.schedule.vector == 4 && cx.axis.is_some_and(|axis| is_vector(index, &[], axis, 4))
}

/// Which expressions and derived variables of a phase depend on a variable, or on carries where each element has its
/// own.
pub(super) fn varying(phase: &Phase, axis: Option<Var>, carries: bool) -> (Vec<bool>, Vec<bool>) {
    let (mut varies, mut lets_vary) = (vec![false; phase.body.len()], vec![false; phase.lets.len()]);
    let Some(axis) = axis else { return (varies, lets_vary) };
    // Derived variables and expressions depend on each other's earlier ones only: this many rounds suffice.
    for _ in 0..=phase.lets.len() {
        let moves = |a: &Affine, lets: &[bool]| {
            a.terms.iter().any(|t| t.0 == axis || matches!(t.0, Var::Let(l) if lets[l as usize]))
        };
        for (i, typed) in phase.body.iter().enumerate() {
            let guarded = |guards: &[Guard]| guards.iter().any(|g| moves(&g.expr, &lets_vary));
            let maps = match &typed.expr {
                Expr::Load(l) => moves(&l.index, &lets_vary) || guarded(&l.guards),
                Expr::Within(guards) => guarded(guards),
                Expr::Index(a) | Expr::Random { index: a, .. } => moves(a, &lets_vary),
                Expr::Carry(_) => carries,
                Expr::Const(_)
                | Expr::Unary(..)
                | Expr::Binary(..)
                | Expr::Compare(..)
                | Expr::Select(..)
                | Expr::Cast(_) => false,
            };
            varies[i] = maps || typed.expr.operands().iter().any(|e| varies[e.index()]);
        }
        for (i, l) in phase.lets.iter().enumerate() {
            lets_vary[i] = match l {
                Let::Div(a, _) | Let::Rem(a, _) => moves(a, &lets_vary),
                Let::Value(e) => varies[e.index()],
            };
        }
    }
    (varies, lets_vary)
}
