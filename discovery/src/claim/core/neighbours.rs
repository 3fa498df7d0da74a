//! What is known of the claims of others in the domain.

use std::collections::BTreeMap;
use std::time::Duration;

use uuid::Uuid;

use super::message::{Claim, Rank, Stamp, Standing};

/// How many claimants are remembered. A domain has at most as many as its range has
/// slots, a handful more while they sort themselves out; beyond this number a claim still
/// counts when it is heard, but is not remembered.
pub const NEIGHBOURS_MAX: usize = 4096;

/// The latest statement of every other claimant, until it expires.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Neighbours {
    heard: BTreeMap<Uuid, Heard>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Heard {
    stamp: Stamp,
    /// Nothing after a leave: remembered for its stamp, so that an older claim that comes
    /// late is not believed.
    held: Option<Held>,
    expires_at: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Held {
    slot: u16,
    standing: Standing,
}

impl Neighbours {
    /// Takes note of a statement that is believed until `expires_at`: a claim, or that
    /// the claimant holds nothing. Says false when something newer was known.
    pub(super) fn hear(
        &mut self,
        uuid: Uuid,
        stamp: Stamp,
        claim: Option<&Claim>,
        expires_at: Duration,
    ) -> bool {
        let known = self.heard.get(&uuid);
        if known.is_some_and(|known| stamp < known.stamp) {
            return false;
        }
        if known.is_some() || self.heard.len() < NEIGHBOURS_MAX {
            let held = claim.map(|claim| Held {
                slot: claim.slot,
                standing: claim.standing,
            });
            let heard = Heard {
                stamp,
                held,
                expires_at,
            };
            self.heard.insert(uuid, heard);
        }
        true
    }

    pub(super) fn forget(&mut self, uuid: Uuid) {
        self.heard.remove(&uuid);
    }

    /// Whether somebody holds `slot` who would keep it against `rank`.
    pub(super) fn keep_against(&self, slot: u16, rank: Rank) -> bool {
        self.claims()
            .any(|claim| claim.slot == slot && claim.rank() < rank)
    }

    /// All claims that are believed, in the order of UUIDs.
    pub(super) fn claims(&self) -> impl Iterator<Item = Claim> {
        self.heard.iter().filter_map(|(&uuid, heard)| {
            heard.held.as_ref().map(|held| Claim {
                uuid,
                slot: held.slot,
                standing: held.standing,
                stamp: heard.stamp,
            })
        })
    }

    /// When what was heard of each claimant expires.
    pub(super) fn expiries(&self) -> impl Iterator<Item = (Duration, Uuid)> {
        self.heard
            .iter()
            .map(|(&uuid, heard)| (heard.expires_at, uuid))
    }
}
