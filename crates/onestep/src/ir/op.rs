//! The closed set of operations. Every `match` on it is complete, so that a new one breaks the
//! build until shapes, text form, gradient, reference and lowering know it.

use super::{DType, Literal, Shape};

/// Index of a device-resident state (parameter arena, optimizer slot, buffer) in
/// [`Graph::states`](super::Graph::states).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StateId(pub u32);

/// Index of an input in [`Graph::inputs`](super::Graph::inputs).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InputId(pub u32);

macro_rules! named_ops {
    ($(#[$doc:meta])* $enum:ident { $($(#[$vdoc:meta])* $variant:ident = $name:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $enum { $($(#[$vdoc])* $variant,)* }

        impl $enum {
            /// Every member.
            pub const ALL: &[$enum] = &[$($enum::$variant,)*];

            /// The name in the text form.
            pub fn name(self) -> &'static str {
                match self { $($enum::$variant => $name,)* }
            }
        }
    };
}

named_ops! {
    /// Element-wise functions of one argument. Floats only unless said otherwise.
    Unary {
        /// -x (floats and i32).
        Neg = "neg",
        /// |x| (floats and i32).
        Abs = "abs",
        /// -1, 0 or 1 (floats and i32); sign(0) = 0, NaN stays NaN.
        Sign = "sign",
        /// e^x.
        Exp = "exp",
        /// Natural logarithm.
        Log = "log",
        /// e^x - 1, accurate near 0.
        Expm1 = "expm1",
        /// log(1 + x), accurate near 0.
        Log1p = "log1p",
        /// Square root.
        Sqrt = "sqrt",
        /// 1 / sqrt(x).
        Rsqrt = "rsqrt",
        /// 1 / x.
        Recip = "recip",
        /// Sine of radians.
        Sin = "sin",
        /// Cosine of radians.
        Cos = "cos",
        /// Hyperbolic tangent.
        Tanh = "tanh",
        /// 1 / (1 + e^-x).
        Sigmoid = "sigmoid",
        /// The error function.
        Erf = "erf",
        /// Largest integer not above x.
        Floor = "floor",
        /// Smallest integer not below x.
        Ceil = "ceil",
        /// Nearest integer, ties to even.
        Round = "round",
        /// Whether x is neither NaN nor infinite; gives bool.
        IsFinite = "is_finite",
        /// Logical not (bool only).
        Not = "not",
    }
}

named_ops! {
    /// Element-wise functions of two arguments of one shape and dtype.
    Binary {
        /// a + b.
        Add = "add",
        /// a - b.
        Sub = "sub",
        /// a * b.
        Mul = "mul",
        /// a / b; integer division truncates, by zero gives 0.
        Div = "div",
        /// Remainder with the sign of a; integer by zero gives 0.
        Rem = "rem",
        /// a^b (floats only).
        Pow = "pow",
        /// The larger; NaN if either is NaN.
        Max = "max",
        /// The smaller; NaN if either is NaN.
        Min = "min",
        /// Logical or bitwise and (bool and integers).
        And = "and",
        /// Logical or bitwise or (bool and integers).
        Or = "or",
        /// Logical or bitwise exclusive or (bool and integers).
        Xor = "xor",
    }
}

named_ops! {
    /// Element-wise comparisons; the result is bool. All but `Ne` are false on NaN.
    Compare {
        /// a == b.
        Eq = "eq",
        /// a != b.
        Ne = "ne",
        /// a < b.
        Lt = "lt",
        /// a <= b.
        Le = "le",
    }
}

named_ops! {
    /// Reductions that fold a set of axes into one value. Over no elements they give their identity.
    ReduceOp {
        /// Sum; identity 0.
        Sum = "sum",
        /// Product; identity 1.
        Prod = "prod",
        /// Maximum, NaN if any is NaN; identity is the dtype's lowest value (-inf for floats).
        Max = "reduce_max",
        /// Minimum, NaN if any is NaN; identity is the dtype's highest value (inf for floats).
        Min = "reduce_min",
    }
}

