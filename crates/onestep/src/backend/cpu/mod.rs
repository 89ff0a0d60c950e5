//! The CPU: runs a plan kernel by kernel. Loop kernels are evaluated in blocks of lanes by pre-compiled
//! vector loops, so there is no compiler at run time and no dispatch for single elements.

mod access;
mod combine;
mod compile;
mod conv;
mod formula;
mod lanes;
mod library;
mod math;
mod pool;
mod product;
mod random;
mod run;
mod tape;
mod tile;
mod vector;

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::host::{Bytes, HostMemory};
use super::memory::{Account, Charge, Purpose, Statistics};
use super::{Backend, Executable, Memory, check_input, state};
use crate::error::{Error, Result};
use crate::ir::{DType, Graph, Literal, Type};
use crate::plan::{BufferId, Epilogue, Kernel, KernelKind, LibraryKernel, Operand, Place, Plan, Strips, Target};
use conv::{Conv, Tensors};
use pool::{PerThread, Pool};
use product::{Layout, Product};
use run::{Buffers, Scratch};
use tape::Tape;
use tile::{After, Bias, Isa};

/// Work (elements times instructions) below which a kernel stays on one thread.
const WORTH_SHARING: u64 = 1 << 22;

/// What a strip of a batch may fill of a core's cache: most of the smallest second level in use.
const STRIP_BYTES: usize = 384 << 10;

/// The CPU as a [`Backend`].
pub struct Cpu {
    pool: Arc<Pool>,
    /// An error if the environment asks for what this CPU lacks; whoever compiles is told.
    isa: Result<Isa>,
    account: Account,
}

impl Cpu {
    /// With a number of threads (at least one). Results do not depend on it. The instruction set is the
    /// widest the CPU has, or what the environment variable `ONESTEP_ISA` asks for: `avx512`, `avx2`, `neon`
    /// or `plain`; if that cannot be had, compiling is an error.
    pub fn new(threads: usize) -> Self {
        Cpu { pool: Arc::new(Pool::new(threads)), isa: Isa::detect(), account: Account::new("cpu") }
    }
}

impl Backend for Cpu {
    fn name(&self) -> String {
        "cpu".into()
    }

    fn description(&self) -> String {
        let isa = self.isa.as_ref().map_or_else(|e| e.to_string(), |isa| isa.name().into());
        format!("{} threads, {isa}", self.pool.count())
    }

    fn target(&self) -> Target {
        Target {
            name: "cpu".into(),
            row_limit: 1 << 14,
            strip_bytes: STRIP_BYTES,
            epilogues: true,
            ..Target::default()
        }
    }

    fn allocate(&self, dtype: DType, elements: usize) -> Result<Memory> {
        Ok(Memory::new(HostMemory::charged(elements * dtype.size(), &self.account)?))
    }

    fn compile(&self, graph: &Graph, plan: &Plan, states: &[Memory]) -> Result<Box<dyn Executable>> {
        let mut program = self.program(graph, plan, Some(states))?;
        // Nothing of it was touched yet, so that a refusal comes before the system gives any memory.
        program.charges = program.charge(&self.account)?;
        Ok(Box::new(program))
    }

    fn program_bytes(&self, graph: &Graph, plan: &Plan) -> Result<usize> {
        self.program(graph, plan, None).map(|program| program.bytes())
    }

    fn statistics(&self) -> Option<Statistics> {
        Some(self.account.statistics())
    }

    fn available(&self) -> Option<usize> {
        self.account.available()
    }

    fn limit_memory(&self, bytes: usize) -> Result<()> {
        self.account.set_limit(Some(bytes));
        Ok(())
    }
}

