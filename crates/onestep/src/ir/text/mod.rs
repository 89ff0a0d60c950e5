//! The text form of a graph, as in a compiler: what tests compare and people read. Printing and
//! parsing it again gives the same graph.
//!
//! ```text
//! graph {
//!   state s0 "params": f32[1024]
//!   %0: f32[32,784] = input "x"
//!   %1: f32[1024] = state s0
//!   %2: f32[784] = slice(%1) {start=[0],stop=[784]}
//!   %3: f32[784,1] = reshape(%2) @ "fc"
//!   %4: f32[32,1] = dot(%0, %3) @ "fc"
//!   update s0 = %1
//!   return %4 as "logits"
//! }
//! ```
//! A node gives its id, its type, its op with inputs, the op's attributes and the scope that made it.
//! `checkpoint "block1"` lines name the layers marked with [`Graph::checkpoint`](super::Graph::checkpoint).
//! What the type implies (the shape of a reshape, the dtype of a cast) is no attribute. Inputs are declared
//! where they are read; where they are not read in their order, `input "x": f32[2]` lines declare them all
//! first. Strings are written as in JSON; `//` starts a comment that runs to the end of the line.

mod parse;
mod print;
#[cfg(test)]
mod tests;
