//! Every decoder of what strangers send, behind one signature, with a corpus of examples.
//!
//! A [`Target`] takes any bytes and must survive them; what it understands it also writes
//! again and must understand in the same way. `corpus/NAME` has examples of what each target
//! is made for. `cargo test -p repram-fuzz` plays all of them, and thousands of mutations;
//! the program reads one input from its standard input, as fuzzers give it that are guided by
//! coverage.

#![forbid(unsafe_code)]

mod between_nodes;
mod documents;
mod examples;
mod http;
mod target;

pub use examples::examples;
pub use target::{TARGETS, Target};
