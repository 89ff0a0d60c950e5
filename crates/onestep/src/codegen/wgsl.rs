//! WGSL, for every adapter wgpu finds: core language only, but for shuffles where it is told how large subgroups are.
//! It has no 64-bit integers, and no elements of less than 32 bits: bf16, f16, u8 and bool lie packed in words, are
//! widened when loaded and rounded when stored. A thread that stores a part of a word does so atomically; kernels over
//! many elements store whole words. Compilers may assume that there are no NaN and infinities, so both are made from
//! bits.

use super::bindings::{Binding, Rules, Slot, Storage, WINDOW_ALIGNMENT};
use super::dialect::{Dialect, Frame, Partial, Scalar, Shared, saturated, shared_name};
use crate::ir::{Binary, Compare, DType, Unary};
use crate::plan::Workers;

/// WGSL for a device's limits.
pub(super) struct Wgsl {
    /// Storage buffers that a kernel may bind.
    pub bindings: usize,
    /// Bytes that a binding may have.
    pub binding_bytes: usize,
    /// Threads of a subgroup that exchange values; 0: none do.
    pub subgroup: usize,
}

/// What gives a thread the value of another of its subgroup.
const SHUFFLE: &str = "subgroupShuffleXor";

impl Wgsl {
    /// Whether the threads of a workgroup fold by subgroups.
    fn folds_by_subgroups(&self, threads: usize) -> bool {
        self.subgroup > 1 && threads.is_multiple_of(self.subgroup)
    }

    /// Folds over workers whose subgroups fold first, by pairs at half the distance in each round; then all add up what
    /// the subgroups have, in order.
    fn fold_by_subgroups(
        &self,
        lanes: usize,
        partials: &[Partial],
        merge: &dyn Fn(&[String]) -> Vec<String>,
    ) -> Vec<String> {
        let size = self.subgroup;
        let others: Vec<String> = partials.iter().map(|p| format!("other_{}", p.name)).collect();
        let merged = || merge(&others).into_iter().map(|line| format!("  {line}"));
        let mut lines = vec![format!("for (var step: u32 = {}u; step > 0u; step /= 2u) {{", lanes.min(size) / 2)];
        for (p, other) in partials.iter().zip(&others) {
            let given = match p.ty {
                Scalar::Bool => format!("{SHUFFLE}(select(0u, 1u, {}), step) != 0u", p.name),
                _ => format!("{SHUFFLE}({}, step)", p.name),
            };
            lines.push(format!("  let {other}: {} = {given};", self.ty(p.ty, false)));
        }
        lines.extend(merged());
        lines.push("}".into());
        if lanes > size {
            let name = |i: usize| shared_name(&Shared { ty: partials[i].ty, number: i });
            lines.push(format!("if (lane % {size} == 0) {{"));
            lines
                .extend((0..partials.len()).map(|i| format!("  {}[thread / {size}] = {};", name(i), partials[i].name)));
            lines.push("}".into());
            lines.push("workgroupBarrier();".into());
            let first = format!("(thread - lane) / {size}");
            lines.extend((0..partials.len()).map(|i| format!("{} = {}[{first}];", partials[i].name, name(i))));
            lines.push(format!("for (var next: i32 = 1; next < {}; next += 1) {{", lanes / size));
            for (i, other) in others.iter().enumerate() {
                lines.push(format!("  let {other}: {} = {}[{first} + next];", self.ty(partials[i].ty, false), name(i)));
            }
            lines.extend(merged());
            lines.push("}".into());
            lines.push("workgroupBarrier();".into());
        }
        lines
    }
}

