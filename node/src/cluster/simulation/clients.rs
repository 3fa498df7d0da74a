//! Clients of the simulated nodes, and what they see checked.

use bytes::{BufMut, Bytes, BytesMut};
use tokio::sync::oneshot::error::TryRecvError;

use super::event::Event;
use super::oracle::{ReadSeen, Write, number};
use super::universe::Universe;
use crate::clock::BootMillis;
use crate::coordinator::{GetOutcome, PutOutcome};

/// Copies that a value may have come from one after the other, each of which may add the
/// smallest round trip to its deadline, and what timers add.
const HOPS: u64 = 10;

/// What the clock of a node does not show: its deadlines are in the next millisecond.
const TICK_US: u64 = 1_000;

impl Universe {
    /// Some client calls some node.
    pub(super) fn call(&mut self) {
        let living: Vec<(usize, u64)> = self
            .slots
            .iter()
            .enumerate()
            .filter_map(|(slot, it)| Some((slot, it.life.as_ref().filter(|it| it.joined)?.number)))
            .collect();
        if living.is_empty() {
            return;
        }
        let (slot, life) = living[self.random.usize(0..living.len())];
        let key = Bytes::from(format!("key-{}", self.random.u64(0..self.nature.keys)));
        let begun_us = self.now_us();
        let event = if self.random.u8(0..3) == 0 {
            let ttl_s = match self.random.u8(0..3) {
                0 => self.random.u32(1..6),
                1 => self.random.u32(6..60),
                _ => self.random.u32(60..2_000),
            };
            Event::Put {
                slot,
                life,
                key,
                ttl_s,
            }
        } else {
            Event::Get {
                slot,
                life,
                key,
                begun_us,
            }
        };
        self.after(0, event);
    }

    pub(super) fn client_puts(&mut self, slot: usize, key: Bytes, ttl_s: u32) {
        let now_us = self.now_us();
        let write = self.oracle.begin(Write {
            key: key.clone(),
            begun_us: now_us,
            ends_us: now_us + u64::from(ttl_s) * 1_000_000,
            ended: None,
            version: None,
            lost: false,
            replaced: false,
        });
        self.note(|| format!("put {key:?} = {write} at {slot} for {ttl_s} s"));
        let mut value = BytesMut::new();
        value.put_u64(write as u64);
        let mut begun = None;
        self.with(slot, |node| {
            begun = Some(node.begin_put(key, value.freeze(), ttl_s));
        });
        match begun.expect("just begun") {
            Ok(answer) => {
                let life = self.slots[slot].life.as_mut().expect("lives");
                life.puts.push((write, answer));
                self.listen(slot);
            }
            Err(outcome) => self.put_ended(write, outcome),
        }
    }

    pub(super) fn client_gets(&mut self, slot: usize, key: Bytes, begun_us: u64) {
        let mut begun = None;
        self.with(slot, |node| begun = Some(node.begin_get(&key)));
        match begun.expect("just begun") {
            Ok(outcome) => self.get_ended(slot, &key, begun_us, &outcome),
            Err(answer) => {
                let life = self.slots[slot].life.as_mut().expect("lives");
                life.gets.push((key, begun_us, answer));
                self.listen(slot);
            }
        }
    }

    /// Looks which clients of a node have their answer.
    pub(super) fn listen(&mut self, slot: usize) {
        let Some(life) = &mut self.slots[slot].life else {
            return;
        };
        let (mut puts, mut gets) = (Vec::new(), Vec::new());
        life.puts
            .retain_mut(|(write, answer)| match answer.try_recv() {
                Ok(outcome) => {
                    puts.push((*write, outcome));
                    false
                }
                Err(TryRecvError::Empty) => true,
                Err(TryRecvError::Closed) => panic!("write {write} is never answered"),
            });
        life.gets
            .retain_mut(|(key, begun_us, answer)| match answer.try_recv() {
                Ok(outcome) => {
                    gets.push((key.clone(), *begun_us, outcome));
                    false
                }
                Err(TryRecvError::Empty) => true,
                Err(TryRecvError::Closed) => panic!("a read of {key:?} is never answered"),
            });
        for (write, outcome) in puts {
            self.put_ended(write, outcome);
        }
        for (key, begun_us, outcome) in gets {
            self.get_ended(slot, &key, begun_us, &outcome);
        }
    }

    fn put_ended(&mut self, number: usize, outcome: PutOutcome) {
        let now_us = self.now_us();
        self.note(|| format!("  {number} is {outcome:?}"));
        self.oracle.writes[number].ended = Some((now_us, outcome));
        self.oracle.tally.acknowledged += u64::from(outcome == PutOutcome::Acknowledged);
        self.learn_version(number);
    }

