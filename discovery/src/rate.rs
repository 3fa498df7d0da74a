//! A limit of requests per client address.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// Clients with a bucket of their own, at most: more than the hosts of a domain, and half a
/// mebibyte.
pub const RATE_CLIENTS_MAX: usize = 4096;

/// Pause between two searches for buckets that can be forgotten, so that a flood of clients
/// does not cost a search each.
const SWEEP_PAUSE: Duration = Duration::from_secs(1);

/// How much one client may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Requests per second in the long run, at least 1.
    pub per_second: u32,
    /// Requests at once, at least 1.
    pub burst: u32,
}

/// A token bucket per client address, of which there is a bounded number.
///
/// A bucket is one number, the time at which it would be full again (the generic cell rate
/// algorithm, ITU-T I.371), so a bucket whose time has passed is as good as none and can be
/// forgotten. Clients that find no room share one bucket with all others that find none:
/// nobody gains by coming from many addresses.
///
/// An IPv6 client is its /64, because that is what one subscriber has at least. Times are
/// durations since any fixed moment of a clock that never goes back.
#[derive(Clone, Debug)]
pub struct RateLimiter {
    interval: Duration,
    burst: Duration,
    full_at: BTreeMap<IpAddr, Duration>,
    overflow_full_at: Duration,
    next_sweep: Duration,
}

/// A client asked for more than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this address sends too many requests; try again in {retry_after_s} s")]
pub struct TooMany {
    /// Whole seconds after which the next request is allowed, at least 1.
    pub retry_after_s: u32,
}

impl RateLimiter {
    /// A limiter that has seen nobody.
    ///
    /// # Panics
    /// When no request at all would be allowed.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        assert!(
            rate.per_second > 0 && rate.burst > 0,
            "{rate:?} allows nothing"
        );
        let interval = Duration::from_secs(1) / rate.per_second;
        Self {
            interval,
            burst: interval * rate.burst,
            full_at: BTreeMap::new(),
            overflow_full_at: Duration::ZERO,
            next_sweep: Duration::ZERO,
        }
    }

    /// Counts a request of `client` at `now`.
    ///
    /// # Errors
    /// [`TooMany`] when it is not allowed; it then costs nothing.
    pub fn admit(&mut self, client: IpAddr, now: Duration) -> Result<(), TooMany> {
        let (interval, burst) = (self.interval, self.burst);
        let full_at = self.bucket(subscriber(client), now);
        let filled = (*full_at).max(now) + interval;
        let wait = filled.saturating_sub(now + burst);
        if !wait.is_zero() {
            let seconds = wait.as_nanos().div_ceil(Duration::from_secs(1).as_nanos());
            let retry_after_s = u32::try_from(seconds).unwrap_or(u32::MAX);
            return Err(TooMany { retry_after_s });
        }
        *full_at = filled;
        Ok(())
    }

    fn bucket(&mut self, client: IpAddr, now: Duration) -> &mut Duration {
        if self.full_at.len() >= RATE_CLIENTS_MAX && !self.full_at.contains_key(&client) {
            if now >= self.next_sweep {
                self.full_at.retain(|_, full_at| *full_at > now);
                self.next_sweep = now + SWEEP_PAUSE;
            }
            if self.full_at.len() >= RATE_CLIENTS_MAX {
                return &mut self.overflow_full_at;
            }
        }
        self.full_at.entry(client).or_default()
    }
}

/// The part of a client's address that counts.
#[must_use]
pub fn subscriber(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const RATE: Rate = Rate {
        per_second: 10,
        burst: 20,
    };

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_burst_then_a_steady_rate() {
        let mut limiter = RateLimiter::new(RATE);
        let client = address("192.0.2.1");
        let start = Duration::from_secs(5);
        let step = Duration::from_millis(100);
        let refused = Err(TooMany { retry_after_s: 1 });
        for _ in 0..20 {
            assert_eq!(limiter.admit(client, start), Ok(()));
        }
        assert_eq!(limiter.admit(client, start), refused);
        assert_eq!(limiter.admit(address("192.0.2.2"), start), Ok(()));
        assert_eq!(limiter.admit(client, start + step), Ok(()));
        assert_eq!(limiter.admit(client, start + step), refused);
        let later = start + Duration::from_secs(100);
        let admitted = (0..100).filter(|_| limiter.admit(client, later).is_ok());
        assert_eq!(admitted.count(), 20, "a bucket holds no more than a burst");
    }

    #[test]
    fn how_long_to_wait() {
        fn check(per_second: u32, burst: u32, before: u32, expect: Result<(), u32>) {
            let mut limiter = RateLimiter::new(Rate { per_second, burst });
            let client = address("192.0.2.1");
            for _ in 0..before {
                limiter.admit(client, Duration::ZERO).unwrap();
            }
            let expect = expect.map_err(|retry_after_s| TooMany { retry_after_s });
            assert_eq!(limiter.admit(client, Duration::ZERO), expect);
        }
        check(1, 1, 0, Ok(()));
        check(1, 1, 1, Err(1));
        check(1, 3, 2, Ok(()));
        check(1000, 1, 1, Err(1));
    }

    #[test]
    fn an_ipv6_subscriber_is_one_client() {
        let mut limiter = RateLimiter::new(Rate {
            per_second: 1,
            burst: 2,
        });
        let mut check = |client: &str, expect: bool| {
            assert_eq!(
                limiter.admit(address(client), Duration::ZERO).is_ok(),
                expect,
                "{client}"
            );
        };
        check("2001:db8::1", true);
        check("2001:db8::2", true);
        check("2001:db8::3", false);
        check("2001:db8:0:1::1", true);
        check("::ffff:192.0.2.9", true);
        check("192.0.2.9", true);
        check("192.0.2.9", false);
    }

    #[test]
    fn clients_are_bounded_and_the_rest_share() {
        let mut limiter = RateLimiter::new(RATE);
        let many = u32::try_from(4 * RATE_CLIENTS_MAX).unwrap();
        for number in 0..many {
            let client = Ipv4Addr::from_bits(0x0a00_0000 + number).into();
            let _ = limiter.admit(client, Duration::ZERO);
        }
        assert_eq!(limiter.full_at.len(), RATE_CLIENTS_MAX);
        let newcomer = address("198.51.100.1");
        assert!(limiter.admit(newcomer, Duration::ZERO).is_err());
        assert_eq!(limiter.admit(newcomer, Duration::from_secs(3)), Ok(()));
        assert_eq!(limiter.full_at.len(), 1, "full buckets are forgotten");
    }
}
