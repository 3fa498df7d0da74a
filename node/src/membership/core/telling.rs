//! What is told of the members over streams, and learned.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use foca::State;
use uuid::Uuid;

use super::{Membership, Output, localized};
use crate::clock::BootMillis;
use crate::membership::members::{DOWN_FORGET, Liveness, MAX_MEMBERS};
use crate::membership::{Fate, Identity, News, Update};

impl Membership {
    /// What this node knows, itself first: what it pushes to a peer. Of others it tells about
    /// [`MAX_MEMBERS`] at most, which is what a peer takes, and about those that count first.
    #[must_use]
    pub fn knowledge(&self, now: BootMillis) -> Vec<News> {
        let own = self.foca.identity().clone();
        let own = if self.has_left {
            let fate = Some(Fate::Left);
            Update::down(Identity { fate, ..own })
        } else {
            Update::alive(own)
        };
        let others = self.foca.iter_membership_state();
        let mut others: Vec<News> = others.map(|update| self.told(update, now)).collect();
        others.sort_by_key(|news| match (news.update.state(), news.silent_for) {
            (State::Alive, _) => 0,
            (State::Suspect, _) => 1,
            (State::Down, Some(_)) => 2,
            (State::Down, None) => 3,
        });
        others.truncate(MAX_MEMBERS);
        std::iter::once(News::from(own)).chain(others).collect()
    }

    /// What is told of a member that foca knows. Of how lives end, and of how long ago they
    /// fell silent, the table knows more.
    fn told(&self, update: &Update, now: BootMillis) -> News {
        let mut identity = self.best_known(update.id()).clone();
        let (mut state, mut silent_for) = (update.state(), None);
        let end = self.table.end_of(identity.uuid);
        if let Some(end) = end.filter(|end| identity.generation <= end.generation) {
            identity.fate = Some(end.fate);
            state = State::Down;
        } else if let Some(member) = self.table.get(identity.uuid)
            && let Liveness::Unreachable(since) = member.liveness
            && member.identity == identity
        {
            let silence = Duration::from_millis(now.since(since));
            silent_for = Some(silence).filter(|it| *it < DOWN_FORGET);
        }
        News {
            silent_for: silent_for.filter(|_| state == State::Down),
            update: Update::new(identity, update.incarnation(), state),
        }
    }

    pub(super) fn learned(
        &mut self,
        source: IpAddr,
        news: Vec<News>,
        now: BootMillis,
        output: &mut Output,
    ) {
        let silences: Vec<(Identity, Duration)> = news
            .iter()
            .filter_map(|it| Some((it.update.id().clone().heard_from(source), it.silent_for?)))
            .collect();
        let updates = news.into_iter().map(|it| localized(it.update, source));
        let updates: Vec<Update> = updates.collect();
        let crowded = self.without_room(updates.iter().map(Update::id));
        let updates = self.admitted(updates, &crowded);
        if let Some(speaker) = updates.first() {
            self.table.heard(speaker.id(), now);
        }
        self.fates(&updates, now, output);
        for (identity, silence) in silences {
            if !crowded.contains(&identity.uuid) {
                let changes = self.table.silent(&identity, silence, now);
                output.changes.extend(changes);
            }
        }
        let result = self
            .foca
            .apply_many(updates.into_iter(), true, &mut self.effects);
        self.settle(result, now, output);
    }

    /// `updates` without those about `crowded`, which are counted.
    pub(super) fn admitted(
        &mut self,
        mut updates: Vec<Update>,
        crowded: &BTreeSet<Uuid>,
    ) -> Vec<Update> {
        let before = updates.len();
        updates.retain(|update| !crowded.contains(&update.id().uuid));
        self.counters.refused += (before - updates.len()) as u64;
        updates
    }
}