impl Dialect for Wgsl {
    fn name(&self) -> &'static str {
        "WGSL"
    }

    fn rules(&self) -> Rules {
        let most_bytes = (self.binding_bytes / WINDOW_ALIGNMENT).max(1) * WINDOW_ALIGNMENT;
        Rules { words: true, most: self.bindings, most_bytes }
    }

    fn has_wide(&self) -> bool {
        false
    }

    fn most_groups(&self) -> usize {
        // What every WebGPU device takes.
        65_535
    }

    fn helpers(&self) -> &'static str {
        include_str!("helpers.wgsl")
    }

    fn definitions(&self, _: &str) -> Vec<String> {
        Vec::new()
    }

    fn kernel(&self, frame: &Frame) -> String {
        let mut text = declared(frame.bindings);
        for shared in frame.shared {
            let (name, ty) = (shared_name(shared), self.ty(shared.ty, false));
            text.push_str(&format!("var<workgroup> {name}: array<{ty}, {}>;\n", frame.shared_len));
        }
        let uses_block = frame.body.contains("block");
        let shuffles = frame.body.contains(SHUFFLE);
        let mut numbers = if uses_block { vec![GROUP] } else { Vec::new() };
        numbers.extend(if shuffles { &[SUBGROUP, WITHIN][..] } else { &[LOCAL] });
        text.push_str(&entry(frame.entry, frame.threads, &numbers));
        // Which threads are a subgroup is the device's choice.
        text.push_str(&match shuffles {
            true => format!("  let thread: i32 = i32(subgroup * {}u + within);\n", self.subgroup),
            false => "  let thread: i32 = i32(local);\n".into(),
        });
        if uses_block {
            text.push_str(&format!("  {}\n", block(frame.groups)));
        }
        text + frame.body + "}\n"
    }

    fn ty(&self, ty: Scalar, _: bool) -> &'static str {
        match ty {
            Scalar::Float => "f32",
            Scalar::Int | Scalar::Index => "i32",
            Scalar::Uint => "u32",
            Scalar::Bool => "bool",
        }
    }

    fn array(&self, name: &str, ty: &str, value: &str, len: usize) -> String {
        format!("var {name}: array<{ty}, {len}> = array<{ty}, {len}>({});", vec![value; len].join(", "))
    }

    fn constant(&self, name: &str, ty: &str, value: &str) -> String {
        format!("let {name}: {ty} = {value};")
    }

    fn variable(&self, name: &str, ty: &str, value: &str) -> String {
        format!("var {name}: {ty} = {value};")
    }

    fn count(&self, name: &str, ty: &str, from: &str, below: &str, step: usize) -> String {
        format!("for (var {name}: {ty} = {from}; {name} < {below}; {name} += {step}) {{")
    }

    fn unroll(&self) -> Option<&'static str> {
        None
    }

    fn select(&self, condition: &str, a: &str, b: &str) -> String {
        format!("select({b}, {a}, {condition})")
    }

    fn literal(&self, dtype: DType, value: f64) -> String {
        match Scalar::of(dtype) {
            Scalar::Float => {
                let v = value as f32;
                // Some compilers take -0 for 0.
                let plain = v.is_normal() || v.to_bits() == 0;
                if plain { format!("{v:?}f") } else { format!("from_bits({:#x}u)", v.to_bits()) }
            }
            Scalar::Int => format!("{}", value as i32),
            Scalar::Uint => format!("{}u", saturated(dtype, value)),
            Scalar::Bool | Scalar::Index => format!("{}", value != 0.0),
        }
    }

    fn floored(&self, remainder: bool, a: &str, by: i64, _: bool) -> String {
        format!("{}({a}, {by})", if remainder { "floor_rem" } else { "floor_div" })
    }

    fn index_as(&self, ty: Scalar, index: &str) -> String {
        if ty == Scalar::Uint { format!("u32({index})") } else { index.into() }
    }

    fn as_index(&self, from: DType, value: &str, _: bool) -> String {
        if from == DType::I32 { value.into() } else { format!("i32({value})") }
    }

    fn unary(&self, op: Unary, dtype: DType, a: &str) -> String {
        // Negation, absolute value and sign of i32 wrap as they should.
        let function = match op {
            Unary::Neg => return format!("-{a}"),
            Unary::Abs => "abs",
            Unary::Sign if dtype == DType::I32 => "sign",
            Unary::Sign => "sign_of",
            Unary::Exp => "exp",
            Unary::Log => "log",
            Unary::Expm1 => "expm1",
            Unary::Log1p => "log1p",
            Unary::Sqrt => "sqrt",
            Unary::Rsqrt => "inverseSqrt",
            Unary::Recip => return format!("1.0f / {a}"),
            Unary::Sin => "sin",
            Unary::Cos => "cos",
            Unary::Tanh => "bounded_tanh",
            Unary::Sigmoid => return format!("1.0f / (1.0f + exp(-{a}))"),
            Unary::Erf => "erf",
            Unary::Floor => "floor",
            Unary::Ceil => "ceil",
            Unary::Round => "round",
            Unary::IsFinite => "is_finite",
            Unary::Not => return format!("!{a}"),
        };
        format!("{function}({a})")
    }

    fn binary(&self, op: Binary, dtype: DType, a: &str, b: &str) -> String {
        let (float, unsigned) = (dtype.is_float(), Scalar::of(dtype) == Scalar::Uint);
        let symbol = match op {
            Binary::Add => "+",
            Binary::Sub => "-",
            Binary::Mul => "*",
            Binary::Div if float => return format!("quotient({a}, {b})"),
            Binary::Div if unsigned => return format!("divide_uint({a}, {b})"),
            Binary::Div => return format!("divide_int({a}, {b})"),
            Binary::Rem if float => "%",
            Binary::Rem if unsigned => return format!("remainder_uint({a}, {b})"),
            Binary::Rem => return format!("remainder_int({a}, {b})"),
            Binary::Pow => return format!("power({a}, {b})"),
            Binary::Max if float => return format!("larger({a}, {b})"),
            Binary::Min if float => return format!("smaller({a}, {b})"),
            Binary::Max => return format!("max({a}, {b})"),
            Binary::Min => return format!("min({a}, {b})"),
            Binary::And => return format!("{a} & {b}"),
            Binary::Or => return format!("{a} | {b}"),
            Binary::Xor if dtype == DType::Bool => return format!("{a} != {b}"),
            Binary::Xor => return format!("{a} ^ {b}"),
        };
        if dtype == DType::U8 { format!("({a} {symbol} {b}) & 0xffu") } else { format!("{a} {symbol} {b}") }
    }

    fn compare(&self, op: Compare, dtype: DType, a: &str, b: &str) -> String {
        match (op, dtype == DType::Bool) {
            (Compare::Eq, _) => format!("{a} == {b}"),
            (Compare::Ne, _) if dtype.is_float() => format!("differ({a}, {b})"),
            (Compare::Ne, _) => format!("{a} != {b}"),
            (Compare::Lt, false) => format!("{a} < {b}"),
            (Compare::Le, false) => format!("{a} <= {b}"),
            (Compare::Lt, true) => format!("!{a} && {b}"),
            (Compare::Le, true) => format!("!{a} || {b}"),
        }
    }

    fn cast(&self, from: DType, to: DType, a: &str) -> String {
        match (from.is_float(), to) {
            (true, DType::I32) => format!("to_int({a})"),
            (true, DType::U32) => format!("to_uint({a})"),
            (true, DType::U8) => format!("to_byte({a})"),
            (true, DType::Bool) => format!("(bitcast<u32>({a}) & 0x7fffffffu) != 0u"),
            (true, DType::BF16) => format!("bf16_value(bf16_bits({a}))"),
            (true, DType::F16) => format!("f16_value(f16_bits({a}))"),
            (true, DType::F32 | DType::F64) => a.into(),
            (false, DType::BF16) => format!("bf16_value(bf16_bits(f32({a})))"),
            (false, DType::F16) => format!("f16_value(f16_bits(f32({a})))"),
            (false, DType::F32 | DType::F64) => format!("f32({a})"),
            (false, DType::I32) => format!("i32({a})"),
            (false, DType::U32) => format!("u32({a})"),
            (false, DType::U8) => format!("u32({a}) & 0xffu"),
            (false, DType::Bool) => format!("bool({a})"),
        }
    }

    fn words_type(&self) -> &'static str {
        "vec4<u32>"
    }

    fn random_word(&self, words: &str, number: &str, bits: bool) -> String {
        if bits { format!("{words}[{number}]") } else { format!("unit({words}[{number}])") }
    }

    fn load(&self, slot: &Slot, index: &str) -> String {
        let index = shifted(slot, index);
        match (slot.storage, slot.dtype.size()) {
            (Storage::Typed, _) => word(slot, &index),
            (_, 4) => value(slot, &word(slot, &index)),
            _ => value(slot, &part_of_word(slot, 1, &index)),
        }
    }

    fn store(&self, slot: &Slot, index: &str, value: &str) -> String {
        let index = shifted(slot, index);
        match (slot.storage, slot.dtype.size()) {
            (Storage::Typed, _) => set_word(slot, &index, value),
            (_, 4) => set_word(slot, &index, &bits(slot, value)),
            _ => set_part(slot, 1, &index, &bits(slot, value)),
        }
    }

    fn vector_type(&self, slot: &Slot, width: usize) -> String {
        vector(slot, width)
    }

    fn vector_empty(&self, slot: &Slot, width: usize) -> String {
        format!("{}()", vector(slot, width))
    }

    fn vector_load(&self, slot: &Slot, width: usize, index: &str) -> String {
        let words = words(slot, width);
        if words == 0 {
            return part_of_word(slot, width, &shifted(slot, index));
        }
        if slot.width == width {
            return word(slot, &format!("u32({index}) / {width}u"));
        }
        let first = first_word(slot, &shifted(slot, index));
        let parts: Vec<String> = (0..words).map(|k| word(slot, &plus(&first, k))).collect();
        format!("{}({})", vector(slot, width), parts.join(", "))
    }

    fn vector_get(&self, slot: &Slot, width: usize, vector: &str, part: &str) -> String {
        let (words, size) = (words(slot, width), slot.dtype.size());
        let per_word = 4 / size;
        match (slot.storage, size, words) {
            (Storage::Typed, ..) => format!("{vector}[{part}]"),
            (_, 4, _) => value(slot, &format!("{vector}[{part}]")),
            (_, _, 0 | 1) => value(slot, &format!("({vector} >> {}) & {}", distance(slot, part), mask(slot, 1))),
            _ => {
                let at = distance(slot, &format!("{part} % {per_word}"));
                value(slot, &format!("({vector}[{part} / {per_word}] >> {at}) & {}", mask(slot, 1)))
            }
        }
    }

    fn vector_set(&self, slot: &Slot, width: usize, vector: &str, part: &str, value: &str) -> String {
        let (words, size) = (words(slot, width), slot.dtype.size());
        let per_word = 4 / size;
        match (slot.storage, size, words) {
            (Storage::Typed, ..) => format!("{vector}[{part}] = {value};"),
            (_, 4, _) => format!("{vector}[{part}] = {};", bits(slot, value)),
            (_, _, 0 | 1) => format!("{vector} |= {} << {};", bits(slot, value), distance(slot, part)),
            _ => {
                let at = distance(slot, &format!("{part} % {per_word}"));
                format!("{vector}[{part} / {per_word}] |= {} << {at};", bits(slot, value))
            }
        }
    }

    fn vector_store(&self, slot: &Slot, width: usize, index: &str, vector: &str) -> String {
        let words = words(slot, width);
        if words == 0 {
            return set_part(slot, width, &shifted(slot, index), vector);
        }
        if slot.width == width {
            return set_word(slot, &format!("u32({index}) / {width}u"), vector);
        }
        let first = first_word(slot, &shifted(slot, index));
        let part = |k: usize| if words == 1 { vector.to_string() } else { format!("{vector}[{k}]") };
        let stores: Vec<String> = (0..words).map(|k| set_word(slot, &plus(&first, k), &part(k))).collect();
        stores.join(" ")
    }

    fn shared_len(&self, workers: Workers, threads: usize) -> usize {
        match workers {
            Workers::Thread | Workers::Tiles | Workers::MatrixTiles => 0,
            _ if !self.folds_by_subgroups(threads) => threads,
            Workers::Warp(lanes) if lanes <= self.subgroup => 0,
            Workers::Warp(_) | Workers::Block => threads / self.subgroup,
        }
    }

    /// Pairs at half the distance in each round: through shared memory, where subgroups may differ in size and order.
    fn fold(
        &self,
        workers: Workers,
        threads: usize,
        partials: &[Partial],
        merge: &dyn Fn(&[String]) -> Vec<String>,
    ) -> Vec<String> {
        let lanes = match workers {
            Workers::Thread | Workers::Tiles | Workers::MatrixTiles => return Vec::new(),
            Workers::Warp(lanes) => lanes,
            Workers::Block => threads,
        };
        if self.folds_by_subgroups(threads) {
            return self.fold_by_subgroups(lanes, partials, merge);
        }
        let shared: Vec<String> =
            partials.iter().enumerate().map(|(number, p)| shared_name(&Shared { ty: p.ty, number })).collect();
        let others: Vec<String> = partials.iter().map(|p| format!("other_{}", p.name)).collect();
        let keep = || shared.iter().zip(partials).map(|(s, p)| format!("{s}[thread] = {};", p.name));
        let mut lines: Vec<String> = keep().collect();
        lines.push("workgroupBarrier();".into());
        lines.push(format!("for (var step: i32 = {}; step > 0; step /= 2) {{", lanes / 2));
        lines.push("  if (lane < step) {".into());
        for ((s, p), other) in shared.iter().zip(partials).zip(&others) {
            lines.push(format!("    let {other}: {} = {s}[thread + step];", self.ty(p.ty, false)));
        }
        lines.extend(merge(&others).into_iter().chain(keep()).map(|line| format!("    {line}")));
        lines.push("  }".into());
        lines.push("  workgroupBarrier();".into());
        lines.push("}".into());
        lines.extend(shared.iter().zip(partials).map(|(s, p)| format!("{} = {s}[thread - lane];", p.name)));
        lines.push("workgroupBarrier();".into());
        lines
    }

    fn meet(&self) -> &'static str {
        "workgroupBarrier();"
    }

    fn barrier(&self, workers: Workers) -> &'static str {
        match workers {
            Workers::Thread | Workers::Tiles | Workers::MatrixTiles => "",
            Workers::Warp(_) | Workers::Block => "storageBarrier();",
        }
    }
}

