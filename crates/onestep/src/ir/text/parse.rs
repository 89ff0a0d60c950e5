//! The parser of the text form. Each fault is an error with its line and column.

use std::collections::HashMap;
use std::str::FromStr;

use super::super::op::{ArgOp, Binary, Compare, ConvSpec, InputId, Op, ReduceOp, StateId, Unary, Window};
use super::super::{DType, Graph, Literal, NodeId, Shape, Type};
use crate::error::{Error, Result};

impl Graph {
    /// Reads the text form that [`Graph::to_text`] writes. Nodes are numbered anew, in their order. Text that
    /// is malformed, breaks an op's rule or declares a type the rule does not give is an error that names
    /// line and column.
    pub fn parse(text: &str) -> Result<Graph> {
        let mut parser = Parser { text, at: 0, graph: Graph::new(), nodes: HashMap::new() };
        parser.graph()?;
        parser.graph.set_scope("");
        Ok(parser.graph)
    }
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
    graph: Graph,
    /// The text's numbers of the nodes so far.
    nodes: HashMap<u32, NodeId>,
}

impl<'t> Parser<'t> {
    fn graph(&mut self) -> Result<()> {
        self.expect("graph")?;
        self.expect("{")?;
        while !self.eat("}") {
            let start = self.here();
            if self.eat("%") {
                self.node(start)?;
                continue;
            }
            match self.word() {
                "state" => self.state(start)?,
                "input" => {
                    let name = self.string()?;
                    self.expect(":")?;
                    let ty = self.ty()?;
                    self.graph.declare_input(&name, ty).map_err(|e| self.place(e, start))?;
                }
                "checkpoint" => {
                    let path = self.string()?;
                    self.graph.checkpoint(&path);
                }
                "update" => {
                    let state = self.state_id()?;
                    self.expect("=")?;
                    let value = self.node_ref()?;
                    self.graph.update(state, value).map_err(|e| self.place(e, start))?;
                }
                "return" => {
                    let value = self.node_ref()?;
                    self.expect("as")?;
                    let name = self.string()?;
                    self.graph.output(&name, value).map_err(|e| self.place(e, start))?;
                }
                _ => {
                    return Err(
                        self.wanted("a `%` node, `state`, `checkpoint`, `input`, `update`, `return` or `}`", start)
                    );
                }
            }
        }
        let end = self.here();
        if end < self.text.len() {
            return Err(self.wanted("the end of the text", end));
        }
        Ok(())
    }

    /// `state s0 "params": f32[1024]`
    fn state(&mut self, start: usize) -> Result<()> {
        let next = self.graph.states().len();
        self.expect(&format!("s{next}"))?;
        let name = self.string()?;
        self.expect(":")?;
        let ty = self.ty()?;
        self.graph.declare_state(&name, ty).map_err(|e| self.place(e, start))?;
        Ok(())
    }

    /// `%3: f32[32,10] = dot(%1, %2) {tb} @ "fc2"`, after the `%`
    fn node(&mut self, start: usize) -> Result<()> {
        let number = self.number()?;
        if self.nodes.contains_key(&number) {
            return Err(self.place(Error::name(format!("there are two nodes %{number}; renumber one")), start));
        }
        self.expect(":")?;
        let ty = self.ty()?;
        self.expect("=")?;
        let op_at = self.here();
        let id = match self.word() {
            "input" => {
                let name = self.string()?;
                self.scope()?;
                let declared = self.graph.inputs().iter().position(|d| d.name == name);
                let input = match declared {
                    Some(i) => InputId(i as u32),
                    None => self.graph.declare_input(&name, ty.clone()).map_err(|e| self.place(e, start))?,
                };
                self.graph.read_input(input)
            }
            "state" => {
                let state = self.state_id()?;
                self.scope()?;
                self.graph.read_state(state)
            }
            name => {
                let inputs = if self.eat("(") { self.items(")", Self::node_ref)? } else { Vec::new() };
                let list = if self.eat("{") { self.items("}", Self::attribute)? } else { Vec::new() };
                self.scope()?;
                let mut attributes = Attributes { op: name, list };
                let op = op(name, &mut attributes, &ty).and_then(|op| attributes.finish().map(|()| op));
                op.and_then(|op| self.graph.push(op, &inputs)).map_err(|e| self.place(e, op_at))?
            }
        };
        let gives = self.graph.ty(id);
        if gives != ty {
            let message = format!("%{number} is declared {ty} but is {gives}");
            return Err(self.place(Error::shape(message), op_at));
        }
        self.nodes.insert(number, id);
        Ok(())
    }

