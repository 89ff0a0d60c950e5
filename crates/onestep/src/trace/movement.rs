//! Operations that move elements without computing: reshape, permute, broadcast, slice, pad, join.

use std::borrow::Borrow;

use super::axes::{Axes, axis};
use super::{Tensor, Trace};
use crate::error::{Error, Result};
use crate::ir::{Op, Shape};

impl Tensor {
    /// The same elements in row-major order with other extents.
    pub fn reshape(&self, shape: impl Into<Shape>) -> Tensor {
        let shape = shape.into();
        self.build(|ty| Ok(if ty.shape == shape { self.clone() } else { self.apply(Op::Reshape(shape)) }))
    }

    /// Joins neighbouring axes into one: `x.flatten(1..)` of [n, h, w, c] is [n, h·w·c]. An empty range
    /// changes nothing.
    pub fn flatten(&self, axes: impl Into<Axes>) -> Tensor {
        let axes = axes.into();
        self.build(|ty| {
            let list = axes.in_order(&ty.shape).map_err(|e| e.at("flatten"))?;
            let (Some(&first), Some(&last)) = (list.first(), list.last()) else { return Ok(self.clone()) };
            if list.windows(2).any(|w| w[0] + 1 != w[1]) {
                return Err(Error::shape(format!("flatten: axes {list:?} of {ty} are not neighbours; permute first")));
            }
            let mut dims = ty.shape[..first].to_vec();
            dims.push(ty.shape[first..=last].iter().product());
            dims.extend(&ty.shape[last + 1..]);
            Ok(self.reshape(dims))
        })
    }

    /// Reorders axes: axis i of the result is axis `order[i]` of this.
    pub fn permute(&self, order: impl Into<Axes>) -> Tensor {
        let order = order.into();
        self.build(|ty| {
            let order = order.in_order(&ty.shape).map_err(|e| e.at("permute"))?;
            if order.iter().copied().eq(0..ty.shape.rank()) {
                return Ok(self.clone());
            }
            Ok(self.apply(Op::Permute(order)))
        })
    }

    /// Swaps two axes.
    pub fn transpose(&self, a: i64, b: i64) -> Tensor {
        self.build(|ty| {
            let at = |i| axis(i, &ty.shape).map_err(|e| e.at("transpose"));
            let mut order: Vec<usize> = (0..ty.shape.rank()).collect();
            order.swap(at(a)?, at(b)?);
            Ok(self.permute(order))
        })
    }

    /// Stretches to a shape by NumPy's rule: aligned at the last axis, extents of 1 repeat.
    pub fn broadcast_to(&self, shape: impl Into<Shape>) -> Tensor {
        let shape = shape.into();
        self.build(|ty| {
            if ty.shape == shape {
                return Ok(self.clone());
            }
            let Some(new) = shape.rank().checked_sub(ty.shape.rank()) else {
                return Err(Error::shape(format!("broadcast: {ty} has more axes than {shape}; sum or squeeze some")));
            };
            let mut dims = vec![1; new];
            dims.extend(ty.shape.iter());
            let aligned = self.reshape(dims);
            Ok(if aligned.shape() == shape { aligned } else { aligned.apply(Op::Broadcast(shape)) })
        })
    }

    /// Inserts an axis of extent 1 before `axis`; -1 appends it.
    pub fn unsqueeze(&self, axis: i64) -> Tensor {
        self.build(|ty| {
            let mut dims = ty.shape.to_vec();
            dims.insert(new_axis(axis, &ty.shape).map_err(|e| e.at("unsqueeze"))?, 1);
            Ok(self.reshape(dims))
        })
    }

    /// Removes an axis of extent 1.
    pub fn squeeze(&self, at: i64) -> Tensor {
        self.build(|ty| {
            let index = axis(at, &ty.shape).map_err(|e| e.at("squeeze"))?;
            if ty.shape[index] != 1 {
                return Err(Error::shape(format!("squeeze: axis {at} of {ty} is not 1 but {}", ty.shape[index])));
            }
            Ok(self.reshape(ty.shape.without(&[index])))
        })
    }

    /// Elements `start, start + step, …` below `stop` of one axis.
    pub fn slice(&self, at: i64, start: usize, stop: usize, step: usize) -> Tensor {
        self.build(|ty| {
            let index = axis(at, &ty.shape).map_err(|e| e.at("slice"))?;
            if (start, stop, step) == (0, ty.shape[index], 1) {
                return Ok(self.clone());
            }
            let (mut starts, mut stops, mut steps) =
                (vec![0; ty.shape.rank()], ty.shape.to_vec(), vec![1; ty.shape.rank()]);
            (starts[index], stops[index], steps[index]) = (start, stop, step);
            Ok(self.apply(Op::Slice { start: starts, stop: stops, step: steps }))
        })
    }