impl Cpu {
    /// Makes a program; without states it can only be asked what it takes.
    fn program(&self, graph: &Graph, plan: &Plan, states: Option<&[Memory]>) -> Result<Program> {
        let isa = self.isa.as_ref().map_err(|e| Error::new(e.kind(), e.to_string()))?;
        if let Some(buffer) = plan.buffers.iter().find(|b| b.dtype == DType::F64) {
            return Err(Error::unsupported(format!(
                "`{}` is f64, which the CPU backend does not compute in; use f32, or the reference device",
                buffer.name
            )));
        }
        let mut program = Program {
            pool: self.pool.clone(),
            isa: *isa,
            inputs: graph.inputs().iter().map(|d| d.ty.clone()).collect(),
            outputs: graph.outputs().iter().map(|(_, n)| graph.ty(*n)).collect(),
            input_memory: Vec::new(),
            output_memory: Vec::new(),
            constants: Vec::new(),
            arena: Bytes::zeroed(plan.arena_bytes)?,
            states: states.unwrap_or_default().to_vec(),
            charges: Vec::new(),
            buffers: Buffers(Vec::new()),
            kernels: Vec::new(),
            strips: plan.strips.clone(),
            widened: Bytes::zeroed(0)?,
            scratch: PerThread::empty(),
            scratch_bytes: 0,
        };
        program.input_memory = program.inputs.iter().map(|t| Bytes::zeroed(t.bytes())).collect::<Result<_>>()?;
        program.output_memory = program.outputs.iter().map(|t| Bytes::zeroed(t.bytes())).collect::<Result<_>>()?;
        program.bind(plan, states.is_some())?;
        program.prepare(plan)?;
        Ok(program)
    }
}

struct Program {
    pool: Arc<Pool>,
    isa: Isa,
    inputs: Vec<Type>,
    outputs: Vec<Type>,
    input_memory: Vec<Bytes>,
    output_memory: Vec<Bytes>,
    constants: Vec<Bytes>,
    arena: Bytes,
    states: Vec<Memory>,
    /// Counts all of its memory.
    charges: Vec<Charge>,
    buffers: Buffers,
    kernels: Vec<Prepared>,
    strips: Vec<Strips>,
    /// What a library kernel reads and writes of narrow floats, as f32.
    widened: Bytes,
    scratch: PerThread<Scratch>,
    scratch_bytes: usize,
}

/// Elements that are converted at once.
const PIECE: usize = 1 << 13;

/// Whether a library kernel reads or writes narrow floats.
fn is_narrow(kernel: &LibraryKernel) -> bool {
    let narrow = |operand: &Operand| matches!(operand.dtype, DType::BF16 | DType::F16);
    kernel.reads().into_iter().chain([kernel.out()]).any(narrow)
}

enum Prepared {
    Loop(Tape),
    Dot {
        product: Product,
        tensors: [Operand; 3],
        epilogue: Epilogue,
    },
    Conv {
        conv: Box<Conv>,
        tensors: [Operand; 3],
        epilogue: Epilogue,
    },
    Serial(LibraryKernel),
    /// A kernel with narrow floats: operands are widened, the inner kernel runs on f32, what it wrote is
    /// narrowed.
    Narrow {
        inner: Box<Prepared>,
        reads: Vec<Widened>,
        out: Option<Widened>,
    },
}

/// An f32 copy of the elements of a narrow buffer that are read or written.
struct Widened {
    buffer: usize,
    dtype: DType,
    copy: usize,
    first: usize,
    len: usize,
}

impl Program {
    /// Counts what it holds.
    fn charge(&self, account: &Account) -> Result<Vec<Charge>> {
        let sum = |list: &[Bytes]| list.iter().map(Bytes::len).sum::<usize>();
        let parts = [
            (self.arena.len(), Purpose::Arena),
            (sum(&self.input_memory), Purpose::Input),
            (sum(&self.output_memory), Purpose::Output),
            (sum(&self.constants), Purpose::Constant),
            (self.scratch_bytes, Purpose::Workspace),
        ];
        parts.into_iter().map(|(bytes, purpose)| account.charge(bytes, purpose)).collect()
    }

