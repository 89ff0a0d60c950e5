//! Runs a tape: walks its blocks, evaluates each phase's steps over a block of lanes, folds and stores.

use super::access::{Room, Variables, divide, load, store};
use super::formula::{Formula, MOST};
use super::lanes;
use super::random;
use super::tape::{Along, Derived, Home, LANES, OutTape, PARTIAL, PhaseTape, Places, Step, Stretches, Tape, Value};
use super::tile::Isa;
use super::vector::{Four, Vector};
use crate::ir::{ArgOp, DType, ReduceOp};
use crate::plan::Fold;

/// What a thread needs to run tapes: registers, carries, derived variables.
pub(super) struct Scratch {
    registers: Vec<[u32; LANES]>,
    /// Where each value's lanes are: in a register, or straight in a buffer.
    sources: Vec<*const u32>,
    carries: Vec<[u32; LANES]>,
    totals: Vec<[u32; LANES]>,
    places: Vec<[i32; LANES]>,
    variables: Variables,
    firsts: [i64; LANES],
    room: Room,
    /// From where, and how many lanes, each kept load holds.
    kept: Vec<(i64, usize)>,
}

// SAFETY: the pointers are only followed by the thread that wrote them, within one call of `run`.
unsafe impl Send for Scratch {}

impl Scratch {
    /// Scratch that is enough for all of some tapes.
    pub(super) fn new<'a>(tapes: impl Iterator<Item = &'a Tape> + Clone) -> Self {
        let most = |f: fn(&Tape) -> usize| tapes.clone().map(f).max().unwrap_or(0);
        let carries = most(|t| t.carries);
        Scratch {
            registers: vec![[0; LANES]; most(|t| t.registers)],
            sources: vec![std::ptr::null(); most(|t| t.values)],
            carries: vec![[0; LANES]; carries],
            totals: vec![[0; LANES]; carries],
            places: vec![[0; LANES]; carries],
            variables: Variables {
                at: vec![0; most(|t| t.variables + t.lets)],
                lets: vec![[0; LANES]; most(|t| t.lets)],
            },
            firsts: [0; LANES],
            room: Room::new(),
            kept: vec![(0, 0); most(|t| t.kept)],
        }
    }

    /// Its size in bytes.
    pub(super) fn bytes(&self) -> usize {
        let lanes = self.registers.len() + 3 * self.carries.len() + 2 * self.variables.lets.len();
        lanes * LANES * 4 + size_of::<Self>()
    }
}

/// The first byte of every buffer of a plan.
pub(super) struct Buffers(pub Vec<*mut u8>);

// SAFETY: kernels write distinct elements from distinct blocks (a plan's stores are injective over the
// grid), and a kernel only reads what it writes at the same point, so threads never share an element
// that is written.
unsafe impl Sync for Buffers {}
// SAFETY: as above; the memory behind the pointers is owned by the executable that owns this.
unsafe impl Send for Buffers {}

/// Runs blocks `blocks` of a tape.
///
/// # Safety
/// The CPU must have `isa`. `buffers` must hold the buffers of the plan the tape was compiled from, alive and
/// of their full size, and nothing else may touch what this kernel writes meanwhile.
pub(super) unsafe fn run(isa: Isa, tape: &Tape, buffers: &Buffers, s: &mut Scratch, blocks: std::ops::Range<usize>) {
    // SAFETY: passed on from the caller.
    unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => run_avx512(tape, buffers, s, blocks),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => run_avx2(tape, buffers, s, blocks),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => run_here(steps_plain::<std::arch::aarch64::float32x4_t>, tape, buffers, s, blocks),
            Isa::Plain => run_here(steps_plain::<Four>, tape, buffers, s, blocks),
        }
    }
}

/// Evaluates steps over a block of so many lanes: one text compiled for each instruction set.
type Steps = unsafe fn(&[Step], &[OutTape], &Buffers, &mut Scratch, usize);

