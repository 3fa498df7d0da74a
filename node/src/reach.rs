//! Where a peer is reached from here.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{PoisonError, RwLock};

use repram_discovery::own_address::OwnAddress;
use repram_discovery::public_ports::PublicPorts;
use uuid::Uuid;

/// Turns the place that a node tells everybody into the one where this node reaches it.
///
/// A node tells its public address and port. From another host that is where it is; but
/// behind a host that translates addresses, what is on this very host is often not reached
/// by its public address, so nodes beside this one are spoken to over loopback, on the ports
/// on which they listen.
#[derive(Debug)]
pub struct Reach {
    own: OwnAddress,
    ports: PublicPorts,
    /// Where the sockets of the siblings are.
    siblings_at: IpAddr,
    /// The gossip ports of the siblings under the same supervisor.
    siblings: RwLock<BTreeMap<Uuid, u16>>,
}

impl Reach {
    /// What is reached from a host at `own`, whose ports are called as in `ports` outside and
    /// whose nodes listen at `siblings_at`.
    #[must_use]
    pub fn new(own: OwnAddress, ports: PublicPorts, siblings_at: IpAddr) -> Self {
        Self {
            own,
            ports,
            siblings_at,
            siblings: RwLock::default(),
        }
    }

    /// Our own address.
    #[must_use]
    pub const fn own(&self) -> &OwnAddress {
        &self.own
    }

    /// Where the sockets of nodes beside this one are.
    #[must_use]
    pub const fn siblings_at(&self) -> IpAddr {
        self.siblings_at
    }

    /// Replaces what is known of the siblings: their gossip ports.
    pub fn set_siblings(&self, siblings: impl IntoIterator<Item = (Uuid, u16)>) {
        let mut known = self
            .siblings
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *known = siblings.into_iter().collect();
    }

    /// Where a node is reached that tells that its gossip port is at `told`.
    #[must_use]
    pub fn of(&self, told: SocketAddr) -> SocketAddr {
        let is_own = self.own.is_own(told.ip());
        if !(is_own || told.ip().is_loopback()) {
            return told;
        }
        let here = |port| SocketAddr::new(self.siblings_at, port);
        match self.ports.container(told.port()) {
            Some(container) => here(container),
            None if is_own && self.is_sibling(told.port()) => here(told.port()),
            None => told,
        }
    }

    /// The port of a node on this host whose public number is `public`.
    #[must_use]
    pub fn port_here(&self, public: u16) -> u16 {
        self.ports.container(public).unwrap_or(public)
    }

    /// Where a candidate is reached that somebody found at `place`. What was found over
    /// loopback is already as it is reached from here.
    #[must_use]
    pub fn candidate(&self, place: SocketAddr) -> SocketAddr {
        if place.ip().is_loopback() {
            place
        } else {
            self.of(place)
        }
    }

    /// Somebody answered at `at`, and saw us at `seen_at`.
    pub fn met(&self, peer: Uuid, at: IpAddr, seen_at: IpAddr) {
        if self.known_sibling(peer) {
            self.met_ourselves(at);
        } else {
            self.own.seen_as(at, seen_at);
        }
    }

    /// This node itself answered at `at`.
    pub fn met_ourselves(&self, at: IpAddr) {
        if at != self.siblings_at {
            self.own.found_at(at);
        }
    }

    fn is_sibling(&self, port: u16) -> bool {
        let known = self.siblings.read().unwrap_or_else(PoisonError::into_inner);
        known.values().any(|sibling| *sibling == port)
    }

    fn known_sibling(&self, uuid: Uuid) -> bool {
        let known = self.siblings.read().unwrap_or_else(PoisonError::into_inner);
        known.contains_key(&uuid)
    }
}

#[cfg(test)]
mod tests {
    use repram_discovery::own_address::AddressOrigin;

    use super::*;

    fn reach(own: &str) -> Reach {
        let own = OwnAddress::fixed(own.parse().expect("one"), AddressOrigin::Hostinfo);
        let ports = PublicPorts::new([(9081, 31911), (9082, 31912)]);
        let reach = Reach::new(own, ports, [127, 0, 0, 1].into());
        reach.set_siblings([(Uuid::from_u128(2), 9082), (Uuid::from_u128(5), 9085)]);
        reach
    }

    #[track_caller]
    fn check(reach: &Reach, told: &str, expect: &str) {
        let told = told.parse().expect("an address");
        assert_eq!(reach.of(told).to_string(), expect);
    }

    #[test]
    fn what_is_on_this_host_is_reached_over_loopback() {
        let public = reach("192.0.2.1");
        check(&public, "192.0.2.2:31911", "192.0.2.2:31911");
        check(&public, "192.0.2.1:31911", "127.0.0.1:9081");
        check(&public, "192.0.2.1:31912", "127.0.0.1:9082");
        // Not on the list: a sibling, and somebody else behind the same address.
        check(&public, "192.0.2.1:9085", "127.0.0.1:9085");
        check(&public, "192.0.2.1:9086", "192.0.2.1:9086");
        // As long as nobody knows the address.
        let unknown = reach("127.0.0.1");
        check(&unknown, "127.0.0.1:31911", "127.0.0.1:9081");
        check(&unknown, "127.0.0.1:9085", "127.0.0.1:9085");
        check(&unknown, "192.0.2.1:31911", "192.0.2.1:31911");
        let found = "127.0.0.1:31911".parse().expect("an address");
        assert_eq!(unknown.candidate(found), found);
    }

    #[test]
    fn an_address_where_we_meet_ourselves_is_ours() {
        let reach = reach("127.0.0.1");
        let host: IpAddr = [192, 0, 2, 7].into();
        let stranger = Uuid::from_u128(9);
        reach.met(stranger, host, [192, 0, 2, 8].into());
        check(&reach, "192.0.2.7:31911", "192.0.2.7:31911");
        reach.met(Uuid::from_u128(2), host, [192, 0, 2, 8].into());
        check(&reach, "192.0.2.7:31911", "127.0.0.1:9081");
        reach.met_ourselves([192, 0, 2, 9].into());
        check(&reach, "192.0.2.9:31912", "127.0.0.1:9082");
    }
}
