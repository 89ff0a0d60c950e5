//! Support for tests of this crate, of backends and of benches: reproducible numbers, and the conformance
//! suite that every backend is run over against the reference. Not part of the public API.

mod elementwise;
mod fusion;
mod inputs;
mod movement;
mod reductions;
mod stretches;

use crate::backend::Device;
use crate::backend::reference::{Evaluated, Value, evaluate};
use crate::error::Result;
use crate::ir::{DType, Graph, Literal, NodeId, Op, StateId, Type};
use crate::passes::Compiled;
use crate::plan::Target;

/// 32 well-mixed bits of an index and a seed: a Weyl step and MurmurHash3's finalizer.
fn hash(seed: u32, i: u32) -> u32 {
    let mut x = i.wrapping_mul(2_654_435_761).wrapping_add(seed.wrapping_mul(0x9E37_79B9));
    x = (x ^ (x >> 16)).wrapping_mul(0x85EB_CA6B);
    x = (x ^ (x >> 13)).wrapping_mul(0xC2B2_AE35);
    x ^ (x >> 16)
}

/// A number in [0, 1) that depends on seed and index alone; other languages' scripts compute the same one.
pub fn hash_uniform(seed: u32, i: u32) -> f32 {
    (hash(seed, i) >> 8) as f32 / (1 << 24) as f32
}

/// `n` numbers in [lo, hi): `lo + (hi - lo) * hash_uniform(seed, i)` in f32 arithmetic.
pub fn fill(seed: u32, n: usize, lo: f32, hi: f32) -> Vec<f32> {
    (0..n).map(|i| lo + (hi - lo) * hash_uniform(seed, i as u32)).collect()
}

/// What passes may know of an imagined GPU: warps of 32, workgroups of up to 1,024 threads that share 48 KiB,
/// loads of 16 bytes, 31 buffers to a kernel. For tests of plans and of printed kernels; no device is like it.
pub fn gpu() -> Target {
    Target {
        name: "gpu".into(),
        alignment: 256,
        reduce_lanes: 4096,
        subgroup: 32,
        workgroup: 1024,
        shared_bytes: 48 << 10,
        vector_bytes: 16,
        island_work: 1 << 16,
        side_by_side: true,
        nest_work: u64::MAX,
        tile_work: 256,
        matrix_units: true,
        bindings: 31,
        ..Target::default()
    }
}

/// A layer's gradients, and the step of SGD with momentum on its weights, bias and padding, which lie in one state: what
/// tests of plans and of printed kernels share.
pub const MOMENTUM_OF_A_LAYER: &str = r#"graph {
  state s0 "params": f32[112]
  state s1 "momentum": f32[112]
  %0: f32[112] = state s0
  %1: f32[112] = state s1
  %2: f32[16,24] = input "x"
  %3: f32[16,4] = input "dy"
  %4: f32[96] = slice(%0) {start=[0],stop=[96]}
  %5: f32[4,24] = reshape(%4)
  %6: f32[16,24] = dot(%3, %5)
  %7: f32[4,16] = permute(%3) {perm=[1,0]}
  %8: f32[4,24] = dot(%7, %2)
  %9: f32[96] = reshape(%8)
  %10: f32[4] = sum(%3) {axes=[0]}
  %11: f32[] = constant {value=0}
  %12: f32[1] = reshape(%11)
  %13: f32[12] = broadcast(%12)
  %14: f32[112] = concat(%9, %10, %13) {axis=0}
  %15: f32[] = constant {value=0.5}
  %16: f32[1] = reshape(%15)
  %17: f32[112] = broadcast(%16)
  %18: f32[112] = mul(%1, %17)
  %19: f32[112] = add(%18, %14)
  %20: f32[112] = sub(%0, %19)
  return %6 as "dx"
  update s0 = %20
  update s1 = %19
}"#;

