//! The node behind its streams: answering peers, and hearing their answers.

use std::net::IpAddr;

use bytes::Bytes;
use uuid::Uuid;

use super::Life;
use super::asks::Asked;
use super::node::{Node, count, lock};
use super::refilling::DigestQuestion;
use super::world::World;
use crate::membership::{Identity, Input};
use crate::store::Entry;
use crate::stream::Host;
use crate::wire::Rope;
use crate::wire::frame::{Ack, Answer, Origin, Reply, Request};

/// How far a client's write may be ahead of our hybrid clock, in milliseconds. A clock that
/// is further off is wrong, and would shut out every other writer of the key.
const MAX_AHEAD_MS: u64 = 60_000;

impl<W: World> Host for Node<W> {
    fn identity(&self) -> Identity {
        lock(&self.membership).identity().clone()
    }

    fn connected(&self, peer: &Identity) {
        self.push_pull(peer.uuid);
        let effects = lock(&self.writes).connected(peer.uuid);
        self.perform(effects);
        self.refill_step(|refill| refill.connected(peer.uuid, self.world.boot_now()));
    }

    fn opened(&self, by: Uuid) {
        let now = self.world.boot_now();
        self.refill_step(|refill| refill.heard(by, now));
    }

    fn reopened(&self, by: Uuid) {
        let now = self.world.boot_now();
        self.refill_step(|refill| refill.reheard(by, now));
    }

    fn closed(&self, by: Uuid) {
        let now = self.world.boot_now();
        self.refill_step(|refill| {
            refill.unheard(by, now);
            Vec::new()
        });
    }

    fn lost(&self, peer: Uuid) {
        let effects = lock(&self.writes).lost(peer, self.world.boot_now());
        self.perform(effects);
        for asked in self.asks.lost(peer) {
            match asked {
                Asked::Read(id) => {
                    let answer = self.out_of_reach(self.world.boot_now());
                    self.read_answered(id, peer, answer);
                }
                Asked::Listing(tell) => drop(tell.send(None)),
                // The refill hears of the stream itself.
                Asked::Page(_) | Asked::Value(..) => {}
                Asked::PushPull
                | Asked::TakenOver
                | Asked::Farewell(_)
                | Asked::View
                | Asked::Carried => {}
            }
        }
        self.refill_step(|refill| refill.lost(peer, self.world.boot_now()));
    }

    fn replied(&self, peer: Uuid, source: IpAddr, replies: Vec<Reply>) {
        let mut acks = Vec::new();
        for reply in replies {
            if let Reply::Put { id, ack, view } = reply {
                acks.push((id, ack, view));
            } else if let Some(asked) = self.asks.answered(peer, reply.id()) {
                self.heard(peer, source, asked, reply);
            }
        }
        self.acked(peer, &acks);
    }

    fn answer(&self, from: &Identity, source: IpAddr, question: Request, answers: &mut Rope) {
        let reply = match question {
            Request::Put {
                id,
                origin,
                key,
                entry,
                digest: _,
            } => {
                let (ack, view) = self.take(key, entry, origin);
                Reply::Put { id, ack, view }
            }
            Request::Get { id, view, key } => Reply::Get {
                id,
                answer: self.look_up(view, &key),
            },
            Request::Keys {
                id,
                view,
                prefix,
                after,
                limit,
            } => {
                let limit = usize::try_from(limit).unwrap_or(usize::MAX);
                let page = self.keys_page(view, &prefix, after.as_ref(), limit);
                Reply::Keys { id, page }
            }
            Request::Digest {
                id,
                view,
                previous,
                after,
                with_values,
                sums,
            } => {
                let question = DigestQuestion {
                    view,
                    previous,
                    after,
                    with_values,
                    sums,
                };
                let page = self.digest(from.uuid, &question);
                Reply::Digest { id, page }
            }
            Request::View { id } => {
                let view = self.placement().fingerprint();
                Reply::View { id, view }
            }
            Request::PushPull { id, news } => {
                self.learn(source, news);
                let news = self.knowledge();
                Reply::PushPull { id, news }
            }
            Request::Leaving {
                id,
                view,
                together,
                going,
            } => {
                let done = self.farewell(from, view, &together, going);
                Reply::Farewell { id, done }
            }
            Request::Carry { id, relay, payload } => Reply::Carried {
                id,
                payloads: self.carried(source, relay, payload),
            },
            // The streams answer it themselves.
            Request::Ping { .. } => return,
        };
        reply.encode(answers);
    }
}

