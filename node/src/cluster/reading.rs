//! Performing reads and listings.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout_at};
use uuid::Uuid;

use super::KeysOutcome;
use super::asks::Asked;
use super::node::{Node, count};
use super::scan::{Budget, Scan};
use crate::clock::boot_now;
use crate::coordinator::{GetOutcome, Listing, Local, Read, Step};
use crate::wire::frame::{Answer, KeysPage, PAGE_BYTES, PAGE_ITEMS, Request};

/// A holder that takes longer gets company: the next one is asked too. Within a machine or
/// a data centre hardly any answer takes so long; around the world every tenth read asks
/// twice.
const HEDGE_AFTER: Duration = Duration::from_millis(50);

/// How long a read may take. A client waits longer for nothing: by then its holders are
/// hanging, and it is better told to try again.
const READ_WITHIN: Duration = Duration::from_secs(2);

/// How long a listing waits for its slowest member.
const LIST_WITHIN: Duration = Duration::from_secs(2);

impl Node {
    /// A client's read.
    pub(super) async fn get(&self, key: &Bytes) -> GetOutcome {
        let placement = self.placement();
        let holds = placement.is_holder(self.own.uuid, key);
        let entry = self.store.get(key, boot_now());
        let local = match entry {
            Some(entry) if holds => return GetOutcome::Found(entry),
            None if holds => Local::Holder(self.absence()),
            leftover => Local::Leftover(leftover),
        };
        let prefer = |uuid| u8::from(!self.streams().answers(uuid));
        let read = Read::new(&placement, key, self.own.uuid, local, prefer);
        let outcome = self.ask_around(read, placement.fingerprint(), key).await;
        if outcome == GetOutcome::Unknown {
            count(&self.counters.reads_unknown);
        }
        outcome
    }

    /// What this node, a holder, says of a key that it does not have. The placement by which
    /// it is one is to be looked at before.
    pub(super) fn absence(&self) -> Answer {
        if self.knows_all() {
            Answer::DoNotHave
        } else {
            Answer::DoNotKnow
        }
    }

    async fn ask_around(&self, mut read: Read, view: u64, key: &Bytes) -> GetOutcome {
        let (tell, mut answers) = mpsc::unbounded_channel();
        let mut questions = Questions::of(self);
        let give_up_at = Instant::now() + READ_WITHIN;
        let mut hedge_at = Instant::now() + HEDGE_AFTER;
        let mut step = read.start();
        loop {
            match step {
                Step::Done(outcome) => return outcome,
                Step::Ask(holder) => {
                    count(&self.counters.reads_forwarded);
                    let asked =
                        questions.ask(holder, Asked::Read(tell.clone()), |id| Request::Get {
                            id,
                            view,
                            key: key.clone(),
                        });
                    if !asked {
                        step = read.answered(holder, None);
                        continue;
                    }
                    hedge_at = Instant::now() + HEDGE_AFTER;
                }
                Step::Wait => {}
            }
            step = tokio::select! {
                // This end keeps a sender, so there is always an answer.
                Some((from, answer)) = answers.recv() => read.answered(from, unexpired(answer)),
                () = sleep_until(hedge_at) => {
                    hedge_at = give_up_at;
                    count(&self.counters.reads_hedged);
                    read.hedge()
                }
                () = sleep_until(give_up_at) => return read.give_up(),
            };
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
        listing.answered(Some(self.keys_page(view, &prefix, after.as_ref(), limit)));
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
            let sent = self.streams().answers(member)
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
        let complete = placement.fingerprint() == view && self.knows_all();
        let budget = Budget {
            items: limit.min(PAGE_ITEMS),
            bytes: PAGE_BYTES,
        };
        let mut scan = Scan::new(&self.store, prefix.clone(), after.cloned(), budget);
        let mut keys = Vec::new();
        while let Some(key) = scan.next() {
            if placement.is_holder(self.own.uuid, &key) {
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

/// A value that ended on its way is none.
fn unexpired(answer: Option<Answer>) -> Option<Answer> {
    match answer {
        Some(Answer::Have(entry)) if entry.deadline <= boot_now() => Some(Answer::DoNotHave),
        answer => answer,
    }
}

/// The questions of one operation; nobody waits for what is unanswered at its end.
struct Questions<'a> {
    node: &'a Node,
    ids: Vec<u64>,
}

impl<'a> Questions<'a> {
    const fn of(node: &'a Node) -> Self {
        Self {
            node,
            ids: Vec::new(),
        }
    }

    /// Asks `peer` a question with the number that it is given; whether it could be sent.
    fn ask(&mut self, peer: Uuid, asked: Asked, question: impl FnOnce(u64) -> Request) -> bool {
        let id = self.node.asks.note(peer, asked);
        self.ids.push(id);
        self.node.streams().send(peer, question(id)).is_ok()
    }
}

impl Drop for Questions<'_> {
    fn drop(&mut self) {
        for id in &self.ids {
            self.node.asks.forget(*id);
        }
    }
}