/// The first NVIDIA GPU, for tests that want one; where there is none, says so, and the test counts as skipped.
pub fn cuda() -> Option<Device> {
    Device::cuda(0).inspect_err(|e| println!("skipped: {e}")).ok()
}

/// The best adapter of Vulkan, Metal or DX12, even one that computes on the CPU; where there is none, says so, and the
/// test counts as skipped. CI must have one.
pub fn wgpu() -> Option<Device> {
    let found = Device::graphics("wgpu");
    if let Err(e) = &found {
        assert!(std::env::var_os("CI").is_none(), "CI must have an adapter: {e}");
        println!("skipped: no adapter: {e}");
    }
    found.ok()
}

/// The devices whose results tests compare with the reference's: the CPU with one thread, an NVIDIA GPU and a graphics
/// adapter where there are.
pub fn devices() -> Vec<Device> {
    [Device::cpu_with_threads(1)].into_iter().chain(cuda()).chain(wgpu()).collect()
}

/// Binds a program to states of its own and runs it once: its outputs, and the states after the step.
///
/// # Errors
/// Those of the device's compiler; a test has no use for any other.
pub fn run_once(
    device: &Device,
    compiled: &Compiled,
    inputs: &[Literal],
    states: &[Literal],
) -> Result<(Vec<Literal>, Vec<Literal>)> {
    let memory: Vec<_> = states.iter().map(|s| device.allocate(s.dtype(), s.elements()).unwrap()).collect();
    states.iter().zip(&memory).for_each(|(s, memory)| memory.upload(s.bytes()).unwrap());
    let mut program = device.compile(&compiled.graph, &compiled.plan, &memory)?;
    inputs.iter().enumerate().for_each(|(i, x)| program.write_input(i, x).unwrap());
    program.run().unwrap();
    let outputs = (0..compiled.graph.outputs().len()).map(|i| program.read_output(i).unwrap()).collect();
    let after = states.iter().zip(&memory);
    let after = after.map(|(s, m)| Literal::from_bytes(s.dtype(), s.shape(), m.download().unwrap()).unwrap());
    Ok((outputs, after.collect()))
}

/// A small graph with what goes in, to be run on a backend and on the reference.
#[derive(Clone, Debug)]
pub struct OpCase {
    /// Unique in the suite: the subject, a running number and the inputs' types.
    pub name: String,
    /// The graph.
    pub graph: Graph,
    /// A literal for each of the graph's inputs.
    pub inputs: Vec<Literal>,
    /// A literal for each of the graph's states, before the step.
    pub states: Vec<Literal>,
    /// The most terms that any element of a result sums or multiplies.
    pub tolerance_terms: usize,
}

impl OpCase {
    /// The same with inputs that TF32 holds exactly.
    pub fn coarse(mut self) -> OpCase {
        for input in &mut self.inputs {
            let values: Vec<f64> = input.to_f32().iter().map(|x| (f64::from(*x) * 128.0).round() / 128.0).collect();
            *input = Literal::from_f64(input.dtype(), input.shape(), &values).unwrap();
        }
        self.name.insert_str(0, "coarse ");
        self
    }

    /// How many of its ops are products, convolutions or gradients of these.
    pub fn contractions(&self) -> usize {
        let contracts =
            |op: &Op| matches!(op, Op::Dot { .. } | Op::Conv(_) | Op::ConvInputGrad { .. } | Op::ConvFilterGrad { .. });
        self.graph.nodes().filter(|(_, node)| contracts(&node.op)).count()
    }

    /// What is wrong with its results on a device, if anything is.
    ///
    /// # Errors
    /// As [`run_once`].
    pub fn judge(&self, device: &Device, compiled: &Compiled) -> Result<Option<String>> {
        let (outputs, states) = run_once(device, compiled, &self.inputs, &self.states)?;
        Ok(self.check(&outputs, &states).err())
    }

