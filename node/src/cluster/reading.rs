//! Performing reads and listings.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::KeysOutcome;
use super::asks::Asked;
use super::home::Reader;
use super::node::{Node, count, lock};
use super::scan::{Budget, Scan};
use super::world::World;
use crate::clock::BootMillis;
use crate::coordinator::{GetOutcome, Listing, Read, ReadEffect};
use crate::placement::Placement;
use crate::store::{Entry, Listed, PACKED_MAX};
use crate::stream::NotSent;
use crate::wire::frame::{Answer, KeysPage, MAX_VALUE, PAGE_BYTES, PAGE_ITEMS, Request};

/// Bytes of large values that pass through a node on their way from a holder to its clients,
/// of a store with so many bytes: a part of them in addition, because reading goes on when the
/// store is full, and at least two of the largest values.
pub(super) fn forwarded_max(store_bytes: u64) -> u64 {
    (store_bytes / 4).max(2 * MAX_VALUE as u64)
}

/// How long a listing waits for its slowest member.
const LIST_WITHIN: Duration = Duration::from_secs(2);

impl<W: World> Node<W> {
    /// A client's read.
    pub(super) async fn get(&self, key: &Bytes) -> GetOutcome {
        match self.begin_get(key) {
            Ok(outcome) => outcome,
            Err(answer) => answer.await.unwrap_or(GetOutcome::Unknown),
        }
    }

    /// Begins a client's read: how it ended, or else where its end will be told.
    pub(super) fn begin_get(
        &self,
        key: &Bytes,
    ) -> Result<GetOutcome, oneshot::Receiver<GetOutcome>> {
        let placement = self.placement();
        let now = self.world.boot_now();
        let local = match self.own_answer(&placement, key, now) {
            Some(Answer::Have(entry)) => return Ok(GetOutcome::Found(entry)),
            unsure => unsure,
        };
        let prefer = |uuid| u8::from(!self.world.answers(uuid));
        let read = Read::new(&placement, key, self.own.uuid, local, prefer);
        let (waiter, answer) = Reader::here();
        let effects = {
            let mut reads = lock(&self.reads);
            let effects = reads.begin(read, key.clone(), placement.fingerprint(), waiter, now);
            self.world.wake_at(reads.next_deadline());
            effects
        };
        self.perform_reads(effects);
        Err(answer)
    }

    /// A client's read, if this node has the value and need not ask anybody.
    pub(super) fn get_at_once(&self, key: &[u8], now: BootMillis) -> Option<Entry> {
        match self.own_answer(&self.placement(), key, now)? {
            Answer::Have(entry) => Some(entry),
            _ => None,
        }
    }

    /// What this node says of a key by itself, where it is a holder. What is left of a value
    /// where it is no longer held may be outdated.
    fn own_answer(&self, placement: &Placement, key: &[u8], now: BootMillis) -> Option<Answer> {
        let holds = placement.is_holder(self.own.uuid, key);
        holds.then(|| match self.store.get(key, now) {
            Some(entry) => self.presence(key, entry, now),
            None => self.absence(key, now),
        })
    }

    /// A holder answered a read, or cannot (`None`).
    pub(super) fn read_answered(&self, id: u64, from: Uuid, answer: Option<Answer>) {
        let now = self.world.boot_now();
        let effects = lock(&self.reads).answered(id, from, answer, now);
        self.perform_reads(effects);
    }

    /// Does what a step of the reads asks for, and what follows from that.
    pub(super) fn perform_reads(&self, effects: Vec<ReadEffect<Reader>>) {
        let mut effects = VecDeque::from(effects);
        while let Some(effect) = effects.pop_front() {
            match effect {
                ReadEffect::Ask { id, to, view, key } => {
                    count(&self.counters.reads_forwarded);
                    let question = self.asks.note(to, Asked::Read(id));
                    let request = Request::Get {
                        id: question,
                        view,
                        key,
                    };
                    let Err(why) = self.world.send(to, request) else {
                        lock(&self.reads).asked(id, question);
                        continue;
                    };
                    self.asks.forget(question);
                    let now = self.world.boot_now();
                    let answer = match why {
                        NotSent::Closed if self.world.is_silent(to) => self.out_of_reach(now),
                        // It is there, and cannot be asked now.
                        NotSent::Closed | NotSent::Full => Some(Answer::DoNotKnow),
                    };
                    effects.extend(lock(&self.reads).answered(id, to, answer, now));
                }
                ReadEffect::Answer {
                    waiter,
                    outcome,
                    questions,
                } => {
                    for question in questions {
                        self.asks.forget(question);
                    }
                    let outcome = self.within_bounds(outcome);
                    if outcome == GetOutcome::Unknown {
                        count(&self.counters.reads_unknown);
                    }
                    waiter.told(outcome);
                }
            }
        }
    }

