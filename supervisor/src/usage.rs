//! What a process uses now, from /proc. Nobody looks unless somebody asks.

use std::fs;
use std::time::Duration;

use nix::unistd::{SysconfVar, sysconf};

/// What a living process uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Memory that it has in RAM, shared pages included, in bytes.
    pub rss: u64,
    /// Processor time since its start, in user mode and in the kernel.
    pub cpu: Duration,
}

impl Sample {
    /// Looks at a process; none when it has ended.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let unit = |variable, default: u64| {
            let found = sysconf(variable).ok().flatten();
            found
                .and_then(|found| u64::try_from(found).ok())
                .unwrap_or(default)
        };
        Self::parse(
            &stat,
            unit(SysconfVar::CLK_TCK, 100),
            unit(SysconfVar::PAGE_SIZE, 4096),
        )
    }

    /// Reads a line of proc_pid_stat(5). The command, its second field, is in parentheses and
    /// may itself contain blanks and parentheses.
    fn parse(stat: &str, ticks_per_second: u64, page_size: u64) -> Option<Self> {
        let (_, rest) = stat.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // The first of these is field 3 of the manual page.
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        let ticks = field(14)? + field(15)?;
        Some(Self {
            rss: field(24)? * page_size,
            cpu: Duration::from_millis(ticks * 1000 / ticks_per_second.max(1)),
        })
    }
}

/// Memory of a process in bytes where a page that n processes share counts as an n-th, from
/// proc_pid_smaps_rollup(5); none where the kernel does not tell. The kernel walks all pages
/// of the process for it, so it is for single questions.
#[must_use]
pub fn proportional_memory(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_kernel() {
        let stat = "42 (a) b) S 1 42 42 0 -1 4194560 500 0 0 0 250 50 7 8 20 0 4 0 100 9000000 \
                    300 18446744073709551615 1 1 0";
        let expect = Sample {
            rss: 300 * 4096,
            cpu: Duration::from_secs(3),
        };
        assert_eq!(Sample::parse(stat, 100, 4096), Some(expect));
        assert_eq!(Sample::parse("42 (a) S 1 2", 100, 4096), None);
        assert_eq!(Sample::parse("", 100, 4096), None);
    }

    #[test]
    fn this_process_uses_something() {
        let pid = std::process::id();
        assert!(Sample::of(pid).is_some_and(|sample| sample.rss > 0));
        // Absent in some sandboxes, but then for good.
        assert!(proportional_memory(pid).is_none_or(|bytes| bytes > 0));
        assert_eq!(Sample::of(u32::MAX), None);
    }
}
