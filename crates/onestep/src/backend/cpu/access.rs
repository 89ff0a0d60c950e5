//! Memory as a tape sees it: where the lanes of a block lie in a buffer, which of them are valid, and how they are
//! loaded and stored. Places and guards are worked out once for each stretch of lanes, never lane by lane where lanes
//! go together.

use half::{bf16, f16};

use super::tape::{Access, Base, Gate, LANES, Map, Pattern, Places, Ranges, Stretches};
use crate::ir::DType;

/// What index maps of a block are computed from.
pub(super) struct Variables {
    /// Loop variables, then derived variables that are the same on all lanes.
    pub at: Vec<i64>,
    /// The other derived variables.
    pub lets: Vec<[i64; LANES]>,
}

/// Room to work out stretches in.
pub(super) struct Room {
    firsts: [i64; LANES],
    from: [i64; LANES],
    until: [i64; LANES],
}

impl Room {
    pub(super) fn new() -> Self {
        Room { firsts: [0; LANES], from: [0; LANES], until: [0; LANES] }
    }
}

impl Variables {
    /// The part of a map that is the same on all lanes.
    #[inline(always)]
    pub(super) fn base(&self, base: &Base) -> i64 {
        base.terms.iter().fold(base.offset, |sum, &(var, c)| sum + c * self.at[var])
    }

    /// Whether guards that are the same on all lanes hold.
    #[inline(always)]
    fn admit(&self, gates: &[Gate]) -> bool {
        gates.iter().all(|g| (g.low..g.high).contains(&self.base(&g.expr)))
    }

    /// The value of a map on the first lane of each stretch of a block of `n` lanes.
    #[inline(always)]
    pub(super) fn firsts<'r>(&self, map: &Stretches, n: usize, room: &'r mut [i64; LANES]) -> &'r mut [i64] {
        let base = self.base(&map.base);
        let firsts = &mut room[..n.div_ceil(map.len)];
        for (first, &start) in firsts.iter_mut().zip(&map.starts) {
            *first = base + start;
        }
        for &(l, c) in &map.lets {
            let values = &self.lets[l];
            match map.len {
                1 => firsts.iter_mut().zip(values).for_each(|(first, &v)| *first += c * v),
                len => firsts.iter_mut().zip(values.iter().step_by(len)).for_each(|(first, &v)| *first += c * v),
            }
        }
        firsts
    }

    /// From which lane until which all guards hold, in each stretch of a block of `n` lanes.
    #[inline(always)]
    fn valid<'r>(&self, ranges: &Ranges, len: usize, n: usize, room: &'r mut Room) -> (&'r [i64], &'r [i64]) {
        let Room { firsts, from, until } = room;
        let count = n.div_ceil(len);
        let (from, until) = (&mut from[..count], &mut until[..count]);
        from.fill(0);
        until.fill(len as i64);
        for guard in &ranges.0 {
            let (low, high) = (guard.low, guard.high);
            let firsts = self.firsts(&guard.expr, n, firsts);
            if guard.expr.moves {
                for ((from, until), &first) in from.iter_mut().zip(&mut *until).zip(&*firsts) {
                    *from = (*from).max(low - first);
                    *until = (*until).min(high - first);
                }
            } else {
                for (until, &first) in until.iter_mut().zip(&*firsts) {
                    *until = if (low <= first) & (first < high) { *until } else { 0 };
                }
            }
        }
        (from, until)
    }

    /// Writes whether all guards hold.
    #[inline(always)]
    pub(super) fn within(&self, gates: &[Gate], ranges: &Ranges, room: &mut Room, lanes: &mut [u32]) {
        let admitted = self.admit(gates);
        lanes.fill(admitted as u32);
        let Some(range) = ranges.0.first().filter(|_| admitted) else { return };
        let len = range.expr.len;
        let (from, until) = self.valid(ranges, len, lanes.len(), room);
        for ((lanes, &from), &until) in lanes.chunks_mut(len).zip(from).zip(until) {
            let (before, _, after) = parts(lanes, from, until);
            before.fill(0);
            after.fill(0);
        }
    }
}

