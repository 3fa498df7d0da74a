//! The core of the refill: pulling what this node should hold.
//!
//! Whenever the set of members that count changes, this node may have become a holder of
//! keys that it does not have. So it asks every other member, one after the other, for all
//! that it should hold, page by page: keys with versions, and with the values themselves as
//! long as it has heard from nobody else. What it lacks it fetches. When every member has
//! told all it has *for the set of members that counts now*, the refill is complete, and
//! only then does this node say "do not have".
//!
//! A member that has told everything for an earlier set is asked only for what this node
//! did not hold then. That is enough as long as members only come: a write that was
//! acknowledged and missed this node has met another holder, and newcomers ask everyone.
//! When members go, the others compare what they have, range by range, because a write whose
//! receiver died may have reached only some of its holders. Where fewer copies are kept than
//! before, that is part of the refill; otherwise it follows, as it does every now and then in
//! any case. A member that leaves does not count, and is asked all the same until it is gone.
//!
//! **What this node has may be outdated** when it cannot have heard of every write. A member
//! acknowledges a write without a holder only when its stream to that holder is gone. So as
//! long as every member that counts has a stream to this node, none has acknowledged
//! anything that does not come by it. When a stream was gone, and when a member has gone, that
//! may have been, and what this node has is only a vote ([`Refill::is_sure`]) until it has
//! compared everything with everyone.
//!
//! Whoever serves keeps no state of all this.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod doubts;
mod pull;
mod source;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use uuid::Uuid;

use crate::clock::BootMillis;
use crate::placement::{Placement, Seat};
pub use pull::{Page, Pull, RefillProgress, Value};
use source::{Active, Doubt, Next, Source};

/// Bytes of values asked for at a time beyond the first: one large value, or many small
/// ones, are on their way while the next are asked for.
const FLYING_BYTES: u64 = 2 * 1024 * 1024;

/// Values asked for at a time, however small.
const FLYING_VALUES: usize = 256;

/// Bytes pulled in a second at most: a quarter of a gigabyte, more than twice what the
/// return of copies within a second per 100 MiB needs, and some tenths of one core at the
/// member that serves.
const BYTES_PER_SECOND: u64 = 256 * 1024 * 1024;

/// Pause before a member is asked again that sees other members than we do, or that did
/// not answer. Members usually agree again within a few round trips of their gossip, and as
/// long as they do not, nobody can say that a key is missing: on one machine that is a matter
/// of milliseconds.
const RETRY_FIRST: Duration = Duration::from_millis(3);

/// The longest such pause; each is twice the one before.
const RETRY_LONGEST: Duration = Duration::from_secs(1);

/// How long an answer may take before its member is left for another. A page takes
/// milliseconds and a large value a second on a slow line; a member that hangs is noticed
/// by membership about as fast.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Pause between two comparisons with some other member, in turn. Nothing should be found:
/// it is for what nobody thought of.
const COMPARE_EVERY: Duration = Duration::from_secs(60);

/// Pause before a pull is repeated because this node had no room.
const RETRY_FULL: Duration = Duration::from_secs(5);

/// The refill of one node.
#[derive(Debug)]
pub struct Refill {
    own: Uuid,
    view: u64,
    /// Copies of each key among these members.
    copies: usize,
    /// Whether some member has told all it has: from then on there is something to compare.
    heard_any: bool,
    /// When the next comparison in passing is due, and who had the last.
    compare_at: Option<BootMillis>,
    compared: Uuid,
    sources: BTreeMap<Uuid, Source>,
    /// Members to whom there is a stream.
    connected: BTreeSet<Uuid>,
    /// Members that have a stream to this node.
    heard: BTreeSet<Uuid>,
    /// Votes that contain one of every acknowledged write: among these members, and among
    /// those before for which not everything is compared yet.
    votes: usize,
    /// The same among these members alone.
    votes_now: usize,
    /// Who appears before this moment may have come while this node was away.
    away_until: BootMillis,
    active: Option<Active>,
    /// Not before this moment is the next page asked for.
    paced_until: BootMillis,
    tickets: u64,
    progress: RefillProgress,
}

