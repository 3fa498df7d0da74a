//! Performing a leave, this node's own and those of others.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use uuid::Uuid;

use super::HandOver;
use super::Life;
use super::asks::Asked;
use super::node::{Node, lock};
use super::scan::{Budget, Scan};
use super::world::World;
use crate::clock::BootMillis;
use crate::membership::{Fate, Identity, Input, Liveness};
use crate::wire::frame::{Ack, Request};

impl<W: World> Node<W> {
    /// This node leaves, and `together` do at the same time. It may be called again when more
    /// is known. [`Node::handed_over`] says when everything is handed over.
    pub(super) fn begin_leave(&self, together: &[Life]) {
        let now = self.world.boot_now();
        let mut news = self.note_leavers(together, now);
        let begins = lock(&self.leaving).begin(now);
        if begins {
            // What is kept for holders that could not be reached moves like everything else.
            for (key, entry) in lock(&self.writes).hints() {
                if self.keep(key, entry) == Ack::Full {
                    self.counters.left_behind.fetch_add(1, Ordering::Relaxed);
                }
            }
            news = true;
        }
        if news {
            self.members_changed();
        }
        self.ask_to_take_over();
    }

    /// Asks those who stay whether they have everything, and looks whether that is over.
    pub(super) fn ask_to_take_over(&self) {
        let now = self.world.boot_now();
        let (asked, together) = {
            let mut leaving = lock(&self.leaving);
            (leaving.ask(now), leaving.lives())
        };
        let view = self.placement().fingerprint();
        // Those who leave too are told, so that all see the same members.
        let told = if asked.is_empty() {
            Vec::new()
        } else {
            together.iter().map(|(uuid, _)| *uuid).collect()
        };
        for peer in asked.into_iter().chain(told) {
            let id = self.asks.note(peer, Asked::TakenOver);
            let question = Request::Leaving {
                id,
                view,
                together: together.clone(),
                going: false,
            };
            // Whoever cannot be asked now is asked again.
            if self.world.send(peer, question).is_err() {
                self.asks.forget(id);
            }
        }
        self.look_whether_handed_over();
    }

    /// A member says whether it has everything.
    pub(super) fn take_over_answered(&self, peer: Uuid, done: bool) {
        if done {
            lock(&self.leaving).taken_over(peer);
            self.look_whether_handed_over();
        }
    }

    /// Looks whether a leave of this node, if it leaves, waits for anybody still.
    pub(super) fn look_whether_handed_over(&self) {
        let (is_own, waiting) = {
            let leaving = lock(&self.leaving);
            (leaving.is_own(), leaving.waiting())
        };
        // Whoever is known not to answer is not waited for.
        let over = is_own && {
            let membership = lock(&self.membership);
            let answers = |uuid: &Uuid| {
                let member = membership.members().get(*uuid);
                member.is_some_and(|member| member.liveness == Liveness::Alive)
            };
            !waiting.iter().any(answers)
        };
        self.handed_over
            .send_if_modified(|before| std::mem::replace(before, over) != over);
    }

    /// What became of the values that this node has.
    pub(super) fn hand_over(&self) -> HandOver {
        let waiting = lock(&self.leaving).waiting();
        let view = self.view();
        let nobody_stays = view.placement.contains(self.own.uuid);
        if waiting.is_empty() && !nobody_stays {
            return HandOver::Complete;
        }
        let is_left = |key: &Bytes| {
            let holders = view.placement.holders(key);
            let mut lacking = holders.iter().filter(|seat| waiting.contains(&seat.uuid));
            nobody_stays || lacking.any(|seat| !view.wide.is_holder(seat.uuid, key))
        };
        let everything = Budget {
            items: usize::MAX,
            bytes: usize::MAX,
        };
        let now = self.world.boot_now();
        let mut scan = Scan::new(&self.store, now, Bytes::new(), None, everything);
        let mut left = 0;
        while let Some(listed) = scan.next() {
            left += u64::from(!listed.ended && is_left(&listed.key));
        }
        if nobody_stays {
            HandOver::NobodyStays(left)
        } else {
            HandOver::Incomplete(left)
        }
    }

    /// A member leaves, `together` with others, and asks whether this node has taken over
    /// everything for the members of `view`.
    pub(super) fn has_taken_over(&self, from: &Identity, view: u64, together: &[Life]) -> bool {
        let now = self.world.boot_now();
        let mut news = lock(&self.leaving).note(from.uuid, from.generation, now);
        news |= self.note_leavers(together, now);
        if news {
            tracing::info!(uuid = %from.uuid, "{} leaves", from.names.node_id);
            self.members_changed();
        }
        self.placement().fingerprint() == view && lock(&self.refill).has_heard_all_of(from.uuid)
    }

    /// A member has left.
    pub(super) fn has_left(&self, member: &Identity) {
        self.step(Input::Ended {
            uuid: member.uuid,
            generation: member.generation,
            fate: Fate::Left,
        });
    }

    /// Notes that these lives leave; whether that is news.
    fn note_leavers(&self, lives: &[Life], now: BootMillis) -> bool {
        let mut leaving = lock(&self.leaving);
        let mut news = false;
        for (uuid, generation) in lives {
            if *uuid != self.own.uuid {
                news |= leaving.note(*uuid, *generation, now);
            }
        }
        news
    }
}