/// Computes a formula for so many lanes of its operands: lanes, scalars, results. A function of its own for each
/// instruction set, for compilers take more than linear time over what is inside [`steps_here`].
type Formulas = unsafe fn(Formula, &[*const f32], &[f32], &[*mut f32], usize);

/// The walk and the evaluation for a set of CPU features.
macro_rules! compiled_for {
    ($features:literal, $vector:ident, $run:ident, $steps:ident, $formulas:ident) => {
        /// # Safety
        /// As [`run`], on a CPU with these features.
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = $features)]
        unsafe fn $run(tape: &Tape, buffers: &Buffers, s: &mut Scratch, blocks: std::ops::Range<usize>) {
            // SAFETY: passed on from the caller.
            unsafe { run_here($steps, tape, buffers, s, blocks) }
        }

        /// # Safety
        /// As [`run`], on a CPU with these features.
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = $features)]
        unsafe fn $steps(steps: &[Step], outs: &[OutTape], buffers: &Buffers, s: &mut Scratch, n: usize) {
            // SAFETY: passed on from the caller.
            unsafe { steps_here($formulas, steps, outs, buffers, s, n) }
        }

        /// # Safety
        /// As [`Formula::compute`], on a CPU with these features.
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = $features)]
        unsafe fn $formulas(formula: Formula, lanes: &[*const f32], scalars: &[f32], results: &[*mut f32], n: usize) {
            // SAFETY: passed on from the caller.
            unsafe { formula.compute::<std::arch::x86_64::$vector>(lanes, scalars, results, n) }
        }
    };
}

compiled_for!("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma", __m512, run_avx512, steps_avx512, formulas_avx512);
compiled_for!("avx2,fma", __m256, run_avx2, steps_avx2, formulas_avx2);

/// # Safety
/// As [`run`].
unsafe fn steps_plain<V: Vector>(steps: &[Step], outs: &[OutTape], buffers: &Buffers, s: &mut Scratch, n: usize) {
    // SAFETY: passed on from the caller.
    unsafe { steps_here(Formula::compute::<V>, steps, outs, buffers, s, n) }
}

/// # Safety
/// As [`run`].
#[inline(always)]
unsafe fn run_here(steps: Steps, tape: &Tape, buffers: &Buffers, s: &mut Scratch, blocks: std::ops::Range<usize>) {
    let axes = tape.grid.extents.len();
    if blocks.is_empty() {
        return;
    }
    s.kept[..tape.kept].fill((0, 0));
    for phase in &tape.phases {
        constants(phase, s, tape.lanes);
        // SAFETY: passed on from the caller; the first block is a whole one.
        unsafe { steps(&phase.once, &phase.outs, buffers, s, phase.lanes) };
    }
    let mut points = tape.grid.start(blocks.start, &mut s.variables.at[..axes]);
    for block in blocks.clone() {
        if block > blocks.start {
            points = tape.grid.advance(&mut s.variables.at[..axes]);
        }
        for phase in &tape.phases {
            // SAFETY: the gate is a constant or was computed above, and has at least one lane.
            if phase.gate.is_some_and(|gate| unsafe { *s.sources[gate] } == 0) {
                continue;
            }
            begin(phase, s, tape.lanes);
            let count = phase.rows.count();
            if count == 0 {
                end(tape, phase, s);
                continue;
            }
            s.variables.at[axes..tape.variables].fill(0);
            let mut row_lanes = phase.lanes;
            let whole = if tape.along == Along::Grid { points } else { phase.lanes };
            // SAFETY: passed on from the caller; the first row is a whole one.
            unsafe { steps(&phase.per_block, &phase.outs, buffers, s, whole) };
            for row in 0..count {
                if row > 0 {
                    row_lanes = phase.rows.advance(&mut s.variables.at[axes..tape.variables]);
                }
                let n = if tape.along == Along::Grid { points } else { row_lanes };
                // SAFETY: passed on from the caller.
                unsafe {
                    steps(&phase.steps, &phase.outs, buffers, s, n);
                    outs(tape, phase, buffers, s, n, row);
                }
            }
            end(tape, phase, s);
        }
    }
}

