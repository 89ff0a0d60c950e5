//! CUDA C++, without any header, so that a compiler that runs inside the program needs no toolkit beside it.
//! To be compiled without fast-math; contraction into fused multiply-adds is welcome.

use super::bindings::{Binding, Rules, Slot};
use super::dialect::{Dialect, Frame, Partial, Scalar, Shared, saturated, shared_name};
use crate::ir::{Binary, Compare, DType, Unary};
use crate::plan::Workers;

/// Functions that kernels may call.
pub(super) const HELPERS: &str = include_str!("helpers.cu");
/// Threads that exchange values by shuffles.
const WARP: usize = 32;

/// CUDA C++.
pub(super) struct Cuda;

impl Dialect for Cuda {
    fn name(&self) -> &'static str {
        "CUDA"
    }

    fn rules(&self) -> Rules {
        // Parameters may take 4 KiB, pointers of 8 bytes each.
        Rules { words: false, most: 500, most_bytes: usize::MAX }
    }

    fn has_wide(&self) -> bool {
        true
    }

    fn most_groups(&self) -> usize {
        i32::MAX as usize
    }

    fn helpers(&self) -> &'static str {
        HELPERS
    }

    fn definitions(&self, text: &str) -> Vec<String> {
        let mut found = Vec::new();
        for dtype in [DType::F32, DType::I32, DType::U32, DType::BF16, DType::U8] {
            for width in [2, 4, 8] {
                let slot_type = stored(dtype);
                let name = vector_name(dtype, width);
                if text.contains(&name) {
                    let bytes = (width * dtype.size()).min(16);
                    found.push(format!("struct alignas({bytes}) {name} {{\n  {slot_type} at[{width}];\n}};\n"));
                }
            }
        }
        found
    }

    fn kernel(&self, frame: &Frame) -> String {
        let mut text = signature(frame.entry, &frame.threads.to_string(), frame.bindings, None);
        for shared in frame.shared {
            let ty = self.ty(shared.ty, false);
            text.push_str(&format!("  __shared__ {ty} {}[{}];\n", shared_name(shared), frame.shared_len));
        }
        text.push_str("  take_turn();\n");
        let index = self.ty(Scalar::Index, frame.wide);
        text.push_str(&format!("  const {index} thread = threadIdx.x;\n"));
        if frame.body.contains("block") {
            text.push_str(&format!("  const {index} block = blockIdx.x;\n"));
        }
        text + frame.body + "}\n"
    }

    fn ty(&self, ty: Scalar, wide: bool) -> &'static str {
        match ty {
            Scalar::Float => "float",
            Scalar::Int => "int",
            Scalar::Uint => "unsigned",
            Scalar::Bool => "bool",
            Scalar::Index => {
                if wide {
                    "long long"
                } else {
                    "int"
                }
            }
        }
    }

    fn array(&self, name: &str, ty: &str, value: &str, len: usize) -> String {
        format!("{ty} {name}[{len}] = {{{}}};", vec![value; len].join(", "))
    }

    fn constant(&self, name: &str, ty: &str, value: &str) -> String {
        format!("const {ty} {name} = {value};")
    }

    fn variable(&self, name: &str, ty: &str, value: &str) -> String {
        format!("{ty} {name} = {value};")
    }

    fn count(&self, name: &str, ty: &str, from: &str, below: &str, step: usize) -> String {
        format!("for ({ty} {name} = {from}; {name} < {below}; {name} += {step}) {{")
    }

    fn unroll(&self) -> Option<&'static str> {
        Some("#pragma unroll")
    }

    fn select(&self, condition: &str, a: &str, b: &str) -> String {
        format!("{condition} ? {a} : {b}")
    }

    fn literal(&self, dtype: DType, value: f64) -> String {
        match Scalar::of(dtype) {
            Scalar::Float => {
                let v = value as f32;
                if v.is_finite() { format!("{v:?}f") } else { format!("__uint_as_float({:#x}u)", v.to_bits()) }
            }
            Scalar::Int if value as i32 == i32::MIN => "-2147483647 - 1".into(),
            Scalar::Int => format!("{}", value as i32),
            Scalar::Uint => format!("{}u", saturated(dtype, value)),
            Scalar::Bool | Scalar::Index => format!("{}", value != 0.0),
        }
    }

    fn floored(&self, remainder: bool, a: &str, by: i64, wide: bool) -> String {
        let function = if remainder { "floor_rem" } else { "floor_div" };
        format!("{function}<{}>({a}, {by})", self.ty(Scalar::Index, wide))
    }

    fn index_as(&self, ty: Scalar, index: &str) -> String {
        format!("({})({index})", self.ty(ty, false))
    }

    fn as_index(&self, _: DType, value: &str, wide: bool) -> String {
        format!("({}){value}", self.ty(Scalar::Index, wide))
    }

    fn unary(&self, op: Unary, dtype: DType, a: &str) -> String {
        if dtype == DType::I32 {
            return match op {
                Unary::Neg => format!("(int)(0u - (unsigned){a})"),
                Unary::Abs => format!("(int)({a} < 0 ? 0u - (unsigned){a} : (unsigned){a})"),
                _ => format!("({a} > 0) - ({a} < 0)"),
            };
        }
        match op {
            Unary::Neg => format!("-{a}"),
            Unary::Abs => format!("fabsf({a})"),
            Unary::Sign => format!("{a} > 0.0f ? 1.0f : {a} < 0.0f ? -1.0f : {a}"),
            Unary::Exp => format!("expf({a})"),
            Unary::Log => format!("logf({a})"),
            Unary::Expm1 => format!("expm1f({a})"),
            Unary::Log1p => format!("log1pf({a})"),
            Unary::Sqrt => format!("sqrtf({a})"),
            Unary::Rsqrt => format!("rsqrtf({a})"),
            Unary::Recip => format!("1.0f / {a}"),
            Unary::Sin => format!("sinf({a})"),
            Unary::Cos => format!("cosf({a})"),
            Unary::Tanh => format!("tanhf({a})"),
            Unary::Sigmoid => format!("1.0f / (1.0f + expf(-{a}))"),
            Unary::Erf => format!("erff({a})"),
            Unary::Floor => format!("floorf({a})"),
            Unary::Ceil => format!("ceilf({a})"),
            Unary::Round => format!("rintf({a})"),
            Unary::IsFinite => format!("is_finite({a})"),
            Unary::Not => format!("!{a}"),
        }
    }

    fn binary(&self, op: Binary, dtype: DType, a: &str, b: &str) -> String {
        let (float, unsigned) = (dtype.is_float(), Scalar::of(dtype) == Scalar::Uint);
        let symbol = match op {
            Binary::Add => "+",
            Binary::Sub => "-",
            Binary::Mul => "*",
            Binary::Div if float => "/",
            Binary::Div if unsigned => return format!("divide_uint({a}, {b})"),
            Binary::Div => return format!("divide_int({a}, {b})"),
            Binary::Rem if float => return format!("fmodf({a}, {b})"),
            Binary::Rem if unsigned => return format!("remainder_uint({a}, {b})"),
            Binary::Rem => return format!("remainder_int({a}, {b})"),
            Binary::Pow => return format!("powf({a}, {b})"),
            Binary::Max if float => return format!("larger({a}, {b})"),
            Binary::Min if float => return format!("smaller({a}, {b})"),
            Binary::Max => return format!("{a} > {b} ? {a} : {b}"),
            Binary::Min => return format!("{a} < {b} ? {a} : {b}"),
            // On bool these give an int of 0 or 1, which becomes a bool again.
            Binary::And => return format!("{a} & {b}"),
            Binary::Or => return format!("{a} | {b}"),
            Binary::Xor => return format!("{a} ^ {b}"),
        };
        match dtype {
            DType::I32 => format!("(int)((unsigned){a} {symbol} (unsigned){b})"),
            DType::U8 => format!("({a} {symbol} {b}) & 0xffu"),
            _ => format!("{a} {symbol} {b}"),
        }
    }

    fn compare(&self, op: Compare, _: DType, a: &str, b: &str) -> String {
        match op {
            Compare::Eq => format!("{a} == {b}"),
            Compare::Ne => format!("{a} != {b}"),
            Compare::Lt => format!("{a} < {b}"),
            Compare::Le => format!("{a} <= {b}"),
        }
    }

    fn cast(&self, from: DType, to: DType, a: &str) -> String {
        match (from.is_float(), to) {
            (true, DType::I32) => format!("to_int({a})"),
            (true, DType::U32) => format!("to_uint({a})"),
            (true, DType::U8) => format!("to_byte({a})"),
            (true, DType::Bool) => format!("{a} != 0.0f"),
            (true, DType::BF16) => format!("bf16_value(bf16_bits({a}))"),
            (true, DType::F16) => format!("f16_value(f16_bits({a}))"),
            (true, DType::F32 | DType::F64) => a.into(),
            (false, DType::BF16) => format!("bf16_value(bf16_bits((float){a}))"),
            (false, DType::F16) => format!("f16_value(f16_bits((float){a}))"),
            (false, DType::F32 | DType::F64) => format!("(float){a}"),
            (false, DType::I32) => format!("(int){a}"),
            (false, DType::U32) => format!("(unsigned){a}"),
            (false, DType::U8) => format!("(unsigned){a} & 0xffu"),
            (false, DType::Bool) => format!("{a} != 0"),
        }
    }

    fn words_type(&self) -> &'static str {
        "Words"
    }

    fn random_word(&self, words: &str, number: &str, bits: bool) -> String {
        if bits { format!("{words}.at[{number}]") } else { format!("uniform({words}.at[{number}])") }
    }

    fn load(&self, slot: &Slot, index: &str) -> String {
        widened(slot.dtype, &format!("{}[{index}]", slot.name))
    }

    fn store(&self, slot: &Slot, index: &str, value: &str) -> String {
        format!("{}[{index}] = {};", slot.name, narrowed(slot.dtype, value))
    }

    fn vector_type(&self, slot: &Slot, width: usize) -> String {
        vector_name(slot.dtype, width)
    }

    fn vector_empty(&self, slot: &Slot, width: usize) -> String {
        format!("{}{{}}", vector_name(slot.dtype, width))
    }

    fn vector_load(&self, slot: &Slot, width: usize, index: &str) -> String {
        format!("*reinterpret_cast<const {}*>({} + ({index}))", vector_name(slot.dtype, width), slot.name)
    }

    fn vector_get(&self, slot: &Slot, _: usize, vector: &str, part: &str) -> String {
        widened(slot.dtype, &format!("{vector}.at[{part}]"))
    }

    fn vector_set(&self, slot: &Slot, _: usize, vector: &str, part: &str, value: &str) -> String {
        format!("{vector}.at[{part}] = {};", narrowed(slot.dtype, value))
    }

    fn vector_store(&self, slot: &Slot, width: usize, index: &str, vector: &str) -> String {
        format!("*reinterpret_cast<{}*>({} + ({index})) = {vector};", vector_name(slot.dtype, width), slot.name)
    }

    fn shared_len(&self, workers: Workers, threads: usize) -> usize {
        match workers {
            Workers::Block if threads > WARP => threads / WARP,
            Workers::Warp(lanes) if lanes > WARP => panic!("onestep bug: a CUDA warp has {WARP} lanes, not {lanes}"),
            Workers::Thread | Workers::Warp(_) | Workers::Block | Workers::Tiles | Workers::MatrixTiles => 0,
        }
    }

    /// Pairs at distance 16, 8, … within a warp; then every thread folds the warps' results in order.
    fn fold(
        &self,
        workers: Workers,
        threads: usize,
        partials: &[Partial],
        merge: &dyn Fn(&[String]) -> Vec<String>,
    ) -> Vec<String> {
        let others: Vec<String> = partials.iter().map(|p| format!("other_{}", p.name)).collect();
        let merged = || merge(&others).into_iter().map(|line| format!("  {line}"));
        let lanes = match workers {
            Workers::Thread | Workers::Tiles | Workers::MatrixTiles => return Vec::new(),
            Workers::Warp(lanes) => lanes,
            Workers::Block => threads.min(WARP),
        };
        let mut lines = vec![format!("for (int step = {}; step > 0; step /= 2) {{", lanes / 2)];
        for (p, other) in partials.iter().zip(&others) {
            let ty = self.ty(p.ty, false);
            lines.push(format!("  const {ty} {other} = __shfl_xor_sync(0xffffffffu, {}, step);", p.name));
        }
        lines.extend(merged());
        lines.push("}".into());
        if self.shared_len(workers, threads) > 0 {
            let name = |i: usize| shared_name(&Shared { ty: partials[i].ty, number: i });
            lines.push(format!("if (thread % {WARP} == 0) {{"));
            lines
                .extend((0..partials.len()).map(|i| format!("  {}[thread / {WARP}] = {};", name(i), partials[i].name)));
            lines.push("}".into());
            lines.push("__syncthreads();".into());
            lines.extend((0..partials.len()).map(|i| format!("{} = {}[0];", partials[i].name, name(i))));
            lines.push(format!("for (int warp = 1; warp < {}; ++warp) {{", threads / WARP));
            for (i, other) in others.iter().enumerate() {
                lines.push(format!("  const {} {other} = {}[warp];", self.ty(partials[i].ty, false), name(i)));
            }
            lines.extend(merged());
            lines.push("}".into());
            lines.push("__syncthreads();".into());
        }
        lines
    }

    fn meet(&self) -> &'static str {
        "__syncthreads();"
    }

    fn barrier(&self, workers: Workers) -> &'static str {
        match workers {
            Workers::Thread | Workers::Tiles | Workers::MatrixTiles => "",
            Workers::Warp(_) => "__syncwarp();",
            Workers::Block => self.meet(),
        }
    }
}

