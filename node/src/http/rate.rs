//! The limit of requests per second and client address.
#![deny(clippy::disallowed_methods)]

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use repram_discovery::rate::{self, Rate, TooMany, subscriber};

/// Clients are spread over so many locks, each with its own bound
/// ([`rate::RATE_CLIENTS_MAX`]): 65,536 together, which take some 4 MiB.
const SHARDS: usize = 16;
/// A client may send this many seconds' worth at once, as in the original.
const BURST_S: u32 = 2;

/// A [`rate::RateLimiter`] that many threads ask at the same time.
#[derive(Debug)]
pub(super) struct RateLimiter {
    shards: [Mutex<rate::RateLimiter>; SHARDS],
}

impl RateLimiter {
    /// A limiter for so many requests a second.
    #[must_use]
    pub(super) fn new(per_second: NonZeroU32) -> Self {
        let rate = Rate {
            per_second: per_second.get(),
            burst: per_second.get().saturating_mul(BURST_S),
        };
        Self {
            shards: std::array::from_fn(|_| Mutex::new(rate::RateLimiter::new(rate))),
        }
    }

    /// Counts a request of `client` at `now_ns`.
    ///
    /// # Errors
    /// The seconds after which the next one is allowed, at least 1, when this one is not.
    pub(super) fn admit(&self, client: IpAddr, now_ns: u64) -> Result<(), u32> {
        let shard = &self.shards[shard_of(subscriber(client))];
        let mut limiter = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let admitted = limiter.admit(client, Duration::from_nanos(now_ns));
        admitted.map_err(|TooMany { retry_after_s }| retry_after_s)
    }
}

/// All bytes count, so that neighbours meet in different shards.
fn shard_of(client: IpAddr) -> usize {
    let mix = |octets: &[u8]| {
        octets.iter().fold(0usize, |sum, octet| {
            sum.wrapping_mul(31).wrapping_add(usize::from(*octet))
        })
    };
    let sum = match client {
        IpAddr::V4(address) => mix(&address.octets()),
        IpAddr::V6(address) => mix(&address.octets()),
    };
    sum % SHARDS
}

/// The address that a trusted proxy saw: the last of X-Forwarded-For, because that one was
/// added by the proxy itself and all before it by whoever came to the proxy.
pub(super) fn forwarded_for(header: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(header).ok()?;
    let last = text.rsplit(',').next()?.trim();
    let unbracketed = last
        .strip_prefix('[')
        .and_then(|rest| rest.split(']').next());
    unbracketed.unwrap_or(last).parse().ok().or_else(|| {
        last.parse::<std::net::SocketAddrV4>()
            .ok()
            .map(|address| (*address.ip()).into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    fn limiter(per_second: u32) -> RateLimiter {
        RateLimiter::new(NonZeroU32::new(per_second).expect("not 0"))
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("is an address")
    }

    #[test]
    fn a_burst_then_a_steady_rate() {
        let limiter = limiter(10);
        let client = address("192.0.2.1");
        let start = 5 * SECOND_NS;
        for _ in 0..20 {
            assert_eq!(limiter.admit(client, start), Ok(()));
        }
        assert_eq!(limiter.admit(client, start), Err(1));
        assert_eq!(limiter.admit(address("192.0.2.2"), start), Ok(()));
        assert_eq!(limiter.admit(client, start + SECOND_NS / 10), Ok(()));
        assert_eq!(limiter.admit(client, start + SECOND_NS / 10), Err(1));
        let later = start + 100 * SECOND_NS;
        let admitted = (0..100)
            .filter(|_| limiter.admit(client, later).is_ok())
            .count();
        assert_eq!(admitted, 20, "a bucket holds no more than a burst");
    }

    #[test]
    fn the_last_forwarded_address_counts() {
        let check = |header: &str, expect: Option<&str>| {
            assert_eq!(
                forwarded_for(header.as_bytes()),
                expect.map(address),
                "{header}"
            );
        };
        check("192.0.2.1", Some("192.0.2.1"));
        check("198.51.100.7, 192.0.2.1", Some("192.0.2.1"));
        check("1.2.3.4,2001:db8::1", Some("2001:db8::1"));
        check("[2001:db8::1]:443", Some("2001:db8::1"));
        check("192.0.2.1:99", Some("192.0.2.1"));
        check("192.0.2.1, unknown", None);
        check("", None);
    }
}
