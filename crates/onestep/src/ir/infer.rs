//! The shape and dtype rule of every op. The one place that decides whether inputs fit.

use super::op::{ArgOp, Binary, Compare, ConvSpec, Op, ReduceOp, Unary, Window};
use super::{DType, Shape};
use crate::error::{Error, Result};

/// Shape and dtype of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Type {
    /// The shape.
    pub shape: Shape,
    /// The dtype.
    pub dtype: DType,
}

impl Type {
    /// A type.
    pub fn new(shape: impl Into<Shape>, dtype: DType) -> Self {
        Type { shape: shape.into(), dtype }
    }

    /// The size of a value in bytes.
    pub fn bytes(&self) -> usize {
        self.shape.elements() * self.dtype.size()
    }
}

impl std::fmt::Display for Type {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.dtype, self.shape)
    }
}

/// The type of `op` on inputs of the given types. `Input` and `State` carry their type in the graph's
/// declarations and are not asked here.
pub fn infer(op: &Op, inputs: &[Type]) -> Result<Type> {
    if let Some(n) = op.arity()
        && n != inputs.len()
    {
        return Err(Error::graph(format!("{} takes {n} inputs, not {}", op.name(), inputs.len())));
    }
    let ty = rule(op, inputs).map_err(|e| e.at(op.name()))?;
    if ty.shape.checked_elements().is_none() {
        return Err(Error::shape(format!("{}: the result {ty} has more than 2^48 elements", op.name())));
    }
    Ok(ty)
}

