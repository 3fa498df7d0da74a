//! The three checks of one process, startup, readiness and liveness: when it is asked what,
//! and how often in a row it succeeded or failed. What follows from that, `health` decides.

use std::time::Duration;

use super::policy::{Check, ProbePolicy};
use super::types::{NodeIndex, Time};

/// The first readiness probe of a process that has just been started comes so soon.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(20);

/// Until a process succeeds for the first time, the pause between two readiness probes
/// doubles up to this, or to the period where that is shorter.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What is asked of one process, and when.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Checks {
    /// Until it has succeeded once; nothing else is asked before.
    pub(super) startup: Option<Asking>,
    /// From then on, unless the process says itself that it is ready.
    pub(super) readiness: Option<Asking>,
    /// From the first time that it is ready.
    pub(super) life: Life,
    /// The question whose answer is awaited. There is at most one.
    pub(super) asked: Option<Check>,
}

/// The questions of one check.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Asking {
    /// When the next one is due.
    pub(super) next: Time,
    /// The pause before the one after it, while the process has never succeeded.
    pause: Option<Duration>,
    /// Successes in a row.
    pub(super) successes: u32,
    /// Failures in a row.
    pub(super) failures: u32,
}

/// How the life of a process that was ready is checked.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Life {
    /// It is not.
    Unchecked,
    /// It must notify before `deadline`, which every notification moves, so that a node that
    /// notifies costs no other wake-up.
    Watchdog { deadline: Time },
    /// It is asked.
    Probed(Asking),
}

/// The moments of a period that belong to one check of one node. They are spread over the
/// period, so that nodes are not asked all at once, however they became ready.
#[derive(Clone, Copy, Debug)]
pub(super) struct Phase {
    /// Which share of the period, from 0.
    share: u32,
    /// Of how many.
    shares: u32,
}

impl Phase {
    /// The phase of a check: one for the readiness and one for the liveness of each node.
    pub(super) fn of(check: Check, index: NodeIndex, node_count: u16) -> Self {
        let second = u32::from(check == Check::Liveness);
        Self {
            share: u32::from(index.0) * 2 + second,
            shares: u32::from(node_count) * 2,
        }
    }

    /// The first moment of this phase after `time`.
    pub(super) fn after(self, time: Time, period: Duration) -> Time {
        let offset = period * self.share / self.shares;
        let Some(since) = time.checked_sub(offset) else {
            return offset;
        };
        let into = since.as_nanos() % period.as_nanos();
        let into = u64::try_from(into).expect("a period is shorter than centuries");
        time - Duration::from_nanos(into) + period
    }
}

impl Checks {
    /// Nothing is asked: the program notifies.
    pub(super) fn none() -> Self {
        Self {
            startup: None,
            readiness: None,
            life: Life::Unchecked,
            asked: None,
        }
    }

    /// When the next question or look is due; questions wait while an answer is awaited.
    pub(super) fn deadline(&self) -> Option<Time> {
        let question = self.next_question().map(|(_, time)| time);
        let watchdog = match &self.life {
            Life::Watchdog { deadline } => Some(*deadline),
            Life::Unchecked | Life::Probed(_) => None,
        };
        question.into_iter().chain(watchdog).min()
    }

    /// Which check is asked next, and when; none while an answer is awaited.
    pub(super) fn next_question(&self) -> Option<(Check, Time)> {
        if self.asked.is_some() {
            return None;
        }
        let life = match &self.life {
            Life::Probed(asking) => Some(asking),
            Life::Unchecked | Life::Watchdog { .. } => None,
        };
        let all = [
            (Check::Startup, self.startup.as_ref()),
            (Check::Readiness, self.readiness.as_ref()),
            (Check::Liveness, life),
        ];
        let due = all.into_iter();
        due.filter_map(|(check, asking)| Some((check, asking?.next)))
            .min_by_key(|(_, time)| *time)
    }

    pub(super) fn asking_mut(&mut self, check: Check) -> Option<&mut Asking> {
        match check {
            Check::Startup => self.startup.as_mut(),
            Check::Readiness => self.readiness.as_mut(),
            Check::Liveness => match &mut self.life {
                Life::Probed(asking) => Some(asking),
                Life::Unchecked | Life::Watchdog { .. } => None,
            },
        }
    }
}

impl Asking {
    /// Questions from `next` on, in the rhythm of the check's period.
    pub(super) fn from(next: Time) -> Self {
        Self {
            next,
            pause: None,
            successes: 0,
            failures: 0,
        }
    }

    /// Questions from `next` on that follow each other quickly at first, until one succeeds.
    pub(super) fn eager(next: Time) -> Self {
        Self {
            pause: Some(FIRST_PAUSE),
            ..Self::from(next)
        }
    }

    /// Counts an answer that came at `now`. The next question is due after a growing pause
    /// while the process has never succeeded, else at `regular`.
    pub(super) fn count(&mut self, passed: bool, now: Time, regular: Time, policy: &ProbePolicy) {
        if passed {
            self.successes = self.successes.saturating_add(1);
            self.failures = 0;
            self.pause = None;
        } else {
            self.failures = self.failures.saturating_add(1);
            self.successes = 0;
        }
        self.next = match &mut self.pause {
            Some(pause) => {
                *pause = (*pause * 2).min(LONGEST_PAUSE).min(policy.period);
                now + *pause
            }
            None => regular,
        };
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn phases_are_spread_over_the_period() {
        let check = |check: Check, node: u16, nodes: u16, after_ms: u64, expect_ms: u64| {
            let phase = Phase::of(check, NodeIndex(node), nodes);
            assert_eq!(phase.after(ms(after_ms), ms(1_000)), ms(expect_ms));
        };
        check(Check::Readiness, 0, 1, 0, 1_000);
        check(Check::Liveness, 0, 1, 0, 500);
        check(Check::Liveness, 0, 1, 499, 500);
        check(Check::Liveness, 0, 1, 500, 1_500);
        check(Check::Readiness, 3, 5, 7_650, 8_600);
        check(Check::Liveness, 4, 5, 0, 900);
    }

    #[test]
    fn pauses_grow_until_the_first_success() {
        let policy = ProbePolicy {
            initial_delay: Duration::ZERO,
            period: ms(10_000),
            success_threshold: 1,
            failure_threshold: 3,
        };
        let mut asking = Asking::eager(ms(20));
        let mut pauses = Vec::new();
        for _ in 0..8 {
            asking.count(false, Time::ZERO, ms(9_000), &policy);
            pauses.push(asking.next.as_millis());
        }
        assert_eq!(pauses, [40, 80, 160, 320, 640, 1_000, 1_000, 1_000]);
        for passed in [true, false] {
            asking.count(passed, Time::ZERO, ms(9_000), &policy);
            assert_eq!(asking.next, ms(9_000));
        }
    }

    proptest! {
        /// Whenever they became ready, no two nodes are asked in the same moment.
        #[test]
        fn no_two_share_a_moment(
            nodes in 1_u16..=256,
            period_ms in 100_u64..=3_600_000,
            times in proptest::collection::vec(0_u64..100_000_000, 256),
        ) {
            let period = ms(period_ms);
            let mut moments = BTreeSet::new();
            for node in 0..nodes {
                for check in [Check::Readiness, Check::Liveness] {
                    let time = ms(times[usize::from(node)]);
                    let at = Phase::of(check, NodeIndex(node), nodes).after(time, period);
                    prop_assert!(at > time && at <= time + period);
                    prop_assert!(moments.insert(at.as_nanos() % period.as_nanos()));
                }
            }
        }
    }
}
