//! How the time of a stop is shared out.

use std::time::Duration;

/// What is kept of STOP_TIMEOUT for everything that comes after the grace; of a short one
/// a quarter.
const RESERVE: Duration = Duration::from_secs(1);

/// The parts of STOP_TIMEOUT, one after the other: together they are the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StopBudget {
    /// From SIGTERM to SIGKILL.
    pub grace: Duration,
    /// How long processes that were killed and do not end, because they are stuck in the
    /// kernel, on a disk that is gone, keep their supervisor from ending.
    pub patience: Duration,
    /// For the last lines and answers, when a reader or a disk hangs.
    pub last_words: Duration,
}

impl StopBudget {
    /// Shares out a stop that may take `whole`.
    #[must_use]
    pub fn of(whole: Duration) -> Self {
        let reserve = RESERVE.min(whole / 4);
        Self {
            grace: whole - reserve,
            patience: reserve / 2,
            last_words: reserve / 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_are_within_the_whole() {
        let check = |whole: u64, grace: u64, rest: u64| {
            let budget = StopBudget::of(Duration::from_millis(whole));
            let millis = Duration::from_millis;
            assert_eq!(budget.grace, millis(grace));
            assert_eq!(
                (budget.patience, budget.last_words),
                (millis(rest), millis(rest))
            );
        };
        check(8_000, 7_000, 500);
        check(4_000, 3_000, 500);
        check(1_000, 750, 125);
        check(3_600_000, 3_599_000, 500);
    }
}
