//! Runs of an operand's elements: where few channels lie together with the taps beside them, but not aligned, a thread
//! loads several elements from one address, and asks once for all of them that are there together.

use super::Text;
use super::cut::Math;
use super::staging::Side;
use crate::codegen::dialect::Scalar;
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
    /// Place on the other axis, and the first place on their own, of the run of number `i` that a thread of so many
    /// moves.
    fn place(&self, i: &str, threads: usize) -> [String; 2] {
        let at = format!("(thread + {i} * {threads})");
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
        (plain && length >= SHORTEST_RUN && axis.extent() <= room).then_some(run)
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
        let (n, count, tongue) = (self.name, self.loads(), self.printed.tongue);
        let Run { length, count: runs, across, room } = run;
        let beyond = room - length * runs;
        if beyond > 0 && self.along_k() == self.staged_along_k() {
            self.printed.count(t, "at", "thread", &across.to_string(), self.threads());
            t.line(tongue.place("to", self.printed.cut.math.cell(), "shared", &format!("at * {}", self.row())));
            let first = self.at + length * runs;
            let zero = match self.printed.cut.math {
                Math::Half(_) => "0",
                Math::Cooperative => "0.0h",
                Math::Scalar | Math::Tf32 => "0.0f",
            };
            let place = |to: usize| tongue.at("shared", "to", &to.to_string());
            (first..first + beyond).for_each(|to| t.line(format!("{} = {zero};", place(to))));
            t.close();
        }
        t.line(match self.printed.cut.math {
            Math::Half(_) => format!("{} {n}_next[{count}][{length}];", self.printed.cut.math.cell()),
            Math::Scalar | Math::Tf32 | Math::Cooperative => {
                tongue.local(Scalar::Float, &format!("{n}_next"), &[count, *length])
            }
        });
        t.line(tongue.local(Scalar::Bool, &format!("{n}_in"), &[count]));
        (0..self.maps().len()).for_each(|i| t.line(tongue.local(Scalar::Index, &format!("{n}_map{i}"), &[count])));
        tongue.repeat(t, "i", count, &|t, i| self.prepare_run(t, run, i));
    }

    /// Where the run of number `at` begins.
    fn prepare_run(&self, t: &mut Text, run: &Run, at: &str) {
        let n = self.name;
        let [other, first] = run.place(at, self.threads());
        match self.along_k() {
            true => {
                self.printed.int(t, "own", &format!("{} + {other}", self.origin));
                self.printed.int(t, "k", &first);
                t.line(format!("{n}_in[{at}] = k < k_end && own < {};", self.axis.extent()));
            }
            false => {
                self.printed.int(t, "own", &first);
                t.line(format!("{n}_in[{at}] = own < {};", self.axis.extent()));
            }
        }
        for (i, map) in self.maps().into_iter().enumerate() {
            let following = if self.along_k() { self.following(map) } else { Vec::new() };
            t.line(format!("{n}_map{i}[{at}] = {};", [vec![self.staying(map)], following].concat().join(" + ")));
        }
    }

    /// Loads runs into registers.
    pub(super) fn fetch_runs(&self, t: &mut Text, run: &Run, first: &str) {
        self.printed.tongue.repeat(t, "i", self.loads(), &|t, i| self.fetch_run(t, run, first, i));
    }

    /// Loads the run of number `i`.
    fn fetch_run(&self, t: &mut Text, run: &Run, first: &str, at: &str) {
        let (n, dialect) = (self.name, self.printed.dialect());
        let slot = &self.printed.bindings.slots[&self.load.buffer];
        let mut inside = format!("{n}_in[{at}]");
        if !self.along_k() {
            self.printed.int(t, "k", &format!("{first} + {}", run.place(at, self.threads())[0]));
            inside.push_str(" && k < k_end");
        }
        let value = |i: usize, map: &Affine| {
            let following = if self.along_k() { Vec::new() } else { self.following(map) };
            [vec![format!("{n}_map{i}[{at}]")], following].concat().join(" + ")
        };
        let guards = &self.load.guards;
        for (i, guard) in guards.iter().enumerate() {
            self.printed.int(t, &format!("q{i}"), &value(i, &guard.expr));
        }
        self.printed.int(t, "from_here", &value(guards.len(), &self.load.index));
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
                        0 => format!("{} < {extent}u", dialect.index_as(Scalar::Uint, &format!("q{i}"))),
                        more => format!("{} < {extent}u", dialect.index_as(Scalar::Uint, &format!("q{i} + {more}"))),
                    }
                });
                let all: Vec<String> = std::iter::once(inside.clone()).chain(within).collect();
                let ty = dialect.ty(Scalar::Bool, false);
                t.line(dialect.constant(&format!("in{j}"), ty, &all.join(" && ")));
            }
            let index = format!("from_here + {j}");
            let (zero, one) = match self.printed.cut.math {
                Math::Half(_) => ("0", format!("{}[{index}]", slot.name)),
                Math::Scalar | Math::Tf32 | Math::Cooperative => ("0.0f", dialect.load(slot, &index)),
            };
            t.line(format!("{n}_next[{at}][{j}] = {zero};"));
            t.open(format!("if (in{asked}) {{"));
            t.line(format!("{n}_next[{at}][{j}] = {one};"));
            t.close();
        }
    }

    /// Moves runs into shared memory.
    pub(super) fn stage_runs(&self, t: &mut Text, run: &Run) {
        self.printed.tongue.repeat(t, "i", self.loads(), &|t, i| self.stage_run(t, run, i));
    }

    /// Moves the run of number `at` into shared memory.
    fn stage_run(&self, t: &mut Text, run: &Run, at: &str) {
        let (n, tongue) = (self.name, self.printed.tongue);
        let all = run.across * run.count;
        let threads = self.threads();
        let whole = all.is_multiple_of(threads);
        if !whole {
            t.open(format!("if (thread + {at} * {threads} < {all}) {{"));
        }
        let [other, first] = run.place(at, self.threads());
        let side_by_side = self.along_k() == self.staged_along_k();
        let (place, step) = match side_by_side {
            true => (format!("({other}) * {} + ({first})", self.row()), 1),
            false => (format!("({first}) * {} + ({other})", self.row()), self.row()),
        };
        t.line(tongue.place("to", self.printed.cut.math.cell(), "shared", &format!("{} + {place}", self.at)));
        for j in 0..run.length {
            let element = format!("{n}_next[{at}][{j}]");
            let element = match self.printed.cut.math {
                Math::Tf32 => format!("tf32({element})"),
                Math::Cooperative => format!("f16({element})"),
                Math::Scalar | Math::Half(_) => element,
            };
            t.line(format!("{} = {element};", tongue.at("shared", "to", &(j * step).to_string())));
        }
        if !whole {
            t.close();
        }
    }
}
