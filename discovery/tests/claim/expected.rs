//! What the rules of a domain lead to, said in the simplest way.

use std::collections::{BTreeMap, BTreeSet};

use repram_discovery::claim::core::{Candidates, Newcomer};
use uuid::Uuid;

/// Everything that the final assignment may depend on, for one claimant.
#[derive(Clone, Debug)]
pub(crate) struct Party {
    pub(crate) newcomer: Newcomer,
    /// The slot where its claim was settled before the run.
    pub(crate) settled: Option<u16>,
    /// The slots that strangers hold on its host.
    pub(crate) strangers: BTreeSet<u16>,
}

/// Claims that are settled stay, of several to one slot that of the lowest UUID. Then,
/// from the lowest UUID on, each gets its best candidate that is left.
pub(crate) fn assignment(slots: u16, parties: &[Party]) -> BTreeMap<Uuid, Option<u16>> {
    let mut parties: Vec<&Party> = parties.iter().collect();
    parties.sort_by_key(|party| party.newcomer.uuid);
    let mut assigned = BTreeMap::new();
    let mut taken = BTreeSet::new();
    for party in &parties {
        if let Some(slot) = party.settled.filter(|&slot| taken.insert(slot)) {
            assigned.insert(party.newcomer.uuid, Some(slot));
        }
    }
    for party in &parties {
        assigned.entry(party.newcomer.uuid).or_insert_with(|| {
            let first_choice = party.settled.or(party.newcomer.last_slot);
            Candidates::new(slots, first_choice, party.newcomer.start)
                .find(|slot| !party.strangers.contains(slot) && taken.insert(*slot))
        });
    }
    assigned
}
