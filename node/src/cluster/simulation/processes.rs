//! Simulated processes: started, killed, frozen.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::super::node::Node;
use super::event::Event;
use super::local::{Local, State};
use super::meeting::PUSH_PULL_US;
use super::universe::{Life, Universe};
use crate::membership::{Fate, Identity, Input, Names, Profile};
use crate::store::{Store, StoreConfig};
use crate::version::Version;

/// When the first round of discovery is over.
const JOIN_WITHIN_US: u64 = 500_000;

impl Universe {
    /// Starts the next life of a slot.
    pub(super) fn start(&mut self, slot: usize) {
        self.lives += 1;
        let (number, seed) = (self.lives, self.random.u64(..));
        let place = &mut self.slots[slot];
        assert!(place.life.is_none(), "one life at a time");
        place.generation += 1;
        place.wanted = true;
        let identity = Identity {
            uuid: place.uuid,
            generation: place.generation,
            renewal: 0,
            host: place.host as u64,
            gossip: place.address,
            http_port: 1,
            names: Arc::new(Names::new(&format!("node-{slot}"), "default")),
            fate: None,
        };
        let world = Local {
            true_us: Arc::clone(&self.true_us),
            clocks: Arc::clone(&self.hosts[place.host]),
            state: std::sync::Mutex::new(State::default()),
        };
        let store = Arc::new(Store::new(StoreConfig {
            limit_bytes: 1 << 30,
            shards: 1,
        }));
        let (timeout, copies) = (Duration::from_secs(5), self.nature.copies);
        let profile = match identity.gossip.ip().is_loopback() {
            true => Profile::Machine,
            false => Profile::Network,
        };
        let node = Node::new(identity, profile, world, store, copies, timeout, seed);
        place.life = Some(Life {
            number,
            node: Arc::new(node),
            frozen: false,
            joined: false,
            backlog: Vec::new(),
            wake_us: u64::MAX,
            puts: Vec::new(),
            gets: Vec::new(),
            leave: None,
            incoming: BTreeMap::new(),
        });
        self.note(|| format!("start {slot} as {number}"));
        let life = number;
        self.after(0, Event::Round { slot, life });
        self.after(JOIN_WITHIN_US, Event::Joined { slot, life });
        let jitter = self.random.u64(0..PUSH_PULL_US);
        self.after(PUSH_PULL_US / 2 + jitter, Event::PushPull { slot, life });
        // Its supervisor tells it first which siblings are no more, and the siblings of it, who
        // meet it as well.
        for over in 0..self.slots.len() {
            let buried = self.slots[over].buried;
            if over != slot && self.slots[over].host == self.slots[slot].host && buried > 0 {
                self.bury(slot, over);
            }
        }
        for sibling in self.siblings(slot) {
            let life = self.slots[sibling].life.as_ref().expect("lives").number;
            self.after(
                0,
                Event::Sibling {
                    slot: sibling,
                    life,
                    to: slot,
                },
            );
        }
    }

    /// The supervisor tells one of its nodes which lives of another are over.
    fn bury(&mut self, slot: usize, over: usize) {
        let (uuid, generation) = (self.slots[over].uuid, self.slots[over].buried);
        self.with(slot, |node| {
            node.step(Input::Ended {
                uuid,
                generation,
                fate: Fate::Died,
            });
        });
    }

    pub(super) fn siblings(&self, slot: usize) -> Vec<usize> {
        let host = self.slots[slot].host;
        let others = self.slots.iter().enumerate();
        let others = others.filter(|(other, it)| *other != slot && it.host == host);
        let living = others.filter(|(_, it)| it.life.is_some());
        living.map(|(other, _)| other).collect()
    }

    /// Ends a process as kill -9 does; its supervisor notices, if there is one.
    pub(super) fn kill(&mut self, slot: usize, noticed: bool) {
        self.kills += u64::from(self.slots[slot].life.is_some());
        // Nobody comes back in its place when it was to stop, and its supervisor waits for it.
        self.end(slot, noticed || !self.slots[slot].wanted);
    }

    /// A process is over, however it ended.
    pub(super) fn end(&mut self, slot: usize, noticed: bool) {
        let Some(life) = self.slots[slot].life.take() else {
            return;
        };
        let number = life.number;
        self.note(|| format!("end of {slot} ({number}), noticed: {noticed}"));
        self.note_met(number);
        self.mark_lost();
        self.note_copies();
        self.cut_links(slot);
        if !noticed {
            return;
        }
        let (uuid, generation) = (self.slots[slot].uuid, self.slots[slot].generation);
        self.slots[slot].buried = generation;
        for sibling in self.siblings(slot) {
            let delay = self.random.u64(500..5_000);
            let life = self.slots[sibling].life.as_ref().expect("lives").number;
            self.after(
                delay,
                Event::Buried {
                    slot: sibling,
                    life,
                    uuid,
                    generation,
                },
            );
        }
    }

