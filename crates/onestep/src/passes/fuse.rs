//! Chooses which values are stored and which are computed where they are used, and builds the kernels:
//! one for each stored value, output and new state. Merging kernels is the next pass.
//!
//! A value is stored when a library kernel reads it, when it folds others, or when computing it again for
//! each user would cost more than reading it back. Views are never stored unless a library kernel needs
//! them laid out.

use super::epilogue::{Epilogues, Folded};
use super::events::{Events, below};
use super::lower::{Places, scopes};
use super::views::{batch_joined, strided, widened};
use crate::ir::{Compare, Graph, Node, NodeId, Op, Shape, StateId, Unary};
use crate::plan::{
    BufferId, ConvDirection, Epilogue, Kernel, KernelKind, LibraryKernel, LoopKernel, Operand, Place, Plan, Target,
};

/// Cost of an expression above which it is stored rather than computed again for a second user. A load
/// counts 2, simple arithmetic 1, a transcendental function 8.
const RECOMPUTE_LIMIT: u32 = 16;
/// Cost above which an expression is stored even for a single user, which bounds a kernel's size.
const EXPRESSION_LIMIT: u32 = 200;

/// Builds the plan's buffers and kernels. With `fuse` off every computed value is stored.
pub(super) fn build(graph: &Graph, target: &Target, fuse: bool) -> Plan {
    let live = graph.live();
    let epilogues = match fuse && target.epilogues {
        true => Epilogues::find(graph, &live, target.masks),
        false => Epilogues::none(graph),
    };
    let mut stored = choose(graph, &live, &epilogues, fuse);
    let choices = if fuse { choices(graph, &live, &mut stored) } else { vec![None; graph.len()] };
    let mut plan = Plan::default();
    let mut buffers: Vec<Option<BufferId>> = vec![None; graph.len()];
    for (id, node) in graph.nodes().filter(|(id, _)| live[id.index()] && stored[id.index()]) {
        let (place, name) = match &node.op {
            Op::Input(i) => (Place::Input(i.0 as usize), graph.inputs()[i.0 as usize].name.as_str()),
            Op::State(s) => (Place::State(s.0 as usize), graph.states()[s.0 as usize].name.as_str()),
            Op::Constant(literal) => (Place::Constant(literal.clone()), ""),
            _ => (Place::Arena(None), node.op.name()),
        };
        buffers[id.index()] = Some(plan.add_buffer(place, node.dtype, node.shape.elements(), name));
    }
    let events = Events::find(graph, &live, &stored);
    let places = Places { graph, buffers: &buffers, choices: &choices, events: &events };
    let mut kernels = Vec::new();
    for (id, node) in graph.nodes().filter(|(id, _)| live[id.index()]) {
        let Some(out) = buffers[id.index()] else { continue };
        let first = kernels.len();
        match &node.op {
            Op::Input(_) | Op::State(_) | Op::Constant(_) => {}
            Op::Concat { axis } => kernels.extend(concat(&places, id, *axis, out)),
            _ => {
                let epilogue = epilogues.folded(id);
                match library(&places, &stored, epilogue.map_or(id, |e| e.root), out) {
                    Some(mut kind) => {
                        if let Some(Folded { bias, relu, mask, .. }) = epilogue {
                            let bias = bias.map(|bias| vector(&places, &stored, bias));
                            let mask = mask.map(|mask| operand(&places, &stored, mask, false));
                            kind.set_epilogue(Epilogue { bias, relu, mask });
                        }
                        let inputs = graph.node(epilogue.map_or(id, |e| e.root)).inputs.iter();
                        let passed = inputs.flat_map(|&x| below(graph, &stored, x)).filter(|x| !stored[x.index()]);
                        let waits = events.waits(graph, passed);
                        let kernel = Kernel::new(scopes(graph, &[id]), KernelKind::Library(Box::new(kind)));
                        kernels.push(Kernel { waits, ..kernel })
                    }
                    None => kernels.extend(places.kernel(id, out)),
                }
            }
        }
        kernels[first..].iter_mut().for_each(|k| k.signals = events.signals(id).to_vec());
    }
    for (i, (name, id)) in graph.outputs().iter().enumerate() {
        let elements = graph.shape(*id).elements();
        let out = plan.add_buffer(Place::Output(i), graph.dtype(*id), elements, name);
        kernels.extend(places.copy(*id, out));
    }
    kernels.extend(updates(&places, &mut plan));
    plan.kernels = kernels;
    plan
}

