//! Moments that several processes can compare.

use std::time::Duration;

use nix::time::ClockId;

/// A moment of this machine, in nanoseconds of CLOCK_MONOTONIC since its start. Unlike
/// [`std::time::Instant`] it can be written into a file and read by another process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

impl Moment {
    /// Now.
    pub(crate) fn now() -> Self {
        let time = ClockId::CLOCK_MONOTONIC.now();
        let since_boot = Duration::from(time.expect("Linux has this clock"));
        Self(u64::try_from(since_boot.as_nanos()).expect("584 years are enough"))
    }

    /// How long it is since an earlier moment; zero when that is later.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The moment as text.
    pub(crate) fn to_text(self) -> String {
        self.0.to_string()
    }

    /// What [`Moment::to_text`] wrote.
    pub(crate) fn from_text(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}