    /// Finds every buffer's address, those of states only if they were given.
    fn bind(&mut self, plan: &Plan, with_states: bool) -> Result<()> {
        for buffer in &plan.buffers {
            let pointer = match &buffer.place {
                Place::Input(i) => self.input_memory[*i].pointer(),
                Place::Output(i) => self.output_memory[*i].pointer(),
                Place::State(_) if !with_states => std::ptr::null_mut(),
                Place::State(i) => {
                    let memory = state(&self.states, *i, buffer)?.downcast::<HostMemory>()?;
                    memory.bytes.pointer()
                }
                Place::Constant(literal) => {
                    let memory = Bytes::zeroed(literal.bytes().len())?;
                    // SAFETY: the memory was made for these bytes and nobody else knows it yet.
                    unsafe {
                        std::ptr::copy_nonoverlapping(
                            literal.bytes().as_ptr(),
                            memory.pointer(),
                            literal.bytes().len(),
                        );
                    }
                    let pointer = memory.pointer();
                    self.constants.push(memory);
                    pointer
                }
                // SAFETY: the memory pass places buffers inside the arena.
                Place::Arena(Some(offset)) => unsafe { self.arena.pointer().add(*offset) },
                Place::Arena(None) => std::ptr::null_mut(),
            };
            self.buffers.0.push(pointer);
        }
        Ok(())
    }

    /// Compiles every kernel and allocates what they need besides the arena.
    fn prepare(&mut self, plan: &Plan) -> Result<()> {
        let copies = |kernel: &Kernel| match &kernel.kind {
            KernelKind::Library(call) if is_narrow(call) => call.spans().iter().map(Range::len).sum(),
            KernelKind::Library(_) | KernelKind::Loop(_) => 0,
        };
        let widened = 4 * plan.kernels.iter().map(copies).max().unwrap_or(0);
        self.widened = Bytes::zeroed(widened)?;
        self.scratch_bytes += widened;
        for (i, kernel) in plan.kernels.iter().enumerate() {
            let by_strip = plan.strips.iter().any(|strips| strips.kernels.contains(&i));
            let prepared = match &kernel.kind {
                KernelKind::Loop(kernel) => Prepared::Loop(Tape::new(plan, kernel, by_strip)),
                KernelKind::Library(kernel) => self.library(kernel)?,
            };
            self.kernels.push(prepared);
        }
        let tapes = self.kernels.iter().filter_map(|k| if let Prepared::Loop(tape) = k { Some(tape) } else { None });
        let threads = self.pool.count();
        let mut bytes = 0;
        let scratch = PerThread::new(threads, || {
            let scratch = Scratch::new(tapes.clone());
            bytes += scratch.bytes();
            Ok(scratch)
        })?;
        self.scratch = scratch;
        self.scratch_bytes += bytes;
        Ok(())
    }

    /// A library kernel, on f32 copies of what is narrow.
    fn library(&mut self, kernel: &LibraryKernel) -> Result<Prepared> {
        if !is_narrow(kernel) {
            return self.wide(kernel);
        }
        let mut copies = Vec::new();
        let mut spans = kernel.spans().into_iter();
        let mut used = 0;
        let inner = kernel.clone().with_operands(|operand| {
            let span = spans.next().unwrap_or_else(|| panic!("onestep bug: an operand touches nothing"));
            if !matches!(operand.dtype, DType::BF16 | DType::F16) {
                return Ok::<_, Error>(operand.clone());
            }
            // SAFETY: `prepare` made the memory as large as any kernel's copies.
            self.buffers.0.push(unsafe { self.widened.pointer().add(used * 4) });
            used += span.len();
            let copy = self.buffers.0.len() - 1;
            let (buffer, dtype, first) = (operand.buffer.index(), operand.dtype, span.start);
            copies.push(Widened { buffer, dtype, copy, first, len: span.len() });
            let offset = operand.offset - first as i64;
            Ok(Operand { buffer: BufferId(copy as u32), dtype: DType::F32, offset, ..operand.clone() })
        })?;
        let inner = Box::new(self.wide(&inner)?);
        // Operands stand with the one written last.
        let out = if kernel.out().dtype == DType::F32 { None } else { copies.pop() };
        Ok(Prepared::Narrow { inner, reads: copies, out })
    }

