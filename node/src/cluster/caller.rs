//! Asking over the gossip port who is at home.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use repram_discovery::claim::conversation::{CallBack, CallFuture};
use repram_discovery::peers::{HealthAnswer, HealthStatus};

use crate::membership::Identity;
use crate::stream::Shared;

/// How long whoever is called may take to greet back. The one who is called has just spoken,
/// so it is there; and nobody waits for longer than this anyway.
const GREET_WITHIN: Duration = Duration::from_secs(1);

/// Calls other hosts over the gossip port: the one port of a node that must be open between
/// hosts. Under a secret only a peer of the network can answer.
#[derive(Clone)]
pub struct Caller(Arc<Shared>);

impl Caller {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller").finish_non_exhaustive()
    }
}

impl CallBack for Caller {
    fn call(&self, gossip: SocketAddr) -> CallFuture<'_> {
        Box::pin(async move {
            let channel = self.0.open(gossip, GREET_WITHIN).await.ok()?;
            Some(answer_of(&channel.peer))
        })
    }
}

/// What a greeting tells, in the words of `GET /health`.
fn answer_of(peer: &Identity) -> HealthAnswer {
    HealthAnswer {
        status: Some(HealthStatus::Healthy.as_str().to_owned()),
        node_id: Some(peer.names.node_id.clone()),
        uuid: Some(peer.uuid),
        generation: Some(peer.generation),
        port: Some(peer.http_port),
        enclave: Some(peer.names.enclave.clone()),
        ..HealthAnswer::default()
    }
}
