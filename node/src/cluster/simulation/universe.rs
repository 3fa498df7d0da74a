//! Simulated time, hosts, processes and the network between them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::super::node::Node;
use super::event::Event;
use super::leaves::Leave;
use super::link::Link;
use super::local::{Asked, Clocks, Local, TrueTime};
use super::nature::Nature;
use super::oracle::Oracle;
use crate::coordinator::{GetOutcome, PutOutcome};
use crate::membership::{Fate, Input};
use crate::placement::Placement;
use crate::stream::Host as _;

/// A place in which a node lives, one life after the other.
pub(super) struct Slot {
    pub(super) host: usize,
    pub(super) uuid: Uuid,
    pub(super) address: SocketAddr,
    pub(super) generation: u64,
    pub(super) life: Option<Life>,
    /// The last life whose end its supervisor knows of.
    pub(super) buried: u64,
    /// Whether it is to run.
    pub(super) wanted: bool,
}

/// A process.
pub(super) struct Life {
    pub(super) number: u64,
    pub(super) node: Arc<Node<Local>>,
    pub(super) frozen: bool,
    pub(super) joined: bool,
    /// What happened to it while it was frozen.
    pub(super) backlog: Vec<Event>,
    pub(super) wake_us: u64,
    pub(super) puts: Vec<(usize, oneshot::Receiver<PutOutcome>)>,
    pub(super) gets: Vec<(Bytes, u64, oneshot::Receiver<GetOutcome>)>,
    /// Whether it is asked to stop.
    pub(super) leave: Option<Leave>,
    /// Streams that others have to it, by their slot.
    pub(super) incoming: BTreeMap<usize, BTreeSet<u64>>,
}

/// Time after a cut in which streams come back and copies are compared: the kernel tries again
/// after pauses that grow with the cut.
const REUNITED_US: u64 = 30_000_000;

/// Time after which whoever began without another meets it: a round of somebody who is alone,
/// and what it takes to compare copies.
const MET_US: u64 = 7_000_000;

/// Everything there is.
pub(super) struct Universe {
    pub(super) true_us: TrueTime,
    queue: BTreeMap<(u64, u64), Event>,
    events: u64,
    pub(super) random: fastrand::Rng,
    pub(super) nature: Nature,
    pub(super) hosts: Vec<Arc<Clocks>>,
    pub(super) slots: Vec<Slot>,
    pub(super) links: BTreeMap<(usize, usize), Link>,
    /// Pairs of hosts that cannot reach each other, the lower one first.
    pub(super) cuts: BTreeSet<(usize, usize)>,
    /// Processes that were frozen when others began of which nobody could tell those.
    pub(super) unmet: BTreeSet<u64>,
    /// When such a process could be met again, the last time.
    pub(super) met_us: Option<u64>,
    /// When hosts that were cut off could reach each other again, the last time.
    pub(super) healed_us: Option<u64>,
    pub(super) lives: u64,
    /// Processes that were killed.
    pub(super) kills: u64,
    /// Connections so far.
    pub(super) streams: u64,
    pub(super) oracle: Oracle,
    /// What happened; kept only where somebody reads it.
    pub(super) journal: Option<Vec<String>>,
    /// When the last fault was over.
    pub(super) quiet_since_us: u64,
    /// Whether clients still call.
    pub(super) calling: bool,
}

