//! Datagrams and streams between simulated nodes.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use uuid::Uuid;

use super::super::node::lock;
use super::event::Event;
use super::link::{KEPT_ALIVE_US, Link, MEASURE_EVERY_US, UNACKNOWLEDGED_US};
use super::universe::Universe;
use crate::stream::Host as _;
use crate::wire::Rope;
use crate::wire::frame::{Reply, Request};

impl Universe {
    pub(super) fn send_datagram(&mut self, from: usize, to: SocketAddr, payload: &Bytes) {
        let Some(to) = self.slots.iter().position(|slot| slot.address == to) else {
            return;
        };
        let same_host = self.slots[from].host == self.slots[to].host;
        let loss = if same_host { 0 } else { self.nature.loss };
        let copies = 1 + u32::from(self.random.u8(0..100) < self.nature.duplicates);
        for _ in 0..copies {
            if self.is_cut(from, to) || self.random.u8(0..100) < loss {
                continue;
            }
            let (delay, source) = (self.delay_us(from, to), self.slots[from].address.ip());
            let payload = payload.clone();
            self.after(
                delay,
                Event::Datagram {
                    to,
                    source,
                    payload,
                },
            );
        }
    }

    pub(super) fn datagram(&mut self, to: usize, source: IpAddr, payload: Bytes) {
        let Some(life) = &self.slots[to].life else {
            return;
        };
        life.node.world.deliver(source, payload);
        if !life.frozen {
            self.with(to, |node| while node.receive() {});
        }
    }

    pub(super) fn keep(&mut self, from: usize, to: usize) {
        let same = self.slots[from].host == self.slots[to].host;
        let link = self
            .links
            .entry((from, to))
            .or_insert_with(|| Link::new(same));
        if link.connected_to.is_none() && !link.trying {
            link.trying = true;
            self.after(0, Event::Connect { from, to });
        }
    }

    pub(super) fn connect(&mut self, from: usize, to: usize) {
        let same = self.slots[from].host == self.slots[to].host;
        let link = self.links.remove(&(from, to));
        let Some(mut link) = link else {
            return;
        };
        if link.connected_to.is_some() {
            // An attempt that was planned for a link of before.
            self.links.insert((from, to), link);
            return;
        }
        link.trying = false;
        let opener = self.slots[from].life.as_ref().is_some_and(|it| !it.frozen);
        let there = self.slots[to].life.as_ref().filter(|it| !it.frozen);
        match there.map(|life| life.number) {
            Some(life) if opener && !self.is_cut(from, to) => {
                self.streams += 1;
                let stream = self.streams;
                link.connect(life, stream, same);
                self.links.insert((from, to), link);
                self.measure(from, to);
                let identity = {
                    let peer = self.slots[to].life.as_ref().expect("it is there");
                    lock(&peer.node.membership).identity().clone()
                };
                self.with(from, |node| {
                    let mut state = node.world.state();
                    state.up.insert(identity.uuid);
                    state.down.remove(&identity.uuid);
                    drop(state);
                    node.connected(&identity);
                });
                let delay = self.delay_us(from, to);
                self.after(
                    delay,
                    Event::Opened {
                        slot: to,
                        life,
                        from,
                        stream,
                    },
                );
            }
            _ => {
                if let Some(life) = &self.slots[from].life {
                    life.node.world.state().down.insert(self.slots[to].uuid);
                }
                link.trying = true;
                // A frozen process answers as soon as it runs, because its kernel has the
                // connection already.
                let frozen = there.is_none() && self.slots[to].life.is_some();
                let pause = if frozen { 5_000 } else { link.next_pause_us() };
                self.links.insert((from, to), link);
                self.after(pause, Event::Connect { from, to });
            }
        }
    }

    /// One exchange of clocks.
    pub(super) fn measure(&mut self, from: usize, to: usize) {
        let (there_us, back_us) = (self.delay_us(from, to), self.delay_us(to, from));
        let now_us = self.now_us();
        let ours = self.hosts[self.slots[from].host].boot_ms * 1000 + now_us;
        let theirs = self.hosts[self.slots[to].host].boot_ms * 1000 + now_us;
        if let Some(link) = self.links.get_mut(&(from, to)) {
            link.measured_us = now_us;
            // As if it had begun a round trip ago.
            link.offset
                .measure(ours - there_us - back_us, theirs - back_us, ours);
        }
    }

    pub(super) fn send_question(&mut self, from: usize, peer: Uuid, mut question: Request) {
        let Some(to) = self.slot_of(peer) else { return };
        let delay = self.delay_us(from, to);
        let now_us = self.now_us();
        let stale = self
            .links
            .get(&(from, to))
            .is_some_and(|it| it.measured_us + MEASURE_EVERY_US < now_us);
        if stale && !self.is_cut(from, to) {
            self.measure(from, to);
        }
        let Some(link) = self
            .links
            .get_mut(&(from, to))
            .filter(|it| it.connected_to.is_some())
        else {
            return;
        };
        link.offset.convert_question(&mut question);
        let mut rope = Rope::new();
        question.encode(&mut rope);
        let at = link.forth.push(rope.into_reader(), now_us + delay);
        let session = link.session;
        self.at(at, Event::Frames { from, to, session });
    }

