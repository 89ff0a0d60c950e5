//! The printer: grid points, phases, folds and expressions of loop kernels in a dialect's words. Names are
//! those of the plan's text form: `g`, `r` and `l` for loop variables, `e` for expressions, `c` for carries.

mod together;

use std::collections::BTreeSet;

use super::bindings::{self, Bindings, Slot, overlap};
use super::dialect::{Dialect, Frame, Partial, Scalar, Shared};
use super::helpers;
use super::ranges::Ranges;
use super::{Binding, Source};
use crate::error::{Error, Result};
use crate::ir::{ArgOp, Binary, DType, ReduceOp};
use crate::plan::{
    Affine, BufferId, Expr, ExprId, Fold, Guard, Let, LoopKernel, Out, Phase, Plan, Typed, Var, Workers, is_vector,
};
use together::{draws_together, varying, vector_stores};

/// Prints kernels (with their numbers) as one that `threads` threads of a workgroup run.
pub(super) fn print(
    plan: &Plan,
    entry: &str,
    members: &[(usize, &LoopKernel)],
    threads: usize,
    dialect: &dyn Dialect,
) -> Result<Source> {
    let nests = || members.iter().map(|m| m.1);
    refuse_f64(plan, nests(), dialect)?;
    let island = members.len() > 1;
    let blocks = if island { 1 } else { nests().map(blocks).max().unwrap_or(1) };
    let groups = spread(blocks, dialect.most_groups());
    let wide = is_wide(plan, nests(), groups.iter().product::<usize>() * threads, dialect);
    if wide && !dialect.has_wide() {
        return Err(Error::unsupported(format!(
            "counts elements beyond 2^31, which {} has no integers for; make the batch or the tensors smaller",
            dialect.name()
        )));
    }
    let bindings = bindings::collect(plan, nests(), dialect.rules())?;
    let mut printer = Printer {
        plan,
        dialect,
        wide,
        bindings: &bindings,
        text: String::new(),
        depth: 1,
        shared: BTreeSet::new(),
        shared_len: 0,
    };
    if groups.iter().product::<usize>() > blocks {
        // The axes of the launch hold a few more.
        printer.open(&format!("if (block >= {blocks}) {{"));
        printer.line("return;");
        printer.close(1);
    }
    for (i, &(number, kernel)) in members.iter().enumerate() {
        if i > 0 {
            printer.line(dialect.barrier(Workers::Block));
        }
        if island {
            printer.line(&format!("// k{number}"));
        }
        printer.member(kernel, island);
    }
    let Printer { text: body, shared, shared_len, .. } = printer;
    let shared: Vec<Shared> = shared.into_iter().collect();
    let frame =
        Frame { entry, threads, bindings: &bindings.list, shared: &shared, shared_len, groups, wide, body: &body };
    Ok(source(&frame, dialect))
}

/// The kernel of a frame, with all that it needs.
pub(super) fn source(frame: &Frame, dialect: &dyn Dialect) -> Source {
    let kernel = dialect.kernel(frame);
    let helpers = helpers::needed(dialect, &kernel);
    let bindings: Vec<Binding> = frame.bindings.iter().map(|b| b.0).collect();
    Source { entry: frame.entry.into(), helpers, kernel, threads: frame.threads, groups: frame.groups, bindings }
}

/// The lines of one phase without a reduced space, at a point whose variables and carries are declared; where the
/// kernel takes several at once, carries are arrays.
pub(super) fn phase_of_one(
    plan: &Plan,
    kernel: &LoopKernel,
    phase: usize,
    bindings: &Bindings,
    dialect: &dyn Dialect,
    depth: usize,
) -> String {
    let (text, shared) = (String::new(), BTreeSet::new());
    let mut printer = Printer { plan, dialect, wide: false, bindings, text, depth, shared, shared_len: 0 };
    let phase = &kernel.phases[phase];
    let axis = kernel.vector_axis(phase);
    let (varies, lets_vary) = varying(phase, axis, true);
    let (ranges, ahead) = (Ranges::new(kernel, phase, !dialect.has_wide()), axis.is_some());
    let mut cx = Context { kernel, phase, ranges, axis, varies, lets_vary, carries: ahead, ahead, live: None };
    printer.body(&mut cx);
    printer.text
}

