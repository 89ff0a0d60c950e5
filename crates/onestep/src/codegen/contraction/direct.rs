//! Small products without a detour: where a device has more multiprocessors than there are results to fill them, a
//! block computes 16 rows by 8 columns, its warps share the steps of the sum, and each lane loads its part of both
//! operands from device memory to where matrix units want it. One wait for memory takes the place of one for each time
//! that steps are staged, and of a second kernel that adds partial sums.

use super::cut::{Cut, Math};
use super::matrix;
use super::staging::{Side, lie_together, lies_along_k};
use super::{Printed, Text, Tiling, along};
use crate::codegen::cuda::Cuda;
use crate::codegen::dialect::Dialect;
use crate::plan::{Contraction, LoopKernel};

/// Most steps of the sum: beyond, more blocks that share it win.
const MOST_STEPS: usize = 1024;
/// Most blocks for each multiprocessor: with more, tiles that share what they load win.
const MOST_BLOCKS: usize = 2;
/// Warps of a block: as many as wait for memory once. They need not be fewer than it takes to store the results at once.
const LEAST_WARPS: usize = 4;
const MOST_WARPS: usize = 16;
/// Lanes that share a row's steps.
const SHARERS: usize = 4;

/// Steps of a lane, 16 bytes where they lie together: which steps these are does not matter to a sum, as long as both
/// operands have the same.
fn steps(math: Math) -> usize {
    16 / math.bytes()
}

/// The cut of a product that is small and plain enough, by matrix units.
pub(super) fn cut(nest: &LoopKernel, product: &Contraction, math: Math, tiling: Tiling) -> Option<Cut> {
    let Contraction { batch, m, n, k, left, right, .. } = product;
    let all_at_once = k.extent().div_ceil(SHARERS * steps(math)).next_power_of_two();
    let cut = Cut::direct(math, all_at_once.clamp(LEAST_WARPS, MOST_WARPS));
    let blocks = cut.tiles(product).iter().product::<usize>() * batch.extent();
    let small = k.extent() <= MOST_STEPS && blocks <= MOST_BLOCKS * tiling.multiprocessors;
    let lets = &nest.phases[0].lets;
    let plain = lets.is_empty() && k.vars.len() == 1 && left.guards.is_empty() && right.guards.is_empty();
    let fits = |(load, own)| {
        let along_k = lies_along_k(load, k, own);
        match math {
            Math::Scalar | Math::Cooperative => false,
            Math::Tf32 if !along_k => true,
            Math::Tf32 | Math::Half(_) => along_k && lie_together(lets, load, k, steps(math)),
        }
    };
    let whole = k.extent().is_multiple_of(steps(math));
    (small && plain && whole && [(*left, m), (*right, n)].into_iter().all(fits)).then_some(cut)
}

impl Printed<'_> {
    /// The products of all steps.
    pub(super) fn multiply_directly(&self, t: &mut Text) {
        let math = self.cut.math;
        let (all, own) = (self.product.k.extent(), steps(math));
        let chunk = SHARERS * own;
        matrix::prepare(t, &self.cut);
        t.line("take_turn();".into());
        let ty = if math == Math::Tf32 { "float" } else { "unsigned" };
        t.line("#pragma unroll 4".into());
        let at_once = self.cut.groups * chunk;
        t.open(format!("for (int k0 = 0; k0 < {all}; k0 += {at_once}) {{"));
        t.line(format!("const int k = k0 + group * {chunk} + lane % {SHARERS} * {own};"));
        let inside = if all.is_multiple_of(at_once) { String::new() } else { format!("if (k < {all}) ") };
        let [left, right] = self.sides();
        for (name, side) in [("a", &left), ("b", &right)] {
            let eights = side.wide / 8;
            t.line(format!("{ty} {name}[{eights}][4] = {{}};"));
            t.line("#pragma unroll".into());
            t.open(format!("for (int i = 0; i < {eights}; ++i) {{"));
            let last = side.axis.extent() - 1;
            t.line(format!("const int own = min({} + i * 8 + lane / {SHARERS}, {last});", side.origin));
            t.open(format!("{inside}{{"));
            side.load_fragment(t, name);
            t.close();
            t.close();
        }
        for word in [0, 2] {
            let bits = |of: &str, i: usize, word: usize| match math {
                Math::Tf32 => format!("__float_as_uint(tf32({of}[{i}][{word}]))"),
                _ => format!("{of}[{i}][{word}]"),
            };
            let left = [(0, word), (1, word), (0, word + 1), (1, word + 1)].map(|(i, word)| bits("a", i, word));
            t.line(format!("const unsigned left{word}[4] = {{{}}};", left.join(", ")));
            let [x, y] = [word, word + 1].map(|word| bits("b", 0, word));
            t.line(format!("{}(sum[0][0], left{word}, {x}, {y});", matrix::multiplies(math)));
        }
        t.close();
    }
}

impl Side<'_> {
    /// Loads a lane's steps from `k` on at place `own` of the operand's own axis.
    fn load_fragment(&self, t: &mut Text, name: &str) {
        let slot = &self.printed.bindings.slots[&self.load.buffer];
        let index = |step: usize| {
            let at = if step == 0 { "k".to_string() } else { format!("(k + {step})") };
            let map = &self.load.index;
            [vec![self.staying(map)], along(&self.printed.product.k, map, &at)].concat().join(" + ")
        };
        match self.printed.cut.math {
            Math::Tf32 if self.along_k() => {
                let (ty, all) = (Cuda.vector_type(slot, 4), Cuda.vector_load(slot, 4, &index(0)));
                t.line(format!("const {ty} v = {all};"));
                for j in 0..4 {
                    let part = Cuda.vector_get(slot, 4, "v", &j.to_string());
                    t.line(format!("{name}[i][{j}] = {part};"));
                }
            }
            Math::Tf32 | Math::Scalar | Math::Cooperative => {
                (0..4).for_each(|j| t.line(format!("{name}[i][{j}] = {};", Cuda.load(slot, &index(j)))));
            }
            Math::Half(_) => {
                let at = index(0);
                t.line(format!("const uint4 v = *reinterpret_cast<const uint4*>({} + ({at}));", slot.name));
                for (j, part) in ["x", "y", "z", "w"].into_iter().enumerate() {
                    t.line(format!("{name}[i][{j}] = v.{part};"));
                }
            }
        }
    }
}
