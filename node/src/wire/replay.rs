//! Which datagrams were seen before.
//!
//! A datagram counts once: its time stamp must be near our clock, and its sequence number
//! must be new within its sender's life. The sliding window is the one of IPsec (RFC 4303,
//! section 3.4.3).
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::BTreeMap;

use uuid::Uuid;

/// How far a sender's wall clock may be from ours, in milliseconds. What is older could be
/// a replay from before our own start, of which no window knows. A minute, as for the
/// versions of writes: clocks of hosts that keep time at all differ by less.
pub const MAX_SKEW_MS: u64 = 60_000;

/// Windows kept, one per sender: more than any cluster that this membership protocol is
/// made for. Only senders whose MAC was right get one.
pub const MAX_WINDOWS: usize = 4096;

/// Sequence numbers that may arrive out of order, the width of the bit mask.
const WINDOW: u64 = 64;

/// What speaks for or against a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Who sent it.
    pub sender: Uuid,
    /// In which life.
    pub generation: u64,
    /// The how-manieth of that life, from 1.
    pub sequence: u64,
    /// When, in milliseconds since the Unix epoch.
    pub unix_ms: u64,
}

/// Why a datagram does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stale {
    /// Its time is more than [`MAX_SKEW_MS`] from ours.
    Skewed,
    /// It was seen before, or is older than the window can tell.
    Replayed,
    /// It is of an earlier life of its sender.
    EarlierLife,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    generation: u64,
    highest: u64,
    /// Bit n: whether `highest - n` was seen.
    seen: u64,
    touched_ms: u64,
}

/// The windows of all senders.
#[derive(Debug, Default)]
pub struct ReplayGuard {
    windows: BTreeMap<Uuid, Window>,
}

impl ReplayGuard {
    /// Admits an authentic datagram once.
    ///
    /// # Errors
    /// When it does not count.
    pub fn admit(&mut self, stamp: Stamp, now_unix_ms: u64) -> Result<(), Stale> {
        if stamp.unix_ms.abs_diff(now_unix_ms) > MAX_SKEW_MS {
            return Err(Stale::Skewed);
        }
        match self.windows.get_mut(&stamp.sender) {
            // After so long a silence nothing that this window guards against passes the
            // check of the time stamp, so a sender that lost its generation is let in.
            Some(window) if now_unix_ms.abs_diff(window.touched_ms) <= 2 * MAX_SKEW_MS => {
                window.admit(stamp, now_unix_ms)
            }
            _ => {
                self.make_room();
                self.windows
                    .insert(stamp.sender, Window::opened_by(stamp, now_unix_ms));
                Ok(())
            }
        }
    }

    /// Drops the window that was used least recently when there are too many.
    fn make_room(&mut self) {
        if self.windows.len() < MAX_WINDOWS {
            return;
        }
        let oldest = self
            .windows
            .iter()
            .min_by_key(|(_, window)| window.touched_ms);
        if let Some(sender) = oldest.map(|(sender, _)| *sender) {
            self.windows.remove(&sender);
        }
    }
}

impl Window {
    const fn opened_by(stamp: Stamp, now_unix_ms: u64) -> Self {
        Self {
            generation: stamp.generation,
            highest: stamp.sequence,
            seen: 1,
            touched_ms: now_unix_ms,
        }
    }

