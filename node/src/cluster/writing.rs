//! Performing what the core of writing asks for.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::asks::Asked;
use super::home::Waiter;
use super::node::{Node, lock};
use super::world::World;
use crate::clock::BootMillis;
use crate::coordinator::{Effect, NewWrite, PutOutcome, Unsent};
use crate::store::{ENTRY_OVERHEAD, Entry, PACKED_MAX, Stored};
use crate::stream::NotSent;
use crate::wire::frame::{Ack, Origin, Request};

/// Pause between two push-pulls because others see other members: much beside the time in
/// which gossip brings most changes to all.
const DIFFER_EVERY: Duration = Duration::from_secs(1);

impl<W: World> Node<W> {
    /// A client's write.
    pub(super) async fn put(&self, key: Bytes, value: Bytes, ttl_s: u32) -> PutOutcome {
        let answer = match self.begin_put(key, value, ttl_s) {
            Ok(answer) => answer,
            Err(outcome) => return outcome,
        };
        answer.await.unwrap_or(PutOutcome::Unavailable)
    }

    /// Begins a client's write: where its end will be told, or how it ended already.
    pub(super) fn begin_put(
        &self,
        key: Bytes,
        value: Bytes,
        ttl_s: u32,
    ) -> Result<oneshot::Receiver<PutOutcome>, PutOutcome> {
        // It is kept until every holder has it, beside what the store keeps. A large value
        // is in one buffer, which is accounted already.
        let copied = Some(value.len()).filter(|length| *length <= PACKED_MAX);
        let bytes = (key.len() + copied.unwrap_or(0)) as u64 + ENTRY_OVERHEAD;
        let held = self.store.reserve(bytes).map_err(|_| PutOutcome::Full)?;
        let (waiter, answer) = Waiter::here();
        let write = NewWrite {
            key,
            value,
            ttl_s,
            held: Some(held),
        };
        let (effects, deadline) = {
            let mut writes = lock(&self.writes);
            let effects = writes.begin(
                write,
                waiter,
                self.world.boot_now(),
                self.world.unix_now_ms(),
            );
            (effects, writes.next_deadline())
        };
        self.world.wake_at(deadline);
        self.perform(effects);
        Ok(answer)
    }

    /// Does what a step of the writes asks for, and what follows from that.
    pub(super) fn perform(&self, effects: Vec<Effect<Waiter>>) {
        let mut effects = VecDeque::from(effects);
        while let Some(effect) = effects.pop_front() {
            match effect {
                Effect::Store { id, key, entry } => {
                    let ack = self.keep(key, entry);
                    let (now, wall_ms) = (self.world.boot_now(), self.world.unix_now_ms());
                    let more = lock(&self.writes).acked(id, self.own.uuid, ack, 0, now, wall_ms);
                    effects.extend(more);
                }
                Effect::Send {
                    to,
                    id,
                    key,
                    entry,
                    digest,
                } => {
                    let put = Request::Put {
                        id,
                        origin: Origin::Client,
                        key,
                        entry,
                        digest,
                    };
                    if let Err(why) = self.world.send(to, put) {
                        let silent = self.world.is_silent(to);
                        let mut writes = lock(&self.writes);
                        let why = match why {
                            NotSent::Closed => Unsent::NoStream,
                            NotSent::Full if silent => Unsent::Silent,
                            NotSent::Full => Unsent::Crowded,
                        };
                        writes.unsent(id, to, why, self.world.boot_now());
                        self.world.wake_at(writes.next_deadline());
                    }
                }
                // Without room it is still offered to the holders from here.
                Effect::Keep { key, entry } => drop(self.keep(key, entry)),
                Effect::AskView { to } => effects.extend(self.ask_view(to)),
                // Without whoever waited, if it has gone away, the write goes on.
                Effect::Answer { waiter, outcome } => waiter.told(outcome),
            }
        }
    }

    /// Puts a value that came from a peer into this node's own store.
    pub(super) fn keep_copy(&self, key: Bytes, mut entry: Entry) -> Ack {
        // It counts for as long as anybody has it.
        match self.store.hold(entry.value, self.world.boot_now()) {
            Ok(value) => entry.value = value,
            Err(_) => return Ack::Full,
        }
        self.keep(key, entry)
    }

    /// Puts a value that came from a client into this node's own store.
    pub(super) fn keep(&self, key: Bytes, entry: Entry) -> Ack {
        let version = entry.version;
        match self.store.put(key, entry, self.world.boot_now()) {
            Ok(Stored::Newer) => Ack::Stored,
            Ok(Stored::Older(kept)) if kept == version => Ack::Stored,
            Ok(Stored::Older(kept)) => Ack::Older(kept),
            Err(_) => Ack::Full,
        }
    }

    /// Asks a peer which members it sees; what follows when it is known not to answer.
    fn ask_view(&self, to: Uuid) -> Vec<Effect<Waiter>> {
        if self.world.is_silent(to) {
            return lock(&self.writes).silent(to, self.world.boot_now());
        }
        let id = self.asks.note(to, Asked::View);
        // Without a stream it is asked again as long as it matters.
        if self.world.send(to, Request::View { id }).is_err() {
            self.asks.forget(id);
        }
        Vec::new()
    }

    /// A peer said which members it sees.
    pub(super) fn view_told(&self, peer: Uuid, view: u64) {
        let now = self.world.boot_now();
        let effects = lock(&self.writes).view_told(peer, view, now);
        self.perform(effects);
        self.note_view(peer, view, now);
    }

    /// Where a peer sees other members, the two tell each other all that they know, once in a
    /// while: gossip says everything only once, and as long as they do not agree nothing is
    /// acknowledged.
    fn note_view(&self, peer: Uuid, view: u64, now: BootMillis) {
        if view == self.placement().fingerprint() {
            return;
        }
        let last = BootMillis(self.differed_ms.load(Ordering::SeqCst));
        if last.0 == 0 || last + DIFFER_EVERY <= now {
            self.differed_ms.store(now.0, Ordering::SeqCst);
            self.push_pull(peer);
        }
    }

    /// Acknowledgements of a peer.
    pub(super) fn acked(&self, peer: Uuid, acks: &[(u64, Ack, u64)]) {
        if acks.is_empty() {
            return;
        }
        let (now, wall_ms) = (self.world.boot_now(), self.world.unix_now_ms());
        let mut effects = Vec::new();
        {
            let mut writes = lock(&self.writes);
            for (id, ack, view) in acks {
                effects.extend(writes.acked(*id, peer, *ack, *view, now, wall_ms));
            }
            self.world.wake_at(writes.next_deadline());
        }
        self.perform(effects);
        if let Some((_, _, view)) = acks.last() {
            self.note_view(peer, *view, now);
        }
    }
}
