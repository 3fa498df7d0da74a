//! Simulated nodes that are asked to stop, and hand over before they do.

use uuid::Uuid;

use super::super::HandOver;
use super::super::Life;
use super::super::asks::Asked;
use super::super::world::World as _;
use super::event::Event;
use super::universe::Universe;
use crate::membership::Input;
use crate::wire::frame::Request;

/// How long a node may take to hand over.
const HAND_OVER_WITHIN_US: u64 = 3_000_000;

/// A node that is asked to stop.
#[derive(Debug)]
pub(super) struct Leave {
    /// Processes that had been killed by then.
    kills: u64,
    /// Whether its end is planned.
    going: bool,
    /// What became of its values, when it has said its last word.
    result: Option<HandOver>,
}

impl Universe {
    /// Some nodes are asked to stop at once, never all. Each knows who else is.
    pub(super) fn scale_down(&mut self) {
        let slots = self.slots.iter().enumerate();
        let staying = |life: &super::universe::Life| life.joined && life.leave.is_none();
        let mut living: Vec<usize> = slots
            .filter(|(_, slot)| slot.life.as_ref().is_some_and(staying))
            .map(|(slot, _)| slot)
            .collect();
        if living.len() < 2 {
            return;
        }
        self.random.shuffle(&mut living);
        living.truncate(self.random.usize(1..living.len()));
        self.ask_to_stop(living);
    }

    /// These nodes are asked to stop.
    pub(super) fn ask_to_stop(&mut self, living: Vec<usize>) {
        let life = |slot: &usize| (self.slots[*slot].uuid, self.slots[*slot].generation);
        let together: Vec<Life> = living.iter().map(life).collect();
        for slot in living {
            self.note(|| format!("{slot} is asked to stop"));
            self.slots[slot].wanted = false;
            let kills = self.kills;
            let life = self.slots[slot].life.as_mut().expect("lives");
            life.leave = Some(Leave {
                kills,
                going: false,
                result: None,
            });
            let number = life.number;
            let delay = self.random.u64(0..5_000);
            let together = together.clone();
            self.after(
                delay,
                Event::Leave {
                    slot,
                    life: number,
                    together,
                },
            );
            let event = Event::Go { slot, life: number };
            self.after(delay + HAND_OVER_WITHIN_US, event);
        }
    }

    /// Looks whether a node that leaves has handed everything over.
    pub(super) fn look_at_leave(&mut self, slot: usize) {
        let Some(life) = &mut self.slots[slot].life else {
            return;
        };
        let Some(leave) = &mut life.leave else {
            return;
        };
        if !leave.going && *life.node.handed_over.borrow() {
            leave.going = true;
            let life = life.number;
            let delay = self.random.u64(0..50_000);
            self.after(delay, Event::Go { slot, life });
        }
    }

    /// A node says its last word.
    pub(super) fn go(&mut self, slot: usize) {
        let life = self.slots[slot].life.as_mut().expect("lives");
        let leave = life.leave.as_mut().expect("leaves");
        if leave.result.is_some() {
            return;
        }
        let result = life.node.hand_over();
        leave.result = Some(result);
        leave.going = true;
        life.joined = false;
        let number = life.number;
        let up: Vec<Uuid> = life.node.world.state().up.iter().copied().collect();
        self.note(|| format!("{slot} goes, {result:?}"));
        self.with(slot, |node| {
            for peer in up {
                let id = node.asks.note(peer, Asked::TakenOver);
                let going = Request::Leaving {
                    id,
                    view: 0,
                    together: Vec::new(),
                    going: true,
                };
                // Whoever does not hear it learns it otherwise.
                let _ = node.world.send(peer, going);
            }
            node.step(Input::Leave);
        });
        // It waits for everyone who can answer.
        let delay = if self.hosts.len() > 1 {
            20 * self.nature.delay_us.1
        } else {
            self.random.u64(500..5_000)
        };
        self.after(delay, Event::Gone { slot, life: number });
    }

    /// Its process is over. What it handed over must be somewhere else.
    pub(super) fn gone(&mut self, slot: usize) {
        let life = self.slots[slot].life.as_ref().expect("lives");
        let leave = life.leave.as_ref().expect("leaves");
        let complete = leave.result == Some(HandOver::Complete) && leave.kills == self.kills;
        let before = self.oracle.tally.lost_with_all_copies;
        self.end(slot, true);
        let lost = self.oracle.tally.lost_with_all_copies - before;
        assert!(
            !complete || lost == 0,
            "{slot} handed everything over, and {lost} acknowledged values went with it"
        );
        self.oracle.tally.left += 1;
        self.oracle.tally.left_whole += u64::from(complete);
    }
}