/// Fills the registers that hold a phase's constants.
fn constants(phase: &PhaseTape, s: &mut Scratch, lanes: usize) {
    for &(to, bits) in &phase.constants {
        if let Home::Register(register) = to.home {
            s.registers[register][..lanes].fill(bits);
            s.sources[to.number] = s.registers[register].as_ptr();
        }
    }
}

/// Sets the carries that a phase folds into to their identities.
fn begin(phase: &PhaseTape, s: &mut Scratch, lanes: usize) {
    for out in &phase.outs {
        let OutTape::Reduce { fold, identity, carry, long, .. } = out else { continue };
        s.carries[*carry][..lanes].fill(*identity);
        if *long {
            s.totals[*carry][..lanes].fill(*identity);
        }
        if matches!(fold, Fold::Place(_)) {
            s.places[*carry][..lanes].fill(-1);
        }
    }
}

/// One fold step.
#[inline(always)]
fn fold_value(op: ReduceOp, dtype: DType, a: u32, b: u32) -> u32 {
    if dtype.is_float() {
        let (a, b) = (f32::from_bits(a), f32::from_bits(b));
        return match op {
            ReduceOp::Sum => a + b,
            ReduceOp::Prod => a * b,
            ReduceOp::Max => lanes::larger(a, b),
            ReduceOp::Min => lanes::smaller(a, b),
        }
        .to_bits();
    }
    let folded = match (op, dtype) {
        (ReduceOp::Sum, _) => a.wrapping_add(b),
        (ReduceOp::Prod, _) => a.wrapping_mul(b),
        (ReduceOp::Max, DType::I32) => (a as i32).max(b as i32) as u32,
        (ReduceOp::Min, DType::I32) => (a as i32).min(b as i32) as u32,
        (ReduceOp::Max, _) => a.max(b),
        (ReduceOp::Min, _) => a.min(b),
    };
    if dtype == DType::U8 { folded & 0xff } else { folded }
}

/// Whether `new` is a better extreme than `best`: beyond it, or the first NaN.
#[inline(always)]
fn beats(op: ArgOp, dtype: DType, new: u32, best: u32) -> bool {
    if dtype.is_float() {
        let (new, best) = (f32::from_bits(new), f32::from_bits(best));
        let beyond = if op == ArgOp::Max { new > best } else { new < best };
        return !best.is_nan() & (new.is_nan() | beyond);
    }
    match (op, dtype) {
        (ArgOp::Max, DType::I32) => (new as i32) > best as i32,
        (ArgOp::Min, DType::I32) => (new as i32) < best as i32,
        (ArgOp::Max, _) => new > best,
        (ArgOp::Min, _) => new < best,
    }
}

