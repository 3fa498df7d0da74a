//! When to ask again.

use std::time::Duration;

/// The first pause when there is a reason to ask sooner than usual.
const SOON: Duration = Duration::from_secs(5);

/// After failures the pause becomes so many times as long as usual, at most.
const SLOWEST: u32 = 5;

/// How a question ended, as far as the next one goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// All that can be known is known.
    Good,
    /// There was an answer, but not the one that is hoped for.
    Empty,
    /// There was none.
    Failed,
}

/// Pauses between questions to a service that many ask: about as long as is set when all is
/// well, shorter at first while there is nobody, longer and longer when it fails; never the
/// same for all that started together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    usual: Duration,
    next: Duration,
    last: Ended,
}

impl Pace {
    pub(crate) fn new(usual: Duration) -> Self {
        Self {
            usual,
            next: usual.min(SOON),
            last: Ended::Good,
        }
    }

    /// The pause after a question; `jitter` is between 0 and 1.
    pub(crate) fn after(&mut self, ended: Ended, jitter: f64) -> Duration {
        if ended != self.last {
            self.next = self.usual.min(SOON);
            self.last = ended;
        }
        let pause = match ended {
            Ended::Good => self.usual,
            Ended::Empty => self.doubled(self.usual),
            Ended::Failed => self.doubled(self.usual.saturating_mul(SLOWEST)),
        };
        // A fifth more or less.
        pause.mul_f64(0.8 + 0.4 * jitter)
    }

    fn doubled(&mut self, limit: Duration) -> Duration {
        let pause = self.next.min(limit);
        self.next = self.next.saturating_mul(2).min(limit);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses() {
        use Ended::{Empty, Failed, Good};
        #[track_caller]
        fn check(usual: u64, story: &[Ended], expect: &[u64]) {
            let mut pace = Pace::new(Duration::from_secs(usual));
            let pauses = story.iter().map(|ended| pace.after(*ended, 0.5).as_secs());
            assert_eq!(pauses.collect::<Vec<_>>(), expect);
        }
        check(60, &[Good, Good], &[60, 60]);
        check(60, &[Empty; 6], &[5, 10, 20, 40, 60, 60]);
        check(60, &[Failed; 8], &[5, 10, 20, 40, 80, 160, 300, 300]);
        check(
            60,
            &[Failed, Failed, Good, Failed, Empty],
            &[5, 10, 60, 5, 5],
        );
        check(1, &[Good, Failed, Failed, Failed, Failed], &[1, 1, 2, 4, 5]);
        check(1, &[Empty, Empty], &[1, 1]);
    }

    #[test]
    fn jitter_is_a_fifth() {
        let pause = |jitter| Pace::new(Duration::from_secs(100)).after(Ended::Good, jitter);
        assert_eq!(pause(0.0).as_secs(), 80);
        assert_eq!(pause(1.0).as_secs(), 120);
    }
}
