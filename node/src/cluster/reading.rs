//! Performing reads and listings.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::time::{Instant, sleep_until, timeout_at};
use uuid::Uuid;

use super::KeysOutcome;
use super::asks::{Asked, Asks};
use super::node::{Node, count};
use super::scan::{Budget, Scan};
use crate::clock::boot_now;
use crate::coordinator::{GetOutcome, Listing, Local, Read, Step};
use crate::placement::Placement;
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
        let outcome = self.ask_around(read, key).await;
        if outcome == GetOutcome::Unknown {
            count(&self.counters.reads_unknown);
        }
        outcome
    }

    /// What this node, a holder, says of a key that it does not have.
    pub(super) fn absence(&self) -> Answer {
        if self.knows_all() {
            Answer::DoNotHave
        } else {
            Answer::DoNotKnow
        }
    }

    async fn ask_around(&self, mut read: Read, key: &Bytes) -> GetOutcome {
        let (tell, mut answers) = mpsc::unbounded_channel();
        let mut questions = Questions {
            asks: &self.asks,
            ids: Vec::new(),
        };
        let give_up_at = Instant::now() + READ_WITHIN;
        let mut hedge_at = Instant::now() + HEDGE_AFTER;
        let mut step = read.start();
        loop {
            match step {
                Step::Done(outcome) => return outcome,
                Step::Ask(holder) => {
                    if !self.ask(holder, key, &tell, &mut questions) {
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

    fn ask(
        &self,
        holder: Uuid,
        key: &Bytes,
        tell: &UnboundedSender<(Uuid, Option<Answer>)>,
        questions: &mut Questions<'_>,
    ) -> bool {
        count(&self.counters.reads_forwarded);
        let id = questions.note(holder, Asked::Read(tell.clone()));
        self.streams()
            .send(
                holder,
                Request::Get {
                    id,
                    key: key.clone(),
                },
            )
            .is_ok()
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
        let mut listing = Listing::new(&placement, limit);
        listing.answered(Some(self.keys_page(&prefix, after.as_ref(), limit)));
        let (tell, mut pages) = mpsc::unbounded_channel();
        let mut questions = Questions {
            asks: &self.asks,
            ids: Vec::new(),
        };
        let mut asked = 0;
        for member in placement
            .seats()
            .iter()
            .filter(|seat| seat.uuid != self.own.uuid)
        {
            let asked_now = self.ask_keys(
                member.uuid,
                &prefix,
                after.as_ref(),
                limit,
                &tell,
                &mut questions,
            );
            if asked_now {
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

    /// Asks a member for its part of a listing, unless it would not answer.
    fn ask_keys(
        &self,
        member: Uuid,
        prefix: &Bytes,
        after: Option<&Bytes>,
        limit: usize,
        tell: &UnboundedSender<Option<KeysPage>>,
        questions: &mut Questions<'_>,
    ) -> bool {
        if !self.streams().answers(member) {
            return false;
        }
        let id = questions.note(member, Asked::Listing(tell.clone()));
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        let (prefix, after) = (prefix.clone(), after.cloned());
        self.streams()
            .send(
                member,
                Request::Keys {
                    id,
                    prefix,
                    after,
                    limit,
                },
            )
            .is_ok()
    }

    /// This node's part of a listing: the keys that it is to hold.
    pub(super) fn keys_page(
        &self,
        prefix: &Bytes,
        after: Option<&Bytes>,
        limit: usize,
    ) -> KeysPage {
        let placement = self.placement();
        let budget = Budget {
            items: limit.min(PAGE_ITEMS),
            bytes: PAGE_BYTES,
        };
        let mut scan = Scan::new(&self.store, prefix.clone(), after.cloned(), budget);
        let mut keys = Vec::new();
        while let Some(key) = scan.next() {
            if self.lists(&placement, &key) {
                scan.took(key.len());
                keys.push(key);
            }
        }
        // A page that ends early ends at its last key, wherever the scan got to.
        KeysPage {
            keys,
            more: scan.more(),
            complete: self.knows_all(),
        }
    }

    fn lists(&self, placement: &Placement, key: &Bytes) -> bool {
        placement.is_holder(self.own.uuid, key)
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
    asks: &'a Asks,
    ids: Vec<u64>,
}

impl Questions<'_> {
    fn note(&mut self, peer: Uuid, asked: Asked) -> u64 {
        let id = self.asks.note(peer, asked);
        self.ids.push(id);
        id
    }
}

impl Drop for Questions<'_> {
    fn drop(&mut self) {
        for id in &self.ids {
            self.asks.forget(*id);
        }
    }
}
