//! The core of writing: from a version to its last holder.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use uuid::Uuid;

use super::PutOutcome;
use super::agreement::Agreement;
use super::operation::{Copy, Holder, OVERHEAD, Operation, holders};
use crate::clock::BootMillis;
use crate::placement::{Placement, Seat};
use crate::store::{Entry, Reservation};
use crate::version::{HybridClock, HybridTime, Version};
use crate::wire::frame::Ack;

/// Bytes of keys and values in writes that have not reached every holder. Six of the
/// largest values, or what a fast network brings in half a second: enough to bridge the
/// restart of a holder. Beyond it the oldest answered writes that some holder has are left
/// to the comparison of copies, and new ones are refused.
pub const MAX_PENDING_BYTES: usize = 64 * 1024 * 1024;

/// Pause before a value is offered again to a holder that had no room or could not be
/// reached. Long enough to cost nothing, short enough that a queue that was full for a
/// moment does not delay an answer, or a copy, noticeably beyond it.
pub const RETRY: Duration = Duration::from_millis(200);

/// New versions given to one write because holders had a higher one. Each costs a round
/// trip; two writers of one key overtake each other a few times at most, and a clock that
/// is raised past one version is past all that were known to that holder.
const MAX_RESTAMPS: u8 = 16;

/// What a client wants to write.
#[derive(Debug)]
pub struct NewWrite {
    /// The key.
    pub key: Bytes,
    /// The bytes.
    pub value: Bytes,
    /// Time to live in seconds, already clamped.
    pub ttl_s: u32,
    /// Bytes of the store's budget that the value takes while it is only kept here as a
    /// hint.
    pub held: Option<Reservation>,
}

/// What is to be done, in this order.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect<T> {
    /// Put into this node's own store, and call [`Writes::acked`] with the result.
    Store {
        /// Number of the write.
        id: u64,
        /// Its key.
        key: Bytes,
        /// Its value.
        entry: Entry,
    },
    /// Send to a holder; when that cannot be done now, call [`Writes::unsent`].
    Send {
        /// Whom.
        to: Uuid,
        /// Number of the write.
        id: u64,
        /// Its key.
        key: Bytes,
        /// Its value.
        entry: Entry,
    },
    /// Put into this node's own store, which is no holder: so the value can be read here, and
    /// holders that compare find it.
    Keep {
        /// Its key.
        key: Bytes,
        /// Its value.
        entry: Entry,
    },
    /// Ask which members this one sees, and call [`Writes::view_told`] with the answer, or
    /// [`Writes::silent`] when it is known not to answer.
    AskView {
        /// Whom.
        to: Uuid,
    },
    /// Tell whoever waits.
    Answer {
        /// Who waits.
        waiter: T,
        /// How it ended.
        outcome: PutOutcome,
    },
}

/// Counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriteCounters {
    /// Writes begun.
    pub begun: u64,
    /// Of these, acknowledged within the time-out.
    pub acknowledged: u64,
    /// Answered with "pending".
    pub pending: u64,
    /// Refused because holders are full.
    pub full: u64,
    /// Refused because nobody could take them.
    pub unavailable: u64,
    /// New versions because a holder had a higher one.
    pub restamped: u64,
    /// Refusals by holders because a version was too far ahead of their clock.
    pub ahead: u64,
    /// Values sent to a holder once more.
    pub retried: u64,
    /// Answered writes that were left to the refill before every holder had them.
    pub abandoned: u64,
}

/// All writes under way on this node. `T` is whatever identifies who waits for one.
#[derive(Debug)]
pub struct Writes<T> {
    own: Uuid,
    timeout: Duration,
    clock: HybridClock,
    placement: Arc<Placement>,
    agreement: Agreement,
    operations: BTreeMap<u64, Operation<T>>,
    /// Writes that somebody waits for, by when that one must be answered.
    waiting: BTreeSet<(BootMillis, u64)>,
    /// Writes that are to be offered again, by when.
    retries: BTreeSet<(BootMillis, u64)>,
    /// Answered writes that some holder has, the oldest first.
    spare: BTreeSet<u64>,
    /// Keys of values that are promised and that no holder may have: the latest of each.
    promised: BTreeMap<Bytes, u64>,
    last_id: u64,
    bytes: usize,
    counters: WriteCounters,
}

