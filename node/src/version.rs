//! Versions of values: which of two writes to one key is the later one.
//!
//! A version is (hybrid logical time, UUID, generation of the node that took
//! the write). The time is a hybrid logical clock after Kulkarni, Demirbas,
//! Madappa, Avva and Leone, "Logical Physical Clocks and Consistent Snapshots
//! in Globally Distributed Databases" (2014): it follows the wall clock as
//! closely as causality allows, and never goes back.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Bits of a [`HybridTime`] that count events within one millisecond. Sixteen
/// as in the paper (section 4.4): 65,536 writes a millisecond on one node, and
/// 48 bits of milliseconds last until the year 10889. A counter that runs over
/// carries into the milliseconds, which keeps the order.
const COUNTER_BITS: u32 = 16;

/// A hybrid logical time: milliseconds since the Unix epoch in the upper 48
/// bits, a counter in the lower 16.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct HybridTime(pub u64);

impl HybridTime {
    /// The first hybrid time of a millisecond since the Unix epoch; the last there is for
    /// milliseconds that do not fit 48 bits.
    #[must_use]
    pub const fn from_millis(unix_ms: u64) -> Self {
        match unix_ms.checked_mul(1 << COUNTER_BITS) {
            Some(time) => Self(time),
            None => Self(u64::MAX),
        }
    }

    /// Milliseconds since the Unix epoch, without the counter.
    #[must_use]
    pub const fn millis(self) -> u64 {
        self.0 >> COUNTER_BITS
    }

    /// Events counted within [`HybridTime::millis`].
    #[must_use]
    pub const fn counter(self) -> u16 {
        (self.0 & 0xffff) as u16
    }
}

impl fmt::Display for HybridTime {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}", self.millis(), self.counter())
    }
}

/// Which of two writes to a key is the later one: the higher version.
///
/// The UUID and generation make versions of different nodes, and of different
/// lives of one node, differ even when their times are equal.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Version {
    /// Hybrid logical time of the write.
    pub time: HybridTime,
    /// Node that took the write.
    pub uuid: Uuid,
    /// Its generation, the count of its starts.
    pub generation: u64,
}

/// A node's hybrid logical clock.
///
/// The wall clock is passed in, so that it can be replayed and may be set back
/// without harm.
#[derive(Clone, Debug)]
pub struct HybridClock {
    uuid: Uuid,
    generation: u64,
    last: HybridTime,
}

impl HybridClock {
    /// The clock of one life of a node.
    #[must_use]
    pub const fn new(uuid: Uuid, generation: u64) -> Self {
        Self {
            uuid,
            generation,
            last: HybridTime(0),
        }
    }

    /// The version of a new write, higher than every version made or observed
    /// before. `wall_ms` is the wall clock in milliseconds since the epoch.
    pub fn tick(&mut self, wall_ms: u64) -> Version {
        let next = HybridTime(self.last.0.saturating_add(1));
        self.last = next.max(HybridTime::from_millis(wall_ms));
        self.version(self.last)
    }

    /// Notes a version of another node: what this clock makes from now on is
    /// higher.
    pub fn observe(&mut self, version: Version) {
        self.last = self.last.max(version.time);
    }

    /// The clock's reading: the highest of the wall clock and what was made or
    /// observed.
    #[must_use]
    pub fn now(&self, wall_ms: u64) -> HybridTime {
        self.last.max(HybridTime::from_millis(wall_ms))
    }

    const fn version(&self, time: HybridTime) -> Version {
        Version {
            time,
            uuid: self.uuid,
            generation: self.generation,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const A: Uuid = Uuid::from_u128(1);
    const B: Uuid = Uuid::from_u128(2);

    #[test]
    fn follows_the_wall_clock_and_counts_within_a_millisecond() {
        let mut clock = HybridClock::new(A, 1);
        for (wall_ms, millis, counter) in [
            (1000, 1000, 0),
            (1000, 1000, 1),
            (999, 1000, 2),
            (1001, 1001, 0),
            (5, 1001, 1),
        ] {
            let time = clock.tick(wall_ms).time;
            assert_eq!(
                (time.millis(), time.counter()),
                (millis, counter),
                "at {wall_ms}"
            );
        }
    }

    #[test]
    fn what_was_observed_is_exceeded() {
        let mut here = HybridClock::new(A, 1);
        let mut there = HybridClock::new(B, 7);
        let ahead = there.tick(9_000);
        here.observe(ahead);
        let next = here.tick(1_000);
        assert!(next > ahead);
        assert_eq!(next.time.millis(), 9_000);
        assert_eq!((next.uuid, next.generation), (A, 1));
    }

    #[test]
    fn a_full_counter_carries() {
        let mut clock = HybridClock::new(A, 1);
        clock.observe(Version {
            time: HybridTime((7 << 16) | 0xffff),
            ..Version::default()
        });
        assert_eq!(clock.tick(7).time, HybridTime(8 << 16));
    }

    #[test]
    fn equal_times_are_ordered_by_node_then_generation() {
        let at = |uuid, generation| Version {
            time: HybridTime(5),
            uuid,
            generation,
        };
        assert!(at(A, 9) < at(B, 1));
        assert!(at(A, 1) < at(A, 2));
    }

    proptest! {
        #[test]
        fn never_goes_back(steps in prop::collection::vec((any::<bool>(), 0u64..1 << 40), 1..200)) {
            let mut clock = HybridClock::new(A, 1);
            let mut highest = Version::default();
            for (tick, value) in steps {
                if tick {
                    let version = clock.tick(value);
                    prop_assert!(version > highest);
                    prop_assert!(version.time >= HybridTime::from_millis(value));
                    highest = version;
                } else {
                    let seen = Version { time: HybridTime(value << 8), uuid: B, generation: 3 };
                    clock.observe(seen);
                    highest = highest.max(seen);
                }
            }
        }
    }
}
