//! What goes wrong in a universe, and how it ends.

use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::event::Event;
use super::universe::Universe;
use crate::coordinator::GetOutcome;

/// Time after the last fault within which everything must be well again: until a node that
/// does not answer is noticed, everyone has met, and copies have been compared. Longer
/// absences end before the time of quiet begins.
const SETTLE_US: u64 = 20_000_000;

/// After a long absence members that were forgotten have to find each other again.
const SETTLE_LONG_US: u64 = 130_000_000;

/// Time after the last call, in which what is under way ends.
const LAST_CALLS_US: u64 = 8_000_000;

/// What the story does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Nothing,
    Call,
    Fault,
    Start(usize),
    Thaw(usize),
    Heal(usize, usize),
}

impl Universe {
    /// The whole story of a seed.
    pub(super) fn play(&mut self) {
        for _ in 0..self.nature.slots {
            let slot = self.add_slot();
            let delay = self.random.u64(0..500_000);
            self.after(delay, Event::Story(Turn::Start(slot)));
        }
        self.after(3_000_000, Event::Story(Turn::Call));
        self.after(3_000_000, Event::Story(Turn::Fault));
        let end_us = self.now_us() + self.nature.duration_us;
        self.run(end_us);
        self.mend();
        // Who could not be told that somebody left, or that one that left has died meanwhile,
        // waits for it like for one that does not answer.
        let waits = self.nature.leaves > 0 && self.hosts.len() > 1;
        let settle_us = if self.nature.longest_us > 20_000_000 || waits {
            SETTLE_LONG_US
        } else {
            SETTLE_US
        };
        let end_us = self.now_us() + settle_us;
        self.run(end_us - LAST_CALLS_US);
        self.calling = false;
        self.run(end_us);
        self.check_peace();
    }

    /// Lets everything happen up to a moment.
    pub(super) fn run(&mut self, until_us: u64) {
        while let Some(turn) = self.turn(until_us) {
            match turn {
                Turn::Nothing => {}
                Turn::Call if !self.calling => {}
                Turn::Call => {
                    self.call();
                    let pause = self.random.u64(0..2 * self.nature.call_every_us);
                    // Calls become rare when it is only to be seen whether all is well.
                    let pause = pause * if self.quiet_since_us > 0 { 10 } else { 1 };
                    self.after(pause, Event::Story(Turn::Call));
                }
                Turn::Fault => {
                    if self.quiet_since_us == 0 {
                        self.fault();
                        let pause = self.random.u64(0..2 * self.nature.fault_every_us);
                        self.after(pause, Event::Story(Turn::Fault));
                    }
                }
                Turn::Start(slot) => {
                    if self.slots[slot].life.is_none() && self.slots[slot].wanted {
                        self.start(slot);
                    }
                }
                Turn::Thaw(slot) => self.thaw(slot),
                Turn::Heal(a, b) => {
                    if self.cuts.remove(&(a, b)) {
                        self.healed_us = Some(self.now_us());
                        self.note(|| format!("heal {a} {b}"));
                    }
                }
            }
        }
    }

    fn duration(&mut self) -> u64 {
        // As many short ones as long ones.
        let longest = self.nature.longest_us as f64;
        let shortest = 50_000.0_f64;
        (shortest * (longest / shortest).powf(self.random.f64())) as u64
    }

    fn fault(&mut self) {
        let nature = &self.nature;
        let weights = [
            nature.crashes,
            nature.freezes,
            nature.partitions,
            nature.scalings,
            nature.clock_steps,
            nature.leaves,
        ];
        let sum: u32 = weights.iter().map(|weight| u32::from(*weight)).sum();
        if sum == 0 {
            return;
        }
        let mut drawn = self.random.u32(0..sum);
        let mut which = 0;
        while drawn >= u32::from(weights[which]) {
            drawn -= u32::from(weights[which]);
            which += 1;
        }
        let (slot, duration) = (self.random.usize(0..self.slots.len()), self.duration());
        match which {
            0 => {
                let noticed = self.random.u8(0..100) >= self.nature.unnoticed;
                self.kill(slot, noticed);
                let away = if noticed {
                    self.random.u64(3_000..200_000)
                } else {
                    duration
                };
                self.after(away, Event::Story(Turn::Start(slot)));
            }
            1 => {
                self.freeze(slot);
                self.after(duration, Event::Story(Turn::Thaw(slot)));
            }
            2 => self.partition(duration),
            3 => {
                let places = self.slots.iter();
                let mut free = places.map(|it| it.life.is_none() && !it.wanted);
                if let Some(slot) = free.position(|free| free) {
                    self.start(slot);
                } else if self.slots.len() < self.nature.slots * 2 {
                    let slot = self.add_slot();
                    self.start(slot);
                }
            }
            5 => self.scale_down(),
            _ => {
                let host = self.random.usize(0..self.hosts.len());
                let step = self.random.u64(0..10_000);
                let wall = &self.hosts[host].wall_ms;
                if self.random.bool() {
                    wall.fetch_add(step, Ordering::Relaxed);
                } else {
                    wall.fetch_sub(step, Ordering::Relaxed);
                }
                self.note(|| format!("wall clock of host {host} is set by {step} ms"));
            }
        }
    }