impl<W: World> Node<W> {
    /// Tells a peer what we know of the members, and asks what it knows.
    pub(super) fn push_pull(&self, peer: Uuid) {
        let news = self.knowledge();
        let id = self.asks.note(peer, Asked::PushPull);
        if self
            .world
            .send(peer, Request::PushPull { id, news })
            .is_err()
        {
            self.asks.forget(id);
        }
    }

    fn heard(&self, peer: Uuid, source: IpAddr, asked: Asked, reply: Reply) {
        match (asked, reply) {
            (Asked::Read(id), Reply::Get { answer, .. }) => {
                self.read_answered(id, peer, Some(answer));
            }
            (Asked::Listing(tell), Reply::Keys { page, .. }) => drop(tell.send(Some(page))),
            (Asked::Page(ticket), Reply::Digest { page, .. }) => self.page_came(ticket, page),
            (Asked::Value(ticket, key), Reply::Get { answer, .. }) => {
                self.value_came(ticket, &key, answer);
            }
            (Asked::PushPull, Reply::PushPull { news, .. }) => self.learn(source, news),
            (Asked::TakenOver, Reply::Farewell { done, .. }) => self.take_over_answered(peer, done),
            (Asked::Farewell(_), Reply::Farewell { .. }) => {}
            (Asked::View, Reply::View { view, .. }) => self.view_told(peer, view),
            (Asked::Carried, Reply::Carried { payloads, .. }) => {
                for payload in payloads {
                    self.step(Input::Datagram { source, payload });
                }
            }
            // An answer of another kind than the question: nothing can be made of it, and
            // whoever asked is told that there is none.
            (Asked::Read(id), _) => self.read_answered(id, peer, None),
            (Asked::Listing(tell), _) => drop(tell.send(None)),
            (Asked::Page(ticket) | Asked::Value(ticket, _), _) => {
                self.refill_step(|refill| refill.failed(ticket, self.world.boot_now()));
            }
            (
                Asked::PushPull
                | Asked::TakenOver
                | Asked::Farewell(_)
                | Asked::View
                | Asked::Carried,
                _,
            ) => {}
        }
    }

    /// A peer leaves; whether it may go.
    fn farewell(&self, from: &Identity, view: u64, together: &[Life], going: bool) -> bool {
        if going {
            self.has_left(from);
        }
        going || self.has_taken_over(from, view, together)
    }

    /// A peer wants a value kept here. What became of it, and the members that are seen.
    fn take(&self, key: Bytes, entry: Entry, origin: Origin) -> (Ack, u64) {
        let ack = if self.is_believable(&entry, origin) {
            self.keep_copy(key, entry)
        } else {
            Ack::Ahead
        };
        // Looked at after it is stored: for the members that are seen now it will be part of
        // what this node has.
        (ack, self.placement().fingerprint())
    }

    /// Whether the version of a value may be taken for one, which then raises our clock.
    fn is_believable(&self, entry: &Entry, origin: Origin) -> bool {
        let mut writes = lock(&self.writes);
        let limit = writes.hybrid_now(self.world.unix_now_ms()).millis() + MAX_AHEAD_MS;
        let believable = origin != Origin::Client || entry.version.time.millis() <= limit;
        if believable {
            writes.observe(entry.version);
        }
        believable
    }

    /// A peer that sees the members of `view` asks for a value.
    pub(super) fn look_up(&self, view: u64, key: &Bytes) -> Answer {
        let now = self.world.boot_now();
        if let Some(entry) = self.store.get(key, now) {
            count(&self.counters.values_served);
            return self.presence(key, entry, now);
        }
        let placement = self.placement();
        if placement.fingerprint() == view && placement.is_holder(self.own.uuid, key) {
            self.absence(key, now)
        } else {
            // Seeing other members, one of us is wrong about who would have to have it.
            Answer::DoNotKnow
        }
    }
}
