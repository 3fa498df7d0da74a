//! What moves when members come and go, while nothing goes wrong.

use bytes::Bytes;

use super::super::node::lock;
use super::nature::Nature;
use super::universe::Universe;
use crate::placement::Placement;

/// Fleets that are tried, and the keys that each of them has.
const FLEETS: u64 = 30;
const KEYS: u64 = 60;

/// Time in which everyone meets, and in which everything moves.
const MEET_US: u64 = 8_000_000;
const MOVE_US: u64 = 8_000_000;

/// Pause between two reads, meanwhile.
const READ_EVERY_US: u64 = 20_000;

/// What happens to a fleet.
#[derive(Clone, Copy, Debug)]
enum Change {
    Comes,
    Leaves,
    Dies,
}

fn key(number: u64) -> Bytes {
    Bytes::from(format!("key-{number}"))
}

/// Places that holders of `after` take which they did not have among those of `before`.
fn gained(before: &Placement, after: &Placement) -> usize {
    let of_one = |number| {
        let former = before.holders(&key(number));
        let now = after.holders(&key(number));
        now.iter().filter(|seat| !former.contains(seat)).count()
    };
    (0..KEYS).map(of_one).sum()
}

impl Universe {
    /// Values that were transferred between nodes that live, but for those of writes.
    fn moved(&self) -> u64 {
        let lives = self.slots.iter().filter_map(|slot| slot.life.as_ref());
        lives
            .map(|life| lock(&life.node.refill).progress().entries)
            .sum()
    }

    fn read_for(&mut self, time_us: u64) {
        let end_us = self.now_us() + time_us;
        while self.now_us() < end_us {
            let slots = self.slots.iter().enumerate();
            let joined = slots.filter(|(_, slot)| slot.life.as_ref().is_some_and(|it| it.joined));
            let joined: Vec<usize> = joined.map(|(slot, _)| slot).collect();
            let slot = joined[self.random.usize(0..joined.len())];
            let (key, now_us) = (key(self.random.u64(0..KEYS)), self.now_us());
            self.client_gets(slot, key, now_us);
            self.run(now_us + READ_EVERY_US);
        }
    }

    fn seen_by_first(&self) -> Placement {
        let mut lives = self.slots.iter().filter_map(|slot| slot.life.as_ref());
        let first = lives.next().expect("somebody lives");
        first.node.placement().as_ref().clone()
    }
}

/// Lets one thing happen to a fleet; how many values moved, and how many had to.
fn change(seed: u64, what: Change) -> (u64, usize) {
    let mut random = fastrand::Rng::with_seed(seed);
    let slots = if seed % 10 == 9 {
        random.usize(13..=50)
    } else {
        random.usize(3..=9)
    };
    let hosts = random.usize(1..=slots.min(9));
    let mut universe = Universe::new(seed, Nature::quiet(slots, hosts), false);
    for _ in 0..slots {
        let slot = universe.add_slot();
        universe.start(slot);
    }
    let end_us = universe.now_us() + MEET_US;
    universe.run(end_us);
    for number in 0..KEYS {
        let slot = random.usize(0..slots);
        universe.client_puts(slot, key(number), 3_600);
    }
    universe.read_for(1_000_000);
    let (moved, before) = (universe.moved(), universe.seen_by_first());
    assert_eq!(
        (moved, before.seats().len()),
        (0, slots),
        "nothing has to move yet"
    );
    let slot = random.usize(1..slots);
    let uuid = universe.slots[slot].uuid;
    let others = before.seats().iter().filter(|seat| seat.uuid != uuid);
    let without = Placement::new(others.copied(), universe.nature.copies);
    match what {
        Change::Comes => {
            let slot = universe.add_slot();
            universe.start(slot);
        }
        Change::Leaves => universe.ask_to_stop(vec![slot]),
        Change::Dies => {
            universe.kill(slot, true);
            universe.read_for(MOVE_US);
            universe.start(slot);
        }
    }
    universe.read_for(MOVE_US);
    universe.check_peace();
    let after = universe.seen_by_first();
    let must = match what {
        Change::Dies => gained(&before, &without) + gained(&without, &after),
        Change::Comes | Change::Leaves => gained(&before, &after),
    };
    (universe.moved(), must)
}

#[test]
fn only_what_must_move_moves() {
    let mut all = 0;
    for seed in 0..FLEETS {
        for what in [Change::Comes, Change::Leaves, Change::Dies] {
            let (moved, must) = change(seed, what);
            assert!(
                moved <= must as u64,
                "{seed}, {what:?}: {moved} moved, {must} had to"
            );
            all += moved;
        }
    }
    assert!(all > FLEETS, "so little moves that nothing is shown: {all}");
}
