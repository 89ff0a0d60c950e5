//! Tile kernels in WGSL. It has no pointers to speak of: a place in memory is the number of an element. Shared memory is
//! made of vectors of four, of which single floats are parts. Loops that are best unrolled are printed so.

use super::cut::OWN;
use super::staging::Side;
use super::{Cut, Text, TileFrame, Tongue, cooperative};
use crate::codegen::bindings::Access;
use crate::codegen::dialect::{Dialect, Scalar};
use crate::codegen::wgsl::{self, Wgsl};

/// WGSL for a device's limits.
pub(super) struct WgslTiles {
    pub(super) wgsl: Wgsl,
    /// Whether cooperative matrices multiply.
    pub(super) cooperative: bool,
}

/// The number of the vector of four in which a float lies.
fn vector_of(place: &str, offset: &str) -> String {
    format!("u32({}) / 4u", behind(place, offset))
}

fn behind(place: &str, offset: &str) -> String {
    if offset == "0" { place.into() } else { format!("{place} + {offset}") }
}

impl Tongue for WgslTiles {
    fn dialect(&self) -> &dyn Dialect {
        &self.wgsl
    }

    fn enables(&self) -> Vec<String> {
        self.cooperative.then(|| cooperative::ENABLES.into()).into_iter().collect()
    }

    fn head(&self, frame: &TileFrame) -> String {
        let mut text = wgsl::declared(frame.bindings);
        if let Some(access) = frame.scratch {
            let access = if access == Access::Read { "read" } else { "read_write" };
            let number = frame.bindings.len();
            text.push_str(&format!("@group(0) @binding({number}) var<storage, {access}> workspace: array<f32>;\n"));
        }
        match frame.memory.floats {
            Some(("staged", fours)) => {
                text.push_str(&format!("var<workgroup> staged: array<vec4<f32>, {fours}>;\n"));
            }
            Some((name, fours)) => text.push_str(&format!("var<workgroup> {name}: array<f32, {}>;\n", 4 * fours)),
            None => {}
        }
        if let Some(fours) = frame.memory.halves {
            text.push_str(&format!("var<workgroup> halves: array<vec4<f16>, {fours}>;\n"));
        }
        for (name, width, count) in &frame.memory.lists {
            text.push_str(&format!("var<workgroup> {name}: array<array<i32, {width}>, {count}>;\n"));
        }
        let numbers = [wgsl::GROUP, wgsl::SUBGROUP, wgsl::LOCAL];
        let numbers = if frame.memory.halves.is_some() { &numbers[..] } else { &[wgsl::GROUP, wgsl::LOCAL] };
        text + &wgsl::entry(frame.entry, frame.threads, numbers)
    }

    fn numbers(&self, frame: &TileFrame) -> Vec<String> {
        let mut lines = vec!["let thread: i32 = i32(local);".to_string(), wgsl::block(frame.groups)];
        if frame.groups.iter().product::<usize>() > frame.blocks {
            // The axes of the launch hold a few more.
            lines.extend([format!("if (block >= {}) {{", frame.blocks), "  return;".into(), "}".into()]);
        }
        lines
    }

    fn listed(&self, list: &str, entry: &str, i: usize) -> String {
        format!("{list}[{entry}][{i}]")
    }

    fn views(&self, _: &str) -> Vec<String> {
        Vec::new()
    }

