//! Formulas: chains of f32 arithmetic computed in one pass, with everything in between in vector registers. Each is
//! written once, as a function of numbers: of symbols it gives the pattern that `combine.rs` looks for in a tape, of
//! vectors the loop. The same operations in the same order, so the same bits.

use std::cell::RefCell;
use std::ops::{Add, Div, Mul, Sub};

use super::vector::{One, Vector};
use crate::ir::Binary;

/// A formula has at most so many operands of a kind, and results.
pub(super) const MOST: usize = 8;

/// What a formula computes with.
pub(super) trait Number:
    Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self>
{
    fn sqrt(self) -> Self;
}

/// The functions below take operands of which each lane has its own, then those that are the same on all lanes. They
/// give their value, then what is needed on the way to it and kept.
macro_rules! formulas {
    ($($name:ident = $function:ident,)*) => {
        /// A formula. Earlier ones in [`Formula::ALL`] go before later ones that fit too.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Formula {
            $($name,)*
        }

        impl Formula {
            pub(super) const ALL: &[Formula] = &[$(Formula::$name,)*];

            /// What it looks like in a tape.
            pub(super) fn pattern(self) -> Pattern {
                let nodes = RefCell::default();
                let (lanes, scalars, results) = match self {
                    $(Formula::$name => trace(&nodes, $function),)*
                };
                Pattern { nodes: nodes.into_inner(), lanes, scalars, results }
            }

            /// Computes it for `n` lanes; in each list are as many as it has, or more.
            ///
            /// # Safety
            /// The CPU must have V's instruction set. Operands must be `n` numbers, and results room for as many. A
            /// result may lie where an operand lies, but then all of it.
            #[inline(always)]
            pub(super) unsafe fn compute<V: Vector>(
                self,
                lanes: &[*const f32],
                scalars: &[f32],
                results: &[*mut f32],
                n: usize,
            ) {
                // SAFETY: passed on from the caller.
                unsafe {
                    match self {
                        $(Formula::$name => compute::<V, _, _, _>($function, $function, lanes, scalars, results, n),)*
                    }
                }
            }
        }
    };
}

formulas! {
    AdamW = adamw,
    Adam = adam,
    Momentum = momentum,
    ScaledRatio = scaled_ratio,
    ScaledSquare = scaled_square,
    ScaledProducts = scaled_products,
    Products = products,
    ScaleShift = scale_shift,
    ScaleAdd = scale_add,
    MulAdd = mul_add,
    ScaleSub = scale_sub,
    MulSub = mul_sub,
    DivSub = div_sub,
    Scale = scale,
}

/// Adam's step with decoupled weight decay; the moments are kept.
#[inline(always)]
fn adamw<N: Number>([p, g, m, v]: [N; 4], [decay, b1, c1, b2, c2, size, scale, eps]: [N; 8]) -> [N; 3] {
    adam([p - p * decay, g, m, v], [b1, c1, b2, c2, size, scale, eps])
}

/// Adam's step; the moments are kept.
#[inline(always)]
fn adam<N: Number>([p, g, m, v]: [N; 4], [b1, c1, b2, c2, size, scale, eps]: [N; 7]) -> [N; 3] {
    let [m] = scaled_products([m, g], [b1, c1]);
    let [v] = scaled_square([v, g], [b2, c2]);
    let [step] = scaled_ratio([p, m, v], [size, scale, eps]);
    [step, m, v]
}

/// A step of descent with momentum; the direction is kept.
#[inline(always)]
fn momentum<N: Number>([p, g, m]: [N; 3], [b, rate]: [N; 2]) -> [N; 2] {
    let m = m * b + g;
    [p - m * rate, m]
}

#[inline(always)]
fn scaled_ratio<N: Number>([p, m, v]: [N; 3], [size, scale, eps]: [N; 3]) -> [N; 1] {
    [p - m * size / (v.sqrt() * scale + eps)]
}

#[inline(always)]
fn scaled_square<N: Number>([v, g]: [N; 2], [a, b]: [N; 2]) -> [N; 1] {
    [v * a + g * g * b]
}

#[inline(always)]
fn scaled_products<N: Number>([x, y]: [N; 2], [a, b]: [N; 2]) -> [N; 1] {
    [x * a + y * b]
}

#[inline(always)]
fn products<N: Number>([a, b, c, d]: [N; 4], []: [N; 0]) -> [N; 1] {
    [a * b + c * d]
}