    /// `@ "fc2"`, which may be missing
    fn scope(&mut self) -> Result<()> {
        let path = if self.eat("@") { self.string()? } else { String::new() };
        self.graph.set_scope(&path);
        Ok(())
    }

    /// `f32[32,10]`
    fn ty(&mut self) -> Result<Type> {
        let start = self.here();
        let dtype: DType = self.word().parse().map_err(|e| self.place(e, start))?;
        self.expect("[")?;
        let shape = Shape::from(self.items("]", Self::number)?);
        if shape.checked_elements().is_none() {
            let message = format!("{dtype}{shape} has more than 2^48 elements");
            return Err(self.place(Error::shape(message), start));
        }
        Ok(Type::new(shape, dtype))
    }

    /// `s0`, of a state that is declared
    fn state_id(&mut self) -> Result<StateId> {
        let start = self.here();
        let index: Option<u32> = self.word().strip_prefix('s').and_then(|n| n.parse().ok());
        match index.filter(|&i| (i as usize) < self.graph.states().len()) {
            Some(i) => Ok(StateId(i)),
            None => Err(self.wanted("a declared state such as `s0`", start)),
        }
    }

    /// `%3`, of a node that stands above
    fn node_ref(&mut self) -> Result<NodeId> {
        let start = self.here();
        self.expect("%")?;
        let number = self.number()?;
        let id = self.nodes.get(&number).copied();
        id.ok_or_else(|| self.place(Error::name(format!("%{number} is used before it is defined")), start))
    }

    /// `name`, `name=value` or `name=[value,value]`
    fn attribute(&mut self) -> Result<(&'t str, Value<'t>)> {
        let start = self.here();
        let name = self.word();
        if name.is_empty() {
            return Err(self.wanted("the name of an attribute", start));
        }
        let value = match (self.eat("="), self.eat("[")) {
            (false, false) => Value::Flag,
            (true, true) => Value::List(self.items("]", Self::value)?),
            (true, false) => Value::One(self.value()?),
            (false, true) => return Err(self.wanted("`=`", start)),
        };
        Ok((name, value))
    }

    fn value(&mut self) -> Result<&'t str> {
        let start = self.here();
        let value = self.take(|c| c.is_ascii_alphanumeric() || ".:+-".contains(c));
        if value.is_empty() { Err(self.wanted("a value", start)) } else { Ok(value) }
    }

    /// Items between commas up to a closing mark.
    fn items<T>(&mut self, close: &str, item: impl Fn(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let mut items = Vec::new();
        if self.eat(close) {
            return Ok(items);
        }
        loop {
            items.push(item(self)?);
            if self.eat(close) {
                return Ok(items);
            }
            self.expect(",")?;
        }
    }

    fn number<T: FromStr>(&mut self) -> Result<T> {
        let start = self.here();
        self.take(|c| c.is_ascii_digit()).parse().map_err(|_| self.wanted("a whole number (not too large)", start))
    }

    fn string(&mut self) -> Result<String> {
        let start = self.here();
        let rest = &self.text.as_bytes()[start..];
        let mut escaped = false;
        let end = rest.iter().enumerate().skip(1).find(|(_, b)| {
            let ends = **b == b'"' && !escaped;
            escaped = **b == b'\\' && !escaped;
            ends
        });
        let length = end.filter(|_| rest[0] == b'"').map(|(i, _)| i + 1);
        let string = length.and_then(|n| serde_json::from_str(&self.text[start..start + n]).ok());
        self.at += length.unwrap_or(0);
        string.ok_or_else(|| self.wanted("a \"string\"", start))
    }

    fn word(&mut self) -> &'t str {
        self.take(|c| c.is_ascii_alphanumeric() || c == '_')
    }

    fn take(&mut self, wanted: impl Fn(char) -> bool) -> &'t str {
        let start = self.here();
        let rest = &self.text[start..];
        let taken = &rest[..rest.find(|c| !wanted(c)).unwrap_or(rest.len())];
        self.at += taken.len();
        taken
    }

    fn eat(&mut self, mark: &str) -> bool {
        let start = self.here();
        let found = self.text[start..].starts_with(mark);
        self.at += if found { mark.len() } else { 0 };
        found
    }

    fn expect(&mut self, mark: &str) -> Result<()> {
        if self.eat(mark) { Ok(()) } else { Err(self.wanted(&format!("`{mark}`"), self.at)) }
    }

    /// The place of the next token, behind blanks and comments.
    fn here(&mut self) -> usize {
        loop {
            let rest = &self.text[self.at..];
            let line = rest.trim_start();
            self.at += rest.len() - line.len();
            if !line.starts_with("//") {
                return self.at;
            }
            self.at += line.find('\n').unwrap_or(line.len());
        }
    }

    fn wanted(&self, what: &str, at: usize) -> Error {
        let found: String = self.text[at..].chars().take_while(|c| *c != '\n').take(16).collect();
        let found = if found.is_empty() { "nothing".to_string() } else { format!("`{found}`") };
        self.place(Error::graph(format!("expected {what} but found {found}")), at)
    }

    fn place(&self, error: Error, at: usize) -> Error {
        let before = &self.text[..at];
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        let line = before.matches('\n').count() + 1;
        error.at(format!("line {line}, column {}", before[line_start..].chars().count() + 1))
    }
}