named_ops! {
    /// Reductions that give the place of an extreme value: the first one in row-major order of the
    /// reduced axes, as i32. A NaN counts as the extreme. Over no elements the answer is 0.
    ArgOp {
        /// Where the maximum is.
        Max = "argmax",
        /// Where the minimum is.
        Min = "argmin",
    }
}

impl ReduceOp {
    /// What it gives over no elements.
    pub fn identity(self, dtype: DType) -> f64 {
        match (self, dtype) {
            (ReduceOp::Sum, _) => 0.0,
            (ReduceOp::Prod, _) => 1.0,
            (ReduceOp::Max, DType::I32) => i32::MIN as f64,
            (ReduceOp::Max, DType::U32 | DType::U8 | DType::Bool) => 0.0,
            (ReduceOp::Max, DType::F64 | DType::F32 | DType::BF16 | DType::F16) => f64::NEG_INFINITY,
            (ReduceOp::Min, DType::I32) => i32::MAX as f64,
            (ReduceOp::Min, DType::U32) => u32::MAX as f64,
            (ReduceOp::Min, DType::U8) => u8::MAX as f64,
            (ReduceOp::Min, DType::Bool) => 1.0,
            (ReduceOp::Min, DType::F64 | DType::F32 | DType::BF16 | DType::F16) => f64::INFINITY,
        }
    }
}

/// A pooling window over the spatial axes of a channels-last tensor `[batch, spatial.., channels]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// Extent of the window on each spatial axis.
    pub size: Vec<usize>,
    /// Distance between windows on each spatial axis.
    pub stride: Vec<usize>,
    /// Padding (low, high) on each spatial axis: -inf for max pooling, 0 for average pooling.
    pub padding: Vec<(usize, usize)>,
}

/// How a convolution walks its input: channels-last `[batch, spatial.., channels]`, weights
/// `[out, kernel.., in / groups]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConvSpec {
    /// Distance between windows on each spatial axis.
    pub stride: Vec<usize>,
    /// Zero padding (low, high) on each spatial axis.
    pub padding: Vec<(usize, usize)>,
    /// Distance between kernel taps on each spatial axis; 1 is dense.
    pub dilation: Vec<usize>,
    /// Groups of channels that do not see each other.
    pub groups: usize,
}

