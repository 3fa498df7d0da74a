//! The clocks: the only module that reads them.
//!
//! Deadlines count on CLOCK_BOOTTIME, which also runs while the machine is suspended and
//! which nobody can set (clock_gettime(2)). All processes on one kernel, whatever their
//! container, read the same value unless they live in a time namespace of their own.

use std::fmt;
use std::ops::Add;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// A moment in milliseconds of CLOCK_BOOTTIME.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootMillis(pub u64);

impl BootMillis {
    /// Milliseconds from `earlier` to this moment, 0 when it is not later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for BootMillis {
    type Output = Self;

    /// The moment `duration` later, its milliseconds rounded down; saturates.
    fn add(self, duration: Duration) -> Self {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(millis))
    }
}

impl fmt::Display for BootMillis {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} ms after boot", self.0)
    }
}

/// The boot clock, rounded down to the millisecond.
///
/// # Panics
/// When the kernel has no CLOCK_BOOTTIME (before Linux 2.6.39).
#[must_use]
pub fn boot_now() -> BootMillis {
    let time = clock_gettime(ClockId::CLOCK_BOOTTIME).expect("the kernel has a boot clock");
    BootMillis(millis(time.tv_sec(), time.tv_nsec()))
}

/// The boot clock in nanoseconds, for measuring durations.
///
/// # Panics
/// As [`boot_now`].
#[must_use]
pub fn boot_now_ns() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_BOOTTIME).expect("the kernel has a boot clock");
    let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(time.tv_nsec()).unwrap_or(0)
}

/// The wall clock in milliseconds since the Unix epoch; 0 before it.
///
/// # Panics
/// When the kernel has no CLOCK_REALTIME, which does not happen.
#[must_use]
pub fn unix_now_ms() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_REALTIME).expect("the kernel has a wall clock");
    millis(time.tv_sec(), time.tv_nsec())
}

fn millis(seconds: i64, nanoseconds: i64) -> u64 {
    let seconds = u64::try_from(seconds).unwrap_or(0);
    seconds * 1_000 + u64::try_from(nanoseconds).unwrap_or(0) / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boot_clock_does_not_go_back() {
        let first = boot_now();
        let second = boot_now();
        assert!(second >= first);
        assert!(boot_now_ns() / 1_000_000 >= first.0);
    }

    #[test]
    fn adding_saturates_and_rounds_down() {
        assert_eq!(BootMillis(5) + Duration::from_micros(2_999), BootMillis(7));
        assert_eq!(BootMillis(5) + Duration::MAX, BootMillis(u64::MAX));
        assert_eq!(BootMillis(5).since(BootMillis(9)), 0);
    }
}
