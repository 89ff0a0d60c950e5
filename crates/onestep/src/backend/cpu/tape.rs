//! A loop kernel compiled for the CPU: each phase's expressions as a list of instructions over registers
//! of some hundred lanes, and each index map split into what moves with the outer loops and a fixed
//! pattern across the lanes.
//!
//! Lanes run either along the grid (each lane is a grid point, the reduced space is walked one point at a
//! time) or along the reduced rows (one grid point at a time). Results do not depend on the number of
//! threads: blocks are cut by shape alone.
//!
//! Instructions are sorted by how often their value changes: once a run, once a block, or at every step of
//! the walk. Only the last kind shares registers; the others keep theirs for as long as they hold.

use super::formula::Formula;
use crate::ir::DType;
use crate::plan::Fold;

/// Lanes of a register.
pub(super) const LANES: usize = 1024;

/// Rows after which a running f32 sum is put aside, so that long sums keep their precision.
pub(super) const PARTIAL: usize = 256;

/// Which loop the lanes run along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Along {
    Grid,
    Row,
}

/// A compiled loop kernel.
pub(super) struct Tape {
    pub along: Along,
    /// As many as its longest block has, or the next power of two.
    pub lanes: usize,
    pub grid: Blocks,
    pub phases: Vec<PhaseTape>,
    pub carries: usize,
    /// Registers of all phases.
    pub registers: usize,
    /// Expressions of all phases.
    pub values: usize,
    /// Loop variables: those of the grid, then those of the longest reduced space. Derived variables that are the
    /// same on all lanes are numbered from here on.
    pub variables: usize,
    /// Derived variables of all phases.
    pub lets: usize,
    /// Loads whose register is kept.
    pub kept: usize,
    /// Elements evaluated, times instructions: what decides whether threads pay.
    pub work: u64,
}

/// A compiled phase.
pub(super) struct PhaseTape {
    pub rows: Blocks,
    pub reduces: bool,
    /// Lanes of a whole block.
    pub lanes: usize,
    /// A value that stands for the whole run. Where it is 0, steps and outs would leave everything as it is.
    pub gate: Option<usize>,
    pub constants: Vec<(Value, u32)>,
    /// What is the same for all blocks.
    pub once: Vec<Step>,
    /// What is the same for all rows of a block.
    pub per_block: Vec<Step>,
    pub steps: Vec<Step>,
    pub outs: Vec<OutTape>,
}

/// Where an expression's lanes are noted down, and where they are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Value {
    pub number: usize,
    pub home: Home,
}

/// Where lanes are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Home {
    Register(usize),
    /// Straight where an out of the phase stores them.
    Out(usize),
}

/// An expression, or a derived variable. Operands are numbers of values.
pub(super) enum Step {
    /// With `kept`, what was loaded stays in a register of its own until the place changes.
    Load {
        to: Value,
        from: Access,
        kept: Option<usize>,
    },
    /// Lanes that lie in memory as they would in a register.
    Direct {
        to: usize,
        from: Access,
    },
    Carry {
        to: usize,
        carry: usize,
    },
    /// A select whose condition is the same on all lanes.
    Choose {
        to: usize,
        c: usize,
        a: usize,
        b: usize,
    },
    Index {
        to: Value,
        at: Stretches,
    },
    Within {
        to: Value,
        gates: Vec<Gate>,
        ranges: Ranges,
    },
    Random {
        to: Value,
        stream: u32,
        seed: [usize; 2],
        step: usize,
        index: Stretches,
        bits: bool,
    },
    Unary {
        to: Value,
        op: crate::ir::Unary,
        a: usize,
        dtype: DType,
    },
    Binary {
        to: Value,
        op: crate::ir::Binary,
        a: usize,
        b: usize,
        dtype: DType,
    },
    Compare {
        to: Value,
        op: crate::ir::Compare,
        a: usize,
        b: usize,
        dtype: DType,
    },
    Select {
        to: Value,
        c: usize,
        a: usize,
        b: usize,
    },
    Cast {
        to: Value,
        a: usize,
        from: DType,
        into: DType,
    },
    /// A formula over values of lanes and values that are the same on all lanes. No later step reads through memory
    /// what it overwrites, but it may itself.
    Formula {
        to: Vec<Value>,
        formula: Formula,
        lanes: Vec<usize>,
        scalars: Vec<usize>,
    },
    /// A comparison of floats and the choice that follows from it: x or y.
    SelectBy {
        to: Value,
        op: crate::ir::Compare,
        a: usize,
        b: usize,
        x: usize,
        y: usize,
    },
    LetDiv {
        to: Derived,
        a: Stretches,
        by: i64,
    },
    LetRem {
        to: Derived,
        a: Stretches,
        by: i64,
    },
    LetValue {
        to: Derived,
        value: usize,
        signed: bool,
    },
}

