//! Ends what the child left behind.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpgid};
use signal_hook::consts::{SIGINT, SIGQUIT, SIGTERM};

use super::inbox::Inbox;
use super::keeper::REAPED_MAX;
use crate::reaper::{self, Bystanders};
use crate::stop_budget::StopBudget;

/// Between two looks for what came to us without a word: an orphan whose parent was not our
/// child.
const PAUSE: Duration = Duration::from_millis(10);

/// Everything that is left of the child, whose own process has ended.
#[derive(Debug)]
pub(super) struct Ending {
    pub(super) group: Pid,
    pub(super) bystanders: Bystanders,
    pub(super) budget: StopBudget,
}

impl Ending {
    /// Asks all of it to end, and kills what has not when the grace is over or somebody asks
    /// for it. Returns the processes that even SIGKILL did not end.
    ///
    /// What is left are exactly our children: a process whose ancestors have ended hangs on
    /// us. So there are none when everything is gone.
    pub(super) fn end(&self, inbox: &Inbox) -> Vec<Pid> {
        let grace = Instant::now() + self.budget.grace;
        let mut asked = BTreeSet::new();
        let mut group = reaper::group_lives(self.group, Some(Signal::SIGTERM));
        // Each is asked once: many take a second SIGTERM for impatience.
        let ask = |left: &[Pid]| {
            let here: BTreeSet<Pid> = left.iter().copied().collect();
            asked.retain(|pid| here.contains(pid));
            for pid in here {
                if asked.insert(pid) && getpgid(Some(pid)) != Ok(self.group) {
                    let _ = kill(pid, Signal::SIGTERM);
                }
            }
        };
        if self.wait_for_end(inbox, grace, true, ask).is_empty() {
            return Vec::new();
        }
        let patience = Instant::now() + self.budget.patience;
        self.wait_for_end(inbox, patience, false, |left| {
            group = group && reaper::group_lives(self.group, Some(Signal::SIGKILL));
            for pid in left {
                let _ = kill(*pid, Signal::SIGKILL);
            }
        })
    }

    /// Reaps, and shows what is left to `act`, until nothing is or the time is over.
    fn wait_for_end(
        &self,
        inbox: &Inbox,
        until: Instant,
        can_be_hurried: bool,
        mut act: impl FnMut(&[Pid]),
    ) -> Vec<Pid> {
        loop {
            let reaped = (0..REAPED_MAX).map_while(|_| reaper::reap_one()).count();
            let left = self.bystanders.others();
            let now = Instant::now();
            if left.is_empty() || now >= until {
                return left;
            }
            act(&left);
            let pause = if reaped < REAPED_MAX {
                PAUSE
            } else {
                Duration::ZERO
            };
            let signal = inbox.next(Some(until.min(now + pause)));
            let hurry = matches!(signal, Some(SIGTERM | SIGINT | SIGQUIT));
            if can_be_hurried && hurry {
                return left;
            }
        }
    }
}