    /// Ends all streams of a process that is no more.
    pub(super) fn cut_links(&mut self, slot: usize) {
        let own = self.links.iter().filter(|((from, _), _)| *from == slot);
        let open = own.filter(|(_, link)| link.connected_to.is_some());
        let open: Vec<_> = open.map(|((_, to), link)| (*to, link.stream)).collect();
        self.links.retain(|(from, _), _| *from != slot);
        for (to, stream) in open {
            self.tell_closed(slot, to, stream);
        }
        let peers: Vec<usize> = self
            .links
            .keys()
            .filter(|(_, to)| *to == slot)
            .map(|(from, _)| *from)
            .collect();
        for from in peers {
            if self.is_cut(from, slot) {
                // What is under way is sent again until somebody says that there is no such
                // connection, also where a frozen process had it in its queue until now.
                let session = self.links[&(from, slot)].session;
                self.after(
                    0,
                    Event::Frames {
                        from,
                        to: slot,
                        session,
                    },
                );
            } else {
                self.break_link(from, slot);
            }
        }
    }

    /// Whatever only processes had that are no more is lost, and nobody is to blame.
    pub(super) fn mark_lost(&mut self) {
        let (now_us, mut newest) = (self.now_us(), BTreeMap::new());
        let mut known = BTreeMap::new();
        let mut lost = Vec::new();
        for key in self.oracle.keys() {
            newest.insert(key.clone(), self.newest(&key));
            known.insert(key.clone(), self.oracle.newest(&key));
        }
        for write in &mut self.oracle.writes {
            let Some(version) = write.version else {
                continue;
            };
            write.replaced |= newest[&write.key] > Some(version);
            write.replaced |= known[&write.key] > Some(version);
            if !write.lost && newest[&write.key].is_none_or(|newest| newest < version) {
                write.lost = true;
                let acknowledged = write.acknowledged_us().is_some();
                let mattered = acknowledged && !write.replaced && now_us < write.ends_us;
                self.oracle.tally.lost_with_all_copies += u64::from(mattered);
                if mattered {
                    lost.push(format!("{write:?}"));
                }
            }
        }
        for write in lost {
            self.note(|| format!("  lost: {write}"));
        }
    }

    /// Who keeps what, for the journal.
    fn note_copies(&mut self) {
        if self.journal.is_none() {
            return;
        }
        for key in self.oracle.keys() {
            let lives = self.slots.iter().enumerate();
            let lives = lives.filter_map(|(slot, it)| Some((slot, it.life.as_ref()?)));
            let kept = lives.filter_map(|(slot, life)| {
                let entry = life.node.store.get(&key, life.node.now())?;
                Some((slot, super::oracle::number(&entry.value)))
            });
            let kept: Vec<(usize, usize)> = kept.collect();
            if !kept.is_empty() {
                self.note(|| format!("  {key:?} is kept by (slot, write): {kept:?}"));
            }
        }
    }

    /// The highest version of a key that some process keeps.
    pub(super) fn newest(&self, key: &Bytes) -> Option<Version> {
        let lives = self.slots.iter().filter_map(|slot| slot.life.as_ref());
        lives
            .filter_map(|life| life.node.store.version(key, life.node.now()))
            .max()
    }

    pub(super) fn freeze(&mut self, slot: usize) {
        if let Some(life) = &mut self.slots[slot].life {
            life.frozen = true;
            self.note(|| format!("freeze {slot}"));
        }
    }

    pub(super) fn thaw(&mut self, slot: usize) {
        let Some(life) = self.slots[slot].life.as_mut().filter(|it| it.frozen) else {
            return;
        };
        life.frozen = false;
        life.wake_us = 0;
        let mut backlog = std::mem::take(&mut life.backlog);
        let number = life.number;
        self.note(|| format!("thaw {slot}"));
        self.note_met(number);
        // Which of its sockets a process looks at first is anybody's guess.
        self.random.shuffle(&mut backlog);
        for event in backlog {
            self.after(0, event);
        }
        self.after(0, Event::Wake { slot, life: number });
        let links: Vec<(usize, usize)> = self.links.keys().copied().collect();
        for (from, to) in links {
            if from == slot || to == slot {
                let session = self.links[&(from, to)].session;
                let delay = self.random.u64(0..2_000);
                self.after(delay, Event::Frames { from, to, session });
            }
        }
    }
}