    fn wide(&mut self, kernel: &LibraryKernel) -> Result<Prepared> {
        if kernel.epilogue().is_some_and(|epilogue| epilogue.mask.is_some()) {
            let name = kernel.name();
            return Err(Error::unsupported(format!(
                "there is no {name} with a mask for the CPU; compile for its own target"
            )));
        }
        Ok(match kernel {
            LibraryKernel::Dot { extents, lhs, rhs, out, epilogue, .. } => {
                let tensors = [out.clone(), lhs.clone(), rhs.clone()];
                let layouts =
                    [out, lhs, rhs].map(|o| Layout { row: o.strides[1] as isize, column: o.strides[2] as isize });
                let distances = [out, lhs, rhs].map(|o| o.strides[0] as isize);
                let product = Product::new(self.isa, *extents, layouts, distances)?;
                self.scratch_bytes += product.bytes();
                Prepared::Dot { product, tensors, epilogue: epilogue.clone() }
            }
            LibraryKernel::Conv { direction, spec, input, filter, output, operands: [a, b], out, epilogue, .. } => {
                let conv = Conv::new(self.isa, *direction, spec, [input, filter, output], self.pool.count())?;
                self.scratch_bytes += conv.bytes();
                let tensors = [a.clone(), b.clone(), out.clone()];
                Prepared::Conv { conv: Box::new(conv), tensors, epilogue: epilogue.clone() }
            }
            LibraryKernel::CumSum { .. } | LibraryKernel::ScatterAdd { .. } => Prepared::Serial(kernel.clone()),
        })
    }

    fn execute(&self, kernel: &Prepared) {
        match kernel {
            Prepared::Loop(tape) => {
                let blocks = tape.grid.count();
                let share = tape.work >= WORTH_SHARING && blocks > 1;
                let parts = if share { (self.pool.count() * 4).min(blocks) } else { 1 };
                self.pool.each(parts, share, |part, thread| {
                    let range = blocks * part / parts..blocks * (part + 1) / parts;
                    // SAFETY: the pool hands each thread its own number; `self` keeps the buffers alive and
                    // the states leased; parts are distinct blocks.
                    unsafe { run::run(self.isa, tape, &self.buffers, self.scratch.get(thread), range) };
                });
            }
            Prepared::Dot { product, tensors: [out, lhs, rhs], epilogue } => {
                let after = self.after(epilogue);
                // SAFETY: the plan's extents and strides stay inside its buffers, and no kernel writes what it
                // reads through a library call.
                unsafe { product.run(&self.pool, self.pointer(out), self.pointer(lhs), self.pointer(rhs), after) };
            }
            Prepared::Conv { conv, tensors, epilogue } => {
                // SAFETY: as above; the plan passes dense tensors of the convolution's shapes.
                unsafe { conv.run(&self.pool, &self.tensors(tensors, epilogue)) };
            }
            Prepared::Serial(kernel) => match kernel.out().dtype {
                DType::F32 => self.serial::<f32>(kernel),
                DType::I32 | DType::U32 => self.serial::<u32>(kernel),
                _ => self.serial::<u8>(kernel),
            },
            Prepared::Narrow { inner, reads, out } => {
                for w in reads {
                    self.in_pieces(w.len, |first, len| {
                        // SAFETY: both buffers have these elements, of two and of four bytes, and are distinct; pieces
                        // are apart.
                        let (from, to) = unsafe {
                            (
                                self.slice::<u16>(w.buffer, w.first + first, len),
                                self.slice_mut::<f32>(w.copy, first, len),
                            )
                        };
                        library::widen(w.dtype, from, to);
                    });
                }
                self.execute(inner);
                if let Some(w) = out {
                    self.in_pieces(w.len, |first, len| {
                        // SAFETY: as above.
                        let (from, to) = unsafe {
                            (
                                self.slice::<f32>(w.copy, first, len),
                                self.slice_mut::<u16>(w.buffer, w.first + first, len),
                            )
                        };
                        library::narrow(w.dtype, from, to);
                    });
                }
            }
        }
    }