/// # Safety
/// As [`run`].
#[inline(always)]
unsafe fn outs(tape: &Tape, phase: &PhaseTape, buffers: &Buffers, s: &mut Scratch, n: usize, row: usize) {
    for out in &phase.outs {
        match out {
            OutTape::Store { written: true, .. } => {}
            OutTape::Store { to, value, written: false } => {
                // SAFETY: a source has `n` valid lanes, set by this block's steps.
                let lanes = unsafe { std::slice::from_raw_parts(s.sources[*value], n) };
                // SAFETY: passed on from the caller.
                unsafe { store(to, buffers.0[to.buffer], &s.variables, &mut s.room, lanes) };
            }
            OutTape::Reduce { value, carry, .. } if !phase.reduces => {
                // SAFETY: a source has `n` valid lanes, set by this block's steps.
                let lanes = unsafe { std::slice::from_raw_parts(s.sources[*value], n) };
                s.carries[*carry][..n].copy_from_slice(lanes);
            }
            OutTape::Reduce { fold: Fold::Value(op), value, carry, dtype, long, .. } => {
                // SAFETY: a source has `n` valid lanes, set by this block's steps.
                let lanes = unsafe { std::slice::from_raw_parts(s.sources[*value], n) };
                let partial = &mut s.carries[*carry][..n];
                fold_lanes(*op, *dtype, lanes, partial);
                if *long && (row + 1).is_multiple_of(PARTIAL) {
                    // Every lane, for earlier blocks may have been longer than this one.
                    let partial = &mut s.carries[*carry][..tape.lanes];
                    fold_lanes(*op, *dtype, partial, &mut s.totals[*carry]);
                    partial.fill(0);
                }
            }
            OutTape::Reduce { fold: Fold::Place(op), value, carry, dtype, .. } => {
                // SAFETY: a source has `n` valid lanes, set by this block's steps.
                let lanes = unsafe { std::slice::from_raw_parts(s.sources[*value], n) };
                let first = phase.rows.number(&s.variables.at[tape.grid.extents.len()..]) as i32;
                let step = if tape.along == Along::Grid { 0 } else { 1 };
                let best = s.carries[*carry].iter_mut().zip(&mut s.places[*carry]).zip(lanes);
                // As in `fold_lanes`.
                macro_rules! each {
                    ($op:expr, $dtype:expr) => {
                        for (i, ((best, place), &lane)) in (0..).zip(best) {
                            let better = (((*place < 0) | beats($op, $dtype, lane, *best)) as u32).wrapping_neg();
                            *best = (lane & better) | (*best & !better);
                            *place = ((first + i * step) & better as i32) | (*place & !better as i32);
                        }
                    };
                }
                match (*op, dtype.is_float()) {
                    (ArgOp::Max, true) => each!(ArgOp::Max, DType::F32),
                    (ArgOp::Min, true) => each!(ArgOp::Min, DType::F32),
                    _ => each!(*op, *dtype),
                }
            }
        }
    }
}

#[inline(always)]
fn fold_lanes(op: ReduceOp, dtype: DType, lanes: &[u32], into: &mut [u32]) {
    // The op and dtype are chosen once, so that each loop is plain vector code.
    macro_rules! each {
        ($op:expr, $dtype:expr) => {
            for (into, &lane) in into.iter_mut().zip(lanes) {
                *into = fold_value($op, $dtype, *into, lane);
            }
        };
    }
    match (op, dtype.is_float()) {
        (ReduceOp::Sum, true) => each!(ReduceOp::Sum, DType::F32),
        (ReduceOp::Max, true) => each!(ReduceOp::Max, DType::F32),
        (ReduceOp::Min, true) => each!(ReduceOp::Min, DType::F32),
        _ => each!(op, dtype),
    }
}

/// Finishes a phase's folds: adds what was put aside and, along rows, folds the lanes to one in a fixed
/// tree and spreads it.
#[inline(always)]
fn end(tape: &Tape, phase: &PhaseTape, s: &mut Scratch) {
    let lanes = tape.lanes;
    if !phase.reduces {
        if tape.along == Along::Row {
            for out in &phase.outs {
                if let OutTape::Reduce { carry, .. } = out {
                    let value = s.carries[*carry][0];
                    s.carries[*carry][..lanes].fill(value);
                }
            }
        }
        return;
    }
    for out in &phase.outs {
        match out {
            OutTape::Store { .. } => {}
            OutTape::Reduce { fold: Fold::Value(op), carry, dtype, long, .. } => {
                let (carries, totals) = (&mut s.carries[*carry][..lanes], &s.totals[*carry]);
                if *long {
                    fold_lanes(*op, *dtype, totals, carries);
                }
                if tape.along == Along::Row {
                    let mut half = lanes / 2;
                    while half > 0 {
                        let (low, high) = carries.split_at_mut(half);
                        fold_lanes(*op, *dtype, &high[..half], low);
                        half /= 2;
                    }
                    let value = carries[0];
                    carries.fill(value);
                }
            }
            OutTape::Reduce { fold: Fold::Place(op), carry, dtype, .. } => {
                let (carries, places) = (&mut s.carries[*carry][..lanes], &mut s.places[*carry][..lanes]);
                if tape.along == Along::Row {
                    let mut best = 0;
                    for i in 1..lanes {
                        if places[i] < 0 {
                            continue;
                        }
                        let tied = !beats(*op, *dtype, carries[best], carries[i]);
                        if beats(*op, *dtype, carries[i], carries[best]) || (tied && places[i] < places[best]) {
                            best = i;
                        }
                    }
                    let place = places[best];
                    places.fill(place);
                }
                for (carry, &place) in carries.iter_mut().zip(places.iter()) {
                    *carry = place.max(0) as u32;
                }
            }
        }
    }
}

