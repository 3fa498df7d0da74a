//! Properties of domains that are too large to explore, on random samples.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use repram_discovery::claim::core::{Message, Newcomer, Timer};
use stateright::Model as _;
use uuid::Uuid;

use crate::domain::{Action, Domain, Place, State};
use crate::simulation::{Draw, draw, plan_trouble};
use crate::world::{Event, Network, World};
use crate::{fair, laws};

/// A domain of up to 6 hosts with up to 3 claimants each.
#[derive(Clone, Debug)]
struct Setting {
    slots: u16,
    hosts: Vec<(Vec<Newcomer>, BTreeSet<u16>)>,
    before: BTreeMap<Uuid, u16>,
}

fn newcomer(slots: u16) -> impl Strategy<Value = (Newcomer, bool)> {
    let last_slot = prop::option::of(0..slots);
    (any::<u128>(), last_slot, 0..slots, any::<bool>()).prop_map(
        |(uuid, last_slot, start, settled)| {
            let newcomer = Newcomer {
                uuid: Uuid::from_u128(uuid),
                last_slot,
                start,
            };
            (newcomer, settled)
        },
    )
}

fn setting() -> impl Strategy<Value = Setting> {
    (2u16..12).prop_flat_map(|slots| {
        let strangers = prop::collection::btree_set(0..slots, 0..2);
        let host = (prop::collection::vec(newcomer(slots), 1..4), strangers);
        prop::collection::vec(host, 2..7).prop_map(move |hosts| {
            let mut before = BTreeMap::new();
            for (claimants, strangers) in &hosts {
                let mut used = strangers.clone();
                for (claimant, settled) in claimants {
                    let slot = claimant.last_slot.filter(|_| *settled);
                    if let Some(slot) = slot.filter(|&slot| used.insert(slot)) {
                        before.insert(claimant.uuid, slot);
                    }
                }
            }
            let without_flags = |(claimants, strangers): (Vec<(Newcomer, bool)>, _)| {
                let claimants = claimants.into_iter().map(|(claimant, _)| claimant);
                (claimants.collect(), strangers)
            };
            Setting {
                slots,
                hosts: hosts.into_iter().map(without_flags).collect(),
                before,
            }
        })
    })
}

impl Setting {
    fn domain(&self) -> (Domain, State) {
        let hosts = self.hosts.iter().cloned();
        let places = hosts.map(|(claimants, strangers)| Place::new(claimants, strangers));
        let state = State::new(places.collect(), 0).started(self.slots, self.before.clone());
        let domain = Domain {
            slots: self.slots,
            starts: Vec::new(),
            statements: usize::MAX,
            forgetful: false,
            settling: false,
            healing: false,
            properties: Vec::new,
        };
        (domain, state)
    }
}

/// Goes on until nothing changes any more: everybody hears what is true, and whoever has no
/// slot tries again.
fn finish(slots: u16, state: &mut State) {
    while !fair::is_final(state) {
        for listener in 0..state.places.len() {
            let claims: Vec<_> = state.claims().filter(|(i, _)| *i != listener).collect();
            for (_, claim) in claims {
                state.apply(slots, &Action::Hear(listener, Message::Announce(claim)));
            }
            let host = state.places[listener].running.iter();
            let timers: Vec<Timer> = host
                .flat_map(|host| host.core.timers().map(|(_, timer)| timer))
                .filter(|timer| matches!(timer, Timer::Retry(_) | Timer::Close(..)))
                .collect();
            for timer in timers {
                state.apply(slots, &Action::Ring(listener, timer));
            }
        }
    }
}

proptest! {
    #[test]
    fn the_assignment_does_not_depend_on_order_losses_and_repeats(
        setting in setting(),
        choices in prop::collection::vec(any::<prop::sample::Index>(), 0..200),
    ) {
        let (domain, mut state) = setting.domain();
        for choice in choices {
            let mut actions = Vec::new();
            domain.actions(&state, &mut actions);
            if !actions.is_empty() {
                state.apply(setting.slots, choice.get(&actions));
            }
        }
        finish(setting.slots, &mut state);
        prop_assert!(laws::is_expected(&domain, &state), "{state:#?}");
    }

    /// The world asserts the laws after every event; here it runs the same luck with slower
    /// and slower messages, up to minutes late.
    #[test]
    fn slower_messages_never_break_safety(seed: u64, slowness in 0u32..18) {
        let mut rng = fastrand::Rng::with_seed(seed);
        let Draw { slots, machines } = draw(&mut rng, 2..6);
        let network = Network {
            delay_max: Duration::from_millis(1 << slowness),
            loss: 0.0,
            doubling: 0.1,
            met_only: rng.bool(),
        };
        let mut world = World::new(slots, machines, network, rng.fork(), false);
        for host in 0..world.machines.len() {
            world.plan(Duration::from_millis(rng.u64(..5000)), Event::Start(host));
        }
        plan_trouble(&mut world, &mut rng);
        while world.step(Duration::from_secs(180)) {}
    }
}
