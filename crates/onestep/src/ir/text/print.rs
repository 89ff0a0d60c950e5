//! The printer of the text form.

use std::fmt::{self, Display};

use super::super::op::{ArgOp, ConvSpec, InputId, Op, Window};
use super::super::{DType, Graph, Literal};

/// Constants of more elements print as bytes.
const SHOWN_ELEMENTS: usize = 8;

impl Graph {
    /// The text form; [`Graph::parse`] reads it back.
    pub fn to_text(&self) -> String {
        self.to_string()
    }
}

impl Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "graph {{")?;
        for (i, state) in self.states().iter().enumerate() {
            writeln!(f, "  state s{i} {}: {}", quoted(&state.name), state.ty)?;
        }
        for path in self.checkpoints() {
            writeln!(f, "  checkpoint {}", quoted(path))?;
        }
        let read = self.nodes().filter_map(|(_, n)| if let Op::Input(i) = n.op { Some(i) } else { None });
        if !read.eq((0..self.inputs().len() as u32).map(InputId)) {
            for input in self.inputs() {
                writeln!(f, "  input {}: {}", quoted(&input.name), input.ty)?;
            }
        }
        for (id, node) in self.nodes() {
            write!(f, "  %{}: {} = {}", id.0, self.ty(id), node.op.name())?;
            match node.op {
                Op::Input(i) => write!(f, " {}", quoted(&self.inputs()[i.0 as usize].name))?,
                Op::State(s) => write!(f, " s{}", s.0)?,
                _ if node.inputs.is_empty() => {}
                _ => {
                    let inputs: Vec<String> = node.inputs.iter().map(|i| format!("%{}", i.0)).collect();
                    write!(f, "({})", inputs.join(", "))?;
                }
            }
            let attributes = attributes(&node.op);
            if !attributes.is_empty() {
                write!(f, " {{{}}}", attributes.join(","))?;
            }
            match self.scope_of(id) {
                "" => writeln!(f)?,
                scope => writeln!(f, " @ {}", quoted(scope))?,
            }
        }
        for (state, id) in self.updates() {
            writeln!(f, "  update s{} = %{}", state.0, id.0)?;
        }
        for (name, id) in self.outputs() {
            writeln!(f, "  return %{} as {}", id.0, quoted(name))?;
        }
        write!(f, "}}")
    }
}

/// What an op knows beyond its name, inputs and result type.
fn attributes(op: &Op) -> Vec<String> {
    match op {
        Op::Input(_)
        | Op::State(_)
        | Op::Unary(_)
        | Op::Binary(_)
        | Op::Compare(_)
        | Op::Select
        | Op::After
        | Op::Cast(_)
        | Op::Reshape(_)
        | Op::Broadcast(_) => Vec::new(),
        Op::Constant(literal) => vec![constant(literal)],
        Op::Iota { axis, shape: _, dtype: _ } | Op::Concat { axis } | Op::Gather { axis } | Op::ScatterAdd { axis } => {
            vec![format!("axis={axis}")]
        }
        Op::Random { stream, shape: _, dtype: _ } => vec![format!("stream={stream}")],
        Op::Permute(perm) => vec![format!("perm={}", list(perm))],
        Op::Slice { start, stop, step } => {
            let mut all = vec![format!("start={}", list(start)), format!("stop={}", list(stop))];
            if step.iter().any(|&s| s != 1) {
                all.push(format!("step={}", list(step)));
            }
            all
        }
        Op::Pad { low, high, value } => {
            let mut all = vec![format!("low={}", list(low)), format!("high={}", list(high))];
            if *value != 0 {
                let shown = format!("{:?}", f64::from_bits(*value));
                let exact = shown.parse::<f64>().is_ok_and(|v| v.to_bits() == *value);
                all.push(if exact { format!("value={shown}") } else { format!("value=0x{value:016x}") });
            }
            all
        }
        Op::Flip(axes) | Op::Reduce { axes, op: _ } | Op::ArgReduce { axes, op: ArgOp::Max | ArgOp::Min } => {
            vec![format!("axes={}", list(axes))]
        }
        Op::DynamicSlice { axis, len } => vec![format!("axis={axis}"), format!("len={len}")],
        Op::CumSum { axis, exclusive, reverse } => {
            let flags = flags([("exclusive", *exclusive), ("reverse", *reverse)]);
            std::iter::once(format!("axis={axis}")).chain(flags).collect()
        }
        Op::MaxPool(w) | Op::MaxPoolIndex(w) | Op::MaxPoolGather(w) | Op::AvgPool(w) => window(w),
        Op::MaxPoolGrad { window: w, input: _ } | Op::AvgPoolGrad { window: w, input: _ } => window(w),
        Op::Dot { ta, tb } => flags([("ta", *ta), ("tb", *tb)]).collect(),
        Op::Conv(spec) | Op::ConvInputGrad { spec, input: _ } | Op::ConvFilterGrad { spec, filter: _ } => conv(spec),
    }
}

fn window(w: &Window) -> Vec<String> {
    let Window { size, stride, padding } = w;
    vec![format!("size={}", list(size)), format!("stride={}", list(stride)), format!("padding={}", pairs(padding))]
}

fn conv(spec: &ConvSpec) -> Vec<String> {
    let ConvSpec { stride, padding, dilation, groups } = spec;
    vec![
        format!("stride={}", list(stride)),
        format!("padding={}", pairs(padding)),
        format!("dilation={}", list(dilation)),
        format!("groups={groups}"),
    ]
}

/// Numbers where these give the same bytes when read back (a NaN may not), else the bytes.
fn constant(literal: &Literal) -> String {
    if literal.elements() <= SHOWN_ELEMENTS {
        let shown: Vec<String> = literal.to_f64().into_iter().map(|v| number(literal.dtype(), v)).collect();
        let read: Vec<f64> = shown.iter().filter_map(|v| v.parse().ok()).collect();
        if Literal::from_f64(literal.dtype(), literal.shape(), &read).is_ok_and(|read| read == *literal) {
            return match literal.shape().rank() {
                0 => format!("value={}", shown.concat()),
                _ => format!("value={}", list(&shown)),
            };
        }
    }
    let hex: String = literal.bytes().iter().map(|b| format!("{b:02x}")).collect();
    format!("bytes=0x{hex}")
}

/// The shortest digits that a dtype tells apart; 16-bit floats as the f32 they widen to.
fn number(dtype: DType, v: f64) -> String {
    match dtype {
        DType::F64 => format!("{v:?}"),
        DType::F32 | DType::BF16 | DType::F16 => format!("{:?}", v as f32),
        DType::I32 | DType::U32 | DType::U8 | DType::Bool => format!("{v}"),
    }
}

fn list(items: &[impl Display]) -> String {
    let items: Vec<String> = items.iter().map(|i| i.to_string()).collect();
    format!("[{}]", items.join(","))
}

fn pairs(items: &[(usize, usize)]) -> String {
    list(&items.iter().map(|(low, high)| format!("{low}:{high}")).collect::<Vec<_>>())
}

fn flags(flags: [(&'static str, bool); 2]) -> impl Iterator<Item = String> {
    flags.into_iter().filter(|(_, set)| *set).map(|(name, _)| name.to_string())
}

fn quoted(s: &str) -> String {
    serde_json::Value::from(s).to_string()
}