/// Which live values get a buffer.
fn choose(graph: &Graph, live: &[bool], epilogues: &Epilogues, fuse: bool) -> Vec<bool> {
    let mut stored = vec![false; graph.len()];
    let mut users = vec![0u32; graph.len()];
    let mut stretched = vec![false; graph.len()];
    // From users to inputs: how often a value is used, looking through views, and whether a user repeats it.
    graph.roots().for_each(|n| users[n.index()] += 1);
    for i in (0..graph.len()).rev().filter(|&i| live[i]) {
        let node = graph.node(NodeId(i as u32));
        let repeats = match &node.op {
            Op::Broadcast(shape) => shape.elements() > graph.shape(node.inputs[0]).elements(),
            _ => false,
        };
        for input in node.operands() {
            let at = input.index();
            users[at] += if node.op.is_view() { users[i] } else { 1 };
            stretched[at] |= repeats || (node.op.is_view() && stretched[i]);
        }
    }
    // From inputs to users: what it costs to compute a value from stored ones.
    let mut cost = vec![0u32; graph.len()];
    for (id, node) in graph.nodes().filter(|(id, _)| live[id.index()]) {
        let i = id.index();
        let inputs: u32 =
            node.operands().iter().map(|n| if stored[n.index()] { 2 } else { cost[n.index()] }).sum::<u32>();
        let own = match &node.op {
            Op::Input(_) | Op::State(_) => {
                stored[i] = true;
                continue;
            }
            Op::Constant(literal) => {
                stored[i] = literal.elements() != 1;
                continue;
            }
            Op::Reshape(_) | Op::Permute(_) | Op::Broadcast(_) | Op::Slice { .. } | Op::Flip(_) | Op::After => {
                cost[i] = inputs;
                continue;
            }
            Op::Concat { .. }
            | Op::Reduce { .. }
            | Op::ArgReduce { .. }
            | Op::CumSum { .. }
            | Op::MaxPool(_)
            | Op::MaxPoolIndex(_)
            | Op::MaxPoolGather(_)
            | Op::AvgPool(_)
            | Op::Dot { .. }
            | Op::Conv(_)
            | Op::ConvInputGrad { .. }
            | Op::ConvFilterGrad { .. }
            | Op::ScatterAdd { .. } => {
                stored[i] = true;
                for &input in &node.inputs {
                    require_operand(graph, &node.op, input, &mut stored);
                }
                continue;
            }
            Op::MaxPoolGrad { .. } | Op::AvgPoolGrad { .. } => {
                stored[i] = true;
                continue;
            }
            Op::Unary(op) => match op {
                Unary::Neg | Unary::Abs | Unary::Sign | Unary::Not | Unary::Floor | Unary::Ceil | Unary::Round => 1,
                Unary::Sqrt | Unary::Rsqrt | Unary::Recip | Unary::IsFinite => 2,
                _ => 8,
            },
            Op::Binary(_) | Op::Compare(_) | Op::Select | Op::Cast(_) | Op::Iota { .. } | Op::Pad { .. } => 1,
            Op::DynamicSlice { .. } => 4,
            Op::Gather { .. } => 8,
            Op::Random { .. } => 40,
        };
        cost[i] = inputs + own;
        let again = users[i] > 1 && cost[i] > RECOMPUTE_LIMIT;
        let repeated = stretched[i] && !node.inputs.is_empty() && inputs > 0;
        stored[i] = !fuse || again || repeated || cost[i] > EXPRESSION_LIMIT;
    }
    // What one library kernel wants stored may be a view between another and what that one reads.
    for (id, _) in graph.nodes().filter(|(id, _)| live[id.index()]) {
        if epilogues.is_inside(id) {
            stored[id.index()] = false;
        } else if let Some(folded) = epilogues.folded(id) {
            stored[id.index()] = true;
            if let Some(bias) = folded.bias.and_then(|bias| strided(graph, bias, &stored)) {
                stored[bias.base.index()] = true;
            }
            // What is read to compute the root was found when it was visited.
            debug_assert!(!stored[folded.root.index()]);
        }
    }
    loop {
        let before = stored.clone();
        for (_, node) in graph.nodes().filter(|(id, _)| live[id.index()]) {
            node.inputs.iter().for_each(|&input| require_operand(graph, &node.op, input, &mut stored));
        }
        if stored == before {
            return stored;
        }
    }
}