/// Where an out stores the current block's first lane.
///
/// # Safety
/// As [`run`]; the out stores 32-bit lanes side by side.
#[inline(always)]
unsafe fn destination(out: &OutTape, buffers: &Buffers, s: &Scratch) -> *mut u32 {
    let base = match out {
        OutTape::Store { to, .. } => to.direct().map(|base| (to.buffer, base)),
        OutTape::Reduce { .. } => None,
    };
    let Some((buffer, base)) = base else { panic!("onestep bug: a value is computed where it cannot be stored") };
    // SAFETY: the plan keeps indices inside the buffer.
    unsafe { buffers.0[buffer].cast::<u32>().offset(s.variables.base(base) as isize) }
}

/// Computes a derived variable, once for each stretch of lanes on which it is the same.
#[inline(always)]
fn derive(s: &mut Scratch, to: Derived, map: &Stretches, by: i64, remainder: bool, n: usize) {
    let firsts = s.variables.firsts(map, n, &mut s.firsts);
    divide(firsts, by, remainder);
    match to {
        Derived::Variable(to) => s.variables.at[to] = firsts[0],
        Derived::Lanes(to) => {
            for (lanes, &first) in s.variables.lets[to][..n].chunks_mut(map.len).zip(&*firsts) {
                lanes.fill(first);
            }
        }
    }
}

