//! What may be seen of the claims.

use std::net::IpAddr;

use tokio::time::Instant;
use uuid::Uuid;

use crate::claim::conversation::ClaimFields;
use crate::claim::core::Standing;

/// One slot of ours, as it shows itself on its HTTP port.
#[derive(Debug)]
pub(super) struct SlotView {
    pub(super) node_id: String,
    pub(super) generation: u64,
    pub(super) claim: ClaimFields,
    pub(super) claimed_ports: Vec<u16>,
}

/// A slot that is held for a claimant of this process.
#[derive(Clone, Debug)]
pub struct OwnClaim {
    /// Index of the slot.
    pub slot: u16,
    /// Whose it is.
    pub uuid: Uuid,
    /// How firm the claim is. Nothing while the claimant has to leave the slot.
    pub standing: Option<Standing>,
    /// Since when that is so.
    pub since: Instant,
}

/// A slot that somebody else in the domain is believed to hold.
#[derive(Clone, Debug)]
pub struct OtherClaim {
    /// Index of the slot.
    pub slot: u16,
    /// Who holds it.
    pub uuid: Uuid,
    /// How firm the claim is.
    pub standing: Standing,
    /// The host on which it was found.
    pub host: Option<IpAddr>,
}
