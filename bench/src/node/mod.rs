//! What keeps values, how fast, and for how much memory.

mod dialect;
pub(crate) mod expiry;
pub(crate) mod footprint;
pub(crate) mod keeping;
pub(crate) mod lag;
mod limit;
mod load;
mod peers;
pub(crate) mod rival;
mod talk;
pub(crate) mod throughput;

pub(crate) use limit::{Runtimes, answer};
pub(crate) use peers::second_port;
