//! The membership of one node: foca behind a guard, and the table of who counts.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub(super) mod carrying;
mod ending;
mod telling;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use foca::{Foca, NoCustomBroadcast, OwnedNotification, Runtime, Timer};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use uuid::Uuid;

use super::codec::{self, Codec};
use super::doubts::{Confirmation, Doubts};
use super::members::{Change, MAX_MEMBERS, Members};
use super::{Fate, Identity, News, Profile, Update};
use crate::clock::BootMillis;

/// Members that foca keeps at most: those of the table, and as many that are down and that
/// the table has replaced by others. foca keeps each of those for an hour.
const KEPT_BY_FOCA: usize = 2 * MAX_MEMBERS;

/// What happens to a node's membership.
#[derive(Debug)]
pub enum Input {
    /// An authentic datagram's payload came from `source`.
    Datagram {
        /// Address of the sender.
        source: IpAddr,
        /// What was in the frame.
        payload: Bytes,
    },
    /// An authentic peer sent over a stream what a datagram would have carried.
    Carried {
        /// Address of the peer.
        source: IpAddr,
        /// What a datagram would have carried.
        payload: Bytes,
        /// Whether it may be for another member, who is then to be asked.
        relay: bool,
    },
    /// A peer told over a stream what it knows: the push or the pull of a push-pull.
    Learned {
        /// Address of the peer.
        source: IpAddr,
        /// What it knows, itself included.
        news: Vec<News>,
    },
    /// A life is over: the supervisor says that it died, or it said itself that it leaves.
    Ended {
        /// The node.
        uuid: Uuid,
        /// This life, and every one before it.
        generation: u64,
        /// How it ended.
        fate: Fate,
    },
    /// Other hosts reach this node at another address than before.
    Moved(IpAddr),
    /// The deadline has come.
    Tick,
    /// This node leaves. It is heard of no more, and hears nothing any more.
    Leave,
}

/// What a node's membership asks for and tells.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// Payloads to send as datagrams.
    pub datagrams: Vec<(SocketAddr, Bytes)>,
    /// What changed among the members.
    pub changes: Vec<Change>,
    /// Payloads for whoever sent [`Input::Carried`], to go back over its stream.
    pub answers: Vec<Bytes>,
    /// Members to be asked over a stream, because datagrams are not answered.
    pub confirmations: Vec<Confirmation>,
}

/// What went wrong or was put right, counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MembershipCounters {
    /// Payloads that were not one of foca's, or that foca refused, and news of members for
    /// whom there is no room.
    pub refused: u64,
    /// Messages to live members that they are down, held back by the guard.
    pub undead_held_back: u64,
    /// Times that this node was declared down and came back with a renewal.
    pub renewals: u64,
}

/// One node's view of the members.
pub struct Membership {
    foca: Foca<Identity, Codec, SmallRng, NoCustomBroadcast>,
    table: Members,
    timers: BTreeMap<(BootMillis, u64), Timer<Identity>>,
    timers_made: u64,
    doubts: Doubts,
    effects: Effects,
    counters: MembershipCounters,
    /// Whether this node has said its last word. foca would take what the others say of that
    /// for a mistake, and come back with a renewal.
    has_left: bool,
}

/// What foca asks for during one call.
#[derive(Default)]
struct Effects {
    sends: Vec<(Identity, Bytes)>,
    timers: Vec<(Duration, Timer<Identity>)>,
    notes: Vec<OwnedNotification<Identity>>,
}

impl Runtime<Identity> for Effects {
    fn notify(&mut self, notification: foca::Notification<'_, Identity>) {
        self.notes.push(notification.to_owned());
    }

    fn send_to(&mut self, to: Identity, data: &[u8]) {
        self.sends.push((to, Bytes::copy_from_slice(data)));
    }

    fn submit_after(&mut self, event: Timer<Identity>, after: Duration) {
        self.timers.push((after, event));
    }
}

impl Membership {
    /// The membership of `identity`, alone at first. `seed` chooses whom it probes when.
    #[must_use]
    pub fn new(identity: Identity, profile: Profile, seed: u64) -> Self {
        let rng = SmallRng::seed_from_u64(seed);
        let config = profile.config();
        Self {
            table: Members::new(identity.uuid),
            doubts: Doubts::new(&config),
            foca: Foca::new(identity, config, rng, Codec),
            timers: BTreeMap::new(),
            timers_made: 0,
            effects: Effects::default(),
            counters: MembershipCounters::default(),
            has_left: false,
        }
    }

