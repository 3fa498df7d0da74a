//! What keeps values, how fast, and for how much memory.

mod dialect;
pub(crate) mod footprint;
pub(crate) mod keeping;
mod limit;
mod load;
mod peers;
mod rival;
pub(crate) mod throughput;

pub(crate) use limit::{Runtimes, answer};
pub(crate) use peers::second_port;
