//! Index maps: where a kernel's loop variables point in a buffer, as affine sums with ranges of validity.

use std::fmt;

/// A loop variable of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Var {
    /// A variable of the kernel's grid.
    Grid(u32),
    /// A variable of the current phase's reduced space.
    Reduce(u32),
    /// A derived variable of the current phase, see [`Let`](super::Let).
    Let(u32),
}

/// `offset + Σ coefficient · variable`, the terms sorted by variable and never zero.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Affine {
    /// The constant part.
    pub offset: i64,
    /// The variables with their coefficients.
    pub terms: Vec<(Var, i64)>,
}

impl Affine {
    /// A constant.
    pub fn constant(offset: i64) -> Self {
        Affine { offset, terms: Vec::new() }
    }

    /// A variable times a coefficient.
    pub fn var(var: Var, coefficient: i64) -> Self {
        Affine { offset: 0, terms: if coefficient == 0 { Vec::new() } else { vec![(var, coefficient)] } }
    }

    /// The sum with `scale` times another map.
    pub fn plus(&self, other: &Affine, scale: i64) -> Self {
        let mut sum = self.clone();
        sum.offset += other.offset * scale;
        for &(var, c) in &other.terms {
            match sum.terms.binary_search_by_key(&var, |t| t.0) {
                Ok(i) => sum.terms[i].1 += c * scale,
                Err(i) => sum.terms.insert(i, (var, c * scale)),
            }
        }
        sum.terms.retain(|t| t.1 != 0);
        sum
    }

    /// The map plus a constant.
    pub fn shifted(mut self, by: i64) -> Self {
        self.offset += by;
        self
    }

    /// The map times a constant.
    pub fn scaled(&self, by: i64) -> Self {
        Affine::default().plus(self, by)
    }

    /// The coefficient of a variable, 0 if it is absent.
    pub fn coefficient(&self, var: Var) -> i64 {
        self.terms.iter().find(|t| t.0 == var).map_or(0, |t| t.1)
    }

    /// The map with each variable replaced by a map.
    pub fn substitute(&self, mut replace: impl FnMut(Var) -> Affine) -> Self {
        self.terms.iter().fold(Affine::constant(self.offset), |sum, &(var, c)| sum.plus(&replace(var), c))
    }

    /// The variables from the nearest on, if the map takes all values that they have together to as many elements one
    /// behind the other: the first moves by one, each other by what those before it span.
    pub fn dense(&self, axes: impl Iterator<Item = (Var, usize)>) -> Option<Vec<Var>> {
        let mut steps: Vec<(i64, Var, usize)> =
            axes.filter(|axis| axis.1 != 1).map(|(var, extent)| (self.coefficient(var), var, extent)).collect();
        steps.sort_unstable_by_key(|step| step.0);
        let span = |span: i64, &(step, _, extent): &(i64, Var, usize)| (step == span).then_some(span * extent as i64);
        steps.iter().try_fold(1, span)?;
        (self.terms.len() == steps.len()).then(|| steps.into_iter().map(|step| step.1).collect())
    }

    /// The value for given values of the variables.
    pub fn evaluate(&self, value: impl Fn(Var) -> i64) -> i64 {
        self.terms.iter().fold(self.offset, |sum, &(var, c)| sum + c * value(var))
    }
}

/// A range in which an access is valid: `low <= expr < high`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Guard {
    /// What is compared.
    pub expr: Affine,
    /// Smallest valid value.
    pub low: i64,
    /// First value above the valid ones.
    pub high: i64,
}

impl fmt::Display for Var {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Var::Grid(i) => write!(f, "g{i}"),
            Var::Reduce(i) => write!(f, "r{i}"),
            Var::Let(i) => write!(f, "l{i}"),
        }
    }
}

impl fmt::Display for Affine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        for &(var, c) in &self.terms {
            let sign = match (first, c < 0) {
                (true, false) => "",
                (true, true) => "-",
                (false, false) => " + ",
                (false, true) => " - ",
            };
            first = false;
            match c.unsigned_abs() {
                1 => write!(f, "{sign}{var}")?,
                n => write!(f, "{sign}{n}*{var}")?,
            }
        }
        match (first, self.offset) {
            (true, n) => write!(f, "{n}"),
            (false, 0) => Ok(()),
            (false, n) if n < 0 => write!(f, " - {}", -n),
            (false, n) => write!(f, " + {n}"),
        }
    }
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}..{}", self.expr, self.low, self.high)
    }
}
