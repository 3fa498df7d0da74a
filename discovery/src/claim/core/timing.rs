//! How long things take, and the chance in it.

use std::time::Duration;

/// How long a claim stays tentative after it took its slot. Long against the delays of a
/// network, so that everybody who wants the slot has spoken, and short against the
/// patience of a person who starts a fleet.
pub const CLAIM_SETTLE: Duration = Duration::from_secs(2);

/// The longest pause between two announcements of a tentative claim: ten of them fit
/// into [`CLAIM_SETTLE`], so a few lost ones do not let two claims settle on one slot.
pub const CLAIM_REPEAT: Duration = Duration::from_millis(200);

/// The longest pause between two announcements of a settled claim.
pub const CLAIM_REFRESH: Duration = Duration::from_secs(5);

/// How long the claim of another is believed without being repeated: three refreshes may
/// be lost, the fourth may be late.
pub const CLAIM_EXPIRY: Duration = Duration::from_secs(20);

/// How long a settled claimant that must yield may stay in its old slot, counted from the
/// moment at which it began to yield.
pub const MOVE_TIMEOUT: Duration = Duration::from_secs(30);

/// The shortest and longest pause between the first and the second pass over the slots.
/// Whoever loses a slot lets go of it within milliseconds; the spread keeps claimants
/// that failed together from meeting again.
pub const SECOND_PASS: (Duration, Duration) =
    (Duration::from_millis(50), Duration::from_millis(150));

/// The longest pause before a claimant that found no slot tries again.
pub const NO_PORT_RETRY: Duration = Duration::from_secs(5);

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
