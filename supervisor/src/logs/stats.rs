//! The books of the logs: what came, where it went, and what did not get there.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::lane::Loss;

/// Version of the JSON of [`LogStats`]; it grows when a field is renamed, removed or changes
/// its meaning, not when one is added.
pub const LOG_STATS_SCHEMA: u32 = 1;

/// What became of all lines since the supervisor's start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogStats {
    /// Version of this form: [`LOG_STATS_SCHEMA`].
    pub schema: u32,
    /// Per node, in the order in which the nodes were first started.
    pub nodes: Vec<NodeLogStats>,
    /// Events and texts that could not be shown on stdout.
    pub events_dropped: u64,
}

/// What became of the lines of one node since the supervisor's start. What was read and is
/// neither written nor dropped is on its way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeLogStats {
    /// Name of the node.
    pub node: String,
    /// Lines that were read from it, after LOG_MAX_LINE was applied.
    pub read: LineCount,
    /// Of these, lines that were longer than LOG_MAX_LINE, and the bytes that were cut off.
    pub cut: LineCount,
    /// What became of them on the way to its file; nothing with `LOG_DIR=off`.
    pub file: DestinationStats,
    /// What became of them on the way to stdout; nothing while LOG_STDOUT is not `all`.
    pub stdout: DestinationStats,
    /// Times that its file was rotated.
    pub rotations: u64,
    /// Rotated files that LOG_KEEP or LOG_TOTAL had no room for, and their bytes on disk.
    pub deleted: FileCount,
}

/// Lines at one destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DestinationStats {
    /// Lines that got there.
    pub written: LineCount,
    /// Lines that did not; a line told so as soon as one could be written there.
    pub dropped: LineCount,
}

/// Lines and their bytes: those of the node, with the newlines, and without what is put in
/// front of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LineCount {
    /// Lines.
    pub lines: u64,
    /// Bytes.
    pub bytes: u64,
}

impl From<Loss> for LineCount {
    fn from(Loss { lines, bytes }: Loss) -> Self {
        Self { lines, bytes }
    }
}

/// Files and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileCount {
    /// Files.
    pub files: u64,
    /// Bytes.
    pub bytes: u64,
}