    /// A large value from elsewhere is in memory only for the client that waits for it, which
    /// may take its time: beyond the bound it has to ask again.
    fn within_bounds(&self, outcome: GetOutcome) -> GetOutcome {
        let mut entry = match outcome {
            GetOutcome::Found(entry) if entry.value.len() > PACKED_MAX => entry,
            outcome => return outcome,
        };
        match self.forwarded.reserve(entry.value.len() as u64) {
            Ok(reserved) => {
                entry.value = reserved.hold(entry.value);
                GetOutcome::Found(entry)
            }
            Err(_) => GetOutcome::Unknown,
        }
    }

    /// A client's listing.
    pub(super) async fn keys(
        &self,
        prefix: Bytes,
        after: Option<Bytes>,
        limit: usize,
    ) -> KeysOutcome {
        let limit = limit.min(PAGE_ITEMS);
        let placement = self.placement();
        let view = placement.fingerprint();
        let mut listing = Listing::new(&placement, limit);
        if placement.contains(self.own.uuid) {
            listing.answered(Some(self.keys_page(view, &prefix, after.as_ref(), limit)));
        }
        let (tell, mut pages) = mpsc::unbounded_channel();
        let mut questions = Questions::of(self);
        let others = placement
            .seats()
            .iter()
            .filter(|seat| seat.uuid != self.own.uuid);
        let mut asked = 0;
        for member in others.map(|seat| seat.uuid) {
            let limit = u32::try_from(limit).unwrap_or(u32::MAX);
            let (prefix, after) = (prefix.clone(), after.clone());
            let sent = self.world.answers(member)
                && questions.ask(member, Asked::Listing(tell.clone()), |id| Request::Keys {
                    id,
                    view,
                    prefix,
                    after,
                    limit,
                });
            if sent {
                asked += 1;
            } else {
                listing.answered(None);
            }
        }
        let give_up_at = Instant::now() + LIST_WITHIN;
        for _ in 0..asked {
            let page = timeout_at(give_up_at, pages.recv()).await;
            listing.answered(page.ok().flatten().flatten());
        }
        match listing.page() {
            Some((keys, more)) => KeysOutcome::Page { keys, more },
            None => KeysOutcome::Unknown,
        }
    }

    /// This node's part of a listing for somebody who sees the members of `view`: the keys
    /// that it is to hold.
    pub(super) fn keys_page(
        &self,
        view: u64,
        prefix: &Bytes,
        after: Option<&Bytes>,
        limit: usize,
    ) -> KeysPage {
        let placement = self.placement();
        let now = self.world.boot_now();
        let complete = placement.fingerprint() == view && self.knows_what_is_missing(now);
        let budget = Budget {
            items: limit.min(PAGE_ITEMS),
            bytes: PAGE_BYTES,
        };
        let mut scan = Scan::new(&self.store, now, prefix.clone(), after.cloned(), budget);
        let mut keys = Vec::new();
        while let Some(Listed { key, ended, .. }) = scan.next() {
            if !ended && placement.is_holder(self.own.uuid, &key) {
                scan.took(key.len());
                keys.push(key);
            }
        }
        KeysPage {
            keys,
            more: scan.more(),
            complete,
        }
    }
}

/// The questions of one operation; nobody waits for what is unanswered at its end.
struct Questions<'a, W: World> {
    node: &'a Node<W>,
    ids: Vec<u64>,
}

impl<'a, W: World> Questions<'a, W> {
    const fn of(node: &'a Node<W>) -> Self {
        Self {
            node,
            ids: Vec::new(),
        }
    }

    /// Asks `peer` a question with the number that it is given; whether it could be sent.
    fn ask(&mut self, peer: Uuid, asked: Asked, question: impl FnOnce(u64) -> Request) -> bool {
        let id = self.node.asks.note(peer, asked);
        self.ids.push(id);
        self.node.world.send(peer, question(id)).is_ok()
    }
}

impl<W: World> Drop for Questions<'_, W> {
    fn drop(&mut self) {
        for id in &self.ids {
            self.node.asks.forget(*id);
        }
    }
}