/// How many workgroups a kernel's points take.
fn blocks(kernel: &LoopKernel) -> usize {
    kernel.points().div_ceil(kernel.schedule.points_at_once()).max(1)
}

/// So many workgroups on two axes.
pub(super) fn spread(blocks: usize, most: usize) -> [usize; 3] {
    let rows = blocks.div_ceil(most);
    [blocks.div_ceil(rows), rows, 1]
}

pub(super) fn refuse_f64<'a>(
    plan: &Plan,
    nests: impl Iterator<Item = &'a LoopKernel>,
    dialect: &dyn Dialect,
) -> Result<()> {
    for kernel in nests {
        let buffers = kernel.loads().map(|l| l.buffer).chain(kernel.stores().map(|s| s.0));
        let stored = buffers.map(|b| plan.buffer(b).dtype);
        let computed = kernel.phases.iter().flat_map(|p| &p.body).map(|t| t.dtype);
        if stored.chain(computed).any(|d| d == DType::F64) {
            return Err(Error::unsupported(format!(
                "computes in f64, which {} kernels do not; use f32, or the reference device",
                dialect.name()
            )));
        }
    }
    Ok(())
}

/// Whether some index or count does not fit 32 bits.
pub(super) fn is_wide<'a>(
    plan: &Plan,
    nests: impl Iterator<Item = &'a LoopKernel>,
    threads: usize,
    dialect: &dyn Dialect,
) -> bool {
    let beyond = |n: usize| i32::try_from(n).is_err();
    beyond(threads)
        || nests.into_iter().any(|k| {
            let buffers = k.loads().map(|l| l.buffer).chain(k.stores().map(|s| s.0));
            beyond(threads.max(1) * k.schedule.vector)
                || beyond(k.points())
                || beyond(k.longest_row() + threads)
                || buffers.into_iter().any(|b| beyond(plan.buffer(b).len))
                || k.phases.iter().any(|p| !Ranges::new(k, p, !dialect.has_wide()).all_fit())
        })
}

struct Printer<'a> {
    plan: &'a Plan,
    dialect: &'a dyn Dialect,
    wide: bool,
    bindings: &'a Bindings,
    text: String,
    depth: usize,
    shared: BTreeSet<Shared>,
    shared_len: usize,
}

/// What the expressions of a phase need to know.
struct Context<'a> {
    kernel: &'a LoopKernel,
    phase: &'a Phase,
    ranges: Ranges<'a>,
    /// The variable along which elements are taken together.
    axis: Option<Var>,
    /// Which expressions and derived variables depend on it.
    varies: Vec<bool>,
    lets_vary: Vec<bool>,
    /// Whether each of these elements has its own carries.
    carries: bool,
    /// Whether the elements taken together are still ahead, so that `axis` stands for the first of them.
    ahead: bool,
    /// The condition under which a point is there at all, where not all are.
    live: Option<&'static str>,
}

impl<'a> Printer<'a> {
    fn line(&mut self, line: &str) {
        self.text.push_str(&"  ".repeat(self.depth));
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn open(&mut self, line: &str) {
        self.line(line);
        self.depth += 1;
    }

    fn close(&mut self, blocks: usize) {
        for _ in 0..blocks {
            self.depth -= 1;
            self.line("}");
        }
    }

    fn index_type(&self) -> &'static str {
        self.dialect.ty(Scalar::Index, self.wide)
    }

    fn index(&mut self, name: &str, value: &str) {
        self.line(&self.dialect.constant(name, self.index_type(), value));
    }