    /// Calls `convert` for pieces of so many elements, by first element and length.
    fn in_pieces(&self, elements: usize, convert: impl Fn(usize, usize) + Sync) {
        let pieces = elements.div_ceil(PIECE);
        self.pool.each(pieces, elements >= 8 * PIECE, |piece, _| {
            let first = piece * PIECE;
            convert(first, PIECE.min(elements - first));
        });
    }

    /// Runs kernels strip by strip, in parts of the batch that are the same whatever the number of threads.
    fn execute_strips(&self, kernels: &[Prepared], count: usize) {
        let convs = || {
            kernels.iter().filter_map(|kernel| match kernel {
                Prepared::Conv { conv, tensors, epilogue } => Some((conv, self.tensors(tensors, epilogue))),
                _ => None,
            })
        };
        // SAFETY: as in `execute`; nothing else runs.
        convs().for_each(|(conv, tensors)| unsafe { conv.begin(&tensors) });
        let parts = conv::parts(count);
        self.pool.each(parts, true, |part, thread| {
            for strip in conv::part(count, part) {
                for kernel in kernels {
                    // SAFETY: the pool hands each thread its own number and each part to one thread; strips touch
                    // parts of their own of what the run writes.
                    unsafe {
                        match kernel {
                            Prepared::Loop(tape) => {
                                let blocks = tape.grid.count() / count;
                                let range = blocks * strip..blocks * (strip + 1);
                                run::run(self.isa, tape, &self.buffers, self.scratch.get(thread), range);
                            }
                            Prepared::Conv { conv, tensors, epilogue } => {
                                conv.sample(&self.tensors(tensors, epilogue), strip, part, thread);
                            }
                            Prepared::Dot { .. } | Prepared::Serial(_) | Prepared::Narrow { .. } => {
                                panic!("onestep bug: a kernel without strips is in a run of strips")
                            }
                        }
                    }
                }
            }
        });
        // SAFETY: as above; the tasks are done.
        convs().for_each(|(conv, tensors)| unsafe { conv.end(&tensors) });
    }

    fn tensors(&self, [a, b, out]: &[Operand; 3], epilogue: &Epilogue) -> Tensors {
        let after = self.after(epilogue);
        Tensors { a: self.pointer(a), b: self.pointer(b), out: self.pointer(out), after }
    }

    fn after(&self, epilogue: &Epilogue) -> After {
        let bias = epilogue.bias.as_ref().map_or(Bias::None, |bias| Bias::Columns(self.pointer(bias)));
        After { bias, relu: epilogue.relu }
    }

    fn serial<T: library::Number>(&self, kernel: &LibraryKernel) {
        let whole = |o: &Operand, len: usize| (o.buffer.index(), o.offset as usize, len);
        match kernel {
            LibraryKernel::CumSum { extents, exclusive, reverse, x, out, .. } => {
                let len = extents.iter().product();
                let (x, out) = (whole(x, len), whole(out, len));
                // SAFETY: the plan's dense operands lie inside their buffers, of T's size, and are distinct.
                let (x, out) = unsafe { (self.slice::<T>(x.0, x.1, x.2), self.slice_mut::<T>(out.0, out.1, out.2)) };
                library::cumsum(*extents, *exclusive, *reverse, x, out);
            }
            LibraryKernel::ScatterAdd { extents: [o, n, indices, i], base, index, updates, out, .. } => {
                let (base, index) = (whole(base, o * n * i), whole(index, *indices));
                let (updates, out) = (whole(updates, o * indices * i), whole(out, o * n * i));
                // SAFETY: as above; what is read may be one buffer twice.
                unsafe {
                    library::scatter_add(
                        [*o, *n, *indices, *i],
                        self.slice::<T>(base.0, base.1, base.2),
                        self.slice::<i32>(index.0, index.1, index.2),
                        self.slice::<T>(updates.0, updates.1, updates.2),
                        self.slice_mut::<T>(out.0, out.1, out.2),
                    );
                }
            }
            LibraryKernel::Dot { .. } | LibraryKernel::Conv { .. } => {}
        }
    }