enum Value<'t> {
    Flag,
    One(&'t str),
    List(Vec<&'t str>),
}

/// An op's attributes; each is taken once and none may be left over.
struct Attributes<'t> {
    op: &'t str,
    list: Vec<(&'t str, Value<'t>)>,
}

impl<'t> Attributes<'t> {
    fn take(&mut self, name: &str) -> Option<Value<'t>> {
        let at = self.list.iter().position(|(n, _)| *n == name)?;
        Some(self.list.remove(at).1)
    }

    fn flag(&mut self, name: &str) -> Result<bool> {
        match self.take(name) {
            None => Ok(false),
            Some(Value::Flag) => Ok(true),
            Some(Value::One(_) | Value::List(_)) => Err(self.wants(name, "is a flag without a value")),
        }
    }

    fn one<T: FromStr>(&mut self, name: &str) -> Result<T> {
        match self.take(name) {
            Some(Value::One(v)) => v.parse().map_err(|_| self.wants(name, &format!("cannot be `{v}`"))),
            Some(Value::Flag | Value::List(_)) | None => Err(self.wants(name, "must be one value")),
        }
    }

    fn each<T>(&mut self, name: &str, read: impl Fn(&str) -> Option<T>) -> Result<Vec<T>> {
        let Some(Value::List(items)) = self.take(name) else {
            return Err(self.wants(name, "must be a list such as [1,2]"));
        };
        let bad = |v: &&str| self.wants(name, &format!("cannot hold `{v}`"));
        items.iter().map(|v| read(v).ok_or_else(|| bad(v))).collect()
    }

    fn list(&mut self, name: &str) -> Result<Vec<usize>> {
        self.each(name, |v| v.parse().ok())
    }

    fn pairs(&mut self, name: &str) -> Result<Vec<(usize, usize)>> {
        self.each(name, |v| {
            let (low, high) = v.split_once(':')?;
            Some((low.parse().ok()?, high.parse().ok()?))
        })
    }

    fn wants(&self, name: &str, rule: &str) -> Error {
        Error::graph(format!("the attribute `{name}` of {} {rule}", self.op))
    }

    fn finish(&self) -> Result<()> {
        match self.list.first() {
            None => Ok(()),
            Some((name, _)) => Err(self.wants(name, "does not exist or is given twice")),
        }
    }
}

