//! What travels through the queues.

use std::sync::Arc;

use bytes::Bytes;

use super::stamp::Stamp;

/// A node as the logs know it.
#[derive(Debug)]
pub(crate) struct Node {
    /// Its name, such as `flux-node-2`.
    pub(crate) name: String,
    /// The number of its lane in every queue: nodes are counted as they are first seen.
    pub(crate) index: usize,
}

/// Whole lines of one node that were read at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub(crate) node: Arc<Node>,
    pub(crate) stamp: Stamp,
    /// The lines, each with its newline; never empty.
    pub(crate) lines: Bytes,
}
