//! Which members hold a key: rendezvous hashing, over different hosts first.
//!
//! Every member has a score for every key; the members with the highest scores hold it
//! (Thaler and Ravishankar, "Using Name-Based Mappings to Increase Hit Rates", 1998,
//! "highest random weight"). Nothing but the set of members decides, so all nodes that
//! know the same members agree without a word, and when one comes or goes at most one
//! holder of a key changes.
//!
//! **The hash must never change**, or nodes of two versions would disagree about every key:
//! `score(member, key) = mix(XXH3_64(key) ^ XXH3_64(uuid))`, XXH3 with its default secret
//! and seed 0 as specified by xxHash 0.8, the UUID as its 16 bytes, and `mix` the finaliser
//! of splitmix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators",
//! 2014). So a key is hashed once, however many members there are. The generation of a
//! member does not take part: a node that restarts holds what it held.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use twox_hash::XxHash3_64;
use uuid::Uuid;

/// A member as placement sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seat {
    /// Identity.
    pub uuid: Uuid,
    /// The life of the node. It does not move keys, but it tells an empty successor from
    /// the node that it replaces.
    pub generation: u64,
    /// The host it lives on: equal for members that fail together.
    pub host: u64,
}

/// The holders of every key for one set of members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// In order of UUID.
    seats: Vec<Seat>,
    /// XXH3 of each seat's UUID.
    seeds: Vec<u64>,
    copies: usize,
    /// Whether hosts need to be told apart: some host has several members, and there is
    /// more than one.
    hosts_matter: bool,
    fingerprint: u64,
}

impl Placement {
    /// The placement over `seats`, each key on at most `copies` of them (`usize::MAX` for
    /// all). Of several seats with one UUID the highest generation counts.
    #[must_use]
    pub fn new(seats: impl IntoIterator<Item = Seat>, copies: usize) -> Self {
        let mut by_uuid: BTreeMap<Uuid, Seat> = BTreeMap::new();
        for seat in seats {
            let kept = by_uuid.entry(seat.uuid).or_insert(seat);
            *kept = (*kept).max(seat);
        }
        let seats: Vec<Seat> = by_uuid.into_values().collect();
        let hosts: BTreeSet<u64> = seats.iter().map(|seat| seat.host).collect();
        Self {
            seeds: seats
                .iter()
                .map(|seat| XxHash3_64::oneshot(seat.uuid.as_bytes()))
                .collect(),
            copies: copies.min(seats.len()),
            hosts_matter: hosts.len() > 1 && hosts.len() < seats.len(),
            fingerprint: fingerprint(&seats),
            seats,
        }
    }

    /// All members, in order of UUID.
    #[must_use]
    pub fn seats(&self) -> &[Seat] {
        &self.seats
    }

    /// Copies of each key: the replication factor, or the number of members when that is
    /// less.
    #[must_use]
    pub const fn copies(&self) -> usize {
        self.copies
    }

    /// Copies that a write needs before it is acknowledged: W = copies/2 + 1.
    #[must_use]
    pub const fn write_quorum(&self) -> usize {
        self.copies / 2 + 1
    }

    /// Holders that must say "do not have" before a key is known to be missing: so many
    /// that every write quorum contains one of them.
    #[must_use]
    pub const fn miss_quorum(&self) -> usize {
        (self.copies + 1).saturating_sub(self.write_quorum())
    }

    /// Equal for two nodes exactly when they see the same members in the same lives (but
    /// for the chance of 2^-64).
    #[must_use]
    pub const fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// The holders of `key`: the highest score first, or in order of UUID where everyone
    /// holds everything.
    #[must_use]
    pub fn holders(&self, key: &[u8]) -> Vec<Seat> {
        if self.everyone_holds_all() {
            return self.seats.clone();
        }
        let mut ranked = self.ranked(key);
        ranked.truncate(self.copies);
        ranked.into_iter().map(|index| self.seats[index]).collect()
    }

