//! A look at ports without taking them.
//!
//! What was free a moment ago may be taken now, so a look decides nothing: slots are had by
//! binding them ([`crate::sockets`]). Nor does a claim look first. The look itself listens
//! on the port for a moment, in which another claimant's bind fails, and whatever it says
//! the bind has to follow. What a look is good for is advice to a person whose range is
//! taken.
//!
//! It comes from `portpicker`, which asks for both address families and so finds nothing
//! free on a machine without IPv6. Then there is no advice.

use crate::slot::{PortRange, Slot};

/// Places that are looked at for a free range.
///
/// `portpicker` draws from ports 15000 to 25000; even where half of the ranges there have
/// a port in use, 16 tries fail once in 65,000 times.
const TRIES: usize = 16;

/// A range of `count` slots that looks free, to be suggested in place of one that is taken.
/// None if there is no such range nearby, or no IPv6.
#[must_use]
pub fn free_range(count: u16, gossip_offset: u16) -> Option<PortRange> {
    (0..TRIES).find_map(|_| {
        let base = portpicker::pick_unused_port()?;
        let range = PortRange::new(base, count, gossip_offset).ok()?;
        range.slots().all(looks_free).then_some(range)
    })
}

/// Whether nobody seems to hold any port of the slot, at any address.
fn looks_free(slot: Slot) -> bool {
    portpicker::is_free_tcp(slot.http) && portpicker::is_free(slot.gossip)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener, UdpSocket};

    use super::*;

    #[test]
    fn a_held_port_does_not_look_free() {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (tcp, udp) = (
            tcp.local_addr().unwrap().port(),
            udp.local_addr().unwrap().port(),
        );
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        for (http, gossip) in [(tcp, free), (free, tcp), (free, udp)] {
            assert!(!looks_free(Slot {
                index: 0,
                http,
                gossip
            }));
        }
    }

    #[test]
    fn the_advice_is_a_whole_range() {
        if let Some(range) = free_range(10, 1000) {
            assert_eq!((range.count(), range.gossip_offset()), (10, 1000));
        }
        assert_eq!(free_range(0, 1000), None);
        assert_eq!(free_range(u16::MAX, u16::MAX), None);
    }
}
