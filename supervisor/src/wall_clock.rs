//! The wall clock beside the monotonic one.
//!
//! The core counts time since the supervisor's start (CLOCK_MONOTONIC), which nobody sets
//! and which stands still while the machine is suspended. People want dates. Somebody may
//! set the wall clock, and after a suspend it is ahead: both look the same, a step against
//! the monotonic clock. After one, what the core remembers is told by the new clock, so that
//! `for 5 min` stays true and a planned restart is not hours away.

use std::cell::Cell;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::fleet::Time;

/// A wall clock that has moved by no more is not taken for set: it is only slewed, and dates
/// that were told before stay as they are.
const STEP: SignedDuration = SignedDuration::from_secs(1);

/// Turns times of the core into dates.
#[derive(Debug)]
pub struct WallClock {
    /// The date of the core's time zero, by the wall clock as it was looked at last.
    zero: Cell<Timestamp>,
}

impl WallClock {
    /// A clock for a core that starts at this date.
    #[must_use]
    pub fn starting(zero: Timestamp) -> Self {
        Self {
            zero: Cell::new(zero),
        }
    }

    /// Looks at both clocks: `wall` was the date at the core's time `now`.
    pub fn compare(&self, wall: Timestamp, now: Time) {
        let zero = before(wall, now);
        if zero.duration_since(self.zero.get()).abs() > STEP {
            self.zero.set(zero);
        }
    }

    /// The date that belongs to a time of the core, by the wall clock as it was compared last.
    #[must_use]
    pub fn date(&self, time: Time) -> Timestamp {
        // Beyond the calendar's end, in year 9999, nothing is planned.
        self.zero.get().checked_add(time).unwrap_or(Timestamp::MAX)
    }
}

fn before(wall: Timestamp, span: Duration) -> Timestamp {
    wall.checked_sub(span).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).expect("in range")
    }

    fn secs(seconds: u64) -> Time {
        Duration::from_secs(seconds)
    }

    #[test]
    fn dates_follow_a_step_and_nothing_less() {
        let check = |wall: i64, now: u64, expect: i64| {
            let clock = WallClock::starting(at(1_000_000));
            clock.compare(at(wall), secs(now));
            assert_eq!(clock.date(secs(50)), at(expect), "{wall} at {now}");
        };
        // As it goes, and slewed by a second.
        check(1_000_100, 100, 1_000_050);
        check(1_000_101, 100, 1_000_050);
        check(1_000_099, 100, 1_000_050);
        // Set ahead, set back, and after eight hours of sleep.
        check(1_003_700, 100, 1_003_650);
        check(996_500, 100, 996_450);
        check(1_028_900, 100, 1_028_850);
    }

    #[test]
    fn the_ends_of_the_calendar_do_no_harm() {
        let clock = WallClock::starting(at(0));
        assert_eq!(clock.date(Duration::MAX), Timestamp::MAX);
        clock.compare(Timestamp::MIN, Duration::MAX);
        assert_eq!(clock.date(Duration::ZERO), Timestamp::MIN);
    }
}
