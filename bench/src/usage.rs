//! What processes use, as /proc shows it (proc(5)).

use std::fs;
use std::ops::Sub;
use std::path::{Path, PathBuf};
use std::time::Duration;

use repram_tests::Process;

/// A thread whose work can be done at any later time, by its name: no peer does this work
/// at all, and it is not on the way of a line.
const AT_LEISURE: &str = "logs-gzip";

/// What some processes have used since their start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Time on a processor, but for what is done at leisure.
    pub(crate) cpu: Duration,
    /// Times that a thread went to sleep by itself, which is how often something woke it.
    pub(crate) wakes: u64,
    /// Threads.
    pub(crate) threads: u64,
}

impl Usage {
    /// What these processes have used, all together.
    pub(crate) fn of(processes: &[Process]) -> Self {
        let mut usage = Self::default();
        for thread in processes.iter().flat_map(|process| threads(*process)) {
            usage.threads += 1;
            usage.wakes += wakes(&thread).unwrap_or(0);
            let name = fs::read_to_string(thread.join("comm")).unwrap_or_default();
            if name.trim_end() != AT_LEISURE {
                usage.cpu += cpu(&thread).unwrap_or_default();
            }
        }
        usage
    }
}

/// What was used between two looks; the threads are those of the later one.
impl Sub for Usage {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(earlier.cpu),
            wakes: self.wakes.saturating_sub(earlier.wakes),
            threads: self.threads,
        }
    }
}

/// Memory of these processes in KiB, each page divided by the number of processes that
/// have it: their proportional set sizes.
pub(crate) fn pss_kib(processes: &[Process]) -> u64 {
    let of_one = |process: &Process| {
        let path = format!("/proc/{}/smaps_rollup", process.pid);
        let text = fs::read_to_string(path).ok()?;
        value(&text, "Pss:")
    };
    processes.iter().filter_map(of_one).sum()
}

fn threads(process: Process) -> Vec<PathBuf> {
    let entries = fs::read_dir(format!("/proc/{}/task", process.pid));
    // None where it has ended.
    let entries = entries.into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// Nanoseconds on a processor are the first field of schedstat.
fn cpu(thread: &Path) -> Option<Duration> {
    let text = fs::read_to_string(thread.join("schedstat")).ok()?;
    let nanoseconds = text.split(' ').next()?.parse().ok()?;
    Some(Duration::from_nanos(nanoseconds))
}

fn wakes(thread: &Path) -> Option<u64> {
    let text = fs::read_to_string(thread.join("status")).ok()?;
    value(&text, "voluntary_ctxt_switches:")
}

/// The number behind a name at the beginning of a line.
fn value(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_seen() {
        let pid = std::process::id().cast_signed();
        let this = [Process { pid }];
        let usage = Usage::of(&this);
        assert!(usage.threads > 0 && usage.cpu > Duration::ZERO);
        assert!(pss_kib(&this) > 0);
    }

    #[test]
    fn values_are_found_by_the_whole_name() {
        let text = "nonvoluntary_ctxt_switches:\t5\nvoluntary_ctxt_switches:\t7\nPss:  12 kB\n";
        assert_eq!(value(text, "voluntary_ctxt_switches:"), Some(7));
        assert_eq!(value(text, "Pss:"), Some(12));
        assert_eq!(value(text, "Rss:"), None);
    }
}