fn rule(op: &Op, inputs: &[Type]) -> Result<Type> {
    let x = inputs.first();
    let x = || x.ok_or_else(|| Error::graph("needs at least one input"));
    Ok(match op {
        Op::Input(_) | Op::State(_) => return Err(Error::graph("is typed by its declaration")),
        Op::Constant(literal) => Type::new(literal.shape(), literal.dtype()),
        Op::Iota { shape, axis, dtype } => {
            axis_in(*axis, shape)?;
            if *dtype == DType::Bool {
                return Err(Error::dtype("counts in a number type, not in bool"));
            }
            Type::new(shape, *dtype)
        }
        Op::Random { shape, dtype, .. } => {
            if inputs[0] != Type::new([2], DType::U32) || inputs[1] != Type::new([], DType::U32) {
                return Err(Error::shape(format!(
                    "wants a seed u32[2] and a step u32[], got {} and {}",
                    inputs[0], inputs[1]
                )));
            }
            if !matches!(dtype, DType::U32 | DType::F32) {
                return Err(Error::dtype(format!("gives u32 bits or f32 numbers, not {dtype}; cast the result")));
            }
            Type::new(shape, *dtype)
        }
        Op::Unary(u) => unary(*u, x()?)?,
        Op::Binary(b) => binary(*b, &inputs[0], &inputs[1])?,
        Op::Compare(Compare::Eq | Compare::Ne | Compare::Lt | Compare::Le) => {
            same(&inputs[0], &inputs[1])?;
            Type::new(&inputs[0].shape, DType::Bool)
        }
        Op::Select => {
            want_dtype(&inputs[0], DType::Bool)?;
            same(&inputs[1], &inputs[2])?;
            if inputs[0].shape != inputs[1].shape {
                return Err(Error::shape(format!(
                    "the condition is {} but the branches are {}; broadcast one of them",
                    inputs[0], inputs[1]
                )));
            }
            inputs[1].clone()
        }
        Op::Cast(dtype) => Type::new(&x()?.shape, *dtype),
        Op::Reshape(shape) => {
            let x = x()?;
            if shape.checked_elements() != Some(x.shape.elements()) {
                return Err(Error::shape(format!(
                    "{x} has {} elements but {shape} has {}",
                    x.shape.elements(),
                    shape.checked_elements().map_or("too many".into(), |n| n.to_string())
                )));
            }
            Type::new(shape, x.dtype)
        }
        Op::Permute(perm) => {
            let x = x()?;
            let mut seen = perm.clone();
            seen.sort_unstable();
            if !seen.iter().copied().eq(0..x.shape.rank()) {
                return Err(Error::shape(format!("{perm:?} is not an order of the {} axes of {x}", x.shape.rank())));
            }
            Type::new(perm.iter().map(|&p| x.shape[p]).collect::<Shape>(), x.dtype)
        }
        Op::Broadcast(shape) => {
            let x = x()?;
            let fits =
                x.shape.rank() == shape.rank() && x.shape.iter().zip(shape.iter()).all(|(&a, &b)| a == b || a == 1);
            if !fits {
                return Err(Error::shape(format!("{x} does not stretch to {shape}; only axes of extent 1 do")));
            }
            Type::new(shape, x.dtype)
        }
        Op::Slice { start, stop, step } => slice(x()?, start, stop, step)?,
        Op::Pad { low, high, .. } => {
            let x = x()?;
            let rank = x.shape.rank();
            if low.len() != rank || high.len() != rank {
                return Err(Error::shape(format!("wants low and high padding for each of the {rank} axes of {x}")));
            }
            let dims: Option<Shape> = (0..rank).map(|i| x.shape[i].checked_add(low[i])?.checked_add(high[i])).collect();
            Type::new(dims.ok_or_else(|| Error::shape("the padding overflows"))?, x.dtype)
        }
        Op::After => x()?.clone(),
        Op::Concat { axis } => concat(*axis, inputs)?,
        Op::Flip(axes) => {
            axes_of(axes, x()?)?;
            x()?.clone()
        }
        Op::DynamicSlice { axis, len } => {
            let x = x()?;
            axis_in(*axis, &x.shape)?;
            if inputs[1] != Type::new([], DType::I32) {
                return Err(Error::dtype(format!("the start must be a scalar i32[], not {}", inputs[1])));
            }
            if *len > x.shape[*axis] {
                return Err(Error::shape(format!("a slice of {len} does not fit axis {axis} of {x}")));
            }
            Type::new(x.shape.with_dim(*axis, *len), x.dtype)
        }
        Op::Reduce { op: ReduceOp::Sum | ReduceOp::Prod | ReduceOp::Max | ReduceOp::Min, axes } => {
            let x = x()?;
            axes_of(axes, x)?;
            number(x)?;
            Type::new(x.shape.without(axes), x.dtype)
        }
        Op::ArgReduce { op: ArgOp::Max | ArgOp::Min, axes } => {
            let x = x()?;
            axes_of(axes, x)?;
            number(x)?;
            let places: usize = axes.iter().map(|&a| x.shape[a]).product();
            if i32::try_from(places).is_err() {
                return Err(Error::shape(format!("{places} places of {x} do not fit i32; reduce fewer axes at once")));
            }
            Type::new(x.shape.without(axes), DType::I32)
        }
        Op::CumSum { axis, .. } => {
            axis_in(*axis, &x()?.shape)?;
            number(x()?)?;
            x()?.clone()
        }
        Op::MaxPool(w) => {
            number(x()?)?;
            Type::new(pooled(&x()?.shape, w)?, x()?.dtype)
        }
        Op::MaxPoolIndex(w) => {
            number(x()?)?;
            Type::new(pooled(&x()?.shape, w)?, DType::I32)
        }
        Op::MaxPoolGather(w) => {
            want_dtype(&inputs[0], DType::I32)?;
            let out = pooled(&inputs[1].shape, w)?;
            want_shape("the place", &inputs[0], &out)?;
            Type::new(out, inputs[1].dtype)
        }
        Op::MaxPoolGrad { window, input } => {
            want_dtype(&inputs[0], DType::I32)?;
            float(&inputs[1])?;
            let out = pooled(input, window)?;
            want_shape("the place", &inputs[0], &out)?;
            want_shape("the gradient", &inputs[1], &out)?;
            Type::new(input, inputs[1].dtype)
        }
        Op::AvgPool(w) => {
            float(x()?)?;
            Type::new(pooled(&x()?.shape, w)?, x()?.dtype)
        }
        Op::AvgPoolGrad { window, input } => {
            float(x()?)?;
            want_shape("the gradient", x()?, &pooled(input, window)?)?;
            Type::new(input, x()?.dtype)
        }
        Op::Dot { ta, tb } => dot(*ta, *tb, &inputs[0], &inputs[1])?,
        Op::Conv(spec) => {
            float_pair(&inputs[0], &inputs[1])?;
            Type::new(conv_output(&inputs[0].shape, &inputs[1].shape, spec)?, inputs[0].dtype)
        }
        Op::ConvInputGrad { spec, input } => {
            float_pair(&inputs[0], &inputs[1])?;
            want_shape("the gradient", &inputs[0], &conv_output(input, &inputs[1].shape, spec)?)?;
            Type::new(input, inputs[0].dtype)
        }
        Op::ConvFilterGrad { spec, filter } => {
            float_pair(&inputs[0], &inputs[1])?;
            want_shape("the gradient", &inputs[1], &conv_output(&inputs[0].shape, filter, spec)?)?;
            Type::new(filter, inputs[0].dtype)
        }
        Op::Gather { axis } => Type::new(gathered(&inputs[0], &inputs[1], *axis)?, inputs[0].dtype),
        Op::ScatterAdd { axis } => {
            number(&inputs[0])?;
            let want = Type::new(gathered(&inputs[0], &inputs[1], *axis)?, inputs[0].dtype);
            if inputs[2] != want {
                return Err(Error::shape(format!("the updates must be {want}, not {}", inputs[2])));
            }
            inputs[0].clone()
        }
    })
}

