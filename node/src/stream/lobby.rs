//! Connections whose other end has not proved yet that it is a peer.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::BTreeMap;
use std::net::IpAddr;

use repram_discovery::rate::subscriber;

/// Connections of strangers at the same time: a descriptor and some KiB each, within what is
/// set aside for peers. A peer is one for a round trip.
pub(super) const STRANGERS_MAX: usize = 320;

/// The same from one address. The nodes of one machine share an address, and all of them may
/// come at the same time, so it is what the largest fleet has.
pub(super) const STRANGERS_OF_ONE: usize = 256;

/// Who waits to be known, and who gives way when there are too many.
///
/// **The oldest gives way**, not the newest: whoever holds connections open keeps nobody out,
/// and of those who come by the hundred each has less time than a peer needs. First those
/// give way that have not even greeted, and those of the address that has the most: so many
/// strangers at one address do not matter to the others.
#[derive(Debug)]
pub(super) struct Lobby<T> {
    /// By number, which is by age.
    guests: BTreeMap<u64, Guest<T>>,
    numbers: u64,
}

#[derive(Debug)]
struct Guest<T> {
    from: IpAddr,
    greeted: bool,
    end: Option<T>,
}

/// Who came, and who had to give way.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Admitted<T> {
    pub(super) number: u64,
    pub(super) gave_way: Option<(IpAddr, Option<T>)>,
}

impl<T> Default for Lobby<T> {
    fn default() -> Self {
        Self {
            guests: BTreeMap::new(),
            numbers: 0,
        }
    }
}

impl<T> Lobby<T> {
    /// Somebody came from an address.
    pub(super) fn admit(&mut self, from: IpAddr) -> Admitted<T> {
        let from = subscriber(from);
        let mut counts: BTreeMap<IpAddr, usize> = BTreeMap::new();
        for guest in self.guests.values() {
            *counts.entry(guest.from).or_default() += 1;
        }
        let has_most = counts.iter().max_by_key(|(_, count)| **count);
        let crowd = if counts.get(&from).is_some_and(|it| *it >= STRANGERS_OF_ONE) {
            Some(from)
        } else if self.guests.len() >= STRANGERS_MAX {
            has_most.map(|(address, _)| *address)
        } else {
            None
        };
        let gives_way = crowd.and_then(|crowd| {
            let of_crowd = self.guests.iter().filter(|(_, guest)| guest.from == crowd);
            let first = of_crowd.min_by_key(|(number, guest)| (guest.greeted, **number));
            first.map(|(number, _)| *number)
        });
        let gone = gives_way.and_then(|number| self.guests.remove(&number));
        self.numbers += 1;
        let guest = Guest {
            from,
            greeted: false,
            end: None,
        };
        self.guests.insert(self.numbers, guest);
        Admitted {
            number: self.numbers,
            gave_way: gone.map(|guest| (guest.from, guest.end)),
        }
    }

    /// How to end it when it has to give way, unless it has left already.
    pub(super) fn attach(&mut self, number: u64, end: T) {
        if let Some(guest) = self.guests.get_mut(&number) {
            guest.end = Some(end);
        }
    }

    /// It has said who it is, which may be repeated from another.
    pub(super) fn greeted(&mut self, number: u64) {
        if let Some(guest) = self.guests.get_mut(&number) {
            guest.greeted = true;
        }
    }

    /// It is known now, or gone.
    pub(super) fn leave(&mut self, number: u64) {
        self.guests.remove(&number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, number])
    }

    /// So many of one address come; those that gave way.
    fn come(lobby: &mut Lobby<u64>, from: IpAddr, count: usize) -> Vec<u64> {
        let one = |_| {
            let Admitted { number, gave_way } = lobby.admit(from);
            lobby.attach(number, number);
            gave_way.and_then(|(_, end)| end)
        };
        (0..count).filter_map(one).collect()
    }

    #[test]
    fn the_oldest_of_an_address_gives_way() {
        let mut lobby = Lobby::default();
        assert!(come(&mut lobby, address(1), STRANGERS_OF_ONE).is_empty());
        assert_eq!(come(&mut lobby, address(1), 3), [1, 2, 3]);
        // Another address has room.
        let rest = STRANGERS_MAX - STRANGERS_OF_ONE;
        assert!(come(&mut lobby, address(2), rest).is_empty());
        // It has fewer than the first, who gives way for it.
        assert_eq!(come(&mut lobby, address(2), 2), [4, 5]);
        assert_eq!(lobby.guests.len(), STRANGERS_MAX);
    }

    #[test]
    fn who_has_greeted_gives_way_last() {
        let mut lobby = Lobby::default();
        come(&mut lobby, address(1), STRANGERS_OF_ONE);
        lobby.greeted(1);
        lobby.greeted(3);
        assert_eq!(come(&mut lobby, address(1), 2), [2, 4]);
        let most = STRANGERS_OF_ONE - 2;
        let gone = come(&mut lobby, address(1), most);
        assert!(!gone.contains(&1) && !gone.contains(&3));
    }

    #[test]
    fn who_is_known_makes_room_and_does_not_give_way() {
        let mut lobby = Lobby::default();
        come(&mut lobby, address(1), STRANGERS_OF_ONE);
        lobby.leave(1);
        assert_eq!(come(&mut lobby, address(1), 2), [2]);
        lobby.attach(1, 1);
        assert_eq!(lobby.guests.len(), STRANGERS_OF_ONE);
    }

    #[test]
    fn addresses_of_one_subscriber_count_together() {
        let mut lobby = Lobby::default();
        let of = |number: u16| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, number]);
        for number in 0..STRANGERS_OF_ONE as u16 {
            assert!(come(&mut lobby, of(number), 1).is_empty());
        }
        assert_eq!(come(&mut lobby, of(0xffff), 1), [1]);
    }
}
