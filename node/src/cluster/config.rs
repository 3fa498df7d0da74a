//! What a cluster handle is built from.

use std::net::SocketAddr;
use std::time::Duration;

use repram_config::ReplicationFactor;
use repram_discovery::auth::ClusterKeys;
use repram_discovery::fetch::Fetch;
use repram_discovery::own_address::OwnAddress;
use repram_discovery::peers::{PeerSource, SiblingPorts};
use repram_discovery::public_ports::PublicPorts;
use uuid::Uuid;

/// Who this node is, as its peers are told.
#[derive(Clone, Debug)]
pub struct Me {
    /// Human name, at most 64 bytes; longer ones are cut at a character.
    pub node_id: String,
    /// Identity that survives restarts.
    pub uuid: Uuid,
    /// Count of this node's starts.
    pub generation: u64,
    /// HTTP address that peers are told: the resolved NODE_ADDRESS and the
    /// public port.
    pub http: SocketAddr,
    /// Gossip address (TCP and UDP) that peers are told.
    pub gossip: SocketAddr,
    /// Enclave: values are kept within it. At most 64 bytes, as `node_id`.
    pub enclave: String,
    /// Network name; together with `domain` it separates networks that share
    /// addresses or secrets.
    pub network: String,
    /// The domain that all nodes share.
    pub domain: String,
}

/// Everything a [`Cluster`](super::Cluster) needs besides its sockets.
#[derive(Debug)]
pub struct ClusterConfig {
    /// Who this node is.
    pub identity: Me,
    /// Secrets of the gossip network; without them the node runs open.
    pub keys: Option<ClusterKeys>,
    /// Copies of a value.
    pub replication_factor: ReplicationFactor,
    /// Wait for the write quorum before a write answers
    /// [`Pending`](super::PutOutcome::Pending).
    pub write_timeout: Duration,
    /// Where candidates for peers come from, asked in rounds.
    pub sources: Vec<Box<dyn PeerSource>>,
    /// Our own address, and where it is asked for.
    pub address: AddressConfig,
    /// Kept at the HTTP ports of the siblings that the supervisor names, for sources that
    /// need not ask them.
    pub sibling_ports: SiblingPorts,
}

/// Where other hosts reach this node, and how that is found out.
#[derive(Clone, Debug)]
pub struct AddressConfig {
    /// The address. [`Me`] has what it was when the node was built.
    pub own: OwnAddress,
    /// The public numbers of the ports, the same on all hosts.
    pub ports: PublicPorts,
    /// The service that is asked for the address, and how often.
    pub hostinfo: Option<(Fetch, Duration)>,
}
