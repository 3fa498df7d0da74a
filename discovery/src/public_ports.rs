//! Ports that the outside reaches under another number.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::slot::Slot;

/// Which of a container's ports is reached from other hosts under which number. All that
/// find each other have the same list, so everybody knows everybody's ports by it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublicPorts {
    public: BTreeMap<u16, u16>,
}

impl PublicPorts {
    /// From pairs of the port in the container and the public one. Ports that are not among
    /// them are the same on both sides.
    #[must_use]
    pub fn new(pairs: impl IntoIterator<Item = (u16, u16)>) -> Self {
        Self {
            public: pairs.into_iter().collect(),
        }
    }

    /// Whether no port has another number outside.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.public.is_empty()
    }

    /// Whether a port of the container is on the list.
    #[must_use]
    pub fn lists(&self, container: u16) -> bool {
        self.public.contains_key(&container)
    }

    /// The number under which other hosts reach a port of the container.
    #[must_use]
    pub fn public(&self, container: u16) -> u16 {
        self.public.get(&container).copied().unwrap_or(container)
    }

    /// The port of the container that a public port of the list leads to.
    #[must_use]
    pub fn container(&self, public: u16) -> Option<u16> {
        let mut pairs = self.public.iter();
        let found = pairs.find(|(_, number)| **number == public);
        found.map(|(container, _)| *container)
    }

    /// The number under which a port of the container is reached at `host`: its own over
    /// loopback, the public one elsewhere.
    #[must_use]
    pub fn at(&self, host: IpAddr, container: u16) -> u16 {
        if host.to_canonical().is_loopback() {
            container
        } else {
            self.public(container)
        }
    }

    /// A slot with the numbers under which its ports are reached at `host`.
    #[must_use]
    pub fn slot_at(&self, host: IpAddr, slot: Slot) -> Slot {
        Slot {
            index: slot.index,
            http: self.at(host, slot.http),
            gossip: self.at(host, slot.gossip),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn both_ways() {
        let ports = PublicPorts::new([(9081, 31911), (9082, 9081)]);
        let check = |container: u16, public: u16| {
            assert_eq!(ports.public(container), public);
            assert_eq!(ports.container(public), Some(container));
            assert_eq!(ports.at(Ipv4Addr::LOCALHOST.into(), container), container);
            assert_eq!(
                ports.at(Ipv4Addr::new(192, 0, 2, 1).into(), container),
                public
            );
        };
        check(9081, 31911);
        check(9082, 9081);
        assert_eq!((ports.public(8081), ports.container(8081)), (8081, None));
        assert!(ports.lists(9081) && !ports.lists(31911));
        assert!(PublicPorts::default().is_empty());
    }
}