/// An operation. Inputs, their order and meaning stand with each variant; `[]` is a scalar.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// What the host passes at each step.
    Input(InputId),
    /// The value a device-resident state has at the start of the step.
    State(StateId),
    /// A constant.
    Constant(Literal),
    /// The coordinate along `axis`, counted from 0.
    Iota {
        /// Result shape.
        shape: Shape,
        /// The axis that is counted.
        axis: usize,
        /// Result dtype (i32, u32 or a float).
        dtype: DType,
    },
    /// Counter-based random bits, Philox 4x32-10 (Salmon et al. 2011, "Parallel random numbers: as
    /// easy as 1, 2, 3"). Inputs: seed `u32[2]` (the key), step `u32[]`. Element i is word `i % 4` of
    /// the block with counter `[i / 4, stream, step, 0]`. u32 gives the bits, f32 the upper 24 bits
    /// as a uniform number in [0, 1).
    Random {
        /// Result shape.
        shape: Shape,
        /// u32 or f32.
        dtype: DType,
        /// Tells apart the random tensors of a program.
        stream: u32,
    },
    /// Input: x.
    Unary(Unary),
    /// Inputs: a, b.
    Binary(Binary),
    /// Inputs: a, b.
    Compare(Compare),
    /// Inputs: condition (bool), a (where true), b (where false).
    Select,
    /// Converts; float to integer truncates and saturates (NaN gives 0), anything to bool is `!= 0`.
    Cast(DType),
    /// The same elements in row-major order with other extents.
    Reshape(Shape),
    /// Result axis i is input axis `perm[i]`.
    Permute(Vec<usize>),
    /// Stretches axes of extent 1; the rank stays.
    Broadcast(Shape),
    /// Elements `start, start + step, …` below `stop` on each axis.
    Slice {
        /// First index on each axis.
        start: Vec<usize>,
        /// Index after the last on each axis.
        stop: Vec<usize>,
        /// Distance on each axis, at least 1.
        step: Vec<usize>,
    },
    /// Surrounds with a value, given as the bits of an f64.
    Pad {
        /// Elements before on each axis.
        low: Vec<usize>,
        /// Elements after on each axis.
        high: Vec<usize>,
        /// The bits of the f64 value of the new elements.
        value: u64,
    },
    /// x, but not before `when` is known. Inputs: x, when (any type; its value is not used). Equal ops on x and
    /// on this are two values, so what is computed from it is computed again, after `when`, and not kept from
    /// before: the barrier of which [`Graph::checkpoint`](super::Graph::checkpoint) is made.
    After,
    /// Joins its inputs along an axis.
    Concat {
        /// The axis.
        axis: usize,
    },
    /// Reverses the given axes (sorted, without repeats).
    Flip(Vec<usize>),
    /// Inputs: x, start (i32[]). `len` elements of an axis from a start known on the device, clamped so
    /// that the slice lies inside.
    DynamicSlice {
        /// The axis.
        axis: usize,
        /// How many elements.
        len: usize,
    },
    /// Folds the given axes (sorted); they vanish from the shape.
    Reduce {
        /// The fold.
        op: ReduceOp,
        /// The axes, sorted, without repeats.
        axes: Vec<usize>,
    },
    /// Place of an extreme over the given axes (sorted); gives i32, the axes vanish.
    ArgReduce {
        /// Maximum or minimum.
        op: ArgOp,
        /// The axes, sorted, without repeats.
        axes: Vec<usize>,
    },
    /// Running sum along an axis.
    CumSum {
        /// The axis.
        axis: usize,
        /// Whether element i leaves out itself.
        exclusive: bool,
        /// Whether it runs from the end.
        reverse: bool,
    },
    /// Largest element of each window. Input: x.
    MaxPool(Window),
    /// Place of the first largest element in its window, row-major over the window, as i32. Input: x.
    MaxPoolIndex(Window),
    /// The element of each window at a place. Inputs: place (i32, pooled shape), x.
    MaxPoolGather(Window),
    /// Adds each pooled value to the input element it came from. Inputs: place (i32), g.
    MaxPoolGrad {
        /// The window.
        window: Window,
        /// Shape of the pooling's input.
        input: Shape,
    },
    /// Sum over each window divided by the window's size, padding counted as zeros. Input: x.
    AvgPool(Window),
    /// Adjoint of [`Op::AvgPool`]. Input: g.
    AvgPoolGrad {
        /// The window.
        window: Window,
        /// Shape of the pooling's input.
        input: Shape,
    },
    /// Batched matrix product. Inputs: a `[batch.., m, k]` (`[batch.., k, m]` if `ta`), b
    /// `[batch.., k, n]` (`[batch.., n, k]` if `tb`); the result is `[batch.., m, n]`.
    Dot {
        /// Whether a's last two axes are swapped.
        ta: bool,
        /// Whether b's last two axes are swapped.
        tb: bool,
    },
    /// Convolution (cross-correlation, as everywhere in deep learning). Inputs: x, w.
    Conv(ConvSpec),
    /// Gradient of [`Op::Conv`] with respect to x; also the transposed convolution. Inputs: g, w.
    ConvInputGrad {
        /// The convolution.
        spec: ConvSpec,
        /// Shape of its input.
        input: Shape,
    },
    /// Gradient of [`Op::Conv`] with respect to w. Inputs: x, g.
    ConvFilterGrad {
        /// The convolution.
        spec: ConvSpec,
        /// Shape of its weights.
        filter: Shape,
    },
    /// Inputs: x, index (i32). Replaces `axis` of x by the axes of index. An index outside reads 0.
    Gather {
        /// The axis of x that is indexed.
        axis: usize,
    },
    /// Inputs: base, index (i32), updates (shaped as `Gather` of base). Adds updates to base at index, in
    /// row-major order of index; an index outside is left out.
    ScatterAdd {
        /// The axis of base that is indexed.
        axis: usize,
    },
}

