#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::BTreeSet;

/// How far a sender's clock may be from ours, in milliseconds, either way.
///
/// A minute covers hosts whose clocks are set by hand, and is the bound on how old a
/// replayed message can be.
pub const TOLERANCE_MS: u64 = 60_000;

/// Nonces remembered, at most.
///
/// 200 claimants that announce themselves every 5 s send 4,800 messages in the two minutes
/// that a nonce can count; 8192 of 24 bytes are about 400 KiB with the tree around them.
pub const NONCES_MAX: usize = 8192;

/// Bytes of a [`Nonce`].
pub const NONCE_LENGTH: usize = 16;

/// Chosen at random by the sender, once per message.
pub type Nonce = [u8; NONCE_LENGTH];

/// Why an authentic message is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Replay {
    /// Its time stamp is too far ahead of our clock.
    #[error("time stamp is {by_ms} ms ahead, more than {TOLERANCE_MS}")]
    Ahead {
        /// How far ahead.
        by_ms: u64,
    },
    /// Its time stamp is too old, or from before this receiver could have remembered it.
    #[error("time stamp is {by_ms} ms old, beyond what is remembered")]
    Stale {
        /// How old it is; 0 when it is ahead of our clock.
        by_ms: u64,
    },
    /// It was received before.
    #[error("message was received before")]
    Repeated,
}

/// Admits each authentic message once.
///
/// Time stamps and the current time are wall-clock milliseconds since the Unix epoch. A
/// message is admitted only while every message with the same or a later time stamp that
/// was admitted before is still remembered. So forgetting, for age or for lack of room,
/// refuses too much and never admits a repetition, whatever the clock does.
#[derive(Clone, Debug)]
pub struct ReplayWindow {
    seen: BTreeSet<(u64, Nonce)>,
    /// Time stamps before this may have been forgotten.
    floor_ms: u64,
}

impl ReplayWindow {
    /// A window that knows nothing of the time before `started_ms` and so refuses every
    /// message that was signed earlier. Senders repeat what matters.
    #[must_use]
    pub fn new(started_ms: u64) -> Self {
        Self {
            seen: BTreeSet::new(),
            floor_ms: started_ms,
        }
    }

    /// Decides about one message, whose signature was found to be right before: otherwise
    /// anybody could fill the window.
    ///
    /// # Errors
    /// [`Replay`]; the message is to be dropped.
    pub fn admit(&mut self, stamp_ms: u64, nonce: Nonce, now_ms: u64) -> Result<(), Replay> {
        if stamp_ms > now_ms.saturating_add(TOLERANCE_MS) {
            return Err(Replay::Ahead {
                by_ms: stamp_ms - now_ms,
            });
        }
        let oldest_ms = now_ms.saturating_sub(TOLERANCE_MS);
        if stamp_ms < self.floor_ms.max(oldest_ms) {
            return Err(Replay::Stale {
                by_ms: now_ms.saturating_sub(stamp_ms),
            });
        }
        if !self.seen.insert((stamp_ms, nonce)) {
            return Err(Replay::Repeated);
        }
        while let Some(&(first_ms, _)) = self.seen.first()
            && (first_ms < oldest_ms || self.seen.len() > NONCES_MAX)
        {
            self.seen.pop_first();
            self.floor_ms = self.floor_ms.max(first_ms.saturating_add(1));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const NOW: u64 = 1_000_000;

    fn nonce(number: u64) -> Nonce {
        u128::from(number).to_be_bytes()
    }

    #[test]
    fn time_stamps() {
        fn check(stamp_ms: u64, expect: Result<(), Replay>) {
            assert_eq!(ReplayWindow::new(0).admit(stamp_ms, nonce(1), NOW), expect);
        }
        check(NOW, Ok(()));
        check(NOW + TOLERANCE_MS, Ok(()));
        check(
            NOW + TOLERANCE_MS + 1,
            Err(Replay::Ahead {
                by_ms: TOLERANCE_MS + 1,
            }),
        );
        check(
            u64::MAX,
            Err(Replay::Ahead {
                by_ms: u64::MAX - NOW,
            }),
        );
        check(NOW - TOLERANCE_MS, Ok(()));
        check(
            NOW - TOLERANCE_MS - 1,
            Err(Replay::Stale {
                by_ms: TOLERANCE_MS + 1,
            }),
        );
    }

    #[test]
    fn each_message_once() {
        let mut window = ReplayWindow::new(0);
        assert_eq!(window.admit(NOW, nonce(1), NOW), Ok(()));
        assert_eq!(window.admit(NOW, nonce(2), NOW), Ok(()));
        assert_eq!(window.admit(NOW, nonce(1), NOW + 5), Err(Replay::Repeated));
        assert_eq!(
            window.admit(NOW + 1, nonce(1), NOW),
            Ok(()),
            "another message"
        );
    }

    #[test]
    fn messages_from_before_the_start_are_refused() {
        let mut window = ReplayWindow::new(NOW);
        assert_eq!(
            window.admit(NOW - 1, nonce(1), NOW + 2),
            Err(Replay::Stale { by_ms: 3 })
        );
        assert_eq!(window.admit(NOW, nonce(1), NOW + 2), Ok(()));
    }

    #[test]
    fn a_full_window_refuses_what_it_forgot() {
        let mut window = ReplayWindow::new(0);
        let all = u64::try_from(NONCES_MAX).unwrap() + 1;
        for number in 0..all {
            window
                .admit(NOW + number, nonce(number), NOW + number)
                .unwrap();
        }
        assert_eq!(window.seen.len(), NONCES_MAX);
        let now = NOW + all;
        assert!(matches!(
            window.admit(NOW, nonce(0), now),
            Err(Replay::Stale { .. })
        ));
        assert_eq!(window.admit(NOW + 1, nonce(1), now), Err(Replay::Repeated));
    }

    #[test]
    fn a_clock_that_jumped_ahead_and_back_does_no_harm() {
        let mut window = ReplayWindow::new(0);
        window.admit(NOW, nonce(1), NOW).unwrap();
        let hour = 3_600_000;
        window.admit(NOW + hour, nonce(2), NOW + hour).unwrap();
        assert!(matches!(
            window.admit(NOW, nonce(1), NOW),
            Err(Replay::Stale { .. })
        ));
        assert_eq!(window.admit(NOW + 1, nonce(3), NOW + 1), Ok(()));
    }

    proptest! {
        /// Few time stamps and nonces, so that repetitions are frequent, and a clock that
        /// goes anywhere.
        #[test]
        fn nothing_is_admitted_twice(
            messages in prop::collection::vec((0u64..200_000, 0u64..4, 0u64..200_000), 0..200)
        ) {
            let mut window = ReplayWindow::new(0);
            let mut admitted = BTreeSet::new();
            for (stamp, number, now) in messages {
                let stamp = stamp / 20_000 * 20_000;
                if window.admit(stamp, nonce(number), now).is_ok() {
                    prop_assert!(admitted.insert((stamp, number)));
                }
            }
        }
    }
}
