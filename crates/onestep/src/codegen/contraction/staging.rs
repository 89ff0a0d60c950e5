//! An operand's way into shared memory: where its elements lie, how a thread's share of them is loaded through the
//! operand's own index map, and how they are laid out for what multiplies them.

use super::cut::{Math, VECTOR};
use super::{Printed, Text, along};
use crate::codegen::dialect::Scalar;
use crate::plan::{Affine, Axis, Guard, Let, Load, Var};

/// Bytes of shared memory for what is worked out once a step.
const STEPS_BYTES: usize = 4 << 10;
/// For both operands.
pub(super) const LISTS_BYTES: usize = 2 * STEPS_BYTES;

/// An operand on its way into shared memory.
pub(super) struct Side<'a> {
    pub(super) printed: &'a Printed<'a>,
    pub(super) load: &'a Load,
    /// Its own axis: rows of the left operand, columns of the right one.
    pub(super) axis: &'a Axis,
    /// Where the tile begins on that axis.
    pub(super) origin: &'static str,
    pub(super) name: &'static str,
    /// The tile's width on that axis.
    pub(super) wide: usize,
    /// Steps of the sum that are staged at once.
    pub(super) steps: usize,
    /// Its first element in shared memory.
    pub(super) at: usize,
}

impl Side<'_> {
    /// Whether steps of the sum, not places of its own axis, lie side by side in device memory.
    pub(super) fn along_k(&self) -> bool {
        lies_along_k(self.load, &self.printed.product.k, self.axis)
    }

    /// The axis of what lies side by side in device memory.
    pub(super) fn near_axis(&self) -> &Axis {
        if self.along_k() { &self.printed.product.k } else { self.axis }
    }

    /// Whether they lie so in shared memory: matrix units take both, threads that multiply want neighbouring places.
    pub(super) fn staged_along_k(&self) -> bool {
        self.printed.cut.math != Math::Scalar && self.along_k()
    }

    /// The distance of rows in shared memory: of steps, or of places where steps lie side by side. Rows begin in
    /// different banks.
    pub(super) fn row(&self) -> usize {
        match (self.printed.cut.math, self.staged_along_k()) {
            (Math::Scalar, _) => self.wide + 4,
            (Math::Tf32, true) => self.steps + 4,
            (Math::Half(_) | Math::Cooperative, true) => self.steps + 8,
            (Math::Tf32 | Math::Half(_) | Math::Cooperative, false) => self.wide + 8,
        }
    }

    /// Elements that it takes in shared memory.
    pub(super) fn elements(&self) -> usize {
        self.row() * if self.staged_along_k() { self.wide } else { self.steps }
    }

    /// Elements that a thread moves at once: several where they lie together, all of them there or none.
    pub(super) fn width(&self) -> usize {
        let widest = if self.printed.cut.math.bytes() == 2 { 2 * VECTOR } else { VECTOR };
        [8, 4].into_iter().find(|&width| width <= widest && self.lie_together(width)).unwrap_or(1)
    }

    fn lie_together(&self, width: usize) -> bool {
        lie_together(&self.printed.nest.phases[0].lets, self.load, self.near_axis(), width)
    }

    /// How many elements a thread loads one by one, where runs of them share one address a third of them.
    pub(super) fn loads_alone(&self) -> usize {
        match self.run() {
            Some(run) => self.loads() * run.length / 3,
            None if self.width() == 1 => self.loads(),
            None => 0,
        }
    }

    pub(super) fn loads(&self) -> usize {
        let moved = match self.run() {
            Some(run) => run.across * run.count,
            None => self.wide * self.steps / self.width(),
        };
        moved.div_ceil(self.threads())
    }

    /// Threads that load.
    pub(super) fn threads(&self) -> usize {
        self.printed.cut.threads()
    }

    /// Place on its own axis and step of the first of the elements of number `i` that a thread moves, counted from the
    /// tile's corner.
    fn place(&self, i: &str) -> [String; 2] {
        let (at, wide, steps) = (format!("(thread + {i} * {})", self.threads()), self.wide, self.steps);
        match (self.along_k(), self.width()) {
            (true, 1) => [format!("{at} / {steps}"), format!("{at} % {steps}")],
            (true, width) if self.staged_along_k() => {
                [format!("{at} / {}", steps / width), format!("{at} % {} * {width}", steps / width)]
            }
            // Neighbouring threads take neighbouring rows: what they put into shared memory lies side by side.
            (true, width) => [format!("{at} % {wide}"), format!("{at} / {wide} * {width}")],
            (false, 1) => [format!("{at} % {wide}"), format!("{at} / {wide}")],
            (false, width) => [format!("{at} % {} * {width}", wide / width), format!("{at} / {}", wide / width)],
        }
    }

    /// The maps that are evaluated at each element: those of guards, and the index.
    pub(super) fn maps(&self) -> Vec<&Affine> {
        self.load.indices().collect()
    }

    /// The derived variables that it uses with what they derive from: those that stay while steps go by, or the
    /// others.
    fn lets(&self, staying: bool) -> Vec<(usize, &Let)> {
        let used = |i: usize| self.maps().iter().any(|a| a.coefficient(Var::Let(i as u32)) != 0);
        let lets = self.printed.nest.phases[0].lets.iter().enumerate();
        lets.filter(|&(i, l)| used(i) && stays(derived(l).1) == staying).collect()
    }

    /// The part of a map that stays while steps go by.
    pub(super) fn staying(&self, map: &Affine) -> String {
        let mut terms = along(self.axis, map, "own");
        let lets = self.lets(true);
        let batch = self.printed.product.batch.vars.iter().map(|v| v.0);
        let named = batch.chain(lets.iter().map(|l| Var::Let(l.0 as u32)));
        let named = Affine { terms: named.map(|v| (v, map.coefficient(v))).filter(|t| t.1 != 0).collect(), ..*map };
        if terms.is_empty() || !named.terms.is_empty() || named.offset != 0 {
            terms.push(named.code());
        }
        terms.join(" + ")
    }

    /// The part of a map that follows the steps, at step `k`.
    pub(super) fn following(&self, map: &Affine) -> Vec<String> {
        let mut terms = along(&self.printed.product.k, map, "k");
        let lets = self.lets(false);
        let named = lets.iter().map(|l| Var::Let(l.0 as u32));
        let named = Affine { offset: 0, terms: named.map(|v| (v, map.coefficient(v))).filter(|t| t.1 != 0).collect() };
        terms.extend((!named.terms.is_empty()).then(|| named.code()));
        terms
    }

    /// Whether what follows the steps is worked out once for all elements of a step, and kept in shared memory.
    pub(super) fn has_steps(&self) -> bool {
        let divided = |map: &&Affine| self.following(map).iter().any(|term| term.contains('/') || term.contains('%'));
        self.printed.cut.has_lists
            && self.run().is_none()
            && self.lets(false).is_empty()
            && self.maps().len() <= 8
            && self.maps().iter().any(divided)
            && self.steps_listed() * self.step_width() * 4 <= STEPS_BYTES
    }

    /// How many steps are listed, each for the elements that are moved at once: with those beyond the last that threads
    /// without an element of the last tile look at.
    fn steps_listed(&self) -> usize {
        let cut = &self.printed.cut;
        let before_last = cut.chunk(self.printed.product.k.extent()).next_multiple_of(cut.k) - cut.k;
        let last = (self.loads() * self.threads() * self.width()).div_ceil(self.wide).max(cut.k);
        (before_last + last).div_ceil(self.width_along_k())
    }

    /// Steps of the elements that a thread moves at once.
    fn width_along_k(&self) -> usize {
        if self.along_k() { self.width() } else { 1 }
    }

    /// Numbers of a listed step.
    fn step_width(&self) -> usize {
        self.maps().len().next_power_of_two().max(2)
    }

    /// The list that it keeps in shared memory besides its elements: name, numbers of an entry, entries.
    pub(super) fn list(&self) -> Option<(String, usize, usize)> {
        self.has_steps().then(|| (self.list_name(), self.step_width(), self.steps_listed()))
    }

    fn list_name(&self) -> String {
        format!("{}_steps", self.name)
    }

    /// Before the loop: where its own axis stands for each element that a thread loads.
    pub(super) fn prepare(&self, t: &mut Text) {
        let (n, count) = (self.name, self.loads());
        if let Some(run) = self.run() {
            return self.prepare_runs(t, &run);
        }
        if self.has_steps() {
            self.printed.count(t, "at", "thread", &self.steps_listed().to_string(), self.threads());
            self.printed.int(t, "k", &format!("k_first + at * {}", self.width_along_k()));
            for (i, map) in self.maps().into_iter().enumerate() {
                let terms = self.following(map);
                let value = if terms.is_empty() { "0".into() } else { terms.join(" + ") };
                t.line(format!("{} = {value};", self.printed.tongue.listed(&self.list_name(), "at", i)));
            }
            t.close();
        }
        let tongue = self.printed.tongue;
        match self.printed.cut.math {
            Math::Scalar | Math::Tf32 => {
                t.line(tongue.local(Scalar::Float, &format!("{n}_next"), &[count, self.width()]));
            }
            Math::Half(_) => t.line(format!("{} {n}_next[{count}];", self.moved_type())),
            Math::Cooperative => t.line(format!("var {n}_next: array<{}, {count}>;", self.moved_type())),
        }
        let all = self.is_whole();
        if !all {
            t.line(tongue.local(Scalar::Bool, &format!("{n}_in"), &[count]));
        }
        let moving = self.lets(false);
        moving.iter().for_each(|(i, _)| t.line(tongue.local(Scalar::Index, &format!("{n}_let{i}"), &[count])));
        let maps = self.maps();
        (0..maps.len()).for_each(|i| t.line(tongue.local(Scalar::Index, &format!("{n}_map{i}"), &[count])));
        tongue.repeat(t, "i", count, &|t, at| {
            self.printed.int(t, "own", &format!("{} + {}", self.origin, self.place(at)[0]));
            if !all {
                t.line(format!("{n}_in[{at}] = own < {};", self.axis.extent()));
            }
            for (i, l) in self.lets(true) {
                let (remainder, map, by) = derived(l);
                let value = self.printed.dialect().floored(remainder, &self.staying(map), by, false);
                self.printed.int(t, &format!("l{i}"), &value);
            }
            for (i, l) in &moving {
                t.line(format!("{n}_let{i}[{at}] = {};", self.staying(derived(l).1)));
            }
            for (i, map) in maps.iter().enumerate() {
                t.line(format!("{n}_map{i}[{at}] = {};", self.staying(map)));
            }
        });
    }

    /// What a thread moves at once, where narrow elements are moved as they are: as words, which registers hold without
    /// packing and unpacking.
    fn moved_type(&self) -> &'static str {
        match (self.printed.cut.math, self.width()) {
            (Math::Cooperative, 8) => "vec4<u32>",
            (Math::Cooperative, 4) => "vec2<u32>",
            (Math::Cooperative, _) => "f32",
            (_, 8) => "uint4",
            (_, 4) => "uint2",
            _ => "unsigned short",
        }
    }

    /// Whether the tile is a whole number of elements for each thread, with every place on the operand's own axis there.
    fn is_whole(&self) -> bool {
        (self.wide * self.steps / self.width()).is_multiple_of(self.threads())
            && self.axis.extent().is_multiple_of(self.wide)
    }

    /// Loads the elements of the steps from `first` on into registers.
    pub(super) fn fetch(&self, t: &mut Text, first: &str) {
        if let Some(run) = self.run() {
            return self.fetch_runs(t, &run, first);
        }
        self.printed.tongue.repeat(t, "i", self.loads(), &|t, i| self.fetch_one(t, first, i));
    }

    /// Loads the elements of number `at` of the steps from `first` on.
    fn fetch_one(&self, t: &mut Text, first: &str, at: &str) {
        let (n, dialect) = (self.name, self.printed.dialect());
        self.printed.int(t, "k", &format!("{first} + {}", self.place(at)[1]));
        for (i, l) in self.lets(false) {
            let (remainder, map, by) = derived(l);
            let terms = [vec![format!("{n}_let{i}[{at}]")], self.following(map)].concat();
            self.printed.int(t, &format!("l{i}"), &dialect.floored(remainder, &terms.join(" + "), by, false));
        }
        let listed = self.has_steps();
        if listed {
            let step = dialect.index_as(Scalar::Uint, "k - k_first");
            let uint = dialect.ty(Scalar::Uint, false);
            t.line(dialect.constant("entry", uint, &format!("{step} / {}u", self.width_along_k())));
        }
        let value = |i: usize, map: &Affine| {
            let mut terms = vec![format!("{n}_map{i}[{at}]")];
            match self.following(map) {
                following if following.is_empty() => {}
                _ if listed => terms.push(self.printed.tongue.listed(&self.list_name(), "entry", i)),
                following => terms.extend(following),
            }
            terms.join(" + ")
        };
        let mut inside = Vec::new();
        if !self.is_whole() {
            inside.push(format!("{n}_in[{at}]"));
        }
        if !self.is_whole() || !self.printed.cut.is_whole(self.printed.product.k.extent()) {
            inside.push("k < k_end".to_string());
        }
        for (i, Guard { expr, low, high }) in self.load.guards.iter().enumerate() {
            let name = format!("q{i}");
            self.printed.int(t, &name, &value(i, expr));
            // Below 0 is far above as an unsigned number.
            inside.push(match low {
                0 => format!("{} < {high}u", dialect.index_as(Scalar::Uint, &name)),
                _ => format!("{name} >= {low} && {name} < {high}"),
            });
        }
        let index = value(self.load.guards.len(), &self.load.index);
        self.load_if(t, &inside.join(" && "), &index, at);
    }

    /// Loads a thread's elements of number `at` from an index on, or zeros.
    fn load_if(&self, t: &mut Text, inside: &str, index: &str, at: &str) {
        let (n, width, dialect) = (self.name, self.width(), self.printed.dialect());
        let slot = &self.printed.bindings.slots[&self.load.buffer];
        if let Math::Half(_) = self.printed.cut.math {
            let all = match width {
                1 => format!("{}[{index}]", slot.name),
                _ => format!("*reinterpret_cast<const {}*>({} + ({index}))", self.moved_type(), slot.name),
            };
            if inside.is_empty() {
                return t.line(format!("{n}_next[{at}] = {all};"));
            }
            t.line(format!("{n}_next[{at}] = {{}};"));
            return t.line(format!("if ({inside}) {n}_next[{at}] = {all};"));
        }
        if self.printed.cut.math == Math::Cooperative {
            let all = if width == 1 { dialect.load(slot, index) } else { dialect.vector_load(slot, width, index) };
            if inside.is_empty() {
                return t.line(format!("{n}_next[{at}] = {all};"));
            }
            t.line(format!("{n}_next[{at}] = {}();", self.moved_type()));
            t.open(format!("if ({inside}) {{"));
            t.line(format!("{n}_next[{at}] = {all};"));
            return t.close();
        }
        if inside.is_empty() {
            t.open("{".into());
        } else {
            (0..width).for_each(|j| t.line(format!("{n}_next[{at}][{j}] = 0.0f;")));
            t.open(format!("if ({inside}) {{"));
        }
        if width == 1 {
            t.line(format!("{n}_next[{at}][0] = {};", dialect.load(slot, index)));
        } else {
            let (ty, all) = (dialect.vector_type(slot, width), dialect.vector_load(slot, width, index));
            t.line(dialect.constant("v", &ty, &all));
            let part = |j: usize| dialect.vector_get(slot, width, "v", &j.to_string());
            (0..width).for_each(|j| t.line(format!("{n}_next[{at}][{j}] = {};", part(j))));
        }
        t.close();
    }

    /// Moves what was loaded into shared memory.
    pub(super) fn stage(&self, t: &mut Text) {
        if let Some(run) = self.run() {
            return self.stage_runs(t, &run);
        }
        self.printed.tongue.repeat(t, "i", self.loads(), &|t, i| self.stage_one(t, i));
    }

    /// Moves a thread's elements of number `at` into shared memory.
    fn stage_one(&self, t: &mut Text, at: &str) {
        let (n, width, tongue) = (self.name, self.width(), self.printed.tongue);
        let [own, step] = self.place(at);
        let (all, threads) = (self.wide * self.steps / width, self.threads());
        let whole = all.is_multiple_of(threads);
        if !whole {
            t.open(format!("if (thread + {at} * {threads} < {all}) {{"));
        }
        let [row, place] = if self.staged_along_k() { [own, step] } else { [step, own] };
        let cell = self.printed.cut.math.cell();
        t.line(tongue.place("to", cell, "shared", &format!("{} + ({row}) * {} + ({place})", self.at, self.row())));
        let lie_side_by_side = self.along_k() == self.staged_along_k();
        let element = |j: usize| match self.printed.cut.math {
            Math::Tf32 => format!("tf32({n}_next[{at}][{j}])"),
            Math::Scalar | Math::Half(_) | Math::Cooperative => format!("{n}_next[{at}][{j}]"),
        };
        match self.printed.cut.math {
            Math::Half(_) if width == 1 => t.line(format!("*to = {n}_next[{at}];")),
            Math::Half(_) => t.line(format!("*reinterpret_cast<{}*>(to) = {n}_next[{at}];", self.moved_type())),
            Math::Cooperative if width == 1 => {
                t.line(format!("{} = f16({n}_next[{at}]);", tongue.at("shared", "to", "0")));
            }
            Math::Cooperative => {
                // Two words hold four.
                for four in 0..width / 4 {
                    let [low, high] = [0, 1].map(|i| format!("unpack2x16float({})", element(2 * four + i)));
                    let value = format!("vec4<f16>(vec4<f32>({low}, {high}))");
                    t.line(format!("{} = {value};", tongue.four("shared", "to", 4 * four)));
                }
            }
            Math::Scalar | Math::Tf32 if width > 1 && lie_side_by_side => {
                let parts: Vec<String> = (0..width).map(element).collect();
                t.line(format!("{} = {};", tongue.four("shared", "to", 0), tongue.join(&parts)));
            }
            Math::Scalar | Math::Tf32 => {
                let place = |j: usize| tongue.at("shared", "to", &(j * self.row()).to_string());
                (0..width).for_each(|j| t.line(format!("{} = {};", place(j), element(j))));
            }
        }
        if !whole {
            t.close();
        }
    }
}

