//! A domain as a model for stateright: every order in which things can happen.
//!
//! Time is abstracted away. Every call of a core happens at time 0, so all deadlines that
//! differ only by when they were set are the same, and any timer may ring at any moment,
//! also one that a clock would let ring later than another. That allows everything that
//! clocks allow, and more.
//!
//! The network is the set of all that was ever said. Whoever lives may hear any of it at
//! any time, again and again, or never: messages are lost, doubled and reordered without
//! being modelled. Repeating a claim says nothing new, so the timer for it is left out.
//!
//! [`Contact`] bounds the slowness of messages for the properties that need it. It is the
//! least that a shell gives: a claim is announced to whoever holds the same slot.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use repram_discovery::claim::core::{
    Claim, Claims, Config, Input, Message, Newcomer, Output, Recipient, Scope, Stamp, Standing,
    Timer,
};
use stateright::{Model, Property};
use uuid::Uuid;

use crate::host::{Host, Still};

pub(crate) const NOW: Duration = Duration::ZERO;

/// A domain, and how far it is explored.
#[derive(Clone)]
pub(crate) struct Domain {
    pub(crate) slots: u16,
    /// Where exploration starts.
    pub(crate) starts: Vec<State>,
    /// Runs in which a claimant has made more different statements are cut off.
    pub(crate) statements: usize,
    /// Whether claims are forgotten that were not repeated.
    pub(crate) forgetful: bool,
    /// Whether claims settle. Without it, runs are explored up to the first settlement.
    pub(crate) settling: bool,
    /// Whether contact begins at some moment.
    pub(crate) healing: bool,
    pub(crate) properties: fn() -> Vec<Property<Domain>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) places: Vec<Arc<Place>>,
    /// All that was ever said. A conflict says nothing but the claim of its sender.
    pub(crate) said: Arc<BTreeSet<Message>>,
    /// How often something may still crash.
    pub(crate) crashes: u8,
    pub(crate) contact: Contact,
    /// The claims that were settled before the run.
    pub(crate) before: BTreeMap<Uuid, u16>,
}

/// A host, which may be down.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) running: Option<Host<Still>>,
    /// What is on its disk.
    pub(crate) claimants: Vec<Newcomer>,
    incarnation: u64,
    pub(crate) strangers: BTreeSet<u16>,
}

/// Whether claimants can exchange messages within CLAIM_SETTLE.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Contact {
    /// Not yet: messages may take for ever.
    Lost,
    /// From some moment on: what is said upon taking a slot is heard by whoever holds the
    /// same slot, and the answer to it comes back, before the claim settles.
    Held {
        /// Claims taken since then, and the hosts that have not heard of them yet.
        awaited: BTreeMap<Uuid, BTreeSet<usize>>,
        /// Answers on their way to such claims.
        answers: BTreeSet<(Uuid, Message)>,
        /// Whether such a claim settled on a port that was settled already.
        relapsed: bool,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Start(usize),
    Crash(usize),
    Hear(usize, Message),
    Ring(usize, Timer),
    /// From now on messages arrive in time.
    Heal,
}

impl Place {
    pub(crate) fn new(claimants: Vec<Newcomer>, strangers: BTreeSet<u16>) -> Self {
        Self {
            running: None,
            claimants,
            incarnation: 0,
            strangers,
        }
    }

    pub(crate) fn running(&mut self) -> &mut Host<Still> {
        self.running.as_mut().expect("only a running host acts")
    }

    fn start(&mut self, slots: u16) -> Vec<Output> {
        self.incarnation += 1;
        let config = Config {
            scope: Scope::Domain,
            slots,
            incarnation: self.incarnation,
        };
        let host = Host::new(Claims::new(config, Still), self.strangers.clone());
        let claimants = self.claimants.clone();
        self.running
            .insert(host)
            .handle(Input::Join(claimants), NOW)
    }

    fn remember(&mut self, uuid: Uuid, slot: u16) {
        for claimant in &mut self.claimants {
            if claimant.uuid == uuid {
                claimant.last_slot = Some(slot);
            }
        }
    }
}

impl State {
    /// All hosts down, nothing said.
    pub(crate) fn new(places: Vec<Place>, crashes: u8) -> Self {
        Self {
            places: places.into_iter().map(Arc::new).collect(),
            said: Arc::default(),
            crashes,
            contact: Contact::Lost,
            before: BTreeMap::new(),
        }
    }