impl<T> Writes<T> {
    /// No writes, for node `own` among the members of `placement`. Writes are answered
    /// within `timeout`.
    #[must_use]
    pub fn new(own: Seat, timeout: Duration, placement: Arc<Placement>) -> Self {
        Self {
            own: own.uuid,
            timeout,
            clock: HybridClock::new(own.uuid, own.generation),
            agreement: Agreement::new(own.uuid, &placement),
            placement,
            operations: BTreeMap::new(),
            waiting: BTreeSet::new(),
            retries: BTreeSet::new(),
            spare: BTreeSet::new(),
            promised: BTreeMap::new(),
            last_id: 0,
            bytes: 0,
            counters: WriteCounters::default(),
        }
    }

    /// Counters since the start.
    #[must_use]
    pub const fn counters(&self) -> WriteCounters {
        self.counters
    }

    /// Writes that have not reached every holder, and their bytes.
    #[must_use]
    pub fn under_way(&self) -> (usize, usize) {
        (self.operations.len(), self.bytes)
    }

    /// Notes a version that came from elsewhere.
    pub fn observe(&mut self, version: Version) {
        self.clock.observe(version);
    }

    /// This node's hybrid time.
    #[must_use]
    pub fn hybrid_now(&self, wall_ms: u64) -> HybridTime {
        self.clock.now(wall_ms)
    }

    /// A value that was promised to a client ("pending") and that no holder may have yet.
    #[must_use]
    pub fn promised(&self, key: &[u8]) -> Option<Entry> {
        let operation = self.operations.get(self.promised.get(key)?)?;
        (operation.count(Copy::Stored) == 0).then(|| operation.entry.clone())
    }

    /// Begins a write.
    pub fn begin(
        &mut self,
        write: NewWrite,
        waiter: T,
        now: BootMillis,
        wall_ms: u64,
    ) -> Vec<Effect<T>> {
        self.counters.begun += 1;
        let size = write.key.len() + write.value.len() + OVERHEAD;
        self.make_room(size);
        if self.bytes + size > MAX_PENDING_BYTES {
            self.counters.unavailable += 1;
            return vec![Effect::Answer {
                waiter,
                outcome: PutOutcome::Unavailable,
            }];
        }
        let holders = holders(&self.placement, &write.key, &[]);
        let deadline = now + Duration::from_secs(write.ttl_s.into());
        let entry = Entry {
            value: write.value,
            version: self.clock.tick(wall_ms),
            created_unix_ms: wall_ms,
            ttl_s: write.ttl_s,
            deadline,
            kept_until: deadline,
        };
        let operation = Operation {
            key: write.key,
            entry,
            holders,
            waiter: Some(waiter),
            answer_by: now + self.timeout,
            restamps: 0,
            retry_at: None,
            held: write.held,
        };
        let id = self.insert(operation);
        let mut effects = self.spread(id, |copy| copy == Copy::Unsent);
        effects.extend(self.ask_views(now));
        effects
    }

    /// A holder, or this node's own store, answered.
    pub fn acked(
        &mut self,
        id: u64,
        from: Uuid,
        ack: Ack,
        view: u64,
        now: BootMillis,
        wall_ms: u64,
    ) -> Vec<Effect<T>> {
        let mut effects = if from == self.own {
            Vec::new()
        } else {
            self.view_told(from, view, now)
        };
        effects.extend(self.noted(id, from, ack, now, wall_ms));
        effects
    }

    /// A peer sees the members of this fingerprint.
    pub fn view_told(&mut self, peer: Uuid, view: u64, now: BootMillis) -> Vec<Effect<T>> {
        if self.agreement.told(peer, view, now) {
            self.settle_waiting(now)
        } else {
            Vec::new()
        }
    }

    /// A peer is known not to answer.
    pub fn silent(&mut self, peer: Uuid, now: BootMillis) -> Vec<Effect<T>> {
        if self.agreement.silent(peer) {
            self.settle_waiting(now)
        } else {
            Vec::new()
        }
    }