/// The variables that are bound, in order. What is bound as several has functions that reach all of it.
pub(super) fn declared(bindings: &[(Binding, Slot)]) -> String {
    let mut text = String::new();
    for (i, (binding, slot)) in bindings.iter().enumerate() {
        let access = if slot.written { "read_write" } else { "read" };
        let element = match slot.storage {
            Storage::Atomic => "atomic<u32>".into(),
            Storage::Typed | Storage::Words => vector(slot, slot.width),
        };
        let name = match (binding.window, slot.window) {
            (Some((start, _)), Some(each)) => format!("{}_{}", slot.name, start / each),
            _ => slot.name.clone(),
        };
        text.push_str(&format!("@group(0) @binding({i}) var<storage, {access}> {name}: array<{element}>;\n"));
    }
    for (i, (binding, slot)) in bindings.iter().enumerate() {
        let count = bindings[i..].iter().take_while(|(other, _)| other.bound == binding.bound).count();
        if let (Some((0, _)), Some(each)) = (binding.window, slot.window) {
            text.push_str(&reaching(slot, each, count));
        }
    }
    text
}

/// The functions that reach elements of what is bound as so many windows of so many bytes.
fn reaching(slot: &Slot, each: usize, count: usize) -> String {
    let (name, plain) = (&slot.name, vector(slot, slot.width));
    let each = each / (4 * words(slot, slot.width).max(1));
    let function = |head: String, body: &dyn Fn(String) -> String| {
        let window = |k: usize| {
            let place = if k == 0 { format!("{name}_0[i]") } else { format!("{name}_{k}[i - {}u]", k * each) };
            let body = body(place);
            if k + 1 == count {
                format!("  {body}\n")
            } else {
                format!("  if (i < {}u) {{ {body} }}\n", (k + 1) * each)
            }
        };
        format!("fn {name}_{head} {{\n{}}}\n", (0..count).map(window).collect::<String>())
    };
    let atomic = slot.storage == Storage::Atomic;
    let get = |place: String| if atomic { format!("return atomicLoad(&{place});") } else { format!("return {place};") };
    let mut text = function(format!("at(i: u32) -> {plain}"), &get);
    if slot.written {
        text += &function(format!("set(i: u32, value: {plain})"), &|place| match atomic {
            true => format!("atomicStore(&{place}, value); return;"),
            false => format!("{place} = value; return;"),
        });
    }
    if slot.written && atomic {
        text += &function("change(i: u32, keep: u32, bits: u32)".into(), &|place| {
            format!("atomicAnd(&{place}, keep); atomicOr(&{place}, bits); return;")
        });
    }
    text
}

