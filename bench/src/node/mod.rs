//! `node`: how fast values are written and read.

mod dialect;
mod limit;
mod load;
mod peers;
mod rival;
mod throughput;

pub(crate) use limit::{Runtimes, answer};
pub(crate) use throughput::{Options, measure};
