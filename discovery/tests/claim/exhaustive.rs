//! Every order in which things can happen to three claimants on two and three slots.
//!
//! `REPRAM_CLAIM_MODEL=long` explores more: some ten million states, in about half an hour.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::iter::once;
use std::time::Instant;

use stateright::{Checker, Expectation, HasDiscoveries, Model, Path, Property};

use crate::domain::{Action, Domain, Place, State, claimant};
use crate::laws;

/// Unless something else is said.
const CLAIMANTS: u8 = 3;

fn long() -> bool {
    std::env::var("REPRAM_CLAIM_MODEL").is_ok_and(|mode| mode == "long")
}

/// Explores `domain` to its end and says how large it was.
fn explore(name: &str, domain: Domain) {
    let began = Instant::now();
    // One thread, because tests run side by side anyway.
    let builder = domain.checker().finish_when(HasDiscoveries::AnyFailures);
    if long() {
        // Depth first needs a fraction of the memory.
        report(name, began, &builder.spawn_dfs().join());
    } else {
        // Breadth first finds the shortest way to a failure.
        report(name, began, &builder.spawn_bfs().join());
    }
}

fn report(name: &str, began: Instant, checker: &impl Checker<Domain>) {
    let mut report = format!(
        "{name}: {} states, {} transitions from {} starts, depth {}, {:.0?}\n",
        checker.unique_state_count(),
        checker.state_count(),
        checker.model().starts.len(),
        checker.max_depth(),
        began.elapsed(),
    );
    let mut discoveries = checker.discoveries();
    for Property {
        name, expectation, ..
    } in checker.model().properties()
    {
        let word = match (expectation, discoveries.remove(name)) {
            (Expectation::Always | Expectation::Eventually, None) => "holds",
            (Expectation::Sometimes, Some(_)) => "occurs",
            (Expectation::Sometimes, None) => panic!("never occurs: {name}"),
            (Expectation::Always | Expectation::Eventually, Some(path)) => {
                panic!("does not hold: {name}\n{}", story(path))
            }
        };
        report += &format!("  {word}: {name}\n");
    }
    // Past the capture of the test harness, because it belongs to the result.
    let _ = std::io::stderr().write_all(report.as_bytes());
}

/// What happened, and what it led to in the end.
fn story(path: Path<State, Action>) -> String {
    let steps = path.into_vec().into_iter();
    let lines = steps.map(|(state, action)| match action {
        Some(action) => format!("{action:?}\n"),
        None => format!("{state:#?}\n"),
    });
    lines.collect()
}

/// One claimant on each host, all of them down, no history.
fn blank(claimants: u8, crashes: u8) -> Vec<State> {
    let places = (0..claimants).map(|number| {
        let claimant = claimant(number, None, 0);
        Place::new(vec![claimant], BTreeSet::new())
    });
    vec![State::new(places.collect(), crashes)]
}

fn anything_goes(slots: u16) -> Domain {
    Domain {
        slots,
        starts: blank(CLAIMANTS, 1),
        statements: if long() { 4 } else { 3 },
        forgetful: false,
        settling: true,
        healing: false,
        properties: || [laws::always(), laws::reached()].concat(),
    }
}

#[test]
fn three_on_two_slots_with_a_crash_and_a_return() {
    explore("three on two slots, one crash", anything_goes(2));
}

#[test]
fn three_on_three_slots_with_a_crash_and_a_return() {
    explore("three on three slots, one crash", anything_goes(3));
}

#[test]
fn a_stranger_on_one_host() {
    let places = (0..CLAIMANTS).map(|number| {
        let strangers = (number == 0).then_some(0);
        let claimant = claimant(number, None, 0);
        Place::new(vec![claimant], strangers.into_iter().collect())
    });
    let domain = Domain {
        starts: vec![State::new(places.collect(), 0)],
        statements: 4,
        ..anything_goes(3)
    };
    explore("three on three slots, a stranger on the first", domain);
}

#[test]
fn whole_moves_and_searches_in_vain() {
    let domain = Domain {
        starts: blank(CLAIMANTS, 0),
        statements: if long() { 6 } else { 5 },
        properties: || {
            [
                laws::always(),
                laws::reached(),
                laws::reached_with_patience(),
            ]
            .concat()
        },
        ..anything_goes(2)
    };
    explore("three on two slots, whole moves", domain);
}

