//! The table of members: who counts, and since when somebody is silent.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::BTreeMap;
use std::time::Duration;

use uuid::Uuid;

use super::{Fate, Identity};
use crate::clock::BootMillis;

/// How long a member that does not answer still counts. Its copies are presumed to be there
/// and its vote is needed, so that the smaller side of a short partition cannot acknowledge
/// writes of its own; after that its copies count as lost.
pub const DOWN_FORGET: Duration = Duration::from_secs(60);

/// How long a life that ended is remembered, so that late gossip about it changes nothing.
/// An hour is far beyond any message's travel.
pub(super) const ENDED_REMEMBERED: Duration = Duration::from_secs(3600);

/// Members in the table, those that ended included. Ten times the largest fleet that is
/// tested; a stranger's flood of identities ends here.
pub const MAX_MEMBERS: usize = 1024;

/// What is known of a member's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// It answers.
    Alive,
    /// It does not answer since the given moment, and counts for [`DOWN_FORGET`].
    Unreachable(BootMillis),
    /// It was unreachable for too long, forgotten at the given moment. The same life may
    /// still come back.
    Forgotten(BootMillis),
    /// This life is over since the given moment: only a higher generation comes back.
    Ended(Fate, BootMillis),
}

/// A member and what is known of it.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its latest known life.
    pub identity: Identity,
    /// Whether it lives.
    pub liveness: Liveness,
    /// When something authentic was last received from it, or said of it being alive.
    pub heard: BootMillis,
}

impl Member {
    /// Whether it takes part in quorums.
    #[must_use]
    pub const fn counts(&self) -> bool {
        match self.liveness {
            Liveness::Alive | Liveness::Unreachable(_) => true,
            Liveness::Forgotten(_) | Liveness::Ended(..) => false,
        }
    }
}

/// Something that happened to a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A life that was not known before.
    Joined(Uuid),
    /// A known life answers again, after the given time of silence.
    Returned(Uuid, Duration),
    /// It is at another address than before.
    Moved(Uuid),
    /// It stopped answering.
    Unreachable(Uuid),
    /// It was unreachable for [`DOWN_FORGET`]: its copies count as lost.
    Forgotten(Uuid),
    /// Its life is over.
    Ended(Uuid, Fate),
}

/// All members but this node itself.
#[derive(Debug)]
pub struct Members {
    own: Uuid,
    members: BTreeMap<Uuid, Member>,
    /// Ends of lives that were not known: gossip of them may still come, from somebody who
    /// was stopped before the end.
    ends: BTreeMap<Uuid, End>,
}

/// How a life ended, and every one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct End {
    pub(super) generation: u64,
    pub(super) fate: Fate,
    at: BootMillis,
}

impl Members {
    /// The empty table of node `own`.
    #[must_use]
    pub const fn new(own: Uuid) -> Self {
        Self {
            own,
            members: BTreeMap::new(),
            ends: BTreeMap::new(),
        }
    }