/// Whether steps of the sum, not places of the operand's own axis, lie side by side in device memory.
pub(super) fn lies_along_k(load: &Load, k: &Axis, own: &Axis) -> bool {
    let near = |axis: &Axis| axis.vars.last().is_some_and(|v| load.index.coefficient(v.0) == 1);
    near(k) || !near(own)
}

/// Whether so many elements along an axis lie together, all of them there or none.
pub(super) fn lie_together(lets: &[Let], load: &Load, near: &Axis, width: usize) -> bool {
    let Some(&(var, extent)) = near.vars.last() else { return false };
    let whole = |c: i64| c % width as i64 == 0;
    let Load { index, guards, .. } = load;
    let apart = |a: &Affine| a.coefficient(var) == 0;
    extent.is_multiple_of(width)
        && index.coefficient(var) == 1
        && whole(index.offset)
        && index.terms.iter().all(|&(v, c)| v == var || whole(c))
        && guards.iter().all(|g| apart(&g.expr))
        && lets.iter().all(|l| matches!(l, Let::Div(a, _) | Let::Rem(a, _) if apart(a)))
}

/// Whether a derived variable is a remainder, of what, and by what.
fn derived(l: &Let) -> (bool, &Affine, i64) {
    match l {
        Let::Div(a, by) => (false, a, *by),
        Let::Rem(a, by) => (true, a, *by),
        Let::Value(_) => panic!("onestep bug: a contraction's index depends on data"),
    }
}

/// Whether a map stays the same while steps go by.
fn stays(map: &Affine) -> bool {
    map.terms.iter().all(|t| matches!(t.0, Var::Grid(_)))
}