#[test]
fn claims_that_expire_too_early() {
    let claimants = if long() { 3 } else { 2 };
    let domain = Domain {
        starts: blank(claimants, 1),
        statements: if long() { 3 } else { 6 },
        forgetful: true,
        ..anything_goes(2)
    };
    explore("two slots, claims expire at any time", domain);
}

fn contact_begins(slots: u16, crashes: u8) -> Domain {
    Domain {
        starts: blank(CLAIMANTS, crashes),
        statements: 3,
        healing: true,
        properties: laws::in_contact,
        ..anything_goes(slots)
    }
}

#[test]
fn contact_on_two_slots() {
    explore(
        "three on two slots, contact begins",
        contact_begins(2, u8::from(long())),
    );
}

#[test]
fn contact_on_three_slots() {
    explore(
        "three on three slots, contact begins",
        contact_begins(3, u8::from(long())),
    );
}

/// Everything that a claimant may bring: where it was last, whether its claim there is
/// settled, and which slot of its host a stranger has.
#[derive(Clone)]
struct Luggage {
    last_slot: Option<u16>,
    settled: bool,
    strangers: BTreeSet<u16>,
}

fn luggage(slots: u16, with_strangers: bool) -> Vec<Luggage> {
    let strange = (0..slots)
        .filter(|_| with_strangers)
        .map(|slot| BTreeSet::from([slot]));
    let mut all = Vec::new();
    for strangers in once(BTreeSet::new()).chain(strange) {
        for last_slot in once(None).chain((0..slots).map(Some)) {
            let may_be_settled = last_slot.is_some_and(|slot| !strangers.contains(&slot));
            for settled in once(false).chain(may_be_settled.then_some(true)) {
                all.push(Luggage {
                    last_slot,
                    settled,
                    strangers: strangers.clone(),
                });
            }
        }
    }
    all
}

/// Every combination of what claimants may bring, with one of them on each host.
fn every_start(slots: u16, with_strangers: bool) -> Vec<State> {
    let luggage = luggage(slots, with_strangers);
    let combinations = luggage.len().pow(u32::from(CLAIMANTS));
    (0..combinations)
        .map(|mut combination| {
            let mut before = BTreeMap::new();
            let places = (0..CLAIMANTS).map(|number| {
                let brought = luggage[combination % luggage.len()].clone();
                combination /= luggage.len();
                let claimant = claimant(number, brought.last_slot, 0);
                if let Some(slot) = brought.last_slot.filter(|_| brought.settled) {
                    before.insert(claimant.uuid, slot);
                }
                Place::new(vec![claimant], brought.strangers)
            });
            let places = places.collect();
            State::new(places, 0).started(slots, before)
        })
        .collect()
}

fn undecided(slots: u16, starts: Vec<State>) -> Domain {
    Domain {
        slots,
        starts,
        // Never reached: the whole space is finite.
        statements: usize::MAX,
        forgetful: false,
        settling: false,
        healing: false,
        properties: laws::before_settling,
    }
}

#[test]
fn determinism_on_two_slots() {
    explore(
        "determinism on two slots",
        undecided(2, every_start(2, long())),
    );
}

#[test]
fn determinism_on_three_slots() {
    explore(
        "determinism on three slots",
        undecided(3, every_start(3, false)),
    );
}

/// The claimants of one process settle between themselves by the same rules.
#[test]
fn determinism_with_siblings() {
    let last_slots = || once(None).chain((0..3).map(Some));
    let mut starts = Vec::new();
    for alone in 0..CLAIMANTS {
        for (a, b, c) in last_slots()
            .flat_map(|a| last_slots().flat_map(move |b| last_slots().map(move |c| (a, b, c))))
        {
            let mut siblings: Vec<u8> = (0..CLAIMANTS).collect();
            siblings.retain(|&number| number != alone);
            let siblings = vec![claimant(siblings[0], a, 0), claimant(siblings[1], b, 1)];
            let places = [siblings, vec![claimant(alone, c, 0)]];
            let places = places.map(|claimants| Place::new(claimants, BTreeSet::new()));
            starts.push(State::new(places.into(), 0).started(3, BTreeMap::new()));
        }
    }
    explore("determinism with siblings", undecided(3, starts));
}