    /// Whether `uuid` is one of the holders of `key`.
    #[must_use]
    pub fn is_holder(&self, uuid: Uuid, key: &[u8]) -> bool {
        if self.everyone_holds_all() {
            return self.contains(uuid);
        }
        let holders = self.ranked(key).into_iter().take(self.copies);
        holders
            .map(|index| self.seats[index].uuid)
            .any(|holder| holder == uuid)
    }

    /// Whether `uuid` is a member.
    #[must_use]
    pub fn contains(&self, uuid: Uuid) -> bool {
        self.seats
            .binary_search_by_key(&uuid, |seat| seat.uuid)
            .is_ok()
    }

    /// Whether every member holds every key.
    #[must_use]
    pub const fn everyone_holds_all(&self) -> bool {
        self.copies == self.seats.len()
    }

    /// Indices of seats, the best holder of `key` first: the best of each host before the
    /// second of any, by score within both groups.
    fn ranked(&self, key: &[u8]) -> Vec<usize> {
        let hash = XxHash3_64::oneshot(key);
        let mut scored: Vec<(Reverse<u64>, usize)> = self
            .seeds
            .iter()
            .enumerate()
            .map(|(index, seed)| (Reverse(mix(hash ^ seed)), index))
            .collect();
        scored.sort_unstable();
        let order = scored.into_iter().map(|(_, index)| index);
        if !self.hosts_matter {
            return order.collect();
        }
        let mut hosts = BTreeSet::new();
        let (mut first, second): (Vec<usize>, Vec<usize>) =
            order.partition(|index| hosts.insert(self.seats[*index].host));
        first.extend(second);
        first
    }
}

/// The finaliser of splitmix64: a bijection in which every bit of the input changes about
/// half of the output.
pub(crate) const fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

