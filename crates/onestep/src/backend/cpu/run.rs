//! Runs a tape: walks its blocks, evaluates each phase's steps over a block of lanes, folds and stores.

use half::{bf16, f16};

use super::lanes;
use super::random;
use super::tape::{Access, Along, GuardTape, Home, LANES, Map, OutTape, Pattern, PhaseTape, Step, Tape, Value};
use super::tile::Isa;
use crate::ir::{ArgOp, DType, ReduceOp};
use crate::plan::Fold;

/// Points after which a running f32 sum is put aside, so that long sums keep their precision.
const PARTIAL: usize = 256;

/// What a thread needs to run tapes: registers, carries, derived variables.
pub(super) struct Scratch {
    registers: Vec<[u32; LANES]>,
    /// Where each value's lanes are: in a register, or straight in a buffer.
    sources: Vec<*const u32>,
    carries: Vec<[u32; LANES]>,
    totals: Vec<[u32; LANES]>,
    places: Vec<[i32; LANES]>,
    lets: Vec<[i64; LANES]>,
    /// From where, and how many lanes, each kept load holds.
    kept: Vec<(i64, usize)>,
    at: Vec<i64>,
}

// SAFETY: the pointers are only followed by the thread that wrote them, within one call of `run`.
unsafe impl Send for Scratch {}

impl Scratch {
    /// Scratch that is enough for all of some tapes.
    pub(super) fn new<'a>(tapes: impl Iterator<Item = &'a Tape> + Clone) -> Self {
        let most = |f: fn(&Tape) -> usize| tapes.clone().map(f).max().unwrap_or(0);
        let carries = most(|t| t.carries);
        let axes = |t: &Tape| t.grid.extents.len() + t.phases.iter().map(|p| p.rows.extents.len()).max().unwrap_or(0);
        Scratch {
            registers: vec![[0; LANES]; most(|t| t.registers)],
            sources: vec![std::ptr::null(); most(|t| t.values)],
            carries: vec![[0; LANES]; carries],
            totals: vec![[0; LANES]; carries],
            places: vec![[0; LANES]; carries],
            lets: vec![[0; LANES]; most(|t| t.lets)],
            kept: vec![(0, 0); most(|t| t.kept)],
            at: vec![0; most(axes)],
        }
    }

    /// Its size in bytes.
    pub(super) fn bytes(&self) -> usize {
        let lanes = self.registers.len() + 3 * self.carries.len() + 2 * self.lets.len();
        lanes * LANES * 4
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
            Isa::Neon => run_here(steps_plain, tape, buffers, s, blocks),
            Isa::Plain => run_here(steps_plain, tape, buffers, s, blocks),
        }
    }
}

/// Evaluates steps over a block of so many lanes: one text compiled for each instruction set.
type Steps = unsafe fn(&[Step], &[OutTape], &Buffers, &mut Scratch, usize);

/// The walk and the evaluation for a set of CPU features.
macro_rules! compiled_for {
    ($features:literal, $run:ident, $steps:ident) => {
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
            unsafe { steps_here(steps, outs, buffers, s, n) }
        }
    };
}

compiled_for!("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma", run_avx512, steps_avx512);
compiled_for!("avx2,fma", run_avx2, steps_avx2);

/// # Safety
/// As [`run`].
unsafe fn steps_plain(steps: &[Step], outs: &[OutTape], buffers: &Buffers, s: &mut Scratch, n: usize) {
    // SAFETY: passed on from the caller.
    unsafe { steps_here(steps, outs, buffers, s, n) }
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
        constants(phase, s);
        // SAFETY: passed on from the caller; the first block is a whole one.
        unsafe { steps(&phase.once, &phase.outs, buffers, s, phase.lanes) };
    }
    let mut points = tape.grid.start(blocks.start, &mut s.at[..axes]);
    for block in blocks.clone() {
        if block > blocks.start {
            points = tape.grid.advance(&mut s.at[..axes]);
        }
        for phase in &tape.phases {
            begin(phase, s);
            let count = phase.rows.count();
            if count == 0 {
                end(phase, s, tape.along);
                continue;
            }
            s.at[axes..].fill(0);
            let mut row_lanes = phase.lanes;
            let whole = if tape.along == Along::Grid { points } else { phase.lanes };
            // SAFETY: passed on from the caller; the first row is a whole one.
            unsafe { steps(&phase.per_block, &phase.outs, buffers, s, whole) };
            for row in 0..count {
                if row > 0 {
                    row_lanes = phase.rows.advance(&mut s.at[axes..]);
                }
                let n = if tape.along == Along::Grid { points } else { row_lanes };
                // SAFETY: passed on from the caller.
                unsafe {
                    steps(&phase.steps, &phase.outs, buffers, s, n);
                    outs(tape, phase, buffers, s, n, row);
                }
            }
            end(phase, s, tape.along);
        }
    }
}