    /// What becomes of the writes that somebody waits for, now that more is known.
    fn settle_waiting(&mut self, now: BootMillis) -> Vec<Effect<T>> {
        let ids: Vec<u64> = self.waiting.iter().map(|(_, id)| *id).collect();
        ids.into_iter()
            .flat_map(|id| self.settle(id, now))
            .collect()
    }

    fn ask_views(&mut self, now: BootMillis) -> Vec<Effect<T>> {
        let asked = self.agreement.ask(now).into_iter();
        asked.map(|to| Effect::AskView { to }).collect()
    }

    fn noted(
        &mut self,
        id: u64,
        from: Uuid,
        ack: Ack,
        now: BootMillis,
        wall_ms: u64,
    ) -> Vec<Effect<T>> {
        if let Ack::Older(version) = ack {
            self.clock.observe(version);
        }
        let Some(operation) = self.operations.get_mut(&id) else {
            return Vec::new();
        };
        let newer = matches!(ack, Ack::Older(version) if version > operation.entry.version);
        if newer && operation.waiter.is_some() && operation.restamps < MAX_RESTAMPS {
            return self.restamp(id, wall_ms);
        }
        let Some(holder) = operation.holder(from) else {
            return Vec::new();
        };
        holder.copy = match ack {
            // Something newer is there: what this write would have left is over.
            Ack::Stored | Ack::Older(_) => Copy::Stored,
            Ack::Full => Copy::Full,
            Ack::Ahead => Copy::Ahead,
        };
        match ack {
            Ack::Full => self.retry_at(id, now + RETRY),
            Ack::Ahead => self.counters.ahead += 1,
            Ack::Stored | Ack::Older(_) => {}
        }
        self.settle(id, now)
    }

    /// A value could not be handed to the stream of `to`: because too much waits there, or
    /// because there is none; then it is sent when there is one again.
    pub fn unsent(&mut self, id: u64, to: Uuid, crowded: bool, now: BootMillis) {
        if let Some(operation) = self.operations.get_mut(&id)
            && let Some(holder) = operation.holder(to)
        {
            holder.copy = Copy::Unsent;
            if crowded {
                self.retry_at(id, now + RETRY);
            }
        }
    }

    /// The stream to a holder broke: what it did not answer is lost.
    pub fn lost(&mut self, peer: Uuid) {
        for operation in self.operations.values_mut() {
            for holder in &mut operation.holders {
                if holder.uuid == peer && holder.copy == Copy::Sent {
                    holder.copy = Copy::Unsent;
                }
            }
        }
    }

    /// A stream to a holder is there, again.
    pub fn connected(&mut self, peer: Uuid) -> Vec<Effect<T>> {
        let mut effects = Vec::new();
        let ids: Vec<u64> = self.operations.keys().copied().collect();
        for id in ids {
            let resent = self.spread_to(id, |holder| {
                holder.uuid == peer && holder.copy == Copy::Unsent
            });
            self.counters.retried += resent.len() as u64;
            effects.extend(resent);
        }
        effects
    }

    /// Other members count now.
    pub fn members_changed(
        &mut self,
        placement: Arc<Placement>,
        now: BootMillis,
    ) -> Vec<Effect<T>> {
        self.placement = placement;
        self.agreement.members_changed(&self.placement, now);
        let mut effects = Vec::new();
        let ids: Vec<u64> = self.operations.keys().copied().collect();
        for id in ids {
            if let Some(operation) = self.operations.get_mut(&id) {
                operation.holders = holders(&self.placement, &operation.key, &operation.holders);
            }
            effects.extend(self.spread(id, |copy| copy == Copy::Unsent));
            effects.extend(self.settle(id, now));
        }
        if !self.waiting.is_empty() {
            effects.extend(self.ask_views(now));
        }
        effects
    }