    fn slot(&self, id: BufferId) -> &'a Slot {
        &self.bindings.slots[&id]
    }

    /// A kernel: finds the thread's point or points and runs the phases there.
    fn member(&mut self, kernel: &LoopKernel, island: bool) {
        let s = kernel.schedule;
        let (dialect, ty) = (self.dialect, self.index_type());
        let start = self.depth;
        let mut live = None;
        if island {
            // Names of one member are not those of the next.
            self.open("{");
        }
        match s.workers {
            Workers::Thread | Workers::Tiles | Workers::MatrixTiles => {
                let items = kernel.points() / s.vector;
                if island {
                    self.open(&dialect.count("item", ty, "thread", &items.to_string(), s.threads));
                } else {
                    self.index("item", &format!("{} + thread", times("block", s.threads)));
                    if !items.is_multiple_of(s.threads) {
                        self.open(&format!("if (item >= {items}) {{"));
                        self.line("return;");
                        self.close(1);
                    }
                }
            }
            Workers::Warp(lanes) => {
                let (items, at_once) = (kernel.points(), s.threads / lanes);
                self.index("lane", &format!("thread % {lanes}"));
                let first = if island {
                    self.open(&dialect.count("first", ty, "0", &items.to_string(), at_once));
                    "first".to_string()
                } else {
                    times("block", at_once)
                };
                let item = format!("{first} + thread / {lanes}");
                if items.is_multiple_of(at_once) {
                    self.index("item", &item);
                } else {
                    // Those without a point repeat the last one and store nothing: barriers want everyone.
                    self.index("place", &item);
                    let condition = format!("place < {items}");
                    self.line(&dialect.constant("live", dialect.ty(Scalar::Bool, false), &condition));
                    self.index("item", &dialect.select("live", "place", &(items - 1).to_string()));
                    live = Some("live");
                }
            }
            Workers::Block => {
                self.index("lane", "thread");
                if island {
                    self.open(&dialect.count("item", ty, "0", &kernel.points().to_string(), 1));
                } else {
                    self.index("item", "block");
                }
            }
        }
        self.coordinates(kernel);
        for phase in &kernel.phases {
            self.phase(kernel, phase, live);
        }
        self.close(self.depth - start);
    }

    /// The point's grid coordinates from its number `item`.
    fn coordinates(&mut self, kernel: &LoopKernel) {
        let used: BTreeSet<Var> =
            kernel.phases.iter().flat_map(Phase::indices).flat_map(|a| &a.terms).map(|t| t.0).collect();
        let vector = if kernel.schedule.workers.are_alone() { kernel.schedule.vector } else { 1 };
        self.unravel("item", &kernel.grid, vector, &|i| Var::Grid(i), &used);
    }

    /// Coordinates in a space from a number that counts `vector` elements of the innermost axis as one.
    fn unravel(
        &mut self,
        number: &str,
        extents: &[usize],
        vector: usize,
        var: &dyn Fn(u32) -> Var,
        used: &BTreeSet<Var>,
    ) {
        let inner: Vec<usize> = (0..extents.len()).map(|i| extents[i + 1..].iter().product()).collect();
        for (i, &extent) in extents.iter().enumerate() {
            let v = var(i as u32);
            if !used.contains(&v) {
                continue;
            }
            let last = i + 1 == extents.len();
            let (below, extent) = if last { (1, extent / vector) } else { (inner[i] / vector, extent) };
            let mut value = number.to_string();
            if below > 1 {
                value = format!("{value} / {below}");
            }
            if i > 0 {
                value = format!("{value} % {extent}");
            }
            if last && vector > 1 {
                let value = if i > 0 { format!("({value})") } else { value };
                self.index(&format!("{v}_first"), &format!("{value} * {vector}"));
            } else {
                self.index(&v.to_string(), &value);
            }
        }
    }

    /// A phase at a point.
    fn phase(&mut self, kernel: &LoopKernel, phase: &Phase, live: Option<&'static str>) {
        let s = kernel.schedule;
        let axis = kernel.vector_axis(phase);
        // A thread that takes several points at once keeps the carries of each.
        let carries = axis.is_some() && s.workers.are_alone() && kernel.phases.iter().any(folds);
        let (varies, lets_vary) = varying(phase, axis, carries);
        let ranges = Ranges::new(kernel, phase, !self.dialect.has_wide());
        let mut cx = Context { kernel, phase, ranges, axis, varies, lets_vary, carries, ahead: axis.is_some(), live };
        self.begin_folds(phase, if carries { s.vector } else { 1 });
        let start = self.depth;
        self.open("{");
        let used: BTreeSet<Var> = phase.indices().into_iter().flat_map(|a| &a.terms).map(|t| t.0).collect();
        let shared = match s.workers {
            Workers::Thread | Workers::Tiles | Workers::MatrixTiles => None,
            Workers::Warp(lanes) => Some(lanes),
            Workers::Block => Some(s.threads),
        };
        match shared {
            None => {
                for (i, extent) in phase.reduce.iter().enumerate() {
                    let head = self.dialect.count(&format!("r{i}"), self.index_type(), "0", &extent.to_string(), 1);
                    self.open(&head);
                }
            }
            Some(_) if phase.reduce.is_empty() => {}
            Some(lanes) => {
                let steps = phase.reduce.iter().product::<usize>() / s.vector;
                let head = self.dialect.count("row", self.index_type(), "lane", &steps.to_string(), lanes);
                self.open(&head);
                let places = phase.outs.iter().any(|o| matches!(o, Out::Reduce { fold: Fold::Place(_), .. }));
                let used = if places { (0..phase.reduce.len() as u32).map(Var::Reduce).collect() } else { used };
                self.unravel("row", &phase.reduce, s.vector, &|i| Var::Reduce(i), &used);
            }
        }
        self.body(&mut cx);
        self.close(self.depth - start);
        self.end_folds(kernel, phase);
    }

    /// What a phase computes at a point, or at several that are taken at once.
    fn body(&mut self, cx: &mut Context) {
        let (Some(axis), width) = (cx.axis, cx.kernel.schedule.vector) else {
            self.expressions(cx);
            return self.outs(cx);
        };
        self.expressions(cx);
        let stores: Vec<_> = vector_stores(cx).into_iter().map(|(i, b, index)| (i, b, index.clone())).collect();
        for (i, buffer, _) in &stores {
            let slot = self.slot(*buffer);
            let (ty, empty) = (self.dialect.vector_type(slot, width), self.dialect.vector_empty(slot, width));
            self.line(&self.dialect.variable(&format!("s{i}"), &ty, &empty));
        }
        cx.ahead = false;
        match self.dialect.unroll() {
            Some(line) => {
                self.line(line);
                self.open(&self.dialect.count("part", self.index_type(), "0", &width.to_string(), 1));
                self.part(cx, axis);
                self.close(1);
            }
            None => {
                for part in 0..width {
                    self.open("{");
                    self.line(&format!("const part: {} = {part};", self.index_type()));
                    self.part(cx, axis);
                    self.close(1);
                }
            }
        }
        cx.ahead = true;
        for (i, buffer, index) in &stores {
            let index = self.affine(cx, index);
            let store = self.dialect.vector_store(self.slot(*buffer), width, &index, &format!("s{i}"));
            self.line_if(cx.live, &store);
        }
    }

    /// What is computed for the element `part` of those that are taken at once.
    fn part(&mut self, cx: &mut Context, axis: Var) {
        self.index(&axis.to_string(), &format!("{axis}_first + part"));
        self.expressions(cx);
        self.outs(cx);
    }

    fn line_if(&mut self, condition: Option<&str>, line: &str) {
        match condition {
            None => self.line(line),
            Some(condition) => {
                self.open(&format!("if ({condition}) {{"));
                self.line(line);
                self.close(1);
            }
        }
    }

    /// Declares the variables that a phase folds into, for so many points.
    fn begin_folds(&mut self, phase: &Phase, points: usize) {
        for out in &phase.outs {
            let Out::Reduce { fold, value, carry, .. } = out else { continue };
            let dtype = phase.body[value.index()].dtype;
            let ty = self.dialect.ty(Scalar::of(dtype), self.wide);
            match fold {
                Fold::Place(_) if !phase.reduce.is_empty() => {
                    let zero = self.dialect.literal(dtype, 0.0);
                    self.line(&self.dialect.variable(&format!("best{carry}"), ty, &zero));
                    let int = self.dialect.ty(Scalar::Int, self.wide);
                    self.line(&self.dialect.variable(&format!("c{carry}"), int, "-1"));
                }
                Fold::Value(op) => {
                    let identity = self.dialect.literal(dtype, op.identity(dtype));
                    match points {
                        1 => self.line(&self.dialect.variable(&format!("c{carry}"), ty, &identity)),
                        _ => self.line(&self.dialect.array(&format!("c{carry}"), ty, &identity, points)),
                    }
                }
                Fold::Place(_) => {
                    let zero = self.dialect.literal(dtype, 0.0);
                    self.line(&self.dialect.variable(&format!("c{carry}"), ty, &zero));
                }
            }
        }
    }

    /// Folds over the workers of a point what each of them has.
    fn end_folds(&mut self, kernel: &LoopKernel, phase: &Phase) {
        if phase.reduce.is_empty() {
            return;
        }
        let s = kernel.schedule;
        for out in &phase.outs {
            let Out::Reduce { fold, value, carry, .. } = out else { continue };
            let dtype = phase.body[value.index()].dtype;
            let c = format!("c{carry}");
            let best = format!("best{carry}");
            let mut partials = vec![Partial { name: c.clone(), ty: Scalar::of(dtype) }];
            if let Fold::Place(_) = fold {
                partials = vec![
                    Partial { name: best.clone(), ty: Scalar::of(dtype) },
                    Partial { name: c.clone(), ty: Scalar::Int },
                ];
            }
            if !s.workers.are_alone() {
                let merge = |others: &[String]| match fold {
                    Fold::Value(op) => {
                        vec![format!("{c} = {};", self.dialect.binary(folding(*op), dtype, &c, &others[0]))]
                    }
                    Fold::Place(op) => self.merge_places(*op, dtype, [&best, &c], [&others[0], &others[1]]),
                };
                let lines = self.dialect.fold(s.workers, s.threads, &partials, &merge);
                let len = self.dialect.shared_len(s.workers, s.threads);
                if len > 0 {
                    self.shared_len = self.shared_len.max(len);
                    self.shared.extend(partials.iter().enumerate().map(|(number, p)| Shared { ty: p.ty, number }));
                }
                lines.iter().for_each(|line| self.line(line));
            }
            if let Fold::Place(_) = fold {
                let found = self.dialect.select(&format!("{c} < 0"), "0", &c);
                self.line(&format!("{c} = {found};"));
            }
        }
    }

    /// Takes over another worker's extreme if it is better, or as good and earlier.
    fn merge_places(&self, op: ArgOp, dtype: DType, mine: [&str; 2], other: [&str; 2]) -> Vec<String> {
        let better = self.dialect.beats(op, dtype, other[0], mine[0]);
        let worse = self.dialect.beats(op, dtype, mine[0], other[0]);
        let earlier = format!("!({worse}) && {} < {}", other[1], mine[1]);
        vec![
            format!("if ({} >= 0 && ({} < 0 || {better} || ({earlier}))) {{", other[1], mine[1]),
            format!("  {} = {};", mine[0], other[0]),
            format!("  {} = {};", mine[1], other[1]),
            "}".into(),
        ]
    }

    /// Derived variables and expressions in order. With an axis: first what does not depend on it and what is
    /// loaded together, then, for each element, the rest.
    fn expressions(&mut self, cx: &Context) {
        let mut lets = 0;
        for (i, typed) in cx.phase.body.iter().enumerate() {
            self.derived(cx, &mut lets, i);
            if cx.axis.is_none() || cx.varies[i] != cx.ahead {
                self.expression(cx, i, typed);
            } else if cx.ahead {
                self.together(cx, i, typed);
            }
        }
        self.derived(cx, &mut lets, cx.phase.body.len());
    }

    /// The derived variables that can be known before expression `below`.
    fn derived(&mut self, cx: &Context, next: &mut usize, below: usize) {
        while let Some(l) = cx.phase.lets.get(*next) {
            let value = match l {
                Let::Value(e) if e.index() >= below => return,
                _ if cx.axis.is_some() && cx.lets_vary[*next] == cx.ahead => None,
                Let::Value(e) => {
                    let dtype = cx.phase.body[e.index()].dtype;
                    let value = self.dialect.as_index(dtype, &name(*e), self.wide);
                    Some(match cx.ranges.clamp(*next) {
                        Some((low, high)) => format!("clamp({value}, {low}, {high})"),
                        None => value,
                    })
                }
                Let::Div(a, by) => Some(self.quotient(cx, a, *by, false)),
                Let::Rem(a, by) => Some(self.quotient(cx, a, *by, true)),
            };
            if let Some(value) = value {
                self.index(&format!("l{next}"), &value);
            }
            *next += 1;
        }
    }

    fn quotient(&self, cx: &Context, a: &Affine, by: i64, remainder: bool) -> String {
        let text = self.affine(cx, a);
        if cx.ranges.of(a).0 < 0 {
            return self.dialect.floored(remainder, &text, by, self.wide);
        }
        let text = if a.terms.len() + (a.offset != 0) as usize > 1 { format!("({text})") } else { text };
        format!("{text} {} {by}", if remainder { '%' } else { '/' })
    }

    /// What is loaded or drawn for several elements at once.
    fn together(&mut self, cx: &Context, i: usize, typed: &Typed) {
        let (Some(axis), width) = (cx.axis, cx.kernel.schedule.vector) else { return };
        match &typed.expr {
            Expr::Load(l) if is_vector(&l.index, &l.guards, axis, width) => {
                let slot = self.slot(l.buffer);
                let (v, ty) = (format!("v{i}"), self.dialect.vector_type(slot, width));
                let load = self.dialect.vector_load(slot, width, &self.affine(cx, &l.index));
                match self.guards(cx, &l.guards) {
                    None => self.line(&self.dialect.constant(&v, &ty, &load)),
                    Some(condition) => {
                        let bool = self.dialect.ty(Scalar::Bool, false);
                        self.line(&self.dialect.constant(&format!("in{i}"), bool, &condition));
                        self.line(&self.dialect.variable(&v, &ty, &self.dialect.vector_empty(slot, width)));
                        self.line_if(Some(&format!("in{i}")), &format!("{v} = {load};"));
                    }
                }
            }
            Expr::Random { stream, seed, step, index } if draws_together(cx, typed) => {
                let block = self.random_block(cx, index);
                let key = [name(seed[0]), name(seed[1])];
                let words = self.dialect.random_words(&block, *stream, &name(*step), [&key[0], &key[1]]);
                self.line(&self.dialect.constant(&format!("v{i}"), self.dialect.words_type(), &words));
            }
            _ => {}
        }
    }

    fn random_block(&self, cx: &Context, index: &Affine) -> String {
        let block = format!("({}) / 4", self.affine(cx, index));
        self.dialect.index_as(Scalar::Uint, &block)
    }

    /// One expression as a declaration.
    fn expression(&mut self, cx: &Context, i: usize, typed: &Typed) {
        let d = self.dialect;
        let dtype = typed.dtype;
        let ty = d.ty(Scalar::of(dtype), self.wide);
        let of = |e: &ExprId| cx.phase.body[e.index()].dtype;
        let e = format!("e{i}");
        let width = cx.kernel.schedule.vector;
        let value = match &typed.expr {
            Expr::Load(l) => {
                let slot = self.slot(l.buffer);
                let fill = d.literal(dtype, l.fill);
                let never = |g: &Guard| {
                    let (low, high) = cx.ranges.of(&g.expr);
                    high < g.low || low >= g.high
                };
                match cx.axis {
                    Some(axis) if is_vector(&l.index, &l.guards, axis, width) => {
                        let part = d.vector_get(slot, width, &format!("v{i}"), "part");
                        let guarded = self.guards(cx, &l.guards).is_some();
                        if guarded { d.select(&format!("in{i}"), &part, &fill) } else { part }
                    }
                    // Its place may be one that no language takes.
                    _ if l.guards.iter().any(never) => fill,
                    _ => match self.guards(cx, &l.guards) {
                        None => d.load(slot, &self.affine(cx, &l.index)),
                        Some(condition) => {
                            self.line(&d.variable(&e, ty, &fill));
                            let load = d.load(slot, &self.affine(cx, &l.index));
                            return self.line_if(Some(&condition), &format!("{e} = {load};"));
                        }
                    },
                }
            }
            Expr::Carry(k) if cx.carries => format!("c{k}[part]"),
            Expr::Carry(k) => format!("c{k}"),
            Expr::Const(v) => d.literal(dtype, *v),
            Expr::Index(a) => d.index_as(Scalar::Int, &self.affine(cx, a)),
            Expr::Within(guards) => self.guards(cx, guards).unwrap_or_else(|| d.literal(DType::Bool, 1.0)),
            Expr::Random { stream, seed, step, index } => {
                if draws_together(cx, typed) {
                    d.random_word(&format!("v{i}"), "part", dtype == DType::U32)
                } else {
                    let block = self.random_block(cx, index);
                    let key = [name(seed[0]), name(seed[1])];
                    let words = d.random_words(&block, *stream, &name(*step), [&key[0], &key[1]]);
                    let word = format!("({}) % 4", self.affine(cx, index));
                    d.random_word(&words, &word, dtype == DType::U32)
                }
            }
            Expr::Unary(op, a) => d.unary(*op, of(a), &name(*a)),
            Expr::Binary(op, a, b) => d.binary(*op, of(a), &name(*a), &name(*b)),
            Expr::Compare(op, a, b) => d.compare(*op, of(a), &name(*a), &name(*b)),
            Expr::Select(c, a, b) => d.select(&name(*c), &name(*a), &name(*b)),
            Expr::Cast(a) => d.cast(of(a), dtype, &name(*a)),
        };
        self.line(&d.constant(&e, ty, &value));
    }

    /// Folds and stores at a point of the reduced space.
    fn outs(&mut self, cx: &Context) {
        let d = self.dialect;
        let shared = !cx.kernel.schedule.workers.are_alone();
        let alone = shared && cx.phase.reduce.is_empty();
        let mut stores = Vec::new();
        for (i, out) in cx.phase.outs.iter().enumerate() {
            match out {
                Out::Reduce { fold, value, carry, .. } => {
                    let dtype = cx.phase.body[value.index()].dtype;
                    let part = if cx.carries { "[part]" } else { "" };
                    let (c, e) = (format!("c{carry}{part}"), name(*value));
                    match fold {
                        _ if cx.phase.reduce.is_empty() => self.line(&format!("{c} = {e};")),
                        Fold::Value(op) => {
                            let folded = d.binary(folding(*op), dtype, &c, &e);
                            self.line(&format!("{c} = {folded};"));
                        }
                        Fold::Place(op) => {
                            let best = format!("best{carry}");
                            let number = cx.phase.reduce.iter().enumerate().fold(Affine::default(), |sum, (i, &n)| {
                                sum.scaled(n as i64).plus(&Affine::var(Var::Reduce(i as u32), 1), 1)
                            });
                            self.open(&format!("if ({c} < 0 || {}) {{", d.beats(*op, dtype, &e, &best)));
                            self.line(&format!("{best} = {e};"));
                            let place = d.index_as(Scalar::Int, &self.affine(cx, &number));
                            self.line(&format!("{c} = {place};"));
                            self.close(1);
                        }
                    }
                }
                Out::Store { buffer, index, value } => {
                    let slot = self.slot(*buffer);
                    let width = cx.kernel.schedule.vector;
                    if cx.axis.is_some_and(|axis| is_vector(index, &[], axis, width)) {
                        let set = d.vector_set(slot, width, &format!("s{i}"), "part", &name(stored(cx, slot, *value)));
                        self.line(&set);
                    } else {
                        stores.push(d.store(slot, &self.affine(cx, index), &name(stored(cx, slot, *value))));
                    }
                }
            }
        }
        if stores.is_empty() {
            return;
        }
        if alone && updates(self.plan, cx.kernel) {
            // All workers have read what one of them is about to overwrite.
            self.line(d.barrier(cx.kernel.schedule.workers));
        }
        let condition = match (alone, cx.live) {
            (true, Some(live)) => Some(format!("lane == 0 && {live}")),
            (true, None) => Some("lane == 0".into()),
            (false, live) => live.map(String::from),
        };
        if let Some(condition) = &condition {
            self.open(&format!("if ({condition}) {{"));
        }
        stores.iter().for_each(|store| self.line(store));
        self.close(condition.is_some() as usize);
    }

    /// The conditions of guards that do not always hold.
    fn guards(&self, cx: &Context, guards: &[Guard]) -> Option<String> {
        let mut conditions = Vec::new();
        for g in guards {
            let (low, high) = cx.ranges.of(&g.expr);
            let text = self.affine(cx, &g.expr);
            if low < g.low {
                conditions.push(format!("{text} >= {}", g.low));
            }
            if high >= g.high {
                conditions.push(format!("{text} < {}", g.high));
            }
        }
        (!conditions.is_empty()).then(|| conditions.join(" && "))
    }

    /// An index map.
    fn affine(&self, cx: &Context, a: &Affine) -> String {
        let mut text = String::new();
        for &(var, c) in &a.terms {
            let var = if cx.ahead && cx.axis == Some(var) { format!("{var}_first") } else { var.to_string() };
            let sign = match (text.is_empty(), c < 0) {
                (true, false) => "",
                (true, true) => "-",
                (false, false) => " + ",
                (false, true) => " - ",
            };
            text.push_str(sign);
            match c.unsigned_abs() {
                1 => text.push_str(&var),
                n => text.push_str(&format!("{n} * {var}")),
            }
        }
        match (text.is_empty(), a.offset) {
            (true, n) => n.to_string(),
            (false, 0) => text,
            (false, n) if n < 0 => format!("{text} - {}", n.unsigned_abs()),
            (false, n) => format!("{text} + {n}"),
        }
    }
}