    /// This node's own identity now: a renewal changes it.
    #[must_use]
    pub const fn identity(&self) -> &Identity {
        self.foca.identity()
    }

    /// Everyone else.
    #[must_use]
    pub const fn members(&self) -> &Members {
        &self.table
    }

    /// Counters since the start.
    #[must_use]
    pub const fn counters(&self) -> MembershipCounters {
        self.counters
    }

    /// When [`Input::Tick`] is due next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<BootMillis> {
        if self.has_left {
            return None;
        }
        let timer = self.timers.keys().next().map(|(at, _)| *at);
        [
            timer,
            self.table.next_deadline(),
            self.doubts.next_deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// One step.
    pub fn handle(&mut self, input: Input, now: BootMillis) -> Output {
        let mut output = Output::default();
        if self.has_left {
            return output;
        }
        match input {
            Input::Datagram { source, payload } => {
                self.datagram(source, payload, now, &mut output);
            }
            Input::Carried {
                source,
                payload,
                relay,
            } => self.carried(source, payload, relay, now, &mut output),
            Input::Learned { source, news } => self.learned(source, news, now, &mut output),
            Input::Ended {
                uuid,
                generation,
                fate,
            } => {
                if self.end(uuid, generation, fate, now, &mut output) {
                    self.tell_of_an_end(now, &mut output);
                }
            }
            Input::Moved(ip) => self.moved(ip, now, &mut output),
            Input::Tick => self.tick(now, &mut output),
            Input::Leave => self.leave(now, &mut output),
        }
        output
    }

    fn datagram(&mut self, source: IpAddr, payload: Bytes, now: BootMillis, output: &mut Output) {
        let Ok((mut header, updates)) = codec::decode_payload(payload.clone()) else {
            self.counters.refused += 1;
            return;
        };
        header.src = header.src.heard_from(source);
        let named = std::iter::once(&header.src).chain(updates.iter().map(Update::id));
        let crowded = self.without_room(named);
        if crowded.contains(&header.src.uuid) {
            self.counters.refused += 1;
            return;
        }
        self.table.heard(&header.src, now);
        self.doubts.heard(&header);
        // Rewritten only where somebody speaks of a loopback address of another host, or of
        // members for whom there is no room.
        let (payload, updates) = if source.is_loopback() && crowded.is_empty() {
            (payload, updates)
        } else {
            let updates = updates
                .into_iter()
                .map(|update| localized(update, source))
                .collect();
            let updates = self.admitted(updates, &crowded);
            (codec::encode_payload(&header, &updates), updates)
        };
        self.fates(&updates, now, output);
        let result = self.foca.handle_data(&payload, &mut self.effects);
        self.settle(result, now, output);
    }

    /// Those of `named` whom neither the table knows nor has room for. foca would keep them
    /// all: it has no bound of its own.
    fn without_room<'a>(&self, named: impl Iterator<Item = &'a Identity>) -> BTreeSet<Uuid> {
        let own = self.foca.identity().uuid;
        let unknown = named
            .map(|identity| identity.uuid)
            .filter(|uuid| *uuid != own && self.table.get(*uuid).is_none());
        let mut room = None;
        let (mut admitted, mut crowded) = (BTreeSet::new(), BTreeSet::new());
        for uuid in unknown {
            let room = *room.get_or_insert_with(|| {
                let kept = self.foca.iter_membership_state().count();
                self.table.room().min(KEPT_BY_FOCA.saturating_sub(kept))
            });
            if admitted.contains(&uuid) {
                continue;
            }
            if admitted.len() < room {
                admitted.insert(uuid);
            } else {
                crowded.insert(uuid);
            }
        }
        crowded
    }

    /// Tells the others by a renewal, which replaces what they know of this life. Where no
    /// further one can be had, which takes 65535 moves, they find out by themselves.
    fn moved(&mut self, ip: IpAddr, now: BootMillis, output: &mut Output) {
        let own = self.foca.identity();
        if own.gossip.ip() == ip {
            return;
        }
        if let Some(mut renewed) = foca::Identity::renew(own) {
            renewed.gossip.set_ip(ip);
            let result = self.foca.change_identity(renewed, &mut self.effects);
            self.settle(result, now, output);
            self.restart_timers(now, output);
        }
    }

