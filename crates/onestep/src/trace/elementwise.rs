//! Element-wise operations and operators, with NumPy broadcasting and no silent change of dtype.

use std::ops::{Add, Div, Mul, Neg, Sub};

use super::{Tensor, Trace};
use crate::error::{Error, Result};
use crate::ir::{Binary, Compare, DType, Op, Unary};

/// What can stand beside a tensor in an operation: a tensor, a reference to one, or a number, which takes
/// the other's dtype.
pub trait Operand {
    /// Its dtype, if it has one of its own.
    fn own_dtype(&self) -> Option<DType>;

    /// The tensor it stands for; numbers become scalars of `dtype`.
    fn into_tensor(self, trace: &Trace, dtype: DType) -> Tensor;
}

impl Operand for Tensor {
    fn own_dtype(&self) -> Option<DType> {
        Some(self.dtype())
    }

    fn into_tensor(self, _: &Trace, _: DType) -> Tensor {
        self
    }
}

impl Operand for &Tensor {
    fn own_dtype(&self) -> Option<DType> {
        Some(self.dtype())
    }

    fn into_tensor(self, _: &Trace, _: DType) -> Tensor {
        self.clone()
    }
}

impl Operand for f64 {
    fn own_dtype(&self) -> Option<DType> {
        None
    }

    fn into_tensor(self, trace: &Trace, dtype: DType) -> Tensor {
        trace.scalar(self, dtype)
    }
}

