//! How simulated nodes find each other: rounds over all places, and push-pulls.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::super::node::lock;
use super::event::Event;
use super::universe::Universe;
use crate::membership::{Liveness, News};

/// Pause between two rounds of discovery of a node that is alone, and of one that is not. The
/// shorter ones of a node that has just begun to be alone are left out: here it finds others later.
const ROUND_ALONE_US: u64 = 5_000_000;
const ROUND_US: u64 = 60_000_000;

/// Pause between two push-pulls with some member.
pub(super) const PUSH_PULL_US: u64 = 30_000_000;

impl Universe {
    /// Meets whoever is at `to`, as a candidate is met.
    pub(super) fn meet(&mut self, from: usize, to: usize) {
        if self.is_cut(from, to) || self.slots[to].life.is_none() {
            return;
        }
        let Some(life) = &self.slots[from].life else {
            return;
        };
        let (number, news) = (life.number, life.node.knowledge());
        let delay = self.delay_us(from, to);
        self.after(
            delay,
            Event::Meet {
                from,
                life: number,
                to,
                news,
            },
        );
    }

    pub(super) fn be_met(&mut self, from: usize, life: u64, to: usize, news: Vec<News>) {
        let Some(there) = &mut self.slots[to].life else {
            return;
        };
        if there.frozen {
            there.backlog.push(Event::Meet {
                from,
                life,
                to,
                news,
            });
            return;
        }
        let source = self.slots[from].address.ip();
        let mut answer = Vec::new();
        self.with(to, |node| {
            node.learn(source, news);
            answer = node.knowledge();
        });
        let (delay, source) = (self.delay_us(to, from), self.slots[to].address.ip());
        let news = answer;
        self.after(
            delay,
            Event::Met {
                slot: from,
                life,
                source,
                news,
            },
        );
    }

    pub(super) fn round(&mut self, slot: usize, life: u64) {
        let alive: BTreeSet<Uuid> = {
            let life = self.slots[slot].life.as_ref().expect("lives");
            let membership = lock(&life.node.membership);
            let members = membership.members().iter();
            let alive = members.filter(|member| member.liveness == Liveness::Alive);
            alive.map(|member| member.identity.uuid).collect()
        };
        for to in 0..self.slots.len() {
            if to != slot && !alive.contains(&self.slots[to].uuid) {
                self.meet(slot, to);
            }
        }
        let pause = if alive.is_empty() {
            ROUND_ALONE_US
        } else {
            ROUND_US
        };
        let jitter = self.random.u64(0..pause / 4);
        self.after(pause + jitter, Event::Round { slot, life });
    }

    pub(super) fn push_pull(&mut self, slot: usize, life: u64) {
        let up: Vec<Uuid> = {
            let life = self.slots[slot].life.as_ref().expect("lives");
            life.node.world.state().up.iter().copied().collect()
        };
        if !up.is_empty() {
            let peer = up[self.random.usize(0..up.len())];
            self.with(slot, |node| node.push_pull(peer));
        }
        self.after(PUSH_PULL_US, Event::PushPull { slot, life });
    }
}