/// What a kernel is told when it runs: the number of its workgroup; that of its thread, or of the subgroup and within it.
pub(super) const GROUP: &str = "@builtin(workgroup_id) group_id: vec3<u32>";
pub(super) const LOCAL: &str = "@builtin(local_invocation_index) local: u32";
pub(super) const SUBGROUP: &str = "@builtin(subgroup_id) subgroup: u32";
const WITHIN: &str = "@builtin(subgroup_invocation_id) within: u32";

/// The line that opens a kernel, with the numbers that it uses.
pub(super) fn entry(name: &str, threads: usize, numbers: &[&str]) -> String {
    format!("\n@compute @workgroup_size({threads})\nfn {name}({}) {{\n", numbers.join(", "))
}

/// The line that declares the workgroup's number.
pub(super) fn block(groups: [usize; 3]) -> String {
    match groups {
        [_, 1, _] => "let block: i32 = i32(group_id.x);".into(),
        [x, ..] => format!("let block: i32 = i32(group_id.y * {x}u + group_id.x);"),
    }
}

/// Words that so many elements take; 0 for a part of one.
fn words(slot: &Slot, width: usize) -> usize {
    let words = width * slot.dtype.size() / 4;
    assert!(words <= 4, "onestep bug: a WGSL vector holds four words, not {words}");
    words
}