impl Universe {
    pub(super) fn new(seed: u64, nature: Nature, watched: bool) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        // Boot clocks of hosts differ by months, wall clocks by up to some seconds.
        let clocks = |random: &mut fastrand::Rng| {
            Arc::new(Clocks {
                boot_ms: random.u64(1_000..10_000_000_000),
                wall_ms: AtomicU64::new(
                    1_700_000_000_000 + random.u64(0..nature.clock_skew_ms + 1),
                ),
            })
        };
        let hosts = (0..nature.hosts).map(|_| clocks(&mut random)).collect();
        Self {
            true_us: Arc::new(AtomicU64::new(1_000_000)),
            queue: BTreeMap::new(),
            events: 0,
            random,
            nature,
            hosts,
            slots: Vec::new(),
            links: BTreeMap::new(),
            cuts: BTreeSet::new(),
            unmet: BTreeSet::new(),
            met_us: None,
            healed_us: None,
            lives: 0,
            kills: 0,
            streams: 0,
            oracle: Oracle::default(),
            journal: watched.then(Vec::new),
            quiet_since_us: 0,
            calling: true,
        }
    }

    pub(super) fn now_us(&self) -> u64 {
        self.true_us.load(Ordering::Relaxed)
    }

    pub(super) fn note(&mut self, line: impl FnOnce() -> String) {
        let now = self.now_us();
        if let Some(journal) = &mut self.journal {
            journal.push(format!("{now:>12} {}", line()));
        }
    }

    pub(super) fn after(&mut self, delay_us: u64, event: Event) {
        self.events += 1;
        self.queue
            .insert((self.now_us() + delay_us, self.events), event);
    }

    pub(super) fn at(&mut self, time_us: u64, event: Event) {
        self.after(time_us.saturating_sub(self.now_us()), event);
    }

    /// Adds a slot on the next host.
    pub(super) fn add_slot(&mut self) -> usize {
        let slot = self.slots.len();
        let host = slot % self.hosts.len();
        let ip = if self.hosts.len() == 1 {
            IpAddr::from([127, 0, 0, 1])
        } else {
            IpAddr::from([10, 0, 0, u8::try_from(host).expect("few hosts")])
        };
        let port = 9000 + u16::try_from(slot).expect("few slots");
        let bits = u128::from(self.random.u64(..)) << 64 | slot as u128;
        self.slots.push(Slot {
            host,
            uuid: Uuid::from_u128(bits),
            address: SocketAddr::new(ip, port),
            generation: 0,
            life: None,
            buried: 0,
            wanted: true,
        });
        slot
    }

    /// Whether two nodes cannot reach each other.
    pub(super) fn is_cut(&self, a: usize, b: usize) -> bool {
        let (a, b) = (self.slots[a].host, self.slots[b].host);
        a != b && self.cuts.contains(&(a.min(b), a.max(b)))
    }

    /// Whether some are cut off from others, or were until a moment ago: whoever was cut off
    /// cannot have heard of what was written meanwhile.
    pub(super) fn is_or_was_cut(&self) -> bool {
        !self.cuts.is_empty()
            || !self.unmet.is_empty()
            || self.met_us.is_some_and(|at| self.now_us() < at + MET_US)
            || self
                .healed_us
                .is_some_and(|at| self.now_us() < at + REUNITED_US)
    }

    /// Who begins while all are frozen that could tell it of some member begins without that
    /// member, as on a host that is cut off.
    fn note_unmet(&mut self, slot: usize) {
        let could_tell_of = |uuid| {
            let mut places = self.slots.iter().enumerate();
            places.any(|(other, place)| {
                let life = place.life.as_ref();
                let running = life.filter(|it| !it.frozen && !self.is_cut(slot, other));
                running.is_some_and(|life| life.node.view().wide.contains(uuid))
            })
        };
        let lives = self.slots.iter().filter_map(|place| {
            let life = place.life.as_ref()?;
            let unmet = life.frozen && !could_tell_of(place.uuid);
            unmet.then_some(life.number)
        });
        let unmet: Vec<u64> = lives.collect();
        self.unmet.extend(unmet);
    }

    /// Such a member can be met, or is no more.
    pub(super) fn note_met(&mut self, life: u64) {
        if self.unmet.remove(&life) {
            self.met_us = Some(self.now_us());
        }
    }

    pub(super) fn delay_us(&mut self, a: usize, b: usize) -> u64 {
        if self.slots[a].host == self.slots[b].host {
            return self.random.u64(30..300);
        }
        let (least, most) = self.nature.delay_us;
        let straight = self.random.u64(least..=most);
        // Now and then something is retransmitted.
        if self.random.u32(0..100) == 0 {
            straight * 10
        } else {
            straight
        }
    }

    /// What happens next; `false` when nothing does before `until_us`.
    pub(super) fn turn(&mut self, until_us: u64) -> Option<super::story::Turn> {
        let Some(entry) = self.queue.first_entry() else {
            self.true_us.store(until_us, Ordering::Relaxed);
            return None;
        };
        if entry.key().0 > until_us {
            self.true_us.store(until_us, Ordering::Relaxed);
            return None;
        }
        let ((time, _), event) = entry.remove_entry();
        self.true_us.store(time, Ordering::Relaxed);
        match event {
            Event::Story(turn) => return Some(turn),
            event => self.happen(event),
        }
        Some(super::story::Turn::Nothing)
    }

    fn happen(&mut self, event: Event) {
        if let Some((slot, number)) = event.process() {
            let Some(life) = self.slots[slot]
                .life
                .as_mut()
                .filter(|it| it.number == number)
            else {
                return;
            };
            if life.frozen {
                life.backlog.push(event);
                return;
            }
        }
        self.perform_event(event);
    }

    fn perform_event(&mut self, event: Event) {
        match event {
            Event::Wake { slot, .. } => self.wake(slot),
            Event::Datagram {
                to,
                source,
                payload,
            } => self.datagram(to, source, payload),
            Event::Connect { from, to } => self.connect(from, to),
            Event::Frames { from, to, session } => self.frames(from, to, session),
            Event::Opened {
                slot, from, stream, ..
            } => self.opened(slot, from, stream),
            Event::Closed {
                slot, from, stream, ..
            } => self.closed(slot, from, stream),
            Event::Lost { slot, peer, .. } => self.with(slot, |node| node.lost(peer)),
            Event::Sibling { slot, to, .. } => self.meet(slot, to),
            Event::Meet {
                from,
                life,
                to,
                news,
            } => self.be_met(from, life, to, news),
            Event::Met {
                slot, source, news, ..
            } => {
                self.with(slot, |node| node.learn(source, news));
            }
            Event::Ask(asking) => self.be_asked(asking),
            Event::Heard(heard) => self.with(heard.slot, |node| heard.tell(node)),
            Event::Round { slot, life } => self.round(slot, life),
            Event::Joined { slot, .. } => {
                self.with(slot, Node::note_joined);
                self.slots[slot].life.as_mut().expect("lives").joined = true;
                self.note_unmet(slot);
            }
            Event::PushPull { slot, life } => self.push_pull(slot, life),
            Event::Buried {
                slot,
                uuid,
                generation,
                ..
            } => self.with(slot, |node| {
                node.step(Input::Ended {
                    uuid,
                    generation,
                    fate: Fate::Died,
                });
            }),
            Event::Leave { slot, together, .. } => {
                self.with(slot, |node| node.begin_leave(&together));
            }
            Event::Go { slot, .. } => self.go(slot),
            Event::Gone { slot, .. } => self.gone(slot),
            Event::Put {
                slot, key, ttl_s, ..
            } => self.client_puts(slot, key, ttl_s),
            Event::Get {
                slot,
                key,
                begun_us,
                ..
            } => self.client_gets(slot, key, begun_us),
            Event::Story(_) => unreachable!("taken out before"),
        }
    }

    /// Lets a node do something, and follows up on it.
    pub(super) fn with(&mut self, slot: usize, step: impl FnOnce(&Node<Local>)) {
        let Some(life) = &self.slots[slot].life else {
            return;
        };
        let node = Arc::clone(&life.node);
        let before = self.journal.as_ref().map(|_| self.seen_by(&node));
        step(&node);
        if let Some(before) = before {
            self.note_seen(slot, &node, &before);
        }
        let asked = std::mem::take(&mut node.world.state().asked);
        for asked in asked {
            self.perform(slot, asked);
        }
        self.plan_wake(slot);
        self.listen(slot);
        self.look_at_leave(slot);
    }

    /// How a node sees itself and the others, for the journal.
    fn seen_by(&self, node: &Node<Local>) -> String {
        let view = node.view();
        let slots = |placement: &Placement| -> Vec<Option<(usize, u64)>> {
            let seats = placement.seats().iter();
            seats
                .map(|seat| Some((self.slot_of(seat.uuid)?, seat.generation)))
                .collect()
        };
        let leaving = if view.wide.fingerprint() == view.placement.fingerprint() {
            String::new()
        } else {
            format!(" of {:?}", slots(&view.wide))
        };
        let (knows_all, sure) = (node.knows_all(), node.sure.load(Ordering::SeqCst));
        format!(
            "sees {:?}{leaving}, knows all: {knows_all}, sure: {sure}, votes: {}",
            slots(&view.placement),
            node.votes.load(Ordering::SeqCst)
        )
    }

    fn note_seen(&mut self, slot: usize, node: &Node<Local>, before: &str) {
        let after = self.seen_by(node);
        if after != before {
            self.note(|| format!("{slot} {after}"));
        }
    }

    fn plan_wake(&mut self, slot: usize) {
        let now_us = self.now_us();
        let life = self.slots[slot].life.as_mut().expect("lives");
        let Some(deadline) = life.node.next_deadline() else {
            return;
        };
        let world = &life.node.world;
        let at_us = (deadline.0.saturating_sub(world.clocks.boot_ms) * 1000).max(now_us);
        if at_us < life.wake_us {
            // A timer of the kernel is up to a millisecond late.
            let at_us = at_us + self.random.u64(0..1_000);
            life.wake_us = at_us;
            let life = life.number;
            self.at(at_us, Event::Wake { slot, life });
        }
    }

    fn wake(&mut self, slot: usize) {
        let now_us = self.now_us();
        let life = self.slots[slot].life.as_mut().expect("lives");
        if life.wake_us > now_us {
            // It was put forward and has been awake since.
            return;
        }
        life.wake_us = u64::MAX;
        self.with(slot, |node| {
            while node.receive() {}
            node.tick();
        });
    }

    pub(super) fn perform(&mut self, slot: usize, asked: Asked) {
        match asked {
            Asked::Datagram(to, payload) => self.send_datagram(slot, to, &payload),
            Asked::Confirmation(it) => self.confirm(slot, it),
            Asked::Question(peer, question) => self.send_question(slot, peer, question),
            Asked::Keep(peer) => {
                if let Some(to) = self.slot_of(peer.uuid) {
                    self.keep(slot, to);
                }
            }
            Asked::End(peer) => {
                if let Some(to) = self.slot_of(peer)
                    && let Some(mut link) = self.links.remove(&(slot, to))
                    && link.disconnect()
                {
                    self.tell_closed(slot, to, link.stream);
                    self.tell_lost(slot, to);
                }
                // Whoever is met again is tried for the first time.
                if let Some(life) = &self.slots[slot].life {
                    life.node.world.state().down.remove(&peer);
                }
            }
        }
    }

    pub(super) fn slot_of(&self, uuid: Uuid) -> Option<usize> {
        self.slots.iter().position(|slot| slot.uuid == uuid)
    }
}