macro_rules! unary {
    ($($(#[$doc:meta])* $name:ident => $op:ident;)*) => {
        impl Tensor {
            $($(#[$doc])* pub fn $name(&self) -> Tensor {
                self.apply(Op::Unary(Unary::$op))
            })*
        }
    };
}

unary! {
    /// -x (floats and i32).
    neg => Neg;
    /// |x| (floats and i32).
    abs => Abs;
    /// -1, 0 or 1 (floats and i32).
    sign => Sign;
    /// e^x.
    exp => Exp;
    /// Natural logarithm.
    log => Log;
    /// e^x - 1, accurate near 0.
    expm1 => Expm1;
    /// log(1 + x), accurate near 0.
    log1p => Log1p;
    /// Square root.
    sqrt => Sqrt;
    /// 1 / sqrt(x).
    rsqrt => Rsqrt;
    /// 1 / x.
    recip => Recip;
    /// Sine of radians.
    sin => Sin;
    /// Cosine of radians.
    cos => Cos;
    /// Hyperbolic tangent.
    tanh => Tanh;
    /// 1 / (1 + e^-x).
    sigmoid => Sigmoid;
    /// The error function.
    erf => Erf;
    /// Largest integer not above x.
    floor => Floor;
    /// Smallest integer not below x.
    ceil => Ceil;
    /// Nearest integer, ties to even.
    round => Round;
    /// Whether x is neither NaN nor infinite, as bool.
    is_finite => IsFinite;
    /// Logical not (bool).
    not => Not;
}

macro_rules! binary {
    ($($(#[$doc:meta])* $name:ident => $op:ident;)*) => {
        impl Tensor {
            $($(#[$doc])* pub fn $name(&self, other: impl Operand) -> Tensor {
                self.zip(other, Op::Binary(Binary::$op))
            })*
        }
    };
}

binary! {
    /// x^y (floats).
    pow => Pow;
    /// The larger; NaN if either is NaN.
    maximum => Max;
    /// The smaller; NaN if either is NaN.
    minimum => Min;
    /// Remainder with the sign of x; integer by zero gives 0.
    rem => Rem;
    /// Logical or bitwise and (bool and integers).
    and => And;
    /// Logical or bitwise or (bool and integers).
    or => Or;
    /// Logical or bitwise exclusive or (bool and integers).
    xor => Xor;
}

impl Tensor {
    /// x == y, as bool.
    pub fn eq(&self, other: impl Operand) -> Tensor {
        self.zip(other, Op::Compare(Compare::Eq))
    }

    /// x != y, as bool; true on NaN.
    pub fn ne(&self, other: impl Operand) -> Tensor {
        self.zip(other, Op::Compare(Compare::Ne))
    }

    /// x < y, as bool.
    pub fn lt(&self, other: impl Operand) -> Tensor {
        self.zip(other, Op::Compare(Compare::Lt))
    }

    /// x <= y, as bool.
    pub fn le(&self, other: impl Operand) -> Tensor {
        self.zip(other, Op::Compare(Compare::Le))
    }

    /// x > y, as bool.
    pub fn gt(&self, other: impl Operand) -> Tensor {
        other.into_tensor(self.trace(), self.dtype()).lt(self)
    }

    /// x >= y, as bool.
    pub fn ge(&self, other: impl Operand) -> Tensor {
        other.into_tensor(self.trace(), self.dtype()).le(self)
    }

    /// `a` where this (bool) is true, else `b`; all three broadcast. Two numbers give f32.
    pub fn select(&self, a: impl Operand, b: impl Operand) -> Tensor {
        let dtype = a.own_dtype().or(b.own_dtype()).unwrap_or(DType::F32);
        let a = a.into_tensor(self.trace(), dtype);
        let b = b.into_tensor(self.trace(), dtype);
        let parts = [self, &a, &b];
        if parts.iter().any(|t| t.node().is_none()) {
            return self.trace().push(Op::Select, &parts);
        }
        let shapes = parts.map(Tensor::shape);
        let Some(shape) = shapes[0].broadcast(&shapes[1]).and_then(|s| s.broadcast(&shapes[2])) else {
            return self.trace().fail(Error::shape(format!(
                "select: {}, {} and {} do not broadcast: counted from the last axis, extents must be equal or 1",
                shapes[0], shapes[1], shapes[2]
            )));
        };
        let [condition, a, b] = parts.map(|t| t.broadcast_to(&shape));
        self.trace().push(Op::Select, &[&condition, &a, &b])
    }

    /// The value held between two numbers; NaN stays NaN.
    pub fn clamp(&self, low: f64, high: f64) -> Tensor {
        self.maximum(low).minimum(high)
    }

    /// x².
    pub fn square(&self) -> Tensor {
        self * self
    }

    /// Converts to a dtype: float to integer truncates and saturates, anything to bool is `!= 0`.
    pub fn cast(&self, dtype: DType) -> Tensor {
        if self.dtype() == dtype { self.clone() } else { self.apply(Op::Cast(dtype)) }
    }

    /// A tensor of this one's shape and dtype with one value.
    pub fn full_like(&self, value: f64) -> Tensor {
        self.build(|ty| Ok(self.trace().full(ty.shape, value, ty.dtype)))
    }

    /// Zeros of this one's shape and dtype.
    pub fn zeros_like(&self) -> Tensor {
        self.full_like(0.0)
    }

    /// Ones of this one's shape and dtype.
    pub fn ones_like(&self) -> Tensor {
        self.full_like(1.0)
    }

    /// Adds an op of two inputs after broadcasting both.
    fn zip(&self, other: impl Operand, op: Op) -> Tensor {
        let other = other.into_tensor(self.trace(), self.dtype());
        self.build(|_| {
            let (a, b) = broadcast_pair(op.name(), self, &other)?;
            Ok(self.trace().push(op, &[&a, &b]))
        })
    }
}

/// Two tensors stretched to a common shape; poisoned ones are given back as they are.
fn broadcast_pair(doing: &str, a: &Tensor, b: &Tensor) -> Result<(Tensor, Tensor)> {
    let (Some(x), Some(y)) = (a.ty(), b.ty()) else { return Ok((a.clone(), b.clone())) };
    if x.dtype != y.dtype {
        return Err(Error::dtype(format!(
            "{doing}: {x} and {y} differ in dtype; `cast` one of them to {} or {}",
            x.dtype, y.dtype
        )));
    }
    let shape = x.shape.broadcast(&y.shape).ok_or_else(|| {
        Error::shape(format!(
            "{doing}: {x} and {y} do not broadcast: counted from the last axis, extents must be equal or 1"
        ))
    })?;
    Ok((a.broadcast_to(&shape), b.broadcast_to(shape)))
}

/// `a` where `condition` (bool) is true, else `b`; all three broadcast. Two numbers give f32.
pub fn where_(condition: &Tensor, a: impl Operand, b: impl Operand) -> Tensor {
    condition.select(a, b)
}

macro_rules! operators {
    ($($trait:ident $method:ident),*) => {$(
        impl<T: Operand> $trait<T> for &Tensor {
            type Output = Tensor;
            fn $method(self, other: T) -> Tensor {
                self.zip(other, Op::Binary(Binary::$trait))
            }
        }

        impl<T: Operand> $trait<T> for Tensor {
            type Output = Tensor;
            fn $method(self, other: T) -> Tensor {
                self.zip(other, Op::Binary(Binary::$trait))
            }
        }

        impl $trait<&Tensor> for f64 {
            type Output = Tensor;
            fn $method(self, other: &Tensor) -> Tensor {
                self.into_tensor(other.trace(), other.dtype()).zip(other, Op::Binary(Binary::$trait))
            }
        }

        impl $trait<Tensor> for f64 {
            type Output = Tensor;
            fn $method(self, other: Tensor) -> Tensor {
                $trait::$method(self, &other)
            }
        }
    )*};
}

operators!(Add add, Sub sub, Mul mul, Div div);

impl Neg for &Tensor {
    type Output = Tensor;
    fn neg(self) -> Tensor {
        Tensor::neg(self)
    }
}

impl Neg for Tensor {
    type Output = Tensor;
    fn neg(self) -> Tensor {
        Tensor::neg(&self)
    }
}