    /// Starts every host, without contact. The claimants in `before` come first and settle
    /// on the slot that they remember.
    pub(crate) fn started(mut self, slots: u16, before: BTreeMap<Uuid, u16>) -> Self {
        for i in 0..self.places.len() {
            let everybody = self.places[i].claimants.clone();
            let (mut old, new): (Vec<Newcomer>, Vec<Newcomer>) = everybody
                .into_iter()
                .partition(|c| before.contains_key(&c.uuid));
            for claimant in &mut old {
                claimant.last_slot = Some(before[&claimant.uuid]);
            }
            self.place(i).claimants.clone_from(&old);
            self.apply(slots, &Action::Start(i));
            for claimant in &old {
                self.apply(slots, &Action::Ring(i, Timer::Settle(claimant.uuid)));
            }
            self.place(i).claimants.extend(&new);
            let outputs = self.place(i).running().handle(Input::Join(new), NOW);
            self.outputs(i, outputs);
        }
        self.before = before;
        self
    }

    fn place(&mut self, i: usize) -> &mut Place {
        Arc::make_mut(&mut self.places[i])
    }

    pub(crate) fn hosts(&self) -> impl Iterator<Item = (usize, &Host<Still>)> {
        let hosts = self.places.iter().map(|place| place.running.as_ref());
        hosts.enumerate().filter_map(|(i, host)| Some((i, host?)))
    }

    /// The claims of all that live, as they are now.
    pub(crate) fn claims(&self) -> impl Iterator<Item = (usize, Claim)> {
        self.hosts()
            .flat_map(|(i, host)| host.core.claims().map(move |claim| (i, claim)))
    }

    pub(crate) fn settled(&self) -> impl Iterator<Item = (usize, Claim)> {
        self.claims()
            .filter(|(_, claim)| claim.standing == Standing::Settled)
    }

    /// Does what `action` says, and takes down what is said upon it.
    pub(crate) fn apply(&mut self, slots: u16, action: &Action) {
        match action {
            Action::Start(i) => {
                let outputs = self.place(*i).start(slots);
                self.outputs(*i, outputs);
            }
            Action::Crash(i) => self.crash(*i),
            Action::Hear(i, message) => {
                let input = Input::Received(*message);
                let outputs = self.place(*i).running().handle(input, NOW);
                self.heard(*i, message);
                self.outputs(*i, outputs);
            }
            Action::Ring(i, timer) => {
                let outputs = self.place(*i).running().ring(*timer, NOW);
                self.outputs(*i, outputs);
            }
            Action::Heal => {
                self.contact = Contact::Held {
                    awaited: BTreeMap::new(),
                    answers: BTreeSet::new(),
                    relapsed: false,
                }
            }
        }
    }

    fn crash(&mut self, i: usize) {
        self.place(i).running = None;
        self.crashes -= 1;
        let gone: Vec<Uuid> = self.places[i].claimants.iter().map(|c| c.uuid).collect();
        if let Contact::Held {
            awaited, answers, ..
        } = &mut self.contact
        {
            awaited.retain(|uuid, _| !gone.contains(uuid));
            for hosts in awaited.values_mut() {
                hosts.remove(&i);
            }
            answers.retain(|(to, _)| !gone.contains(to));
        }
    }

    fn heard(&mut self, i: usize, message: &Message) {
        let Contact::Held {
            awaited, answers, ..
        } = &mut self.contact
        else {
            return;
        };
        // Only what the claimant says now counts, not what it said of an earlier slot.
        let speaker = speaker(message);
        let current = self.places.iter().any(|place| {
            let claims = place.running.iter().flat_map(|host| host.core.claims());
            claims.into_iter().any(|c| Message::Announce(c) == *message)
        });
        if let Some(hosts) = awaited.get_mut(&speaker).filter(|_| current) {
            hosts.remove(&i);
        }
        let listeners = &self.places[i].claimants;
        answers.retain(|(to, answer)| {
            answer != message || !listeners.iter().any(|listener| listener.uuid == *to)
        });
    }

