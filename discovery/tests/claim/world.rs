//! A domain with clocks, a bad network and bad luck, all drawn from one seed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use repram_discovery::claim::core::{
    CLAIM_REFRESH, Claim, Claims, Config, Input, MOVE_TIMEOUT, Message, Newcomer, Output,
    Recipient, Scope, Standing,
};
use uuid::Uuid;

use crate::host::Host;

/// What the network does to messages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Network {
    pub(crate) delay_max: Duration,
    /// The part of the messages that is lost, from 0 to 1.
    pub(crate) loss: f64,
    /// The part that arrives twice.
    pub(crate) doubling: f64,
    /// Whether only those hear of a claim who hold the same slot.
    pub(crate) met_only: bool,
}

/// What happens to the world.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Start(usize),
    Crash(usize),
    /// Hosts of different groups do not hear each other from now on.
    Split(Vec<u8>),
    Heal,
    /// A claimant of a running host gives up its slot.
    Leave(usize, Uuid),
    /// It wants one again.
    Return(usize, Newcomer),
    Deliver {
        to: usize,
        message: Message,
    },
    /// Things that only concern the life of a host in which they were planned.
    Wake {
        host: usize,
        life: u64,
    },
    Vacate {
        host: usize,
        life: u64,
        uuid: Uuid,
        slot: u16,
    },
}

pub(crate) struct World {
    pub(crate) now: Duration,
    pub(crate) machines: Vec<Machine>,
    pub(crate) network: Network,
    rng: fastrand::Rng,
    slots: u16,
    events: BTreeMap<(Duration, u64), Event>,
    planned: u64,
    groups: Vec<u8>,
    /// When a pair of hosts, the lower number first, was last out of contact.
    apart: BTreeMap<(usize, usize), Duration>,
    /// The host and the slot of each settled claim, and since when it has been so.
    settled: BTreeMap<Uuid, (usize, u16, Duration)>,
    /// Pairs of hosts where the same slot is settled, and since when it has been so.
    doubles: Vec<(usize, usize, u16, Duration)>,
    trace: bool,
}

pub(crate) struct Machine {
    pub(crate) running: Option<Host<fastrand::Rng>>,
    /// What is on its disk.
    pub(crate) claimants: Vec<Newcomer>,
    pub(crate) strangers: BTreeSet<u16>,
    /// Counts its starts.
    life: u64,
    started: Duration,
    /// When the host is woken, if that is planned.
    wake: Option<Duration>,
}

impl Machine {
    pub(crate) fn new(claimants: Vec<Newcomer>, strangers: BTreeSet<u16>) -> Self {
        Self {
            running: None,
            claimants,
            strangers,
            life: 0,
            started: Duration::ZERO,
            wake: None,
        }
    }
}

impl World {
    pub(crate) fn new(
        slots: u16,
        machines: Vec<Machine>,
        network: Network,
        rng: fastrand::Rng,
        trace: bool,
    ) -> Self {
        Self {
            now: Duration::ZERO,
            groups: vec![0; machines.len()],
            machines,
            network,
            rng,
            slots,
            events: BTreeMap::new(),
            planned: 0,
            apart: BTreeMap::new(),
            settled: BTreeMap::new(),
            doubles: Vec::new(),
            trace,
        }
    }

    pub(crate) fn plan(&mut self, at: Duration, event: Event) {
        self.planned += 1;
        self.events.insert((at, self.planned), event);
    }