/// A stretch's lanes before, inside and after what is valid.
#[inline(always)]
fn parts(lanes: &mut [u32], from: i64, until: i64) -> (&mut [u32], &mut [u32], &mut [u32]) {
    let until = until.clamp(0, lanes.len() as i64);
    let (lanes, after) = lanes.split_at_mut(until as usize);
    let (before, inside) = lanes.split_at_mut(from.clamp(0, until) as usize);
    (before, inside, after)
}

/// Floor division of each value, or its remainder.
#[inline(always)]
pub(super) fn divide(values: &mut [i64], by: i64, remainder: bool) {
    let narrow = |v: i64| v == v as i32 as i64;
    if values.iter().fold(narrow(by), |all, &v| all & narrow(v)) {
        // Half a unit from every integer or more, the quotient keeps its floor whatever the rounding.
        let inverse = 1.0 / by as f64;
        for v in values {
            let quotient = ((*v as i32 as f64 + 0.5) * inverse).floor() as i32;
            *v = if remainder { *v as i32 - quotient * by as i32 } else { quotient } as i64;
        }
    } else {
        values.iter_mut().for_each(|v| *v = if remainder { v.rem_euclid(by) } else { v.div_euclid(by) });
    }
}

/// Loads the lanes of a block.
///
/// # Safety
/// `memory` is the buffer that `from` names, whole and written by nothing meanwhile.
#[inline(always)]
pub(super) unsafe fn load(from: &Access, memory: *mut u8, v: &Variables, room: &mut Room, lanes: &mut [u32]) {
    match from.dtype {
        // SAFETY: the plan keeps valid indices inside the buffer, whose elements have this type.
        DType::F32 | DType::I32 | DType::U32 => unsafe { load_as(from, memory.cast::<u32>(), v, room, lanes, |v| v) },
        // SAFETY: as above.
        DType::U8 | DType::Bool => unsafe { load_as(from, memory, v, room, lanes, |v: u8| v as u32) },
        // SAFETY: as above.
        DType::BF16 => unsafe { load_as(from, memory.cast::<bf16>(), v, room, lanes, |v| v.to_f32().to_bits()) },
        // SAFETY: as above.
        DType::F16 => unsafe { load_as(from, memory.cast::<f16>(), v, room, lanes, |v| v.to_f32().to_bits()) },
        DType::F64 => panic!("onestep bug: f64 reached the CPU backend"),
    }
}

