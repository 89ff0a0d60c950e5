//! Runs of an operand's elements: where few channels lie together with the taps beside them, but not aligned, a thread
//! loads several elements from one address, and asks once for all of them that are there together.

use super::Text;
use super::cut::{Math, THREADS};
use super::staging::Side;
use crate::plan::Affine;

/// Elements of a run that is loaded from one address.
const SHORTEST_RUN: usize = 3;
const LONGEST_RUN: usize = 16;

/// How runs of elements fill an operand's tile.
pub(super) struct Run {
    /// Elements of a run.
    pub(super) length: usize,
    /// Runs along the axis that they fill.
    pub(super) count: usize,
    /// Places of the other axis in the tile.
    pub(super) across: usize,
    /// Places of theirs in the tile.
    room: usize,
}

impl Run {
    /// Place on the other axis, and the first place on their own, of the `i`-th run that a thread moves.
    fn place(&self) -> [String; 2] {
        let at = format!("(thread + i * {THREADS})");
        [format!("{at} % {}", self.across), format!("{at} / {} * {}", self.across, self.length)]
    }
}

impl Side<'_> {
    /// The runs of elements that lie together, but not aligned, where the axis along which they do is in the tile as a
    /// whole: few channels with the taps beside them.
    pub(super) fn run(&self) -> Option<Run> {
        let axis = self.near_axis();
        let (across, room) = match self.along_k() {
            true => (self.wide, if self.printed.cut.parts == 1 { self.steps } else { 0 }),
            false => (self.steps, self.wide),
        };
        let mut length = 1;
        for &(var, extent) in axis.vars.iter().rev() {
            if self.load.index.coefficient(var) != length as i64 || length * extent > LONGEST_RUN {
                break;
            }
            length *= extent;
        }
        let plain = self.printed.nest.phases[0].lets.is_empty() && self.width() == 1;
        let run = Run { length, count: axis.extent() / length, across, room };
        (self.printed.tongue.lists_and_runs() && plain && length >= SHORTEST_RUN && axis.extent() <= room)
            .then_some(run)
    }

    /// What a map gains along a run, at each of its elements.
    fn gains(&self, run: &Run, map: &Affine) -> Vec<i64> {
        let gain = |element: usize| {
            let (mut rest, mut sum) = (element, 0);
            for &(var, extent) in self.near_axis().vars.iter().rev() {
                sum += map.coefficient(var) * (rest % extent) as i64;
                rest /= extent;
            }
            sum
        };
        (0..run.length).map(gain).collect()
    }

    /// Before the loop: where each run that a thread loads begins; and zeros where the tile is larger than the axis that
    /// runs fill.
    pub(super) fn prepare_runs(&self, t: &mut Text, run: &Run) {
        let (n, count, cell) = (self.name, self.loads(), self.printed.cut.math.cell());
        let Run { length, count: runs, across, room } = run;
        let beyond = room - length * runs;
        if beyond > 0 && self.along_k() == self.staged_along_k() {
            t.open(format!("for (int at = thread; at < {across}; at += {THREADS}) {{"));
            let first = self.at + length * runs;
            (first..first + beyond).for_each(|to| t.line(format!("shared[{to} + at * {}] = 0;", self.row())));
            t.close();
        }
        t.line(format!("{cell} {n}_next[{count}][{length}];"));
        t.line(format!("bool {n}_in[{count}];"));
        (0..self.maps().len()).for_each(|i| t.line(format!("int {n}_map{i}[{count}];")));
        t.line("#pragma unroll".into());
        t.open(format!("for (int i = 0; i < {count}; ++i) {{"));
        let [other, first] = run.place();
        match self.along_k() {
            true => {
                t.line(format!("const int own = {} + {other};", self.origin));
                t.line(format!("const int k = {first};"));
                t.line(format!("{n}_in[i] = k < k_end && own < {};", self.axis.extent()));
            }
            false => {
                t.line(format!("const int own = {first};"));
                t.line(format!("{n}_in[i] = own < {};", self.axis.extent()));
            }
        }
        for (i, map) in self.maps().into_iter().enumerate() {
            let following = if self.along_k() { self.following(map) } else { Vec::new() };
            t.line(format!("{n}_map{i}[i] = {};", [vec![self.staying(map)], following].concat().join(" + ")));
        }
        t.close();
    }

    /// Loads runs into registers.
    pub(super) fn fetch_runs(&self, t: &mut Text, run: &Run, first: &str) {
        let n = self.name;
        let slot = &self.printed.bindings.slots[&self.load.buffer];
        t.line("#pragma unroll".into());
        t.open(format!("for (int i = 0; i < {}; ++i) {{", self.loads()));
        let mut inside = format!("{n}_in[i]");
        if !self.along_k() {
            t.line(format!("const int k = {first} + {};", run.place()[0]));
            inside.push_str(" && k < k_end");
        }
        let value = |i: usize, map: &Affine| {
            let following = if self.along_k() { Vec::new() } else { self.following(map) };
            [vec![format!("{n}_map{i}[i]")], following].concat().join(" + ")
        };
        let guards = &self.load.guards;
        for (i, guard) in guards.iter().enumerate() {
            t.line(format!("const int q{i} = {};", value(i, &guard.expr)));
        }
        t.line(format!("const int at = {};", value(guards.len(), &self.load.index)));
        let gains: Vec<Vec<i64>> = guards.iter().map(|guard| self.gains(run, &guard.expr)).collect();
        let gained = |j: usize| gains.iter().map(|g| g[j]).collect::<Vec<_>>();
        let mut asked = 0;
        for j in 0..run.length {
            // Elements that are there together ask together.
            if j == 0 || gained(j) != gained(asked) {
                asked = j;
                let within = guards.iter().zip(gained(j)).enumerate().map(|(i, (guard, gain))| {
                    let extent = guard.high - guard.low;
                    match gain - guard.low {
                        0 => format!("(unsigned)q{i} < {extent}u"),
                        more => format!("(unsigned)(q{i} + {more}) < {extent}u"),
                    }
                });
                let all: Vec<String> = std::iter::once(inside.clone()).chain(within).collect();
                t.line(format!("const bool in{j} = {};", all.join(" && ")));
            }
            let index = format!("at + {j}");
            let one = match self.printed.cut.math {
                Math::Half(_) => format!("{}[{index}]", slot.name),
                Math::Scalar | Math::Tf32 => self.printed.dialect().load(slot, &index),
            };
            t.line(format!("{n}_next[i][{j}] = 0;"));
            t.line(format!("if (in{asked}) {n}_next[i][{j}] = {one};"));
        }
        t.close();
    }

    /// Moves runs into shared memory.
    pub(super) fn stage_runs(&self, t: &mut Text, run: &Run) {
        let n = self.name;
        t.line("#pragma unroll".into());
        t.open(format!("for (int i = 0; i < {}; ++i) {{", self.loads()));
        let all = run.across * run.count;
        let whole = all.is_multiple_of(THREADS);
        if !whole {
            t.open(format!("if (thread + i * {THREADS} < {all}) {{"));
        }
        let [other, first] = run.place();
        let side_by_side = self.along_k() == self.staged_along_k();
        let (place, step) = match side_by_side {
            true => (format!("({other}) * {} + ({first})", self.row()), 1),
            false => (format!("({first}) * {} + ({other})", self.row()), self.row()),
        };
        t.line(format!("{}* const to = shared + {} + {place};", self.printed.cut.math.cell(), self.at));
        for j in 0..run.length {
            let element = format!("{n}_next[i][{j}]");
            let element = if self.printed.cut.math == Math::Tf32 { format!("tf32({element})") } else { element };
            t.line(format!("to[{}] = {element};", j * step));
        }
        if !whole {
            t.close();
        }
        t.close();
    }
}
