//! What the cluster shows of itself: peers, counters, progress of the refill.

use std::net::SocketAddr;

use uuid::Uuid;

/// What this node thinks of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PeerState {
    /// Answers.
    Alive,
    /// Does not answer, but still counts as a member until it is known dead or
    /// has been unreachable for too long.
    Unreachable,
    /// Known dead, or unreachable for too long: it no longer counts.
    Dead,
    /// Said that it leaves.
    Left,
}

impl PeerState {
    /// The state as the APIs spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Unreachable => "unreachable",
            Self::Dead => "dead",
            Self::Left => "left",
        }
    }
}

/// One peer, as `/peers` and `/topology` show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerView {
    /// Human name.
    pub node_id: String,
    /// Identity.
    pub uuid: Uuid,
    /// Count of its starts, as last heard.
    pub generation: u64,
    /// Where its HTTP API is, as seen from here.
    pub http: SocketAddr,
    /// Where its gossip port is, as seen from here.
    pub gossip: SocketAddr,
    /// Its enclave.
    pub enclave: String,
    /// What this node thinks of it.
    pub state: PeerState,
    /// When it was last heard of, in milliseconds since the Unix epoch.
    pub last_seen_unix_ms: u64,
}

/// What became of the values of a node that leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandOver {
    /// Whoever stays has all that it should hold.
    Complete,
    /// So many values were not taken over in time by somebody who should hold them.
    Incomplete(u64),
    /// So many values end with this node, and those that leave with it.
    NobodyStays(u64),
}

/// How far the refill after a start is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RefillView {
    /// Members that still have to say that they sent all they have for us.
    pub waiting_for: usize,
    /// Entries received so far.
    pub entries: u64,
    /// Bytes of keys and values received so far.
    pub bytes: u64,
}

impl RefillView {
    /// Whether this node answers for its keys on its own.
    #[must_use]
    pub const fn complete(&self) -> bool {
        self.waiting_for == 0
    }
}

/// Counters since the start, for `/metrics` and `/status`. All but those that
/// say otherwise only grow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterCounters {
    /// Named counters: (metric name without prefix, help, value).
    pub values: Vec<(&'static str, &'static str, u64)>,
}