fn fingerprint(seats: &[Seat]) -> u64 {
    let mut bytes = Vec::with_capacity(seats.len() * 24);
    for seat in seats {
        bytes.extend_from_slice(seat.uuid.as_bytes());
        bytes.extend_from_slice(&seat.generation.to_be_bytes());
    }
    XxHash3_64::oneshot(&bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seat(number: u16, host: u64) -> Seat {
        // Spread over the space as random UUIDs are.
        let uuid = Uuid::from_u128(u128::from(number) << 96 | u128::from(mix(number.into())));
        Seat {
            uuid,
            generation: 1,
            host,
        }
    }

    /// Seats with numbers of their own on a few hosts.
    fn seats(size: impl Into<prop::collection::SizeRange>) -> impl Strategy<Value = Vec<Seat>> {
        prop::collection::btree_map(any::<u16>(), 0u64..6, size)
            .prop_map(|seats| seats.into_iter().map(|(n, host)| seat(n, host)).collect())
    }

    fn uuids(seats: &[Seat]) -> BTreeSet<Uuid> {
        seats.iter().map(|seat| seat.uuid).collect()
    }

    #[test]
    fn quorums_follow_the_number_of_members() {
        // (members, copies wanted) -> (copies, write quorum, miss quorum)
        for ((members, wanted), expect) in [
            ((1, 3), (1, 1, 1)),
            ((2, 3), (2, 2, 1)),
            ((3, 3), (3, 2, 2)),
            ((9, 3), (3, 2, 2)),
            ((9, 4), (4, 3, 2)),
            ((9, 5), (5, 3, 3)),
            ((9, 1), (1, 1, 1)),
            ((4, usize::MAX), (4, 3, 2)),
        ] {
            let placement = Placement::new((0..members).map(|n| seat(n, n.into())), wanted);
            let found = (
                placement.copies(),
                placement.write_quorum(),
                placement.miss_quorum(),
            );
            assert_eq!(found, expect, "{members} members, {wanted} copies");
        }
    }

    /// The scores are part of the protocol: these figures may never change.
    #[test]
    fn the_hash_is_fixed() {
        let placement = Placement::new((0..5).map(|n| seat(n, n.into())), 5);
        // The value of the specification for an empty input.
        assert_eq!(XxHash3_64::oneshot(b""), 0x2d06_8005_38d3_94c2);
        assert_eq!(mix(1), 0x5692_161d_100b_05e5);
        let check = |key: &[u8], expect: [usize; 5]| assert_eq!(placement.ranked(key), expect);
        check(b"", [1, 3, 2, 0, 4]);
        check(b"a", [2, 1, 4, 3, 0]);
        check(b"repram", [1, 3, 4, 0, 2]);
        check(&[0xff; 300], [3, 0, 1, 4, 2]);
    }

    #[test]
    fn keys_spread_evenly() {
        let placement = Placement::new((0..8).map(|n| seat(n, n.into())), 3);
        let mut held: BTreeMap<Uuid, u32> = BTreeMap::new();
        for key in 0u32..8_000 {
            for holder in placement.holders(&key.to_be_bytes()) {
                *held.entry(holder.uuid).or_default() += 1;
            }
        }
        // 8,000 keys on 3 of 8: 3,000 each, standard deviation 43.
        assert!(
            held.values().all(|keys| (2_750..3_250).contains(keys)),
            "{held:?}"
        );
    }

    #[test]
    fn a_generation_moves_nothing_but_changes_the_fingerprint() {
        let first: Vec<Seat> = (0..6).map(|n| seat(n, 0)).collect();
        let mut second = first.clone();
        second[2].generation = 2;
        let (first, second) = (Placement::new(first, 3), Placement::new(second, 3));
        assert_ne!(first.fingerprint(), second.fingerprint());
        for key in 0u8..100 {
            assert_eq!(
                uuids(&first.holders(&[key])),
                uuids(&second.holders(&[key]))
            );
        }
    }

    proptest! {
        #[test]
        fn all_agree_whatever_the_order(
            (seats, shuffled) in seats(1..20).prop_flat_map(|seats| {
                (Just(seats.clone()), Just(seats).prop_shuffle())
            }),
            copies in 1usize..6,
            key in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let (one, other) = (Placement::new(seats, copies), Placement::new(shuffled, copies));
            prop_assert_eq!(one.holders(&key), other.holders(&key));
            prop_assert_eq!(one.fingerprint(), other.fingerprint());
        }

        #[test]
        fn holders_are_on_as_many_hosts_as_can_be(
            seats in seats(1..20),
            copies in 1usize..6,
            key in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let placement = Placement::new(seats.clone(), copies);
            let holders = placement.holders(&key);
            prop_assert_eq!(holders.len(), copies.min(seats.len()));
            prop_assert_eq!(uuids(&holders).len(), holders.len());
            let hosts = |seats: &[Seat]| -> usize {
                seats.iter().map(|seat| seat.host).collect::<BTreeSet<_>>().len()
            };
            prop_assert_eq!(hosts(&holders), hosts(&seats).min(copies));
            for seat in &seats {
                let expect = holders.contains(seat);
                prop_assert_eq!(placement.is_holder(seat.uuid, &key), expect);
            }
        }

        #[test]
        fn one_newcomer_takes_at_most_one_place(
            seats in seats(2..20),
            copies in 1usize..6,
            key in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let newcomer = seats[0];
            let before = Placement::new(seats[1..].to_vec(), copies).holders(&key);
            let after = Placement::new(seats, copies).holders(&key);
            let gained: Vec<Uuid> =
                uuids(&after).difference(&uuids(&before)).copied().collect();
            prop_assert!(gained.is_empty() || gained == [newcomer.uuid], "{:?}", gained);
            prop_assert!(uuids(&before).difference(&uuids(&after)).count() <= 1);
        }

        #[test]
        fn every_write_quorum_meets_every_miss_quorum(members in 1usize..40, copies in 1usize..40) {
            let placement =
                Placement::new((0..members).map(|n| seat(n as u16, 0)), copies);
            prop_assert!(placement.write_quorum() <= placement.copies());
            prop_assert_eq!(
                placement.write_quorum() + placement.miss_quorum(),
                placement.copies() + 1
            );
        }
    }
}