#[inline(always)]
fn scale_shift<N: Number>([x]: [N; 1], [a, b]: [N; 2]) -> [N; 1] {
    [x * a + b]
}

#[inline(always)]
fn scale_add<N: Number>([x, c]: [N; 2], [a]: [N; 1]) -> [N; 1] {
    [x * a + c]
}

#[inline(always)]
fn mul_add<N: Number>([a, b, c]: [N; 3], []: [N; 0]) -> [N; 1] {
    [a * b + c]
}

#[inline(always)]
fn scale_sub<N: Number>([x, c]: [N; 2], [a]: [N; 1]) -> [N; 1] {
    [c - x * a]
}

#[inline(always)]
fn mul_sub<N: Number>([a, b, c]: [N; 3], []: [N; 0]) -> [N; 1] {
    [c - a * b]
}

#[inline(always)]
fn div_sub<N: Number>([a, b, c]: [N; 3], []: [N; 0]) -> [N; 1] {
    [c - a / b]
}

#[inline(always)]
fn scale<N: Number>([x]: [N; 1], [a]: [N; 1]) -> [N; 1] {
    [x * a]
}

/// A vector as a number. It exists only inside [`compute`], whose caller vouches for the instruction set.
#[derive(Clone, Copy)]
struct Lanes<V>(V);

macro_rules! operator {
    ($trait:ident, $method:ident, $vector:ident, $op:ident) => {
        impl<V: Vector> $trait for Lanes<V> {
            type Output = Self;
            #[inline(always)]
            fn $method(self, b: Self) -> Self {
                // SAFETY: see `Lanes`.
                Lanes(unsafe { self.0.$vector(b.0) })
            }
        }

        impl $trait for Symbol<'_> {
            type Output = Self;
            fn $method(self, b: Self) -> Self {
                self.with(Node::Binary(Binary::$op, self.node, b.node))
            }
        }
    };
}

operator!(Add, add, plus, Add);
operator!(Sub, sub, minus, Sub);
operator!(Mul, mul, times, Mul);
operator!(Div, div, over, Div);

impl<V: Vector> Number for Lanes<V> {
    #[inline(always)]
    fn sqrt(self) -> Self {
        // SAFETY: see `Lanes`.
        Lanes(unsafe { self.0.root() })
    }
}

/// # Safety
/// As [`Formula::compute`].
#[inline(always)]
unsafe fn compute<V: Vector, const L: usize, const S: usize, const R: usize>(
    wide: impl Fn([Lanes<V>; L], [Lanes<V>; S]) -> [Lanes<V>; R],
    single: impl Fn([Lanes<One>; L], [Lanes<One>; S]) -> [Lanes<One>; R],
    lanes: &[*const f32],
    scalars: &[f32],
    results: &[*mut f32],
    n: usize,
) {
    let lanes: [*const f32; L] = std::array::from_fn(|i| lanes[i]);
    let scalars: [f32; S] = std::array::from_fn(|i| scalars[i]);
    let results: [*mut f32; R] = std::array::from_fn(|i| results[i]);
    // SAFETY: passed on from the caller; no lane from n on is touched, and a vector is read before it is written.
    unsafe {
        let whole = n - n % V::LANES;
        each(wide, lanes, scalars, results, 0..whole);
        each(single, lanes, scalars, results, whole..n);
    }
}

/// # Safety
/// As [`Formula::compute`], for a range that whole vectors fill.
#[inline(always)]
unsafe fn each<V: Vector, const L: usize, const S: usize, const R: usize>(
    function: impl Fn([Lanes<V>; L], [Lanes<V>; S]) -> [Lanes<V>; R],
    lanes: [*const f32; L],
    scalars: [f32; S],
    results: [*mut f32; R],
    range: std::ops::Range<usize>,
) {
    // SAFETY: passed on from the caller.
    unsafe {
        let scalars = scalars.map(|x| Lanes(V::splat(x)));
        let mut at = range.start;
        while at < range.end {
            let values = function(lanes.map(|lanes| Lanes(V::load(lanes.add(at)))), scalars);
            for (result, value) in results.iter().zip(values) {
                value.0.store(result.add(at));
            }
            at += V::LANES;
        }
    }
}

/// A formula as a graph.
pub(super) struct Pattern {
    /// Operands first: lanes, then scalars.
    pub nodes: Vec<Node>,
    pub lanes: usize,
    pub scalars: usize,
    /// The nodes of its results.
    pub results: Vec<usize>,
}

