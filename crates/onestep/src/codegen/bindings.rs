//! What a kernel binds, and how it sees each buffer: typed memory, or words that hold several elements or
//! elements of several types.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::ir::DType;
use crate::plan::{BufferId, Expr, LoopKernel, Out, Place, Plan, is_vector};

/// Whether a kernel writes what it binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It only reads.
    Read,
    /// It reads and writes, or must be bound as if it did: WGSL devices forbid that a kernel writes one part
    /// of a memory and binds another part of it for reading alone.
    ReadWrite,
}

/// What is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// A buffer from its first element on. WGSL sees whole words of four bytes: its size is rounded up.
    Buffer(BufferId),
    /// The bytes of the plan's arena from the first buffer that the kernel uses to the last: it starts where a buffer
    /// does.
    Arena {
        /// The first of them.
        start: usize,
        /// The one behind the last.
        end: usize,
    },
    /// Scratch memory of the launch's own, as large as what printed the kernel says.
    Workspace,
}

/// One entry of a kernel's bindings or parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding {
    /// What is bound.
    pub bound: Bound,
    /// Whether it is written.
    pub access: Access,
    /// Where a device binds no more than so many bytes at once and there are more: these bytes of it, from the first to
    /// the one behind the last.
    pub window: Option<(usize, usize)>,
}

impl Binding {
    /// All of something.
    pub fn whole(bound: Bound, access: Access) -> Self {
        Binding { bound, access, window: None }
    }
}

/// How elements lie in what is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Storage {
    /// As an array of their own type.
    Typed,
    /// As an array of 32-bit words.
    Words,
    /// As words of which threads write parts: atomically, or they would undo each other's parts.
    Atomic,
}

/// How a kernel sees a buffer.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    /// The variable.
    pub name: String,
    pub dtype: DType,
    pub storage: Storage,
    /// Number of the buffer's first element, counted from where the variable starts.
    pub first: usize,
    /// Elements that every access takes at once; 1 where some take one.
    pub width: usize,
    pub written: bool,
    /// Bytes of each binding but the last, where it is bound as several.
    pub window: Option<usize>,
}

/// What a language can bind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// Whether elements of less than 32 bits lie in words, and one memory is either written or read.
    pub words: bool,
    /// Most bindings of a kernel.
    pub most: usize,
    /// Most bytes of a binding, a multiple of [`WINDOW_ALIGNMENT`].
    pub most_bytes: usize,
}

/// What windows start at multiples of, in bytes: what devices want of a binding, and whole vectors of any element.
pub(super) const WINDOW_ALIGNMENT: usize = 256;

/// A kernel's bindings in order with how each is seen, and how it sees each buffer.
pub(super) struct Bindings {
    pub list: Vec<(Binding, Slot)>,
    pub slots: BTreeMap<BufferId, Slot>,
}

/// How a kernel uses a buffer.
#[derive(Clone, Copy, Default)]
struct Use {
    written: bool,
    /// Some store writes a part of a word.
    part: bool,
    /// The width of every access, or 1; `None` before the first.
    width: Option<usize>,
}

/// The variable where the arena is bound as one.
pub(super) const JOINED: &str = "arena";

