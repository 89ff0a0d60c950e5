//! The inside of a tile kernel for matrix units (tensor cores): how warps take their fragments of both operands from
//! shared memory, what they multiply, and where the sums go. One instruction multiplies 16 rows by 8 columns over 32
//! bytes of steps. Which lane holds what: PTX ISA, "Matrix fragments for mma.m16n8k8 / m16n8k16".

use super::cut::Math;
use super::staging::Side;
use super::{Cut, Text};
use crate::ir::DType;

/// Before the loop: what a warp's lanes are to do, and their sums.
pub(super) fn prepare(t: &mut Text, cut: &Cut) {
    let [wm, wn] = cut.warps;
    let [rows, columns] = cut.of_warp();
    t.line("const int lane = thread % 32;".into());
    t.line("const int warp = thread / 32;".into());
    t.line(format!("const int group = warp / {};", wm * wn));
    t.line(format!("const int own_m = warp / {wn} % {wm} * {rows};"));
    t.line(format!("const int own_n = warp % {wn} * {columns};"));
    t.line(format!("float sum[{}][{}][4] = {{}};", rows / 16, columns / 8));
}

/// The products of what is staged.
pub(super) fn multiply(t: &mut Text, cut: &Cut, [left, right]: [&Side; 2]) {
    let [rows, columns] = cut.of_warp();
    let (depth, all) = (cut.math.depth(), cut.k);
    let function = match cut.math {
        Math::Tf32 => "multiply_tf32",
        Math::Half(DType::BF16) => "multiply_bf16",
        Math::Half(_) => "multiply_f16",
        Math::Scalar => panic!("onestep bug: no matrix unit multiplies by threads"),
    };
    t.line("#pragma unroll".into());
    t.open(format!("for (int k = 0; k < {all}; k += {}) {{", cut.groups * depth));
    let step = if cut.groups > 1 { format!("(k + group * {depth})") } else { "k".into() };
    fragments(t, cut.math, left, &step, "a", rows / 16, ["lane % 16", "lane / 16"]);
    fragments(t, cut.math, right, &step, "b", columns / 16, ["lane / 16 * 8 + lane % 8", "lane / 8 % 2"]);
    t.line("#pragma unroll".into());
    t.open(format!("for (int i = 0; i < {}; ++i) {{", rows / 16));
    t.line("#pragma unroll".into());
    t.open(format!("for (int j = 0; j < {}; ++j) {{", columns / 8));
    t.line(format!("{function}(sum[i][j], a[i], b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]);"));
    t.close();
    t.close();
    t.close();
}

/// Takes a warp's pieces of an operand, 16 places by 32 bytes of steps each, from shared memory. `lanes` says which
/// place, and which half of the steps, each lane's row of 16 bytes is of.
fn fragments(t: &mut Text, math: Math, side: &Side, step: &str, name: &str, count: usize, lanes: [&str; 2]) {
    let (row, first, half) = (side.row(), format!("shared + {}", side.at), math.depth() / 2);
    let own = format!("own_{} + i * 16", if name == "a" { "m" } else { "n" });
    let [place, part] = lanes;
    t.line(format!("unsigned {name}[{count}][4];"));
    t.line("#pragma unroll".into());
    t.open(format!("for (int i = 0; i < {count}; ++i) {{"));
    match (math, side.staged_along_k()) {
        (_, true) => {
            t.line(format!(
                "load_matrices({name}[i], {first} + ({own} + {place}) * {row} + {step} + {part} * {half});"
            ));
        }
        (Math::Half(_), false) => {
            // The same lanes with places and steps changed about.
            let (place, part) = match name {
                "a" => ("lane / 8 % 2", "lane / 16 * 8 + lane % 8"),
                _ => ("lane / 16", "lane % 16"),
            };
            t.line(format!("load_transposed({name}[i], {first} + ({step} + {part}) * {row} + {own} + {place} * 8);"));
        }
        (Math::Tf32 | Math::Scalar, false) => {
            t.line(format!("const float* const from = {first} + ({step} + lane % 4) * {row} + {own} + lane / 4;"));
            let places = if name == "a" { [0, 8, 4 * row, 4 * row + 8] } else { [0, 4 * row, 8, 4 * row + 8] };
            for (i, place) in places.into_iter().enumerate() {
                t.line(format!("{name}[i][{i}] = __float_as_uint(from[{place}]);"));
            }
        }
    }
    t.close();
}

/// Puts the sums of a warp where the groups' sums come together.
pub(super) fn put_together(t: &mut Text, cut: &Cut) {
    let [rows, columns] = cut.of_warp();
    let row = cut.row();
    t.line("#pragma unroll".into());
    t.open(format!("for (int i = 0; i < {}; ++i) {{", rows / 16));
    t.line("#pragma unroll".into());
    t.open(format!("for (int j = 0; j < {}; ++j) {{", columns / 8));
    t.line(format!(
        "float* const to = sums + group * {} + (own_m + i * 16 + lane / 4) * {row} + own_n + j * 8 + lane % 4 * 2;",
        cut.m * row
    ));
    for (i, place) in [0, 1, 8 * row, 8 * row + 1].into_iter().enumerate() {
        t.line(format!("to[{place}] = sum[i][j][{i}];"));
    }
    t.close();
    t.close();
}
