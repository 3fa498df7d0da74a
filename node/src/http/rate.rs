//! The limit of requests per second and client address.
#![deny(clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};

use super::bounds::RATE_CLIENTS_MAX;

const SHARDS: usize = 16;
/// A client may send this many seconds' worth at once, as in the original.
const BURST_S: u64 = 2;
const SECOND_NS: u64 = 1_000_000_000;

/// A token bucket per client address, of which there is a bounded number.
///
/// A bucket is one number, the time at which it would be full again (the generic cell rate
/// algorithm, ITU-T I.371), so a bucket whose time has passed is as good as none and can be
/// forgotten. Clients that find no room share one bucket with all others that find none:
/// nobody gains by coming from many addresses.
///
/// An IPv6 client is its /64, because that is what one subscriber has at least.
#[derive(Debug)]
pub(super) struct RateLimiter {
    interval_ns: u64,
    burst_ns: u64,
    shards: [Mutex<Shard>; SHARDS],
}

#[derive(Debug, Default)]
struct Shard {
    /// When each bucket would be full, in nanoseconds of the boot clock.
    full_at: BTreeMap<IpAddr, u64>,
    overflow_full_at: u64,
    /// When the map may be searched for buckets to forget again.
    next_sweep_ns: u64,
}

impl RateLimiter {
    /// A limiter for so many requests a second.
    #[must_use]
    pub(super) fn new(per_second: NonZeroU32) -> Self {
        let interval_ns = (SECOND_NS / u64::from(per_second.get())).max(1);
        Self {
            interval_ns,
            burst_ns: BURST_S * SECOND_NS,
            shards: std::array::from_fn(|_| Mutex::default()),
        }
    }

    /// Counts a request of `client` at `now_ns`.
    ///
    /// # Errors
    /// The seconds after which the next one is allowed, at least 1, when this one is not.
    pub(super) fn admit(&self, client: IpAddr, now_ns: u64) -> Result<(), u32> {
        let client = aggregate(client);
        let mut shard = self.shards[shard_of(client)]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let full_at = shard.bucket(client, now_ns);
        let filled = (*full_at).max(now_ns) + self.interval_ns;
        let wait_ns = filled.saturating_sub(now_ns + self.burst_ns);
        if wait_ns > 0 {
            return Err(u32::try_from(wait_ns.div_ceil(SECOND_NS)).unwrap_or(u32::MAX));
        }
        *full_at = filled;
        Ok(())
    }
}

impl Shard {
    fn bucket(&mut self, client: IpAddr, now_ns: u64) -> &mut u64 {
        const MAX: usize = RATE_CLIENTS_MAX / SHARDS;
        if self.full_at.len() >= MAX && !self.full_at.contains_key(&client) {
            if now_ns >= self.next_sweep_ns {
                self.full_at.retain(|_, full_at| *full_at > now_ns);
                self.next_sweep_ns = now_ns + SECOND_NS;
            }
            if self.full_at.len() >= MAX {
                return &mut self.overflow_full_at;
            }
        }
        self.full_at.entry(client).or_default()
    }
}

fn aggregate(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 => v4,
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
    fn one_a_second_says_how_long_to_wait() {
        let limiter = limiter(1);
        let client = address("192.0.2.1");
        assert_eq!(
            [(); 3].map(|()| limiter.admit(client, 0)),
            [Ok(()), Ok(()), Err(1)]
        );
    }

    #[test]
    fn an_ipv6_subscriber_is_one_client() {
        let limiter = limiter(1);
        assert_eq!(limiter.admit(address("2001:db8::1"), 0), Ok(()));
        assert_eq!(limiter.admit(address("2001:db8::2"), 0), Ok(()));
        assert_eq!(limiter.admit(address("2001:db8::3"), 0), Err(1));
        assert_eq!(limiter.admit(address("2001:db8:0:1::1"), 0), Ok(()));
        assert_eq!(limiter.admit(address("::ffff:192.0.2.9"), 0), Ok(()));
        assert_eq!(limiter.admit(address("192.0.2.9"), 0), Ok(()));
        assert_eq!(limiter.admit(address("192.0.2.9"), 0), Err(1));
    }

    #[test]
    fn clients_are_bounded_and_the_rest_share() {
        let limiter = limiter(1000);
        for number in 0..4 * RATE_CLIENTS_MAX as u32 {
            let _ = limiter.admit(IpAddr::V4((0x0a00_0000 + number).into()), 0);
        }
        let clients = |limiter: &RateLimiter| -> usize {
            limiter
                .shards
                .iter()
                .map(|shard| shard.lock().expect("no panic").full_at.len())
                .sum()
        };
        assert!(clients(&limiter) <= RATE_CLIENTS_MAX);
        let newcomer = address("198.51.100.1");
        assert!(
            limiter.admit(newcomer, 0).is_err(),
            "the shared bucket is empty"
        );
        assert_eq!(limiter.admit(newcomer, 3 * SECOND_NS), Ok(()));
        let shard = limiter.shards[shard_of(newcomer)].lock().expect("no panic");
        assert_eq!(shard.full_at.len(), 1, "full buckets were forgotten");
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
