//! A hierarchical timer wheel over the records of a slab.
//!
//! After Varghese and Lauck, "Hashed and Hierarchical Timing Wheels" (1987), scheme 7, with
//! the level picked by the highest bit in which a deadline's tick differs from the current
//! one, so that all slots of a level lie ahead of it and the earliest is found by counting
//! zeros. The lists are doubly linked through the records: linking and unlinking are O(1)
//! and need no memory.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::slab::{Index, Slab};
use crate::clock::BootMillis;

/// No record.
pub(super) const NIL: Index = Index::MAX;

/// Length of a tick, 128 ms: how late memory comes back at most, beside the pause between
/// two calls. A deadline counts to the tick that starts at it or after it, so nothing is
/// due before its time.
const TICK_BITS: u32 = 7;
const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;
/// Seven levels of six bits cover the 41 bits of ticks in 48 bits of milliseconds.
const LEVELS: usize = 7;
/// The place of records that were due when they were linked.
const DUE: u16 = u16::MAX;

/// The wheel of one shard.
pub(super) struct Wheel {
    /// The current tick: everything up to it was moved to `due`.
    tick: u64,
    /// Records taken off the wheel whose deadline has to be looked at. They have
    /// `due_place`, the slot they came from, so that moving a whole slot touches none;
    /// while the list is empty that is [`DUE`].
    due: Index,
    due_place: u16,
    /// A bit for each slot of each level that is not empty.
    occupied: [u64; LEVELS],
    heads: [[Index; SLOTS]; LEVELS],
}

impl Wheel {
    pub(super) const fn new() -> Self {
        Self {
            tick: 0,
            due: NIL,
            due_place: DUE,
            occupied: [0; LEVELS],
            heads: [[NIL; SLOTS]; LEVELS],
        }
    }

    fn is_empty(&self) -> bool {
        self.due == NIL && self.occupied.iter().all(|&slots| slots == 0)
    }

    /// Links a record by its deadline.
    pub(super) fn link(&mut self, slab: &mut Slab, index: Index, now: BootMillis) {
        if self.is_empty() {
            // Nothing lies between, so the wheel may jump; else a first advance from tick 0
            // would have to come down through all levels.
            self.tick = self.tick.max(now.0 >> TICK_BITS);
        }
        let tick = slab.get(index).due().0.div_ceil(1 << TICK_BITS);
        let place = self.place(tick);
        let next = self.head(place);
        self.set_head(place, index);
        let record = slab.get_mut(index);
        (record.place, record.previous, record.next) = (place, NIL, next);
        if next != NIL {
            slab.get_mut(next).previous = index;
        }
    }

    /// Takes a record out of its list.
    pub(super) fn unlink(&mut self, slab: &mut Slab, index: Index) {
        let record = slab.get(index);
        let (place, previous, next) = (record.place, record.previous, record.next);
        if next != NIL {
            slab.get_mut(next).previous = previous;
        }
        if previous == NIL {
            self.set_head(place, next);
        } else {
            slab.get_mut(previous).next = next;
        }
    }

    /// The next record whose deadline has passed, taken off the wheel; `None` when there
    /// is none. `budget` is lowered by the records that were touched; at 0 the answer is
    /// `None` and the next call goes on from there.
    pub(super) fn expired(
        &mut self,
        slab: &mut Slab,
        now: BootMillis,
        budget: &mut usize,
    ) -> Option<Index> {
        loop {
            while self.due != NIL {
                *budget = budget.checked_sub(1)?;
                let index = self.due;
                self.unlink(slab, index);
                if slab.get(index).due() <= now {
                    return Some(index);
                }
                self.link(slab, index, now);
                if slab.get(index).place == self.due_place {
                    // It is due at this very tick, only not yet at this millisecond: the
                    // rest of the list is no further.
                    return None;
                }
            }
            if !self.turn(now) {
                return None;
            }
        }
    }