    /// What the reference gives.
    pub fn expected(&self) -> Result<Evaluated> {
        let values = |literals: &[Literal]| literals.iter().map(Value::from_literal).collect::<Vec<_>>();
        evaluate(&self.graph, &values(&self.inputs), &values(&self.states))
    }

    /// Compares a backend's outputs and states after the step with the reference's; the error says where
    /// they part: case, op, element and both numbers.
    pub fn check(&self, outputs: &[Literal], states: &[Literal]) -> Result<(), String> {
        let want = self.expected().map_err(|e| format!("{}: {e}", self.name))?;
        let output_ops = self.graph.outputs().iter().map(|(_, node)| *node);
        self.compare("outputs", &output_ops.map(|n| self.describe(n)).collect::<Vec<_>>(), &want.outputs, outputs)?;
        let state_names = self.graph.states().iter().map(|s| s.name.clone());
        self.compare("states", &state_names.collect::<Vec<_>>(), &want.states, states)
    }

    fn describe(&self, node: NodeId) -> String {
        format!("{:?}", self.graph.node(node).op)
    }

    fn compare(&self, kind: &str, labels: &[String], want: &[Value], got: &[Literal]) -> Result<(), String> {
        let name = &self.name;
        if want.len() != got.len() {
            return Err(format!("{name}: {} {kind}, not {}", got.len(), want.len()));
        }
        for ((want, got), label) in want.iter().zip(got).zip(labels) {
            if (got.dtype(), got.shape()) != (want.dtype, &want.shape) {
                let (has, wants) = (got.dtype(), want.dtype);
                return Err(format!("{name}: {label} is {has}{}, not {wants}{}", got.shape(), want.shape));
            }
            for (i, (&w, g)) in want.data.iter().zip(got.to_f64()).enumerate() {
                if !close(want.dtype, self.tolerance_terms, w, g) {
                    return Err(format!("{name}: {label}: element {i} of {} is {g}, not {w}", want.shape));
                }
            }
        }
        Ok(())
    }
}

/// The conformance suite, in a fixed order: every op over its dtypes and a spread of shapes. Inputs lie in each
/// op's domain; where a result jumps (floor, argmax, comparisons), the op reads the inputs themselves, which
/// every backend holds exactly, so that no rounding can tip it over.
pub fn op_cases() -> Vec<OpCase> {
    let mut suite = Suite::default();
    let subjects = [
        elementwise::leaves,
        elementwise::elementwise,
        elementwise::casts,
        elementwise::special_values,
        movement::movement,
        movement::chains,
        reductions::reductions,
        reductions::cumulative,
        reductions::pools,
        reductions::pools_of_the_lowest,
        reductions::dots,
        reductions::layers,
        reductions::convolutions,
        reductions::mixed_contractions,
        reductions::indexing,
        fusion::crossed_reductions,
        fusion::reductions_of_nothing,
        fusion::rows_kept_twice,
        fusion::views_of_views,
        fusion::neighbours,
        stretches::windows,
        stretches::cut_stretches,
        stretches::rows_by_index,
        stretches::numbered_views,
        stretches::updates_in_place,
    ];
    subjects.iter().for_each(|add| add(&mut suite));
    suite.cases
}

/// Whether a backend's element agrees with the reference's unrounded one. Integers and bools must be equal,
/// NaN must meet NaN, an overflow the same infinity. Floats may differ, relative to max(1, |want|), by two
/// units in the last place of their dtype for the result's rounding, and by `8 + terms` units of the type
/// that accumulates: f32 for narrower floats too.
pub fn close(dtype: DType, terms: usize, want: f64, got: f64) -> bool {
    if want == got || (want.is_nan() && got.is_nan()) || Literal::scalar(dtype, want).get(0) == got {
        return true;
    }
    let (result, accumulator) = match dtype {
        DType::F64 => (52, 52),
        DType::F32 => (23, 23),
        DType::BF16 => (7, 23),
        DType::F16 => (10, 23),
        DType::I32 | DType::U32 | DType::U8 | DType::Bool => return false,
    };
    let unit = |bits: i32| 2f64.powi(-bits);
    let tolerance = 2.0 * unit(result) + (8 + terms) as f64 * unit(accumulator);
    want.is_finite() && (want - got).abs() <= tolerance * want.abs().max(1.0)
}

