//! Packing: all parameters become segments of one flat state, so that the optimizer is one element-wise
//! kernel and a gradient norm one reduction, however many layers there are.

use std::ops::Range;

use super::state::PARAMS;
use crate::error::{Error, Result};
use crate::trace::{
    DType, Graph, Init, Literal, NodeId, Op, Parameter, Shape, StateId, Tensor, Trace, Traced, Type, concat,
};

/// Segments of at least this many elements begin at a multiple of it (256 bytes), and the arena ends at one.
const ALIGNMENT: usize = 64;
/// Smaller segments begin at a multiple of this (16 bytes): every gap is a kernel that writes zeros, and biases
/// would leave one each.
const SMALL_ALIGNMENT: usize = 4;

/// A parameter's place in the arena.
pub(super) struct Segment {
    pub(super) name: String,
    pub(super) shape: Shape,
    offset: usize,
    init: Init,
}

impl Segment {
    /// The elements of the arena that are the parameter's.
    pub(super) fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.shape.elements()
    }

    /// The parameter as a view of the arena.
    fn view(&self, graph: &mut Graph, arena: NodeId) -> Result<NodeId> {
        let Range { start, end } = self.range();
        let flat = graph.push(Op::Slice { start: vec![start], stop: vec![end], step: vec![1] }, &[arena])?;
        Ok(graph.reshape(flat, &self.shape))
    }
}

/// Where each parameter stands in the arena; gaps between segments are always zero.
pub(super) struct Layout {
    pub(super) segments: Vec<Segment>,
    len: usize,
}

impl Layout {
    /// Places parameters in their order.
    pub(super) fn new(parameters: &[Parameter]) -> Self {
        let mut len = 0usize;
        let mut place = |p: &Parameter| {
            let n = p.shape.elements();
            let offset = len.next_multiple_of(if n >= ALIGNMENT { ALIGNMENT } else { SMALL_ALIGNMENT });
            len = offset + n;
            Segment { name: p.name.clone(), shape: p.shape.clone(), offset, init: p.init }
        };
        let segments = parameters.iter().map(&mut place).collect();
        Layout { segments, len: len.next_multiple_of(ALIGNMENT) }
    }

    /// Which segment a parameter has. An error if there is none, or one of another shape.
    fn find(&self, parameter: &Parameter) -> Result<usize> {
        let Parameter { name, shape, .. } = parameter;
        let mend = "parameters must not depend on the batch size or the mode";
        match self.segments.iter().position(|s| s.name == *name) {
            Some(i) if self.segments[i].shape == *shape => Ok(i),
            Some(i) => {
                let was = &self.segments[i].shape;
                Err(Error::shape(format!("parameter `{name}` is f32{shape} here but was f32{was} before; {mend}")))
            }
            None => Err(Error::name(format!("parameter `{name}` was not there before; {mend}"))),
        }
    }

    /// The type of the arena and of everything laid out like it.
    pub(super) fn ty(&self) -> Type {
        Type::new([self.len], DType::F32)
    }

    /// The arena before the first step.
    pub(super) fn initial(&self, seed: u64) -> Result<Literal> {
        let mut values = vec![0.0; self.len];
        for segment in &self.segments {
            let initial = segment.init.values(seed, &segment.name, segment.shape.elements());
            values[segment.range()].copy_from_slice(&initial);
        }
        Literal::from_f32([self.len], &values)
    }

    /// One flat tensor of the gradients of all segments; gaps are explicit zeros.
    pub(super) fn flatten(&self, trace: &Trace, gradients: &[NodeId]) -> Tensor {
        let mut parts = Vec::new();
        let mut end = 0;
        let gap = |parts: &mut Vec<Tensor>, n: usize| {
            if n > 0 {
                parts.push(trace.zeros([n], DType::F32));
            }
        };
        for (segment, &gradient) in self.segments.iter().zip(gradients).filter(|(s, _)| !s.range().is_empty()) {
            let range = segment.range();
            gap(&mut parts, range.start - end);
            parts.push(trace.tensor(gradient).reshape([range.len()]));
            end = range.end;
        }
        gap(&mut parts, self.len - end);
        concat(&parts, 0)
    }
}

/// A graph whose parameters are views of the arena.
pub(super) struct Packed {
    pub(super) graph: Graph,
    /// The view of each segment.
    pub(super) parameters: Vec<NodeId>,
    map: Vec<NodeId>,
}