/// Fills the registers that hold a phase's constants.
fn constants(phase: &PhaseTape, s: &mut Scratch) {
    for &(to, bits) in &phase.constants {
        if let Home::Register(register) = to.home {
            s.registers[register].fill(bits);
            s.sources[to.number] = s.registers[register].as_ptr();
        }
    }
}

/// Sets the carries that a phase folds into to their identities.
fn begin(phase: &PhaseTape, s: &mut Scratch) {
    for out in &phase.outs {
        let OutTape::Reduce { identity, carry, .. } = out else { continue };
        s.carries[*carry].fill(*identity);
        s.totals[*carry].fill(*identity);
        s.places[*carry].fill(-1);
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
        return !best.is_nan() && (new.is_nan() || if op == ArgOp::Max { new > best } else { new < best });
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
            OutTape::Store { buffer, dtype, index, value, written: false } => {
                // SAFETY: a source has `n` valid lanes, set by this block's steps.
                let lanes = unsafe { std::slice::from_raw_parts(s.sources[*value], n) };
                // SAFETY: passed on from the caller.
                unsafe { store(*dtype, buffers.0[*buffer], index, s, lanes) };
            }
            OutTape::Reduce { value, carry, .. } if !phase.reduces => {
                // SAFETY: a source has `n` valid lanes, set by this block's steps.
                let lanes = unsafe { std::slice::from_raw_parts(s.sources[*value], n) };
                s.carries[*carry][..n].copy_from_slice(lanes);
            }
            OutTape::Reduce { fold: Fold::Value(op), value, carry, dtype, .. } => {
                // SAFETY: a source has `n` valid lanes, set by this block's steps.
                let lanes = unsafe { std::slice::from_raw_parts(s.sources[*value], n) };
                let partial = &mut s.carries[*carry][..n];
                fold_lanes(*op, *dtype, lanes, partial);
                let put_aside = *op == ReduceOp::Sum && dtype.is_float() && (row + 1).is_multiple_of(PARTIAL);
                if put_aside {
                    // Every lane, for earlier blocks may have been longer than this one.
                    fold_lanes(*op, *dtype, &s.carries[*carry], &mut s.totals[*carry]);
                    s.carries[*carry].fill(0);
                }
            }
            OutTape::Reduce { fold: Fold::Place(op), value, carry, dtype, .. } => {
                // SAFETY: a source has `n` valid lanes, set by this block's steps.
                let lanes = unsafe { std::slice::from_raw_parts(s.sources[*value], n) };
                let first = phase.rows.number(&s.at[tape.grid.extents.len()..]);
                let step = if tape.along == Along::Grid { 0 } else { 1 };
                for (i, &lane) in lanes.iter().enumerate() {
                    if s.places[*carry][i] < 0 || beats(*op, *dtype, lane, s.carries[*carry][i]) {
                        s.carries[*carry][i] = lane;
                        s.places[*carry][i] = (first + i * step) as i32;
                    }
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
fn end(phase: &PhaseTape, s: &mut Scratch, along: Along) {
    if !phase.reduces {
        if along == Along::Row {
            for out in &phase.outs {
                if let OutTape::Reduce { carry, .. } = out {
                    let value = s.carries[*carry][0];
                    s.carries[*carry].fill(value);
                }
            }
        }
        return;
    }
    for out in &phase.outs {
        match out {
            OutTape::Store { .. } => {}
            OutTape::Reduce { fold: Fold::Value(op), carry, dtype, .. } => {
                let (carries, totals) = (&mut s.carries[*carry], &s.totals[*carry]);
                fold_lanes(*op, *dtype, totals, carries);
                if along == Along::Row {
                    let mut half = LANES / 2;
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
                let (carries, places) = (&mut s.carries[*carry], &mut s.places[*carry]);
                if along == Along::Row {
                    let mut best = 0;
                    for i in 1..LANES {
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
    match out {
        OutTape::Store { buffer, index, .. } => {
            let at = base(index, &s.at) as isize;
            // SAFETY: the plan keeps indices inside the buffer.
            unsafe { buffers.0[*buffer].cast::<u32>().offset(at) }
        }
        OutTape::Reduce { .. } => panic!("onestep bug: a fold is computed in memory"),
    }
}

#[inline(always)]
fn base(map: &Map, at: &[i64]) -> i64 {
    map.terms.iter().fold(map.offset, |sum, &(var, c)| sum + c * at[var])
}

/// The value of a map on a lane, from its base.
#[inline(always)]
fn on_lane(map: &Map, base: i64, lets: &[[i64; LANES]], lane: usize) -> i64 {
    let pattern = match &map.lanes {
        Pattern::Uniform => 0,
        Pattern::Contiguous => lane as i64,
        Pattern::Runs { len, starts } => starts[lane / len] as i64 + (lane % len) as i64,
        Pattern::Spans { len, starts } => starts[lane / len] as i64,
        Pattern::Table(table) => table[lane] as i64,
        Pattern::Wide(table) => table[lane],
    };
    map.lets.iter().fold(base + pattern, |sum, &(l, c)| sum + c * lets[l][lane])
}

/// Computes a derived variable, once for each stretch of lanes on which its map is the same.
#[inline(always)]
fn derive(s: &mut Scratch, to: usize, map: &Map, n: usize, f: impl Fn(i64) -> i64) {
    let base = base(map, &s.at);
    match &map.lanes {
        Pattern::Uniform if map.lets.is_empty() => s.lets[to][..n].fill(f(base)),
        Pattern::Spans { len, starts } if map.lets.is_empty() => {
            for (lanes, &start) in s.lets[to][..n].chunks_mut(*len).zip(starts) {
                lanes.fill(f(base + start as i64));
            }
        }
        _ => (0..n).for_each(|lane| s.lets[to][lane] = f(on_lane(map, base, &s.lets, lane))),
    }
}

fn within(guards: &[GuardTape], s: &Scratch, lane: usize) -> bool {
    guards.iter().all(|g| {
        let value = on_lane(&g.expr, base(&g.expr, &s.at), &s.lets, lane);
        g.low <= value && value < g.high
    })
}

/// # Safety
/// As [`run`].
#[inline(always)]
unsafe fn steps_here(steps: &[Step], outs: &[OutTape], buffers: &Buffers, s: &mut Scratch, n: usize) {
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
        match step {
            Step::Direct { to, from } => {
                let index = base(&from.index, &s.at);
                // SAFETY: the plan keeps indices inside the buffer.
                s.sources[*to] = unsafe { buffers.0[from.buffer].cast::<u32>().offset(index as isize) };
            }
            Step::Load { to, from, kept } => {
                if let Some(kept) = kept {
                    let now = (base(&from.index, &s.at), n);
                    if s.kept[*kept].0 == now.0 && n <= s.kept[*kept].1 {
                        continue;
                    }
                    s.kept[*kept] = now;
                }
                let lanes = write(s, *to);
                // SAFETY: passed on from the caller.
                unsafe { load(from, buffers.0[from.buffer], s, lanes) };
            }
            Step::Carry { to, carry } => s.sources[*to] = s.carries[*carry].as_ptr(),
            Step::Index { to, at } => {
                let base = base(at, &s.at);
                let lanes = write(s, *to);
                for (lane, to) in lanes.iter_mut().enumerate() {
                    *to = on_lane(at, base, &s.lets, lane) as i32 as u32;
                }
            }
            Step::Within { to, guards } => {
                let lanes = write(s, *to);
                for (lane, to) in lanes.iter_mut().enumerate() {
                    *to = within(guards, s, lane) as u32;
                }
            }
            Step::Random { to, stream, seed, step, index, bits } => {
                let key = [read(s, seed[0])[0], read(s, seed[1])[0]];
                let step = read(s, *step)[0];
                let base = base(index, &s.at);
                let lanes = write(s, *to);
                if matches!(index.lanes, Pattern::Contiguous) && index.lets.is_empty() {
                    random::words(base, [*stream, step], key, lanes);
                } else {
                    let mut known = (u32::MAX as i64 + 1, [0; 4]);
                    for (lane, to) in lanes.iter_mut().enumerate() {
                        let i = on_lane(index, base, &s.lets, lane);
                        if known.0 != i >> 2 {
                            known = (i >> 2, random::philox([(i >> 2) as u32, *stream, step, 0], key));
                        }
                        *to = known.1[(i & 3) as usize];
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
            Step::MulAdd { to, a, b, c } => {
                lanes::mul_add([read(s, *a), read(s, *b), read(s, *c)], write(s, *to), |a, b, c| a * b + c);
            }
            Step::MulSub { to, a, b, c } => {
                lanes::mul_add([read(s, *a), read(s, *b), read(s, *c)], write(s, *to), |a, b, c| c - a * b);
            }
            Step::Products { to, a, b, c, d } => {
                lanes::products(read(s, *a), read(s, *b), read(s, *c), read(s, *d), write(s, *to));
            }
            Step::SelectBy { to, op, a, b, x, y } => {
                lanes::select_by(*op, [read(s, *a), read(s, *b)], [read(s, *x), read(s, *y)], write(s, *to));
            }
            Step::Cast { to, a, from, into } => lanes::cast(*from, *into, read(s, *a), write(s, *to)),
            Step::LetDiv { to, a, by } => derive(s, *to, a, n, |v| v.div_euclid(*by)),
            Step::LetRem { to, a, by } => derive(s, *to, a, n, |v| v.rem_euclid(*by)),
            Step::LetValue { to, value, signed } => {
                let lanes = read(s, *value);
                for (lane, &v) in lanes.iter().enumerate() {
                    s.lets[*to][lane] = if *signed { v as i32 as i64 } else { v as i64 };
                }
            }
        }
    }
}

/// # Safety
/// As [`run`]; `memory` is the buffer that `from` names.
#[inline(always)]
unsafe fn load(from: &Access, memory: *mut u8, s: &Scratch, lanes: &mut [u32]) {
    match from.dtype {
        // SAFETY: the plan keeps valid indices inside the buffer, whose elements have this type.
        DType::F32 | DType::I32 | DType::U32 => unsafe { load_as(from, memory.cast::<u32>(), s, lanes, |v| v) },
        // SAFETY: as above.
        DType::U8 | DType::Bool => unsafe { load_as(from, memory, s, lanes, |v: u8| v as u32) },
        // SAFETY: as above.
        DType::BF16 => unsafe { load_as(from, memory.cast::<bf16>(), s, lanes, |v| v.to_f32().to_bits()) },
        // SAFETY: as above.
        DType::F16 => unsafe { load_as(from, memory.cast::<f16>(), s, lanes, |v| v.to_f32().to_bits()) },
        DType::F64 => panic!("onestep bug: f64 reached the CPU backend"),
    }
}

/// # Safety
/// As [`load`].
#[inline(always)]
unsafe fn load_as<T: Copy>(from: &Access, memory: *const T, s: &Scratch, lanes: &mut [u32], widen: impl Fn(T) -> u32) {
    let base = base(&from.index, &s.at);
    let widen = &widen;
    // SAFETY: the plan keeps indices inside the buffer wherever the guards hold.
    let at = |index: i64| widen(unsafe { *memory.offset(index as isize) });
    if !from.guards.is_empty() || !from.index.lets.is_empty() {
        // A guard that is the same on all lanes decides for the whole block.
        let uniform = |g: &GuardTape| g.expr.lets.is_empty() && matches!(g.expr.lanes, Pattern::Uniform);
        let (whole, each): (bool, bool) = (
            from.guards.iter().filter(|g| uniform(g)).all(|g| {
                let value = self::base(&g.expr, &s.at);
                g.low <= value && value < g.high
            }),
            from.guards.iter().any(|g| !uniform(g)),
        );
        if !whole {
            return lanes.fill(from.fill);
        }
        if each || !from.index.lets.is_empty() {
            for (lane, to) in lanes.iter_mut().enumerate() {
                let valid = !each || within(&from.guards, s, lane);
                *to = if valid { at(on_lane(&from.index, base, &s.lets, lane)) } else { from.fill };
            }
            return;
        }
    }
    match &from.index.lanes {
        Pattern::Uniform => lanes.fill(at(base)),
        // SAFETY: as above, for every lane.
        Pattern::Contiguous => unsafe { load_run(memory, base, lanes, widen) },
        Pattern::Runs { len, starts } => {
            // Short runs of a known length need no loop of their own.
            macro_rules! each {
                ($len:expr) => {
                    for (lanes, &start) in lanes.chunks_mut($len).zip(starts) {
                        let start = base + start as i64;
                        // SAFETY: as above, for every lane.
                        unsafe {
                            match <&mut [u32; $len]>::try_from(&mut *lanes) {
                                Ok(lanes) => load_run(memory, start, lanes, widen),
                                Err(_) => load_run(memory, start, lanes, widen),
                            }
                        }
                    }
                };
            }
            match *len {
                8 => each!(8),
                16 => each!(16),
                32 => each!(32),
                len => {
                    for (lanes, &start) in lanes.chunks_mut(len).zip(starts) {
                        // SAFETY: as above, for every lane.
                        unsafe { load_run(memory, base + start as i64, lanes, widen) };
                    }
                }
            }
        }
        Pattern::Spans { len, starts } => {
            for (lanes, &start) in lanes.chunks_mut(*len).zip(starts) {
                lanes.fill(at(base + start as i64));
            }
        }
        Pattern::Table(table) => lanes.iter_mut().zip(table).for_each(|(to, &t)| *to = at(base + t as i64)),
        Pattern::Wide(table) => lanes.iter_mut().zip(table).for_each(|(to, &t)| *to = at(base + t)),
    }
}

/// # Safety
/// As [`run`]; `memory` is the buffer stored to.
#[inline(always)]
unsafe fn store(dtype: DType, memory: *mut u8, index: &Map, s: &Scratch, lanes: &[u32]) {
    match dtype {
        // SAFETY: the plan keeps indices inside the buffer, whose elements have this type.
        DType::F32 | DType::I32 | DType::U32 => unsafe { store_as(memory.cast::<u32>(), index, s, lanes, |v| v) },
        // SAFETY: as above.
        DType::U8 | DType::Bool => unsafe { store_as(memory, index, s, lanes, |v| v as u8) },
        // SAFETY: as above.
        DType::BF16 => unsafe {
            store_as(memory.cast::<bf16>(), index, s, lanes, |v| bf16::from_f32(f32::from_bits(v)));
        },
        // SAFETY: as above.
        DType::F16 => unsafe { store_as(memory.cast::<f16>(), index, s, lanes, |v| f16::from_f32(f32::from_bits(v))) },
        DType::F64 => panic!("onestep bug: f64 reached the CPU backend"),
    }
}

/// # Safety
/// As [`store`].
#[inline(always)]
unsafe fn store_as<T>(memory: *mut T, index: &Map, s: &Scratch, lanes: &[u32], narrow: impl Fn(u32) -> T) {
    let base = base(index, &s.at);
    let narrow = &narrow;
    // SAFETY: the plan keeps indices inside the buffer.
    let put = |at: i64, lane: u32| unsafe { memory.offset(at as isize).write(narrow(lane)) };
    match (&index.lanes, index.lets.is_empty()) {
        // What was loaded from here and is unchanged stays.
        (Pattern::Contiguous, true) if std::ptr::eq(lanes.as_ptr().cast(), memory.wrapping_offset(base as isize)) => {}
        // SAFETY: as above, for every lane.
        (Pattern::Contiguous, true) => unsafe { store_run(memory, base, lanes, narrow) },
        (Pattern::Runs { len, starts }, true) => {
            for (lanes, &start) in lanes.chunks(*len).zip(starts) {
                // SAFETY: as above, for every lane.
                unsafe { store_run(memory, base + start as i64, lanes, narrow) };
            }
        }
        (Pattern::Table(table), true) => lanes.iter().zip(table).for_each(|(&v, &t)| put(base + t as i64, v)),
        _ => lanes.iter().enumerate().for_each(|(i, &v)| put(on_lane(index, base, &s.lets, i), v)),
    }
}

/// Loads elements that lie side by side from `first` on.
///
/// # Safety
/// The memory must hold them, and nothing may write them meanwhile.
#[inline(always)]
unsafe fn load_run<T: Copy>(memory: *const T, first: i64, lanes: &mut [u32], widen: impl Fn(T) -> u32) {
    if size_of::<T>() == size_of::<u32>() {
        // SAFETY: promised by the caller; what is as wide as a lane is held as it is.
        return unsafe {
            let from = memory.offset(first as isize).cast::<u32>();
            std::ptr::copy_nonoverlapping(from, lanes.as_mut_ptr(), lanes.len());
        };
    }
    // SAFETY: promised by the caller.
    let from = unsafe { std::slice::from_raw_parts(memory.offset(first as isize), lanes.len()) };
    for (to, &v) in lanes.iter_mut().zip(from) {
        *to = widen(v);
    }
}

/// Stores elements side by side from `first` on.
///
/// # Safety
/// The memory must hold them, and nothing else may touch them meanwhile.
#[inline(always)]
unsafe fn store_run<T>(memory: *mut T, first: i64, lanes: &[u32], narrow: impl Fn(u32) -> T) {
    // SAFETY: promised by the caller.
    let to = unsafe { std::slice::from_raw_parts_mut(memory.offset(first as isize), lanes.len()) };
    for (to, &v) in to.iter_mut().zip(lanes) {
        *to = narrow(v);
    }
}
