//! From a graph to a plan. [`compile`] reads as the list of passes; each can be switched off by name and
//! the numbers must still agree, which is how a miscompile is found.

mod absorb;
mod collapse;
mod epilogue;
mod events;
mod fuse;
mod islands;
mod lower;
mod memory;
mod merge;
mod nests;
mod precision;
mod recompute;
mod schedule;
mod simplify;
mod split;
mod spread;
mod strips;
mod views;
mod workers;

use std::str::FromStr;

use crate::error::{Error, Result};
use crate::ir::{Graph, verify};
use crate::plan::Target;

pub use crate::plan::Plan;
pub use precision::{Precision, narrow};
pub use simplify::simplify;

/// Which passes run. The text form lists what is switched off: `-fuse,-memory`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passes {
    /// Folds constants, algebra and repeated movements.
    pub simplify: bool,
    /// Computes marked layers again in the backward pass instead of keeping what they computed.
    pub recompute: bool,
    /// Lets contractions read narrow floats, where the program's [`Precision`] says so.
    pub precision: bool,
    /// Computes values where they are used and merges kernels.
    pub fuse: bool,
    /// Joins loop variables, splits large reductions, and marks strips.
    pub schedule: bool,
    /// Decides who computes what on devices of many threads.
    pub workers: bool,
    /// Marks runs of tiny kernels that one workgroup runs.
    pub islands: bool,
    /// Lets intermediates share memory.
    pub memory: bool,
}

impl Passes {
    /// The names that [`Passes::from_str`] knows.
    pub const NAMES: [&str; 8] =
        ["simplify", "recompute", "precision", "fuse", "schedule", "workers", "islands", "memory"];

    /// Every pass.
    pub fn all() -> Self {
        Passes {
            simplify: true,
            recompute: true,
            precision: true,
            fuse: true,
            schedule: true,
            workers: true,
            islands: true,
            memory: true,
        }
    }

    /// Every pass but those that the environment variable `ONESTEP_PASSES` switches off.
    pub fn from_env() -> Result<Self> {
        match std::env::var("ONESTEP_PASSES") {
            Ok(text) => text.parse().map_err(|e: Error| e.at("ONESTEP_PASSES")),
            Err(_) => Ok(Passes::all()),
        }
    }
}

impl FromStr for Passes {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut passes = Passes::all();
        for word in text.split(',').map(str::trim).filter(|w| !w.is_empty()) {
            let switch = match word.strip_prefix('-') {
                Some("simplify") => &mut passes.simplify,
                Some("recompute") => &mut passes.recompute,
                Some("precision") => &mut passes.precision,
                Some("fuse") => &mut passes.fuse,
                Some("schedule") => &mut passes.schedule,
                Some("workers") => &mut passes.workers,
                Some("islands") => &mut passes.islands,
                Some("memory") => &mut passes.memory,
                _ => {
                    let names = Passes::NAMES.join(", -");
                    return Err(Error::config(format!("there is no switch `{word}`; there are -{names}")));
                }
            };
            *switch = false;
        }
        Ok(passes)
    }
}

/// A graph ready to run: simplified, for backends that interpret it, and as a plan for those that do not.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The simplified graph.
    pub graph: Graph,
    /// The plan.
    pub plan: Plan,
}

/// Compiles a graph for a target, with the floats that it is written in.
pub fn compile(graph: &Graph, target: &Target, passes: Passes) -> Result<Compiled> {
    compile_in(Precision::F32, graph, target, passes)
}

/// Compiles a graph for a target in a precision.
pub fn compile_in(precision: Precision, graph: &Graph, target: &Target, passes: Passes) -> Result<Compiled> {
    let check = |graph: &Graph, pass: &str| {
        if cfg!(debug_assertions) {
            verify::assert_valid(graph, pass);
        }
    };
    check(graph, "trace");
    // Before simplify, so that what is no longer told apart meets.
    let mut graph = if passes.recompute { graph.clone() } else { recompute::keep(graph)? };
    check(&graph, "recompute");
    if passes.simplify {
        graph = simplify(&graph)?;
    }
    check(&graph, "simplify");
    // After simplify, so that what it finds to be the same is rounded once.
    if passes.precision {
        graph = narrow(&graph, precision)?;
    }
    check(&graph, "precision");
    let mut plan = fuse::build(&graph, target, passes.fuse);
    nests::replace(&mut plan, target);
    if passes.fuse {
        merge::merge(&mut plan, target);
        spread::spread(&mut plan, target);
    }
    schedule::schedule(&mut plan);
    if passes.schedule {
        collapse::collapse_all(&mut plan);
        split::split(&mut plan, target);
        collapse::collapse_all(&mut plan);
        absorb::absorb(&mut plan, target);
        strips::mark(&mut plan, target);
    }
    if passes.workers {
        workers::decide_all(&mut plan, target);
    }
    if passes.islands {
        islands::mark(&mut plan, target);
    }
    memory::place(&mut plan, target, passes.memory);
    Ok(Compiled { graph, plan })
}
