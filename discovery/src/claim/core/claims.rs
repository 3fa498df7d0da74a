//! The state machine.

use std::collections::BTreeMap;
use std::time::Duration;

use uuid::Uuid;

use super::candidates::Candidates;
use super::config::{Config, Scope};
use super::event::{Input, Newcomer, Output};
use super::message::{Claim, Message, Rank, Recipient, Stamp, Standing};
use super::neighbours::Neighbours;
use super::own::{Own, Stage};
use super::timing::{Jitter, NO_PORT_RETRY, SECOND_PASS, Timing, jittered};

/// How often a claimant goes through all slots before it is without a port.
const PASSES: u32 = 2;

/// Something that happens by itself when its time comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// Another claimant has been silent for too long.
    Expire(Uuid),
    /// A slot that was to be left is closed.
    Close(Uuid, u16),
    /// A tentative claim becomes settled.
    Settle(Uuid),
    /// A claim is announced again.
    Repeat(Uuid),
    /// A claimant without a slot goes through the candidates again.
    Retry(Uuid),
}

/// All claims of one process, and what it knows of the others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Claims<J> {
    config: Config,
    timing: Timing,
    jitter: J,
    own: BTreeMap<Uuid, Own>,
    neighbours: Neighbours,
    /// The unanswered [`Output::Bind`].
    binding: Option<Binding>,
    /// The latest sequence number in use.
    sequence: u64,
    joined: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Binding {
    uuid: Uuid,
    slot: u16,
}

/// What stands between a claimant and a slot, as far as this process knows.
enum Obstacle {
    None,
    /// A claimant of this process holds it with a weaker claim.
    Weaker(Uuid),
    /// Somebody holds it who would keep it.
    Stronger,
}

impl<J: Jitter> Claims<J> {
    /// No claims yet, and the usual times.
    ///
    /// # Panics
    /// When there are no slots.
    #[must_use]
    pub fn new(config: Config, jitter: J) -> Self {
        Self::with_timing(config, Timing::default(), jitter)
    }

    /// No claims yet.
    ///
    /// # Panics
    /// When there are no slots.
    #[must_use]
    pub fn with_timing(config: Config, timing: Timing, jitter: J) -> Self {
        assert!(config.slots > 0, "a range has at least one slot");
        Self {
            config,
            timing,
            jitter,
            own: BTreeMap::new(),
            neighbours: Neighbours::default(),
            binding: None,
            sequence: 0,
            joined: 0,
        }
    }

    /// Takes in what happened at `now` and says what to do, in order.
    ///
    /// # Panics
    /// When the shell breaks the rules: a claimant joins twice, or an answer to a bind
    /// that was not asked for.
    #[must_use]
    pub fn handle(&mut self, input: Input, now: Duration) -> Vec<Output> {
        let mut out = Vec::new();
        match input {
            Input::Join(newcomers) => self.join(newcomers),
            Input::Leave(uuid) => self.leave(uuid, now, &mut out),
            Input::Bound(slot) => self.bound(slot, now, &mut out),
            Input::Taken(slot) => drop(self.answered(slot)),
            Input::Vacated { uuid, slot } => self.close(uuid, slot, &mut out),
            Input::Received(message) => self.received(message, now, &mut out),
            Input::Tick => {
                while let Some((_, timer)) = self.timers().filter(|(at, _)| *at <= now).min() {
                    self.ring_one(timer, now, &mut out);
                }
            }
        }
        self.seek(now, &mut out);
        out
    }

    /// Lets one of [`Self::timers`] ring, whatever the time.
    ///
    /// A shell uses [`Input::Tick`]. This is for whoever explores all orders in which
    /// things can happen, without a clock.
    ///
    /// # Panics
    /// When there is no such timer.
    #[must_use]
    pub fn ring(&mut self, timer: Timer, now: Duration) -> Vec<Output> {
        assert!(
            self.timers().any(|(_, armed)| armed == timer),
            "{timer:?} is not armed"
        );
        let mut out = Vec::new();
        self.ring_one(timer, now, &mut out);
        self.seek(now, &mut out);
        out
    }

