//! How a peer's boot clock relates to ours.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::VecDeque;

use crate::clock::BootMillis;
use crate::store::Entry;
use crate::wire::frame::{Answer, DigestPage, Reply, Request};

/// How long a measurement counts, in microseconds: a minute, over which clocks of different
/// machines drift apart by some milliseconds at the very most (50 ppm), and usually far
/// less.
const KEPT_US: u64 = 60_000_000;

/// Measurements kept: more than are made in that time.
const KEPT: usize = 16;

/// The boot clock of a peer, as far as it is known.
///
/// Each exchange bounds the difference between the clocks from both sides: the peer read
/// its clock after we sent the question and before we got the answer (as in NTP, RFC 5905).
/// Of the last minute the exchange with the smallest round trip counts. Deadlines are
/// converted with the late end of its interval, so that nothing ends early anywhere, and
/// late by at most that round trip.
#[derive(Clone, Debug)]
pub struct ClockOffset {
    /// On one kernel both read the same clock, and deadlines are exact.
    same: bool,
    measured: VecDeque<Measured>,
}

/// One exchange, in microseconds.
#[derive(Clone, Copy, Debug)]
struct Measured {
    sent: u64,
    theirs: u64,
    received: u64,
}

impl Measured {
    const fn round_trip(&self) -> u64 {
        self.received.saturating_sub(self.sent)
    }
}

impl ClockOffset {
    /// For a peer that reads the same clock, or another one.
    #[must_use]
    pub const fn new(same: bool) -> Self {
        Self {
            same,
            measured: VecDeque::new(),
        }
    }

    /// Whether the peer reads the same clock, so that there is nothing to measure.
    #[must_use]
    pub const fn is_same(&self) -> bool {
        self.same
    }

    /// Adds an exchange: our clock when the question left and when the answer came, and
    /// theirs in between, all in microseconds.
    pub fn measure(&mut self, sent: u64, theirs: u64, received: u64) {
        let old = received.saturating_sub(KEPT_US);
        self.measured.retain(|measured| measured.received >= old);
        while self.measured.len() >= KEPT {
            self.measured.pop_front();
        }
        self.measured.push_back(Measured {
            sent,
            theirs,
            received,
        });
    }

    /// The smallest round trip measured in the last minute, in microseconds: how late a
    /// deadline may become.
    #[must_use]
    pub fn lateness_us(&self) -> Option<u64> {
        if self.same {
            Some(0)
        } else {
            self.best().map(|measured| measured.round_trip())
        }
    }

    /// A deadline of ours in the peer's clock.
    #[must_use]
    pub fn to_theirs(&self, deadline: BootMillis) -> BootMillis {
        // Their clock is at most so far ahead of ours.
        self.shift(deadline, |measured| {
            difference(measured.theirs, measured.sent)
        })
    }

    /// A deadline of the peer's in our clock.
    #[must_use]
    pub fn to_ours(&self, deadline: BootMillis) -> BootMillis {
        // Our clock is at most so far ahead of theirs.
        self.shift(deadline, |measured| {
            difference(measured.received, measured.theirs)
        })
    }

    /// Puts the deadline in a question of ours, if there is one, into the peer's clock.
    pub fn convert_question(&self, question: &mut Request) {
        if let Request::Put { entry, .. } = question {
            entry.deadline = self.to_theirs(entry.deadline);
            entry.kept_until = self.to_theirs(entry.kept_until);
        }
    }

    /// Puts the deadlines in an answer of the peer into our clock.
    pub fn convert_answer(&self, answer: &mut Reply) {
        match answer {
            Reply::Get {
                answer: Answer::Have(entry) | Answer::Vote(entry, _) | Answer::Perhaps(entry),
                ..
            } => self.entry_to_ours(entry),
            Reply::Digest {
                page: DigestPage::Items { items, .. },
                ..
            } => {
                for entry in items.iter_mut().filter_map(|item| item.entry.as_mut()) {
                    self.entry_to_ours(entry);
                }
            }
            Reply::Put { .. }
            | Reply::Get { .. }
            | Reply::Keys { .. }
            | Reply::Digest { .. }
            | Reply::PushPull { .. }
            | Reply::Pong { .. }
            | Reply::Farewell { .. }
            | Reply::View { .. }
            | Reply::Carried { .. } => {}
        }
    }