/// The comparisons that can be told from the choice made by them, with the value compared and the choice: for
/// `y = select(x <= k, k, x)`, a ReLU, `y <= k` says the same, NaN included. Where `y` is stored the backward
/// pass then needs neither `x` nor the comparison, so that is not stored.
fn choices(graph: &Graph, live: &[bool], stored: &mut [bool]) -> Vec<Option<(NodeId, NodeId)>> {
    let mut choices = vec![None; graph.len()];
    for (y, node) in graph.nodes().filter(|(y, node)| live[y.index()] && node.op == Op::Select) {
        let [comparison, a, b] = node.inputs[..] else { continue };
        if !stored[y.index()] {
            continue;
        }
        // Where both sides are equal, the bound is chosen, and equals itself.
        let (x, bound) = match graph.node(comparison).op {
            Op::Compare(Compare::Le) => (b, a),
            Op::Compare(Compare::Lt) => (a, b),
            _ => continue,
        };
        let sides = &graph.node(comparison).inputs[..];
        if sides == [x, bound] || sides == [bound, x] {
            choices[comparison.index()] = Some((x, y));
            stored[comparison.index()] = false;
        }
    }
    choices
}

/// Marks what a library kernel needs stored to read one of its inputs.
fn require_operand(graph: &Graph, op: &Op, input: NodeId, stored: &mut [bool]) {
    let view = match op {
        Op::Dot { .. } => {
            widened(graph, input, stored).filter(|v| batch_joined(graph.shape(input), &v.strides).is_some())
        }
        Op::Conv(_) | Op::ConvInputGrad { .. } | Op::ConvFilterGrad { .. } => {
            widened(graph, input, stored).filter(|v| v.is_dense(graph.shape(input)))
        }
        Op::CumSum { .. } | Op::ScatterAdd { .. } => {
            strided(graph, input, stored).filter(|v| v.is_dense(graph.shape(input)))
        }
        _ => return,
    };
    let id = view.map_or(input, |v| v.base);
    stored[id.index()] = true;
}

fn concat(places: &Places, id: NodeId, axis: usize, out: BufferId) -> Vec<Kernel> {
    let node = places.graph.node(id);
    let stride = node.shape.strides()[axis];
    let mut start = 0;
    let mut kernels = Vec::new();
    for &input in &node.inputs {
        kernels.extend(places.part(input, out, &node.shape, start * stride));
        start += places.graph.shape(input)[axis];
    }
    kernels
}

/// Kernels that write the new values of states. A kernel that writes a state another one still reads goes
/// after it; where two wait for each other, the values pass through the arena.
fn updates(places: &Places, plan: &mut Plan) -> Vec<Kernel> {
    let graph = places.graph;
    let mut waiting: Vec<(StateId, NodeId, Kernel)> = Vec::new();
    for &(state, id) in graph.updates() {
        if graph.node(id).op == Op::State(state) {
            continue;
        }
        let out = state_buffer(graph, plan, state);
        if let Some(kernel) = places.copy(id, out) {
            waiting.push((state, id, kernel));
        }
    }
    let mut ordered = Vec::new();
    loop {
        let free = waiting.iter().position(|(state, _, kernel)| {
            let out = kernel.writes()[0];
            let others = waiting.iter().any(|(s, _, k)| s != state && k.reads().contains(&out));
            !others && in_place(kernel)
        });
        match free {
            Some(i) => ordered.push(waiting.remove(i).2),
            None => break,
        }
    }
    let mut last = Vec::new();
    for (state, id, kernel) in waiting {
        let (dtype, len) = (graph.dtype(id), graph.shape(id).elements());
        let temporary = plan.add_buffer(Place::Arena(None), dtype, len, "new state");
        ordered.extend(places.copy(id, temporary));
        let out = state_buffer(graph, plan, state);
        let kind = KernelKind::Loop(LoopKernel::copy(temporary, out, len, dtype));
        last.push(Kernel::new(kernel.scopes, kind));
    }
    ordered.extend(last);
    ordered
}

fn state_buffer(graph: &Graph, plan: &mut Plan, state: StateId) -> BufferId {
    let place = Place::State(state.0 as usize);
    match plan.buffers.iter().position(|b| b.place == place) {
        Some(i) => BufferId(i as u32),
        None => {
            let declared = &graph.states()[state.0 as usize];
            plan.add_buffer(place, declared.ty.dtype, declared.ty.shape.elements(), &declared.name)
        }
    }
}

/// Whether a kernel that writes a buffer it also reads does so element by element.
pub(super) fn in_place(kernel: &Kernel) -> bool {
    match &kernel.kind {
        KernelKind::Library(k) => k.reads().iter().all(|o| o.buffer != k.out().buffer),
        KernelKind::Loop(k) => k.updates_in_place(),
    }
}