/// The op of a name, of its attributes and of what its result type implies.
fn op(name: &str, a: &mut Attributes, ty: &Type) -> Result<Op> {
    let (shape, dtype) = (ty.shape.clone(), ty.dtype);
    Ok(match name {
        "constant" => Op::Constant(constant(a, ty)?),
        "iota" => Op::Iota { shape, axis: a.one("axis")?, dtype },
        "random" => Op::Random { shape, dtype, stream: a.one("stream")? },
        "select" => Op::Select,
        "after" => Op::After,
        "cast" => Op::Cast(dtype),
        "reshape" => Op::Reshape(shape),
        "permute" => Op::Permute(a.list("perm")?),
        "broadcast" => Op::Broadcast(shape),
        "slice" => {
            let (start, stop) = (a.list("start")?, a.list("stop")?);
            let dense = !a.list.iter().any(|(name, _)| *name == "step");
            let step = if dense { vec![1; start.len()] } else { a.list("step")? };
            Op::Slice { start, stop, step }
        }
        "pad" => Op::Pad { low: a.list("low")?, high: a.list("high")?, value: pad_value(a)? },
        "concat" => Op::Concat { axis: a.one("axis")? },
        "flip" => Op::Flip(a.list("axes")?),
        "dynamic_slice" => Op::DynamicSlice { axis: a.one("axis")?, len: a.one("len")? },
        "cumsum" => Op::CumSum { axis: a.one("axis")?, exclusive: a.flag("exclusive")?, reverse: a.flag("reverse")? },
        "max_pool" => Op::MaxPool(window(a)?),
        "max_pool_index" => Op::MaxPoolIndex(window(a)?),
        "max_pool_gather" => Op::MaxPoolGather(window(a)?),
        "max_pool_grad" => Op::MaxPoolGrad { window: window(a)?, input: shape },
        "avg_pool" => Op::AvgPool(window(a)?),
        "avg_pool_grad" => Op::AvgPoolGrad { window: window(a)?, input: shape },
        "dot" => Op::Dot { ta: a.flag("ta")?, tb: a.flag("tb")? },
        "conv" => Op::Conv(conv(a)?),
        "conv_input_grad" => Op::ConvInputGrad { spec: conv(a)?, input: shape },
        "conv_filter_grad" => Op::ConvFilterGrad { spec: conv(a)?, filter: shape },
        "gather" => Op::Gather { axis: a.one("axis")? },
        "scatter_add" => Op::ScatterAdd { axis: a.one("axis")? },
        _ => {
            if let Some(op) = Unary::ALL.iter().find(|op| op.name() == name) {
                Op::Unary(*op)
            } else if let Some(op) = Binary::ALL.iter().find(|op| op.name() == name) {
                Op::Binary(*op)
            } else if let Some(op) = Compare::ALL.iter().find(|op| op.name() == name) {
                Op::Compare(*op)
            } else if let Some(op) = ReduceOp::ALL.iter().find(|op| op.name() == name) {
                Op::Reduce { op: *op, axes: a.list("axes")? }
            } else if let Some(op) = ArgOp::ALL.iter().find(|op| op.name() == name) {
                Op::ArgReduce { op: *op, axes: a.list("axes")? }
            } else {
                return Err(Error::graph(format!("there is no op `{name}`")));
            }
        }
    })
}

fn window(a: &mut Attributes) -> Result<Window> {
    Ok(Window { size: a.list("size")?, stride: a.list("stride")?, padding: a.pairs("padding")? })
}

fn conv(a: &mut Attributes) -> Result<ConvSpec> {
    let (stride, padding, dilation) = (a.list("stride")?, a.pairs("padding")?, a.list("dilation")?);
    Ok(ConvSpec { stride, padding, dilation, groups: a.one("groups")? })
}

fn pad_value(a: &mut Attributes) -> Result<u64> {
    let bits = |v: &str| match v.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => v.parse().ok().map(f64::to_bits),
    };
    match a.take("value") {
        None => Ok(0),
        Some(Value::One(v)) => bits(v).ok_or_else(|| a.wants("value", &format!("cannot be `{v}`"))),
        Some(Value::Flag | Value::List(_)) => Err(a.wants("value", "must be one value")),
    }
}

/// `value=2.5`, `value=[1,2]` or `bytes=0x0000803f`
fn constant(a: &mut Attributes, ty: &Type) -> Result<Literal> {
    let texts = match a.take("value") {
        Some(Value::List(texts)) => texts,
        Some(Value::One(text)) => vec![text],
        Some(Value::Flag) => return Err(a.wants("value", "must be a number or a list of them")),
        None => {
            let text: String = a.one("bytes")?;
            let bytes = unhex(&text).ok_or_else(|| a.wants("bytes", "must be `0x` and pairs of hex digits"))?;
            return Literal::from_bytes(ty.dtype, &ty.shape, bytes);
        }
    };
    let bad = |text: &str| a.wants("value", &format!("cannot hold `{text}` as {}", ty.dtype));
    let numbers: Vec<f64> = texts.iter().map(|text| text.parse().map_err(|_| bad(text))).collect::<Result<_>>()?;
    let literal = Literal::from_f64(ty.dtype, &ty.shape, &numbers)?;
    let lossy = numbers.iter().zip(literal.to_f64()).position(|(want, has)| *want != has);
    match lossy.filter(|_| !ty.dtype.is_float()) {
        Some(i) => Err(bad(texts[i])),
        None => Ok(literal),
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("0x")?.as_bytes();
    let digit = |b: u8| (b as char).to_digit(16).map(|d| d as u8);
    digits.chunks(2).map(|pair| Some(digit(pair[0])? << 4 | digit(*pair.get(1)?)?)).collect()
}
