//! What the nodes write: from their pipes to files and to the container's stdout, and back.
//!
//! One thread reads all pipes and cuts them into lines, one writes the files, one writes the
//! container's stdout. Bounded queues lie between them. A destination that cannot keep up
//! holds a node back for an instant at most; after that lines are dropped for this
//! destination only, counted, and a line says how many as soon as it works again.
//!
//! Order: the lines of one node keep their order everywhere. An event is shown after
//! everything that any node had written before the event was reported.

mod config;
mod handle;

pub use config::{LogConfig, LogError, LogFormat, LogStdout};
pub use handle::{Dropped, Logs, NodeDropped};