/// What a library kernel reads for a value; those that sum in f32 read narrow floats `through` their conversion.
fn operand(places: &Places, stored: &[bool], id: NodeId, through: bool) -> Operand {
    let view = if through { widened } else { strided };
    let view = view(places.graph, id, stored)
        .unwrap_or_else(|| panic!("onestep bug: an operand of a library kernel is not stored"));
    let buffer = places.buffers[view.base.index()];
    let buffer = buffer.unwrap_or_else(|| panic!("onestep bug: an operand of a library kernel has no buffer"));
    Operand { buffer, dtype: places.graph.dtype(view.base), offset: view.offset, strides: view.strides }
}

/// A stretched vector as the operand of an epilogue.
fn vector(places: &Places, stored: &[bool], id: NodeId) -> Operand {
    Operand { strides: vec![1], ..operand(places, stored, id, false) }
}

fn dense(buffer: BufferId, node: &Node) -> Operand {
    let strides = node.shape.strides().iter().map(|&s| s as i64).collect();
    Operand { buffer, dtype: node.dtype, offset: 0, strides }
}

/// The library call for a node, if it is one.
fn library(places: &Places, stored: &[bool], id: NodeId, out: BufferId) -> Option<LibraryKernel> {
    let graph = places.graph;
    let node = graph.node(id);
    let contracts = matches!(node.op, Op::Conv(_) | Op::ConvInputGrad { .. } | Op::ConvFilterGrad { .. });
    let read = |i: usize| operand(places, stored, node.inputs[i], contracts);
    let shape = |i: usize| graph.shape(node.inputs[i]).to_vec();
    let conv = |direction, spec: &crate::ir::ConvSpec, input, filter, output| LibraryKernel::Conv {
        direction,
        spec: spec.clone(),
        input,
        filter,
        output,
        operands: [read(0), read(1)],
        out: dense(out, node),
        epilogue: Epilogue::default(),
        tf32: false,
    };
    Some(match &node.op {
        Op::Dot { ta, tb } => dot(places, stored, id, *ta, *tb, out),
        Op::Conv(spec) => conv(ConvDirection::Forward, spec, shape(0), shape(1), node.shape.to_vec()),
        Op::ConvInputGrad { spec, input } => conv(ConvDirection::InputGrad, spec, input.to_vec(), shape(1), shape(0)),
        Op::ConvFilterGrad { spec, filter } => {
            conv(ConvDirection::FilterGrad, spec, shape(0), filter.to_vec(), shape(1))
        }
        Op::CumSum { axis, exclusive, reverse } => LibraryKernel::CumSum {
            extents: around(&node.shape, *axis),
            exclusive: *exclusive,
            reverse: *reverse,
            x: read(0),
            out: dense(out, node),
        },
        Op::ScatterAdd { axis } => {
            let [outer, n, inner] = around(&node.shape, *axis);
            let indices = graph.shape(node.inputs[1]).elements();
            LibraryKernel::ScatterAdd {
                extents: [outer, n, indices, inner],
                base: read(0),
                index: read(1),
                updates: read(2),
                out: dense(out, node),
            }
        }
        _ => return None,
    })
}

/// Extents before, at and after an axis.
fn around(shape: &Shape, axis: usize) -> [usize; 3] {
    [shape[..axis].iter().product(), shape[axis], shape[axis + 1..].iter().product()]
}

/// A matrix product; axes of the batch become one, transposes become strides.
fn dot(places: &Places, stored: &[bool], id: NodeId, ta: bool, tb: bool, out: BufferId) -> LibraryKernel {
    let graph = places.graph;
    let node = graph.node(id);
    let rank = node.shape.rank();
    let matrix = |i: usize, swap: bool| {
        let mut operand = operand(places, stored, node.inputs[i], true);
        operand.strides = batch_joined(graph.shape(node.inputs[i]), &operand.strides)
            .unwrap_or_else(|| panic!("onestep bug: the batch of a matrix product is not evenly spaced"));
        if swap {
            operand.strides.swap(1, 2);
        }
        operand
    };
    let a = graph.shape(node.inputs[0]);
    let k = if ta { a[rank - 2] } else { a[rank - 1] };
    let (m, n) = (node.shape[rank - 2], node.shape[rank - 1]);
    let b = node.shape[..rank - 2].iter().product();
    let out = Operand { buffer: out, dtype: node.dtype, offset: 0, strides: vec![(m * n) as i64, n as i64, 1] };
    LibraryKernel::Dot {
        extents: [b, m, n, k],
        lhs: matrix(0, ta),
        rhs: matrix(1, tb),
        out,
        epilogue: Epilogue::default(),
        tf32: false,
    }
}