/// A number of so many elements.
pub(super) fn times(value: &str, by: usize) -> String {
    if by == 1 { value.into() } else { format!("{value} * {by}") }
}

fn name(e: ExprId) -> String {
    format!("e{}", e.0)
}

/// What a store is to round: not what has just been rounded to the same narrow float.
fn stored(cx: &Context, slot: &Slot, value: ExprId) -> ExprId {
    let typed = &cx.phase.body[value.index()];
    match typed.expr {
        Expr::Cast(from)
            if typed.dtype == slot.dtype
                && matches!(typed.dtype, DType::BF16 | DType::F16)
                && cx.phase.body[from.index()].dtype == DType::F32 =>
        {
            from
        }
        _ => value,
    }
}

/// Whether a phase leaves carries.
fn folds(phase: &Phase) -> bool {
    phase.outs.iter().any(|out| matches!(out, Out::Reduce { .. }))
}

/// The function that folds two values.
fn folding(op: ReduceOp) -> Binary {
    match op {
        ReduceOp::Sum => Binary::Add,
        ReduceOp::Prod => Binary::Mul,
        ReduceOp::Max => Binary::Max,
        ReduceOp::Min => Binary::Min,
    }
}

/// Whether a kernel reads memory that it writes.
fn updates(plan: &Plan, kernel: &LoopKernel) -> bool {
    kernel.loads().any(|l| kernel.stores().any(|s| overlap(plan, l.buffer, s.0)))
}
