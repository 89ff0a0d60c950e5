//! The inside of a tile kernel for matrix units as WGSL has them: cooperative matrices, which the threads of a subgroup
//! hold together. One multiplication takes 16 rows by 16 columns over 16 steps of the sum, f16 with sums in f32. Which
//! thread holds what nobody knows, so results are seen through shared memory alone.
//!
//! The extension is wgpu's own: `enable wgpu_cooperative_matrix;`. A place in memory that is given to it is declared
//! before, for naga prints what is computed inside such a call too late.

use super::staging::Side;
use super::{Cut, Text};

/// Rows, columns and steps of a matrix.
const SIZE: usize = 16;

/// What a kernel must enable.
pub(super) const ENABLES: &str = "enable f16;\nenable wgpu_cooperative_matrix;\n";

/// Before the loop: where a subgroup's results lie in the tile, and its sums.
pub(super) fn prepare(t: &mut Text, cut: &Cut) {
    let ([_, across], [rows, columns]) = (cut.owners(), cut.own);
    t.line("let warp: i32 = i32(subgroup);".into());
    t.line(format!("let own_m: i32 = warp / {across} * {rows};"));
    t.line(format!("let own_n: i32 = warp % {across} * {columns};"));
    for (i, j) in matrices(cut) {
        t.line(format!("var sum{i}_{j}: coop_mat{SIZE}x{SIZE}<f32, C>;"));
    }
}

/// The products of what is staged.
pub(super) fn multiply(t: &mut Text, cut: &Cut, [left, right]: [&Side; 2]) {
    for step in (0..cut.k).step_by(SIZE) {
        t.open("{".into());
        (0..cut.own[1] / SIZE).for_each(|j| load(t, right, "B", &format!("y{j}"), j, step));
        for i in 0..cut.own[0] / SIZE {
            t.open("{".into());
            load(t, left, "A", "x", i, step);
            for j in 0..cut.own[1] / SIZE {
                t.line(format!("sum{i}_{j} = coopMultiplyAdd(x, y{j}, sum{i}_{j});"));
            }
            t.close();
        }
        t.close();
    }
}

/// Takes a subgroup's matrix number `number` along an operand's own axis, of the steps from `step` on.
fn load(t: &mut Text, side: &Side, role: &str, name: &str, number: usize, step: usize) {
    let (own, row, along_k) = (if role == "A" { "own_m" } else { "own_n" }, side.row(), side.staged_along_k());
    let (of_own, of_step) = if along_k { (row, 1) } else { (1, row) };
    let first = side.at + number * SIZE * of_own + step * of_step;
    t.line(format!("let {name}_at: i32 = ({own} * {of_own} + {first}) / 4;"));
    // Rows of a left operand are places, those of a right one are steps.
    let transposed = if along_k == (role == "A") { "T" } else { "" };
    let matrix = format!("coop_mat{SIZE}x{SIZE}<f16, {role}>");
    t.line(format!("let {name} = coopLoad{transposed}<{matrix}>(&halves[{name}_at], {}u);", row / 4));
}

/// Puts the sums of a subgroup that a round takes into shared memory.
pub(super) fn put_together(t: &mut Text, cut: &Cut, round: usize) {
    let (row, [rows, columns], [high, wide], first) = (cut.row(), cut.own, cut.at_once, cut.first_of_round(round));
    let within = |at: usize, axis: usize| (first[axis]..first[axis] + cut.at_once[axis]).contains(&(at * SIZE));
    for (i, j) in matrices(cut).filter(|&(i, j)| within(i, 0) && within(j, 1)) {
        let down = format!("own_m / {rows} * {high} + {}", i * SIZE - first[0]);
        let across = format!("own_n / {columns} * {wide} + {}", j * SIZE - first[1]);
        t.line(format!("let to{i}_{j}: i32 = (({down}) * {row} + {across}) / 4;"));
        t.line(format!("coopStoreT(sum{i}_{j}, &staged[to{i}_{j}], {}u);", row / 4));
    }
}

/// The matrices of a subgroup's results, by rows and columns.
fn matrices(cut: &Cut) -> impl Iterator<Item = (usize, usize)> {
    let [rows, columns] = cut.own.map(|n| n / SIZE);
    (0..rows).flat_map(move |i| (0..columns).map(move |j| (i, j)))
}
