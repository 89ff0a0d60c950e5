//! Copies of state from one engine to another: on the device where both are on one, through the host where not.

use std::ops::Range;

use super::state::{Part, State, States, refuse};
use crate::error::Result;
use crate::trace::{Literal, Type};

/// Which tensors [`Engine::copy_state_from`](super::Engine::copy_state_from) takes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection<'a> {
    /// All that a run continues with: those of [`Engine::model_state`](super::Engine::model_state) and of
    /// [`Engine::optimizer_state`](super::Engine::optimizer_state).
    All,
    /// Those of [`Engine::model_state`](super::Engine::model_state): parameters and buffers.
    Model,
    /// These, by the names that they have there.
    Named(&'a [&'a str]),
}

/// A tensor and where its elements are.
struct Piece<'a> {
    name: String,
    ty: Type,
    state: &'a State,
    range: Range<usize>,
}

impl Piece<'_> {
    fn bytes(&self) -> Range<usize> {
        let size = self.ty.dtype.size();
        self.range.start * size..self.range.end * size
    }
}

impl Selection<'_> {
    fn holds(self, piece: &Piece<'_>) -> bool {
        match self {
            Selection::All => true,
            Selection::Model => Part::Model.holds(piece.state),
            Selection::Named(names) => names.contains(&piece.name.as_str()),
        }
    }
}

impl States {
    /// Every tensor that can be saved, in order.
    fn tensors(&self) -> impl Iterator<Item = Piece<'_>> {
        let saved = |state: &&State| Part::Model.holds(state) || Part::Optimizer.holds(state);
        self.table.iter().filter(saved).flat_map(|state| {
            self.pieces(state).into_iter().map(move |(name, ty, range)| Piece { name, ty, state, range })
        })
    }

    /// Takes over tensors of another engine's; floats are converted. Nothing is changed unless all fit.
    pub(super) fn copy_from(&self, other: &States, selection: Selection<'_>) -> Result<()> {
        let wanted: Vec<Piece> = self.tensors().filter(|piece| selection.holds(piece)).collect();
        let given: Vec<Piece> = other.tensors().collect();
        let (mut faults, mut copies) = (Vec::new(), Vec::new());
        if let Selection::Named(names) = selection {
            let unknown = names.iter().filter(|name| wanted.iter().all(|piece| piece.name != **name));
            faults.extend(unknown.map(|name| format!("`{name}` is no tensor here")));
        }
        for to in &wanted {
            match given.iter().find(|piece| piece.name == to.name) {
                None => faults.push(format!("`{}` {} is missing", to.name, to.ty)),
                Some(from) if from.ty == to.ty || converts(&from.ty, &to.ty) => copies.push((to, from)),
                Some(from) => faults.push(format!("`{}` is {}, not {}", to.name, from.ty, to.ty)),
            }
        }
        refuse(faults, "copy between engines of one model, or name the tensors that both have")?;
        // An arena whose every tensor comes from the same place of one like it is one copy, gaps included.
        for group in copies.chunk_by(|(a, _), (b, _)| std::ptr::eq(a.state, b.state)) {
            let Some((to, from)) = group.first() else { continue };
            let alike = |(a, b): &(&Piece, &Piece)| std::ptr::eq(b.state, from.state) && a.range == b.range;
            let whole = group.len() == self.pieces(to.state).len() && to.state.ty == from.state.ty;
            match whole && group.iter().all(alike) {
                true => to.state.memory.copy_from(0, &from.state.memory, 0..from.state.memory.bytes())?,
                false => group.iter().try_for_each(|(to, from)| copy(to, from))?,
            }
        }
        Ok(())
    }
}

/// Whether a tensor can be had of another by rounding.
fn converts(from: &Type, to: &Type) -> bool {
    from.shape == to.shape && from.dtype.is_float() && to.dtype.is_float()
}

fn copy(to: &Piece<'_>, from: &Piece<'_>) -> Result<()> {
    let (at, memory) = (to.bytes(), &to.state.memory);
    if to.ty.dtype == from.ty.dtype {
        return memory.copy_from(at.start, &from.state.memory, from.bytes());
    }
    let given = Literal::from_bytes(from.ty.dtype, &from.ty.shape, &from.state.memory.download()?[from.bytes()])?;
    let converted = Literal::from_f64(to.ty.dtype, &to.ty.shape, &given.to_f64())?;
    memory.overwrite(at.start, converted.bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Device;
    use crate::engine::pack::Layout;
    use crate::trace::DType;

    #[test]
    fn floats_are_rounded_on_the_way_and_other_types_refused() {
        let states = |dtype, values: &[f64]| {
            let mut states = States::new(&Device::cpu_with_threads(1), Layout::new(&[]), 0);
            let literal = Literal::from_f64(dtype, [2], values).unwrap();
            states.put("rng.x", &Type::new([2], dtype), literal.bytes()).unwrap();
            states
        };
        let wide = states(DType::F32, &[1.0 + 1.0 / 1024.0, -3.0]);
        for narrow in [DType::BF16, DType::F16] {
            let to = states(narrow, &[0.0, 0.0]);
            to.copy_from(&wide, Selection::All).unwrap();
            let want = if narrow == DType::BF16 { 1.0 } else { 1.0 + 1.0 / 1024.0 };
            assert_eq!(to.read("rng.x").unwrap().to_f64(), [want, -3.0]);
            let back = states(DType::F32, &[0.0, 0.0]);
            back.copy_from(&to, Selection::Named(&["rng.x"])).unwrap();
            assert_eq!(back.read("rng.x").unwrap().to_f64(), [want, -3.0]);
        }
        let e = states(DType::I32, &[0.0, 0.0]).copy_from(&wide, Selection::All).unwrap_err().to_string();
        assert!(e.contains("`rng.x` is f32[2], not i32[2]"), "{e}");
    }
}
