//! What differs between the languages of devices. Every method gives text; the printer puts it in order.

use super::bindings::{Binding, Rules, Slot};
use crate::ir::{ArgOp, Binary, Compare, DType, Unary, push_f64};
use crate::plan::Workers;

/// The types of local values. Floats of all dtypes are computed in f32, unsigned integers of all in 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Scalar {
    Float,
    Int,
    Uint,
    Bool,
    /// What counts elements.
    Index,
}

impl Scalar {
    /// The type in which values of a dtype are computed.
    pub(super) fn of(dtype: DType) -> Self {
        match dtype {
            DType::F64 | DType::F32 | DType::BF16 | DType::F16 => Scalar::Float,
            DType::I32 => Scalar::Int,
            DType::U32 | DType::U8 => Scalar::Uint,
            DType::Bool => Scalar::Bool,
        }
    }
}

/// A variable of every thread that is folded over the workers of a point.
pub(super) struct Partial {
    pub name: String,
    pub ty: Scalar,
}

/// Memory that a workgroup shares: one element of a type for each of some threads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Shared {
    pub ty: Scalar,
    /// Tells apart the variables of one fold.
    pub number: usize,
}

/// A kernel's text but for its body.
pub(super) struct Frame<'a> {
    pub entry: &'a str,
    pub threads: usize,
    pub bindings: &'a [(Binding, Slot)],
    pub shared: &'a [Shared],
    /// Elements of each shared array.
    pub shared_len: usize,
    /// Workgroups on each axis.
    pub groups: [usize; 3],
    pub wide: bool,
    /// Indented by one step.
    pub body: &'a str,
}

/// A language. Statements end as the language wants it; blocks open with a line ending in `{`.
pub(super) trait Dialect {
    /// For people.
    fn name(&self) -> &'static str;
    /// What it can bind.
    fn rules(&self) -> Rules;
    /// Whether it has 64-bit indices.
    fn has_wide(&self) -> bool;
    /// Most workgroups on an axis of the launch.
    fn most_groups(&self) -> usize;
    /// The file of helper functions.
    fn helpers(&self) -> &'static str;
    /// Definitions that the text needs and that no file can hold, in a fixed order.
    fn definitions(&self, text: &str) -> Vec<String>;
    /// The whole kernel; it declares `thread` (within the workgroup) and `block` (the workgroup's number).
    fn kernel(&self, frame: &Frame) -> String;

    /// A type's name.
    fn ty(&self, ty: Scalar, wide: bool) -> &'static str;
    /// Declares an array of so many values, all the same at first.
    fn array(&self, name: &str, ty: &str, value: &str, len: usize) -> String;
    /// Declares a value that does not change.
    fn constant(&self, name: &str, ty: &str, value: &str) -> String;
    /// Declares a variable.
    fn variable(&self, name: &str, ty: &str, value: &str) -> String;
    /// Opens a loop that counts.
    fn count(&self, name: &str, ty: &str, from: &str, below: &str, step: usize) -> String;
    /// A line before a loop that is better unrolled; without one it is printed unrolled, its counter a `const`.
    fn unroll(&self) -> Option<&'static str>;
    /// `condition ? a : b`; both may be evaluated.
    fn select(&self, condition: &str, a: &str, b: &str) -> String;

