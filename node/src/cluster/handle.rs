//! The handle that HTTP calls.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use repram_discovery::supervised::SupervisorMessage;
use tokio::sync::mpsc;

use super::RefillView;
use super::{ClusterConfig, ClusterCounters, GetOutcome, KeysOutcome, PeerView, PutOutcome};
use crate::store::Store;

/// Why a cluster could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A gossip socket could not be used.
    #[error("gossip socket could not be used")]
    Socket(#[source] std::io::Error),
}

/// A handle to the cluster: cheap to clone, usable from every thread.
#[derive(Clone)]
pub struct Cluster {
    store: Arc<Store>,
}

impl Cluster {
    /// Starts membership, streams and coordination on the current runtime.
    ///
    /// # Errors
    /// When a socket cannot be handed to the runtime.
    pub async fn start(
        _config: ClusterConfig,
        store: Arc<Store>,
        _gossip_tcp: std::net::TcpListener,
        _gossip_udp: std::net::UdpSocket,
        _siblings: Option<mpsc::Receiver<SupervisorMessage>>,
    ) -> Result<Self, StartError> {
        Ok(Self { store })
    }

    /// Writes a value. `ttl_s` is already clamped.
    pub async fn put(&self, _key: Bytes, _value: Bytes, _ttl_s: u32) -> PutOutcome {
        PutOutcome::Unavailable
    }

    /// Reads a value.
    pub async fn get(&self, _key: &Bytes) -> GetOutcome {
        GetOutcome::Unknown
    }

    /// Lists live keys in byte order: at most `limit` that start with `prefix`
    /// and come after `after`.
    pub async fn keys(&self, _prefix: Bytes, _after: Option<Bytes>, _limit: usize) -> KeysOutcome {
        KeysOutcome::Unknown
    }

    /// The other members, in order of UUID.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerView> {
        Vec::new()
    }

    /// Waits until the first discovery round is over and every member found is
    /// joined: from then on the node may say that it is ready.
    pub async fn joined(&self) {}

    /// Each discovery source and its last round, as JSON for
    /// `/cluster/discovery/health`.
    #[must_use]
    pub fn discovery_report(&self) -> Vec<repram_discovery::peers::Report> {
        Vec::new()
    }

    /// Progress of the refill.
    #[must_use]
    pub fn refill(&self) -> RefillView {
        RefillView::default()
    }

    /// Counters since the start.
    #[must_use]
    pub fn counters(&self) -> ClusterCounters {
        ClusterCounters::default()
    }

    /// Tells the peers that this node leaves and ends all tasks, within
    /// `within`.
    pub async fn leave(&self, _within: Duration) {
        let _ = &self.store;
    }
}
