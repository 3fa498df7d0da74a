//! One claimant of this process.

use std::collections::BTreeMap;
use std::time::Duration;

use super::candidates::Candidates;
use super::event::Newcomer;
use super::message::Standing;

/// Where a claimant stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// It has no slot and goes through the candidates.
    Seeking,
    /// It holds a slot that it may still lose without harm.
    Tentative {
        /// The slot.
        slot: u16,
        /// The age of the claim, see [`super::Stamp`].
        sequence: u64,
        /// When it becomes settled.
        settles_at: Duration,
        /// When the claim is announced next.
        repeats_at: Duration,
    },
    /// It holds a slot, and a node may run there.
    Settled {
        /// The slot.
        slot: u16,
        /// The age of the claim.
        sequence: u64,
        /// When the claim is announced next; never within one host.
        repeats_at: Option<Duration>,
    },
    /// A pass over all slots found none; the second one follows.
    Pausing {
        /// When it does.
        until: Duration,
    },
    /// The second pass found none either.
    NoPort {
        /// When it tries again.
        until: Duration,
    },
}

impl Stage {
    /// The slot that is claimed, and how firmly.
    #[must_use]
    pub fn held(&self) -> Option<(u16, Standing)> {
        match *self {
            Self::Tentative { slot, .. } => Some((slot, Standing::Tentative)),
            Self::Settled { slot, .. } => Some((slot, Standing::Settled)),
            Self::Seeking | Self::Pausing { .. } | Self::NoPort { .. } => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Own {
    pub(super) stage: Stage,
    pub(super) candidates: Candidates,
    /// Place in the order in which claimants choose.
    pub(super) order: u64,
    pub(super) start: u16,
    /// How many passes over the slots found none since it last tried from scratch.
    pub(super) passes: u32,
    /// Whether the last thing that others heard of it was a claim.
    pub(super) announced: bool,
    /// Slots that it lost after they were settled, and until when it may stay there.
    pub(super) leaving: BTreeMap<u16, Duration>,
}

impl Own {
    pub(super) fn new(newcomer: Newcomer, slots: u16, order: u64) -> Self {
        Self {
            stage: Stage::Seeking,
            candidates: Candidates::new(slots, newcomer.last_slot, newcomer.start),
            order,
            start: newcomer.start,
            passes: 0,
            announced: false,
            leaving: BTreeMap::new(),
        }
    }
}