    /// A number of a dtype; it saturates as a cast does.
    fn literal(&self, dtype: DType, value: f64) -> String;
    /// Quotient and remainder that round down, by a positive constant.
    fn floored(&self, remainder: bool, a: &str, by: i64, wide: bool) -> String;
    /// An index as a signed or unsigned 32-bit integer.
    fn index_as(&self, ty: Scalar, index: &str) -> String;
    /// A 32-bit integer as an index.
    fn as_index(&self, from: DType, value: &str, wide: bool) -> String;
    /// A function of one value; `dtype` is the argument's.
    fn unary(&self, op: Unary, dtype: DType, a: &str) -> String;
    /// A function of two values of a dtype.
    fn binary(&self, op: Binary, dtype: DType, a: &str, b: &str) -> String;
    /// A comparison of two values of a dtype.
    fn compare(&self, op: Compare, dtype: DType, a: &str, b: &str) -> String;
    /// A conversion.
    fn cast(&self, from: DType, to: DType, a: &str) -> String;
    /// Whether `new` is a better extreme than `best`: beyond it, or the first NaN.
    fn beats(&self, op: ArgOp, dtype: DType, new: &str, best: &str) -> String {
        match (op, dtype.is_float()) {
            (ArgOp::Max, true) => format!("is_first_largest({new}, {best})"),
            (ArgOp::Min, true) => format!("is_first_smallest({new}, {best})"),
            (ArgOp::Max, false) => format!("{new} > {best}"),
            (ArgOp::Min, false) => format!("{new} < {best}"),
        }
    }
    /// The type of four random words.
    fn words_type(&self) -> &'static str;
    /// Four random words for a block's number, stream, step and key.
    fn random_words(&self, block: &str, stream: u32, step: &str, key: [&str; 2]) -> String {
        format!("philox({block}, {stream}u, {step}, {}, {})", key[0], key[1])
    }
    /// One of four random words, as bits or as a float in [0, 1).
    fn random_word(&self, words: &str, number: &str, bits: bool) -> String;

    /// An element.
    fn load(&self, slot: &Slot, index: &str) -> String;
    /// Stores an element.
    fn store(&self, slot: &Slot, index: &str, value: &str) -> String;
    /// The type of `width` neighbouring elements as they lie in memory.
    fn vector_type(&self, slot: &Slot, width: usize) -> String;
    /// A vector of zeros.
    fn vector_empty(&self, slot: &Slot, width: usize) -> String;
    /// Loads a vector from an index that is a multiple of its width.
    fn vector_load(&self, slot: &Slot, width: usize, index: &str) -> String;
    /// Element `part` of a vector.
    fn vector_get(&self, slot: &Slot, width: usize, vector: &str, part: &str) -> String;
    /// Sets element `part` of a vector of zeros.
    fn vector_set(&self, slot: &Slot, width: usize, vector: &str, part: &str, value: &str) -> String;
    /// Stores a vector at an index that is a multiple of its width.
    fn vector_store(&self, slot: &Slot, width: usize, index: &str, vector: &str) -> String;

    /// Elements of shared memory that folding over workers takes.
    fn shared_len(&self, workers: Workers, threads: usize) -> usize;
    /// Folds variables over the workers of a point in a fixed tree; all workers get the result. `merge` gives
    /// the statements that fold other values into the variables.
    fn fold(
        &self,
        workers: Workers,
        threads: usize,
        partials: &[Partial],
        merge: &dyn Fn(&[String]) -> Vec<String>,
    ) -> Vec<String>;
    /// Waits until all threads of the workgroup see what the others put into shared memory.
    fn meet(&self) -> &'static str;
    /// Waits until every worker of a point (all threads for [`Workers::Block`]) is here and sees what the
    /// others wrote.
    fn barrier(&self, workers: Workers) -> &'static str;
}

/// The name of shared memory.
pub(super) fn shared_name(shared: &Shared) -> String {
    let ty = match shared.ty {
        Scalar::Float => "float",
        Scalar::Int => "int",
        Scalar::Uint => "uint",
        Scalar::Bool => "bool",
        Scalar::Index => "index",
    };
    format!("shared_{ty}{}", shared.number)
}

/// A number as an unsigned integer dtype holds it.
pub(super) fn saturated(dtype: DType, value: f64) -> u32 {
    let mut bytes = Vec::with_capacity(4);
    push_f64(dtype, value, &mut bytes);
    bytes.iter().rev().fold(0, |sum, &b| sum << 8 | b as u32)
}
