//! The core of writing: from a version to its last holder.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod effect;
mod settling;

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
use crate::store::Entry;
use crate::version::{HybridClock, HybridTime, Version};
use crate::wire::SharedDigest;
use crate::wire::frame::Ack;
pub use effect::{Effect, NewWrite, Unsent, WriteCounters};

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

/// The clock shows whole milliseconds, so it is up to one later than it says: a deadline that
/// is reckoned from it without this would be too early by as much.
const TICK: Duration = Duration::from_millis(1);

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

    /// Values for holders that do not have them yet, of which this node is none.
    #[must_use]
    pub fn hints(&self) -> Vec<(Bytes, Entry)> {
        let operations = self.operations.values();
        let hints = operations.filter(|operation| !self.holds(operation));
        hints
            .map(|operation| (operation.key.clone(), operation.entry.clone()))
            .collect()
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
        let deadline = now + Duration::from_secs(write.ttl_s.into()) + TICK;
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
            digest: SharedDigest::for_value(entry.value.len()),
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

    /// A peer is known not to answer: it is not waited for.
    pub fn silent(&mut self, peer: Uuid, now: BootMillis) -> Vec<Effect<T>> {
        let mut news = self.agreement.silent(peer);
        for operation in self.operations.values_mut() {
            for holder in &mut operation.holders {
                if holder.uuid == peer && holder.copy == Copy::Crowded {
                    holder.copy = Copy::Unsent;
                    news = true;
                }
            }
        }
        if news {
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

    /// A value could not be handed to the stream of `to`.
    pub fn unsent(&mut self, id: u64, to: Uuid, why: Unsent, now: BootMillis) {
        let Some(operation) = self.operations.get_mut(&id) else {
            return;
        };
        let Some(holder) = operation.holder(to) else {
            return;
        };
        holder.copy = match why {
            Unsent::NoStream | Unsent::Silent => Copy::Unsent,
            Unsent::Crowded => Copy::Crowded,
        };
        match why {
            Unsent::NoStream => {}
            Unsent::Silent | Unsent::Crowded => self.retry_at(id, now + RETRY),
        }
    }

    /// The stream to a holder broke: what it did not answer is lost.
    pub fn lost(&mut self, peer: Uuid, now: BootMillis) -> Vec<Effect<T>> {
        let mut crowded = false;
        for operation in self.operations.values_mut() {
            for holder in &mut operation.holders {
                if holder.uuid == peer && matches!(holder.copy, Copy::Sent | Copy::Crowded) {
                    crowded |= holder.copy == Copy::Crowded;
                    holder.copy = Copy::Unsent;
                }
            }
        }
        if crowded {
            self.settle_waiting(now)
        } else {
            Vec::new()
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

    /// Other members count now, and those of `leaving` do not, but have not gone yet.
    pub fn members_changed(
        &mut self,
        placement: Arc<Placement>,
        leaving: &[Seat],
        now: BootMillis,
    ) -> Vec<Effect<T>> {
        self.placement = placement;
        self.agreement
            .members_changed(&self.placement, leaving, now);
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

    /// The same members count, and only those of `leaving` have not gone yet.
    pub fn leavers_changed(&mut self, leaving: &[Seat], now: BootMillis) -> Vec<Effect<T>> {
        if self.agreement.gone(&self.placement, leaving) {
            self.settle_waiting(now)
        } else {
            Vec::new()
        }
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
                    digest: operation.digest.clone(),
                }
            });
        }
        effects
    }
}

#[cfg(test)]
mod tests;
