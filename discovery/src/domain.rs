//! Where a domain is: on this machine, or elsewhere.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// How long one name may take to resolve.
///
/// It is the time-out of one try of the system's resolver (resolv.conf(5)), so that a dead
/// name server does not delay a discovery round by all of its tries.
pub const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Addresses kept of one name, at most: more than the hosts that a domain is meant for,
/// and few enough to ask each of them.
pub const ADDRESSES_MAX: usize = 256;

/// Where a domain is.
#[derive(Debug)]
pub enum Location {
    /// It is `localhost`, or all its addresses are loopback addresses: nobody else's
    /// nodes can be in it.
    ThisMachine {
        /// Its addresses, at least one.
        addresses: Vec<IpAddr>,
    },
    /// At least one of its addresses is not a loopback address.
    Elsewhere {
        /// Its addresses, at least one.
        addresses: Vec<IpAddr>,
    },
    /// It did not resolve. It counts as another machine; try again later.
    Unresolved(ResolveError),
}

/// Why a name has no addresses.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// The resolver said so.
    #[error("{host} does not resolve")]
    Failed {
        /// The name.
        host: String,
        /// What the resolver said.
        #[source]
        source: io::Error,
    },
    /// The resolver was silent for [`RESOLVE_TIMEOUT`].
    #[error("{host} did not resolve within {} s", RESOLVE_TIMEOUT.as_secs())]
    TimedOut {
        /// The name.
        host: String,
    },
    /// The name exists and has no address.
    #[error("{host} has no address")]
    NoAddress {
        /// The name.
        host: String,
    },
}

impl Location {
    /// Whether the domain is this machine.
    #[must_use]
    pub fn is_this_machine(&self) -> bool {
        match self {
            Self::ThisMachine { .. } => true,
            Self::Elsewhere { .. } | Self::Unresolved(_) => false,
        }
    }

    /// The addresses of the domain; none when it did not resolve.
    #[must_use]
    pub fn addresses(&self) -> &[IpAddr] {
        match self {
            Self::ThisMachine { addresses } | Self::Elsewhere { addresses } => addresses,
            Self::Unresolved(_) => &[],
        }
    }
}

/// Finds out where `domain`, a name or an address, is.
pub async fn locate(domain: &str) -> Location {
    match resolve(domain).await {
        Ok(addresses) => place(addresses),
        Err(error) => Location::Unresolved(error),
    }
}

/// The addresses of `host`, a name or an address, each once, in the resolver's order.
///
/// The literal `localhost` is not looked up (RFC 6761, section 6.3): it is `127.0.0.1` and
/// then `::1`, whatever the machine's files say. The system's resolver runs on a blocking
/// thread of the runtime, which may outlast the time-out.
///
/// # Errors
/// [`ResolveError`]; there is at least one address otherwise.
pub async fn resolve(host: &str) -> Result<Vec<IpAddr>, ResolveError> {
    if host.eq_ignore_ascii_case("localhost") {
        return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    if let Ok(address) = host.parse() {
        return Ok(vec![address]);
    }
    let host_owned = || host.to_owned();
    let found = tokio::time::timeout(RESOLVE_TIMEOUT, tokio::net::lookup_host((host, 0)))
        .await
        .map_err(|_| ResolveError::TimedOut { host: host_owned() })?
        .map_err(|source| ResolveError::Failed {
            host: host_owned(),
            source,
        })?;
    let addresses = distinct(found.map(|address| address.ip()));
    if addresses.is_empty() {
        return Err(ResolveError::NoAddress { host: host_owned() });
    }
    Ok(addresses)
}

/// Each address once, the first [`ADDRESSES_MAX`] of them.
pub(crate) fn distinct(found: impl Iterator<Item = IpAddr>) -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    for address in found {
        if addresses.len() < ADDRESSES_MAX && !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    addresses
}

fn place(addresses: Vec<IpAddr>) -> Location {
    // An IPv4 address may come in the form `::ffff:127.0.0.1`.
    if addresses
        .iter()
        .all(|address| address.to_canonical().is_loopback())
    {
        Location::ThisMachine { addresses }
    } else {
        Location::Elsewhere { addresses }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_this_machine() {
        fn check(addresses: &[&str], expect: bool) {
            let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
            assert_eq!(place(addresses).is_this_machine(), expect);
        }
        check(&["127.0.0.1"], true);
        check(&["127.0.1.1", "::1"], true);
        check(&["::ffff:127.0.0.1"], true);
        check(&["127.0.0.1", "10.0.0.1"], false);
        check(&["::ffff:10.0.0.1"], false);
        check(&["0.0.0.0"], false);
        check(&["fe80::1"], false);
    }

    #[tokio::test]
    async fn names_and_addresses() {
        for here in ["localhost", "LocalHost", "127.0.0.1", "127.9.9.9", "::1"] {
            assert!(locate(here).await.is_this_machine(), "{here}");
        }
        for elsewhere in ["192.0.2.1", "2001:db8::1"] {
            let location = locate(elsewhere).await;
            assert!(!location.is_this_machine(), "{elsewhere}");
            assert_eq!(location.addresses(), [elsewhere.parse::<IpAddr>().unwrap()]);
        }
    }

    #[tokio::test]
    async fn a_name_that_does_not_resolve_is_another_machine() {
        // A label of 64 bytes is no name (RFC 1035), so that no name server is asked.
        let name = "a".repeat(64);
        let location = locate(&name).await;
        assert!(matches!(
            location,
            Location::Unresolved(ResolveError::Failed { .. })
        ));
        assert!(location.addresses().is_empty());
    }

    #[test]
    fn addresses_are_kept_once_and_bounded() {
        let ip = |number: usize| IpAddr::from(Ipv4Addr::from_bits(u32::try_from(number).unwrap()));
        let twice = (0..1000).chain(0..1000).map(ip);
        let expect: Vec<_> = (0..ADDRESSES_MAX).map(ip).collect();
        assert_eq!(distinct(twice), expect);
    }
}
