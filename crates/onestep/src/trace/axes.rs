//! Which axes an operation works on: a number, a list or a range, where negative numbers count from the end.

use std::ops::{Range, RangeFrom, RangeFull, RangeTo};

use crate::error::{Error, Result};
use crate::ir::Shape;

/// Axes of a tensor: `1`, `-1`, `[0, -1]`, `1..`, `..-1`, `..` for all. Negative numbers count from the end.
#[derive(Clone, Debug)]
pub struct Axes(Choice);

#[derive(Clone, Debug)]
enum Choice {
    List(Vec<i64>),
    Span { start: Option<i64>, stop: Option<i64> },
}

impl Axes {
    /// The axes as indices in the order given.
    pub(super) fn in_order(&self, shape: &Shape) -> Result<Vec<usize>> {
        let list = match &self.0 {
            Choice::List(list) => list.iter().map(|&a| axis(a, shape)).collect::<Result<Vec<_>>>()?,
            Choice::Span { start, stop } => {
                let start = start.map_or(Ok(0), |a| bound(a, shape))?;
                let stop = stop.map_or(Ok(shape.rank()), |a| bound(a, shape))?;
                (start..stop).collect()
            }
        };
        if let Some((_, twice)) = list.iter().enumerate().find(|(i, a)| list[..*i].contains(a)) {
            return Err(Error::shape(format!("axis {twice} of {shape} is named twice; name each axis once")));
        }
        Ok(list)
    }

    /// The axes as indices, sorted.
    pub(super) fn sorted(&self, shape: &Shape) -> Result<Vec<usize>> {
        let mut list = self.in_order(shape)?;
        list.sort_unstable();
        Ok(list)
    }
}

/// The index of an axis that may be negative.
pub(super) fn axis(axis: i64, shape: &Shape) -> Result<usize> {
    let rank = shape.rank() as i64;
    let index = if axis < 0 { axis.saturating_add(rank) } else { axis };
    if (0..rank).contains(&index) {
        return Ok(index as usize);
    }
    Err(Error::shape(match rank {
        0 => format!("there is no axis {axis} in a scalar"),
        _ => format!("there is no axis {axis} in {shape}; its axes are {} to {}", -rank, rank - 1),
    }))
}

/// The place between axes that a range or a new axis names: `0..=rank`, negative from the end.
fn bound(at: i64, shape: &Shape) -> Result<usize> {
    let rank = shape.rank() as i64;
    let index = if at < 0 { at.saturating_add(rank) } else { at };
    if (0..=rank).contains(&index) {
        return Ok(index as usize);
    }
    Err(Error::shape(format!("a range of axes that begins or ends at {at} does not lie inside {shape}")))
}

impl From<RangeFull> for Axes {
    fn from(_: RangeFull) -> Self {
        Axes(Choice::Span { start: None, stop: None })
    }
}

macro_rules! axes_from {
    ($($int:ty),*) => {$(
        impl From<$int> for Axes {
            fn from(axis: $int) -> Self {
                Axes(Choice::List(vec![axis as i64]))
            }
        }

        impl<const N: usize> From<[$int; N]> for Axes {
            fn from(axes: [$int; N]) -> Self {
                Axes(Choice::List(axes.iter().map(|&a| a as i64).collect()))
            }
        }

        impl From<&[$int]> for Axes {
            fn from(axes: &[$int]) -> Self {
                Axes(Choice::List(axes.iter().map(|&a| a as i64).collect()))
            }
        }

        impl From<Vec<$int>> for Axes {
            fn from(axes: Vec<$int>) -> Self {
                Axes::from(axes.as_slice())
            }
        }

        impl From<Range<$int>> for Axes {
            fn from(axes: Range<$int>) -> Self {
                Axes(Choice::Span { start: Some(axes.start as i64), stop: Some(axes.end as i64) })
            }
        }

        impl From<RangeFrom<$int>> for Axes {
            fn from(axes: RangeFrom<$int>) -> Self {
                Axes(Choice::Span { start: Some(axes.start as i64), stop: None })
            }
        }

        impl From<RangeTo<$int>> for Axes {
            fn from(axes: RangeTo<$int>) -> Self {
                Axes(Choice::Span { start: None, stop: Some(axes.end as i64) })
            }
        }
    )*};
}

axes_from!(i32, i64, isize, usize);