impl Packed {
    /// Where a node of the traced graph is now.
    pub(super) fn at(&self, traced: NodeId) -> NodeId {
        self.map[traced.index()]
    }
}

/// Rewrites a traced graph into one over the arena. An error if it declares a parameter that the layout does
/// not have, or updates one.
pub(super) fn pack(traced: &Traced, layout: &Layout) -> Result<Packed> {
    let old = &traced.graph;
    let mut graph = Graph::new();
    let inputs = old.inputs().iter().map(|d| graph.input(&d.name, d.ty.clone())).collect::<Result<Vec<_>>>()?;
    let arena = graph.state(PARAMS, layout.ty())?;
    let parameters = layout.segments.iter().map(|s| s.view(&mut graph, arena)).collect::<Result<Vec<_>>>()?;

    let mut states = vec![None; old.states().len()];
    for parameter in &traced.parameters {
        states[parameter.state.0 as usize] = Some((None, parameters[layout.find(parameter)?]));
    }
    for (state, declared) in states.iter_mut().zip(old.states()).filter(|(state, _)| state.is_none()) {
        let id = StateId(graph.states().len() as u32);
        *state = Some((Some(id), graph.state(&declared.name, declared.ty.clone())?));
    }
    let states: Vec<(Option<StateId>, NodeId)> = states.into_iter().flatten().collect();

    let mut map: Vec<NodeId> = Vec::with_capacity(old.len());
    for (id, node) in old.nodes() {
        graph.set_scope(old.scope_of(id));
        map.push(match node.op {
            Op::Input(input) => inputs[input.0 as usize],
            Op::State(state) => states[state.0 as usize].1,
            _ => {
                let inputs: Vec<NodeId> = node.inputs.iter().map(|i| map[i.index()]).collect();
                graph.push(node.op.clone(), &inputs)?
            }
        });
    }
    graph.set_scope("");
    old.checkpoints().iter().for_each(|path| graph.checkpoint(path));
    for (state, new) in old.updates() {
        let Some(id) = states[state.0 as usize].0 else {
            let name = &old.states()[state.0 as usize].name;
            return Err(Error::graph(format!(
                "the model updates parameter `{name}`, which is the optimizer's to change; declare it as a buffer"
            )));
        };
        graph.update(id, map[new.index()])?;
    }
    Ok(Packed { graph, parameters, map })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Mode;

    #[test]
    fn segments_are_aligned_and_views_find_them() {
        let trace = Trace::new();
        let s = trace.scope(Mode::Train);
        let a = s.param("a", [3, 5], Init::ones());
        let b = s.param("b", [64], Init::Constant(2.0));
        let c = s.param("c", [2], Init::Constant(3.0));
        trace.set_output("sum", &(a.sum(..) + b.sum(..) + c.sum(..)));
        let traced = trace.finish().unwrap();
        let layout = Layout::new(&traced.parameters);
        assert_eq!(layout.ty().to_string(), "f32[192]");
        let ranges: Vec<_> = layout.segments.iter().map(Segment::range).collect();
        assert_eq!(ranges, [0..15, 64..128, 128..130]);
        let initial = layout.initial(0).unwrap().to_f32();
        assert_eq!(initial[..16], [[1.0; 15].as_slice(), &[0.0]].concat());
        assert_eq!((initial[64], initial[129], initial[130]), (2.0, 3.0, 0.0));

        let packed = pack(&traced, &layout).unwrap();
        let names: Vec<_> = packed.graph.states().iter().map(|d| d.name.as_str()).collect();
        assert_eq!(names, [PARAMS]);
        assert_eq!(crate::ir::verify::verify(&packed.graph, "pack"), []);
        assert_eq!(packed.graph.ty(packed.parameters[0]).to_string(), "f32[3,5]");
    }

    #[test]
    fn parameters_that_change_shape_and_updates_of_them_are_errors() {
        let traced = |width: usize, update: bool| {
            let trace = Trace::new();
            let s = trace.scope(Mode::Train);
            let w = s.param("w", [width], Init::ones());
            if update {
                s.update(&w, &(&w * 2.0));
            }
            trace.finish().unwrap()
        };
        let layout = Layout::new(&traced(2, false).parameters);
        let message = |traced: &Traced| pack(traced, &layout).err().unwrap().to_string();
        assert!(message(&traced(3, false)).starts_with("parameter `w` is f32[3] here but was f32[2]"));
        assert!(message(&traced(2, true)).contains("updates parameter `w`"));
    }
}
