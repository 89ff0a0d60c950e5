//! The reference as a device: keeps states in host memory and interprets the graph at each run.

use std::time::Duration;

use super::{Value, evaluate};
use crate::backend::host::HostMemory;
use crate::backend::{Backend, Executable, Memory};
use crate::error::{Error, Result};
use crate::ir::{DType, Graph, Literal};
use crate::plan::{Plan, Target};

/// The reference interpreter as a [`Backend`]; it ignores the plan.
pub struct Reference;

impl Backend for Reference {
    fn name(&self) -> String {
        "reference".into()
    }

    fn description(&self) -> String {
        "interprets the graph in f64; judges the other devices, slow".into()
    }

    fn target(&self) -> Target {
        Target { name: "reference".into(), ..Target::default() }
    }

    fn allocate(&self, dtype: DType, elements: usize) -> Result<Memory> {
        Ok(Memory::new(HostMemory::zeroed(elements * dtype.size())?))
    }

    fn compile(&self, graph: &Graph, _plan: &Plan, states: &[Memory]) -> Result<Box<dyn Executable>> {
        let inputs = graph.inputs().iter().map(|d| Literal::zeros(d.ty.dtype, &d.ty.shape)).collect();
        Ok(Box::new(Interpreted { graph: graph.clone(), states: states.to_vec(), inputs, outputs: Vec::new() }))
    }
}

struct Interpreted {
    graph: Graph,
    states: Vec<Memory>,
    inputs: Vec<Literal>,
    outputs: Vec<Value>,
}

impl Executable for Interpreted {
    fn write_input(&mut self, index: usize, value: &Literal) -> Result<()> {
        let input = self.inputs.get_mut(index).ok_or_else(|| Error::graph(format!("there is no input {index}")))?;
        *input = Literal::from_bytes(input.dtype(), input.shape().clone(), value.bytes())?;
        Ok(())
    }

    fn run(&mut self) -> Result<()> {
        let inputs: Vec<Value> = self.inputs.iter().map(Value::from_literal).collect();
        let mut states = Vec::with_capacity(self.states.len());
        for (memory, declared) in self.states.iter().zip(self.graph.states()) {
            let literal = Literal::from_bytes(declared.ty.dtype, &declared.ty.shape, memory.download()?)?;
            states.push(Value::from_literal(&literal));
        }
        let after = evaluate(&self.graph, &inputs, &states)?;
        for (state, _) in self.graph.updates() {
            let i = state.0 as usize;
            self.states[i].upload(after.states[i].to_literal()?.bytes())?;
        }
        self.outputs = after.outputs;
        Ok(())
    }

    fn run_timed(&mut self) -> Result<Option<Vec<Duration>>> {
        // The graph is what runs here, not the plan's kernels.
        self.run().map(|()| None)
    }

    fn read_output(&mut self, index: usize) -> Result<Literal> {
        let output = self.outputs.get(index);
        output.ok_or_else(|| Error::graph(format!("output {index} was not computed yet; run first")))?.to_literal()
    }

    fn wait(&mut self) -> Result<()> {
        Ok(())
    }

    fn bytes(&self) -> usize {
        self.inputs.iter().map(|l| l.bytes().len()).sum()
    }
}
