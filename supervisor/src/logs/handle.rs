//! The handle that the rest of the supervisor holds.

use std::os::fd::OwnedFd;
use std::time::Duration;

use crate::event::Event;

/// The running logs. Clones are handles of the same threads; no call blocks on a disk or on
/// a reader, except [`Logs::finish`].
#[derive(Clone)]
pub struct Logs {}

impl Logs {
    /// Reads what `node` writes from the read end of its pipe (stdout and stderr share one,
    /// so that their order is kept) until every writer has closed it.
    pub fn attach(&self, node: &str, pipe: OwnedFd) {
        let _ = (node, pipe);
        todo!()
    }

    /// Shows an event on the container's stdout and to everyone who follows events, after
    /// everything that the nodes had written before this call.
    pub fn event(&self, event: &Event) {
        let _ = event;
        todo!()
    }

    /// Shows text on the container's stdout as it is, such as the table at the start;
    /// nothing in JSON format, where every line is an object.
    pub fn print(&self, text: &str) {
        let _ = text;
        todo!()
    }

    /// Opens every file anew, after somebody else renamed it.
    pub fn reopen(&self) {
        todo!()
    }

    /// Rotates every file that is not empty.
    pub fn rotate(&self) {
        todo!()
    }

    /// What was dropped so far, per node and destination.
    #[must_use]
    pub fn dropped(&self) -> Dropped {
        todo!()
    }

    /// Takes what the nodes wrote before they ended, writes everything out and ends the
    /// threads. Blocks, at most for `limit`, even when stdout or the disk hangs.
    /// Call it when no node is left.
    pub fn finish(&self, limit: Duration) {
        let _ = limit;
        todo!()
    }
}

/// Lines and bytes that could not be kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Per node, in the order in which the nodes were first attached.
    pub nodes: Vec<NodeDropped>,
    /// Events that could not be shown on stdout.
    pub events: u64,
}

/// What could not be kept of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeDropped {
    /// Name of the node.
    pub node: String,
    /// Lines that are not in its file.
    pub file_lines: u64,
    /// Their bytes.
    pub file_bytes: u64,
    /// Lines that stdout did not show.
    pub stdout_lines: u64,
    /// Their bytes.
    pub stdout_bytes: u64,
}