    fn take_turn(&self) -> Option<&'static str> {
        None
    }

    fn repeat(&self, t: &mut Text, _: &str, count: usize, body: &dyn Fn(&mut Text, &str)) {
        for i in 0..count {
            t.open("{".into());
            body(t, &i.to_string());
            t.close();
        }
    }

    fn local(&self, ty: Scalar, name: &str, lens: &[usize]) -> String {
        let array = |inner: String, len: &usize| format!("array<{inner}, {len}>");
        format!("var {name}: {};", lens.iter().rev().fold(self.wgsl.ty(ty, false).to_string(), array))
    }

    fn filled(&self, name: &str, values: &[String]) -> String {
        let ty = format!("array<f32, {}>", values.len());
        format!("var {name}: {ty} = {ty}({});", values.join(", "))
    }

    fn place(&self, name: &str, _: &str, _: &str, offset: &str) -> String {
        format!("let {name}: i32 = {offset};")
    }

    fn at(&self, memory: &str, place: &str, offset: &str) -> String {
        let number = behind(place, offset);
        match memory {
            "shared" if self.cooperative => format!("halves[{}][u32({number}) % 4u]", vector_of(place, offset)),
            "shared" | "sums" => format!("staged[{}][u32({number}) % 4u]", vector_of(place, offset)),
            _ => format!("{memory}[{number}]"),
        }
    }

    fn four(&self, memory: &str, place: &str, offset: usize) -> String {
        let memory = if self.cooperative && memory == "shared" { "halves" } else { "staged" };
        format!("{memory}[{}]", vector_of(place, &offset.to_string()))
    }

    fn join(&self, parts: &[String]) -> String {
        format!("vec4<f32>({})", parts.join(", "))
    }

    fn four_type(&self) -> &'static str {
        "vec4<f32>"
    }

    fn store_four(&self, place: &str, offset: usize, parts: &[String]) -> Vec<String> {
        let one = |(i, part): (usize, &String)| {
            format!("{} = {part};", self.at("workspace", place, &(offset + i).to_string()))
        };
        parts.iter().enumerate().map(one).collect()
    }

    fn carry(&self, carry: &str, width: usize) -> String {
        format!("var {carry}: array<f32, {width}> = whole;")
    }

    fn begin_sums(&self, t: &mut Text, cut: &Cut) {
        for (i, j) in fours(cut, 0..cut.own[0]) {
            t.line(format!("var sum{i}_{j}: vec4<f32> = vec4<f32>();"));
        }
    }

    fn multiply(&self, t: &mut Text, cut: &Cut, sides: [&Side; 2]) {
        let step = |t: &mut Text, k: &str| {
            for (to, own, side, axis) in [("x", "own_m", sides[0], 0), ("y", "own_n", sides[1], 1)] {
                let (first, row) = (side.at / OWN, side.row() / OWN);
                for i in 0..cut.own[axis] / OWN {
                    let first = first + i * cut.fours_apart(axis) / OWN;
                    t.line(format!("let {to}{i}: vec4<f32> = staged[{k} * {row} + {own} / {OWN} + {first}];"));
                }
            }
            for (i, j) in fours(cut, 0..cut.own[0]) {
                let part = ["x", "y", "z", "w"][i % OWN];
                t.line(format!("sum{i}_{j} += x{}.{part} * y{j};", i / OWN));
            }
        };
        // Steps beyond the last are staged as zeros, but for runs.
        let all_staged = sides.iter().all(|side| side.run().is_none());
        if all_staged && cut.own != [OWN; 2] {
            // Much is done in a step: a loop of them costs more than it saves.
            return self.repeat(t, "k", cut.k, &step);
        }
        // A loop of known length is unrolled.
        let below = if all_staged { cut.k.to_string() } else { format!("min(k_end - k0, {})", cut.k) };
        t.open(format!("for (var k: i32 = group; k < {below}; k += {}) {{", cut.groups));
        step(t, "k");
        t.close();
    }

    fn put_together(&self, t: &mut Text, cut: &Cut, round: usize) {
        let ([at_once, _], [begin, _], n) = (cut.at_once, cut.first_of_round(round), cut.n);
        let group = cut.rows_of_round() * n / OWN;
        for (i, j) in fours(cut, begin..begin + at_once) {
            let first = if at_once == OWN { "own_m".into() } else { format!("own_m / {OWN} * {at_once}") };
            let row = format!("{first} + {}", i % at_once);
            let column = format!("own_n / {OWN} + {}", j * cut.fours_apart(1) / OWN);
            t.line(format!("staged[group * {group} + ({row}) * {} + {column}] = sum{i}_{j};", n / OWN));
        }
    }
}

/// The results of a thread, in fours of columns, of some of its rows.
fn fours(cut: &Cut, rows: std::ops::Range<usize>) -> impl Iterator<Item = (usize, usize)> {
    let across = cut.own[1] / OWN;
    rows.flat_map(move |i| (0..across).map(move |j| (i, j)))
}