    fn admit(&mut self, stamp: Stamp, now_unix_ms: u64) -> Result<(), Stale> {
        if stamp.generation < self.generation {
            return Err(Stale::EarlierLife);
        }
        if stamp.generation > self.generation {
            *self = Self::opened_by(stamp, now_unix_ms);
            return Ok(());
        }
        if stamp.sequence > self.highest {
            let ahead = stamp.sequence - self.highest;
            self.seen = if ahead < WINDOW {
                self.seen << ahead | 1
            } else {
                1
            };
            self.highest = stamp.sequence;
        } else {
            let behind = self.highest - stamp.sequence;
            if behind >= WINDOW || self.seen & (1 << behind) != 0 {
                return Err(Stale::Replayed);
            }
            self.seen |= 1 << behind;
        }
        self.touched_ms = now_unix_ms;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const NOW: u64 = 1_800_000_000_000;

    fn stamp(sender: u128, generation: u64, sequence: u64) -> Stamp {
        Stamp {
            sender: Uuid::from_u128(sender),
            generation,
            sequence,
            unix_ms: NOW,
        }
    }

    #[test]
    fn each_number_counts_once_within_the_window() {
        let mut guard = ReplayGuard::default();
        for (sequence, expect) in [
            (5, Ok(())),
            (5, Err(Stale::Replayed)),
            (3, Ok(())),
            (3, Err(Stale::Replayed)),
            (100, Ok(())),
            (37, Ok(())),
            (36, Err(Stale::Replayed)),
            (101, Ok(())),
            (37, Err(Stale::Replayed)),
            (1_000_000, Ok(())),
            (101, Err(Stale::Replayed)),
        ] {
            assert_eq!(
                guard.admit(stamp(1, 1, sequence), NOW),
                expect,
                "number {sequence}"
            );
        }
    }

    #[test]
    fn a_new_life_starts_a_new_window_and_ends_the_old_one() {
        let mut guard = ReplayGuard::default();
        assert_eq!(guard.admit(stamp(1, 1, 900), NOW), Ok(()));
        assert_eq!(guard.admit(stamp(1, 2, 1), NOW), Ok(()));
        assert_eq!(guard.admit(stamp(1, 1, 901), NOW), Err(Stale::EarlierLife));
        assert_eq!(guard.admit(stamp(2, 1, 1), NOW), Ok(()));
        let later = NOW + 2 * MAX_SKEW_MS + 1;
        let forgotten = Stamp {
            unix_ms: later,
            ..stamp(1, 1, 1)
        };
        assert_eq!(guard.admit(forgotten, later), Ok(()));
    }

    #[test]
    fn clocks_may_differ_by_a_minute() {
        let mut guard = ReplayGuard::default();
        let at = |sequence, unix_ms| Stamp {
            unix_ms,
            ..stamp(1, 1, sequence)
        };
        assert_eq!(guard.admit(at(1, NOW - MAX_SKEW_MS), NOW), Ok(()));
        assert_eq!(guard.admit(at(2, NOW + MAX_SKEW_MS), NOW), Ok(()));
        assert_eq!(
            guard.admit(at(3, NOW - MAX_SKEW_MS - 1), NOW),
            Err(Stale::Skewed)
        );
        assert_eq!(
            guard.admit(at(4, NOW + MAX_SKEW_MS + 1), NOW),
            Err(Stale::Skewed)
        );
    }

    #[test]
    fn windows_are_bounded_and_the_quietest_goes_first() {
        let mut guard = ReplayGuard::default();
        for sender in 0..MAX_WINDOWS as u128 {
            let at = Stamp {
                unix_ms: NOW + sender as u64,
                ..stamp(sender, 1, 1)
            };
            assert_eq!(guard.admit(at, NOW + sender as u64), Ok(()));
        }
        let now = NOW + MAX_WINDOWS as u64;
        assert_eq!(
            guard.admit(
                Stamp {
                    unix_ms: now,
                    ..stamp(1 << 100, 1, 1)
                },
                now
            ),
            Ok(())
        );
        assert_eq!(guard.windows.len(), MAX_WINDOWS);
        assert!(!guard.windows.contains_key(&Uuid::from_u128(0)));
    }

    proptest! {
        #[test]
        fn nothing_is_admitted_twice(
            numbers in prop::collection::vec((1u64..4, 0u64..300), 1..400),
        ) {
            let mut guard = ReplayGuard::default();
            let mut admitted = BTreeSet::new();
            for (generation, sequence) in numbers {
                if guard.admit(stamp(1, generation, sequence), NOW).is_ok() {
                    prop_assert!(admitted.insert((generation, sequence)));
                }
            }
        }
    }
}
