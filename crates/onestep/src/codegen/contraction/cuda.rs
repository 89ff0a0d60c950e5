//! Tile kernels in CUDA C++.

use super::cut::OWN;
use super::staging::Side;
use super::{Cut, Text, TileFrame, Tongue};
use crate::codegen::bindings::Access;
use crate::codegen::cuda::{self, Cuda};
use crate::codegen::dialect::{Dialect, Scalar};

/// CUDA C++.
pub(super) struct CudaTiles;

impl Tongue for CudaTiles {
    fn dialect(&self) -> &dyn Dialect {
        &Cuda
    }

    fn enables(&self) -> Vec<String> {
        Vec::new()
    }

    fn head(&self, frame: &TileFrame) -> String {
        let scratch = frame.scratch.map(|access| {
            let constant = if access == Access::Read { "const " } else { "" };
            format!("    {constant}float* workspace")
        });
        // Two blocks side by side hide each other's waits.
        let mut text = cuda::signature(frame.entry, &format!("{}, 2", frame.threads), frame.bindings, scratch);
        match frame.memory.floats {
            Some(("staged", fours)) => {
                text.push_str(&format!("  __shared__ float4 staged[{fours}];\n"));
            }
            Some((name, fours)) => text.push_str(&format!("  __shared__ float {name}[{}];\n", 4 * fours)),
            None => {}
        }
        for (name, width, count) in &frame.memory.lists {
            text.push_str(&format!("  __shared__ Ints{width} {name}[{count}];\n"));
        }
        text
    }

    fn numbers(&self, _: &TileFrame) -> Vec<String> {
        ["thread = threadIdx.x", "block = blockIdx.x"].map(|number| format!("const int {number};")).to_vec()
    }

    fn listed(&self, list: &str, entry: &str, i: usize) -> String {
        format!("{list}[{entry}].at[{i}]")
    }

    fn views(&self, cell: &str) -> Vec<String> {
        let view = |ty, name| format!("{ty}* const {name} = reinterpret_cast<{ty}*>(staged);");
        vec![view(cell, "shared"), view("float", "sums")]
    }

    fn take_turn(&self) -> Option<&'static str> {
        Some("take_turn();")
    }

    fn repeat(&self, t: &mut Text, name: &str, count: usize, body: &dyn Fn(&mut Text, &str)) {
        t.line("#pragma unroll".into());
        t.open(format!("for (int {name} = 0; {name} < {count}; ++{name}) {{"));
        body(t, name);
        t.close();
    }

    fn local(&self, ty: Scalar, name: &str, lens: &[usize]) -> String {
        let axes: String = lens.iter().map(|len| format!("[{len}]")).collect();
        format!("{} {name}{axes};", Cuda.ty(ty, false))
    }

    fn filled(&self, name: &str, values: &[String]) -> String {
        format!("float {name}[{}] = {{{}}};", values.len(), values.join(", "))
    }

    fn place(&self, name: &str, cell: &str, memory: &str, offset: &str) -> String {
        format!("{cell}* const {name} = {memory} + {offset};")
    }

    fn at(&self, memory: &str, place: &str, offset: &str) -> String {
        // A place is a pointer, but in memory that is counted by thread.
        if memory == "together" { format!("{memory}[{offset} + {place}]") } else { format!("{place}[{offset}]") }
    }

    fn four(&self, memory: &str, place: &str, offset: usize) -> String {
        let constant = if memory == "sums" { "const " } else { "" };
        match offset {
            0 => format!("*reinterpret_cast<{constant}float4*>({place})"),
            _ => format!("*reinterpret_cast<{constant}float4*>({place} + {offset})"),
        }
    }

    fn join(&self, parts: &[String]) -> String {
        format!("make_float4({})", parts.join(", "))
    }

    fn four_type(&self) -> &'static str {
        "float4"
    }

    fn store_four(&self, place: &str, offset: usize, parts: &[String]) -> Vec<String> {
        vec![format!("{} = {};", self.four("workspace", place, offset), self.join(parts))]
    }

    fn carry(&self, carry: &str, width: usize) -> String {
        format!("const float (&{carry})[{width}] = whole;")
    }

    fn begin_sums(&self, t: &mut Text, _: &Cut) {
        t.line(format!("float sum[{OWN}][{OWN}] = {{}};"));
    }

    fn multiply(&self, t: &mut Text, cut: &Cut, sides: [&Side; 2]) {
        let Cut { k: tk, groups, .. } = cut;
        t.line(format!("const int k_count = min(k_end - k0, {tk});"));
        t.line("#pragma unroll 8".into());
        t.open(format!("for (int k = group; k < k_count; k += {groups}) {{"));
        for (to, own, side) in [("x", "own_m", sides[0]), ("y", "own_n", sides[1])] {
            let place = format!("shared + {} + k * {} + {own}", side.at, side.row());
            t.line(format!("const float4 {to} = *reinterpret_cast<const float4*>({place});"));
        }
        t.line("const float xs[4] = {x.x, x.y, x.z, x.w};".into());
        t.line("const float ys[4] = {y.x, y.y, y.z, y.w};".into());
        t.line("#pragma unroll".into());
        t.open(format!("for (int i = 0; i < {OWN}; ++i) {{"));
        t.line("#pragma unroll".into());
        t.line(format!("for (int j = 0; j < {OWN}; ++j) sum[i][j] += xs[i] * ys[j];"));
        t.close();
        t.close();
    }

    fn put_together(&self, t: &mut Text, cut: &Cut, _: usize) {
        let Cut { m: tm, n: tn, .. } = cut;
        t.line("#pragma unroll".into());
        t.open(format!("for (int i = 0; i < {OWN}; ++i) {{"));
        t.line(format!(
            "*reinterpret_cast<float4*>(sums + group * {} + (own_m + i) * {tn} + own_n) = \
             make_float4(sum[i][0], sum[i][1], sum[i][2], sum[i][3]);",
            tm * tn
        ));
        t.close();
    }
}