/// Collects the bindings of kernels that are printed as one.
pub(super) fn collect<'a>(
    plan: &Plan,
    members: impl Iterator<Item = &'a LoopKernel>,
    rules: Rules,
) -> Result<Bindings> {
    let uses = uses(plan, members);
    let arena = |id: &BufferId| matches!(plan.buffer(*id).place, Place::Arena(_));
    let writes_arena = uses.iter().any(|(id, u)| u.written && arena(id));
    let alone = |id: BufferId| {
        let shared = |(&other, u): (&BufferId, &Use)| {
            other != id && (u.written || uses[&id].written) && overlap(plan, id, other)
        };
        !uses.iter().any(shared)
    };
    let windows = |bytes: usize| bytes.div_ceil(rules.most_bytes).max(1);
    let count =
        |ids: &mut dyn Iterator<Item = &BufferId>| ids.map(|id| windows(plan.buffer(*id).bytes())).sum::<usize>();
    let all = count(&mut uses.keys());
    let joined = rules.words && (all > rules.most || uses.keys().any(|&id| arena(&id) && !alone(id)));
    let used = uses.keys().filter(|id| joined && arena(id)).map(|&id| {
        let start = offset(plan, id);
        start..start + plan.buffer(id).bytes()
    });
    let stretch = used.reduce(|a, b| a.start.min(b.start)..a.end.max(b.end)).unwrap_or_default();
    let apart = count(&mut uses.keys().filter(|id| !arena(id)));
    let needed = if joined { apart + windows(stretch.len()) } else { all };
    if needed > rules.most {
        return Err(Error::unsupported(format!(
            "binds {needed} buffers, but the device takes {}; raise its limit, or switch fusion off \
             (ONESTEP_PASSES=-fuse)",
            rules.most
        )));
    }
    let word = |u: &Use, dtype: DType| match (rules.words && dtype.size() < 4, u.part) {
        (false, _) => Storage::Typed,
        (true, false) => Storage::Words,
        (true, true) => Storage::Atomic,
    };
    let parts = uses.iter().any(|(id, u)| arena(id) && u.part && plan.buffer(*id).dtype.size() < 4);
    let mut bindings = Bindings { list: Vec::new(), slots: BTreeMap::new() };
    for (&id, u) in &uses {
        let dtype = plan.buffer(id).dtype;
        let bytes = if joined && arena(&id) { stretch.len() } else { plan.buffer(id).bytes() };
        let window = Some(rules.most_bytes).filter(|&most| bytes > most);
        let slot = match plan.buffer(id).place {
            Place::Arena(_) if joined => Slot {
                name: JOINED.into(),
                dtype,
                storage: if parts { Storage::Atomic } else { Storage::Words },
                first: (offset(plan, id) - stretch.start) / dtype.size(),
                width: 1,
                written: writes_arena,
                window,
            },
            _ => Slot {
                name: format!("b{}", id.0),
                dtype,
                storage: word(u, dtype),
                first: 0,
                width: u.width.unwrap_or(1),
                written: u.written || (rules.words && arena(&id) && writes_arena),
                window,
            },
        };
        let bound = match joined && arena(&id) {
            true => Bound::Arena { start: stretch.start, end: stretch.end },
            false => Bound::Buffer(id),
        };
        if !bindings.list.iter().any(|(b, _)| b.bound == bound) {
            let access = if slot.written { Access::ReadWrite } else { Access::Read };
            let starts = (0..bytes.max(1)).step_by(rules.most_bytes);
            let window = |start| window.map(|most| (start, bytes.min(start + most)));
            bindings.list.extend(starts.map(|start| (Binding { bound, access, window: window(start) }, slot.clone())));
        }
        bindings.slots.insert(id, slot);
    }
    Ok(bindings)
}

/// Where an intermediate lies in the arena.
fn offset(plan: &Plan, id: BufferId) -> usize {
    match plan.buffer(id).place {
        Place::Arena(Some(offset)) => offset,
        _ => panic!("onestep bug: the memory of b{} is not planned", id.0),
    }
}

fn uses<'a>(plan: &Plan, members: impl Iterator<Item = &'a LoopKernel>) -> BTreeMap<BufferId, Use> {
    let mut uses: BTreeMap<BufferId, Use> = BTreeMap::new();
    let mut note = |id: BufferId, width: usize, written: bool| {
        let u = uses.entry(id).or_default();
        u.written |= written;
        u.part |= written && !(width * plan.buffer(id).dtype.size()).is_multiple_of(4);
        u.width = Some(if u.width.is_none_or(|w| w == width) { width } else { 1 });
    };
    for kernel in members {
        for phase in &kernel.phases {
            let axis = kernel.vector_axis(phase);
            let width = |together: &dyn Fn(crate::plan::Var) -> bool| {
                axis.filter(|a| together(*a)).map_or(1, |_| kernel.schedule.vector)
            };
            for typed in &phase.body {
                if let Expr::Load(l) = &typed.expr {
                    let together = |a| is_vector(&l.index, &l.guards, a, kernel.schedule.vector);
                    note(l.buffer, width(&together), false);
                }
            }
            for out in &phase.outs {
                if let Out::Store { buffer, index, .. } = out {
                    note(*buffer, width(&|a| is_vector(index, &[], a, kernel.schedule.vector)), true);
                }
            }
        }
    }
    uses
}

/// Whether two buffers share memory.
pub(super) fn overlap(plan: &Plan, a: BufferId, b: BufferId) -> bool {
    let range = |id: BufferId| match plan.buffer(id).place {
        Place::Arena(Some(start)) => Some(start..start + plan.buffer(id).bytes()),
        _ => None,
    };
    a == b || matches!((range(a), range(b)), (Some(a), Some(b)) if a.start < b.end && b.start < a.end)
}
