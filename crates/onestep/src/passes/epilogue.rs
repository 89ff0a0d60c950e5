//! Finds what a matrix product or a convolution can do to its results before it stores them: add a number for
//! each column or channel, take the positive part, or apply the gradient of that. What lies between is then never stored.

use super::views::strided;
use crate::ir::{Binary, Compare, DType, Graph, NodeId, Op};

/// A library kernel whose results go through more ops before they are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Folded {
    /// The product or convolution.
    pub root: NodeId,
    /// What is added, already stretched to the result's shape.
    pub bias: Option<NodeId>,
    /// Whether negative results become 0.
    pub relu: bool,
    /// The result of another that tells by its sign which results become 0.
    pub mask: Option<NodeId>,
}

/// For each node, the library kernel that computes it together with ops below it; and whether a node is only
/// an intermediate of one.
pub(super) struct Epilogues {
    folded: Vec<Option<Folded>>,
    inside: Vec<bool>,
}

/// Who reads what.
struct Users {
    /// The live users of each node, in order, without repeats.
    of: Vec<Vec<NodeId>>,
    /// Whether a node is a result of the program, which has a reader besides its users.
    is_root: Vec<bool>,
}

impl Epilogues {
    /// None at all.
    pub(super) fn none(graph: &Graph) -> Self {
        Epilogues { folded: vec![None; graph.len()], inside: vec![false; graph.len()] }
    }

    /// All that a graph has, masks if they are wanted.
    pub(super) fn find(graph: &Graph, live: &[bool], masks: bool) -> Self {
        let mut all = Epilogues::none(graph);
        let users = Users::new(graph, live);
        let roots = |fits: fn(&Op) -> bool| {
            let float = |dtype| matches!(dtype, DType::F32 | DType::BF16 | DType::F16);
            graph.nodes().filter(move |(id, node)| live[id.index()] && fits(&node.op) && float(node.dtype)).map(|n| n.0)
        };
        // For each comparison of a ReLU that is folded, its result, which tells the same.
        let mut told = vec![None; graph.len()];
        for root in roots(|op| matches!(op, Op::Dot { .. } | Op::Conv(_))) {
            let Some(sum) = users.only(root) else { continue };
            let Some(bias) = bias(graph, root, sum) else { continue };
            all.inside[root.index()] = true;
            let mut out = sum;
            if let [mask, positive] = users.of[sum.index()][..]
                && is_positive_part(graph, sum, mask, positive)
                && !users.is_root[sum.index()]
                && !users.is_root[mask.index()]
                && users.of[mask.index()].iter().all(|&user| user >= positive)
            {
                all.inside[sum.index()] = true;
                told[mask.index()] = Some(positive);
                out = positive;
            }
            all.folded[out.index()] = Some(Folded { root, bias: Some(bias), relu: out != sum, mask: None });
        }
        if !masks {
            return all;
        }
        // With a stride, what computes gradient and mask together is slower than one after the other.
        let unstrided =
            |op: &Op| matches!(op, Op::ConvInputGrad { spec, .. } if spec.stride.iter().all(|&stride| stride == 1));
        for root in roots(unstrided) {
            let Some(out) = users.only(root) else { continue };
            let node = graph.node(out);
            let (Op::Select, &[mask, zero, value]) = (&node.op, node.inputs.as_slice()) else { continue };
            if let Some(positive) = told[mask.index()]
                && value == root
                && is_zero(graph, zero)
            {
                all.inside[root.index()] = true;
                all.folded[out.index()] = Some(Folded { root, bias: None, relu: false, mask: Some(positive) });
            }
        }
        all
    }

    /// The library kernel that computes a node, if it has an epilogue.
    pub(super) fn folded(&self, id: NodeId) -> Option<Folded> {
        self.folded[id.index()]
    }

    /// Whether a node's value is never stored, for the kernel that computes it goes on.
    pub(super) fn is_inside(&self, id: NodeId) -> bool {
        self.inside[id.index()]
    }
}

impl Users {
    fn new(graph: &Graph, live: &[bool]) -> Self {
        let mut of: Vec<Vec<NodeId>> = vec![Vec::new(); graph.len()];
        for (id, node) in graph.nodes().filter(|(id, _)| live[id.index()]) {
            for input in node.operands() {
                let list = &mut of[input.index()];
                if list.last() != Some(&id) {
                    list.push(id);
                }
            }
        }
        let mut is_root = vec![false; graph.len()];
        graph.roots().for_each(|n| is_root[n.index()] = true);
        Users { of, is_root }
    }

    /// The only reader of a node, if it has one.
    fn only(&self, id: NodeId) -> Option<NodeId> {
        match self.of[id.index()][..] {
            [user] if !self.is_root[id.index()] => Some(user),
            _ => None,
        }
    }
}

/// What `sum` adds to `root`, if that is one stored number for each element of the last axis.
fn bias(graph: &Graph, root: NodeId, sum: NodeId) -> Option<NodeId> {
    let node = graph.node(sum);
    let (Op::Binary(Binary::Add), &[a, b]) = (&node.op, node.inputs.as_slice()) else { return None };
    let other = if a == root { b } else { a };
    let stored = vec![false; graph.len()];
    let view = strided(graph, other, &stored).filter(|_| other != root)?;
    // A narrow copy of a state is kept where it is read this way.
    let base = match graph.node(view.base).op {
        Op::Cast(DType::BF16 | DType::F16) => graph.node(view.base).inputs[0],
        _ => view.base,
    };
    let stays = matches!(graph.node(base).op, Op::State(_) | Op::Input(_));
    let (last, rest) = view.strides.split_last()?;
    let along_last = (*last == 1 || node.shape[node.shape.rank() - 1] == 1) && rest.iter().all(|&s| s == 0);
    (stays && along_last).then_some(other)
}

/// Whether `positive` is `mask ? 0 : x` and `mask` is `x <= 0` with the same zero, so that later users of the mask can
/// tell it from the result.
fn is_positive_part(graph: &Graph, x: NodeId, mask: NodeId, positive: NodeId) -> bool {
    let (mask_node, node) = (graph.node(mask), graph.node(positive));
    let compares = matches!(mask_node.op, Op::Compare(Compare::Le));
    let compares = compares && mask_node.inputs == [x, node.inputs[1]];
    let selects = matches!(node.op, Op::Select) && node.inputs[0] == mask;
    compares && selects && is_zero(graph, node.inputs[1]) && node.inputs[2] == x
}

fn is_zero(graph: &Graph, id: NodeId) -> bool {
    let node = graph.node(id);
    match &node.op {
        Op::Constant(literal) => literal.elements() == 1 && literal.to_f64()[0].to_bits() == 0,
        Op::Broadcast(_) | Op::Reshape(_) => is_zero(graph, node.inputs[0]),
        _ => false,
    }
}
