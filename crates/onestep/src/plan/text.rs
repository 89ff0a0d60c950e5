//! The text form of a plan: what tests bless, what people read when something is slow.

use std::fmt;

use super::{
    Buffer, BufferId, Epilogue, Expr, Fold, Kernel, KernelKind, Let, LibraryKernel, LoopKernel, Operand, Out, Phase,
    Place, Plan, Schedule, Typed,
};

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "plan, arena {} bytes", self.arena_bytes)?;
        let used = |id: BufferId| self.kernels.iter().any(|k| k.reads().contains(&id) || k.writes().contains(&id));
        for (i, buffer) in self.buffers.iter().enumerate().filter(|(i, _)| used(BufferId(*i as u32))) {
            writeln!(f, "  b{i}: {buffer}")?;
        }
        for (i, kernel) in self.kernels.iter().enumerate() {
            if let Some(strips) = self.strips.iter().find(|s| s.kernels.start == i) {
                writeln!(f, "in {} strips, k{i} to k{}:", strips.count, strips.kernels.end - 1)?;
            }
            if let Some(island) = self.islands.iter().find(|r| r.start == i) {
                writeln!(f, "island k{} to k{}", island.start, island.end - 1)?;
            }
            write!(f, "k{i} {kernel}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}] ", self.dtype, self.len)?;
        match &self.place {
            Place::Input(i) => write!(f, "input {i}")?,
            Place::State(i) => write!(f, "state {i}")?,
            Place::Output(i) => write!(f, "output {i}")?,
            Place::Constant(_) => write!(f, "constant")?,
            Place::Arena(Some(offset)) => write!(f, "at {offset}")?,
            Place::Arena(None) => write!(f, "unplaced")?,
        }
        if self.name.is_empty() { Ok(()) } else { write!(f, " \"{}\"", self.name) }
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            KernelKind::Loop(k) => {
                write!(f, "{} {:?}", self.kind_name(), k.grid)?;
                if k.schedule != Schedule::default() {
                    write!(f, " {}", k.schedule)?;
                }
            }
            KernelKind::Library(_) => write!(f, "{}", self.kind_name())?,
        }
        let scopes: Vec<&str> = self.scopes.iter().map(String::as_str).filter(|s| !s.is_empty()).collect();
        if !scopes.is_empty() {
            write!(f, " @ {}", scopes.join(", "))?;
        }
        for (what, events) in [("waits for", &self.waits), ("signals", &self.signals)] {
            if !events.is_empty() {
                let events: Vec<String> = events.iter().map(u32::to_string).collect();
                write!(f, ", {what} {}", events.join(", "))?;
            }
        }
        writeln!(f)?;
        match &self.kind {
            KernelKind::Loop(k) => write!(f, "{k}"),
            KernelKind::Library(k) => write!(f, "{k}"),
        }
    }
}

impl Kernel {
    /// Its kind in texts: `loop`, or what library call it is (`dot`, `conv`, …).
    pub fn kind_name(&self) -> &'static str {
        match &self.kind {
            KernelKind::Loop(_) => "loop",
            KernelKind::Library(kernel) => kernel.name(),
        }
    }

    /// The extents of its work, on one line: a loop kernel's grid and what each phase reduces over; those of a
    /// library call.
    pub fn extents(&self) -> String {
        match &self.kind {
            KernelKind::Loop(kernel) => {
                let over = |p: &Phase| if p.reduce.is_empty() { "each".into() } else { format!("over {:?}", p.reduce) };
                let phases: Vec<String> = kernel.phases.iter().map(over).collect();
                format!("{:?} {}", kernel.grid, phases.join(", "))
            }
            KernelKind::Library(kernel) => kernel.extents(),
        }
    }
}