    /// Moves to the next slot that is due, or to the current tick; whether there was one.
    fn turn(&mut self, now: BootMillis) -> bool {
        let target = now.0 >> TICK_BITS;
        match self.next_slot() {
            Some((tick, level, slot)) if tick <= target => {
                self.tick = tick;
                self.due = std::mem::replace(&mut self.heads[level][slot], NIL);
                self.due_place = (level * SLOTS + slot) as u16;
                self.occupied[level] &= !(1 << slot);
                true
            }
            _ => {
                self.tick = self.tick.max(target);
                false
            }
        }
    }

    /// When [`Wheel::expired`] has something to do next.
    pub(super) fn next_deadline(&self) -> Option<BootMillis> {
        if self.due != NIL {
            return Some(BootMillis(self.tick << TICK_BITS));
        }
        self.next_slot()
            .map(|(tick, ..)| BootMillis(tick << TICK_BITS))
    }

    /// The earliest slot that is not empty: its first tick, level and number.
    fn next_slot(&self) -> Option<(u64, usize, usize)> {
        // All of a level lies within the current slot of the next one, so the lowest level
        // has the earliest.
        let level = self.occupied.iter().position(|&slots| slots != 0)?;
        let slot = self.occupied[level].trailing_zeros();
        let shift = level as u32 * SLOT_BITS;
        let above = self.tick >> (shift + SLOT_BITS) << (shift + SLOT_BITS);
        Some((above | u64::from(slot) << shift, level, slot as usize))
    }

    fn place(&self, tick: u64) -> u16 {
        if tick <= self.tick {
            return self.due_place;
        }
        let level = (63 - (tick ^ self.tick).leading_zeros()) / SLOT_BITS;
        let slot = (tick >> (level * SLOT_BITS)) as usize & (SLOTS - 1);
        (level as usize * SLOTS + slot) as u16
    }

    fn head(&self, place: u16) -> Index {
        if place == self.due_place {
            return self.due;
        }
        let (level, slot) = slot_of(place);
        self.heads[level][slot]
    }

    fn set_head(&mut self, place: u16, head: Index) {
        if place == self.due_place {
            self.due = head;
            if head == NIL {
                // From here on the place is a slot of the wheel again.
                self.due_place = DUE;
            }
            return;
        }
        let (level, slot) = slot_of(place);
        self.heads[level][slot] = head;
        if head == NIL {
            self.occupied[level] &= !(1 << slot);
        } else {
            self.occupied[level] |= 1 << slot;
        }
    }
}

