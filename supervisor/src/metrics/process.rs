//! What the supervisor's own process uses.

use std::fs;

use nix::sys::resource::{Resource, getrlimit};

use crate::usage::Sample;

/// The supervisor's own process at this moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OwnProcess {
    /// Seconds of processor time.
    pub cpu_s: f64,
    /// Bytes in RAM.
    pub resident: u64,
    /// Descriptors that are open; none where /proc is not to be read.
    pub open_fds: Option<u64>,
    /// As many as there may be.
    pub max_fds: Option<u64>,
}

impl OwnProcess {
    /// Looks.
    #[must_use]
    pub fn now() -> Self {
        let sample = Sample::of(std::process::id());
        // One of them is that of the directory while it is read.
        let open = fs::read_dir("/proc/self/fd").map(|entries| entries.count() as u64);
        let limit = getrlimit(Resource::RLIMIT_NOFILE);
        Self {
            cpu_s: sample.map_or(0.0, |sample| sample.cpu.as_secs_f64()),
            resident: sample.map_or(0, |sample| sample.rss),
            open_fds: open.ok().map(|open| open.saturating_sub(1)),
            max_fds: limit.ok().map(|(soft, _)| soft),
        }
    }
}