impl fmt::Display for LoopKernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for phase in &self.phases {
            if phase.reduce.is_empty() {
                writeln!(f, "  each:")?;
            } else {
                writeln!(f, "  over {:?}:", phase.reduce)?;
            }
            for (i, l) in phase.lets.iter().enumerate() {
                match l {
                    Let::Div(a, n) => writeln!(f, "    l{i} = ({a}) / {n}")?,
                    Let::Rem(a, n) => writeln!(f, "    l{i} = ({a}) % {n}")?,
                    Let::Value(e) => writeln!(f, "    l{i} = e{}", e.0)?,
                }
            }
            for (i, typed) in phase.body.iter().enumerate() {
                writeln!(f, "    e{i}: {typed}")?;
            }
            for out in &phase.outs {
                match out {
                    Out::Reduce { fold, value, carry, .. } => {
                        let name = match fold {
                            Fold::Value(op) => op.name(),
                            Fold::Place(op) => op.name(),
                        };
                        writeln!(f, "    c{carry} = {name} e{}", value.0)?;
                    }
                    Out::Store { buffer, index, value } => writeln!(f, "    b{}[{index}] = e{}", buffer.0, value.0)?,
                }
            }
        }
        Ok(())
    }
}

impl fmt::Display for Typed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = ", self.dtype)?;
        match &self.expr {
            Expr::Load(l) => {
                write!(f, "b{}[{}]", l.buffer.0, l.index)?;
                if !l.guards.is_empty() {
                    write!(f, " if {} else {}", joined(&l.guards, " and "), l.fill)?;
                }
                Ok(())
            }
            Expr::Carry(k) => write!(f, "c{k}"),
            Expr::Const(v) => write!(f, "{v}"),
            Expr::Index(a) => write!(f, "index {a}"),
            Expr::Within(guards) => write!(f, "{}", joined(guards, " and ")),
            Expr::Random { stream, seed, step, index } => {
                write!(f, "random {stream} (e{}, e{}, e{}) [{index}]", seed[0].0, seed[1].0, step.0)
            }
            Expr::Unary(op, a) => write!(f, "{} e{}", op.name(), a.0),
            Expr::Binary(op, a, b) => write!(f, "{} e{}, e{}", op.name(), a.0, b.0),
            Expr::Compare(op, a, b) => write!(f, "{} e{}, e{}", op.name(), a.0, b.0),
            Expr::Select(c, a, b) => write!(f, "select e{}, e{}, e{}", c.0, a.0, b.0),
            Expr::Cast(a) => write!(f, "cast e{}", a.0),
        }
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b{}", self.buffer.0)?;
        if self.offset != 0 {
            write!(f, "+{}", self.offset)?;
        }
        write!(f, "{:?}", self.strides)
    }
}

impl fmt::Display for LibraryKernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reads = joined(&self.reads(), ", ");
        write!(f, "    {} = {reads}", self.out())?;
        if let Some(Epilogue { bias, relu, mask }) = self.epilogue() {
            let then = [(bias.is_some(), "bias"), (*relu, "relu"), (mask.is_some(), "mask")];
            let then: Vec<&str> = then.into_iter().filter(|t| t.0).map(|t| t.1).collect();
            if !then.is_empty() {
                write!(f, " then {}", then.join(", "))?;
            }
        }
        if self.uses_tf32() {
            write!(f, " in tf32")?;
        }
        match self {
            LibraryKernel::Dot { extents: [b, m, n, k], .. } => writeln!(f, " b={b} m={m} n={n} k={k}"),
            LibraryKernel::Conv { spec, input, filter, .. } => writeln!(
                f,
                " input={input:?} filter={filter:?} stride={:?} padding={:?} dilation={:?} groups={}",
                spec.stride, spec.padding, spec.dilation, spec.groups
            ),
            LibraryKernel::CumSum { extents, exclusive, reverse, .. } => {
                writeln!(f, " extents={extents:?} exclusive={exclusive} reverse={reverse}")
            }
            LibraryKernel::ScatterAdd { extents, .. } => writeln!(f, " extents={extents:?}"),
        }
    }
}

impl LibraryKernel {
    /// The extents alone, without operands and options.
    fn extents(&self) -> String {
        match self {
            LibraryKernel::Dot { extents: [b, m, n, k], .. } => format!("b={b} m={m} n={n} k={k}"),
            LibraryKernel::Conv { input, filter, output, .. } => format!("{input:?} * {filter:?} -> {output:?}"),
            LibraryKernel::CumSum { extents, .. } => format!("{extents:?}"),
            LibraryKernel::ScatterAdd { extents, .. } => format!("{extents:?}"),
        }
    }
}

fn joined<T: fmt::Display>(items: &[T], separator: &str) -> String {
    items.iter().map(|i| i.to_string()).collect::<Vec<_>>().join(separator)
}
