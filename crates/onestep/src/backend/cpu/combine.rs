//! Makes fewer steps of a tape: choices whether to keep what is there become a gate, chains of arithmetic become formulas,
//! comparisons that decide are one step with the choice, and what is stored side by side is computed straight where it is
//! stored. Each step over a block writes it once, and the number of such writes is what a loop kernel costs.

use super::formula::{Formula, Node, Pattern};
use super::tape::{Home, OutTape, Step, Value};
use crate::ir::{Binary, DType, Unary};

/// Where every out stores a choice, by one value that `stands` for the whole run, between something new and what lies
/// there already: lets them store what is new, and gives the value that says whether they store at all.
pub(super) fn gate(
    steps: &mut Vec<Step>,
    outs: &mut [OutTape],
    first: usize,
    stands: impl Fn(usize) -> bool,
) -> Option<usize> {
    let made = makers(steps, first);
    let step = |value: usize| made.get(value - first).copied().flatten().map(|at| &steps[at]);
    let choice = |out: &OutTape| {
        let OutTape::Store { to, value, .. } = out else { return None };
        let Some(Step::Choose { c, a, b, .. }) = step(*value) else { return None };
        match step(*b)? {
            Step::Direct { from, .. } | Step::Load { from, .. } if from.same_place(to) => Some((*c, *a)),
            _ => None,
        }
    };
    let choices: Vec<(usize, usize)> = outs.iter().map(choice).collect::<Option<_>>()?;
    let &(gate, _) = choices.first()?;
    if !stands(gate) || choices.iter().any(|choice| choice.0 != gate) {
        return None;
    }
    for (out, (_, new)) in outs.iter_mut().zip(choices) {
        *out.value_mut() = new;
    }
    drop_unread(steps, outs);
    Some(gate)
}

/// Which step computes each value, numbered from `first` on.
fn makers(steps: &mut [Step], first: usize) -> Vec<Option<usize>> {
    let mut made = Vec::new();
    let mut note = |value: usize, at: usize| {
        made.resize(made.len().max(value - first + 1), None);
        made[value - first] = Some(at);
    };
    for (at, step) in steps.iter_mut().enumerate() {
        match step {
            Step::Direct { to, .. } | Step::Carry { to, .. } | Step::Choose { to, .. } => note(*to, at),
            step => step.targets_mut().iter().for_each(|to| note(to.number, at)),
        }
    }
    made
}

/// Drops steps that compute what nothing reads.
fn drop_unread(steps: &mut Vec<Step>, outs: &mut [OutTape]) {
    let mut read: Vec<usize> = outs.iter_mut().map(|out| *out.value_mut()).collect();
    let mut kept: Vec<bool> = Vec::new();
    for step in steps.iter_mut().rev() {
        let keep = match step {
            Step::Direct { to, .. } | Step::Carry { to, .. } | Step::Choose { to, .. } => read.contains(to),
            // Index maps read derived variables.
            Step::LetDiv { .. } | Step::LetRem { .. } | Step::LetValue { .. } => true,
            _ => step.targets_mut().iter().any(|to| read.contains(&to.number)),
        };
        if keep {
            step.reads(|value| read.push(value));
        }
        kept.push(keep);
    }
    steps.retain(|_| kept.pop() == Some(true));
}

/// Combines steps with the one that uses what they compute, from the last step on, so that long formulas are found
/// before parts of them. Values are numbered from `first` on; `same` tells which are the same on all lanes.
pub(super) fn combine(steps: &mut Vec<Step>, outs: &mut [OutTape], first: usize, same: impl Fn(usize) -> bool) {
    let formulas: Vec<(Formula, Pattern)> = Formula::ALL.iter().map(|&f| (f, f.pattern())).collect();
    let mut gone = vec![false; steps.len()];
    let found = Finder::new(steps, outs, first, same);
    let mut combined = Vec::new();
    for (i, step) in found.steps.iter().enumerate().rev() {
        let (new, parts) = match step {
            _ if gone[i] => continue,
            Step::Select { to, c, a: x, b: y } => match found.sole(*c, i) {
                Some((p, &Step::Compare { op, a, b, dtype: DType::F32, .. })) => {
                    (Step::SelectBy { to: *to, op, a, b, x: *x, y: *y }, vec![p])
                }
                _ => continue,
            },
            Step::Binary { to, dtype: DType::F32, .. } => {
                let fits = |(formula, pattern): &(Formula, Pattern)| found.formula(*formula, pattern, to.number, i);
                match formulas.iter().find_map(fits) {
                    Some(new) => new,
                    None => continue,
                }
            }
            _ => continue,
        };
        parts.into_iter().filter(|&part| part != i).for_each(|part| gone[part] = true);
        combined.push((i, new));
    }
    combined.into_iter().for_each(|(i, step)| steps[i] = step);
    let mut gone = gone.into_iter();
    steps.retain(|_| gone.next() != Some(true));
}

