//! Makes fewer steps of a tape: products that are summed and comparisons that decide are one step with what
//! uses them, and what is stored side by side is computed straight where it is stored. Each step over a
//! block writes it once, and the number of such writes is what a loop kernel costs.

use super::tape::{Home, OutTape, Step};
use crate::ir::{Binary, DType};

/// Combines steps whose value has one reader with that reader. Values are numbered from `first` on.
pub(super) fn combine(steps: &mut Vec<Step>, outs: &[OutTape], first: usize, values: usize) {
    let mut uses = vec![0; values];
    steps.iter().for_each(|step| step.reads(|value| uses[value - first] += 1));
    for out in outs {
        let (OutTape::Store { value, .. } | OutTape::Reduce { value, .. }) = out;
        uses[value - first] += 1;
    }
    // Where each value is computed, and which steps are part of another by now.
    let mut made: Vec<Option<usize>> = vec![None; values];
    let mut gone = vec![false; steps.len()];
    for i in 0..steps.len() {
        // The step of a value that only this one reads.
        let sole = |value: usize| made[value - first].filter(|_| uses[value - first] == 1);
        let of = |wanted: Binary, value: usize| {
            let at = sole(value)?;
            match steps[at] {
                Step::Binary { op, a, b, dtype: DType::F32, .. } if op == wanted => Some((at, a, b)),
                _ => None,
            }
        };
        let product = |value| of(Binary::Mul, value);
        let combined = match steps[i] {
            Step::Binary { to, op: Binary::Add, a, b, dtype: DType::F32 } => match (product(a), product(b)) {
                (Some((p, a, b)), Some((q, c, d))) => {
                    Some((Step::Products { to, a, b, c, d, scalars: false }, vec![p, q]))
                }
                (Some((p, x, y)), None) => Some((Step::MulAdd { to, a: x, b: y, c: b, scalars: [false; 2] }, vec![p])),
                (None, Some((p, c, d))) => Some((Step::MulAdd { to, a: c, b: d, c: a, scalars: [false; 2] }, vec![p])),
                (None, None) => None,
            },
            Step::Binary { to, op: Binary::Sub, a: c, b, dtype: DType::F32 } => {
                let product = product(b).map(|(p, a, b)| (Step::MulSub { to, a, b, c, scalar: false }, vec![p]));
                product.or_else(|| of(Binary::Div, b).map(|(p, a, b)| (Step::DivSub { to, a, b, c }, vec![p])))
            }
            Step::Select { to, c, a: x, b: y } => sole(c).and_then(|p| match steps[p] {
                Step::Compare { op, a, b, dtype: DType::F32, .. } => {
                    Some((Step::SelectBy { to, op, a, b, x, y }, vec![p]))
                }
                _ => None,
            }),
            _ => None,
        };
        if let Some((step, parts)) = combined {
            steps[i] = step;
            parts.into_iter().for_each(|p| gone[p] = true);
        }
        if let Some(to) = steps[i].target_mut() {
            made[to.number - first] = Some(i);
        }
    }
    let mut gone = gone.into_iter();
    steps.retain(|_| gone.next() != Some(true));
}

/// Marks factors and terms that are the same on all lanes, as `same` tells of a value, so that they are read once: what
/// a step reads and writes is what it costs.
pub(super) fn mark_scalars(steps: &mut [Step], same: impl Fn(usize) -> bool) {
    // Of two factors the second is the one that is the same, if either is.
    let order = |a: &mut usize, b: &mut usize| {
        if same(*a) {
            std::mem::swap(a, b);
        }
        same(*b)
    };
    for step in steps {
        match step {
            Step::Binary { to, op: Binary::Mul, a, b, dtype: DType::F32 } if same(*a) | same(*b) => {
                order(a, b);
                *step = Step::Scale { to: *to, a: *a, by: *b };
            }
            Step::MulAdd { a, b, c, scalars, .. } => *scalars = [order(a, b), same(*c)],
            Step::MulSub { a, b, scalar, .. } => *scalar = order(a, b),
            Step::Products { a, b, c, d, scalars, .. } => *scalars = order(a, b) & order(c, d),
            _ => {}
        }
    }
}

/// Lets steps compute where an out stores, if no later step still reads what lay there. `before` are the
/// steps that ran earlier, `variables` is the number of loop variables.
pub(super) fn store_directly(
    steps: &mut [Step],
    before: &[&[Step]],
    outs: &mut [OutTape],
    first: usize,
    variables: usize,
) {
    let mut made: Vec<Option<usize>> = Vec::new();
    for (i, step) in steps.iter_mut().enumerate() {
        if let Some(to) = step.target_mut() {
            let number = to.number - first;
            made.resize(made.len().max(number + 1), None);
            made[number] = Some(i);
        }
    }
    for (o, out) in outs.iter_mut().enumerate() {
        let OutTape::Store { to, value, written } = out else { continue };
        // A derived variable may not be known yet when the value is computed.
        let plain = to.direct().is_some_and(|base| base.terms.iter().all(|t| t.0 < variables));
        let Some(at) = made.get(*value - first).copied().flatten().filter(|_| plain) else { continue };
        let kept = matches!(steps[at], Step::Load { kept: Some(_), .. });
        let home = steps[at].target_mut().map(|to| to.home);
        if kept || matches!(home, Some(Home::Out(_))) || still_read(steps, before, to.buffer, at) {
            continue;
        }
        if let Some(to) = steps[at].target_mut() {
            to.home = Home::Out(o);
            *written = true;
        }
    }
}

/// Whether step `at` or a later one reads a buffer, through values that lie in it or by loading.
fn still_read(steps: &[Step], before: &[&[Step]], buffer: usize, at: usize) -> bool {
    let mut inside: Vec<usize> = Vec::new();
    for step in before.iter().copied().flatten().chain(steps) {
        match step {
            Step::Direct { to, from } if from.buffer == buffer => inside.push(*to),
            Step::Choose { to, a, b, .. } if inside.contains(a) || inside.contains(b) => inside.push(*to),
            _ => {}
        }
    }
    steps[at..].iter().any(|step| {
        let mut reads = matches!(step, Step::Load { from, .. } | Step::Direct { from, .. } if from.buffer == buffer);
        step.reads(|value| reads |= inside.contains(&value));
        reads
    })
}
