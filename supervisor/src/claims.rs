//! Who holds which slot, as `supervisor claims` and the control API show it.

use std::net::IpAddr;

use jiff::Timestamp;
use repram_config::ClaimScope;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Version of the JSON that `claims --json` prints; it grows when a field is renamed,
/// removed or changes its meaning, not when one is added.
pub const CLAIMS_SCHEMA: u32 = 1;

/// The whole range at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Claims {
    /// Version of this form: [`CLAIMS_SCHEMA`].
    pub schema: u32,
    /// Among whom ports are unique.
    pub scope: Scope,
    /// The domain that is shared.
    pub domain: String,
    /// Every slot of the range, ascending.
    pub slots: Vec<SlotClaim>,
}

/// Among whom ports are unique.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// The processes of one network namespace.
    Host,
    /// All hosts of the domain.
    Domain,
}

/// One slot, and everybody who was found on it. In scope `domain` there may be somebody on
/// several hosts for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SlotClaim {
    /// Its index, from 0.
    pub slot: u16,
    /// HTTP port.
    pub http_port: u16,
    /// Gossip port, TCP and UDP.
    pub gossip_port: u16,
    /// Who holds it; nobody when it is free.
    pub holders: Vec<SlotHolder>,
}

/// Somebody who holds a slot, or a socket of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum SlotHolder {
    /// A node of this supervisor.
    Ours {
        /// Its name.
        node: String,
        /// Its identity.
        uuid: Uuid,
        /// How firm the claim is.
        standing: Standing,
        /// Since when it is so.
        since: Timestamp,
    },
    /// A node of somebody else, or who claims the slot for one.
    Peer {
        /// The name that it gives itself.
        node: Option<String>,
        /// Its identity.
        uuid: Uuid,
        /// The host on which it answers; none when that is this one.
        host: Option<IpAddr>,
        /// How firm the claim is.
        standing: Standing,
        /// Since when it runs, if it says so.
        since: Option<Timestamp>,
    },
    /// A program of this host that is no node.
    Stranger {
        /// The first socket of the slot that it has.
        socket: Socket,
        /// Its port.
        port: u16,
        /// Process id.
        pid: u32,
        /// Command line.
        command: String,
        /// The user that it runs as.
        uid: u32,
    },
    /// A process of this host that the kernel does not show us.
    Unseen {
        /// The first socket of the slot that it has.
        socket: Socket,
        /// Its port.
        port: u16,
        /// The user that it runs as.
        uid: u32,
    },
}

/// How firm a claim is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// A node may run there.
    Settled,
    /// Held for the time being, until the domain has had its say.
    Tentative,
    /// A stronger claim has it, and the node is on its way out.
    Leaving,
}

/// A socket of a slot.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Socket {
    /// HTTP, TCP.
    Http,
    /// Gossip, TCP.
    Gossip,
    /// Gossip, UDP.
    GossipUdp,
}

impl Standing {
    /// The word as it is shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Settled => "settled",
            Self::Tentative => "tentative",
            Self::Leaving => "leaving",
        }
    }
}

impl Socket {
    /// The socket in words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "HTTP",
            Self::Gossip => "gossip",
            Self::GossipUdp => "gossip UDP",
        }
    }
}

impl From<ClaimScope> for Scope {
    fn from(scope: ClaimScope) -> Self {
        match scope {
            ClaimScope::Host => Self::Host,
            ClaimScope::Domain => Self::Domain,
        }
    }
}