    /// Lets the next event happen, unless it comes after `end`, and checks the invariants.
    pub(crate) fn step(&mut self, end: Duration) -> bool {
        let Some(next) = self.events.first_entry().filter(|e| e.key().0 <= end) else {
            self.now = end;
            return false;
        };
        let ((at, _), event) = next.remove_entry();
        self.now = at;
        if self.trace {
            println!("{at:>12.3?} {event:?}");
        }
        self.happen(event);
        self.check_double_claims();
        true
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Start(host) => self.start(host),
            Event::Crash(host) => {
                self.machines[host].running = None;
                self.machines[host].wake = None;
                self.note_settled(host);
            }
            Event::Split(groups) => self.groups = groups,
            Event::Heal => self.heal(),
            Event::Leave(host, uuid) => self.feed(host, Input::Leave(uuid)),
            Event::Return(host, newcomer) => {
                let absent = |host: &Host<_>| host.core.stage(newcomer.uuid).is_none();
                if self.machines[host].running.as_ref().is_some_and(absent) {
                    self.feed(host, Input::Join(vec![newcomer]));
                }
            }
            Event::Deliver { to, message } => {
                self.feed(to, Input::Received(message));
                self.check_heard(to, &message);
            }
            Event::Wake { host, life } => {
                if self.machines[host].life == life {
                    self.machines[host].wake = None;
                    self.feed(host, Input::Tick);
                }
            }
            Event::Vacate {
                host,
                life,
                uuid,
                slot,
            } => {
                if self.machines[host].life == life {
                    self.feed(host, Input::Vacated { uuid, slot });
                }
            }
        }
    }

    fn start(&mut self, host: usize) {
        let seed = self.rng.u64(..);
        let machine = &mut self.machines[host];
        if machine.running.is_some() {
            return;
        }
        machine.life += 1;
        machine.started = self.now;
        let config = Config {
            scope: Scope::Domain,
            slots: self.slots,
            incarnation: machine.life,
        };
        let core = Claims::new(config, fastrand::Rng::with_seed(seed));
        machine.running = Some(Host::new(core, machine.strangers.clone()));
        let claimants = machine.claimants.clone();
        self.feed(host, Input::Join(claimants));
    }

    fn heal(&mut self) {
        for low in 0..self.groups.len() {
            for high in low + 1..self.groups.len() {
                if self.groups[low] != self.groups[high] {
                    self.apart.insert((low, high), self.now);
                }
            }
        }
        self.groups.fill(0);
    }

    fn feed(&mut self, host: usize, input: Input) {
        let Some(running) = &mut self.machines[host].running else {
            return;
        };
        let was_leave = matches!(input, Input::Leave(_));
        let outputs = running.handle(input, self.now);
        assert!(running.is_consistent(), "host {host}: {running:#?}");
        let settled_changed = was_leave
            || outputs
                .iter()
                .any(|output| matches!(output, Output::Settled { .. } | Output::Yield { .. }));
        for output in outputs {
            if self.trace {
                println!("{:>12} host {host}: {output:?}", "");
            }
            self.perform(host, output);
        }
        self.plan_wake(host);
        if settled_changed {
            self.note_settled(host);
        }
    }

    fn plan_wake(&mut self, host: usize) {
        let machine = &mut self.machines[host];
        let deadline = machine
            .running
            .as_ref()
            .and_then(|h| h.core.next_deadline());
        let life = machine.life;
        if let Some(at) = deadline.filter(|&at| machine.wake.is_none_or(|wake| at < wake)) {
            machine.wake = Some(at);
            self.plan(at, Event::Wake { host, life });
        }
    }

    fn perform(&mut self, host: usize, output: Output) {
        match output {
            Output::Settled { uuid, slot } => {
                self.remember(host, uuid, slot);
                self.vacate_all(host, uuid);
            }
            Output::NoPort { uuid } => self.vacate_all(host, uuid),
            Output::Yield { until, .. } => assert_eq!(until, self.now + MOVE_TIMEOUT),
            Output::Tentative { .. } => {}
            Output::Send { to, message } => self.send(host, to, message),
            Output::Bind { .. } | Output::Release { .. } => {
                unreachable!("the host performs {output:?}")
            }
        }
    }

    fn remember(&mut self, host: usize, uuid: Uuid, slot: u16) {
        for claimant in &mut self.machines[host].claimants {
            if claimant.uuid == uuid {
                claimant.last_slot = Some(slot);
            }
        }
    }

    /// The node leaves its old slots, at its own pace; one of four does not make it in
    /// time.
    fn vacate_all(&mut self, host: usize, uuid: Uuid) {
        let life = self.machines[host].life;
        let running = self.machines[host].running.iter();
        let leaving: Vec<u16> = running
            .flat_map(|h| h.core.leaving())
            .filter(|(leaver, ..)| *leaver == uuid)
            .map(|(_, slot, _)| slot)
            .collect();
        for slot in leaving {
            let at = self.now + MOVE_TIMEOUT.mul_f64(self.rng.f64() * 1.33);
            let vacate = Event::Vacate {
                host,
                life,
                uuid,
                slot,
            };
            self.plan(at, vacate);
        }
    }

    fn send(&mut self, from: usize, to: Recipient, message: Message) {
        for host in 0..self.machines.len() {
            if host == from || !self.is_addressed(host, to, &message) {
                continue;
            }
            let copies = 1 + u8::from(self.rng.f64() < self.network.doubling);
            for _ in 0..copies {
                self.carry(from, host, message);
            }
        }
    }

    fn is_addressed(&self, host: usize, to: Recipient, message: &Message) -> bool {
        let machine = &self.machines[host];
        let Some(running) = &machine.running else {
            return false;
        };
        match (to, message) {
            (Recipient::Claimant(uuid), _) => machine
                .claimants
                .iter()
                .any(|claimant| claimant.uuid == uuid),
            (Recipient::Everyone, Message::Announce(claim)) if self.network.met_only => {
                running.core.claims().any(|own| own.slot == claim.slot)
            }
            (Recipient::Everyone, _) => true,
        }
    }

    fn carry(&mut self, from: usize, to: usize, message: Message) {
        if self.groups[from] != self.groups[to] || self.rng.f64() < self.network.loss {
            let pair = (from.min(to), from.max(to));
            self.apart.insert(pair, self.now);
            return;
        }
        let delay = self.network.delay_max.mul_f64(self.rng.f64());
        self.plan(self.now + delay, Event::Deliver { to, message });
    }

    /// Takes down which claims of a host are settled, after something that may change it.
    fn note_settled(&mut self, host: usize) {
        let running = self.machines[host].running.iter();
        let claims: BTreeMap<Uuid, u16> = running
            .flat_map(|running| running.core.claims())
            .filter(|claim| claim.standing == Standing::Settled)
            .map(|claim| (claim.uuid, claim.slot))
            .collect();
        self.settled
            .retain(|uuid, (at, slot, _)| *at != host || claims.get(uuid) == Some(slot));
        for (uuid, slot) in claims {
            self.settled.entry(uuid).or_insert((host, slot, self.now));
        }
        let mut holders: BTreeMap<u16, Vec<(usize, Duration)>> = BTreeMap::new();
        for &(host, slot, since) in self.settled.values() {
            holders.entry(slot).or_default().push((host, since));
        }
        self.doubles.clear();
        for (slot, holders) in holders {
            for (i, &(low, low_since)) in holders.iter().enumerate() {
                for &(high, high_since) in &holders[i + 1..] {
                    let since = low_since.max(high_since);
                    self.doubles.push((low, high, slot, since));
                }
            }
        }
    }

    /// Whoever has heard a stronger claim that still stands has begun to yield.
    fn check_heard(&self, listener: usize, message: &Message) {
        let (Message::Announce(heard) | Message::Conflict(heard)) = message else {
            return;
        };
        let mut running = self.machines.iter().filter_map(|m| m.running.as_ref());
        if !running.any(|host| host.core.claims().any(|claim| claim == *heard)) {
            return;
        }
        let weaker = |own: &Claim| {
            let settled = [own, heard].map(|claim| claim.standing == Standing::Settled);
            let loses = match settled {
                [own_settled, other_settled] if own_settled != other_settled => other_settled,
                _ => heard.uuid < own.uuid,
            };
            own.slot == heard.slot && loses
        };
        let listener = self.machines[listener].running.as_ref();
        let kept = listener.and_then(|host| host.core.claims().find(weaker));
        assert_eq!(kept, None, "kept against {heard:?}");
    }

    /// No port is settled twice by claimants that have been in contact for two refreshes.
    fn check_double_claims(&self) {
        let patience = 2 * CLAIM_REFRESH + self.network.delay_max;
        for &(low, high, slot, since) in &self.doubles {
            let since = since.max(self.contact_since(low, high));
            assert!(
                self.now <= since + patience,
                "hosts {low} and {high} share slot {slot} for too long"
            );
        }
    }

    fn contact_since(&self, a: usize, b: usize) -> Duration {
        if self.groups[a] != self.groups[b] {
            return self.now;
        }
        let pair = (a.min(b), a.max(b));
        let apart = self.apart.get(&pair).copied().unwrap_or_default();
        let started = self.machines[a].started.max(self.machines[b].started);
        apart.max(started)
    }

    /// Whether as many are settled as there are slots free of strangers, or all, each on a
    /// slot of its own.
    pub(crate) fn is_settled(&self) -> bool {
        let slots: BTreeSet<u16> = self.settled.values().map(|(_, slot, _)| *slot).collect();
        let running = || self.machines.iter().filter_map(|m| m.running.as_ref());
        let wanted: usize = running().map(|host| host.core.stages().count()).sum();
        let claims: usize = running().map(|host| host.core.claims().count()).sum();
        let leaving: usize = running().map(|host| host.core.leaving().count()).sum();
        let strangers: BTreeSet<u16> = self
            .machines
            .iter()
            .flat_map(|machine| machine.strangers.iter().copied())
            .collect();
        let free = usize::from(self.slots) - strangers.len();
        // Who finds no slot goes on trying, one after the other.
        let is_quiet = wanted > free || (claims == self.settled.len() && leaving == 0);
        is_quiet && slots.len() == self.settled.len() && slots.len() >= wanted.min(free)
    }

    /// Who holds which settled slot.
    pub(crate) fn assignment(&self) -> BTreeMap<Uuid, Option<u16>> {
        let running = self.machines.iter().filter_map(|m| m.running.as_ref());
        let stages = running.flat_map(|host| host.core.stages());
        stages
            .map(|(uuid, stage)| (uuid, stage.held().map(|(slot, _)| slot)))
            .collect()
    }
}