    /// All members, in order of UUID.
    pub fn iter(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    /// One member.
    #[must_use]
    pub fn get(&self, uuid: Uuid) -> Option<&Member> {
        self.members.get(&uuid)
    }

    /// A life is there.
    pub fn alive(&mut self, identity: &Identity, now: BootMillis) -> Option<Change> {
        let end = self.end_of(identity.uuid);
        if identity.uuid == self.own || end.is_some_and(|end| identity.generation <= end.generation)
        {
            return None;
        }
        let Some(member) = self.members.get_mut(&identity.uuid) else {
            return self.insert(identity, now);
        };
        let newer = identity.generation > member.identity.generation;
        if identity.generation < member.identity.generation {
            return None;
        }
        let before = member.liveness;
        let place = member.identity.gossip;
        if newer || identity.renewal >= member.identity.renewal {
            member.identity = Identity {
                fate: None,
                ..identity.clone()
            };
        }
        member.liveness = Liveness::Alive;
        member.heard = now;
        match before {
            _ if newer => Some(Change::Joined(identity.uuid)),
            Liveness::Alive => {
                (member.identity.gossip != place).then_some(Change::Moved(identity.uuid))
            }
            Liveness::Unreachable(since) => Some(Change::Returned(
                identity.uuid,
                Duration::from_millis(now.since(since)),
            )),
            // Its copies were given up, so it comes like a new one.
            Liveness::Forgotten(_) => Some(Change::Joined(identity.uuid)),
            Liveness::Ended(..) => None,
        }
    }

    /// Something authentic came from a member: it is where it came from.
    pub fn heard(&mut self, identity: &Identity, now: BootMillis) {
        if let Some(member) = self.members.get_mut(&identity.uuid)
            && member.identity == *identity
        {
            member.identity = Identity {
                fate: None,
                ..identity.clone()
            };
            member.heard = now;
        }
    }

    /// A life does not answer, and has not for so long as far as others know. One that was
    /// not known counts until the others forget it.
    pub fn silent(
        &mut self,
        identity: &Identity,
        silence: Duration,
        now: BootMillis,
    ) -> Vec<Change> {
        let uuid = identity.uuid;
        let before = self.members.get(&uuid).map(|member| {
            let known = (member.identity.generation, member.identity.renewal);
            (known, member.liveness)
        });
        let told = (identity.generation, identity.renewal);
        let (mut since, mut changes) = (BootMillis(now.0.saturating_sub(millis(silence))), vec![]);
        match before {
            Some((known, liveness)) if known == told => match liveness {
                // It answered here until a moment ago.
                Liveness::Alive => since = now,
                Liveness::Unreachable(_) | Liveness::Forgotten(_) | Liveness::Ended(..) => {
                    return changes;
                }
            },
            Some((known, _)) if known > told => return changes,
            // It came, or came back, without our hearing of it.
            None | Some(_) => {
                changes.extend(self.alive(identity, now));
            }
        }
        if let Some(member) = self.members.get_mut(&uuid)
            && member.liveness == Liveness::Alive
        {
            member.liveness = Liveness::Unreachable(since);
            member.heard = member.heard.min(since);
            changes.push(Change::Unreachable(uuid));
        }
        changes
    }

    /// A life is over, and every one before it, whether it was known or not.
    pub fn ended(
        &mut self,
        uuid: Uuid,
        generation: u64,
        fate: Fate,
        now: BootMillis,
    ) -> Option<Change> {
        let known = self.members.get_mut(&uuid);
        if known
            .as_ref()
            .is_none_or(|member| member.identity.generation < generation)
        {
            let end = End {
                generation,
                fate,
                at: now,
            };
            let kept = self.ends.entry(uuid).or_insert(end);
            *kept = end.max(*kept);
            if self.ends.len() > MAX_MEMBERS {
                let oldest = self.ends.iter().min_by_key(|(_, end)| end.at);
                let oldest = oldest.map(|(uuid, _)| *uuid);
                oldest.and_then(|uuid| self.ends.remove(&uuid));
            }
        }
        let member = known?;
        if member.identity.generation > generation || matches!(member.liveness, Liveness::Ended(..))
        {
            return None;
        }
        member.liveness = Liveness::Ended(fate, now);
        Some(Change::Ended(uuid, fate))
    }

    /// The last end that is known of a member's lives. A life after that may be known too.
    pub(super) fn end_of(&self, uuid: Uuid) -> Option<End> {
        let member = self.members.get(&uuid);
        let seen = member.and_then(|member| match member.liveness {
            Liveness::Ended(fate, at) => Some(End {
                generation: member.identity.generation,
                fate,
                at,
            }),
            Liveness::Alive | Liveness::Unreachable(_) | Liveness::Forgotten(_) => None,
        });
        seen.max(self.ends.get(&uuid).copied())
    }

    /// What happens by the mere passing of time.
    pub fn tick(&mut self, now: BootMillis) -> Vec<Change> {
        let mut changes = Vec::new();
        for member in self.members.values_mut() {
            if let Liveness::Unreachable(since) = member.liveness
                && since + DOWN_FORGET <= now
            {
                member.liveness = Liveness::Forgotten(now);
                changes.push(Change::Forgotten(member.identity.uuid));
            }
        }
        self.members
            .retain(|_, member| Self::kept_until(member).is_none_or(|end| now < end));
        self.ends.retain(|_, end| now < end.at + ENDED_REMEMBERED);
        changes
    }

    /// When [`Members::tick`] has something to do next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<BootMillis> {
        self.members
            .values()
            .filter_map(|member| match member.liveness {
                Liveness::Alive => None,
                Liveness::Unreachable(since) => Some(since + DOWN_FORGET),
                Liveness::Forgotten(_) | Liveness::Ended(..) => Self::kept_until(member),
            })
            .min()
    }