/// Looks for formulas among steps.
struct Finder<'a, F> {
    steps: &'a [Step],
    first: usize,
    /// The step that computes each value, and those that read it; outs read after the last step.
    made: Vec<Option<usize>>,
    readers: Vec<Vec<usize>>,
    same: F,
}

/// The value that stands for each node of a pattern, as far as known.
type Match = Vec<Option<usize>>;

impl<'a, F: Fn(usize) -> bool> Finder<'a, F> {
    fn new(steps: &'a mut [Step], outs: &mut [OutTape], first: usize, same: F) -> Self {
        let mut made = makers(steps, first);
        let mut readers: Vec<Vec<usize>> = Vec::new();
        let mut note = |value: usize, at: usize| {
            readers.resize(readers.len().max(value - first + 1), Vec::new());
            readers[value - first].push(at);
        };
        steps.iter().enumerate().for_each(|(at, step)| step.reads(|value| note(value, at)));
        outs.iter_mut().for_each(|out| note(*out.value_mut(), steps.len()));
        let values = made.len().max(readers.len());
        made.resize(values, None);
        readers.resize(values, Vec::new());
        Finder { steps, first, made, readers, same }
    }

    /// The step that computes a value.
    fn step(&self, value: usize) -> Option<(usize, &Step)> {
        self.made[value - self.first].map(|at| (at, &self.steps[at]))
    }

    /// As [`Finder::step`], if step `at` alone reads the value.
    fn sole(&self, value: usize, at: usize) -> Option<(usize, &Step)> {
        self.step(value).filter(|_| self.readers[value - self.first] == [at])
    }

    /// The step that computes a value, which is computed at `at`, by a formula, and the steps that this takes in.
    fn formula(&self, formula: Formula, pattern: &Pattern, value: usize, at: usize) -> Option<(Step, Vec<usize>)> {
        let ways = self.ways(pattern, pattern.results[0], value, vec![None; pattern.nodes.len()]);
        let fits = |way: Match| {
            let values: Vec<usize> = way.into_iter().collect::<Option<_>>()?;
            let (operands, inner) = values.split_at(pattern.lanes + pattern.scalars);
            let parts: Vec<usize> = inner.iter().filter_map(|&value| self.made[value - self.first]).collect();
            // Who else reads what is kept must do so later; nobody else reads the rest.
            let free = (operands.len()..).zip(inner).all(|(node, &value)| {
                let kept = pattern.results.contains(&node);
                value == values[pattern.results[0]]
                    || self.readers[value - self.first]
                        .iter()
                        .all(|reader| parts.contains(reader) || kept && *reader > at)
            });
            if !free || operands.iter().any(|operand| inner.contains(operand)) {
                return None;
            }
            let (lanes, scalars) = operands.split_at(pattern.lanes);
            let to = pattern.results.iter().map(|&node| Value { number: values[node], home: Home::Register(0) });
            Some((Step::Formula { to: to.collect(), formula, lanes: lanes.into(), scalars: scalars.into() }, parts))
        };
        ways.into_iter().find_map(fits)
    }

