//! Whether the kernel killed for want of memory at the time when a process ended.
//!
//! The kernel tells how many processes of a cgroup it has killed, and not which. So a process
//! that SIGKILL ended, which nobody here had sent, is only suspected, by the count before and
//! after.

use std::path::Path;
use std::time::Duration;

use repram_config::MemoryGroup;

use crate::exit::OomKills;
use crate::fleet::Time;

/// Kills that belong to no process that we have reaped are held against one that ends within
/// this time: a process of gigabytes takes a while to end.
const LINGERING: Duration = Duration::from_secs(10);

/// The kernel's count, as it was looked at last.
#[derive(Debug)]
pub struct OomWatch {
    /// Our own cgroup, in which the nodes run, too; none where the kernel does not tell.
    group: Option<MemoryGroup>,
    tally: Tally,
}

impl OomWatch {
    /// Begins to count.
    #[must_use]
    pub fn of_this_process(now: Time) -> Self {
        // A kill is counted in the innermost group, also when the limit of another was hit.
        let groups = MemoryGroup::of_this_process(Path::new("/"));
        let group = groups.into_iter().find(|group| group.oom_kills().is_some());
        let count = group.as_ref().and_then(MemoryGroup::oom_kills);
        Self {
            tally: Tally::new(count.unwrap_or(0), now),
            group,
        }
    }

    /// Looks at the count.
    pub fn look(&mut self, now: Time) {
        let count = self.group.as_ref().and_then(MemoryGroup::oom_kills);
        if let Some(count) = count {
            self.tally.look(count, now);
        }
    }

    /// A process was found to be ended by SIGKILL that nobody here had sent. What speaks for
    /// a kill by the kernel, of what was seen at the last look.
    pub fn suspect(&mut self, now: Time) -> Option<OomKills> {
        self.tally.suspect(now)
    }
}

/// The count, and the kills of which we do not know the process yet.
#[derive(Debug)]
struct Tally {
    count: u64,
    looked: Time,
    open: u64,
    /// When the first of the open ones may have happened, and when the last was seen.
    since: Time,
    seen: Time,
}

impl Tally {
    fn new(count: u64, now: Time) -> Self {
        Self {
            count,
            looked: now,
            open: 0,
            since: now,
            seen: now,
        }
    }

    fn look(&mut self, count: u64, now: Time) {
        if now.saturating_sub(self.seen) > LINGERING {
            self.open = 0;
        }
        let more = count.saturating_sub(self.count);
        if more > 0 {
            if self.open == 0 {
                self.since = self.looked;
            }
            self.open += more;
            self.seen = now;
        }
        (self.count, self.looked) = (count, now);
    }

    fn suspect(&mut self, now: Time) -> Option<OomKills> {
        if self.open == 0 || now.saturating_sub(self.seen) > LINGERING {
            return None;
        }
        let kills = self.open;
        self.open -= 1;
        let since = self.since;
        Some(OomKills { kills, since })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(seconds: u64) -> Time {
        Duration::from_secs(seconds)
    }

    #[test]
    fn each_kill_is_held_against_one_process() {
        /// Looks at a count at a time, or a suspect at a time with what is to be found.
        enum Step {
            Look(u64, u64),
            Suspect(u64, Option<(u64, u64)>),
        }
        use Step::{Look, Suspect};
        let check = |steps: &[Step]| {
            let mut tally = Tally::new(5, secs(0));
            for step in steps {
                match *step {
                    Look(count, at) => tally.look(count, secs(at)),
                    Suspect(at, expect) => {
                        let found = tally.suspect(secs(at));
                        let found = found.map(|found| (found.kills, found.since.as_secs()));
                        assert_eq!(found, expect, "at {at}");
                    }
                }
            }
        };
        check(&[Look(5, 10), Suspect(10, None)]);
        // One kill, two that were killed: the second was somebody else's.
        check(&[
            Look(5, 10),
            Look(6, 20),
            Suspect(20, Some((1, 10))),
            Look(6, 21),
            Suspect(21, None),
        ]);
        // Two kills, found one after the other.
        check(&[
            Look(7, 10),
            Suspect(10, Some((2, 0))),
            Look(7, 12),
            Suspect(12, Some((1, 0))),
            Suspect(12, None),
        ]);
        // A helper was killed, which is not ours to reap; long after it something else.
        check(&[Look(6, 10), Look(6, 30), Suspect(30, None)]);
        check(&[
            Look(6, 10),
            Look(7, 30),
            Suspect(30, Some((1, 10))),
            Suspect(30, None),
        ]);
    }
}