/// The first lines of a kernel: its name and parameters, one more than what it binds with `extra`. No pointer is
/// `__restrict__`: compilers would load what a kernel only reads through caches that are not told what the kernel
/// before has written ([`take_turn`](HELPERS) comes after the kernel's start).
/// `bounds` are the threads of a block and, if wanted, how many blocks are to fit a multiprocessor at least.
pub(super) fn signature(entry: &str, bounds: &str, bindings: &[(Binding, Slot)], extra: Option<String>) -> String {
    let parameter = |(_, slot): &(Binding, Slot)| {
        let constant = if slot.written { "" } else { "const " };
        format!("    {constant}{}* {}", stored(slot.dtype), slot.name)
    };
    let parameters: Vec<String> = bindings.iter().map(parameter).chain(extra).collect();
    let parameters = parameters.join(",\n");
    format!("extern \"C\" __global__ void __launch_bounds__({bounds}) {entry}(\n{parameters}) {{\n")
}

/// The type in which elements lie in memory.
fn stored(dtype: DType) -> &'static str {
    match dtype {
        DType::F64 => panic!("onestep bug: f64 reached the CUDA printer"),
        DType::F32 => "float",
        DType::BF16 | DType::F16 => "unsigned short",
        DType::I32 => "int",
        DType::U32 => "unsigned",
        DType::U8 | DType::Bool => "unsigned char",
    }
}

fn vector_name(dtype: DType, width: usize) -> String {
    let ty = match dtype {
        DType::F64 => panic!("onestep bug: f64 reached the CUDA printer"),
        DType::F32 => "Floats",
        DType::BF16 | DType::F16 => "Shorts",
        DType::I32 => "Ints",
        DType::U32 => "Uints",
        DType::U8 | DType::Bool => "Bytes",
    };
    format!("{ty}{width}")
}

/// A value from the form it has in memory.
fn widened(dtype: DType, raw: &str) -> String {
    match dtype {
        DType::F64 | DType::F32 | DType::I32 | DType::U32 | DType::U8 => raw.into(),
        DType::BF16 => format!("bf16_value({raw})"),
        DType::F16 => format!("f16_value({raw})"),
        DType::Bool => format!("{raw} != 0"),
    }
}

/// A value in the form it has in memory.
fn narrowed(dtype: DType, value: &str) -> String {
    match dtype {
        DType::F64 | DType::F32 | DType::I32 | DType::U32 => value.into(),
        DType::BF16 => format!("(unsigned short)bf16_bits({value})"),
        DType::F16 => format!("(unsigned short)f16_bits({value})"),
        DType::U8 | DType::Bool => format!("(unsigned char){value}"),
    }
}