/// The suite under construction.
#[derive(Default)]
struct Suite {
    cases: Vec<OpCase>,
}

impl Suite {
    /// A case of one op.
    fn op(&mut self, terms: usize, op: Op, inputs: Vec<Literal>) {
        let name = op.name();
        self.add(name, terms, inputs, |g, x| vec![g.add_op(op, x)]);
    }

    /// A case whose results are the nodes that `build` makes of the inputs.
    fn add(
        &mut self,
        subject: &str,
        terms: usize,
        inputs: Vec<Literal>,
        build: impl FnOnce(&mut Graph, &[NodeId]) -> Vec<NodeId>,
    ) {
        self.add_step(subject, terms, inputs, Vec::new(), |g, x, _| (build(g, x), Vec::new()));
    }

    /// A case with states: `build` gives the results and the new values of the first states.
    fn add_step(
        &mut self,
        subject: &str,
        tolerance_terms: usize,
        inputs: Vec<Literal>,
        states: Vec<Literal>,
        build: impl FnOnce(&mut Graph, &[NodeId], &[NodeId]) -> (Vec<NodeId>, Vec<NodeId>),
    ) {
        let mut graph = Graph::new();
        let ty = |x: &Literal| Type::new(x.shape(), x.dtype());
        let types: Vec<String> = inputs.iter().map(|x| ty(x).to_string()).collect();
        let name = format!("{subject} #{} {}", self.cases.len(), types.join(" "));
        let x: Vec<NodeId> =
            inputs.iter().enumerate().map(|(i, x)| sound(graph.input(&format!("x{i}"), ty(x)))).collect();
        let s: Vec<NodeId> =
            states.iter().enumerate().map(|(i, s)| sound(graph.state(&format!("s{i}"), ty(s)))).collect();
        let (outputs, updates) = build(&mut graph, &x, &s);
        for (i, node) in outputs.into_iter().enumerate() {
            sound(graph.output(&format!("y{i}"), node));
        }
        for (i, node) in updates.into_iter().enumerate() {
            sound(graph.update(StateId(i as u32), node));
        }
        self.cases.push(OpCase { name, graph, inputs, states, tolerance_terms });
    }
}

