//! Which files there are of which node, as far as names and sizes go.

use std::collections::BTreeMap;
use std::time::{Instant, SystemTime};

use super::name::Kind;
use crate::logs::stats::FileCount;

/// A file over its whole life, whatever its name is at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FileId(u64);

/// The files of all nodes.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    pub(super) nodes: BTreeMap<String, NodeFiles>,
    next_id: u64,
}

/// The files of one node.
#[derive(Debug)]
pub(super) struct NodeFiles {
    /// The file that is written; it may not exist yet.
    pub(super) current: FileId,
    /// By number, the oldest last.
    pub(super) rotated: Vec<Rotated>,
    /// The current file of a node that does not write, left by a larger fleet.
    pub(super) left: Option<Left>,
    /// How often the current file became a rotated one.
    pub(super) rotations: u64,
    /// Files that went because there was no room for them.
    pub(super) deleted: FileCount,
}

impl NodeFiles {
    fn new(current: FileId) -> Self {
        Self {
            current,
            rotated: Vec::new(),
            left: None,
            rotations: 0,
            deleted: FileCount::default(),
        }
    }

    /// One of its files went, of so many bytes.
    pub(super) fn count_deleted(&mut self, bytes: u64) {
        self.deleted.files += 1;
        self.deleted.bytes += bytes;
    }
}

/// A current file to which nobody writes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Left {
    pub(super) size: u64,
    pub(super) modified: SystemTime,
}

/// A file that was current once.
#[derive(Debug)]
pub(super) struct Rotated {
    pub(super) id: FileId,
    pub(super) number: u32,
    pub(super) size: u64,
    pub(super) modified: SystemTime,
    pub(super) packing: Packing,
}

/// How far its compression is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    /// Not compressed; since when it could be.
    Plain(Instant),
    /// Compressed.
    Gz,
    /// Not compressed, and it will not be tried again.
    Refused,
}

impl Rotated {
    /// Which of the node's files it is by now.
    pub(super) fn kind(&self) -> Kind {
        Kind::Rotated {
            number: self.number,
            gz: self.packing == Packing::Gz,
        }
    }
}

impl Inventory {
    /// An id that no file had.
    pub(super) fn fresh_id(&mut self) -> FileId {
        self.next_id += 1;
        FileId(self.next_id)
    }

    /// The files of a node, none at first.
    pub(super) fn node(&mut self, node: &str) -> &mut NodeFiles {
        let next_id = &mut self.next_id;
        self.nodes.entry(node.to_owned()).or_insert_with(|| {
            *next_id += 1;
            NodeFiles::new(FileId(*next_id))
        })
    }

    /// Bytes of all files that no longer grow.
    pub(super) fn bytes_at_rest(&self) -> u64 {
        let rotated = self
            .nodes
            .values()
            .flat_map(|files| &files.rotated)
            .map(|one| one.size);
        let left = self
            .nodes
            .values()
            .filter_map(|files| files.left)
            .map(|left| left.size);
        rotated.chain(left).sum()
    }

    /// The file that has been at rest for longest.
    pub(super) fn oldest(&self) -> Option<(String, Kind)> {
        let rotated = self.nodes.iter().filter_map(|(node, files)| {
            files
                .rotated
                .last()
                .map(|last| (last.modified, node, last.kind()))
        });
        let left = self.nodes.iter().filter_map(|(node, files)| {
            files.left.map(|left| (left.modified, node, Kind::Current))
        });
        let oldest = rotated.chain(left).min_by_key(|(modified, ..)| *modified);
        oldest.map(|(_, node, kind)| (node.clone(), kind))
    }
}