impl Refill {
    /// The refill of node `own`, which is alone and so knows all.
    #[must_use]
    pub const fn new(own: Uuid) -> Self {
        Self {
            own,
            view: 0,
            copies: 0,
            heard_any: false,
            compare_at: None,
            compared: Uuid::nil(),
            sources: BTreeMap::new(),
            connected: BTreeSet::new(),
            heard: BTreeSet::new(),
            votes: 1,
            votes_now: 1,
            away_until: BootMillis(0),
            active: None,
            paced_until: BootMillis(0),
            tickets: 0,
            progress: RefillProgress {
                waiting_for: 0,
                entries: 0,
                bytes: 0,
            },
        }
    }

    /// Whether this node knows of all that it should hold.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.sources
            .values()
            .all(|source| source.told_for == Some(self.view))
    }

    /// Fingerprint of the members that count.
    #[must_use]
    pub const fn view(&self) -> u64 {
        self.view
    }

    /// Whether all was taken over that `peer` has for us among the members that count now.
    #[must_use]
    pub fn has_heard_all_of(&self, peer: Uuid) -> bool {
        let source = self.sources.get(&peer);
        source.is_some_and(|source| source.told_for == Some(self.view))
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> RefillProgress {
        let told = |source: &&Source| source.told_for == Some(self.view);
        let waiting_for = self.sources.len() - self.sources.values().filter(told).count();
        RefillProgress {
            waiting_for,
            ..self.progress
        }
    }

    /// Other members count now, and those of `leaving` do not, but have not gone yet.
    pub fn members_changed(
        &mut self,
        placement: &Placement,
        leaving: &[Seat],
        now: BootMillis,
    ) -> Vec<Pull> {
        let fewer_copies = placement.copies() < self.copies;
        let view_before = self.view;
        self.votes_now = placement.miss_quorum();
        self.votes = self.votes.max(self.votes_now);
        (self.view, self.copies) = (placement.fingerprint(), placement.copies());
        let mut known = std::mem::take(&mut self.sources);
        let others = placement.seats().iter().chain(leaving);
        for seat in others.filter(|seat| seat.uuid != self.own) {
            let same_life = |source: &Source| source.generation == seat.generation;
            let source = if known.get(&seat.uuid).is_some_and(same_life) {
                known.remove(&seat.uuid).map(Source::at_once)
            } else {
                None
            };
            let mut source = source.unwrap_or_else(|| {
                let mut new = Source::new(seat.generation, now);
                if now < self.away_until {
                    new.doubted(Doubt::Apart);
                }
                new
            });
            source.leaves = leaving.contains(seat);
            self.sources.insert(seat.uuid, source);
        }
        // What is left of those known has gone, and may have acknowledged what reached only
        // some of its holders, unless it has handed that over.
        let handed_over = |uuid: &Uuid, source: &Source| {
            source.leaves && source.told_for == Some(view_before) && self.heard.contains(uuid)
        };
        if !known.iter().all(|(uuid, source)| handed_over(uuid, source)) {
            self.doubt_all(Doubt::Behind);
        }
        if fewer_copies {
            self.forget_told(|_| true);
        }
        if self.view != view_before {
            self.forget_told(|uuid| leaving.iter().any(|seat| seat.uuid == uuid));
        }
        self.compare_at.get_or_insert(now + COMPARE_EVERY);
        // What is under way was asked for the former members.
        self.active = None;
        self.next(now)
    }

    /// This node does not count any more among these members: it takes nothing over.
    pub fn retire(&mut self, placement: &Placement) {
        (self.view, self.copies) = (placement.fingerprint(), placement.copies());
        self.sources.clear();
        self.active = None;
    }

    /// Everything that these members have is to be compared before the refill is complete.
    fn forget_told(&mut self, which: impl Fn(Uuid) -> bool) {
        for (_, source) in self.sources.iter_mut().filter(|(uuid, _)| which(**uuid)) {
            source.told_for = None;
        }
    }

    /// A stream to a member is there.
    pub fn connected(&mut self, peer: Uuid, now: BootMillis) -> Vec<Pull> {
        self.connected.insert(peer);
        if let Some(source) = self.sources.get_mut(&peer) {
            source.retry_at = BootMillis(0);
        }
        self.next(now)
    }

    /// The stream to a member broke.
    pub fn lost(&mut self, peer: Uuid, now: BootMillis) -> Vec<Pull> {
        self.connected.remove(&peer);
        self.active.take_if(|active| active.from == peer);
        self.next(now)
    }

    /// A question was not answered.
    pub fn failed(&mut self, ticket: u64, now: BootMillis) -> Vec<Pull> {
        if let Some(active) = self.active.take_if(|active| active.ticket == ticket) {
            self.postpone(active.from, now);
        }
        self.next(now)
    }

    /// A page came and was used.
    pub fn page(&mut self, ticket: u64, page: Page, now: BootMillis) -> Vec<Pull> {
        let Some(active) = self
            .active
            .as_mut()
            .filter(|active| active.ticket == ticket)
        else {
            return Vec::new();
        };
        let Page::Items {
            wanted,
            next,
            entries,
            bytes,
            full,
        } = page
        else {
            return self.failed(ticket, now);
        };
        active.late_at = now + ANSWER_WITHIN;
        active.wanted = wanted.into();
        active.next = next.map_or(Next::None, Next::After);
        active.full |= full;
        active.bytes = bytes;
        self.progress.entries += entries;
        self.progress.bytes += bytes;
        self.go_on(now)
    }

    /// A value came, or not, and was used.
    pub fn value(&mut self, ticket: u64, key: &Bytes, value: Value, now: BootMillis) -> Vec<Pull> {
        let Some(active) = self
            .active
            .as_mut()
            .filter(|active| active.ticket == ticket)
        else {
            return Vec::new();
        };
        active.flying.remove(key);
        active.late_at = now + ANSWER_WITHIN;
        match value {
            Value::Stored(bytes) => {
                active.bytes += bytes;
                self.progress.entries += 1;
                self.progress.bytes += bytes;
            }
            Value::Gone => {}
            Value::Full => active.full = true,
        }
        self.go_on(now)
    }

    /// When [`Refill::tick`] has something to do next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<BootMillis> {
        let pull = match &self.active {
            Some(active) if active.is_pausing() => Some(self.paced_until),
            Some(active) => Some(active.late_at),
            None => self.waiting().map(|(_, source, _)| source.retry_at).min(),
        };
        let compare = self.compare_at.filter(|_| !self.sources.is_empty());
        [pull, compare].into_iter().flatten().min()
    }

    /// What the passing of time brings.
    pub fn tick(&mut self, now: BootMillis) -> Vec<Pull> {
        if self.compare_at.is_some_and(|at| at <= now) {
            self.compare_at = Some(now + COMPARE_EVERY);
            self.compare_one();
        }
        match &self.active {
            None => self.next(now),
            Some(active) if !active.is_pausing() && active.late_at <= now => {
                self.failed(active.ticket, now)
            }
            Some(_) => self.go_on(now),
        }
    }

    /// The next member in turn is to be compared with.
    fn compare_one(&mut self) {
        let after = self.sources.keys().find(|uuid| **uuid > self.compared);
        let Some(next) = after.or_else(|| self.sources.keys().next()).copied() else {
            return;
        };
        self.compared = next;
        if let Some(source) = self.sources.get_mut(&next) {
            source.compare_due = true;
        }
    }

    /// Members that can be asked and have not told all, and after them those with whom only
    /// a comparison is due.
    fn waiting(&self) -> impl Iterator<Item = (Uuid, &Source, bool)> {
        let urgent = |source: &Source| source.told_for != Some(self.view);
        let reached = || {
            self.sources
                .iter()
                .filter(|(uuid, _)| self.connected.contains(uuid))
        };
        let first = reached().filter(move |(_, source)| urgent(source));
        let then = reached().filter(move |(_, source)| !urgent(source) && source.compare_due);
        first
            .map(|(uuid, source)| (*uuid, source, false))
            .chain(then.map(|(uuid, source)| (*uuid, source, true)))
    }

    /// Starts the next pull, when none is under way.
    fn next(&mut self, now: BootMillis) -> Vec<Pull> {
        // What only follows gives way to what is waited for.
        let urgent =
            |(_, source, in_passing): &(Uuid, &Source, bool)| !in_passing && source.retry_at <= now;
        if self.active.as_ref().is_some_and(|active| active.in_passing)
            && self.waiting().any(|it| urgent(&it))
        {
            self.active = None;
        }
        if self.active.is_some() {
            return Vec::new();
        }
        let ready = self.waiting().find(|(_, source, _)| source.retry_at <= now);
        let Some((from, source, in_passing)) = ready else {
            return Vec::new();
        };
        let whole = in_passing || source.told_for.is_none();
        let compared = self.heard_any && whole;
        self.tickets += 1;
        self.active = Some(Active {
            from,
            ticket: self.tickets,
            in_passing,
            compared,
            whole,
            wanted: VecDeque::new(),
            flying: BTreeMap::new(),
            next: Next::Awaited,
            full: false,
            bytes: 0,
            late_at: now + ANSWER_WITHIN,
        });
        self.ask_page(None).into_iter().collect()
    }

    /// Asks for what is wanted, or for the next page, or ends the pull.
    fn go_on(&mut self, now: BootMillis) -> Vec<Pull> {
        let Some(active) = &mut self.active else {
            return Vec::new();
        };
        let mut pulls = Vec::new();
        let mut flying: u64 = active
            .flying
            .values()
            .map(|length| u64::from(*length))
            .sum();
        let fits =
            |flying: u64, length: u32| flying == 0 || flying + u64::from(length) <= FLYING_BYTES;
        while active.flying.len() < FLYING_VALUES
            && active
                .wanted
                .front()
                .is_some_and(|(_, length)| fits(flying, *length))
            && let Some((key, length)) = active.wanted.pop_front()
        {
            flying += u64::from(length);
            active.flying.insert(key.clone(), length);
            pulls.push(Pull::Value {
                from: active.from,
                ticket: active.ticket,
                key,
            });
        }
        if !active.flying.is_empty() {
            return pulls;
        }
        if active.bytes > 0 {
            let pause = Duration::from_millis(active.bytes * 1000 / BYTES_PER_SECOND);
            self.paced_until = now + pause;
            active.bytes = 0;
        }
        match &active.next {
            Next::Awaited => {}
            Next::After(key) if self.paced_until <= now => {
                let after = Some(key.clone());
                active.next = Next::Awaited;
                active.late_at = now + ANSWER_WITHIN;
                pulls.extend(self.ask_page(after));
            }
            Next::After(_) => {}
            Next::None => pulls.extend(self.end(now)),
        }
        pulls
    }

    fn end(&mut self, now: BootMillis) -> Vec<Pull> {
        if let Some(active) = self.active.take()
            && let Some(source) = self.sources.get_mut(&active.from)
        {
            if active.full {
                source.retry_at = now + RETRY_FULL;
            } else {
                source.told_for = Some(self.view);
                source.pause = RETRY_FIRST;
                if active.whole {
                    (source.compare_due, source.doubt) = (false, Doubt::None);
                }
                self.heard_any = true;
                if self
                    .sources
                    .values()
                    .all(|source| source.doubt == Doubt::None)
                    && self.is_complete()
                {
                    self.votes = self.votes_now;
                }
            }
        }
        self.next(now)
    }

    fn ask_page(&self, after: Option<Bytes>) -> Option<Pull> {
        let active = self.active.as_ref()?;
        let source = self.sources.get(&active.from)?;
        let nothing_new = source.told_for == Some(self.view);
        Some(Pull::Page {
            from: active.from,
            ticket: active.ticket,
            view: self.view,
            previous: source.told_for.filter(|_| !nothing_new).unwrap_or(0),
            after,
            with_values: !self.heard_any,
            compare: active.compared,
        })
    }

    fn postpone(&mut self, peer: Uuid, now: BootMillis) {
        if let Some(source) = self.sources.get_mut(&peer) {
            source.retry_at = now + source.pause;
            source.pause = (source.pause * 2).min(RETRY_LONGEST);
        }
    }
}

#[cfg(test)]
mod tests;
