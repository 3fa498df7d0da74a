//! Performing what the core of the refill asks for, and serving it to others.

use std::collections::VecDeque;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use uuid::Uuid;

use super::asks::Asked;
use super::comparison::{Comparison, Summing};
use super::node::{Node, View, count, lock};
use super::scan::{Budget, Scan};
use super::world::World;
use crate::coordinator::{Page, Pull, Refill, Value};
use crate::placement::Placement;
use crate::store::Listed;
use crate::wire::frame::{
    Ack, Answer, DigestItem, DigestPage, INLINE_VALUE, PAGE_BYTES, PAGE_ITEMS, Request, Sums,
};

/// Keys that are looked at for one page, held by the asker or not: some milliseconds.
const SCANNED: usize = 50_000;

/// Bytes of a digest item beside its key.
const ITEM_OVERHEAD: usize = 39;

impl<W: World> Node<W> {
    /// Whether this node has heard of all that it should hold.
    pub(super) fn knows_all(&self) -> bool {
        self.knows_all.load(Ordering::SeqCst)
    }

    /// Whether everyone to whom there is a stream has told all of what it has.
    pub(super) fn has_heard_reachable(&self) -> bool {
        self.heard_reachable.load(Ordering::SeqCst)
    }

    /// Keeps what the refill's core says where readers look. The caller holds the core's
    /// lock, so this is never older than what the core says.
    pub(super) fn note_completeness(&self, refill: &Refill) {
        let complete = refill.is_complete();
        if complete && !self.knows_all() {
            let mut view = self.view.write().unwrap_or_else(PoisonError::into_inner);
            view.complete = refill.view();
        }
        self.knows_all.store(complete, Ordering::SeqCst);
        let heard_reachable = refill.has_heard_reachable();
        self.heard_reachable
            .store(heard_reachable, Ordering::SeqCst);
        self.sure.store(refill.is_sure(), Ordering::SeqCst);
        let votes = refill
            .votes()
            .map_or(0, |votes| u16::try_from(votes).unwrap_or(u16::MAX));
        self.votes.store(votes, Ordering::SeqCst);
    }

    /// One step of the refill and what follows from it.
    pub(super) fn refill_step(&self, step: impl FnOnce(&mut Refill) -> Vec<Pull>) {
        let pulls = step(&mut lock(&self.refill));
        self.pull(pulls);
    }

    /// Asks what a step of the refill wants asked.
    pub(super) fn pull(&self, pulls: Vec<Pull>) {
        let mut pulls = VecDeque::from(pulls);
        while let Some(pull) = pulls.pop_front() {
            if let Err(ticket) = self.pull_one(pull) {
                pulls.extend(lock(&self.refill).failed(ticket, self.world.boot_now()));
            }
        }
        let refill = lock(&self.refill);
        self.note_completeness(&refill);
        self.world.wake_at(refill.next_deadline());
    }

    /// Asks; gives the ticket back when that cannot be done.
    fn pull_one(&self, pull: Pull) -> Result<(), u64> {
        let (peer, ticket, id, question) = match pull {
            Pull::Page {
                from,
                ticket,
                view,
                previous,
                after,
                with_values,
                compare,
            } => {
                let id = self.asks.note(from, Asked::Page(ticket));
                let sums = compare.then(|| self.sums(from, after.clone()));
                let question = Request::Digest {
                    id,
                    view,
                    previous,
                    after,
                    with_values,
                    sums,
                };
                (from, ticket, id, question)
            }
            Pull::Value { from, ticket, key } => {
                let id = self.asks.note(from, Asked::Value(ticket, key.clone()));
                (from, ticket, id, Request::Get { id, view: 0, key })
            }
        };
        self.world.send(peer, question).map_err(|_| {
            self.asks.forget(id);
            ticket
        })
    }

    /// A page came: keeps the values in it, and finds what else is wanted.
    pub(super) fn page_came(&self, ticket: u64, page: DigestPage) {
        let page = match page {
            DigestPage::OtherView => Page::OtherView,
            DigestPage::Items { items, next } => self.use_items(items, next),
        };
        self.refill_step(|refill| refill.page(ticket, page, self.world.boot_now()));
    }

    fn use_items(&self, items: Vec<DigestItem>, next: Option<Bytes>) -> Page {
        let (mut wanted, mut entries, mut bytes, mut full) = (Vec::new(), 0, 0, false);
        for DigestItem {
            key,
            version,
            length,
            entry,
        } in items
        {
            bytes += key.len() as u64;
            let Some(entry) = entry else {
                let kept = self.store.version(&key, self.world.boot_now());
                if kept.is_none_or(|kept| kept < version) {
                    wanted.push((key, length));
                }
                continue;
            };
            bytes += u64::from(length);
            lock(&self.writes).observe(version);
            match self.keep_copy(key, entry) {
                Ack::Stored => entries += 1,
                Ack::Full => full = true,
                Ack::Older(_) | Ack::Ahead => {}
            }
        }
        Page::Items {
            wanted,
            next,
            entries,
            bytes,
            full,
        }
    }

    /// A value came, or not.
    pub(super) fn value_came(&self, ticket: u64, key: &Bytes, answer: Answer) {
        let value = match answer {
            Answer::Have(entry) | Answer::Vote(entry, _) | Answer::Perhaps(entry) => {
                lock(&self.writes).observe(entry.version);
                let bytes = (key.len() + entry.value.len()) as u64;
                match self.keep_copy(key.clone(), entry) {
                    Ack::Stored => {
                        count(&self.counters.values_received);
                        Value::Stored(bytes)
                    }
                    Ack::Full => Value::Full,
                    Ack::Older(_) | Ack::Ahead => Value::Gone,
                }
            }
            Answer::DoNotHave | Answer::Over(_) | Answer::DoNotKnow => Value::Gone,
        };
        self.refill_step(|refill| refill.value(ticket, key, value, self.world.boot_now()));
    }