fn sound<T>(result: Result<T>) -> T {
    result.unwrap_or_else(|e| panic!("onestep bug: {e}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::ir::{ArgOp, Binary, Compare, ReduceOp, Unary, verify};

    #[test]
    fn numbers_are_reproducible() {
        assert_eq!(hash(0, 0), 0);
        assert_eq!(fill(1, 2, -1.0, 1.0), [hash_uniform(1, 0) * 2.0 - 1.0, hash_uniform(1, 1) * 2.0 - 1.0]);
        let many = fill(3, 10_000, -1.0, 1.0);
        assert!(many.iter().all(|x| (-1.0..1.0).contains(x)));
        assert!(many.iter().sum::<f32>().abs() < 300.0);
    }

    #[test]
    fn tolerance_follows_dtype_and_terms() {
        assert!(close(DType::I32, 9, 3.0, 3.0) && !close(DType::I32, 9, 3.0, 4.0));
        assert!(close(DType::F32, 0, f64::NAN, f64::NAN) && !close(DType::F32, 0, f64::NAN, 1.0));
        assert!(close(DType::F16, 0, 1e6, f64::INFINITY) && !close(DType::F32, 0, 1e6, f64::INFINITY));
        assert!(!close(DType::F32, 0, f64::INFINITY, 1e6) && !close(DType::F32, 0, 1.0, f64::NAN));
        assert!(!close(DType::F32, 0, 1.0, 1.00001) && close(DType::F32, 100, 1.0, 1.00001));
        assert!(close(DType::BF16, 0, 1.0, 1.01) && !close(DType::BF16, 0, 1.0, 1.02));
    }

    /// Complete on purpose: a new op breaks the build here until the suite has a case for it.
    fn variant(op: &Op) -> usize {
        match op {
            Op::Input(_) => 0,
            Op::State(_) => 1,
            Op::Constant(_) => 2,
            Op::Iota { .. } => 3,
            Op::Random { .. } => 4,
            Op::Unary(_) => 5,
            Op::Binary(_) => 6,
            Op::Compare(_) => 7,
            Op::Select => 8,
            Op::Cast(_) => 9,
            Op::Reshape(_) => 10,
            Op::Permute(_) => 11,
            Op::Broadcast(_) => 12,
            Op::Slice { .. } => 13,
            Op::Pad { .. } => 14,
            Op::Concat { .. } => 15,
            Op::Flip(_) => 16,
            Op::DynamicSlice { .. } => 17,
            Op::Reduce { .. } => 18,
            Op::ArgReduce { .. } => 19,
            Op::CumSum { .. } => 20,
            Op::MaxPool(_) => 21,
            Op::MaxPoolIndex(_) => 22,
            Op::MaxPoolGather(_) => 23,
            Op::MaxPoolGrad { .. } => 24,
            Op::AvgPool(_) => 25,
            Op::AvgPoolGrad { .. } => 26,
            Op::Dot { .. } => 27,
            Op::Conv(_) => 28,
            Op::ConvInputGrad { .. } => 29,
            Op::ConvFilterGrad { .. } => 30,
            Op::Gather { .. } => 31,
            Op::ScatterAdd { .. } => 32,
            Op::After => 33,
        }
    }

    #[test]
    fn the_suite_holds_every_op_and_the_reference_agrees_with_itself() {
        let (mut variants, mut names, mut cases) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for case in op_cases() {
            assert_eq!(verify::verify(&case.graph, &case.name), []);
            let live = case.graph.live();
            for (id, node) in case.graph.nodes() {
                variants.insert(variant(&node.op));
                names.insert(node.op.name());
                assert!(live[id.index()] || matches!(node.op, Op::Input(_) | Op::State(_)));
            }
            let done = case.expected().unwrap();
            let literals = |values: &[Value]| values.iter().map(|v| v.to_literal().unwrap()).collect::<Vec<_>>();
            case.check(&literals(&done.outputs), &literals(&done.states)).unwrap();
            assert!(case.name.starts_with("special") || done.outputs.iter().all(is_tame), "{}", case.name);
            assert!(cases.insert(case.name.clone()), "{} is there twice", case.name);
        }
        assert_eq!(variants, (0..34).collect());
        let kinds = Unary::ALL.iter().map(|o| o.name()).chain(Binary::ALL.iter().map(|o| o.name()));
        let kinds = kinds.chain(Compare::ALL.iter().map(|o| o.name())).chain(ReduceOp::ALL.iter().map(|o| o.name()));
        let missing: Vec<_> =
            kinds.chain(ArgOp::ALL.iter().map(|o| o.name())).filter(|name| !names.contains(name)).collect();
        assert_eq!(missing, [""; 0]);
    }

    /// No NaN, and nothing that only f64 can hold: reductions over nothing alone are infinite.
    fn is_tame(value: &Value) -> bool {
        value.data.iter().all(|v| v.is_infinite() || v.abs() < if value.dtype == DType::F16 { 6e4 } else { 1e10 })
    }

    #[test]
    fn a_wrong_result_is_told() {
        let case = &op_cases()[0];
        assert!(case.check(&[], &[]).unwrap_err().contains("0 outputs"));
    }
}
