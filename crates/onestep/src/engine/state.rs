//! The states of a model in training, by name: their memory on the device, what they start from, and how they
//! are saved and loaded. Programs of different batch sizes and modes share them.

use super::later::Later;
use super::pack::Layout;
use crate::backend::{Device, Memory};
use crate::error::{Error, Result};
use crate::trace::{Buffer, DType, Graph, Literal, StateKind, Type};

/// All parameters.
pub(super) const PARAMS: &str = "params";
/// The number of steps done, u32[].
pub(super) const STEP: &str = "rng.step";
/// The key of all random numbers, u32[2].
pub(super) const SEED: &str = "rng.seed";

pub(super) struct State {
    name: String,
    pub(super) ty: Type,
    kind: StateKind,
    pub(super) memory: Memory,
}

/// Every state, in the order of declaration.
pub(super) struct States {
    device: Device,
    seed: u64,
    pub(super) layout: Layout,
    pub(super) table: Vec<State>,
}

/// Which states are meant.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Parameters and buffers.
    Model,
    /// Slots, the step, the seed, and what the engine sums up during training.
    Optimizer,
}

impl Part {
    pub(super) fn holds(self, state: &State) -> bool {
        match state.kind {
            StateKind::Parameter | StateKind::Buffer => self == Part::Model,
            StateKind::Slot => self == Part::Optimizer,
            StateKind::System => {
                self == Part::Optimizer && (state.name.starts_with("engine.train.") || state.name.starts_with("rng."))
            }
        }
    }
}

impl States {
    /// No states yet.
    pub(super) fn new(device: &Device, layout: Layout, seed: u64) -> Self {
        States { device: device.clone(), seed, layout, table: Vec::new() }
    }

    /// Allocates and initialises the states of a program that are not there yet. `declared` says what they are
    /// and start from; what it does not name is the engine's own and starts from zero.
    pub(super) fn add(&mut self, graph: &Graph, declared: &[Buffer]) -> Result<()> {
        for state in graph.states() {
            if self.table.iter().any(|s| s.name == state.name) {
                continue;
            }
            let ty = state.ty.clone();
            let memory = self.device.allocate(ty.dtype, ty.shape.elements())?;
            let buffer = declared.iter().find(|b| b.name == state.name);
            let (kind, initial) = match state.name.as_str() {
                PARAMS => (StateKind::Parameter, Some(self.layout.initial(self.seed)?)),
                SEED => {
                    let words = [self.seed as u32, (self.seed >> 32) as u32].map(f64::from);
                    (StateKind::System, Some(Literal::from_f64(DType::U32, [2], &words)?))
                }
                _ => {
                    let value = buffer.map_or(0.0, |b| b.value);
                    let fill = || Literal::from_f64(ty.dtype, &ty.shape, &vec![value; ty.shape.elements()]);
                    let kind = buffer.map_or(StateKind::System, |b| b.kind);
                    (kind, if value == 0.0 { None } else { Some(fill()?) })
                }
            };
            if let Some(initial) = initial {
                memory.upload(initial.bytes())?;
            }
            self.table.push(State { name: state.name.clone(), ty, kind, memory });
        }
        Ok(())
    }

    /// Gives a state of the engine's own a value, and memory where there is none of its type.
    pub(super) fn put(&mut self, name: &str, ty: &Type, bytes: &[u8]) -> Result<()> {
        if let Some(state) = self.table.iter().find(|s| s.name == name && s.ty == *ty) {
            return state.memory.upload(bytes);
        }
        self.remove(name);
        let memory = self.device.allocate(ty.dtype, ty.shape.elements())?;
        memory.upload(bytes)?;
        self.table.push(State { name: name.to_string(), ty: ty.clone(), kind: StateKind::System, memory });
        Ok(())
    }

    /// Forgets a state, if it is there; programs that use it keep its memory.
    pub(super) fn remove(&mut self, name: &str) {
        self.table.retain(|s| s.name != name);
    }

    /// The memory of each of a program's states, in its order. An error if there is none, or one of another type.
    pub(super) fn bind(&self, graph: &Graph) -> Result<Vec<Memory>> {
        let memory = |name: &str, ty: &Type| match self.find(name) {
            Ok(state) if state.ty == *ty => Ok(state.memory.clone()),
            Ok(state) => Err(Error::shape(format!(
                "state `{name}` is {ty} here but was {} before; states must not depend on the batch size or the mode",
                state.ty
            ))),
            Err(e) => Err(e),
        };
        graph.states().iter().map(|d| memory(&d.name, &d.ty)).collect()
    }

    /// A state's value, after everything submitted that writes it.
    pub(super) fn read(&self, name: &str) -> Result<Literal> {
        self.find(name)?.read()
    }