    /// A page of what this node has for `asker`.
    pub(super) fn digest(&self, asker: Uuid, question: &DigestQuestion) -> DigestPage {
        let now = self.view();
        let placement = now.placement.as_ref();
        if placement.fingerprint() != question.view || !placement.contains(asker) {
            return DigestPage::OtherView;
        }
        if let Some(sums) = &question.sums {
            return self.differences(asker, &now, question, sums);
        }
        let former = now
            .recent
            .iter()
            .find(|former| former.fingerprint() == question.previous);
        let former = former
            .map(AsRef::as_ref)
            .filter(|former| former.contains(asker));
        let is_new = |key: &Bytes| {
            placement.is_holder(asker, key)
                && !former.is_some_and(|former| former.is_holder(asker, key))
        };
        // Where everyone holds everything there is nothing new for who has been there.
        if former.is_some_and(Placement::everyone_holds_all) {
            return DigestPage::Items {
                items: Vec::new(),
                next: None,
            };
        }
        let mut scan = self.scan(question.after.clone());
        let mut items = Vec::new();
        while scan.seen() < SCANNED
            && let Some(listed) = scan.next()
        {
            if is_new(&listed.key)
                && let Some(item) = self.item(listed, question.with_values)
            {
                scan.took(size(&item));
                items.push(item);
            }
        }
        DigestPage::Items {
            items,
            next: scan.rest(),
        }
    }

    /// A page of those of this node's versions that `asker` should hold and that are not in
    /// its sums.
    fn differences(
        &self,
        asker: Uuid,
        view: &View,
        question: &DigestQuestion,
        sums: &Sums,
    ) -> DigestPage {
        let mut comparison = Comparison::new(sums);
        let mut scan = self.scan(question.after.clone());
        let (mut found, mut bytes) = (Vec::new(), 0);
        let mut next = None;
        while let Some(listed) = scan.next() {
            if !comparison.reach(&listed.key, &mut found) {
                break;
            }
            let key = listed.key.clone();
            if view.placement.is_holder(asker, &key) {
                bytes += key.len() + ITEM_OVERHEAD;
                if view.wide.is_holder(self.own.uuid, &key) {
                    comparison.add(listed);
                } else {
                    // It is left from when this node was a holder.
                    found.push(listed);
                }
            }
            let listed = found.len() + comparison.pending();
            if scan.seen() >= SCANNED || listed >= PAGE_ITEMS / 2 || bytes >= PAGE_BYTES {
                // In the middle of a range: the asker sums up anew from here.
                next = Some(key);
                break;
            }
        }
        found.extend(comparison.end());
        let item = |listed| self.item(listed, question.with_values);
        DigestPage::Items {
            items: found.into_iter().filter_map(item).collect(),
            next: next.or_else(|| comparison.rest()),
        }
    }

    /// What this node has after a key, summed up range by range for `peer`.
    fn sums(&self, peer: Uuid, after: Option<Bytes>) -> Sums {
        let view = self.view();
        // A peer that leaves has what it held before.
        let both = |key: &Bytes| {
            view.wide.is_holder(peer, key) && view.placement.is_holder(self.own.uuid, key)
        };
        let mut summing = Summing::default();
        let mut scan = self.scan(after);
        while scan.seen() < SCANNED
            && summing.has_room()
            && let Some(listed) = scan.next()
        {
            let counts = both(&listed.key);
            summing.add(&listed, counts);
        }
        summing.end(!scan.more())
    }

    fn scan(&self, after: Option<Bytes>) -> Scan<'_> {
        let budget = Budget {
            items: PAGE_ITEMS,
            bytes: PAGE_BYTES,
        };
        let now = self.world.boot_now();
        Scan::new(&self.store, now, Bytes::new(), after, budget)
    }

    fn item(&self, listed: Listed, with_values: bool) -> Option<DigestItem> {
        let now = self.world.boot_now();
        let Listed {
            key,
            version,
            length,
            ended,
        } = listed;
        let inline = usize::try_from(length).is_ok_and(|length| length <= INLINE_VALUE);
        let entry = if ended {
            // Nothing but the version is left, and it takes no room.
            Some(self.store.ended(&key, now)?)
        } else if with_values && inline {
            Some(self.store.get(&key, now)?)
        } else {
            None
        };
        Some(DigestItem {
            key,
            version: entry.as_ref().map_or(version, |entry| entry.version),
            length,
            entry,
        })
    }
}

/// What a peer asks for with [`Request::Digest`].
#[derive(Debug)]
pub(super) struct DigestQuestion {
    /// Fingerprint of the members that it sees.
    pub(super) view: u64,
    /// Fingerprint of the members for whom it knows all already.
    pub(super) previous: u64,
    /// Keys after this one.
    pub(super) after: Option<Bytes>,
    /// Whether short values are wanted with the keys.
    pub(super) with_values: bool,
    /// What it has itself.
    pub(super) sums: Option<Sums>,
}

/// Bytes that an item takes of a page.
fn size(item: &DigestItem) -> usize {
    let value = item.entry.as_ref().map_or(0, |entry| entry.value.len());
    item.key.len() + value + ITEM_OVERHEAD
}