/// # Safety
/// As [`run`].
#[inline(always)]
unsafe fn steps_here(
    formulas: Formulas,
    steps: &[Step],
    outs: &[OutTape],
    buffers: &Buffers,
    s: &mut Scratch,
    n: usize,
) {
    for step in steps {
        // SAFETY: a source has `n` valid lanes, set by an earlier step of this block; registers are distinct
        // from each other, and a step never writes a register it reads.
        let read = |s: &Scratch, r: usize| unsafe { std::slice::from_raw_parts(s.sources[r], n) };
        // SAFETY: `to` is a register of its own, which no source read by the same step points to.
        // Or it is where an out stores, which nothing reads any more.
        let write = |s: &mut Scratch, to: Value| unsafe {
            let lanes = match to.home {
                Home::Register(register) => s.registers[register].as_mut_ptr(),
                Home::Out(out) => destination(&outs[out], buffers, s),
            };
            s.sources[to.number] = lanes;
            std::slice::from_raw_parts_mut(lanes, n)
        };
        let scalar = |s: &Scratch, r: usize| f32::from_bits(read(s, r)[0]);
        match step {
            Step::Direct { to, from } => {
                let Places::Lanes(map) = &from.places else { panic!("onestep bug: a direct load without a place") };
                let index = s.variables.base(&map.base);
                // SAFETY: the plan keeps indices inside the buffer.
                s.sources[*to] = unsafe { buffers.0[from.buffer].cast::<u32>().offset(index as isize) };
            }
            Step::Load { to, from, kept } => {
                if let (Some(kept), Places::Lanes(map)) = (kept, &from.places) {
                    let now = (s.variables.base(&map.base), n);
                    if s.kept[*kept].0 == now.0 && n <= s.kept[*kept].1 {
                        continue;
                    }
                    s.kept[*kept] = now;
                }
                let lanes = write(s, *to);
                // SAFETY: passed on from the caller.
                unsafe { load(from, buffers.0[from.buffer], &s.variables, &mut s.room, lanes) };
            }
            Step::Carry { to, carry } => s.sources[*to] = s.carries[*carry].as_ptr(),
            Step::Index { to, at } => {
                let lanes = write(s, *to);
                let firsts = s.variables.firsts(at, n, &mut s.firsts);
                for (lanes, &first) in lanes.chunks_mut(at.len).zip(&*firsts) {
                    match at.moves {
                        true => (0..).zip(lanes).for_each(|(i, to)| *to = (first as u32).wrapping_add(i)),
                        false => lanes.fill(first as u32),
                    }
                }
            }
            Step::Within { to, gates, ranges } => {
                let lanes = write(s, *to);
                s.variables.within(gates, ranges, &mut s.room, lanes);
            }
            Step::Random { to, stream, seed, step, index, bits } => {
                let key = [read(s, seed[0])[0], read(s, seed[1])[0]];
                let counter = [*stream, read(s, *step)[0]];
                let lanes = write(s, *to);
                let firsts = s.variables.firsts(index, n, &mut s.firsts);
                if index.moves {
                    for (lanes, &first) in lanes.chunks_mut(index.len).zip(&*firsts) {
                        random::words(first, counter, key, lanes);
                    }
                } else {
                    let mut known = (i64::MIN, [0; 4]);
                    for (lanes, &i) in lanes.chunks_mut(index.len).zip(&*firsts) {
                        if known.0 != i >> 2 {
                            known = (i >> 2, random::philox([(i >> 2) as u32, counter[0], counter[1], 0], key));
                        }
                        lanes.fill(known.1[(i & 3) as usize]);
                    }
                }
                if !bits {
                    lanes.iter_mut().for_each(|word| *word = random::uniform(*word).to_bits());
                }
            }
            Step::Unary { to, op, a, dtype } => lanes::unary(*op, *dtype, read(s, *a), write(s, *to)),
            Step::Binary { to, op, a, b, dtype } => {
                lanes::binary(*op, *dtype, read(s, *a), read(s, *b), write(s, *to));
            }
            Step::Compare { to, op, a, b, dtype } => {
                lanes::compare(*op, *dtype, read(s, *a), read(s, *b), write(s, *to));
            }
            Step::Choose { to, c, a, b } => s.sources[*to] = s.sources[if read(s, *c)[0] != 0 { *a } else { *b }],
            Step::Select { to, c, a, b } => lanes::select(read(s, *c), read(s, *a), read(s, *b), write(s, *to)),
            Step::Formula { to, formula, lanes, scalars } => {
                for &to in to {
                    write(s, to);
                }
                let (mut read, mut known, mut written) =
                    ([std::ptr::null(); MOST], [0.0; MOST], [std::ptr::null_mut(); MOST]);
                read.iter_mut().zip(lanes).for_each(|(to, &lane)| *to = s.sources[lane].cast());
                known.iter_mut().zip(scalars).for_each(|(to, &value)| *to = scalar(s, value));
                written.iter_mut().zip(to).for_each(|(at, to)| *at = s.sources[to.number].cast_mut().cast());
                // SAFETY: each value has `n` lanes. A result lies in a register of its own or where an out stores,
                // which only this step still reads, on the same lanes.
                unsafe { formulas(*formula, &read, &known, &written, n) };
            }
            Step::SelectBy { to, op, a, b, x, y } => {
                lanes::select_by(*op, [read(s, *a), read(s, *b)], [read(s, *x), read(s, *y)], write(s, *to));
            }
            Step::Cast { to, a, from, into } => lanes::cast(*from, *into, read(s, *a), write(s, *to)),
            Step::LetDiv { to, a, by } => derive(s, *to, a, *by, false, n),
            Step::LetRem { to, a, by } => derive(s, *to, a, *by, true, n),
            Step::LetValue { to, value, signed } => {
                let widen = |v: u32| if *signed { v as i32 as i64 } else { v as i64 };
                let lanes = read(s, *value);
                match to {
                    Derived::Variable(to) => s.variables.at[*to] = widen(lanes[0]),
                    Derived::Lanes(to) => {
                        s.variables.lets[*to].iter_mut().zip(lanes).for_each(|(to, &v)| *to = widen(v));
                    }
                }
            }
        }
    }
}