    /// In which ways a value can stand for a node, given what stands for others.
    fn ways(&self, pattern: &Pattern, node: usize, value: usize, mut known: Match) -> Vec<Match> {
        if let Some(stands) = known[node] {
            return if stands == value { vec![known] } else { Vec::new() };
        }
        known[node] = Some(value);
        match (pattern.nodes[node], self.step(value)) {
            (Node::Lanes, _) => vec![known],
            (Node::Scalar, _) if (self.same)(value) => vec![known],
            (Node::Sqrt(x), Some((_, &Step::Unary { op: Unary::Sqrt, a, dtype: DType::F32, .. }))) => {
                self.ways(pattern, x, a, known)
            }
            (Node::Binary(wanted, x, y), Some((_, &Step::Binary { op, a, b, dtype: DType::F32, .. })))
                if op == wanted =>
            {
                let both = |a: usize, b: usize| {
                    let first = self.ways(pattern, x, a, known.clone());
                    first.into_iter().flat_map(move |known| self.ways(pattern, y, b, known))
                };
                match op {
                    Binary::Add | Binary::Mul => both(a, b).chain(both(b, a)).collect(),
                    _ => both(a, b).collect(),
                }
            }
            _ => Vec::new(),
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
    let made = makers(steps, first);
    for (o, out) in outs.iter_mut().enumerate() {
        let OutTape::Store { to, value, written } = out else { continue };
        // A derived variable may not be known yet when the value is computed.
        let plain = to.direct().is_some_and(|base| base.terms.iter().all(|t| t.0 < variables));
        let Some(at) = made.get(*value - first).copied().flatten().filter(|_| plain) else { continue };
        // A formula reads a vector of lanes before it writes it.
        let reads_first = matches!(steps[at], Step::Formula { .. });
        if steps[at].lasts() || still_read(steps, before, to.buffer, at + reads_first as usize) {
            continue;
        }
        let target = steps[at].targets_mut().iter_mut().find(|to| to.number == *value);
        if let Some(to) = target.filter(|to| matches!(to.home, Home::Register(_))) {
            to.home = Home::Out(o);
            *written = true;
        }
    }
}

/// Whether step `since` or a later one reads a buffer, through values that lie in it or by loading.
fn still_read(steps: &[Step], before: &[&[Step]], buffer: usize, since: usize) -> bool {
    let mut inside: Vec<usize> = Vec::new();
    for step in before.iter().copied().flatten().chain(steps) {
        match step {
            Step::Direct { to, from } if from.buffer == buffer => inside.push(*to),
            Step::Choose { to, a, b, .. } if inside.contains(a) || inside.contains(b) => inside.push(*to),
            _ => {}
        }
    }
    steps[since..].iter().any(|step| {
        let mut reads = matches!(step, Step::Load { from, .. } | Step::Direct { from, .. } if from.buffer == buffer);
        step.reads(|value| reads |= inside.contains(&value));
        reads
    })
}

#[cfg(test)]
mod tests {
    use super::super::tape::{Access, Base, Map, Pattern as Lanes, Places};
    use super::*;

    fn direct(to: usize, buffer: usize) -> Step {
        let places = Places::Lanes(Map { base: Base { offset: 0, terms: vec![] }, lanes: Lanes::Contiguous });
        Step::Direct { to, from: Access { buffer, dtype: DType::F32, gates: vec![], places, fill: 0 } }
    }

    fn store(buffer: usize, value: usize) -> OutTape {
        match direct(0, buffer) {
            Step::Direct { from: to, .. } => OutTape::Store { to, value, written: false },
            _ => panic!("a load in place is direct"),
        }
    }

    /// The steps of a pattern, each operand in a buffer of its own; with sums and products the other way round.
    fn spelled(pattern: &Pattern) -> Vec<Step> {
        let step = |(number, node): (usize, &Node)| {
            let to = Value { number, home: Home::Register(0) };
            let dtype = DType::F32;
            match *node {
                Node::Lanes | Node::Scalar => direct(number, number),
                Node::Sqrt(a) => Step::Unary { to, op: Unary::Sqrt, a, dtype },
                Node::Binary(op @ (Binary::Add | Binary::Mul), b, a) => Step::Binary { to, op, a, b, dtype },
                Node::Binary(op, a, b) => Step::Binary { to, op, a, b, dtype },
            }
        };
        pattern.nodes.iter().enumerate().map(step).collect()
    }

    #[test]
    fn each_formula_is_found_and_stored_where_its_operands_were() {
        for &formula in Formula::ALL {
            let pattern = formula.pattern();
            let operands = pattern.lanes + pattern.scalars;
            let mut steps = spelled(&pattern);
            let mut outs: Vec<OutTape> = pattern.results.iter().enumerate().map(|(b, &v)| store(b, v)).collect();
            combine(&mut steps, &mut outs, 0, |value| (pattern.lanes..operands).contains(&value));
            match &steps[operands..] {
                [Step::Formula { formula: found, to, .. }] => {
                    assert_eq!(*found, formula);
                    assert_eq!(to.iter().map(|to| to.number).collect::<Vec<_>>(), pattern.results);
                }
                steps => panic!("{formula:?} left {} steps", steps.len()),
            }
            store_directly(&mut steps, &[], &mut outs, 0, 0);
            assert!(outs.iter().all(|out| matches!(out, OutTape::Store { written: true, .. })), "{formula:?}");
        }
    }

    #[test]
    fn what_others_read_is_not_taken_in() {
        let pattern = Formula::MulAdd.pattern();
        let mut steps = spelled(&pattern);
        // The product is stored too, so that only it and the sum are left as they are.
        let mut outs = vec![store(8, 3), store(9, 4)];
        combine(&mut steps, &mut outs, 0, |_| false);
        assert!(matches!(steps[3..], [Step::Binary { op: Binary::Mul, .. }, Step::Binary { op: Binary::Add, .. }]));
    }

    #[test]
    fn a_choice_whether_to_keep_becomes_a_gate() {
        let to = Value { number: 2, home: Home::Register(0) };
        let steps = || {
            let twice = Step::Binary { to, op: Binary::Add, a: 1, b: 1, dtype: DType::F32 };
            vec![direct(1, 5), twice, Step::Choose { to: 3, c: 0, a: 2, b: 1 }]
        };
        let mut gated = steps();
        let mut outs = vec![store(5, 3)];
        assert_eq!(gate(&mut gated, &mut outs, 0, |value| value == 0), Some(0));
        assert!(matches!(gated[..], [Step::Direct { .. }, Step::Binary { .. }]) && *outs[0].value_mut() == 2);
        // What is chosen lies elsewhere, or the choice is made anew at every step.
        assert_eq!(gate(&mut steps(), &mut [store(6, 3)], 0, |value| value == 0), None);
        assert_eq!(gate(&mut steps(), &mut [store(5, 3)], 0, |_| false), None);
    }
}
