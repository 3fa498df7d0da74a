//! One host of a domain: a claim core, and a kernel in miniature.

use std::collections::BTreeSet;
use std::time::Duration;

use repram_discovery::claim::core::{Claims, Input, Jitter, Output, Stage, Timer};

/// No chance: every pause is as short as it may be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Still;

impl Jitter for Still {
    fn between(&mut self, shortest: Duration, _: Duration) -> Duration {
        shortest
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Host<J> {
    pub(crate) core: Claims<J>,
    /// Slots whose sockets the process holds.
    held: BTreeSet<u16>,
    /// Slots whose sockets others on this host hold.
    strangers: BTreeSet<u16>,
}

impl<J: Jitter> Host<J> {
    pub(crate) fn new(core: Claims<J>, strangers: BTreeSet<u16>) -> Self {
        Self {
            core,
            held: BTreeSet::new(),
            strangers,
        }
    }

    /// Hands `input` to the core, answers for the kernel, and returns the other outputs
    /// in order.
    pub(crate) fn handle(&mut self, input: Input, now: Duration) -> Vec<Output> {
        let outputs = self.core.handle(input, now);
        self.perform(outputs, now)
    }

    pub(crate) fn ring(&mut self, timer: Timer, now: Duration) -> Vec<Output> {
        let outputs = self.core.ring(timer, now);
        self.perform(outputs, now)
    }

    fn perform(&mut self, mut outputs: Vec<Output>, now: Duration) -> Vec<Output> {
        let mut others = Vec::new();
        loop {
            let mut answer = None;
            for output in outputs {
                match output {
                    Output::Bind { slot, .. } => answer = Some(self.bind(slot)),
                    Output::Release { slot } => {
                        assert!(self.held.remove(&slot), "slot {slot} is not held");
                    }
                    output => others.push(output),
                }
            }
            match answer {
                Some(input) => outputs = self.core.handle(input, now),
                None => return others,
            }
        }
    }

    fn bind(&mut self, slot: u16) -> Input {
        if self.strangers.contains(&slot) {
            return Input::Taken(slot);
        }
        assert!(self.held.insert(slot), "slot {slot} is held already");
        Input::Bound(slot)
    }

    /// Whether the process holds the sockets of its claims and of the slots that it is
    /// leaving, each once, and no others; and nobody was forgotten in its search.
    pub(crate) fn is_consistent(&self) -> bool {
        let claimed = self.core.stages().filter_map(|(_, stage)| stage.held());
        let leaving = self.core.leaving().map(|(_, slot, _)| slot);
        let mut slots: Vec<u16> = claimed.map(|(slot, _)| slot).chain(leaving).collect();
        slots.sort_unstable();
        let nobody_seeks = self
            .core
            .stages()
            .all(|(_, stage)| *stage != Stage::Seeking);
        slots.iter().eq(&self.held) && nobody_seeks
    }

    pub(crate) fn holds(&self, slot: u16) -> bool {
        self.held.contains(&slot)
    }
}
