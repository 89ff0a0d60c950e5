//! Numbers for each spatial axis (kernel, stride, dilation) and padding, as a number or a list.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A number for all spatial axes, or one for each. Written `3` or `[3, 5]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a number or a list with a number for each spatial axis")]
pub enum Extents {
    /// The same on all axes.
    All(usize),
    /// One for each axis.
    Each(Vec<usize>),
}

impl Extents {
    pub(super) fn one() -> Self {
        Extents::All(1)
    }

    pub(super) fn zero() -> Self {
        Extents::All(0)
    }

    /// The numbers for `spatial` axes.
    pub(super) fn resolve(&self, what: &str, spatial: usize) -> Result<Vec<usize>> {
        let list = match self {
            Extents::All(n) => vec![*n; spatial],
            Extents::Each(list) => list.clone(),
        };
        if list.len() != spatial {
            let n = list.len();
            return Err(Error::config(format!("{what} {list:?} has {n} numbers; give one, or {spatial}")));
        }
        Ok(list)
    }

    /// The numbers for `spatial` axes, all at least 1.
    pub(super) fn positive(&self, what: &str, spatial: usize) -> Result<Vec<usize>> {
        let list = self.resolve(what, spatial)?;
        if list.contains(&0) {
            return Err(Error::config(format!("{what} {list:?} must be at least 1 on each axis")));
        }
        Ok(list)
    }
}

impl From<usize> for Extents {
    fn from(n: usize) -> Self {
        Extents::All(n)
    }
}

impl<const N: usize> From<[usize; N]> for Extents {
    fn from(list: [usize; N]) -> Self {
        Extents::Each(list.to_vec())
    }
}

impl From<Vec<usize>> for Extents {
    fn from(list: Vec<usize>) -> Self {
        Extents::Each(list)
    }
}

/// Padding of the spatial axes. Written `"same"`, `"valid"`, `1`, `[1, 2]` or `[[0, 1], [0, 1]]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "expected padding as \"same\", \"valid\", a number, a list with a number for each spatial axis, or a \
                 list of [before, after] pairs"
)]
pub enum Padding {
    /// By a rule.
    Rule(PaddingRule),
    /// As much on both sides of all axes.
    All(usize),
    /// As much on both sides, for each axis.
    Each(Vec<usize>),
    /// (before, after) for each axis.
    Explicit(Vec<(usize, usize)>),
}

/// Padding that follows from kernel and stride.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaddingRule {
    /// The output's extent is the input's divided by the stride, rounded up; what is odd goes after
    /// (TensorFlow's rule, and PyTorch's at stride 1).
    Same,
    /// None.
    Valid,
}

impl Padding {
    /// The output's extent is the input's divided by the stride, rounded up.
    pub const SAME: Padding = Padding::Rule(PaddingRule::Same);
    /// No padding.
    pub const VALID: Padding = Padding::Rule(PaddingRule::Valid);

    pub(super) fn valid() -> Self {
        Padding::VALID
    }

    /// (before, after) on each spatial axis; `same` gives the total on an axis under the rule of that name.
    pub(super) fn resolve(&self, spatial: usize, same: impl Fn(usize) -> usize) -> Result<Vec<(usize, usize)>> {
        let pairs = match self {
            Padding::Rule(PaddingRule::Valid) => vec![(0, 0); spatial],
            Padding::Rule(PaddingRule::Same) => (0..spatial)
                .map(|i| {
                    let total = same(i);
                    (total / 2, total - total / 2)
                })
                .collect(),
            Padding::All(n) => vec![(*n, *n); spatial],
            Padding::Each(list) => list.iter().map(|&n| (n, n)).collect(),
            Padding::Explicit(pairs) => pairs.clone(),
        };
        if pairs.len() != spatial {
            return Err(Error::config(format!(
                "padding names {} axes, but there are {spatial}; give one number or one for each axis",
                pairs.len()
            )));
        }
        Ok(pairs)
    }
}

/// The total padding that makes `ceil(input / stride)` windows fit.
pub(super) fn same_total(input: usize, kernel: usize, stride: usize, dilation: usize) -> usize {
    let windows = input.div_ceil(stride).saturating_sub(1).saturating_mul(stride);
    windows.saturating_add(reach(kernel, dilation)).saturating_sub(input)
}

/// How far a dilated kernel reaches.
pub(super) fn reach(kernel: usize, dilation: usize) -> usize {
    (kernel - 1).saturating_mul(dilation).saturating_add(1)
}

impl From<usize> for Padding {
    fn from(n: usize) -> Self {
        Padding::All(n)
    }
}

impl<const N: usize> From<[usize; N]> for Padding {
    fn from(list: [usize; N]) -> Self {
        Padding::Each(list.to_vec())
    }
}

impl From<Vec<(usize, usize)>> for Padding {
    fn from(pairs: Vec<(usize, usize)>) -> Self {
        Padding::Explicit(pairs)
    }
}