    fn pointer(&self, operand: &Operand) -> *mut f32 {
        // SAFETY: the plan's offsets lie inside their buffers.
        unsafe { self.buffers.0[operand.buffer.index()].cast::<f32>().offset(operand.offset as isize) }
    }

    /// # Safety
    /// The buffer must hold `first + len` elements of `T`, and nothing may write them meanwhile.
    unsafe fn slice<T>(&self, buffer: usize, first: usize, len: usize) -> &[T] {
        if len == 0 {
            return &[];
        }
        // SAFETY: promised by the caller.
        unsafe { std::slice::from_raw_parts(self.buffers.0[buffer].cast::<T>().add(first), len) }
    }

    /// # Safety
    /// The buffer must hold `first + len` elements of `T`, and nothing else may touch them meanwhile.
    #[allow(clippy::mut_from_ref, reason = "the plan decides who writes which buffer, see the safety contract")]
    unsafe fn slice_mut<T>(&self, buffer: usize, first: usize, len: usize) -> &mut [T] {
        if len == 0 {
            return &mut [];
        }
        // SAFETY: promised by the caller.
        unsafe { std::slice::from_raw_parts_mut(self.buffers.0[buffer].cast::<T>().add(first), len) }
    }
}

/// States taken for exclusive use, the first `count` so far; given back however the run ends.
struct Held<'a> {
    states: &'a [Memory],
    count: usize,
}

impl<'a> Held<'a> {
    fn all(states: &'a [Memory]) -> Result<Self> {
        let mut held = Held { states, count: 0 };
        for memory in states {
            memory.downcast::<HostMemory>()?.acquire()?;
            held.count += 1;
        }
        Ok(held)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        for memory in &self.states[..self.count] {
            if let Ok(memory) = memory.downcast::<HostMemory>() {
                memory.release();
            }
        }
    }
}

impl Executable for Program {
    fn write_input(&mut self, index: usize, value: &Literal) -> Result<()> {
        let bytes = value.bytes();
        let memory = self.input_memory.get(index);
        let memory = memory.ok_or_else(|| Error::graph(format!("there is no input {index}")))?;
        check_input(index, &self.inputs[index], bytes)?;
        // SAFETY: `&mut self` makes this the only access; both ranges are that long and distinct.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), memory.pointer(), bytes.len()) };
        Ok(())
    }

    fn run(&mut self) -> Result<()> {
        let _held = Held::all(&self.states)?;
        let mut strips = self.strips.iter();
        let mut next = 0;
        while next < self.kernels.len() {
            match strips.as_slice().first().filter(|s| s.kernels.start == next) {
                Some(run) => {
                    self.execute_strips(&self.kernels[run.kernels.clone()], run.count);
                    strips.next();
                    next = run.kernels.end;
                }
                None => {
                    self.execute(&self.kernels[next]);
                    next += 1;
                }
            }
        }
        Ok(())
    }

    fn run_timed(&mut self) -> Result<Option<Vec<Duration>>> {
        let _held = Held::all(&self.states)?;
        let timed = |kernel| {
            let began = Instant::now();
            self.execute(kernel);
            began.elapsed()
        };
        Ok(Some(self.kernels.iter().map(timed).collect()))
    }

    fn read_output(&mut self, index: usize) -> Result<Literal> {
        let memory = self.output_memory.get(index);
        let memory = memory.ok_or_else(|| Error::graph(format!("there is no output {index}")))?;
        // SAFETY: `&mut self` makes this the only access.
        let bytes = unsafe { std::slice::from_raw_parts(memory.pointer(), memory.len()) };
        Literal::from_bytes(self.outputs[index].dtype, &self.outputs[index].shape, bytes)
    }

    fn wait(&mut self) -> Result<()> {
        Ok(())
    }

    fn bytes(&self) -> usize {
        let sum = |list: &[Bytes]| list.iter().map(Bytes::len).sum::<usize>();
        self.arena.len()
            + sum(&self.input_memory)
            + sum(&self.output_memory)
            + sum(&self.constants)
            + self.scratch_bytes
    }
}