    /// One host is cut off from some or all others.
    fn partition(&mut self, duration: u64) {
        let host = self.random.usize(0..self.hosts.len());
        let all = self.random.bool();
        for other in 0..self.hosts.len() {
            if other == host || !all && self.random.bool() {
                continue;
            }
            let pair = (host.min(other), host.max(other));
            self.cuts.insert(pair);
            self.note(|| format!("cut {pair:?} for {duration}"));
            self.after(duration, Event::Story(Turn::Heal(pair.0, pair.1)));
        }
    }

    /// Ends everything that is wrong.
    fn mend(&mut self) {
        self.quiet_since_us = self.now_us();
        self.note(|| "from here on all is well".to_owned());
        if !self.cuts.is_empty() {
            self.cuts.clear();
            self.healed_us = Some(self.now_us());
        }
        for slot in 0..self.slots.len() {
            self.thaw(slot);
            if self.slots[slot].life.is_none() && self.slots[slot].wanted {
                self.start(slot);
            }
        }
    }

    /// What must hold some time after the last fault.
    pub(super) fn check_peace(&mut self) {
        let living: Vec<usize> = (0..self.slots.len())
            .filter(|slot| self.slots[*slot].life.is_some())
            .collect();
        let node = |slot: usize| &self.slots[slot].life.as_ref().expect("lives").node;
        let view = node(living[0]).placement();
        for &slot in &living {
            assert_eq!(
                node(slot).placement().seats(),
                view.seats(),
                "{slot} sees other members than {}",
                living[0]
            );
        }
        for &slot in &living {
            assert!(
                node(slot).knows_all(),
                "{slot} is not refilled: {:?}, {:?}",
                super::super::node::lock(&node(slot).refill),
                node(slot).world.state()
            );
        }
        self.mark_lost();
        for key in self.oracle.keys() {
            self.check_copies(&living, &key);
            for &slot in &living {
                self.check_read(slot, &key);
            }
        }
    }

    fn check_copies(&self, living: &[usize], key: &Bytes) {
        let node = |slot: usize| &self.slots[slot].life.as_ref().expect("lives").node;
        let view = node(living[0]).placement();
        let held: Vec<_> = living
            .iter()
            .filter(|slot| view.is_holder(self.slots[**slot].uuid, key))
            .map(|slot| (slot, node(*slot).store.get(key, node(*slot).now())))
            .collect();
        // One that ends within these milliseconds may be gone here and not yet there.
        let ends = held.iter().filter_map(|(_, entry)| entry.as_ref());
        let ending = ends.clone().count() < held.len()
            && held.iter().any(|(slot, entry)| {
                let lateness = std::time::Duration::from_millis(4_000);
                entry
                    .as_ref()
                    .is_some_and(|entry| entry.deadline < node(**slot).now() + lateness)
            });
        if ending {
            return;
        }
        let version = |at: usize| held[at].1.as_ref().map(|entry| entry.version);
        for at in 1..held.len() {
            assert_eq!(version(0), version(at), "{key:?}: {held:?}");
        }
    }

    fn check_read(&mut self, slot: usize, key: &Bytes) {
        let mut begun = None;
        self.with(slot, |node| begun = Some(node.begin_get(key)));
        let outcome = match begun.expect("just begun") {
            Ok(outcome) => outcome,
            Err(mut answer) => {
                let end_us = self.now_us() + 2_500_000;
                loop {
                    if let Ok(outcome) = answer.try_recv() {
                        break outcome;
                    }
                    assert!(
                        self.turn(end_us).is_some(),
                        "no answer for {key:?} at {slot}"
                    );
                }
            }
        };
        let now_us = self.now_us();
        let highest = self
            .oracle
            .kept(key)
            .max_by_key(|write| write.version)
            .cloned();
        match &outcome {
            GetOutcome::Found(entry) => {
                let newer = highest.filter(|write| write.version > Some(entry.version));
                assert!(
                    newer.is_none(),
                    "{slot} serves write {} of {key:?}, but {newer:?}",
                    super::oracle::number(&entry.value)
                );
            }
            GetOutcome::Missing | GetOutcome::Unknown => {
                let expected = self.oracle.must_be_there(key, now_us, now_us + 3_000_000);
                assert!(
                    expected.is_none(),
                    "{slot} says {outcome:?} for {key:?}: {expected:?}"
                );
            }
        }
    }
}
