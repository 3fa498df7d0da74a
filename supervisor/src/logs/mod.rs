//! What the nodes write: from their pipes to files and to the container's stdout, and back.
//!
//! One thread reads all pipes and cuts them into lines (`reader`, `framer`), one writes
//! the files (`files`), one writes the container's stdout (`show`). Bounded queues
//! (`outbox`) lie between them. A destination that cannot keep up holds a node back for an
//! instant at most (`lane`); after that lines are dropped for this destination only,
//! counted, and a line says how many as soon as it works again.
//!
//! Order: the lines of one node keep their order everywhere. An event is shown after
//! everything that any node had written before the event was reported. Who follows lines
//! gets the files up to a moment and every line after it (`feed`, `history`).
//!
//! At rest nothing wakes up: threads wait without a time-out unless a pipe is held back or a
//! file waits to be compressed.

mod batch;
mod config;
mod console;
mod destinations;
mod feed;
mod files;
mod framer;
mod handle;
mod history;
mod lane;
mod latch;
mod mailbox;
mod outbox;
mod printable;
mod reader;
mod route;
mod show;
mod stamp;
mod stats;
mod stdout;
mod tail;
mod tally;
#[cfg(test)]
mod tests;
mod waker;

pub use config::{LogConfig, LogError};
pub use console::{Clock, LineObject, event_json, event_text};
pub use feed::{FOLLOWERS_MAX, NodeFilter};
pub(crate) use feed::{Live, LiveReceiver};
pub use files::{RotateReport, list_nodes};
pub use handle::Logs;
pub use history::{History, LineForm, LogQuery};
pub(crate) use lane::Loss;
pub(crate) use printable::printable;
pub use repram_config::{LogFormat, LogStdout};
pub(crate) use stamp::Stamp;
pub use stats::{DestinationStats, FileCount, LOG_STATS_SCHEMA, LineCount, LogStats, NodeLogStats};
pub use tail::LastLines;