    /// foca 2.0 drops all its timers when its identity changes, and sets new ones when somebody
    /// says something. Where nobody does any more, nobody would be found to be silent. To be
    /// told of nothing is enough.
    fn restart_timers(&mut self, now: BootMillis, output: &mut Output) {
        let nothing = std::iter::empty();
        let result = self.foca.apply_many(nothing, false, &mut self.effects);
        self.settle(result, now, output);
    }

    fn tick(&mut self, now: BootMillis, output: &mut Output) {
        while let Some(timer) = self.timers.first_entry()
            && timer.key().0 <= now
        {
            let timer = timer.remove();
            let unanswered = match &timer {
                Timer::SendIndirectProbe { probed_id, .. } => self.doubts.unanswered(probed_id),
                _ => None,
            };
            let result = self.foca.handle_timer(timer, &mut self.effects);
            self.settle(result, now, output);
            if let Some(doubt) = unanswered {
                self.confirm(doubt, output);
            }
        }
        for doubt in self.doubts.due(now) {
            self.confirm(doubt, output);
        }
        output.changes.extend(self.table.tick(now));
    }

    /// Turns what foca asked for into outputs.
    fn settle(&mut self, result: Result<(), foca::Error>, now: BootMillis, output: &mut Output) {
        // A step of foca fails on input that it does not take, or on a timer that no longer
        // fits; neither leaves anything undone.
        self.counters.refused += u64::from(result.is_err());
        let effects = std::mem::take(&mut self.effects);
        for (after, timer) in effects.timers {
            if let Timer::ChangeSuspectToDown { member_id, .. } = &timer {
                self.doubts.suspected(member_id, now);
            }
            self.timers_made += 1;
            self.timers.insert((now + after, self.timers_made), timer);
        }
        let (mut risen, mut rejoins) = (BTreeSet::new(), false);
        for note in effects.notes {
            rejoins |= matches!(note, OwnedNotification::Rejoin(_));
            if let OwnedNotification::MemberUp(identity) | OwnedNotification::Rename(_, identity) =
                &note
            {
                risen.insert(identity.uuid);
            }
            let changes = self.noted(note, now);
            output.changes.extend(changes);
        }
        for (to, payload) in effects.sends {
            // foca 2.0 tells a member that it is down after it has refuted the suspicion,
            // and the member would renew its identity for nothing.
            if codec::is_turn_undead(&payload) && self.is_active(&to) {
                self.counters.undead_held_back += 1;
                continue;
            }
            self.doubts.sent(&to, &payload);
            output
                .datagrams
                .push((self.best_known(&to).gossip, payload));
        }
        for uuid in risen {
            self.bury(uuid, now, output);
        }
        if rejoins {
            self.restart_timers(now, output);
        }
    }

    fn noted(&mut self, note: OwnedNotification<Identity>, now: BootMillis) -> Vec<Change> {
        let change = match note {
            OwnedNotification::MemberUp(identity) => self.table.alive(&identity, now),
            OwnedNotification::MemberDown(identity) => match identity.fate {
                Some(fate) => self
                    .table
                    .ended(identity.uuid, identity.generation, fate, now),
                None => return self.table.silent(&identity, Duration::ZERO, now),
            },
            // Without a change of liveness there is no other notice.
            OwnedNotification::Rename(_, identity) => {
                if self.is_active(&identity) {
                    self.table.alive(&identity, now)
                } else {
                    None
                }
            }
            OwnedNotification::Rejoin(_) => {
                self.counters.renewals += 1;
                None
            }
            OwnedNotification::Active | OwnedNotification::Idle | OwnedNotification::Defunct => {
                None
            }
        };
        change.into_iter().collect()
    }

    fn is_active(&self, identity: &Identity) -> bool {
        self.foca
            .iter_members()
            .any(|member| member.id() == identity)
    }

    /// The table hears from members directly and knows better where they are.
    fn best_known<'a>(&'a self, identity: &'a Identity) -> &'a Identity {
        match self.table.get(identity.uuid) {
            Some(member) if member.identity == *identity => &member.identity,
            _ => identity,
        }
    }
}

fn localized(update: Update, source: IpAddr) -> Update {
    Update::new(
        update.id().clone().heard_from(source),
        update.incarnation(),
        update.state(),
    )
}