fn unary(op: Unary, x: &Type) -> Result<Type> {
    match op {
        Unary::Not => want_dtype(x, DType::Bool)?,
        Unary::Neg | Unary::Abs | Unary::Sign if x.dtype == DType::I32 => {}
        _ => float(x)?,
    }
    Ok(if op == Unary::IsFinite { Type::new(&x.shape, DType::Bool) } else { x.clone() })
}

fn binary(op: Binary, a: &Type, b: &Type) -> Result<Type> {
    same(a, b)?;
    match op {
        Binary::And | Binary::Or | Binary::Xor => {
            if a.dtype.is_float() {
                return Err(Error::dtype(format!("works on bool and integers, not {a}")));
            }
        }
        Binary::Pow => float(a)?,
        Binary::Add | Binary::Sub | Binary::Mul | Binary::Div | Binary::Rem | Binary::Max | Binary::Min => number(a)?,
    }
    Ok(a.clone())
}

fn slice(x: &Type, start: &[usize], stop: &[usize], step: &[usize]) -> Result<Type> {
    let rank = x.shape.rank();
    if [start, stop, step].iter().any(|v| v.len() != rank) {
        return Err(Error::shape(format!("wants start, stop and step for each of the {rank} axes of {x}")));
    }
    (0..rank)
        .map(|i| {
            if step[i] == 0 || start[i] > stop[i] || stop[i] > x.shape[i] {
                return Err(Error::shape(format!(
                    "{}..{} step {} does not lie inside axis {i} of {x}",
                    start[i], stop[i], step[i]
                )));
            }
            Ok((stop[i] - start[i]).div_ceil(step[i]))
        })
        .collect::<Result<Shape>>()
        .map(|shape| Type::new(shape, x.dtype))
}

fn concat(axis: usize, inputs: &[Type]) -> Result<Type> {
    let first = inputs.first().ok_or_else(|| Error::graph("needs at least one input"))?;
    axis_in(axis, &first.shape)?;
    let mut extent = 0usize;
    for other in inputs {
        let fits = other.dtype == first.dtype
            && other.shape.rank() == first.shape.rank()
            && (0..first.shape.rank()).all(|i| i == axis || other.shape[i] == first.shape[i]);
        if !fits {
            return Err(Error::shape(format!("{first} and {other} differ in more than axis {axis}")));
        }
        extent = extent.checked_add(other.shape[axis]).ok_or_else(|| Error::shape("the extents overflow"))?;
    }
    Ok(Type::new(first.shape.with_dim(axis, extent), first.dtype))
}

fn dot(ta: bool, tb: bool, a: &Type, b: &Type) -> Result<Type> {
    float_pair(a, b)?;
    let rank = a.shape.rank();
    if rank < 2 || b.shape.rank() != rank || a.shape[..rank - 2] != b.shape[..rank - 2] {
        return Err(Error::shape(format!("{a} and {b} are not matrices (or equal batches of matrices)")));
    }
    let split = |s: &Shape, t: bool| if t { (s[rank - 1], s[rank - 2]) } else { (s[rank - 2], s[rank - 1]) };
    let ((m, k), (k2, n)) = (split(&a.shape, ta), split(&b.shape, tb));
    if k != k2 {
        return Err(Error::shape(format!("{a} has {k} columns to contract but {b} has {k2} rows")));
    }
    let mut dims = a.shape[..rank - 2].to_vec();
    dims.extend([m, n]);
    Ok(Type::new(dims, a.dtype))
}

/// The shape a pooling of `x` gives.
pub fn pooled(x: &Shape, w: &Window) -> Result<Shape> {
    let spatial = w.size.len();
    if x.rank() != spatial + 2 || w.stride.len() != spatial || w.padding.len() != spatial {
        return Err(Error::shape(format!(
            "a window over {spatial} spatial axes wants [batch, {spatial} extents, channels], not {x}"
        )));
    }
    let mut dims = x.to_vec();
    for i in 0..spatial {
        let (low, high) = w.padding[i];
        if low >= w.size[i].max(1) || high >= w.size[i].max(1) {
            return Err(Error::shape(format!("padding ({low}, {high}) must be smaller than the window {:?}", w.size)));
        }
        dims[i + 1] = windows(x[i + 1], w.size[i], w.stride[i], 1, w.padding[i])
            .ok_or_else(|| Error::shape(format!("a window {:?} does not fit {x}", w.size)))?;
    }
    Ok(dims.into())
}

