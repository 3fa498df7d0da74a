//! The command line: arguments, commands that ask a running supervisor, and what people see.

pub mod code;
mod invocation;

pub use invocation::{ConfigOptions, Invocation, RunOptions, execute, parse};
