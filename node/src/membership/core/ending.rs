//! Lives that are over, this node's own among them.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use uuid::Uuid;

use super::{Membership, Output};
use crate::clock::BootMillis;
use crate::membership::members::{End, Members};
use crate::membership::{Fate, Identity, Update};

impl Membership {
    /// News of how lives ended. foca passes them on only where it did not know already that
    /// the member was down, and not at all from a sender that it takes for down itself.
    pub(super) fn fates(&mut self, updates: &[Update], now: BootMillis, output: &mut Output) {
        for identity in updates.iter().map(Update::id) {
            if let Some(fate) = identity.fate {
                self.end(identity.uuid, identity.generation, fate, now, output);
            }
        }
    }

    /// A life is over; whether that is news.
    pub(super) fn end(
        &mut self,
        uuid: Uuid,
        generation: u64,
        fate: Fate,
        now: BootMillis,
        output: &mut Output,
    ) -> bool {
        let last = |table: &Members| table.end_of(uuid).map(|end| end.generation);
        let before = last(&self.table);
        let change = self.table.ended(uuid, generation, fate, now);
        output.changes.extend(change);
        let is_news = last(&self.table) != before;
        if is_news {
            self.bury(uuid, now, output);
        }
        is_news
    }

    /// Tells foca that a life is over which the table knows to be. A renewal of it may still
    /// be on its way, and whoever has not heard of the end would take it for a member.
    pub(super) fn bury(&mut self, uuid: Uuid, now: BootMillis, output: &mut Output) {
        let Some(End {
            generation, fate, ..
        }) = self.table.end_of(uuid)
        else {
            return;
        };
        let known = self.foca.iter_members().map(Update::id);
        let mut lives = known.filter(|it| it.uuid == uuid && it.generation <= generation);
        let Some(identity) = lives.next().cloned() else {
            return;
        };
        drop(lives);
        let identity = Identity {
            fate: Some(fate),
            ..identity
        };
        let down = std::iter::once(Update::down(identity));
        let result = self.foca.apply_many(down, true, &mut self.effects);
        self.settle(result, now, output);
    }

    /// The others learn of an end now, not with the next period.
    pub(super) fn tell_of_an_end(&mut self, now: BootMillis, output: &mut Output) {
        let result = self.foca.gossip(&mut self.effects);
        self.settle(result, now, output);
    }

    /// This node's last word.
    pub(super) fn leave(&mut self, now: BootMillis, output: &mut Output) {
        let result = self.foca.leave_cluster(&mut self.effects);
        self.settle(result, now, output);
        self.has_left = true;
    }
}
