//! How much a node may keep when nobody says.

use std::path::Path;

use nix::sys::statfs::{TMPFS_MAGIC, statfs};
use repram_config::{LogDir, Settings};

use super::descriptors::{CONNECTIONS_MIN, connections_by_descriptors};
use super::memory::{machine_memory, memory_limit};
use crate::http::bounds::{CONNECTION_BYTES, CONNECTIONS_MAX};

/// Below this a node is of no use.
pub const STORAGE_MIN: u64 = 1024 * 1024;

/// What the limit is derived from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StorageBasis {
    /// The smallest limit of the cgroup and its ancestors.
    pub cgroup: Option<u64>,
    /// The machine's memory.
    pub machine: Option<u64>,
    /// Bytes that logs may take of that memory.
    pub logs: Option<Logs>,
    /// Nodes that share it.
    pub nodes: u64,
}

/// Logs on a file system that lives in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Logs {
    /// LOG_TOTAL.
    pub total: u64,
    /// Size of the file system.
    pub filesystem: u64,
}

/// What remains is too little for a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found} bytes of memory would be left for a node's values")]
pub struct TooSmall {
    /// Bytes that a node would get.
    pub found: u64,
}

/// Bytes that a node may keep: REPRAM_MAX_STORAGE_MB where it is set, else half of what
/// the memory limit leaves after the logs, shared by the nodes of one supervisor.
///
/// # Errors
/// When the derived limit is below [`STORAGE_MIN`].
pub fn storage_limit(settings: &Settings, supervised: bool) -> Result<u64, TooSmall> {
    if settings.max_storage_mb > 0 {
        return Ok(settings.max_storage_mb.saturating_mul(1024 * 1024));
    }
    let basis = StorageBasis::of_this_process(settings, supervised);
    Some(basis.share())
        .filter(|share| *share >= STORAGE_MIN)
        .ok_or(TooSmall {
            found: basis.share(),
        })
}

impl StorageBasis {
    /// A stand-alone node shares with nobody and writes no log files.
    fn of_this_process(settings: &Settings, supervised: bool) -> Self {
        let root = Path::new("/");
        Self {
            cgroup: memory_limit(root),
            machine: machine_memory(root),
            logs: supervised.then(|| logs_in_memory(settings)).flatten(),
            nodes: if supervised {
                u64::from(settings.node_count)
            } else {
                1
            },
        }
    }

    /// Connections for one node; where nobody knows how much memory there is, as many as ever.
    #[must_use]
    pub fn connections(&self) -> usize {
        let room = match self.share() {
            0 => CONNECTIONS_MAX,
            share => usize::try_from(share / CONNECTION_BYTES).unwrap_or(CONNECTIONS_MAX),
        };
        room.clamp(CONNECTIONS_MIN, CONNECTIONS_MAX)
    }

    /// Bytes for one node.
    #[must_use]
    pub fn share(&self) -> u64 {
        let machine = self.machine.map(|bytes| bytes / 4);
        let memory = self.cgroup.or(machine).unwrap_or(0);
        let logs = self.logs.map_or(0, |logs| {
            logs.total.min(memory / 8).min(logs.filesystem / 2)
        });
        (memory - logs) / 2 / self.nodes.max(1)
    }
}

/// Client connections at a time: for which there are descriptors, and whose buffers fit into
/// the half of the memory that is not for values. Nothing else there grows with what strangers
/// do.
#[must_use]
pub fn connections_max(settings: &Settings, supervised: bool) -> usize {
    let basis = StorageBasis::of_this_process(settings, supervised);
    basis.connections().min(connections_by_descriptors())
}

fn logs_in_memory(settings: &Settings) -> Option<Logs> {
    let LogDir::Path(directory) = &settings.log_dir else {
        return None;
    };
    let found = statfs(directory)
        .ok()
        .filter(|found| found.filesystem_type() == TMPFS_MAGIC)?;
    let block = u64::try_from(found.block_size()).unwrap_or(0);
    Some(Logs {
        total: settings.log_total,
        filesystem: found.blocks().saturating_mul(block),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn check(basis: StorageBasis, expect: u64) {
        assert_eq!(basis.share(), expect, "{basis:?}");
    }

    #[test]
    fn connections_fit_into_the_other_half() {
        let check = |cgroup: Option<u64>, nodes: u64, expect: usize| {
            let basis = StorageBasis {
                cgroup,
                machine: None,
                logs: None,
                nodes,
            };
            assert_eq!(basis.connections(), expect, "{basis:?}");
        };
        check(Some(480 * MIB), 3, 930);
        check(Some(1 << 40), 3, CONNECTIONS_MAX);
        check(Some(MIB / 2), 1, CONNECTIONS_MIN);
        check(None, 1, CONNECTIONS_MAX);
    }

    #[test]
    fn half_of_what_remains_is_shared() {
        let basis = StorageBasis {
            cgroup: Some(64 * MIB),
            machine: Some(1 << 40),
            logs: None,
            nodes: 1,
        };
        check(basis, 32 * MIB);
        check(StorageBasis { nodes: 4, ..basis }, 8 * MIB);
        check(
            StorageBasis {
                cgroup: None,
                machine: Some(16 * MIB),
                ..basis
            },
            2 * MIB,
        );
        check(
            StorageBasis {
                cgroup: None,
                machine: None,
                ..basis
            },
            0,
        );
        let logs = |total, filesystem| Some(Logs { total, filesystem });
        check(
            StorageBasis {
                logs: logs(100 * MIB, 1 << 40),
                ..basis
            },
            28 * MIB,
        );
        check(
            StorageBasis {
                logs: logs(4 * MIB, 1 << 40),
                ..basis
            },
            30 * MIB,
        );
        check(
            StorageBasis {
                logs: logs(100 * MIB, 2 * MIB),
                ..basis
            },
            63 * MIB / 2,
        );
    }
}
