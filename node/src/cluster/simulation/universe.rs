//! Simulated time, hosts, processes and the network between them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::super::node::{Node, lock};
use super::link::{Link, MEASURE_EVERY_US, UNACKNOWLEDGED_US};
use super::local::{Asked, Clocks, Local, State, TrueTime};
use super::nature::Nature;
use super::oracle::Oracle;
use crate::coordinator::{GetOutcome, PutOutcome};
use crate::membership::{Fate, Identity, Input, Liveness, Names, Update};
use crate::store::{Store, StoreConfig};
use crate::stream::Host as _;
use crate::wire::frame::{Reply, Request};
use crate::wire::{Reader, Rope};

/// Pause between two rounds of discovery of a node that is alone, and of one that is not.
const ROUND_ALONE_US: u64 = 5_000_000;
const ROUND_US: u64 = 60_000_000;

/// Pause between two push-pulls with some member.
const PUSH_PULL_US: u64 = 30_000_000;

/// How long the first round of discovery may take.
const JOIN_WITHIN_US: u64 = 2_000_000;

/// A place in which a node lives, one life after the other.
pub(super) struct Slot {
    pub(super) host: usize,
    pub(super) uuid: Uuid,
    pub(super) address: SocketAddr,
    pub(super) generation: u64,
    pub(super) life: Option<Life>,
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
    backlog: Vec<Event>,
    wake_us: u64,
    pub(super) puts: Vec<(usize, oneshot::Receiver<PutOutcome>)>,
    pub(super) gets: Vec<(Bytes, u64, oneshot::Receiver<GetOutcome>)>,
}

/// Something that happens to a process or on the network.
#[derive(Debug)]
pub(super) enum Event {
    /// The node wanted to be woken, or has something to read.
    Wake {
        slot: usize,
        life: u64,
    },
    Datagram {
        to: usize,
        source: IpAddr,
        payload: Bytes,
    },
    Connect {
        from: usize,
        to: usize,
    },
    Frames {
        from: usize,
        to: usize,
        session: u64,
    },
    Lost {
        slot: usize,
        life: u64,
        peer: Uuid,
    },
    Meet {
        from: usize,
        life: u64,
        to: usize,
        updates: Vec<Update>,
    },
    Met {
        slot: usize,
        life: u64,
        source: IpAddr,
        updates: Vec<Update>,
    },
    Round {
        slot: usize,
        life: u64,
    },
    Joined {
        slot: usize,
        life: u64,
    },
    PushPull {
        slot: usize,
        life: u64,
    },
    /// The supervisor says that a life is over.
    Buried {
        slot: usize,
        life: u64,
        uuid: Uuid,
        generation: u64,
    },
    Put {
        slot: usize,
        life: u64,
        key: Bytes,
        ttl_s: u32,
    },
    Get {
        slot: usize,
        life: u64,
        key: Bytes,
        begun_us: u64,
    },
    /// Anything else, which the story knows.
    Story(super::story::Turn),
}

impl Event {
    /// The process that it happens to.
    fn process(&self) -> Option<(usize, u64)> {
        match self {
            Self::Wake { slot, life }
            | Self::Lost { slot, life, .. }
            | Self::Met { slot, life, .. }
            | Self::Round { slot, life }
            | Self::Joined { slot, life }
            | Self::PushPull { slot, life }
            | Self::Buried { slot, life, .. }
            | Self::Put { slot, life, .. }
            | Self::Get { slot, life, .. } => Some((*slot, *life)),
            Self::Datagram { .. }
            | Self::Connect { .. }
            | Self::Frames { .. }
            | Self::Meet { .. }
            | Self::Story(_) => None,
        }
    }
}

/// Everything there is.
pub(super) struct Universe {
    pub(super) true_us: TrueTime,
    queue: BTreeMap<(u64, u64), Event>,
    events: u64,
    pub(super) random: fastrand::Rng,
    pub(super) nature: Nature,
    pub(super) hosts: Vec<Arc<Clocks>>,
    pub(super) slots: Vec<Slot>,
    links: BTreeMap<(usize, usize), Link>,
    /// Pairs of hosts that cannot reach each other, the lower one first.
    pub(super) cuts: BTreeSet<(usize, usize)>,
    lives: u64,
    pub(super) oracle: Oracle,
    pub(super) journal: Vec<String>,
    /// When the last fault was over.
    pub(super) quiet_since_us: u64,
    /// Whether clients still call.
    pub(super) calling: bool,
}

