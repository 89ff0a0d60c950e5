//! Scattered sums, as gradients of embeddings are: a workgroup has a row of results, or some of its columns. Most rows
//! have few steps that count, so to look for them is most of the work. Each thread looks at up to 32 indices and notes in
//! the bits of a word which of them are the row's; then which of 32 words are not zero is noted in the bits of another.
//! Where there are bits all threads add what counts, each to its own columns: in an order that is always the same, though
//! not that of the steps.

use super::contraction::{Text, decode};
use super::dialect::{Dialect, Frame, Scalar, Shared, shared_name};
use super::{Source, bindings, printer};
use crate::error::Result;
use crate::plan::{Axis, LoopKernel, Plan, Scatter, Schedule};

/// Bits of a word.
const WORD: usize = 32;
/// Most results of a thread.
const MOST: usize = 8;

/// Prints a loop nest that is a scattered sum.
pub(super) fn print(
    plan: &Plan,
    entry: &str,
    nest: &LoopKernel,
    scatter: &Scatter,
    dialect: &dyn Dialect,
) -> Result<Source> {
    printer::refuse_f64(plan, [nest].into_iter(), dialect)?;
    // Threads have columns apart from each other, so that neighbouring threads load what lies together.
    let nest = &LoopKernel { schedule: Schedule { vector: 1, ..nest.schedule }, ..nest.clone() };
    let bindings = bindings::collect(plan, [nest].into_iter(), dialect.rules())?;
    let (threads, columns) = (nest.schedule.threads, scatter.lanes.extent());
    let own = columns.div_ceil(threads).clamp(1, MOST);
    let chunks = columns.div_ceil(threads * own).max(1);
    let blocks = scatter.group.extent() * chunks;
    let groups = printer::spread(blocks, dialect.most_groups());
    let words = Shared { ty: Scalar::Uint, number: 0 };
    let memory = shared_name(&words);
    let printed = Printed { nest, scatter, dialect, bindings: &bindings, plan, threads, own, chunks, memory };
    let mut body = Text { text: String::new(), depth: 1 };
    if groups.iter().product::<usize>() > blocks {
        // The axes of the launch hold a few more.
        body.open(format!("if (block >= {blocks}) {{"));
        body.line("return;".into());
        body.close();
    }
    printed.block(&mut body);
    let shared_len = threads + threads / WORD;
    let (shared, bindings) = (&[words], &bindings.list[..]);
    let frame = Frame { entry, threads, bindings, shared, shared_len, groups, wide: false, body: &body.text };
    Ok(printer::source(&frame, dialect))
}

/// A scattered sum on its way into text.
struct Printed<'a> {
    plan: &'a Plan,
    nest: &'a LoopKernel,
    scatter: &'a Scatter<'a>,
    dialect: &'a dyn Dialect,
    bindings: &'a bindings::Bindings,
    threads: usize,
    /// Results of a thread, and workgroups of a row.
    own: usize,
    chunks: usize,
    /// What holds the words: one for each thread, then those that tell which of them are not zero.
    memory: String,
}