    /// `len` elements of one axis from `start`.
    pub fn narrow(&self, at: i64, start: usize, len: usize) -> Tensor {
        self.slice(at, start, start.saturating_add(len), 1)
    }

    /// Surrounds with a value: `low[i]` elements before and `high[i]` after axis i.
    pub fn pad(&self, low: &[usize], high: &[usize], value: f64) -> Tensor {
        self.apply(Op::Pad { low: low.to_vec(), high: high.to_vec(), value: value.to_bits() })
    }

    /// Cuts an axis into pieces of the given sizes, which must add up to its extent.
    pub fn split(&self, sizes: &[usize], at: i64) -> Vec<Tensor> {
        let total = sizes.iter().fold(0usize, |a, &b| a.saturating_add(b));
        let checked = self.build(|ty| {
            let extent = ty.shape[axis(at, &ty.shape).map_err(|e| e.at("split"))?];
            if total != extent {
                return Err(Error::shape(format!(
                    "split: {sizes:?} add up to {total}, but axis {at} of {ty} is {extent}"
                )));
            }
            Ok(self.clone())
        });
        let starts = sizes.iter().scan(0usize, |next, &size| {
            let start = *next;
            *next = next.saturating_add(size);
            Some(start)
        });
        starts.zip(sizes).map(|(start, &size)| checked.narrow(at, start, size)).collect()
    }

    /// Reverses axes.
    pub fn flip(&self, axes: impl Into<Axes>) -> Tensor {
        let axes = axes.into();
        self.build(|ty| {
            let axes = axes.sorted(&ty.shape).map_err(|e| e.at("flip"))?;
            Ok(if axes.is_empty() { self.clone() } else { self.apply(Op::Flip(axes)) })
        })
    }

    /// `len` elements of an axis from a start known on the device (i32[]), held inside the axis.
    pub fn dynamic_slice(&self, at: i64, start: &Tensor, len: usize) -> Tensor {
        self.build(|ty| {
            let axis = axis(at, &ty.shape).map_err(|e| e.at("dynamic_slice"))?;
            Ok(self.trace().push(Op::DynamicSlice { axis, len }, &[self, start]))
        })
    }
}

/// Joins tensors that agree in all extents but that of `axis`. No tensors at all is an error, which
/// whatever uses the result reports.
pub fn concat<T: Borrow<Tensor>>(parts: &[T], at: i64) -> Tensor {
    join("concat", parts, |first| {
        let axis = axis(at, &first.shape())?;
        let parts: Vec<&Tensor> = parts.iter().map(Borrow::borrow).collect();
        Ok(if let [only] = parts[..] { only.clone() } else { first.trace().push(Op::Concat { axis }, &parts) })
    })
}

/// Joins tensors of one shape along a new axis inserted before `axis`; -1 appends it.
pub fn stack<T: Borrow<Tensor>>(parts: &[T], at: i64) -> Tensor {
    join("stack", parts, |first| {
        let axis = new_axis(at, &first.shape())? as i64;
        let parts: Vec<Tensor> = parts.iter().map(|t| t.borrow().unsqueeze(axis)).collect();
        Ok(concat(&parts, axis))
    })
}

fn join<T: Borrow<Tensor>>(doing: &str, parts: &[T], f: impl FnOnce(&Tensor) -> Result<Tensor>) -> Tensor {
    match parts.first().map(Borrow::borrow) {
        // Without a tensor there is no trace: the error travels in one of its own.
        None => Trace::new().fail(Error::shape(format!("{doing}: there are no tensors to join; pass at least one"))),
        Some(first) => first.build(|_| f(first).map_err(|e| e.at(doing))),
    }
}

/// Where a new axis goes: 0 to rank, -1 after the last.
fn new_axis(axis: i64, shape: &Shape) -> Result<usize> {
    let rank = shape.rank() as i64;
    let index = if axis < 0 { axis.saturating_add(rank + 1) } else { axis };
    if (0..=rank).contains(&index) {
        return Ok(index as usize);
    }
    Err(Error::shape(format!("a new axis {axis} does not fit {shape}; it may be {} to {rank}", -rank - 1)))
}