    fn outputs(&mut self, i: usize, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Settled { uuid, slot } => {
                    self.place(i).remember(uuid, slot);
                    self.note_settled(uuid, slot);
                }
                Output::Tentative { uuid, slot } => self.note_taken(i, uuid, slot),
                Output::Send { to, message } => self.note_said(to, message),
                Output::Yield { .. } | Output::NoPort { .. } => {}
                Output::Bind { .. } | Output::Release { .. } => {
                    unreachable!("the host performs {output:?}")
                }
            }
        }
        self.drop_stale_notes();
    }

    fn note_said(&mut self, to: Recipient, message: Message) {
        let message = match message {
            Message::Conflict(claim) => Message::Announce(claim),
            message @ (Message::Announce(_) | Message::Leave { .. }) => message,
        };
        if !self.said.contains(&message) {
            Arc::make_mut(&mut self.said).insert(message);
        }
        if let (Contact::Held { answers, .. }, Recipient::Claimant(uuid)) = (&mut self.contact, to)
        {
            answers.insert((uuid, message));
        }
    }

    fn note_taken(&mut self, i: usize, uuid: Uuid, slot: u16) {
        let holders = self.claims().filter(|(_, claim)| claim.slot == slot);
        let others = holders.map(|(other, _)| other).filter(|&other| other != i);
        let others = others.collect();
        if let Contact::Held { awaited, .. } = &mut self.contact {
            awaited.insert(uuid, others);
        }
    }

    fn note_settled(&mut self, uuid: Uuid, slot: u16) {
        let twice = self
            .settled()
            .any(|(_, claim)| claim.slot == slot && claim.uuid != uuid);
        if let Contact::Held {
            awaited, relapsed, ..
        } = &mut self.contact
        {
            // A claim that was taken before may have settled too early to hear of others.
            *relapsed |= awaited.remove(&uuid).is_some() && twice;
        }
    }

    /// A claimant that lost its slot waits for nobody, and nobody waits for a host that has
    /// left the slot.
    fn drop_stale_notes(&mut self) {
        let claims: Vec<(usize, Claim)> = self.claims().collect();
        let tentative = |uuid: Uuid| {
            let mut claims = claims.iter().map(|(_, claim)| claim);
            claims.find(|claim| claim.uuid == uuid && claim.standing == Standing::Tentative)
        };
        let meet =
            |host: usize, slot: u16| claims.iter().any(|(i, c)| *i == host && c.slot == slot);
        if let Contact::Held {
            awaited, answers, ..
        } = &mut self.contact
        {
            awaited.retain(|&uuid, hosts| {
                let claim = tentative(uuid);
                claim.is_some_and(|claim| {
                    hosts.retain(|&host| meet(host, claim.slot));
                    true
                })
            });
            answers.retain(|(to, _)| awaited.contains_key(to));
        }
    }

    /// Whether everything has been heard that is heard before this claim settles.
    fn may_settle(&self, uuid: Uuid) -> bool {
        match &self.contact {
            Contact::Lost => true,
            Contact::Held {
                awaited, answers, ..
            } => {
                let heard = awaited.get(&uuid).is_none_or(BTreeSet::is_empty);
                heard && !answers.iter().any(|(to, _)| *to == uuid)
            }
        }
    }
}

impl Domain {
    fn may_ring(&self, state: &State, timer: Timer) -> bool {
        match timer {
            Timer::Repeat(_) => false,
            Timer::Expire(_) => self.forgetful,
            Timer::Settle(uuid) => self.settling && state.may_settle(uuid),
            Timer::Close(..) | Timer::Retry(_) => true,
        }
    }
}

impl Model for Domain {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        self.starts.clone()
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if self.healing && state.contact == Contact::Lost {
            actions.push(Action::Heal);
        }
        for (i, place) in state.places.iter().enumerate() {
            let Some(host) = &place.running else {
                actions.push(Action::Start(i));
                continue;
            };
            if state.crashes > 0 {
                actions.push(Action::Crash(i));
            }
            let news = state.said.iter().filter(|said| is_news(host, said));
            actions.extend(news.map(|message| Action::Hear(i, *message)));
            let timers = host.core.timers().map(|(_, timer)| timer);
            let ringing = timers.filter(|&timer| self.may_ring(state, timer));
            actions.extend(ringing.map(|timer| Action::Ring(i, timer)));
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut next = last.clone();
        next.apply(self.slots, &action);
        (next != *last).then_some(next)
    }

    fn within_boundary(&self, state: &State) -> bool {
        let mut statements: BTreeMap<Uuid, usize> = BTreeMap::new();
        for message in &*state.said {
            *statements.entry(speaker(message)).or_default() += 1;
        }
        statements.values().all(|&made| made <= self.statements)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        (self.properties)()
    }
}

/// Whether a host takes notice of what was said: not of its own claimants, and not of what
/// is older than what it knows.
fn is_news(host: &Host<Still>, message: &Message) -> bool {
    let (uuid, stamp) = origin(message);
    let known = host.core.neighbours().find(|claim| claim.uuid == uuid);
    host.core.stage(uuid).is_none() && known.is_none_or(|claim| claim.stamp <= stamp)
}

fn origin(message: &Message) -> (Uuid, Stamp) {
    match message {
        Message::Announce(claim) | Message::Conflict(claim) => (claim.uuid, claim.stamp),
        Message::Leave { uuid, stamp } => (*uuid, *stamp),
    }
}

pub(crate) fn speaker(message: &Message) -> Uuid {
    origin(message).0
}

/// Claimants are numbered; the lower number is the lower UUID.
pub(crate) fn claimant(number: u8, last_slot: Option<u16>, start: u16) -> Newcomer {
    Newcomer {
        uuid: Uuid::from_u128(u128::from(number)),
        last_slot,
        start,
    }
}