/// The shape a convolution of `x` with weights `w` gives.
pub fn conv_output(x: &Shape, w: &Shape, spec: &ConvSpec) -> Result<Shape> {
    let spatial = spec.stride.len();
    let fits = (1..=3).contains(&spatial)
        && x.rank() == spatial + 2
        && w.rank() == spatial + 2
        && spec.padding.len() == spatial
        && spec.dilation.len() == spatial;
    if !fits {
        return Err(Error::shape(format!(
            "with {spatial} strides the input must be [batch, {spatial} extents, channels] and the weights \
             [out, {spatial} extents, channels / groups], not {x} and {w}"
        )));
    }
    let (channels, groups) = (x[spatial + 1], spec.groups);
    if groups == 0 || w[spatial + 1].checked_mul(groups) != Some(channels) || !w[0].is_multiple_of(groups) {
        return Err(Error::shape(format!(
            "weights {w} with {groups} groups do not fit {channels} channels of {x}; they want [out, kernel.., \
             {channels} / groups] with out a multiple of groups"
        )));
    }
    let mut dims = x.to_vec();
    dims[spatial + 1] = w[0];
    for i in 0..spatial {
        dims[i + 1] = windows(x[i + 1], w[i + 1], spec.stride[i], spec.dilation[i], spec.padding[i])
            .ok_or_else(|| Error::shape(format!("a kernel {w} (dilation {:?}) does not fit {x}", spec.dilation)))?;
    }
    Ok(dims.into())
}

fn windows(n: usize, size: usize, stride: usize, dilation: usize, (low, high): (usize, usize)) -> Option<usize> {
    if size == 0 || stride == 0 || dilation == 0 {
        return None;
    }
    let reach = (size - 1).checked_mul(dilation)?.checked_add(1)?;
    Some(n.checked_add(low)?.checked_add(high)?.checked_sub(reach)? / stride + 1)
}

fn gathered(x: &Type, index: &Type, axis: usize) -> Result<Shape> {
    axis_in(axis, &x.shape)?;
    want_dtype(index, DType::I32)?;
    Ok(x.shape[..axis].iter().chain(index.shape.iter()).chain(&x.shape[axis + 1..]).copied().collect())
}

fn axis_in(axis: usize, shape: &Shape) -> Result<()> {
    if axis < shape.rank() {
        return Ok(());
    }
    Err(Error::shape(format!("there is no axis {axis} in {shape}")))
}

fn axes_of(axes: &[usize], x: &Type) -> Result<()> {
    if axes.windows(2).all(|w| w[0] < w[1]) && axes.last().is_none_or(|&a| a < x.shape.rank()) {
        return Ok(());
    }
    Err(Error::shape(format!("{axes:?} are not axes of {x}, in order and without repeats")))
}

fn same(a: &Type, b: &Type) -> Result<()> {
    if a.dtype != b.dtype {
        return Err(Error::dtype(format!("{a} and {b} differ in dtype; cast one of them")));
    }
    if a.shape != b.shape {
        return Err(Error::shape(format!("{a} and {b} differ in shape")));
    }
    Ok(())
}

fn want_shape(what: &str, x: &Type, shape: &Shape) -> Result<()> {
    if x.shape == *shape {
        return Ok(());
    }
    Err(Error::shape(format!("{what} is {x} but must have shape {shape}")))
}

fn want_dtype(x: &Type, dtype: DType) -> Result<()> {
    if x.dtype == dtype {
        return Ok(());
    }
    Err(Error::dtype(format!("wants {dtype}, not {x}; cast it")))
}

fn number(x: &Type) -> Result<()> {
    if x.dtype != DType::Bool {
        return Ok(());
    }
    Err(Error::dtype(format!("works on numbers, not {x}; cast it")))
}

fn float(x: &Type) -> Result<()> {
    if x.dtype.is_float() {
        return Ok(());
    }
    Err(Error::dtype(format!("works on floats, not {x}; cast it")))
}

fn float_pair(a: &Type, b: &Type) -> Result<()> {
    float(a)?;
    want_dtype(b, a.dtype)
}
