//! How logs are to be kept.

use std::io;
use std::path::PathBuf;

use super::Logs;

/// Which lines the container's stdout shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogStdout {
    /// Events and the lines of every node.
    All,
    /// Events only.
    Events,
    /// Nothing.
    Off,
}

/// How the container's stdout shows them. The files are always text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// How logs are to be kept.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// Where `flux-node-N.log` lives; none writes no files.
    pub dir: Option<PathBuf>,
    /// What the container's stdout shows.
    pub stdout: LogStdout,
    /// In which form.
    pub format: LogFormat,
    /// Bytes at which a file is rotated.
    pub max_size: u64,
    /// Rotated files that are kept per node.
    pub keep: u32,
    /// Bytes that all files may take together.
    pub total: u64,
    /// Bytes of a line that are kept; the rest of a longer one is cut.
    pub max_line: usize,
    /// Nodes that will write; a share of `total` is set aside for each.
    pub nodes: u16,
}

impl LogConfig {
    /// Opens the directory and starts the threads.
    ///
    /// # Errors
    /// When the directory cannot be used or a thread cannot be started.
    pub fn build(self) -> Result<Logs, LogError> {
        todo!()
    }
}

/// Why logging could not be started.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The directory for the files cannot be used.
    #[error("use LOG_DIR {}", .dir.display())]
    Directory {
        /// The directory.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A thread, pipe or poll descriptor could not be had.
    #[error("start the threads that carry the logs")]
    Start(#[source] io::Error),
}