    /// When [`Input::Tick`] is due next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        self.timers().map(|(at, _)| at).min()
    }

    /// Everything that waits for its time, in no particular order.
    pub fn timers(&self) -> impl Iterator<Item = (Duration, Timer)> {
        let own = self.own.iter().flat_map(|(&uuid, own)| {
            let (first, second) = match own.stage {
                Stage::Seeking => (None, None),
                Stage::Tentative {
                    settles_at,
                    repeats_at,
                    ..
                } => (
                    Some((settles_at, Timer::Settle(uuid))),
                    Some((repeats_at, Timer::Repeat(uuid))),
                ),
                Stage::Settled { repeats_at, .. } => {
                    (repeats_at.map(|at| (at, Timer::Repeat(uuid))), None)
                }
                Stage::Pausing { until } | Stage::NoPort { until } => {
                    (Some((until, Timer::Retry(uuid))), None)
                }
            };
            let closing = own
                .leaving
                .iter()
                .map(move |(&slot, &until)| (until, Timer::Close(uuid, slot)));
            first.into_iter().chain(second).chain(closing)
        });
        let expiries = self
            .neighbours
            .expiries()
            .map(|(at, uuid)| (at, Timer::Expire(uuid)));
        own.chain(expiries)
    }

    /// Every claimant of this process and where it stands, in the order of UUIDs.
    pub fn stages(&self) -> impl Iterator<Item = (Uuid, &Stage)> {
        self.own.iter().map(|(&uuid, own)| (uuid, &own.stage))
    }

    /// Where one claimant of this process stands.
    #[must_use]
    pub fn stage(&self, uuid: Uuid) -> Option<&Stage> {
        self.own.get(&uuid).map(|own| &own.stage)
    }

    /// The slots that claimants of this process are leaving, and until when.
    pub fn leaving(&self) -> impl Iterator<Item = (Uuid, u16, Duration)> {
        self.own.iter().flat_map(|(&uuid, own)| {
            own.leaving
                .iter()
                .map(move |(&slot, &until)| (uuid, slot, until))
        })
    }

    /// The claims of this process, as others are told, in the order of UUIDs.
    pub fn claims(&self) -> impl Iterator<Item = Claim> {
        self.own
            .iter()
            .filter_map(|(&uuid, own)| self.claim_of(uuid, own))
    }

    /// The claims of others that are believed, in the order of UUIDs.
    pub fn neighbours(&self) -> impl Iterator<Item = Claim> {
        self.neighbours.claims()
    }

    fn join(&mut self, newcomers: Vec<Newcomer>) {
        for newcomer in newcomers {
            self.neighbours.forget(newcomer.uuid);
            let own = Own::new(newcomer, self.config.slots, self.joined);
            self.joined += 1;
            let twin = self.own.insert(newcomer.uuid, own);
            assert!(twin.is_none(), "{} joined twice", newcomer.uuid);
        }
    }

    fn leave(&mut self, uuid: Uuid, now: Duration, out: &mut Vec<Output>) {
        let Some(own) = self.own.remove(&uuid) else {
            return;
        };
        let held = own.stage.held().map(|(slot, _)| slot);
        for slot in held.into_iter().chain(own.leaving.into_keys()) {
            out.push(Output::Release { slot });
        }
        if own.announced {
            let stamp = self.send_leave(uuid, out);
            // Its own echo must not pass for a neighbour.
            self.neighbours
                .hear(uuid, stamp, None, now + self.timing.expiry());
        }
    }

    fn send_leave(&mut self, uuid: Uuid, out: &mut Vec<Output>) -> Stamp {
        self.sequence += 1;
        let stamp = self.stamp(self.sequence);
        out.push(Output::Send {
            to: Recipient::Everyone,
            message: Message::Leave { uuid, stamp },
        });
        stamp
    }

    /// The bind that `slot` is the answer to.
    fn answered(&mut self, slot: u16) -> Binding {
        let binding = self.binding.take();
        binding
            .filter(|binding| binding.slot == slot)
            .unwrap_or_else(|| panic!("nobody asked for slot {slot}"))
    }

    fn bound(&mut self, slot: u16, now: Duration, out: &mut Vec<Output>) {
        let Binding { uuid, slot } = self.answered(slot);
        let seeks = self.stage(uuid) == Some(&Stage::Seeking);
        // It may have left meanwhile, or somebody may have spoken who keeps the slot.
        if seeks && matches!(self.obstacle(slot, uuid), Obstacle::None) {
            self.occupy(uuid, slot, now, out);
        } else {
            out.push(Output::Release { slot });
        }
    }

    /// Gives slots to the claimants that seek one, one after the other, until the kernel
    /// has to be asked or nobody seeks.
    fn seek(&mut self, now: Duration, out: &mut Vec<Output>) {
        while self.binding.is_none() {
            // Who remembers a slot asks for it before others come that way.
            let seeker = self
                .own
                .iter()
                .filter(|(_, own)| own.stage == Stage::Seeking)
                .min_by_key(|(_, own)| (!own.candidates.next_is_remembered(), own.order))
                .map(|(&uuid, _)| uuid);
            let Some(uuid) = seeker else { return };
            self.try_candidates(uuid, now, out);
        }
    }

    fn try_candidates(&mut self, uuid: Uuid, now: Duration, out: &mut Vec<Output>) {
        while let Some(slot) = self.claimant(uuid).candidates.next() {
            match self.obstacle(slot, uuid) {
                Obstacle::None => {
                    self.binding = Some(Binding { uuid, slot });
                    out.push(Output::Bind { uuid, slot });
                    return;
                }
                // The sockets stay held and only change their owner.
                Obstacle::Weaker(sibling) => {
                    self.claimant(sibling).stage = Stage::Seeking;
                    self.occupy(uuid, slot, now, out);
                    return;
                }
                Obstacle::Stronger => {}
            }
        }
        self.found_none(uuid, now, out);
    }

    fn obstacle(&self, slot: u16, uuid: Uuid) -> Obstacle {
        let rank = Rank {
            standing: Standing::Tentative,
            uuid,
        };
        let being_left = self.own.values().any(|own| own.leaving.contains_key(&slot));
        if being_left || self.neighbours.keep_against(slot, rank) {
            return Obstacle::Stronger;
        }
        match (self.config.scope, self.holder(slot)) {
            (_, None) => Obstacle::None,
            (Scope::Domain, Some(held)) if rank < held.rank() => Obstacle::Weaker(held.uuid),
            (Scope::Host | Scope::Domain, Some(_)) => Obstacle::Stronger,
        }
    }

    fn occupy(&mut self, uuid: Uuid, slot: u16, now: Duration, out: &mut Vec<Output>) {
        match self.config.scope {
            Scope::Host => {
                let own = self.claimant(uuid);
                own.passes = 0;
                own.stage = Stage::Settled {
                    slot,
                    sequence: 0,
                    repeats_at: None,
                };
                out.push(Output::Settled { uuid, slot });
            }
            Scope::Domain => {
                self.sequence += 1;
                let stage = Stage::Tentative {
                    slot,
                    sequence: self.sequence,
                    settles_at: now + self.timing.settle,
                    repeats_at: now + jittered(&mut self.jitter, self.timing.repeat()),
                };
                self.claimant(uuid).stage = stage;
                out.push(Output::Tentative { uuid, slot });
                self.announce(uuid, out);
            }
        }
    }

    fn found_none(&mut self, uuid: Uuid, now: Duration, out: &mut Vec<Output>) {
        let pause = self.jitter.between(SECOND_PASS.0, SECOND_PASS.1);
        let retry = jittered(&mut self.jitter, NO_PORT_RETRY);
        let own = self.claimant(uuid);
        own.passes += 1;
        if own.passes < PASSES {
            own.stage = Stage::Pausing { until: now + pause };
        } else {
            own.passes = 0;
            own.stage = Stage::NoPort { until: now + retry };
            out.push(Output::NoPort { uuid });
        }
        if std::mem::take(&mut self.claimant(uuid).announced) {
            self.send_leave(uuid, out);
        }
    }

    fn received(&mut self, message: Message, now: Duration, out: &mut Vec<Output>) {
        let (uuid, stamp, claim) = match &message {
            Message::Announce(claim) | Message::Conflict(claim) => {
                (claim.uuid, claim.stamp, Some(claim))
            }
            Message::Leave { uuid, stamp } => (*uuid, *stamp, None),
        };
        let foreign = self.config.scope == Scope::Domain && !self.own.contains_key(&uuid);
        if !foreign
            || !self
                .neighbours
                .hear(uuid, stamp, claim, now + self.timing.expiry())
        {
            return;
        }
        let Some(theirs) = claim else { return };
        let Some(ours) = self.holder(theirs.slot) else {
            return;
        };
        if theirs.rank() < ours.rank() {
            self.lose(ours.uuid, now, out);
        } else {
            out.push(Output::Send {
                to: Recipient::Claimant(uuid),
                message: Message::Conflict(ours),
            });
        }
    }

    /// A stronger claim to the slot that `uuid` holds is known.
    fn lose(&mut self, uuid: Uuid, now: Duration, out: &mut Vec<Output>) {
        let (slots, move_timeout) = (self.config.slots, self.timing.move_timeout);
        let own = self.claimant(uuid);
        match own.stage {
            Stage::Tentative { slot, .. } => out.push(Output::Release { slot }),
            Stage::Settled { slot, .. } => {
                let until = now + move_timeout;
                own.leaving.insert(slot, until);
                own.candidates = Candidates::new(slots, Some(slot), own.start);
                out.push(Output::Yield { uuid, slot, until });
            }
            Stage::Seeking | Stage::Pausing { .. } | Stage::NoPort { .. } => {
                unreachable!("{uuid} holds no slot to lose")
            }
        }
        own.stage = Stage::Seeking;
    }

    fn ring_one(&mut self, timer: Timer, now: Duration, out: &mut Vec<Output>) {
        match timer {
            Timer::Expire(uuid) => self.neighbours.forget(uuid),
            Timer::Close(uuid, slot) => self.close(uuid, slot, out),
            Timer::Settle(uuid) => self.settle(uuid, now, out),
            Timer::Repeat(uuid) => self.repeat(uuid, now, out),
            Timer::Retry(uuid) => {
                let own = self.claimant(uuid);
                own.candidates.restart();
                own.stage = Stage::Seeking;
            }
        }
    }

    fn settle(&mut self, uuid: Uuid, now: Duration, out: &mut Vec<Output>) {
        let repeats_at = Some(now + jittered(&mut self.jitter, self.timing.refresh));
        self.sequence += 1;
        let sequence = self.sequence;
        let own = self.claimant(uuid);
        if let Stage::Tentative { slot, .. } = own.stage {
            own.passes = 0;
            own.stage = Stage::Settled {
                slot,
                sequence,
                repeats_at,
            };
            out.push(Output::Settled { uuid, slot });
            self.announce(uuid, out);
        }
    }

    fn repeat(&mut self, uuid: Uuid, now: Duration, out: &mut Vec<Output>) {
        let repeat = now + jittered(&mut self.jitter, self.timing.repeat());
        let refresh = now + jittered(&mut self.jitter, self.timing.refresh);
        match &mut self.claimant(uuid).stage {
            Stage::Tentative { repeats_at, .. } => *repeats_at = repeat,
            Stage::Settled { repeats_at, .. } => *repeats_at = Some(refresh),
            Stage::Seeking | Stage::Pausing { .. } | Stage::NoPort { .. } => return,
        }
        self.announce(uuid, out);
    }

    fn announce(&mut self, uuid: Uuid, out: &mut Vec<Output>) {
        self.claimant(uuid).announced = true;
        let claim = self.claim_of(uuid, &self.own[&uuid]);
        out.extend(claim.map(|claim| Output::Send {
            to: Recipient::Everyone,
            message: Message::Announce(claim),
        }));
    }

    fn close(&mut self, uuid: Uuid, slot: u16, out: &mut Vec<Output>) {
        let left = self
            .own
            .get_mut(&uuid)
            .and_then(|own| own.leaving.remove(&slot));
        if left.is_some() {
            out.push(Output::Release { slot });
        }
    }

    /// The claim of this process to `slot`.
    fn holder(&self, slot: u16) -> Option<Claim> {
        self.claims().find(|claim| claim.slot == slot)
    }

    fn claim_of(&self, uuid: Uuid, own: &Own) -> Option<Claim> {
        let (slot, standing, sequence) = match own.stage {
            Stage::Tentative { slot, sequence, .. } => (slot, Standing::Tentative, sequence),
            Stage::Settled { slot, sequence, .. } => (slot, Standing::Settled, sequence),
            Stage::Seeking | Stage::Pausing { .. } | Stage::NoPort { .. } => return None,
        };
        Some(Claim {
            uuid,
            slot,
            standing,
            stamp: self.stamp(sequence),
        })
    }

    fn stamp(&self, sequence: u64) -> Stamp {
        Stamp {
            incarnation: self.config.incarnation,
            sequence,
        }
    }

    fn claimant(&mut self, uuid: Uuid) -> &mut Own {
        self.own
            .get_mut(&uuid)
            .expect("only claimants of this process are asked for")
    }
}
