//! The inside of a tile kernel for matrix units (tensor cores): how warps take their fragments of both operands from
//! shared memory, what they multiply, and where the sums go. One instruction multiplies 16 rows by 8 columns over 32
//! bytes of steps. Which lane holds what: PTX ISA, "Matrix fragments for mma.m16n8k8 / m16n8k16".

use super::cut::Math;
use super::staging::Side;
use super::{Cut, Text};
use crate::ir::DType;

/// Before the loop: what a warp's lanes are to do, and their sums.
pub(super) fn prepare(t: &mut Text, cut: &Cut) {
    let [wm, wn] = cut.owners();
    let [rows, columns] = cut.own;
    t.line("const int lane = thread % 32;".into());
    t.line("const int warp = thread / 32;".into());
    t.line(format!("const int group = warp / {};", wm * wn));
    t.line(format!("const int own_m = warp / {wn} % {wm} * {rows};"));
    t.line(format!("const int own_n = warp % {wn} * {columns};"));
    t.line(format!("float sum[{}][{}][4] = {{}};", rows / 16, columns / 8));
}

/// The products of what is staged.
pub(super) fn multiply(t: &mut Text, cut: &Cut, [left, right]: [&Side; 2]) {
    let [rows, columns] = cut.own;
    let (depth, all) = (cut.math.depth(), cut.k);
    let function = multiplies(cut.math);
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

/// The function that multiplies fragments.
pub(super) fn multiplies(math: Math) -> &'static str {
    match math {
        Math::Tf32 => "multiply_tf32",
        Math::Half(DType::BF16) => "multiply_bf16",
        Math::Half(_) => "multiply_f16",
        Math::Scalar | Math::Cooperative => panic!("onestep bug: CUDA's matrix units do not multiply {math:?}"),
    }
}

/// Takes a warp's pieces of an operand, 16 places by 32 bytes of steps each, from shared memory. `lanes` says which
/// place, and which half of the steps, each lane's row of 16 bytes is of.
fn fragments(t: &mut Text, math: Math, side: &Side, step: &str, name: &str, count: usize, lanes: [&str; 2]) {
    if math == Math::Tf32 && !side.staged_along_k() {
        return fragments_across(t, side, step, name, count);
    }
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
        (Math::Tf32 | Math::Scalar | Math::Cooperative, false) => {
            panic!("onestep bug: elements of 32 bits are not turned on their way")
        }
    }
    t.close();
}

/// The places of an operand's own axis that a lane has, where steps do not lie side by side in shared memory: with so
/// many eights of places to a warp, up to four neighbours, which it takes at once. Else the lane has one place of each
/// eight.
fn neighbours(math: Math, side: &Side, eights: usize) -> usize {
    let across = math == Math::Tf32 && !side.staged_along_k() && !side.printed.cut.direct;
    if across { eights.min(4) } else { 1 }
}

/// The place of eight number `eight` that is lane group `lane`'s, counted from the warp's first.
fn place(eight: usize, together: usize, lane: &str) -> String {
    let first = eight / together * 8 * together + eight % together;
    let lane = if together == 1 { lane.to_string() } else { format!("{lane} * {together}") };
    if first == 0 { lane } else { format!("{first} + {lane}") }
}

/// Takes a warp's pieces of an operand of 32-bit elements whose places, not steps, lie side by side in shared memory:
/// 16 places by 8 steps each.
fn fragments_across(t: &mut Text, side: &Side, step: &str, name: &str, count: usize) {
    let together = neighbours(Math::Tf32, side, 2 * count);
    let (row, own) = (side.row(), if name == "a" { "own_m" } else { "own_n" });
    t.line(format!("unsigned {name}[{count}][4];"));
    t.open("{".into());
    t.line(format!("const float* const from = shared + {} + ({step} + lane % 4) * {row} + {own};", side.at));
    for half in 0..2 {
        for first in (0..2 * count).step_by(together) {
            let at = format!("from + {} + {}", half * 4 * row, place(first, together, "lane / 4"));
            t.line(format!(
                "const float{together} at{half}_{first} = *reinterpret_cast<const float{together}*>({at});"
            ));
            for (i, part) in ["x", "y", "z", "w"][..together].iter().enumerate() {
                let eight = first + i;
                // Of the left operand a register has the same steps of eight more rows, of the right one more steps.
                let word = if name == "a" { 2 * half + eight % 2 } else { eight % 2 * 2 + half };
                t.line(format!("{name}[{}][{word}] = __float_as_uint(at{half}_{first}.{part});", eight / 2));
            }
        }
    }
    t.close();
}

/// Puts the sums of a warp where the groups' sums come together.
pub(super) fn put_together(t: &mut Text, cut: &Cut, [left, right]: [&Side; 2]) {
    let [rows, columns] = cut.own;
    let (row, math) = (cut.row(), cut.math);
    let [down, across] = [neighbours(math, left, rows / 8), neighbours(math, right, columns / 8)];
    for eight in 0..rows / 8 {
        let (i, first) = (eight / 2, eight % 2 * 2);
        t.open("{".into());
        let at = place(eight, down, "lane / 4");
        t.line(format!("float* const to = sums + group * {} + (own_m + {at}) * {row} + own_n;", cut.m * row));
        // A lane has two columns side by side of each eight: or as many neighbours of one, and then of the other.
        for j in (0..columns / 8).step_by(across) {
            let width = across.max(2);
            for second in 0..if across == 1 { 1 } else { 2 } {
                let values: Vec<String> = match across {
                    1 => (0..2).map(|c| format!("sum[{i}][{j}][{}]", first + c)).collect(),
                    _ => (j..j + across).map(|j| format!("sum[{i}][{j}][{}]", first + second)).collect(),
                };
                let column = match across {
                    1 => format!("{} + lane % 4 * 2", j * 8),
                    _ => format!("{} + lane % 4 * {} + {}", j * 8, 2 * across, second * across),
                };
                let vector = format!("make_float{width}({})", values.join(", "));
                t.line(format!("*reinterpret_cast<float{width}*>(to + {column}) = {vector};"));
            }
        }
        t.close();
    }
}
