//! When a node that failed is started again.

use std::time::Duration;

/// When and how often a node is started again.
#[derive(Clone, Copy, Debug)]
pub struct RestartPolicy {
    /// Delay before the second restart in a row; the first comes at once.
    pub delay: Duration,
    /// Longest delay.
    pub delay_max: Duration,
    /// Readiness without a break that forgives all failures before it.
    pub stable: Duration,
    /// Failures without a stable run that make the node `failed`, at least 1.
    pub budget: u32,
}

impl RestartPolicy {
    /// The delay after so many failures in a row: none after the first, then
    /// [`RestartPolicy::delay`] doubling, with a jitter of a fifth either way so that
    /// nodes that fell together do not rise together, up to [`RestartPolicy::delay_max`].
    pub(super) fn delay_after(&self, failures: u32, random: &mut fastrand::Rng) -> Duration {
        if failures <= 1 {
            return Duration::ZERO;
        }
        let doublings = (failures - 2).min(31);
        let base = self
            .delay
            .saturating_mul(1 << doublings)
            .min(self.delay_max);
        base.mul_f64(0.8 + 0.4 * random.f64()).min(self.delay_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: RestartPolicy = RestartPolicy {
        delay: Duration::from_millis(100),
        delay_max: Duration::from_secs(30),
        stable: Duration::from_secs(5),
        budget: 10,
    };

    #[test]
    fn doubles_within_a_fifth_up_to_the_longest() {
        let mut random = fastrand::Rng::with_seed(1);
        let mut check = |failures: u32, low_ms: u64, high_ms: u64| {
            for _ in 0..100 {
                let delay = POLICY.delay_after(failures, &mut random);
                assert!(
                    (Duration::from_millis(low_ms)..=Duration::from_millis(high_ms))
                        .contains(&delay),
                    "{failures} failures: {delay:?}"
                );
            }
        };
        check(0, 0, 0);
        check(1, 0, 0);
        check(2, 80, 120);
        check(3, 160, 240);
        check(6, 1_280, 1_920);
        check(20, 24_000, 30_000);
        check(u32::MAX, 24_000, 30_000);
    }
}