/// A node of a [`Pattern`]; operands are numbers of nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Lanes,
    Scalar,
    Sqrt(usize),
    Binary(Binary, usize, usize),
}

/// A node under construction.
#[derive(Clone, Copy)]
struct Symbol<'a> {
    nodes: &'a RefCell<Vec<Node>>,
    node: usize,
}

impl Symbol<'_> {
    /// The symbol of another node.
    fn with(self, node: Node) -> Self {
        let mut nodes = self.nodes.borrow_mut();
        nodes.push(node);
        Symbol { node: nodes.len() - 1, ..self }
    }
}

impl Number for Symbol<'_> {
    fn sqrt(self) -> Self {
        self.with(Node::Sqrt(self.node))
    }
}

/// Notes down the nodes of a function. Gives the numbers of its lanes and scalars, and its results' nodes.
fn trace<'a, const L: usize, const S: usize, const R: usize>(
    nodes: &'a RefCell<Vec<Node>>,
    function: impl Fn([Symbol<'a>; L], [Symbol<'a>; S]) -> [Symbol<'a>; R],
) -> (usize, usize, Vec<usize>) {
    nodes.borrow_mut().extend([Node::Lanes; L].into_iter().chain([Node::Scalar; S]));
    let symbol = |node| Symbol { nodes, node };
    let results = function(std::array::from_fn(symbol), std::array::from_fn(|i| symbol(L + i)));
    (L, S, results.iter().map(|r| r.node).collect())
}

#[cfg(test)]
mod tests {
    use super::super::vector::Four;
    use super::*;
    use crate::testing::fill;

    /// Computes a pattern node by node for one lane.
    fn slowly(pattern: &Pattern, operands: &[f32]) -> Vec<f32> {
        let mut values: Vec<f32> = operands.to_vec();
        for node in &pattern.nodes[operands.len()..] {
            values.push(match *node {
                Node::Sqrt(a) => values[a].sqrt(),
                Node::Binary(Binary::Add, a, b) => values[a] + values[b],
                Node::Binary(Binary::Sub, a, b) => values[a] - values[b],
                Node::Binary(Binary::Mul, a, b) => values[a] * values[b],
                Node::Binary(_, a, b) => values[a] / values[b],
                Node::Lanes | Node::Scalar => panic!("operands come first"),
            });
        }
        pattern.results.iter().map(|&result| values[result]).collect()
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    fn wide(formula: Formula, lanes: &[*const f32], scalars: &[f32], results: &[*mut f32], n: usize) {
        // SAFETY: the caller's pointers are to `n` numbers.
        unsafe { formula.compute::<std::arch::x86_64::__m256>(lanes, scalars, results, n) }
    }

    /// Each formula against its pattern, on whole vectors and what is left, with the results where operands were.
    #[test]
    fn formulas_give_the_bits_of_their_operations_one_by_one() {
        let n = 37;
        for &formula in Formula::ALL {
            let pattern = formula.pattern();
            let scalars = fill(1, pattern.scalars, 0.1, 0.9);
            let operands: Vec<Vec<f32>> = (2..).take(pattern.lanes).map(|seed| fill(seed, n, 0.0, 2.0)).collect();
            for vectors in [false, true] {
                let mut memory = operands.clone();
                memory.resize(memory.len().max(pattern.results.len()), vec![0.0; n]);
                let lanes: Vec<*const f32> = memory.iter().map(|lanes| lanes.as_ptr()).collect();
                let results: Vec<*mut f32> = memory.iter_mut().map(|lanes| lanes.as_mut_ptr()).collect();
                #[cfg(target_arch = "x86_64")]
                let vectors = vectors
                    && std::arch::is_x86_feature_detected!("avx2")
                    && std::arch::is_x86_feature_detected!("fma");
                // SAFETY: every pointer is to `n` numbers of its own; the CPU has the features.
                unsafe {
                    match vectors {
                        #[cfg(target_arch = "x86_64")]
                        true => wide(formula, &lanes, &scalars, &results, n),
                        _ => formula.compute::<Four>(&lanes, &scalars, &results, n),
                    }
                }
                for i in 0..n {
                    let at: Vec<f32> = operands.iter().map(|lanes| lanes[i]).chain(scalars.iter().copied()).collect();
                    for (got, want) in memory.iter().zip(slowly(&pattern, &at)) {
                        assert_eq!(got[i].to_bits(), want.to_bits(), "{formula:?} on lane {i}");
                    }
                }
            }
        }
    }
}
