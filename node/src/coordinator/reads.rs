//! The core of reading: all reads that ask other holders.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use uuid::Uuid;

use super::{GetOutcome, Read, Step};
use crate::clock::BootMillis;
use crate::wire::frame::Answer;

/// A holder that takes longer gets company: the next one is asked too. Within a machine or
/// a data centre hardly any answer takes so long; around the world every tenth read asks
/// twice.
const HEDGE_AFTER: Duration = Duration::from_millis(50);

/// How long a read may take. A client waits longer for nothing: by then its holders are
/// hanging, and it is better told to try again.
pub const READ_WITHIN: Duration = Duration::from_secs(2);

/// What is to be done, in this order.
#[derive(Debug, PartialEq, Eq)]
pub enum ReadEffect<T> {
    /// Ask a holder, and call [`Reads::asked`] with the number of the question; when it
    /// cannot be asked, [`Reads::answered`] without an answer.
    Ask {
        /// Number of the read.
        id: u64,
        /// Whom.
        to: Uuid,
        /// Fingerprint of the members that the read goes by.
        view: u64,
        /// For what.
        key: Bytes,
    },
    /// Tell whoever waits.
    Answer {
        /// Who waits.
        waiter: T,
        /// How it ended.
        outcome: GetOutcome,
        /// Questions that were asked for it: their answers are of no use any more.
        questions: Vec<u64>,
    },
}

#[derive(Debug)]
struct Operation<T> {
    read: Read,
    key: Bytes,
    view: u64,
    waiter: T,
    questions: Vec<u64>,
    /// When there is something to do without an answer.
    next_at: BootMillis,
    give_up_at: BootMillis,
}

/// All reads under way on this node that could not be answered from its own store. `T` is
/// whatever identifies who waits for one.
#[derive(Debug)]
pub struct Reads<T> {
    operations: BTreeMap<u64, Operation<T>>,
    deadlines: BTreeSet<(BootMillis, u64)>,
    last_id: u64,
    hedged: u64,
}

impl<T> Default for Reads<T> {
    fn default() -> Self {
        Self {
            operations: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            last_id: 0,
            hedged: 0,
        }
    }
}

impl<T> Reads<T> {
    /// Reads that asked one more holder because an answer took long, since the start.
    #[must_use]
    pub const fn hedged(&self) -> u64 {
        self.hedged
    }

    /// Begins a read of `key` that goes by the members of `view`.
    pub fn begin(
        &mut self,
        mut read: Read,
        key: Bytes,
        view: u64,
        waiter: T,
        now: BootMillis,
    ) -> Vec<ReadEffect<T>> {
        let step = read.start();
        self.last_id += 1;
        let (next_at, give_up_at) = (now + HEDGE_AFTER, now + READ_WITHIN);
        let operation = Operation {
            read,
            key,
            view,
            waiter,
            questions: Vec::new(),
            next_at,
            give_up_at,
        };
        self.operations.insert(self.last_id, operation);
        self.deadlines.insert((next_at, self.last_id));
        self.follow(self.last_id, step, now)
    }

    /// A question was asked for a read.
    pub fn asked(&mut self, id: u64, question: u64) {
        if let Some(operation) = self.operations.get_mut(&id) {
            operation.questions.push(question);
        }
    }

    /// A holder answered, or could not be asked (`None`).
    pub fn answered(
        &mut self,
        id: u64,
        from: Uuid,
        answer: Option<Answer>,
        now: BootMillis,
    ) -> Vec<ReadEffect<T>> {
        let Some(operation) = self.operations.get_mut(&id) else {
            return Vec::new();
        };
        operation.read.expire(now);
        let step = operation.read.answered(from, unexpired(answer, now));
        self.follow(id, step, now)
    }

    /// When [`Reads::tick`] has something to do next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<BootMillis> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// What the passing of time brings: company for slow holders, and the end.
    pub fn tick(&mut self, now: BootMillis) -> Vec<ReadEffect<T>> {
        let mut effects = Vec::new();
        while let Some((at, id)) = self.deadlines.first().copied()
            && at <= now
        {
            let Some(operation) = self.operations.get_mut(&id) else {
                self.deadlines.pop_first();
                continue;
            };
            operation.read.expire(now);
            if operation.give_up_at <= now {
                effects.extend(self.give_up(id));
                continue;
            }
            self.hedged += 1;
            let step = operation.read.hedge();
            let give_up_at = operation.give_up_at;
            self.put_off(id, give_up_at);
            effects.extend(self.follow(id, step, now));
        }
        effects
    }

    fn follow(&mut self, id: u64, step: Step, now: BootMillis) -> Vec<ReadEffect<T>> {
        match step {
            Step::Wait => Vec::new(),
            Step::Ask(to) => {
                self.put_off(id, now + HEDGE_AFTER);
                let Some(operation) = self.operations.get(&id) else {
                    return Vec::new();
                };
                vec![ReadEffect::Ask {
                    id,
                    to,
                    view: operation.view,
                    key: operation.key.clone(),
                }]
            }
            Step::Done(outcome) => self.end(id, |_| outcome).into_iter().collect(),
        }
    }

    fn give_up(&mut self, id: u64) -> Option<ReadEffect<T>> {
        self.end(id, Read::give_up)
    }

    fn end(&mut self, id: u64, outcome: impl FnOnce(Read) -> GetOutcome) -> Option<ReadEffect<T>> {
        let operation = self.operations.remove(&id)?;
        self.deadlines.remove(&(operation.next_at, id));
        Some(ReadEffect::Answer {
            waiter: operation.waiter,
            outcome: outcome(operation.read),
            questions: operation.questions,
        })
    }

    fn put_off(&mut self, id: u64, until: BootMillis) {
        if let Some(operation) = self.operations.get_mut(&id) {
            self.deadlines.remove(&(operation.next_at, id));
            operation.next_at = until.min(operation.give_up_at);
            self.deadlines.insert((operation.next_at, id));
        }
    }
}

/// A value that ended on its way is none.
fn unexpired(answer: Option<Answer>, now: BootMillis) -> Option<Answer> {
    match answer {
        Some(Answer::Have(entry)) if entry.deadline <= now => Some(Answer::Over(entry.version)),
        Some(Answer::Vote(entry, _) | Answer::Perhaps(entry)) if entry.deadline <= now => {
            Some(Answer::DoNotKnow)
        }
        answer => answer,
    }
}
