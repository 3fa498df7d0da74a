//! How a write is answered, offered again and ended.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::{Effect, RETRY, Writes};
use crate::clock::BootMillis;
use crate::coordinator::PutOutcome;
use crate::coordinator::operation::{Copy, Holder, Operation};

impl<T> Writes<T> {
    /// Answers and forgets a write as far as what is known of its copies allows.
    pub(super) fn settle(&mut self, id: u64, now: BootMillis) -> Vec<Effect<T>> {
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
        // A holder that is not sent the value takes what it has for the newest as long as its
        // stream is there.
        let on_its_way = operation.count(Copy::Crowded) == 0;
        let outcome = if counted >= quorum && on_its_way && self.agreement.is_settled(now) {
            Some(PutOutcome::Acknowledged)
        } else if ahead > operation.holders.len() - quorum {
            Some(PutOutcome::Unavailable)
        } else if undecided == 0 && stored == 0 {
            Some(PutOutcome::Full)
        } else {
            None
        };
        let over = stored + ahead == operation.holders.len();
        let effects = outcome.map_or_else(Vec::new, |outcome| self.answer(id, outcome));
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

    pub(super) fn time_out(&mut self, id: u64, now: BootMillis) -> Vec<Effect<T>> {
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
        let mut effects = self.answer(id, outcome);
        effects.extend(self.settle(id, now));
        effects
    }

    pub(super) fn holds(&self, operation: &Operation<T>) -> bool {
        operation
            .holders
            .iter()
            .any(|holder| holder.uuid == self.own)
    }

    /// Tells whoever waits. What was refused is not kept any longer.
    fn answer(&mut self, id: u64, outcome: PutOutcome) -> Vec<Effect<T>> {
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
    fn kept_here(&self, id: u64) -> Option<Effect<T>> {
        let operation = self.operations.get(&id)?;
        if self.holds(operation) {
            return None;
        }
        let (key, entry) = (operation.key.clone(), operation.entry.clone());
        Some(Effect::Keep { key, entry })
    }

    /// A write that is answered does not outlive its value.
    fn end_in_time(&mut self, id: u64) {
        if let Some(operation) = self.operations.get(&id) {
            self.retry_at(id, operation.entry.deadline);
        }
    }

    /// Looks at a write at this moment, if it is not to be looked at earlier.
    pub(super) fn retry_at(&mut self, id: u64, at: BootMillis) {
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
    pub(super) fn retry(&mut self, id: u64, now: BootMillis) -> Vec<Effect<T>> {
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
        let crowded = self
            .operations
            .get(&id)
            .is_some_and(|it| it.count(Copy::Crowded) > 0);
        if crowded {
            // Whether it is on its way then shows when it is looked at again.
            self.retry_at(id, now + RETRY);
        }
        let mut effects = self.settle(id, now);
        let settled = effects.len();
        let offered = self.spread(id, |copy| {
            matches!(copy, Copy::Unsent | Copy::Crowded | Copy::Full)
        });
        effects.extend(offered);
        self.counters.retried += (effects.len() - settled) as u64;
        effects
    }
}
