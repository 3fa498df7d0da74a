//! How long things take, and the chance in it.

use std::time::Duration;

/// The usual [`Timing::settle`]. Long against the delays of a network, so that everybody
/// who wants the slot has spoken, and short against the patience of a person who starts a
/// fleet.
pub const CLAIM_SETTLE: Duration = Duration::from_secs(2);

/// The usual [`Timing::refresh`].
pub const CLAIM_REFRESH: Duration = Duration::from_secs(5);

/// The usual [`Timing::move_timeout`].
pub const MOVE_TIMEOUT: Duration = Duration::from_secs(30);

/// Announcements of a tentative claim that fit into the time until it settles: a few lost
/// ones do not let two claims settle on one slot.
const REPEATS: u32 = 10;

/// Refreshes for which the claim of another is believed without being repeated: three may
/// be lost, the fourth may be late.
const EXPIRY_REFRESHES: u32 = 4;

/// The shortest and longest pause between the first and the second pass over the slots.
/// Whoever loses a slot lets go of it within milliseconds; the spread keeps claimants
/// that failed together from meeting again.
pub const SECOND_PASS: (Duration, Duration) =
    (Duration::from_millis(50), Duration::from_millis(150));

/// The longest pause before a claimant that found no slot tries again.
pub const NO_PORT_RETRY: Duration = Duration::from_secs(5);

/// The times that a domain agrees on. Claimants with different ones still find to a result,
/// only later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timing {
    /// How long a claim stays tentative after it took its slot.
    pub settle: Duration,
    /// The longest pause between two announcements of a settled claim.
    pub refresh: Duration,
    /// How long a settled claimant that must yield may stay in its old slot, counted from
    /// the moment at which it began to yield.
    pub move_timeout: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            settle: CLAIM_SETTLE,
            refresh: CLAIM_REFRESH,
            move_timeout: MOVE_TIMEOUT,
        }
    }
}

impl Timing {
    /// The longest pause between two announcements of a tentative claim.
    #[must_use]
    pub fn repeat(&self) -> Duration {
        self.settle / REPEATS
    }

    /// How long the claim of another is believed without being repeated.
    #[must_use]
    pub fn expiry(&self) -> Duration {
        self.refresh * EXPIRY_REFRESHES
    }
}

/// A jittered pause is between this many hundredths of the longest one and all of it.
const JITTER_FLOOR_PERCENT: u32 = 80;

/// Where a core takes its chance from.
///
/// [`fastrand::Rng`] is one, seeded by whoever builds the core, so that a run can be
/// repeated.
pub trait Jitter {
    /// Some duration from `shortest` to `longest`, both included.
    fn between(&mut self, shortest: Duration, longest: Duration) -> Duration;
}

impl Jitter for fastrand::Rng {
    fn between(&mut self, shortest: Duration, longest: Duration) -> Duration {
        shortest + (longest - shortest).mul_f64(self.f64())
    }
}

/// A pause that is at most `longest`, and shorter by up to a fifth.
pub(super) fn jittered(jitter: &mut impl Jitter, longest: Duration) -> Duration {
    jitter.between(longest * JITTER_FLOOR_PERCENT / 100, longest)
}
