//! Performing what the core of the refill asks for, and serving it to others.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use uuid::Uuid;

use super::asks::Asked;
use super::node::{Node, count, lock};
use super::scan::{Budget, Scan};
use super::world::World;
use crate::coordinator::{Page, Pull, Refill, Value};
use crate::placement::Placement;
use crate::wire::frame::{
    Ack, Answer, DigestItem, DigestPage, INLINE_VALUE, PAGE_BYTES, PAGE_ITEMS, Request,
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

    /// Keeps what the refill's core says where readers look. The caller holds the core's
    /// lock, so this is never older than what the core says.
    pub(super) fn note_completeness(&self, refill: &Refill) {
        self.knows_all.store(refill.is_complete(), Ordering::SeqCst);
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
            } => {
                let id = self.asks.note(from, Asked::Page(ticket));
                let question = Request::Digest {
                    id,
                    view,
                    previous,
                    after,
                    with_values,
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
                let kept = self.store.get(&key, self.world.boot_now());
                if kept.is_none_or(|kept| kept.version < version) {
                    wanted.push((key, length));
                }
                continue;
            };
            bytes += u64::from(length);
            lock(&self.writes).observe(version);
            match self.keep(key, entry) {
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
            Answer::Have(entry) => {
                lock(&self.writes).observe(entry.version);
                let bytes = (key.len() + entry.value.len()) as u64;
                match self.keep(key.clone(), entry) {
                    Ack::Stored => {
                        count(&self.counters.values_received);
                        Value::Stored(bytes)
                    }
                    Ack::Full => Value::Full,
                    Ack::Older(_) | Ack::Ahead => Value::Gone,
                }
            }
            Answer::DoNotHave | Answer::DoNotKnow => Value::Gone,
        };
        self.refill_step(|refill| refill.value(ticket, key, value, self.world.boot_now()));
    }

    /// A page of what this node has for `asker`.
    pub(super) fn digest(
        &self,
        asker: Uuid,
        view: u64,
        previous: u64,
        after: Option<Bytes>,
        with_values: bool,
    ) -> DigestPage {
        let now = self.view();
        if now.placement.fingerprint() != view || !now.placement.contains(asker) {
            return DigestPage::OtherView;
        }
        let former = now
            .recent
            .iter()
            .find(|former| former.fingerprint() == previous);
        let former = former
            .map(AsRef::as_ref)
            .filter(|former| former.contains(asker));
        let is_new = |key: &Bytes| {
            now.placement.is_holder(asker, key)
                && !former.is_some_and(|former| former.is_holder(asker, key))
        };
        // Where everyone holds everything there is nothing new for who has been there.
        if former.is_some_and(Placement::everyone_holds_all) {
            return DigestPage::Items {
                items: Vec::new(),
                next: None,
            };
        }
        let budget = Budget {
            items: PAGE_ITEMS,
            bytes: PAGE_BYTES,
        };
        let mut scan = Scan::new(
            &self.store,
            self.world.boot_now(),
            Bytes::new(),
            after,
            budget,
        );
        let mut items = Vec::new();
        while scan.seen() < SCANNED
            && let Some(key) = scan.next()
        {
            if is_new(&key)
                && let Some(item) = self.item(key, with_values)
            {
                let value = item.entry.as_ref().map_or(0, |entry| entry.value.len());
                scan.took(item.key.len() + value + ITEM_OVERHEAD);
                items.push(item);
            }
        }
        DigestPage::Items {
            items,
            next: scan.rest(),
        }
    }

    fn item(&self, key: Bytes, with_values: bool) -> Option<DigestItem> {
        let entry = self.store.get(&key, self.world.boot_now())?;
        let length = u32::try_from(entry.value.len()).unwrap_or(u32::MAX);
        let version = entry.version;
        let entry = (with_values && entry.value.len() <= INLINE_VALUE).then_some(entry);
        Some(DigestItem {
            key,
            version,
            length,
            entry,
        })
    }
}
