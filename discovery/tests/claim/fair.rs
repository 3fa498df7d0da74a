//! How a run goes on when messages get through often enough.

use std::collections::BTreeSet;

use repram_discovery::claim::core::{Claim, Input, Message, Stage, Standing, Timer};
use uuid::Uuid;

use crate::domain::{Action, Domain, NOW, State};

/// In how many rounds claimants settle, whatever happened before. A round is one
/// announcement of every claim.
pub(crate) const ROUNDS: u32 = 40;

/// Whether, from here on, as many claimants settle as there are slots free of strangers on
/// every host, or all of them, each on a slot of its own, in bounded rounds.
///
/// The loss is fair: in every round half of the messages are lost, and in the next one the
/// other half. Only who holds the same slot hears of a claim. Nobody crashes any more. A
/// timer rings when nothing else happens.
pub(crate) fn settles(domain: &Domain, state: &State) -> bool {
    let mut state = state.clone();
    let mut quiet = 0;
    for round in 0..ROUNDS {
        if is_settled(domain, &state) {
            return true;
        }
        let before = state.clone();
        exchange(domain.slots, &mut state, round);
        quiet = if state == before { quiet + 1 } else { 0 };
        // After two quiet rounds everybody has heard everything.
        if quiet == 2 {
            ring_all(domain.slots, &mut state);
            quiet = 0;
        }
    }
    false
}

fn is_settled(domain: &Domain, state: &State) -> bool {
    let settled: Vec<u16> = state.settled().map(|(_, claim)| claim.slot).collect();
    let distinct: BTreeSet<u16> = settled.iter().copied().collect();
    let done = state.claims().count() == settled.len()
        && state
            .hosts()
            .all(|(_, host)| host.core.leaving().count() == 0);
    let running = state.places.iter().filter(|place| place.running.is_some());
    let wanted: usize = running.clone().map(|place| place.claimants.len()).sum();
    let strangers: BTreeSet<u16> = running.flat_map(|p| p.strangers.iter().copied()).collect();
    let free = usize::from(domain.slots) - strangers.len();
    done && distinct.len() == settled.len() && settled.len() >= wanted.min(free)
}

fn exchange(slots: u16, state: &mut State, round: u32) {
    for speaker in 0..state.places.len() {
        for listener in 0..state.places.len() {
            let lost = (speaker + 2 * listener + round as usize) % 2 == 1;
            if speaker == listener || lost || state.places[listener].running.is_none() {
                continue;
            }
            let claims: Vec<_> = state.claims().filter(|(i, _)| *i == speaker).collect();
            for (_, claim) in claims {
                let met = |(i, other): (usize, Claim)| i == listener && other.slot == claim.slot;
                if state.claims().any(met) {
                    state.apply(slots, &Action::Hear(listener, Message::Announce(claim)));
                }
            }
        }
    }
}

/// Lets every timer ring that clocks let ring by now: what is repeated does not expire.
fn ring_all(slots: u16, state: &mut State) {
    let repeated: BTreeSet<Uuid> = state.claims().map(|(_, claim)| claim.uuid).collect();
    for i in 0..state.places.len() {
        let armed = |state: &State| -> Vec<Timer> {
            let host = state.places[i].running.iter();
            host.flat_map(|host| host.core.timers().map(|(_, timer)| timer))
                .collect()
        };
        for timer in armed(state) {
            let rings = match timer {
                Timer::Repeat(_) => false,
                Timer::Expire(uuid) => !repeated.contains(&uuid),
                Timer::Settle(_) | Timer::Close(..) | Timer::Retry(_) => true,
            };
            if rings && armed(state).contains(&timer) {
                state.apply(slots, &Action::Ring(i, timer));
            }
        }
    }
}

/// Whether no message that is true now changes a slot any more, and nobody who has none
/// finds one.
pub(crate) fn is_final(state: &State) -> bool {
    state.hosts().all(|(i, host)| {
        let mut later = host.clone();
        for (_, claim) in state.claims().filter(|(other, _)| *other != i) {
            later.handle(Input::Received(Message::Announce(claim)), NOW);
        }
        let leaving: Vec<_> = later.core.leaving().collect();
        for (uuid, slot, _) in leaving {
            later.handle(Input::Vacated { uuid, slot }, NOW);
        }
        let without: Vec<Uuid> = later
            .core
            .stages()
            .filter(|(_, stage)| matches!(stage, Stage::Pausing { .. } | Stage::NoPort { .. }))
            .map(|(uuid, _)| uuid)
            .collect();
        for uuid in without {
            later.ring(Timer::Retry(uuid), NOW);
        }
        let held = |host: &crate::host::Host<_>| -> Vec<(Uuid, Option<(u16, Standing)>)> {
            host.core
                .stages()
                .map(|(uuid, stage)| (uuid, stage.held()))
                .collect()
        };
        held(host) == held(&later)
    })
}