/// Where a derived variable is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Derived {
    /// The same on all lanes: with the loop variables, under this number.
    Variable(usize),
    /// A value for each lane.
    Lanes(usize),
}

impl Step {
    /// Whether its register is its own for the whole run.
    pub(super) fn lasts(&self) -> bool {
        matches!(self, Step::Load { kept: Some(_), .. })
    }

    /// The values it computes into registers.
    pub(super) fn targets_mut(&mut self) -> &mut [Value] {
        match self {
            Step::Load { to, .. }
            | Step::Index { to, .. }
            | Step::Within { to, .. }
            | Step::Random { to, .. }
            | Step::Unary { to, .. }
            | Step::Binary { to, .. }
            | Step::Compare { to, .. }
            | Step::Select { to, .. }
            | Step::Cast { to, .. }
            | Step::SelectBy { to, .. } => std::slice::from_mut(to),
            Step::Formula { to, .. } => to,
            Step::Direct { .. } | Step::Carry { .. } | Step::Choose { .. } => &mut [],
            Step::LetDiv { .. } | Step::LetRem { .. } | Step::LetValue { .. } => &mut [],
        }
    }

    /// The numbers of the values it reads.
    pub(super) fn reads(&self, mut f: impl FnMut(usize)) {
        match self {
            Step::Load { .. } | Step::Direct { .. } | Step::Carry { .. } => {}
            Step::Index { .. } | Step::Within { .. } | Step::LetDiv { .. } | Step::LetRem { .. } => {}
            Step::Random { seed, step, .. } => [seed[0], seed[1], *step].into_iter().for_each(f),
            Step::Unary { a, .. } | Step::Cast { a, .. } => f(*a),
            Step::Binary { a, b, .. } | Step::Compare { a, b, .. } => [*a, *b].into_iter().for_each(f),
            Step::Select { c, a, b, .. } | Step::Choose { c, a, b, .. } => [*c, *a, *b].into_iter().for_each(f),
            Step::Formula { lanes, scalars, .. } => lanes.iter().chain(scalars).copied().for_each(f),
            Step::SelectBy { a, b, x, y, .. } => [*a, *b, *x, *y].into_iter().for_each(f),
            Step::LetValue { value, .. } => f(*value),
        }
    }
}

/// Where the lanes of a block lie in a buffer. What no guard admits is `fill`.
#[derive(PartialEq)]
pub(super) struct Access {
    pub buffer: usize,
    pub dtype: DType,
    /// Guards that decide for the whole block.
    pub gates: Vec<Gate>,
    pub places: Places,
    pub fill: u32,
}

impl Access {
    /// Whether the lanes of another lie in the same place, all of them valid in both.
    pub(super) fn same_place(&self, other: &Access) -> bool {
        let all = |access: &Access| {
            access.gates.is_empty()
                && !matches!(&access.places, Places::Stretches { ranges, .. } if !ranges.0.is_empty())
        };
        self.buffer == other.buffer && all(self) && all(other) && self.places == other.places
    }

    /// The first lane's place, where all lanes always lie in memory as they would in a register.
    pub(super) fn direct(&self) -> Option<&Base> {
        match &self.places {
            Places::Lanes(Map { base, lanes: Pattern::Contiguous }) => {
                Some(base).filter(|_| self.gates.is_empty() && self.dtype.size() == 4)
            }
            _ => None,
        }
    }
}

/// Places of the lanes of a block.
#[derive(PartialEq)]
pub(super) enum Places {
    /// All valid, in a pattern known in advance.
    Lanes(Map),
    /// Looked at stretch by stretch, for they depend on derived variables or have guards that do not hold on all lanes.
    Stretches { index: Stretches, ranges: Ranges },
}

