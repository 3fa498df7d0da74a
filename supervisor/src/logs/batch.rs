//! What travels through the queues.

use std::sync::Arc;

use bytes::Bytes;

use super::framer::count_lines;
use super::lane::Loss;
use super::stamp::Stamp;
use super::tally::Tally;

/// A node as the logs know it.
#[derive(Debug)]
pub(crate) struct Node {
    /// Its name, such as `flux-node-2`.
    pub(crate) name: String,
    /// The number of its lane in every queue: nodes are counted as they are first seen.
    pub(crate) index: usize,
    /// What was read from it.
    pub(crate) read: Tally,
    /// Lines of it that were too long, and the bytes that were cut off.
    pub(crate) cut: Tally,
    /// What is in its file.
    pub(crate) filed: Tally,
    /// What stdout has shown of it.
    pub(crate) shown: Tally,
}

impl Node {
    /// A node of which nothing was read yet.
    pub(crate) fn new(name: impl Into<String>, index: usize) -> Self {
        Self {
            name: name.into(),
            index,
            read: Tally::default(),
            cut: Tally::default(),
            filed: Tally::default(),
            shown: Tally::default(),
        }
    }
}

/// Whole lines of one node that were read at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub(crate) node: Arc<Node>,
    pub(crate) stamp: Stamp,
    /// The lines, each with its newline; never empty.
    pub(crate) lines: Bytes,
}

impl Batch {
    /// How much it is.
    pub(crate) fn amount(&self) -> Loss {
        amount(&self.lines)
    }
}

/// How much `lines` are, of which every one ends with a newline.
pub(crate) fn amount(lines: &[u8]) -> Loss {
    Loss {
        lines: count_lines(lines),
        bytes: lines.len() as u64,
    }
}
