//! The limits of the container: memory, processors, descriptors.

mod descriptors;
mod memory;
mod storage;

use std::num::NonZeroUsize;

pub use descriptors::raise_descriptor_limit;
pub use memory::{memory_limit, resident_bytes};
pub use storage::{STORAGE_MIN, StorageBasis, TooSmall, connections_max, storage_limit};

/// Worker threads at most: beyond this the accept queue, which they share, is what they
/// would wait for, and a machine with more cores runs more than one node.
const WORKERS_MAX: usize = 32;

/// Worker threads that may run at once: the processors this process may use, by affinity and
/// by the quota of its cgroup (v1 and v2), of which the standard library knows; at least 1.
#[must_use]
pub fn workers() -> usize {
    std::thread::available_parallelism()
        .map_or(1, NonZeroUsize::get)
        .min(WORKERS_MAX)
}