    /// When [`Writes::tick`] has something to do next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<BootMillis> {
        let answer = self.waiting.first().map(|(at, _)| *at);
        let agree = answer.and_then(|_| self.agreement.next_deadline());
        let retry = self.retries.first().map(|(at, _)| *at);
        [answer, agree, retry].into_iter().flatten().min()
    }

    /// What the passing of time brings: time-outs and retries.
    pub fn tick(&mut self, now: BootMillis) -> Vec<Effect<T>> {
        let mut effects = Vec::new();
        if !self.waiting.is_empty() {
            if self.agreement.has_waited(now) {
                effects.extend(self.settle_waiting(now));
            }
            effects.extend(self.ask_views(now));
        }
        while let Some((at, id)) = self.waiting.first().copied()
            && at <= now
        {
            self.waiting.pop_first();
            effects.extend(self.time_out(id, now));
        }
        while let Some((at, id)) = self.retries.first().copied()
            && at <= now
        {
            self.retries.pop_first();
            effects.extend(self.retry(id, now));
        }
        effects
    }

    fn insert(&mut self, operation: Operation<T>) -> u64 {
        self.last_id += 1;
        if operation.waiter.is_some() {
            self.waiting.insert((operation.answer_by, self.last_id));
        }
        self.bytes += operation.size();
        self.operations.insert(self.last_id, operation);
        self.last_id
    }

    fn remove(&mut self, id: u64) -> Option<Operation<T>> {
        let operation = self.operations.remove(&id)?;
        self.waiting.remove(&(operation.answer_by, id));
        self.spare.remove(&id);
        if let Some(at) = operation.retry_at {
            self.retries.remove(&(at, id));
        }
        self.bytes -= operation.size();
        if !self.promised.is_empty() && self.promised.get(&operation.key) == Some(&id) {
            self.promised.remove(&operation.key);
        }
        Some(operation)
    }

    /// Leaves the oldest writes that nobody waits for, and that some holder has, to the
    /// comparison of copies until `size` fits.
    fn make_room(&mut self, size: usize) {
        while self.bytes + size > MAX_PENDING_BYTES {
            let Some(id) = self.spare.first().copied() else {
                return;
            };
            self.remove(id);
            self.counters.abandoned += 1;
        }
    }

    /// Gives a write a version above everything that is known now, and starts it over. What
    /// is still on its way for the old number is not heard any more.
    fn restamp(&mut self, id: u64, wall_ms: u64) -> Vec<Effect<T>> {
        let Some(mut operation) = self.remove(id) else {
            return Vec::new();
        };
        self.counters.restamped += 1;
        operation.restamps += 1;
        operation.retry_at = None;
        operation.entry.version = self.clock.tick(wall_ms);
        for holder in &mut operation.holders {
            holder.copy = Copy::Unsent;
        }
        let id = self.insert(operation);
        self.spread(id, |copy| copy == Copy::Unsent)
    }

    /// Sends a write to those holders whose copy is as wanted.
    fn spread(&mut self, id: u64, wanted: impl Fn(Copy) -> bool) -> Vec<Effect<T>> {
        self.spread_to(id, |holder| wanted(holder.copy))
    }

    fn spread_to(&mut self, id: u64, wanted: impl Fn(&Holder) -> bool) -> Vec<Effect<T>> {
        let Some(operation) = self.operations.get_mut(&id) else {
            return Vec::new();
        };
        let mut effects = Vec::with_capacity(operation.holders.len());
        for holder in operation.holders.iter_mut().filter(|holder| wanted(holder)) {
            holder.copy = Copy::Sent;
            let (key, entry) = (operation.key.clone(), operation.entry.clone());
            effects.push(if holder.uuid == self.own {
                Effect::Store { id, key, entry }
            } else {
                Effect::Send {
                    to: holder.uuid,
                    id,
                    key,
                    entry,
                }
            });
        }
        effects
    }

    /// Answers and forgets a write as far as what is known of its copies allows.
    fn settle(&mut self, id: u64, now: BootMillis) -> Vec<Effect<T>> {
        let quorum = self.placement.write_quorum();
        let Some(operation) = self.operations.get(&id) else {
            return Vec::new();
        };
        let stored = operation.count(Copy::Stored);
        let full = operation.count(Copy::Full);
        let ahead = operation.count(Copy::Ahead);
        let undecided = operation.holders.len() - stored - full - ahead;
        let counts = |holder: &&Holder| {
            holder.copy == Copy::Stored && self.agreement.counts(holder.uuid, now)
        };
        let counted = operation.holders.iter().filter(counts).count();
        let outcome = if counted >= quorum && self.agreement.is_settled(now) {
            Some(PutOutcome::Acknowledged)
        } else if ahead > operation.holders.len() - quorum {
            Some(PutOutcome::Unavailable)
        } else if undecided == 0 && stored == 0 {
            Some(PutOutcome::Full)
        } else {
            None
        };
        let over = stored + ahead == operation.holders.len();
        let effects = outcome.map_or_else(Vec::new, |outcome| self.answer(id, outcome, now));
        if self
            .operations
            .get(&id)
            .is_some_and(|it| it.waiter.is_none())
        {
            if over {
                self.remove(id);
            } else if stored > 0 {
                self.spare.insert(id);
            }
            self.end_in_time(id);
        }
        effects
    }

    fn time_out(&mut self, id: u64, now: BootMillis) -> Vec<Effect<T>> {
        let Some(operation) = self.operations.get(&id) else {
            return Vec::new();
        };
        let any = |copy| operation.count(copy) > 0;
        let outcome = if any(Copy::Stored) {
            PutOutcome::Pending
        } else if any(Copy::Full) {
            PutOutcome::Full
        } else if self.holds(operation) {
            // Not even this node took it.
            PutOutcome::Unavailable
        } else {
            // It is kept here as a hint.
            PutOutcome::Pending
        };
        let mut effects = self.answer(id, outcome, now);
        effects.extend(self.settle(id, now));
        effects
    }

    fn holds(&self, operation: &Operation<T>) -> bool {
        operation
            .holders
            .iter()
            .any(|holder| holder.uuid == self.own)
    }

    /// Tells whoever waits. What was refused is not kept any longer.
    fn answer(&mut self, id: u64, outcome: PutOutcome, now: BootMillis) -> Vec<Effect<T>> {
        let Some(operation) = self.operations.get_mut(&id) else {
            return Vec::new();
        };
        let Some(waiter) = operation.waiter.take() else {
            return Vec::new();
        };
        self.waiting.remove(&(operation.answer_by, id));
        let counter = match outcome {
            PutOutcome::Acknowledged => &mut self.counters.acknowledged,
            PutOutcome::Pending => &mut self.counters.pending,
            PutOutcome::Full => &mut self.counters.full,
            PutOutcome::Unavailable => &mut self.counters.unavailable,
        };
        *counter += 1;
        let mut effects = Vec::with_capacity(2);
        match outcome {
            PutOutcome::Acknowledged => {}
            PutOutcome::Pending => {
                effects.extend(self.kept_here(id));
            }
            PutOutcome::Full | PutOutcome::Unavailable => {
                self.remove(id);
            }
        }
        effects.push(Effect::Answer { waiter, outcome });
        effects
    }

    /// Keeps a value that is promised and that no holder may have.
    fn kept_here(&mut self, id: u64) -> Option<Effect<T>> {
        let operation = self.operations.get(&id)?;
        if self.holds(operation) {
            return None;
        }
        let (key, entry) = (operation.key.clone(), operation.entry.clone());
        self.promised.insert(key.clone(), id);
        Some(Effect::Keep { key, entry })
    }

    /// A write that is answered does not outlive its value.
    fn end_in_time(&mut self, id: u64) {
        if let Some(operation) = self.operations.get(&id) {
            self.retry_at(id, operation.entry.deadline);
        }
    }

    /// Looks at a write at this moment, if it is not to be looked at earlier.
    fn retry_at(&mut self, id: u64, at: BootMillis) {
        let Some(operation) = self.operations.get_mut(&id) else {
            return;
        };
        if operation.retry_at.is_some_and(|planned| planned <= at) {
            return;
        }
        if let Some(planned) = operation.retry_at.replace(at) {
            self.retries.remove(&(planned, id));
        }
        self.retries.insert((at, id));
    }

    /// Offers a value again where it could not be sent or found no room, and drops it when
    /// its time is up.
    fn retry(&mut self, id: u64, now: BootMillis) -> Vec<Effect<T>> {
        let Some(operation) = self.operations.get_mut(&id) else {
            return Vec::new();
        };
        operation.retry_at = None;
        if operation.waiter.is_none() {
            if operation.entry.deadline <= now {
                self.remove(id);
                return Vec::new();
            }
            self.end_in_time(id);
        }
        let effects = self.spread(id, |copy| matches!(copy, Copy::Unsent | Copy::Full));
        self.counters.retried += effects.len() as u64;
        effects
    }
}

#[cfg(test)]
mod tests;