    /// Moves what has arrived at either end of a stream.
    pub(super) fn frames(&mut self, from: usize, to: usize, session: u64) {
        let now_us = self.now_us();
        let cut = self.is_cut(from, to);
        let Some(link) = self
            .links
            .get_mut(&(from, to))
            .filter(|it| it.session == session)
        else {
            return;
        };
        if cut {
            let since = *link.blocked_since_us.get_or_insert(now_us);
            if since + UNACKNOWLEDGED_US < now_us {
                self.break_link(from, to);
            } else if !(link.forth.is_empty() && link.back.is_empty()) {
                self.after(200_000, Event::Frames { from, to, session });
            }
            return;
        }
        link.blocked_since_us = None;
        self.answer(from, to, session);
        self.hear(from, to, session);
    }

    pub(super) fn answer(&mut self, from: usize, to: usize, session: u64) {
        let now_us = self.now_us();
        loop {
            let expected = self.links.get(&(from, to)).and_then(|it| it.connected_to);
            let there = self.slots[to].life.as_ref();
            if there.is_none_or(|life| Some(life.number) != expected) {
                self.break_link(from, to);
                return;
            }
            if there.is_some_and(|life| life.frozen) {
                return;
            }
            let Some(link) = self
                .links
                .get_mut(&(from, to))
                .filter(|it| it.session == session)
            else {
                return;
            };
            let Some(mut frame) = link.forth.pop(now_us) else {
                return;
            };
            let Some(asker) = &self.slots[from].life else {
                return;
            };
            let uuid = self.slots[to].uuid;
            let mut state = asker.node.world.state();
            if let Some(at) = state.flying.iter().position(|it| *it == uuid) {
                state.flying.remove(at);
            }
            drop(state);
            let identity = lock(&asker.node.membership).identity().clone();
            let source = self.slots[from].address.ip();
            let question = Request::decode(&mut frame).expect("our own frame");
            let mut answers = Rope::new();
            self.with(to, |node| {
                node.answer(&identity, source, question, &mut answers);
            });
            let delay = self.delay_us(to, from);
            let Some(link) = self
                .links
                .get_mut(&(from, to))
                .filter(|it| it.session == session)
            else {
                return;
            };
            if !answers.is_empty() {
                let at = link.back.push(answers.into_reader(), now_us + delay);
                self.at(at, Event::Frames { from, to, session });
            }
        }
    }

    pub(super) fn hear(&mut self, from: usize, to: usize, session: u64) {
        let now_us = self.now_us();
        if self.slots[from]
            .life
            .as_ref()
            .is_none_or(|life| life.frozen)
        {
            return;
        }
        let mut replies = Vec::new();
        let Some(link) = self
            .links
            .get_mut(&(from, to))
            .filter(|it| it.session == session)
        else {
            return;
        };
        while let Some(mut frame) = link.back.pop(now_us) {
            let mut reply = Reply::decode(&mut frame).expect("our own frame");
            link.offset.convert_answer(&mut reply);
            replies.push(reply);
        }
        if !replies.is_empty() {
            let (peer, source) = (self.slots[to].uuid, self.slots[to].address.ip());
            self.with(from, |node| node.replied(peer, source, replies));
        }
    }

    pub(super) fn break_link(&mut self, from: usize, to: usize) {
        let Some(link) = self.links.get_mut(&(from, to)) else {
            return;
        };
        let stream = link.stream;
        if link.disconnect() {
            if !link.trying {
                link.trying = true;
                let pause = link.next_pause_us();
                self.after(pause, Event::Connect { from, to });
            }
            self.tell_closed(from, to, stream);
            self.tell_lost(from, to);
        }
    }

    /// The other end of a stream learns that it was closed, in good time when it can be
    /// reached.
    pub(super) fn tell_closed(&mut self, from: usize, to: usize, stream: u64) {
        let Some(life) = self.slots[to].life.as_ref().map(|it| it.number) else {
            return;
        };
        let delay = if self.is_cut(from, to) {
            KEPT_ALIVE_US
        } else {
            self.delay_us(from, to)
        };
        self.after(
            delay,
            Event::Closed {
                slot: to,
                life,
                from,
                stream,
            },
        );
    }

    /// A stream of `from` has come to the node in a slot, if it is still there.
    pub(super) fn opened(&mut self, slot: usize, from: usize, stream: u64) {
        let link = self.links.get(&(from, slot));
        if link.is_none_or(|link| link.connected_to.is_none() || link.stream != stream) {
            return;
        }
        let life = self.slots[slot].life.as_mut().expect("lives");
        let streams = life.incoming.entry(from).or_default();
        let first = streams.is_empty();
        streams.insert(stream);
        let by = self.slots[from].uuid;
        self.with(slot, |node| match first {
            true => node.opened(by),
            false => node.reopened(by),
        });
    }

    pub(super) fn closed(&mut self, slot: usize, from: usize, stream: u64) {
        let life = self.slots[slot].life.as_mut().expect("lives");
        let Some(streams) = life.incoming.get_mut(&from) else {
            return;
        };
        if streams.remove(&stream) && streams.is_empty() {
            let by = self.slots[from].uuid;
            self.with(slot, |node| node.closed(by));
        }
    }

    pub(super) fn tell_lost(&mut self, from: usize, to: usize) {
        let peer = self.slots[to].uuid;
        if let Some(life) = &self.slots[from].life {
            let mut state = life.node.world.state();
            state.up.remove(&peer);
            state.down.insert(peer);
            state.flying.retain(|it| *it != peer);
            drop(state);
            let life = life.number;
            self.after(
                0,
                Event::Lost {
                    slot: from,
                    life,
                    peer,
                },
            );
        }
    }
}
