//! The sentences of the protocol, as properties of one moment.

use std::collections::{BTreeMap, BTreeSet};

use repram_discovery::claim::core::{
    CLAIM_REFRESH, Claim, Input, MOVE_TIMEOUT, Message, Output, Stage, Timer,
};
use stateright::Property;
use uuid::Uuid;

use crate::domain::{Contact, Domain, NOW, State};
use crate::expected::{Party, assignment};
use crate::fair;

/// What holds however slow messages are and whoever crashes.
pub(crate) fn always() -> Vec<Property<Domain>> {
    vec![
        Property::always(
            "safety: within a host always, by the kernel",
            |_, state: &State| state.hosts().all(|(_, host)| host.is_consistent()),
        ),
        Property::always(
            "safety: once two live claimants of one port can exchange messages again, within two \
             refreshes the losing one has begun to yield",
            |_, state| losers_yield(state),
        ),
        Property::always(
            "safety: within MOVE_TIMEOUT more its slot is closed",
            |_, state| left_slots_close(state),
        ),
        Property::always(
            "liveness: under fair loss, claimants settle in bounded rounds as long as they are \
             no more than the slots free of strangers on every host",
            fair::settles,
        ),
    ]
}

/// What the exploration of [`always`] has to come by, or it is worth nothing.
pub(crate) fn reached() -> Vec<Property<Domain>> {
    vec![
        Property::sometimes("a port is settled twice", |_, state| settled_twice(state)),
        Property::sometimes("a settled claimant yields", |_, state: &State| {
            state
                .hosts()
                .any(|(_, host)| host.core.leaving().count() > 0)
        }),
    ]
}

/// What a whole move and a search in vain look like.
pub(crate) fn reached_with_patience() -> Vec<Property<Domain>> {
    vec![
        Property::sometimes("a claimant settles elsewhere", |_, state: &State| {
            state.hosts().any(|(_, host)| {
                let mut leaving = host.core.leaving();
                leaving.any(|(uuid, ..)| is_settled(host.core.stage(uuid)))
            })
        }),
        Property::sometimes("a claimant finds no port", |_, state: &State| {
            let mut stages = state.hosts().flat_map(|(_, host)| host.core.stages());
            stages.any(|(_, stage)| matches!(stage, Stage::NoPort { .. }))
        }),
    ]
}

/// What holds while messages are faster than claims settle.
pub(crate) fn in_contact() -> Vec<Property<Domain>> {
    vec![
        Property::always(
            "safety: unless they lose contact again no port is settled twice",
            |_, state: &State| !matches!(state.contact, Contact::Held { relapsed: true, .. }),
        ),
        Property::sometimes(
            "contact begins while a port is settled twice",
            |_, state: &State| state.contact != Contact::Lost && settled_twice(state),
        ),
        Property::sometimes("two claims settle in contact", |_, state: &State| {
            let settled = state.settled().count();
            matches!(&state.contact, Contact::Held { .. } if settled == 2)
        }),
    ]
}

/// What holds until the first claim settles.
pub(crate) fn before_settling() -> Vec<Property<Domain>> {
    vec![
        Property::always(
            "determinism: in every run with at most one supervisor per host in which no claim \
             settles before the last change of slot, the final assignment is a function of the \
             UUIDs, last slots, claims settled before and each host's strangers, whatever the \
             order, losses and repeats of messages",
            |domain, state| !fair::is_final(state) || is_expected(domain, state),
        ),
        Property::sometimes("an assignment is final", |_, state| fair::is_final(state)),
    ]
}

fn is_settled(stage: Option<&Stage>) -> bool {
    matches!(stage, Some(Stage::Settled { .. }))
}

fn settled_twice(state: &State) -> bool {
    let mut seen = BTreeSet::new();
    state.settled().any(|(_, claim)| !seen.insert(claim.slot))
}

/// Of every two settled claims to one slot, both are refreshed in time, and whichever
/// refresh gets through first, with its answer, makes the loser begin to yield.
fn losers_yield(state: &State) -> bool {
    let settled: Vec<(usize, Claim)> = state.settled().collect();
    let meet =
        |winner: &Claim, loser: &Claim| winner.slot == loser.slot && winner.uuid < loser.uuid;
    settled.iter().all(|winner| {
        let losers = settled.iter().filter(|loser| meet(&winner.1, &loser.1));
        losers.into_iter().all(|loser| {
            is_refreshed(state, winner)
                && is_refreshed(state, loser)
                && yields(state, loser, Message::Announce(winner.1))
                && answers(state, winner, loser.1)
                && yields(state, loser, Message::Conflict(winner.1))
        })
    })
}

fn is_refreshed(state: &State, &(i, claim): &(usize, Claim)) -> bool {
    state
        .hosts()
        .filter(|(other, _)| *other == i)
        .any(|(_, host)| {
            let mut timers = host.core.timers();
            timers
                .any(|(at, timer)| timer == Timer::Repeat(claim.uuid) && at <= NOW + CLAIM_REFRESH)
        })
}

fn yields(state: &State, &(i, loser): &(usize, Claim), message: Message) -> bool {
    let expect = Output::Yield {
        uuid: loser.uuid,
        slot: loser.slot,
        until: NOW + MOVE_TIMEOUT,
    };
    upon(state, i, message).contains(&expect)
}

fn answers(state: &State, &(i, winner): &(usize, Claim), loser: Claim) -> bool {
    let said = upon(state, i, Message::Announce(loser));
    let expect = Message::Conflict(winner);
    said.iter()
        .any(|output| matches!(output, Output::Send { message, .. } if *message == expect))
}

fn upon(state: &State, i: usize, message: Message) -> Vec<Output> {
    let mut host = state.places[i].running.clone().expect("it has a claim");
    host.handle(Input::Received(message), NOW)
}

/// Whoever leaves a slot holds it until then, and no longer than MOVE_TIMEOUT.
fn left_slots_close(state: &State) -> bool {
    state.hosts().all(|(_, host)| {
        host.core.leaving().all(|(uuid, slot, until)| {
            let mut later = host.clone();
            later.ring(Timer::Close(uuid, slot), NOW);
            until <= NOW + MOVE_TIMEOUT && host.holds(slot) && !later.holds(slot)
        })
    })
}

pub(crate) fn is_expected(domain: &Domain, state: &State) -> bool {
    let parties: Vec<Party> = state
        .places
        .iter()
        .flat_map(|place| {
            place.claimants.iter().map(|&newcomer| Party {
                newcomer,
                settled: state.before.get(&newcomer.uuid).copied(),
                strangers: place.strangers.clone(),
            })
        })
        .collect();
    let found: BTreeMap<Uuid, Option<u16>> = state
        .hosts()
        .flat_map(|(_, host)| host.core.stages())
        .map(|(uuid, stage)| (uuid, stage.held().map(|(slot, _)| slot)))
        .collect();
    found == assignment(domain.slots, &parties)
}
