//! Backends: what evaluates a graph or runs a compiled plan.

pub mod reference;
