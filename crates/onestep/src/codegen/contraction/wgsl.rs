//! Tile kernels in WGSL. It has no pointers to speak of: a place in memory is the number of an element. Shared memory is
//! made of vectors of four, of which single floats are parts. Loops that are best unrolled are printed so.

use super::cut::OWN;
use super::staging::Side;
use super::{Cut, Text, TileFrame, Tongue};
use crate::codegen::bindings::Access;
use crate::codegen::dialect::{Dialect, Scalar};
use crate::codegen::wgsl::{self, Wgsl};

/// WGSL for a device's limits.
pub(super) struct WgslTiles(pub(super) Wgsl);

/// The number of the vector of four in which a float lies.
fn vector_of(place: &str, offset: &str) -> String {
    format!("u32({}) / 4u", behind(place, offset))
}

fn behind(place: &str, offset: &str) -> String {
    if offset == "0" { place.into() } else { format!("{place} + {offset}") }
}

impl Tongue for WgslTiles {
    fn dialect(&self) -> &dyn Dialect {
        &self.0
    }

    fn head(&self, frame: &TileFrame) -> String {
        let mut text = wgsl::declared(frame.bindings);
        if let Some(access) = frame.scratch {
            let access = if access == Access::Read { "read" } else { "read_write" };
            let number = frame.bindings.len();
            text.push_str(&format!("@group(0) @binding({number}) var<storage, {access}> workspace: array<f32>;\n"));
        }
        match frame.shared {
            Some(("staged", fours)) => {
                text.push_str(&format!("var<workgroup> staged: array<vec4<f32>, {fours}>;\n"));
            }
            Some((name, fours)) => text.push_str(&format!("var<workgroup> {name}: array<f32, {}>;\n", 4 * fours)),
            None => {}
        }
        for (name, width, count) in &frame.lists {
            text.push_str(&format!("var<workgroup> {name}: array<array<i32, {width}>, {count}>;\n"));
        }
        text + &wgsl::entry(frame.entry, frame.threads, true, false)
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

    fn meet(&self) -> &'static str {
        "workgroupBarrier();"
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
        format!("var {name}: {};", lens.iter().rev().fold(self.0.ty(ty, false).to_string(), array))
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
            "shared" | "sums" => format!("staged[{}][u32({number}) % 4u]", vector_of(place, offset)),
            _ => format!("{memory}[{number}]"),
        }
    }

    fn four(&self, _: &str, place: &str, offset: usize) -> String {
        format!("staged[{}]", vector_of(place, &offset.to_string()))
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

    fn begin_sums(&self, t: &mut Text) {
        (0..OWN).for_each(|i| t.line(format!("var sum{i}: vec4<f32> = vec4<f32>();")));
    }

    fn multiply(&self, t: &mut Text, cut: &Cut, sides: [&Side; 2]) {
        // Steps beyond the last are staged as zeros, but for runs: a loop of known length is unrolled.
        let below = match sides.iter().any(|side| side.run().is_some()) {
            true => format!("min(k_end - k0, {})", cut.k),
            false => cut.k.to_string(),
        };
        t.open(format!("for (var k: i32 = group; k < {below}; k += {}) {{", cut.groups));
        for (to, own, side) in [("x", "own_m", sides[0]), ("y", "own_n", sides[1])] {
            let (first, row) = (side.at / OWN, side.row() / OWN);
            t.line(format!("let {to}: vec4<f32> = staged[k * {row} + {own} / {OWN} + {first}];"));
        }
        ["x", "y", "z", "w"].iter().enumerate().for_each(|(i, part)| t.line(format!("sum{i} += x.{part} * y;")));
        t.close();
    }

    fn put_together(&self, t: &mut Text, cut: &Cut) {
        let Cut { m: tm, n: tn, .. } = cut;
        for i in 0..OWN {
            let place = format!("group * {} + (own_m + {i}) * {} + own_n / {OWN}", tm * tn / OWN, tn / OWN);
            t.line(format!("staged[{place}] = sum{i};"));
        }
    }
}