impl Universe {
    pub(super) fn new(seed: u64, nature: Nature) -> Self {
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
            lives: 0,
            oracle: Oracle::default(),
            journal: Vec::new(),
            quiet_since_us: 0,
            calling: true,
        }
    }

    pub(super) fn now_us(&self) -> u64 {
        self.true_us.load(Ordering::Relaxed)
    }

    pub(super) fn note(&mut self, line: impl FnOnce() -> String) {
        let now = self.now_us();
        self.journal.push(format!("{now:>12} {}", line()));
    }

    pub(super) fn after(&mut self, delay_us: u64, event: Event) {
        self.events += 1;
        self.queue
            .insert((self.now_us() + delay_us, self.events), event);
    }

    fn at(&mut self, time_us: u64, event: Event) {
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
            wanted: true,
        });
        slot
    }

    /// Starts the next life of a slot.
    pub(super) fn start(&mut self, slot: usize) {
        self.lives += 1;
        let (number, seed) = (self.lives, self.random.u64(..));
        let place = &mut self.slots[slot];
        assert!(place.life.is_none(), "one life at a time");
        place.generation += 1;
        place.wanted = true;
        let identity = Identity {
            uuid: place.uuid,
            generation: place.generation,
            renewal: 0,
            host: place.host as u64,
            gossip: place.address,
            http_port: 1,
            names: Arc::new(Names::new(&format!("node-{slot}"), "default")),
            fate: None,
        };
        let world = Local {
            true_us: Arc::clone(&self.true_us),
            clocks: Arc::clone(&self.hosts[place.host]),
            state: std::sync::Mutex::new(State::default()),
        };
        let store = Arc::new(Store::new(StoreConfig {
            limit_bytes: 1 << 30,
            shards: 1,
        }));
        let timeout = Duration::from_secs(5);
        let node = Node::new(identity, world, store, self.nature.copies, timeout, seed);
        place.life = Some(Life {
            number,
            node: Arc::new(node),
            frozen: false,
            joined: false,
            backlog: Vec::new(),
            wake_us: u64::MAX,
            puts: Vec::new(),
            gets: Vec::new(),
        });
        self.note(|| format!("start {slot} as {number}"));
        let life = number;
        self.after(0, Event::Round { slot, life });
        self.after(JOIN_WITHIN_US / 4, Event::Joined { slot, life });
        let jitter = self.random.u64(0..PUSH_PULL_US);
        self.after(PUSH_PULL_US / 2 + jitter, Event::PushPull { slot, life });
        // Its supervisor tells the siblings, who meet it as well.
        for sibling in self.siblings(slot) {
            self.meet(sibling, slot);
        }
    }

    fn siblings(&self, slot: usize) -> Vec<usize> {
        let host = self.slots[slot].host;
        let others = self.slots.iter().enumerate();
        let others = others.filter(|(other, it)| *other != slot && it.host == host);
        let living = others.filter(|(_, it)| it.life.is_some());
        living.map(|(other, _)| other).collect()
    }

    /// Ends a process as kill -9 does; its supervisor notices, if there is one.
    pub(super) fn kill(&mut self, slot: usize, noticed: bool) {
        let Some(life) = self.slots[slot].life.take() else {
            return;
        };
        let number = life.number;
        self.note(|| format!("kill {slot} ({number}), noticed: {noticed}"));
        self.mark_lost();
        self.cut_links(slot);
        if !noticed {
            return;
        }
        let (uuid, generation) = (self.slots[slot].uuid, self.slots[slot].generation);
        for sibling in self.siblings(slot) {
            let delay = self.random.u64(500..5_000);
            let life = self.slots[sibling].life.as_ref().expect("lives").number;
            self.after(
                delay,
                Event::Buried {
                    slot: sibling,
                    life,
                    uuid,
                    generation,
                },
            );
        }
    }

    /// Ends all streams of a process that is no more.
    fn cut_links(&mut self, slot: usize) {
        self.links.retain(|(from, _), _| *from != slot);
        let peers: Vec<usize> = self
            .links
            .keys()
            .filter(|(_, to)| *to == slot)
            .map(|(from, _)| *from)
            .collect();
        for from in peers {
            if !self.is_cut(from, slot) {
                self.break_link(from, slot);
            }
        }
    }

    /// Whatever only processes had that are no more is lost, and nobody is to blame.
    pub(super) fn mark_lost(&mut self) {
        let mut newest = BTreeMap::new();
        for key in self.oracle.keys() {
            newest.insert(key.clone(), self.newest(&key));
        }
        for write in &mut self.oracle.writes {
            let Some(version) = write.version else {
                continue;
            };
            if !write.lost && newest[&write.key].is_none_or(|newest| newest < version) {
                write.lost = true;
                self.oracle.tally.lost_with_all_copies +=
                    u64::from(write.acknowledged_us().is_some());
            }
        }
    }

    /// The highest version of a key that some process keeps.
    pub(super) fn newest(&self, key: &Bytes) -> Option<crate::version::Version> {
        let lives = self.slots.iter().filter_map(|slot| slot.life.as_ref());
        lives
            .filter_map(|life| life.node.store.version(key, life.node.now()))
            .max()
    }

    pub(super) fn freeze(&mut self, slot: usize) {
        if let Some(life) = &mut self.slots[slot].life {
            life.frozen = true;
            self.note(|| format!("freeze {slot}"));
        }
    }

    pub(super) fn thaw(&mut self, slot: usize) {
        let Some(life) = self.slots[slot].life.as_mut().filter(|it| it.frozen) else {
            return;
        };
        life.frozen = false;
        life.wake_us = 0;
        let mut backlog = std::mem::take(&mut life.backlog);
        let number = life.number;
        self.note(|| format!("thaw {slot}"));
        // Which of its sockets a process looks at first is anybody's guess.
        self.random.shuffle(&mut backlog);
        for event in backlog {
            self.after(0, event);
        }
        self.after(0, Event::Wake { slot, life: number });
        let links: Vec<(usize, usize)> = self.links.keys().copied().collect();
        for (from, to) in links {
            if from == slot || to == slot {
                let session = self.links[&(from, to)].session;
                let delay = self.random.u64(0..2_000);
                self.after(delay, Event::Frames { from, to, session });
            }
        }
    }

    /// Whether two nodes cannot reach each other.
    pub(super) fn is_cut(&self, a: usize, b: usize) -> bool {
        let (a, b) = (self.slots[a].host, self.slots[b].host);
        a != b && self.cuts.contains(&(a.min(b), a.max(b)))
    }

    fn delay_us(&mut self, a: usize, b: usize) -> u64 {
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
        match event {
            Event::Wake { slot, .. } => self.wake(slot),
            Event::Datagram {
                to,
                source,
                payload,
            } => self.datagram(to, source, payload),
            Event::Connect { from, to } => self.connect(from, to),
            Event::Frames { from, to, session } => self.frames(from, to, session),
            Event::Lost { slot, peer, .. } => self.with(slot, |node| node.lost(peer)),
            Event::Meet {
                from,
                life,
                to,
                updates,
            } => self.be_met(from, life, to, updates),
            Event::Met {
                slot,
                source,
                updates,
                ..
            } => {
                self.with(slot, |node| node.learn(source, updates));
            }
            Event::Round { slot, life } => self.round(slot, life),
            Event::Joined { slot, .. } => {
                self.with(slot, Node::note_joined);
                self.slots[slot].life.as_mut().expect("lives").joined = true;
            }
            Event::PushPull { slot, life } => self.push_pull(slot, life),
            Event::Buried {
                slot,
                uuid,
                generation,
                ..
            } => self.with(slot, |node| {
                let fate = Fate::Died;
                node.step(Input::Ended {
                    uuid,
                    generation,
                    fate,
                });
            }),
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
        step(&node);
        let asked = std::mem::take(&mut node.world.state().asked);
        for asked in asked {
            self.perform(slot, asked);
        }
        self.plan_wake(slot);
        self.listen(slot);
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

    fn perform(&mut self, slot: usize, asked: Asked) {
        match asked {
            Asked::Datagram(to, payload) => self.send_datagram(slot, to, &payload),
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
                    self.tell_lost(slot, to);
                }
            }
        }
    }

    pub(super) fn slot_of(&self, uuid: Uuid) -> Option<usize> {
        self.slots.iter().position(|slot| slot.uuid == uuid)
    }

    fn send_datagram(&mut self, from: usize, to: SocketAddr, payload: &Bytes) {
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

    fn datagram(&mut self, to: usize, source: IpAddr, payload: Bytes) {
        let Some(life) = &self.slots[to].life else {
            return;
        };
        life.node.world.deliver(source, payload);
        if !life.frozen {
            self.with(to, |node| while node.receive() {});
        }
    }

    fn keep(&mut self, from: usize, to: usize) {
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

    fn connect(&mut self, from: usize, to: usize) {
        let same = self.slots[from].host == self.slots[to].host;
        let Some(mut link) = self.links.remove(&(from, to)) else {
            return;
        };
        link.trying = false;
        let opener = self.slots[from].life.as_ref().is_some_and(|it| !it.frozen);
        let there = self.slots[to].life.as_ref().filter(|it| !it.frozen);
        match there.map(|life| life.number) {
            Some(life) if opener && !self.is_cut(from, to) => {
                link.connect(life, same);
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
    fn measure(&mut self, from: usize, to: usize) {
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

    fn send_question(&mut self, from: usize, peer: Uuid, mut question: Request) {
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
        let at = link.forth.push(rope.into_bytes(), now_us + delay);
        let session = link.session;
        self.at(at, Event::Frames { from, to, session });
    }

    /// Moves what has arrived at either end of a stream.
    fn frames(&mut self, from: usize, to: usize, session: u64) {
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

    fn answer(&mut self, from: usize, to: usize, session: u64) {
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
            let Some(frame) = link.forth.pop(now_us) else {
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
            let question = Request::decode(&mut Reader::new(frame)).expect("our own frame");
            let mut answers = Rope::new();
            self.with(to, |node| {
                node.answer(&identity, source, question, &mut answers)
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
                let at = link.back.push(answers.into_bytes(), now_us + delay);
                self.at(at, Event::Frames { from, to, session });
            }
        }
    }

    fn hear(&mut self, from: usize, to: usize, session: u64) {
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
        while let Some(frame) = link.back.pop(now_us) {
            let mut reply = Reply::decode(&mut Reader::new(frame)).expect("our own frame");
            link.offset.convert_answer(&mut reply);
            replies.push(reply);
        }
        if !replies.is_empty() {
            let (peer, source) = (self.slots[to].uuid, self.slots[to].address.ip());
            self.with(from, |node| node.replied(peer, source, replies));
        }
    }

    fn break_link(&mut self, from: usize, to: usize) {
        let Some(link) = self.links.get_mut(&(from, to)) else {
            return;
        };
        if link.disconnect() {
            if !link.trying {
                link.trying = true;
                let pause = link.next_pause_us();
                self.after(pause, Event::Connect { from, to });
            }
            self.tell_lost(from, to);
        }
    }

    fn tell_lost(&mut self, from: usize, to: usize) {
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

    /// Meets whoever is at `to`, as a candidate is met.
    fn meet(&mut self, from: usize, to: usize) {
        if self.is_cut(from, to) || self.slots[to].life.is_none() {
            return;
        }
        let Some(life) = &self.slots[from].life else {
            return;
        };
        let (number, updates) = (life.number, lock(&life.node.membership).knowledge());
        let delay = self.delay_us(from, to);
        self.after(
            delay,
            Event::Meet {
                from,
                life: number,
                to,
                updates,
            },
        );
    }

    fn be_met(&mut self, from: usize, life: u64, to: usize, updates: Vec<Update>) {
        let Some(there) = &mut self.slots[to].life else {
            return;
        };
        if there.frozen {
            there.backlog.push(Event::Meet {
                from,
                life,
                to,
                updates,
            });
            return;
        }
        let source = self.slots[from].address.ip();
        let mut answer = Vec::new();
        self.with(to, |node| {
            node.learn(source, updates);
            answer = lock(&node.membership).knowledge();
        });
        let (delay, source) = (self.delay_us(to, from), self.slots[to].address.ip());
        let updates = answer;
        self.after(
            delay,
            Event::Met {
                slot: from,
                life,
                source,
                updates,
            },
        );
    }

    fn round(&mut self, slot: usize, life: u64) {
        let alive: BTreeSet<Uuid> = {
            let life = self.slots[slot].life.as_ref().expect("lives");
            let membership = lock(&life.node.membership);
            let members = membership.members().iter();
            let alive = members.filter(|member| member.liveness == Liveness::Alive);
            alive.map(|member| member.identity.uuid).collect()
        };
        for to in 0..self.slots.len() {
            if to != slot && !alive.contains(&self.slots[to].uuid) {
                self.meet(slot, to);
            }
        }
        let pause = if alive.is_empty() {
            ROUND_ALONE_US
        } else {
            ROUND_US
        };
        let jitter = self.random.u64(0..pause / 4);
        self.after(pause + jitter, Event::Round { slot, life });
    }

    fn push_pull(&mut self, slot: usize, life: u64) {
        let up: Vec<Uuid> = {
            let life = self.slots[slot].life.as_ref().expect("lives");
            life.node.world.state().up.iter().copied().collect()
        };
        if !up.is_empty() {
            let peer = up[self.random.usize(0..up.len())];
            self.with(slot, |node| node.push_pull(peer));
        }
        self.after(PUSH_PULL_US, Event::PushPull { slot, life });
    }
}