/// The type of so many elements as they lie in memory.
fn vector(slot: &Slot, width: usize) -> String {
    let element = match (slot.storage, Scalar::of(slot.dtype)) {
        (Storage::Typed, Scalar::Float) => "f32",
        (Storage::Typed, Scalar::Int) => "i32",
        _ => "u32",
    };
    match words(slot, width) {
        0 | 1 => element.into(),
        words => format!("vec{words}<{element}>"),
    }
}

/// The index counted from where the variable starts.
fn shifted(slot: &Slot, index: &str) -> String {
    plus(index, slot.first)
}

fn plus(index: &str, by: usize) -> String {
    if by == 0 { index.into() } else { format!("{index} + {by}") }
}

/// The number of the word in which an element lies.
fn first_word(slot: &Slot, index: &str) -> String {
    match 4 / slot.dtype.size() {
        1 => index.into(),
        per_word => format!("({index}) / {per_word}"),
    }
}

/// An element of what is bound: a word, a value of a type of four bytes, or a vector of either.
fn word(slot: &Slot, number: &str) -> String {
    match (slot.window, slot.storage) {
        (Some(_), _) => format!("{}_at(u32({number}))", slot.name),
        (None, Storage::Atomic) => format!("atomicLoad(&{}[{number}])", slot.name),
        (None, Storage::Typed | Storage::Words) => format!("{}[{number}]", slot.name),
    }
}