    fn kept_until(member: &Member) -> Option<BootMillis> {
        match member.liveness {
            Liveness::Alive | Liveness::Unreachable(_) => None,
            Liveness::Forgotten(at) | Liveness::Ended(_, at) => Some(at + ENDED_REMEMBERED),
        }
    }

    /// How many more members can be taken in: those that ended make room.
    pub(super) fn room(&self) -> usize {
        let held = self.members.values();
        let staying = held.filter(|member| Self::kept_until(member).is_none());
        MAX_MEMBERS.saturating_sub(staying.count())
    }

    fn insert(&mut self, identity: &Identity, now: BootMillis) -> Option<Change> {
        if self.members.len() >= MAX_MEMBERS {
            let oldest = self
                .members
                .values()
                .filter_map(|member| Some((Self::kept_until(member)?, member.identity.uuid)))
                .min()?;
            self.members.remove(&oldest.1);
        }
        let identity = Identity {
            fate: None,
            ..identity.clone()
        };
        let uuid = identity.uuid;
        self.members.insert(
            uuid,
            Member {
                identity,
                liveness: Liveness::Alive,
                heard: now,
            },
        );
        Some(Change::Joined(uuid))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::identity::tests::identity;
    use super::*;

    /// One event and the change it makes.
    enum Event {
        Alive(u64, u16),
        /// The same, at another address.
        Elsewhere(u64, u16),
        Silent(u64),
        /// The same, for so many seconds as others say, of this renewal.
        SilentFor(u64, u16, u64),
        Ended(u64, Fate),
        Tick,
    }
    use Event::{Alive, Elsewhere, Ended, Silent, SilentFor, Tick};

    /// Plays events at their seconds for one member; the changes as text.
    fn check(events: &[(u64, Event)], expect: &[&str], counts: bool) {
        let mut table = Members::new(identity(0, 1).uuid);
        let uuid = identity(1, 0).uuid;
        let mut changes = Vec::new();
        for (second, event) in events {
            let now = BootMillis(second * 1000);
            let made: Vec<Change> = match event {
                Alive(generation, renewal) => table
                    .alive(
                        &Identity {
                            renewal: *renewal,
                            ..identity(1, *generation)
                        },
                        now,
                    )
                    .into_iter()
                    .collect(),
                Elsewhere(generation, renewal) => {
                    let mut identity = identity(1, *generation);
                    identity.renewal = *renewal;
                    identity.gossip.set_ip([192, 0, 2, 1].into());
                    table.alive(&identity, now).into_iter().collect()
                }
                Silent(generation) => table.silent(&identity(1, *generation), Duration::ZERO, now),
                SilentFor(generation, renewal, seconds) => {
                    let life = Identity {
                        renewal: *renewal,
                        ..identity(1, *generation)
                    };
                    table.silent(&life, Duration::from_secs(*seconds), now)
                }
                Ended(generation, fate) => table
                    .ended(uuid, *generation, *fate, now)
                    .into_iter()
                    .collect(),
                Tick => table.tick(now),
            };
            changes.extend(made.into_iter().map(|change| match change {
                Change::Joined(_) => "joined".to_owned(),
                Change::Returned(_, after) => format!("returned after {} s", after.as_secs()),
                Change::Moved(_) => "moved".to_owned(),
                Change::Unreachable(_) => "unreachable".to_owned(),
                Change::Forgotten(_) => "forgotten".to_owned(),
                Change::Ended(_, Fate::Died) => "died".to_owned(),
                Change::Ended(_, Fate::Left) => "left".to_owned(),
            }));
        }
        assert_eq!(changes, expect);
        assert_eq!(table.get(uuid).is_some_and(Member::counts), counts);
    }

    #[test]
    fn a_life_is_followed_from_its_join_to_its_end() {
        check(&[], &[], false);
        check(&[(0, Alive(1, 0)), (1, Alive(1, 0))], &["joined"], true);
        check(&[(0, Ended(1, Fate::Died)), (0, Tick)], &[], false);
    }

    #[test]
    fn a_silent_member_counts_for_a_minute() {
        let silent = || [(0, Alive(1, 0)), (10, Silent(1)), (11, Silent(1))];
        let play = |more: Vec<(u64, Event)>, expect: &[&str], counts| {
            let events: Vec<_> = silent().into_iter().chain(more).collect();
            check(
                &events,
                &[&["joined", "unreachable"], expect].concat(),
                counts,
            );
        };
        play(vec![(69, Tick)], &[], true);
        play(vec![(70, Tick)], &["forgotten"], false);
        play(vec![(40, Alive(1, 1))], &["returned after 30 s"], true);
        play(
            vec![(70, Tick), (80, Alive(1, 1))],
            &["forgotten", "joined"],
            true,
        );
        play(vec![(12, Ended(1, Fate::Died))], &["died"], false);
        play(
            vec![(70, Tick), (71, Ended(1, Fate::Died))],
            &["forgotten", "died"],
            false,
        );
        play(vec![(70, Tick), (3_669, Tick)], &["forgotten"], false);
    }

    #[test]
    fn who_is_only_known_to_be_silent_counts_as_long_as_for_others() {
        let joined = ["joined", "unreachable"];
        check(&[(100, SilentFor(1, 0, 20)), (139, Tick)], &joined, true);
        let forgotten = ["joined", "unreachable", "forgotten"];
        check(
            &[(100, SilentFor(1, 0, 20)), (140, Tick)],
            &forgotten,
            false,
        );
        let back = ["joined", "unreachable", "returned after 30 s"];
        check(
            &[(100, SilentFor(1, 0, 20)), (110, Alive(1, 1))],
            &back,
            true,
        );
        let died = ["joined", "unreachable", "died"];
        check(
            &[(100, SilentFor(1, 0, 20)), (101, Ended(1, Fate::Died))],
            &died,
            false,
        );
    }

    #[test]
    fn what_others_say_of_a_silence_is_not_believed_of_who_answered_here() {
        let known = || [(0, Alive(2, 1))];
        let play = |more: Vec<(u64, Event)>, expect: &[&str], counts| {
            let events: Vec<_> = known().into_iter().chain(more).collect();
            check(&events, &[&["joined"], expect].concat(), counts);
        };
        let silent = || vec![(50, SilentFor(2, 1, 40)), (50, SilentFor(2, 1, 59))];
        let tick = |at| silent().into_iter().chain([(at, Tick)]).collect();
        play(tick(109), &["unreachable"], true);
        play(tick(110), &["unreachable", "forgotten"], false);
        // An earlier life, or one that is over.
        play(
            vec![(50, SilentFor(2, 0, 1)), (50, SilentFor(1, 9, 1))],
            &[],
            true,
        );
        play(
            vec![(50, Ended(2, Fate::Left)), (51, SilentFor(2, 2, 1))],
            &["left"],
            false,
        );
        // It has been back, or is another life, and has fallen silent again.
        play(
            vec![(50, SilentFor(2, 2, 10)), (99, Tick)],
            &["unreachable"],
            true,
        );
        play(
            vec![
                (10, SilentFor(2, 1, 0)),
                (60, SilentFor(2, 2, 10)),
                (109, Tick),
            ],
            &["unreachable", "returned after 50 s", "unreachable"],
            true,
        );
        play(
            vec![(50, SilentFor(3, 0, 10)), (100, Tick)],
            &["joined", "unreachable", "forgotten"],
            false,
        );
    }

    #[test]
    fn a_member_moves_with_a_renewal() {
        check(
            &[
                (0, Alive(1, 1)),
                // What is said of an earlier renewal is older.
                (1, Elsewhere(1, 0)),
                (2, Elsewhere(1, 2)),
                (3, Elsewhere(1, 2)),
            ],
            &["joined", "moved"],
            true,
        );
    }

    #[test]
    fn an_ended_life_stays_ended() {
        let died = || [(0, Alive(4, 0)), (1, Ended(4, Fate::Died))];
        let play = |more: Vec<(u64, Event)>, expect: &[&str], counts| {
            let events: Vec<_> = died().into_iter().chain(more).collect();
            check(&events, &[&["joined", "died"], expect].concat(), counts);
        };
        play(
            vec![(2, Alive(4, 0)), (2, Alive(4, 9)), (2, Alive(3, 0))],
            &[],
            false,
        );
        play(vec![(2, Alive(5, 0))], &["joined"], true);
        play(
            vec![(2, Alive(5, 0)), (3, Ended(4, Fate::Died))],
            &["joined"],
            true,
        );
        play(vec![(2, Ended(4, Fate::Left)), (2, Silent(4))], &[], false);
        // Forgotten after an hour, and so is what is known about it.
        play(vec![(3_601, Tick), (3_602, Alive(4, 0))], &["joined"], true);
    }

    #[test]
    fn an_end_is_remembered_of_a_life_that_was_not_known() {
        let died = |generation| (0, Ended(generation, Fate::Died));
        check(&[died(1), (1, Alive(1, 0)), (1, Silent(1))], &[], false);
        check(&[died(2), (1, Alive(1, 3)), (1, Alive(2, 0))], &[], false);
        check(
            &[died(2), died(1), (1, Alive(2, 0)), (2, Alive(3, 0))],
            &["joined"],
            true,
        );
        check(
            &[
                (0, Alive(1, 0)),
                (1, Ended(2, Fate::Left)),
                (2, Alive(2, 0)),
            ],
            &["joined", "left"],
            false,
        );
        check(
            &[died(1), (3_600, Tick), (3_600, Alive(1, 0))],
            &["joined"],
            true,
        );
    }

    #[test]
    fn a_new_life_replaces_the_old_one_at_once() {
        check(
            &[(0, Alive(1, 0)), (1, Alive(2, 0))],
            &["joined", "joined"],
            true,
        );
        check(&[(0, Alive(2, 0)), (1, Alive(1, 0))], &["joined"], true);
        check(
            &[
                (0, Alive(1, 0)),
                (1, Alive(2, 0)),
                (2, Silent(1)),
                (3, Silent(2)),
            ],
            &["joined", "joined", "unreachable"],
            true,
        );
    }

    #[test]
    fn a_flood_of_identities_ends_at_the_bound() {
        let mut table = Members::new(identity(0, 1).uuid);
        let numbered = |n: usize| {
            let uuid = Uuid::from_u128(0xffff_0000 + n as u128);
            Identity {
                uuid,
                ..identity(1, 1)
            }
        };
        for n in 0..MAX_MEMBERS {
            assert!(table.alive(&numbered(n), BootMillis(0)).is_some());
        }
        let late = numbered(MAX_MEMBERS);
        assert_eq!(table.alive(&late, BootMillis(0)), None);
        table.ended(numbered(5).uuid, 1, Fate::Left, BootMillis(1));
        assert_eq!(
            table.alive(&late, BootMillis(2)),
            Some(Change::Joined(late.uuid))
        );
        assert_eq!(table.iter().count(), MAX_MEMBERS);
        for n in 0..=MAX_MEMBERS {
            let stranger = numbered(MAX_MEMBERS * 2 + n).uuid;
            table.ended(stranger, 1, Fate::Left, BootMillis(3));
        }
        assert_eq!(table.ends.len(), MAX_MEMBERS);
    }

    #[test]
    fn the_next_deadline_is_the_next_change() {
        let mut table = Members::new(identity(0, 1).uuid);
        table.alive(&identity(1, 1), BootMillis(0));
        assert_eq!(table.next_deadline(), None);
        table.silent(&identity(1, 1), Duration::ZERO, BootMillis(5));
        assert_eq!(table.next_deadline(), Some(BootMillis(5) + DOWN_FORGET));
        table.tick(BootMillis(5) + DOWN_FORGET);
        assert_eq!(
            table.next_deadline(),
            Some(BootMillis(5) + DOWN_FORGET + ENDED_REMEMBERED)
        );
    }
}
