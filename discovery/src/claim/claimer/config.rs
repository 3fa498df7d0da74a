//! What a claimer needs to know.

use std::net::IpAddr;
use std::sync::Arc;

use uuid::Uuid;

use crate::addresses::DomainAddresses;
use crate::auth::ClusterKeys;
use crate::claim::core::Timing;
use crate::public_ports::PublicPorts;
use crate::slot::PortRange;

/// What a claimer needs to know from the beginning.
#[derive(Debug)]
pub struct ClaimerConfig {
    /// The range that the domain shares.
    pub range: PortRange,
    /// The public numbers of its ports, by which other hosts are spoken to.
    pub ports: PublicPorts,
    /// Where slots are bound, and whence others are spoken to.
    pub bind: IpAddr,
    /// How long things take.
    pub timing: Timing,
    /// See [`crate::claim::core::Config::incarnation`].
    pub incarnation: u64,
    /// The keys of the network; without them everybody is believed who can be asked back.
    pub keys: Option<ClusterKeys>,
    /// Where the hosts of the domain are.
    pub addresses: Arc<DomainAddresses>,
    /// What the nodes say of themselves.
    pub about: About,
}

/// What `GET /health` tells of every node alike.
#[derive(Clone, Debug)]
pub struct About {
    /// The domain.
    pub domain: String,
    /// The network.
    pub network: String,
    /// The enclave.
    pub enclave: String,
}

/// A node for which a slot is wanted.
#[derive(Clone, Debug)]
pub struct Applicant {
    /// Its human name.
    pub node_id: String,
    /// Its identity.
    pub uuid: Uuid,
    /// Number of its latest start; 0 before the first.
    pub generation: u64,
    /// Index of the slot that it had before.
    pub last_slot: Option<u16>,
    /// Index of the slot from which it looks upwards otherwise, see
    /// [`crate::claim::core::Newcomer::start`].
    pub start: u16,
}