    fn entry_to_ours(&self, entry: &mut Entry) {
        entry.deadline = self.to_ours(entry.deadline);
        entry.kept_until = self.to_ours(entry.kept_until);
    }

    fn shift(&self, deadline: BootMillis, by_us: impl Fn(&Measured) -> i128) -> BootMillis {
        let Some(best) = self.best().filter(|_| !self.same) else {
            return deadline;
        };
        let shifted = i128::from(deadline.0) * 1000 + by_us(best);
        // Rounded up: never early.
        let micros = u128::try_from(shifted).unwrap_or(0);
        BootMillis(u64::try_from(micros.div_ceil(1000)).unwrap_or(u64::MAX))
    }

    fn best(&self) -> Option<&Measured> {
        self.measured
            .iter()
            .min_by_key(|measured| measured.round_trip())
    }
}

fn difference(minuend: u64, subtrahend: u64) -> i128 {
    i128::from(minuend) - i128::from(subtrahend)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_kernel_has_one_clock() {
        let mut offset = ClockOffset::new(true);
        offset.measure(1_000, 900_000, 2_000);
        assert_eq!(offset.to_theirs(BootMillis(7)), BootMillis(7));
        assert_eq!(offset.to_ours(BootMillis(7)), BootMillis(7));
        assert_eq!(offset.lateness_us(), Some(0));
    }

    #[test]
    fn the_smallest_round_trip_of_the_last_minute_counts() {
        let mut offset = ClockOffset::new(false);
        assert_eq!(offset.lateness_us(), None);
        offset.measure(0, 1_000_000, 400);
        offset.measure(1_000_000, 2_000_000, 1_000_900);
        assert_eq!(offset.lateness_us(), Some(400));
        offset.measure(61_000_000, 62_000_000, 61_000_700);
        assert_eq!(offset.lateness_us(), Some(700));
        for second in 0..100 {
            let now = 62_000_000 + second * 1_000_000;
            offset.measure(now, now, now + 1_000);
        }
        assert!(offset.measured.len() <= KEPT);
    }

    #[test]
    fn clocks_far_apart() {
        let mut offset = ClockOffset::new(false);
        offset.measure(10_000_000, 500, 10_000_200);
        assert_eq!(offset.to_theirs(BootMillis(10_005)), BootMillis(6));
        assert_eq!(offset.to_theirs(BootMillis(1)), BootMillis(0));
        assert_eq!(offset.to_ours(BootMillis(1)), BootMillis(10_001));
    }

    proptest! {
        /// Whatever the clocks and delays: never early, late by the round trip at most.
        #[test]
        fn never_early_and_late_by_the_round_trip(
            ahead in -1_000_000_000i64..1_000_000_000,
            start in 2_000_000_000u64..3_000_000_000,
            there in 0u64..500_000,
            back in 0u64..500_000,
            deadline_ms in 2_100_000u64..4_000_000,
        ) {
            let theirs_of = |ours_us: u64| ours_us.checked_add_signed(ahead).expect("in range");
            let mut offset = ClockOffset::new(false);
            offset.measure(start, theirs_of(start + there), start + there + back);
            let rounding = 1_000;
            let check = |converted: BootMillis, exact_us: u64| {
                let converted_us = converted.0 * 1_000;
                prop_assert!(converted_us >= exact_us);
                prop_assert!(converted_us <= exact_us + there + back + rounding);
                Ok(())
            };
            let exact = theirs_of(deadline_ms * 1_000);
            check(offset.to_theirs(BootMillis(deadline_ms)), exact)?;
            let ours_of =
                |theirs_us: u64| theirs_us.checked_add_signed(-ahead).expect("in range");
            check(offset.to_ours(BootMillis(deadline_ms)), ours_of(deadline_ms * 1_000))?;
        }
    }
}