fn set_word(slot: &Slot, number: &str, value: &str) -> String {
    match (slot.window, slot.storage) {
        (Some(_), _) => format!("{}_set(u32({number}), {value});", slot.name),
        (None, Storage::Atomic) => format!("atomicStore(&{}[{number}], {value});", slot.name),
        (None, Storage::Typed | Storage::Words) => format!("{}[{number}] = {value};", slot.name),
    }
}

/// Replaces bits of a word by others.
fn change_word(slot: &Slot, number: &str, keep: &str, bits: &str) -> String {
    match slot.window {
        Some(_) => format!("{}_change(u32({number}), {keep}, {bits});", slot.name),
        None => {
            let place = format!("&{}[{number}]", slot.name);
            format!("atomicAnd({place}, {keep}); atomicOr({place}, {bits});")
        }
    }
}

/// Bits from the start of a word to its element `part`.
fn distance(slot: &Slot, part: &str) -> String {
    format!("({}u * u32({part}))", 8 * slot.dtype.size())
}

/// The bits of so many elements, fewer than a word holds.
fn mask(slot: &Slot, width: usize) -> String {
    format!("{:#x}u", (1u64 << (8 * slot.dtype.size() * width)) - 1)
}

/// So many elements, fewer than a word holds, as bits.
fn part_of_word(slot: &Slot, width: usize, index: &str) -> String {
    let at = distance(slot, &format!("({index}) % {}", 4 / slot.dtype.size()));
    format!("({} >> {at}) & {}", word(slot, &first_word(slot, index)), mask(slot, width))
}

fn set_part(slot: &Slot, width: usize, index: &str, bits: &str) -> String {
    let at = distance(slot, &format!("({index}) % {}", 4 / slot.dtype.size()));
    let keep = format!("~({} << {at})", mask(slot, width));
    change_word(slot, &first_word(slot, index), &keep, &format!("{bits} << {at}"))
}

/// A value from its bits.
fn value(slot: &Slot, bits: &str) -> String {
    match slot.dtype {
        DType::F64 => panic!("onestep bug: f64 reached the WGSL printer"),
        DType::F32 => format!("bitcast<f32>({bits})"),
        DType::I32 => format!("bitcast<i32>({bits})"),
        DType::U32 | DType::U8 => bits.into(),
        DType::BF16 => format!("bf16_value({bits})"),
        DType::F16 => format!("f16_value({bits})"),
        DType::Bool => format!("({bits}) != 0u"),
    }
}

/// A value's bits.
fn bits(slot: &Slot, value: &str) -> String {
    match slot.dtype {
        DType::F64 => panic!("onestep bug: f64 reached the WGSL printer"),
        DType::F32 | DType::I32 => format!("bitcast<u32>({value})"),
        DType::U32 | DType::U8 => value.into(),
        DType::BF16 => format!("bf16_bits({value})"),
        DType::F16 => format!("f16_bits({value})"),
        DType::Bool => format!("select(0u, 1u, {value})"),
    }
}