fn slot_of(place: u16) -> (usize, usize) {
    (usize::from(place) / SLOTS, usize::from(place) % SLOTS)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::store::origins::Origins;
    use crate::store::record::{Data, Fields, Record};
    use crate::version::{HybridTime, Version};

    const TICK: u64 = 1 << TICK_BITS;

    fn insert(slab: &mut Slab, deadline: u64) -> Index {
        slab.insert(Record::new(Fields {
            data: Data::new(b"k", Bytes::new()),
            key_len: 1,
            time: HybridTime(0),
            origin: Origins::default().intern(&Version::default()),
            ttl_s: 1,
            created_unix_ms: 0,
            deadline: BootMillis(deadline),
        }))
    }

    fn drain(wheel: &mut Wheel, slab: &mut Slab, now: u64) -> Vec<u64> {
        let mut deadlines = Vec::new();
        while let Some(index) = wheel.expired(slab, BootMillis(now), &mut usize::MAX.clone()) {
            deadlines.push(slab.remove(index).deadline().0);
        }
        deadlines.sort_unstable();
        deadlines
    }

    #[test]
    fn the_next_deadline_is_never_late() {
        for start in [0, 1, TICK - 1, 12_345_678, 1 << 40] {
            for ahead in [0, 1, TICK, 70 * TICK, 5_000 * TICK, 1 << 35] {
                let (mut slab, mut wheel) = (Slab::default(), Wheel::new());
                let index = insert(&mut slab, start + ahead);
                wheel.link(&mut slab, index, BootMillis(start));
                let mut turns = 0;
                let mut now = start;
                loop {
                    let next = wheel.next_deadline().expect("one is linked").0;
                    assert!(next < start + ahead + TICK, "{next} for {start} + {ahead}");
                    now = now.max(next);
                    if drain(&mut wheel, &mut slab, now) == [start + ahead] {
                        break;
                    }
                    turns += 1;
                    assert!(turns <= LEVELS, "comes down one level at a time");
                }
                assert!(now >= start + ahead);
                assert_eq!(wheel.next_deadline(), None);
            }
        }
    }

    #[test]
    fn a_budget_ends_a_call_and_the_next_goes_on() {
        let (mut slab, mut wheel) = (Slab::default(), Wheel::new());
        for _ in 0..10 {
            let index = insert(&mut slab, 5 * TICK);
            wheel.link(&mut slab, index, BootMillis(0));
        }
        let now = BootMillis(5 * TICK);
        let mut expired = 0;
        for budget in [3, 0, 4, 1] {
            let mut left = budget;
            while let Some(index) = wheel.expired(&mut slab, now, &mut left) {
                slab.remove(index);
                expired += 1;
            }
        }
        assert_eq!(expired, 8);
        assert!(wheel.next_deadline().expect("two are left") <= now);
        assert_eq!(drain(&mut wheel, &mut slab, now.0).len(), 2);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Link(u64),
        Unlink(usize),
        Advance(u64),
        AdvanceSome(u64, usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        let ahead = prop_oneof![0..300u64, 0..20_000u64, 0..10_000_000u64, 0..(1u64 << 40)];
        prop_oneof![
            4 => ahead.clone().prop_map(Step::Link),
            2 => any::<usize>().prop_map(Step::Unlink),
            2 => ahead.clone().prop_map(Step::Advance),
            1 => (ahead, 0usize..4).prop_map(|(by, budget)| Step::AdvanceSome(by, budget)),
        ]
    }

    proptest! {
        /// After an advance exactly those are left whose tick has not come, and nothing
        /// came off before its deadline.
        #[test]
        fn agrees_with_a_list(steps in prop::collection::vec(step(), 1..100)) {
            let (mut slab, mut wheel) = (Slab::default(), Wheel::new());
            let mut model: Vec<(u64, Index)> = Vec::new();
            let mut now = 1_000_000;
            for step in steps {
                match step {
                    Step::Link(ahead) => {
                        let index = insert(&mut slab, now + ahead);
                        wheel.link(&mut slab, index, BootMillis(now));
                        model.push((now + ahead, index));
                    }
                    Step::Unlink(at) if !model.is_empty() => {
                        let (_, index) = model.swap_remove(at % model.len());
                        wheel.unlink(&mut slab, index);
                        slab.remove(index);
                    }
                    Step::Unlink(_) => {}
                    Step::Advance(by) => {
                        now += by;
                        for deadline in drain(&mut wheel, &mut slab, now) {
                            prop_assert!(deadline <= now);
                            let at = model.iter().position(|(other, _)| *other == deadline);
                            model.swap_remove(at.expect("each comes off once"));
                        }
                        let tick = now >> TICK_BITS << TICK_BITS;
                        prop_assert!(model.iter().all(|(deadline, _)| *deadline > tick));
                    }
                    Step::AdvanceSome(by, mut budget) => {
                        now += by;
                        while let Some(index) =
                            wheel.expired(&mut slab, BootMillis(now), &mut budget)
                        {
                            prop_assert!(slab.remove(index).deadline().0 <= now);
                            model.retain(|(_, other)| *other != index);
                        }
                    }
                }
                let first = model.iter().map(|(deadline, _)| *deadline).min();
                match (first, wheel.next_deadline()) {
                    (None, None) => {}
                    (Some(first), Some(next)) => prop_assert!(next.0 < first + TICK),
                    (first, next) => prop_assert!(false, "{first:?} but {next:?}"),
                }
            }
        }
    }
}