/// # Safety
/// As [`load`].
#[inline(always)]
unsafe fn load_as<T: Copy>(
    from: &Access,
    memory: *const T,
    v: &Variables,
    room: &mut Room,
    lanes: &mut [u32],
    widen: impl Fn(T) -> u32,
) {
    if !v.admit(&from.gates) {
        return lanes.fill(from.fill);
    }
    let widen = &widen;
    // SAFETY: the plan keeps indices inside the buffer wherever the guards hold.
    let at = |index: i64| widen(unsafe { *memory.offset(index as isize) });
    let (base, pattern) = match &from.places {
        Places::Lanes(Map { base, lanes }) => (v.base(base), lanes),
        Places::Stretches { index, ranges } => {
            let (len, n) = (index.len, lanes.len());
            v.valid(ranges, len, n, room);
            let firsts = &*v.firsts(index, n, &mut room.firsts);
            let stretches =
                firsts.iter().zip(&room.from).zip(&room.until).map(|((&at, &from), &until)| (at, from, until));
            if len == 1 {
                for (to, (first, start, until)) in lanes.iter_mut().zip(stretches) {
                    *to = if start < until { at(first) } else { from.fill };
                }
                return;
            }
            for (lanes, (first, start, until)) in lanes.chunks_mut(len).zip(stretches) {
                let (before, inside, after) = parts(lanes, start, until);
                if !inside.is_empty() {
                    match index.moves {
                        // SAFETY: as above, for every lane.
                        true => unsafe { load_run(memory, first + before.len() as i64, inside, widen) },
                        false => inside.fill(at(first)),
                    }
                }
                before.fill(from.fill);
                after.fill(from.fill);
            }
            return;
        }
    };
    match pattern {
        Pattern::Uniform => lanes.fill(at(base)),
        // SAFETY: as above, for every lane.
        Pattern::Contiguous => unsafe { load_run(memory, base, lanes, widen) },
        Pattern::Runs { len, starts } => {
            for (lanes, &start) in lanes.chunks_mut(*len).zip(starts) {
                // SAFETY: as above, for every lane.
                unsafe { load_run(memory, base + start as i64, lanes, widen) };
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

/// Stores the lanes of a block.
///
/// # Safety
/// `memory` is the buffer that `to` names, whole; nothing else touches these elements meanwhile.
#[inline(always)]
pub(super) unsafe fn store(to: &Access, memory: *mut u8, v: &Variables, room: &mut Room, lanes: &[u32]) {
    match to.dtype {
        // SAFETY: the plan keeps indices inside the buffer, whose elements have this type.
        DType::F32 | DType::I32 | DType::U32 => unsafe { store_as(to, memory.cast::<u32>(), v, room, lanes, |v| v) },
        // SAFETY: as above.
        DType::U8 | DType::Bool => unsafe { store_as(to, memory, v, room, lanes, |v| v as u8) },
        // SAFETY: as above.
        DType::BF16 => unsafe {
            store_as(to, memory.cast::<bf16>(), v, room, lanes, |v| bf16::from_f32(f32::from_bits(v)));
        },
        // SAFETY: as above.
        DType::F16 => unsafe {
            store_as(to, memory.cast::<f16>(), v, room, lanes, |v| f16::from_f32(f32::from_bits(v)));
        },
        DType::F64 => panic!("onestep bug: f64 reached the CPU backend"),
    }
}

/// # Safety
/// As [`store`].
#[inline(always)]
unsafe fn store_as<T>(
    to: &Access,
    memory: *mut T,
    v: &Variables,
    room: &mut Room,
    lanes: &[u32],
    narrow: impl Fn(u32) -> T,
) {
    let narrow = &narrow;
    // SAFETY: the plan keeps indices inside the buffer.
    let put = |at: i64, lane: u32| unsafe { memory.offset(at as isize).write(narrow(lane)) };
    let (base, pattern) = match &to.places {
        Places::Lanes(Map { base, lanes }) => (v.base(base), lanes),
        Places::Stretches { index, .. } => {
            let firsts = v.firsts(index, lanes.len(), &mut room.firsts);
            for (lanes, &first) in lanes.chunks(index.len).zip(&*firsts) {
                match index.moves {
                    // SAFETY: as above, for every lane.
                    true => unsafe { store_run(memory, first, lanes, narrow) },
                    false => lanes.iter().for_each(|&v| put(first, v)),
                }
            }
            return;
        }
    };
    match pattern {
        // What was loaded from here and is unchanged stays.
        Pattern::Contiguous if std::ptr::eq(lanes.as_ptr().cast(), memory.wrapping_offset(base as isize)) => {}
        // SAFETY: as above, for every lane.
        Pattern::Contiguous => unsafe { store_run(memory, base, lanes, narrow) },
        Pattern::Runs { len, starts } => {
            for (lanes, &start) in lanes.chunks(*len).zip(starts) {
                // SAFETY: as above, for every lane.
                unsafe { store_run(memory, base + start as i64, lanes, narrow) };
            }
        }
        Pattern::Table(table) => lanes.iter().zip(table).for_each(|(&v, &t)| put(base + t as i64, v)),
        Pattern::Wide(table) => lanes.iter().zip(table).for_each(|(&v, &t)| put(base + t, v)),
        // One place for several lanes: the last one stays.
        Pattern::Uniform => lanes.iter().for_each(|&v| put(base, v)),
        Pattern::Spans { len, starts } => {
            for (lanes, &start) in lanes.chunks(*len).zip(starts) {
                lanes.iter().for_each(|&v| put(base + start as i64, v));
            }
        }
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
            let (from, to) = (memory.offset(first as isize).cast::<u32>(), lanes.as_mut_ptr());
            // Short runs of a known length need no call.
            match lanes.len() {
                8 => std::ptr::copy_nonoverlapping(from, to, 8),
                16 => std::ptr::copy_nonoverlapping(from, to, 16),
                32 => std::ptr::copy_nonoverlapping(from, to, 32),
                64 => std::ptr::copy_nonoverlapping(from, to, 64),
                len => std::ptr::copy_nonoverlapping(from, to, len),
            }
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