impl Op {
    /// The name in the text form.
    pub fn name(&self) -> &'static str {
        match self {
            Op::Input(_) => "input",
            Op::State(_) => "state",
            Op::Constant(_) => "constant",
            Op::Iota { .. } => "iota",
            Op::Random { .. } => "random",
            Op::Unary(op) => op.name(),
            Op::Binary(op) => op.name(),
            Op::Compare(op) => op.name(),
            Op::Select => "select",
            Op::Cast(_) => "cast",
            Op::Reshape(_) => "reshape",
            Op::Permute(_) => "permute",
            Op::Broadcast(_) => "broadcast",
            Op::Slice { .. } => "slice",
            Op::Pad { .. } => "pad",
            Op::After => "after",
            Op::Concat { .. } => "concat",
            Op::Flip(_) => "flip",
            Op::DynamicSlice { .. } => "dynamic_slice",
            Op::Reduce { op, .. } => op.name(),
            Op::ArgReduce { op, .. } => op.name(),
            Op::CumSum { .. } => "cumsum",
            Op::MaxPool(_) => "max_pool",
            Op::MaxPoolIndex(_) => "max_pool_index",
            Op::MaxPoolGather(_) => "max_pool_gather",
            Op::MaxPoolGrad { .. } => "max_pool_grad",
            Op::AvgPool(_) => "avg_pool",
            Op::AvgPoolGrad { .. } => "avg_pool_grad",
            Op::Dot { .. } => "dot",
            Op::Conv(_) => "conv",
            Op::ConvInputGrad { .. } => "conv_input_grad",
            Op::ConvFilterGrad { .. } => "conv_filter_grad",
            Op::Gather { .. } => "gather",
            Op::ScatterAdd { .. } => "scatter_add",
        }
    }

    /// How many inputs it takes; `None` where that varies (`concat`).
    pub fn arity(&self) -> Option<usize> {
        Some(match self {
            Op::Input(_) | Op::State(_) | Op::Constant(_) | Op::Iota { .. } => 0,
            Op::Unary(_)
            | Op::Cast(_)
            | Op::Reshape(_)
            | Op::Permute(_)
            | Op::Broadcast(_)
            | Op::Slice { .. }
            | Op::Pad { .. }
            | Op::Flip(_)
            | Op::Reduce { .. }
            | Op::ArgReduce { .. }
            | Op::CumSum { .. }
            | Op::MaxPool(_)
            | Op::MaxPoolIndex(_)
            | Op::AvgPool(_)
            | Op::AvgPoolGrad { .. } => 1,
            Op::Random { .. }
            | Op::Binary(_)
            | Op::Compare(_)
            | Op::After
            | Op::DynamicSlice { .. }
            | Op::MaxPoolGather(_)
            | Op::MaxPoolGrad { .. }
            | Op::Dot { .. }
            | Op::Conv(_)
            | Op::ConvInputGrad { .. }
            | Op::ConvFilterGrad { .. }
            | Op::Gather { .. } => 2,
            Op::Select | Op::ScatterAdd { .. } => 3,
            Op::Concat { .. } => return None,
        })
    }

    /// Whether it only says where elements are, and so costs nothing once folded into an index map.
    pub fn is_view(&self) -> bool {
        matches!(self, Op::Reshape(_) | Op::Permute(_) | Op::Broadcast(_) | Op::Slice { .. } | Op::Flip(_) | Op::After)
    }

    /// Whether it is computed for each element from the same element of its inputs.
    pub fn is_elementwise(&self) -> bool {
        matches!(self, Op::Unary(_) | Op::Binary(_) | Op::Compare(_) | Op::Select | Op::Cast(_))
    }
}
