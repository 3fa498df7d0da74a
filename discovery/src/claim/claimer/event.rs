//! What a claimer tells its user.

use tokio::time::Instant;
use uuid::Uuid;

use crate::claim::core::Claim;
use crate::sockets::{SlotSockets, SlotTaken};

/// Something that the user of a claimer has to act on.
#[derive(Debug)]
pub enum ClaimEvent {
    /// A slot is settled: run the node there. When the node runs in a slot that it has to
    /// leave, it moves now.
    Settled {
        /// The claim, whose UUID says whose slot it is.
        claim: Claim,
        /// The sockets of the slot. The claimer goes on answering on the HTTP socket until
        /// it hears [`super::Claimer::hand_over`].
        sockets: SlotSockets,
    },
    /// A stronger claim to a settled slot is known. The node is to leave it as soon as
    /// another slot is settled or there is none; [`super::Claimer::vacated`] says that it
    /// has.
    Yield {
        /// Who must leave.
        uuid: Uuid,
        /// Index of the slot.
        slot: u16,
        /// The last moment for it.
        until: Instant,
    },
    /// There is no slot now. It is tried again without being asked.
    NoPort(Refused),
    /// The time to leave a slot is over: let go of its sockets, whoever still uses them.
    Released {
        /// Index of the slot.
        slot: u16,
    },
}

impl ClaimEvent {
    /// Whom it is about, if it is about a claimant.
    pub(super) fn uuid(&self) -> Option<Uuid> {
        match self {
            Self::Settled { claim, .. } => Some(claim.uuid),
            Self::Yield { uuid, .. } | Self::NoPort(Refused { uuid, .. }) => Some(*uuid),
            Self::Released { .. } => None,
        }
    }
}

/// A claimant that found no slot, and why.
#[derive(Debug)]
pub struct Refused {
    /// Whom there is no slot for.
    pub uuid: Uuid,
    /// The slots that this host could not give when they were tried last, ascending.
    pub tried: Vec<SlotTaken>,
    /// The slots that stronger claims on other hosts have, ascending.
    pub rivals: Vec<Rival>,
}

/// Somebody else in the domain who holds a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rival {
    /// HTTP port of the slot.
    pub port: u16,
    /// Who holds it.
    pub uuid: Uuid,
}