/// A guard that is the same on all lanes.
#[derive(PartialEq)]
pub(super) struct Gate {
    pub expr: Base,
    pub low: i64,
    pub high: i64,
}

/// Guards that differ from stretch to stretch, or within one; all of stretches of one length.
#[derive(Default, PartialEq)]
pub(super) struct Ranges(pub Vec<Range>);

/// A guard that differs across lanes.
#[derive(PartialEq)]
pub(super) struct Range {
    pub expr: Stretches,
    pub low: i64,
    pub high: i64,
}

/// What becomes of a register.
pub(super) enum OutTape {
    /// With `written`, the step that computes the value stores it.
    Store { to: Access, value: usize, written: bool },
    Reduce {
        fold: Fold,
        identity: u32,
        value: usize,
        carry: usize,
        dtype: DType,
        /// Whether it is a sum so long that parts of it are put aside.
        long: bool,
    },
}

impl OutTape {
    /// The value that becomes it.
    pub(super) fn value_mut(&mut self) -> &mut usize {
        match self {
            OutTape::Store { value, .. } | OutTape::Reduce { value, .. } => value,
        }
    }
}

/// The part of an index map that is the same on all lanes.
#[derive(PartialEq)]
pub(super) struct Base {
    pub offset: i64,
    /// Variables (numbered through grid, reduced space and derived ones) with coefficients.
    pub terms: Vec<(usize, i64)>,
}

/// An index map: a part that moves with the loops and a pattern across the lanes.
#[derive(PartialEq)]
pub(super) struct Map {
    pub base: Base,
    pub lanes: Pattern,
}

/// An index map that is looked at once for each stretch of lanes: within one it stays, or moves by one from lane to
/// lane.
#[derive(PartialEq)]
pub(super) struct Stretches {
    /// Lanes of a stretch.
    pub len: usize,
    /// Whether it moves within a stretch.
    pub moves: bool,
    pub base: Base,
    /// What is added to the base at the first lane of each stretch.
    pub starts: Box<[i64]>,
    /// Derived variables that are not the same on all lanes, with coefficients.
    pub lets: Vec<(usize, i64)>,
}

/// How a map moves across the lanes of a block.
#[derive(PartialEq)]
pub(super) enum Pattern {
    Uniform,
    Contiguous,
    /// Stretches of `len` lanes, each contiguous.
    Runs {
        len: usize,
        starts: Box<[i32]>,
    },
    /// Stretches of `len` lanes, each uniform.
    Spans {
        len: usize,
        starts: Box<[i32]>,
    },
    Table(Box<[i32]>),
    /// As a table, for lanes that lie too far apart for 32 bits.
    Wide(Box<[i64]>),
}

/// A space cut into blocks of lanes: axes before `axis` are walked, `axis` in chunks, those after it lie
/// wholly within a block.
#[derive(Clone)]
pub(super) struct Blocks {
    pub extents: Vec<usize>,
    pub axis: usize,
    pub chunk: usize,
    /// Elements of the axes after `axis`.
    pub inner: usize,
}

impl Blocks {
    /// Blocks of up to [`LANES`] elements, each of them at one place of the first `walked` axes.
    pub(super) fn lanes(extents: &[usize], walked: usize) -> Self {
        if extents.is_empty() {
            return Blocks { extents: vec![1], axis: 0, chunk: 1, inner: 1 };
        }
        let mut axis = extents.len() - 1;
        let mut inner = 1;
        while axis > walked && extents[axis] * inner * 2 <= LANES {
            inner *= extents[axis];
            axis -= 1;
        }
        let chunk = extents[axis].min(LANES / inner).max(1);
        Blocks { extents: extents.to_vec(), axis, chunk, inner }
    }

    /// Blocks of one element.
    pub(super) fn points(extents: &[usize]) -> Self {
        let extents = if extents.is_empty() { vec![1] } else { extents.to_vec() };
        Blocks { axis: extents.len() - 1, chunk: 1, inner: 1, extents }
    }

    /// How many blocks there are.
    pub(super) fn count(&self) -> usize {
        let walked: usize = self.extents[..self.axis].iter().product();
        walked * self.extents[self.axis].div_ceil(self.chunk)
    }