    /// Asks the stores what version a write got.
    fn learn_version(&mut self, write: usize) {
        let key = self.oracle.writes[write].key.clone();
        for life in self.slots.iter().filter_map(|slot| slot.life.as_ref()) {
            if let Some(entry) = life.node.store.get(&key, life.node.now())
                && number(&entry.value) == write
            {
                let known = &mut self.oracle.writes[write].version;
                *known = (*known).max(Some(entry.version));
            }
        }
    }

    /// How late a value may be served at most.
    fn lateness_us(&self) -> u64 {
        let hop_us = if self.hosts.len() == 1 {
            0
        } else {
            // The only exchange of a minute may have been retransmitted both ways, and each
            // deadline is rounded up to a millisecond.
            20 * self.nature.delay_us.1 + TICK_US
        };
        TICK_US + hop_us * HOPS
    }

    fn get_ended(&mut self, slot: usize, key: &Bytes, begun_us: u64, outcome: &GetOutcome) {
        let now_us = self.now_us();
        match outcome {
            GetOutcome::Found(entry) => {
                let write = number(&entry.value);
                self.note(|| format!("get {key:?} at {slot}: {write}, begun {begun_us}"));
                let seen = ReadSeen {
                    key,
                    begun_us,
                    now_us,
                    outcome,
                    lateness_us: self.lateness_us(),
                    may_be_stale: self.is_or_was_cut(),
                };
                self.oracle.found(&seen);
            }
            GetOutcome::Missing => {
                self.note(|| format!("get {key:?} at {slot}: missing, begun {begun_us}"));
                self.oracle.tally.missing += 1;
                self.check_missing(slot, key, begun_us);
                self.check_who_says_missing(slot, key, begun_us);
            }
            GetOutcome::Unknown => {
                self.note(|| format!("get {key:?} at {slot}: unknown, begun {begun_us}"));
                self.oracle.tally.unknown += 1;
            }
        }
    }

    /// Whoever may have been given up by others does not know what is missing: enough holders
    /// have to be sure of whom they see.
    fn check_who_says_missing(&self, slot: usize, key: &Bytes, begun_us: u64) {
        let placement = self.slots[slot]
            .life
            .as_ref()
            .expect("lives")
            .node
            .placement();
        let holders = placement.holders(key);
        let knows = |uuid| {
            let place = self.slot_of(uuid).map(|slot| &self.slots[slot]);
            place.and_then(|it| it.life.as_ref()).is_none_or(|life| {
                // One more millisecond: clocks round down.
                let passed_ms = (self.now_us() - begun_us).div_ceil(1000) + 1;
                let begun = BootMillis(life.node.now().0.saturating_sub(passed_ms));
                !life.node.is_apart(begun)
            })
        };
        let known = holders.iter().filter(|seat| knows(seat.uuid)).count();
        assert!(
            known >= placement.miss_quorum(),
            "{slot} says that {key:?} is missing, and only {known} could know: {holders:?}"
        );
    }

    /// A 404 is false when a member that counts has what was acknowledged, or when nobody has
    /// it before its time.
    fn check_missing(&self, slot: usize, key: &Bytes, begun_us: u64) {
        let now_us = self.now_us();
        let Some(write) = self.oracle.must_be_there(key, begun_us, now_us) else {
            return;
        };
        let reader = &self.slots[slot].life.as_ref().expect("lives").node;
        let placement = reader.placement();
        for (other, place) in self.slots.iter().enumerate() {
            let Some(life) = &place.life else { continue };
            // It may have what it has from members of whom the reader has never heard yet.
            let sees = life.node.placement();
            let mut seen = sees.seats().iter().map(|seat| seat.uuid);
            let unheard = |uuid| uuid != reader.own.uuid && reader.life_of(uuid).is_none();
            let knows_more = self.is_or_was_cut() && seen.any(unheard);
            if !placement.contains(place.uuid) || self.is_cut(slot, other) || knows_more {
                continue;
            }
            let kept = life.node.store.get(key, life.node.now());
            assert!(
                kept.is_none_or(|kept| Some(kept.version) < write.version),
                "{slot} says that {key:?} is missing, and {other} has it: {write:?}"
            );
        }
        // Whatever takes it away without an end of a process would be too early.
        assert!(
            self.newest(key) >= write.version,
            "{slot} says that {key:?} is missing, and nobody has it at {now_us}: {write:?}"
        );
    }
}