impl Printed<'_> {
    /// What a workgroup does.
    fn block(&self, t: &mut Text) {
        let Printed { dialect, threads, own, chunks, .. } = *self;
        let (row, steps) =
            (if chunks > 1 { format!("(block / {chunks})") } else { "block".into() }, self.scatter.steps);
        self.declare(t, &self.scatter.group, &row);
        let first = if chunks > 1 { format!("block % {chunks} * {} + thread", threads * own) } else { "thread".into() };
        self.int(t, "first", &first);
        let row = dialect.index_as(Scalar::Int, &self.scatter.row.code());
        t.line(dialect.constant("row", dialect.ty(Scalar::Int, false), &row));
        t.line(dialect.array("sum", dialect.ty(Scalar::Float, false), "0.0f", own));
        let looked = steps.div_ceil(threads).min(WORD);
        self.count(t, "k0", 0, steps, looked * threads);
        self.look(t, looked);
        self.add(t, looked);
        t.close();
        self.finish(t);
    }

    /// Notes which steps of a round count.
    fn look(&self, t: &mut Text, looked: usize) {
        let Printed { dialect, threads, ref memory, .. } = *self;
        let uint = dialect.ty(Scalar::Uint, false);
        t.line(dialect.variable("found", uint, "0u"));
        self.count(t, "i", 0, looked, 1);
        self.int(t, "r0", &format!("k0 + i * {threads} + thread"));
        t.open(format!("if (r0 < {}) {{", self.scatter.steps));
        let index = &self.scatter.index;
        let value = dialect.load(&self.bindings.slots[&index.buffer], &index.index.code());
        t.open(format!("if ({value} == row) {{"));
        t.line(format!("found |= {};", self.bit("i")));
        (0..3).for_each(|_| t.close());
        t.line(format!("{memory}[thread] = found;"));
        t.line(dialect.meet().into());
        t.open(format!("if (thread < {}) {{", threads / WORD));
        t.line(dialect.variable("some", uint, "0u"));
        self.count(t, "j", 0, WORD, 1);
        t.open(format!("if ({memory}[thread * {WORD} + j] != 0u) {{"));
        t.line(format!("some |= {};", self.bit("j")));
        (0..2).for_each(|_| t.close());
        t.line(format!("{memory}[{threads} + thread] = some;"));
        t.close();
        t.line(dialect.meet().into());
    }

    /// Adds the steps of a round that count.
    fn add(&self, t: &mut Text, looked: usize) {
        let Printed { dialect, threads, ref memory, .. } = *self;
        let uint = dialect.ty(Scalar::Uint, false);
        let set = |word: &str, bit: &str| format!("if (({word} & {}) != 0u) {{", self.bit(bit));
        self.count(t, "s", 0, threads / WORD, 1);
        t.line(dialect.constant("some", uint, &format!("{memory}[{threads} + s]")));
        t.open("if (some != 0u) {".into());
        self.count(t, "j", 0, WORD, 1);
        t.open(set("some", "j"));
        t.line(dialect.constant("found", uint, &format!("{memory}[s * {WORD} + j]")));
        self.count(t, "i", 0, looked, 1);
        t.open(set("found", "i"));
        self.int(t, "r0", &format!("k0 + i * {threads} + s * {WORD} + j"));
        self.each(t, |t| {
            let update = &self.scatter.update;
            let value = dialect.load(&self.bindings.slots[&update.buffer], &update.index.code());
            t.line(format!("sum[v] += {value};"));
        });
        (0..6).for_each(|_| t.close());
        // The words are written anew in the next round.
        t.line(dialect.meet().into());
    }

    /// What follows the sums: the nest's second phase.
    fn finish(&self, t: &mut Text) {
        let dialect = self.dialect;
        self.each(t, |t| {
            let carry = format!("c{}", self.scatter.carry);
            t.line(dialect.constant(&carry, dialect.ty(Scalar::Float, false), "sum[v]"));
            let text = printer::phase_of_one(self.plan, self.nest, 1, self.bindings, dialect, t.depth);
            t.text.push_str(&text);
        });
    }

    /// Lines for each result `v` of a thread that is there, with the variables of its column.
    fn each(&self, t: &mut Text, body: impl Fn(&mut Text)) {
        t.lines(self.dialect.unroll().map(String::from).into_iter().collect());
        self.count(t, "v", 0, self.own, 1);
        self.int(t, "column", &format!("first + v * {}", self.threads));
        t.open(format!("if (column < {}) {{", self.scatter.lanes.extent()));
        self.declare(t, &self.scatter.lanes, "column");
        body(t);
        (0..2).for_each(|_| t.close());
    }

    /// The word with one bit.
    fn bit(&self, number: &str) -> String {
        format!("(1u << {})", self.dialect.index_as(Scalar::Uint, number))
    }

    /// Declares an axis's variables at place `at`.
    fn declare(&self, t: &mut Text, axis: &Axis, at: &str) {
        decode(axis, at, |_| true, None).iter().for_each(|(name, value)| self.int(t, name, value));
    }

    fn int(&self, t: &mut Text, name: &str, value: &str) {
        t.line(self.dialect.constant(name, self.dialect.ty(Scalar::Index, false), value));
    }

    fn count(&self, t: &mut Text, name: &str, from: usize, below: usize, step: usize) {
        let index = self.dialect.ty(Scalar::Index, false);
        t.open(self.dialect.count(name, index, &from.to_string(), &below.to_string(), step));
    }
}