    /// Writes the first coordinates of a block and gives its number of elements.
    pub(super) fn start(&self, mut block: usize, at: &mut [i64]) -> usize {
        let chunks = self.extents[self.axis].div_ceil(self.chunk);
        let start = (block % chunks) * self.chunk;
        block /= chunks;
        at[self.axis] = start as i64;
        for axis in (0..self.axis).rev() {
            at[axis] = (block % self.extents[axis]) as i64;
            block /= self.extents[axis];
        }
        self.chunk.min(self.extents[self.axis] - start) * self.inner
    }

    /// From one block's first coordinates to the next one's; gives its number of elements.
    #[inline(always)]
    pub(super) fn advance(&self, at: &mut [i64]) -> usize {
        at[self.axis] += self.chunk as i64;
        let mut axis = self.axis;
        while at[axis] >= self.extents[axis] as i64 && axis > 0 {
            at[axis] = 0;
            axis -= 1;
            at[axis] += 1;
        }
        let left = self.extents[self.axis] as i64 - at[self.axis];
        self.chunk.min(left.max(0) as usize) * self.inner
    }

    /// The row-major number of a block's first element, whose coordinates [`Blocks::start`] wrote.
    pub(super) fn number(&self, at: &[i64]) -> usize {
        (0..=self.axis).fold(0, |sum, axis| sum * self.extents[axis] + at[axis] as usize) * self.inner
    }

    /// Lanes of a whole block.
    pub(super) fn size(&self) -> usize {
        self.chunk * self.inner
    }

    /// What a map with these coefficients on this space's variables adds on each lane of a block.
    pub(super) fn table(&self, coefficients: &[i64]) -> Vec<i64> {
        let on_lane = |lane| {
            let mut left = lane;
            let mut sum = 0;
            for axis in (self.axis + 1..self.extents.len()).rev() {
                sum += coefficients[axis] * (left % self.extents[axis]) as i64;
                left /= self.extents[axis];
            }
            sum + coefficients[self.axis] * left as i64
        };
        (0..self.size()).map(on_lane).collect()
    }
}

impl Pattern {
    /// The pattern of a table over the lanes.
    pub(super) fn of(table: &[i64]) -> Self {
        if table.iter().all(|&t| t == 0) {
            return Pattern::Uniform;
        }
        let (run, span) = (stretch(table, 1), stretch(table, 0));
        if run == table.len() {
            return Pattern::Contiguous;
        }
        let Some(narrow) = table.iter().map(|&t| i32::try_from(t).ok()).collect::<Option<Box<[i32]>>>() else {
            return Pattern::Wide(table.into());
        };
        let starts = |len: usize| narrow.iter().step_by(len).copied().collect();
        match run.max(span) {
            len if len < WORTH_A_STRETCH => Pattern::Table(narrow),
            len if len == run => Pattern::Runs { len, starts: starts(len) },
            len => Pattern::Spans { len, starts: starts(len) },
        }
    }
}

/// Lanes that must lie in order, or be the same, for a stretch to be treated as one.
pub(super) const WORTH_A_STRETCH: usize = 4;

/// The greatest length such that a table is made of stretches of that length in which each element is the
/// one before plus `step`.
pub(super) fn stretch(table: &[i64], step: i64) -> usize {
    let breaks = (1..table.len()).filter(|&i| table[i] != table[i - 1] + step);
    breaks.fold(table.len(), gcd)
}

pub(super) fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_stay_within_a_place_of_the_axes_that_are_walked() {
        for extents in [[32, 16, 16], [32, 3, 7], [2, 1, 5000], [4, 40, 1]] {
            let strip: usize = extents[1..].iter().product();
            let blocks = Blocks::lanes(&extents, 1);
            let mut at = vec![0; extents.len()];
            let mut met = 0;
            for block in 0..blocks.count() {
                let n = blocks.start(block, &mut at);
                assert_eq!(blocks.number(&at), met);
                assert_eq!(met / strip, (met + n - 1) / strip, "{extents:?}: block {block} has lanes of two strips");
                met += n;
            }
            assert_eq!(met, strip * extents[0]);
            assert!(blocks.count().is_multiple_of(extents[0]));
        }
    }
}