    /// Asks for the values of states, and does not wait for them; `read` makes of all their elements what is wanted.
    pub(super) fn request<T>(&self, names: &[String], read: fn(&[f64]) -> T) -> Result<Later<T>> {
        let states = names.iter().map(|name| self.find(name)).collect::<Result<Vec<_>>>()?;
        let memory: Vec<&Memory> = states.iter().map(|state| &state.memory).collect();
        let types = states.iter().map(|state| state.ty.clone()).collect();
        Ok(Later::new(self.device.download_later(&memory)?, types, read))
    }

    /// Sets a state to zero; nothing happens if no program has it.
    pub(super) fn clear(&self, name: &str) -> Result<()> {
        match self.table.iter().find(|s| s.name == name) {
            Some(state) => state.memory.upload(&vec![0; state.memory.bytes()]),
            None => Ok(()),
        }
    }

    /// Whether any program has the state.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.table.iter().any(|s| s.name == name)
    }

    /// Bytes on the device.
    pub(super) fn bytes(&self) -> usize {
        self.table.iter().map(|s| s.memory.bytes()).sum()
    }

    fn find(&self, name: &str) -> Result<&State> {
        self.table.iter().find(|s| s.name == name).ok_or_else(|| {
            Error::name(format!(
                "state `{name}` was not there when the engine was made; states must not depend on the batch size or \
                 the mode"
            ))
        })
    }

    /// Named tensors of a part of the state. An arena gives one for each parameter: the slot "optimizer.m" of
    /// parameter "fc.weight" is "optimizer.m.fc.weight".
    pub(super) fn save(&self, part: Part) -> Result<Vec<(String, Literal)>> {
        let mut tensors = Vec::new();
        for state in self.table.iter().filter(|s| part.holds(s)) {
            let whole = state.read()?;
            for (name, ty, range) in self.pieces(state) {
                let size = ty.dtype.size();
                let bytes = &whole.bytes()[range.start * size..range.end * size];
                tensors.push((name, Literal::from_bytes(ty.dtype, ty.shape, bytes)?));
            }
        }
        Ok(tensors)
    }

    /// Takes over what [`States::save`] gave. Nothing is written unless all fits.
    pub(super) fn load(&self, part: Part, tensors: &[(String, Literal)]) -> Result<()> {
        let mut faults = Vec::new();
        let mut used = vec![false; tensors.len()];
        let mut uploads = Vec::new();
        for state in self.table.iter().filter(|s| part.holds(s)) {
            let mut bytes = vec![0; state.memory.bytes()];
            for (name, ty, range) in self.pieces(state) {
                let Some(i) = tensors.iter().position(|(n, _)| *n == name) else {
                    faults.push(format!("`{name}` {ty} is missing"));
                    continue;
                };
                used[i] = true;
                let given = &tensors[i].1;
                if (given.shape(), given.dtype()) != (&ty.shape, ty.dtype) {
                    faults.push(format!("`{name}` is {}{}, not {ty}", given.dtype(), given.shape()));
                    continue;
                }
                let size = ty.dtype.size();
                bytes[range.start * size..range.end * size].copy_from_slice(given.bytes());
            }
            uploads.push((&state.memory, bytes));
        }
        let unexpected = tensors.iter().zip(&used).filter(|(_, used)| !**used);
        faults.extend(unexpected.map(|((name, _), _)| format!("`{name}` is unexpected")));
        refuse(faults, "load them into the model and optimizer they were saved from")?;
        uploads.into_iter().try_for_each(|(memory, bytes)| memory.upload(&bytes))
    }

    /// How a state is divided into named tensors: name, type and elements of the state.
    pub(super) fn pieces(&self, state: &State) -> Vec<(String, Type, std::ops::Range<usize>)> {
        let arena = matches!(state.kind, StateKind::Parameter | StateKind::Slot) && state.ty == self.layout.ty();
        if !arena {
            return vec![(state.name.clone(), state.ty.clone(), 0..state.ty.shape.elements())];
        }
        let segments = self.layout.segments.iter();
        let named = segments.map(|segment| {
            let name = match state.kind {
                StateKind::Parameter => segment.name.clone(),
                _ => format!("{}.{}", state.name, segment.name),
            };
            (name, Type::new(&segment.shape, DType::F32), segment.range())
        });
        named.collect()
    }
}

impl State {
    fn read(&self) -> Result<Literal> {
        Literal::from_bytes(self.ty.dtype, &self.ty.shape, self.memory.download()?)
    }
}

/// An error that lists what does not fit, if anything does not.
pub(super) fn refuse(mut faults: Vec<String>, mend: &str) -> Result<()> {
    if faults.is_empty() {
        return Ok(());
    }
    let more = faults.len().saturating_sub(FAULTS_SHOWN);
    let rest = if more > 0 { format!("; and {more} more") } else { String::new() };
    faults.truncate(FAULTS_SHOWN);
    Err(Error::format(format!("the tensors do not fit: {}{rest}; {mend}", faults.join("; "))))
}

/// How many faults a message lists before it only counts them.
const FAULTS_SHOWN: usize = 10;
