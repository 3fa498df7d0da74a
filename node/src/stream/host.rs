//! What streams need of the node, and what they count.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use uuid::Uuid;

use super::greet::{Channel, GreetError, Greeter};
use crate::membership::Identity;
use crate::reach::Reach;
use crate::wire::Rope;
use crate::wire::frame::{Reply, Request};

/// The node behind the streams. Every method returns at once.
pub trait Host: Send + Sync + 'static {
    /// Who this node is now.
    fn identity(&self) -> Identity;

    /// A stream to `peer` is there; it is asked over it from now on.
    fn connected(&self, peer: &Identity);

    /// The stream broke: questions without an answer are lost.
    fn lost(&self, peer: Uuid);

    /// Answers of `peer`, in the order in which they came. Deadlines are in our clock.
    fn replied(&self, peer: Uuid, source: IpAddr, replies: Vec<Reply>);

    /// Writes the answer to a question of `from`. Deadlines are in our clock.
    fn answer(&self, from: &Identity, source: IpAddr, question: Request, answers: &mut Rope);
}

/// Counted since the start, over all streams.
#[derive(Debug, Default)]
pub struct StreamCounters {
    /// Streams opened.
    pub opened: AtomicU64,
    /// Streams accepted.
    pub accepted: AtomicU64,
    /// Streams that could not be opened.
    pub failed: AtomicU64,
    /// Greetings of others that were refused: another secret, network or protocol.
    pub refused: AtomicU64,
    /// Connections closed because there were too many.
    pub crowded: AtomicU64,
    /// Streams that broke because a record was not authentic or not understood.
    pub broken: AtomicU64,
    /// Questions that waited when their stream broke.
    pub dropped: AtomicU64,
}

/// Adds one.
pub(super) fn count(counter: &AtomicU64) {
    // Counters guard nothing.
    counter.fetch_add(1, Ordering::Relaxed);
}

/// What all streams of a node share.
pub struct Shared {
    /// How to greet.
    pub greeter: Greeter,
    /// The node.
    pub host: std::sync::Arc<dyn Host>,
    /// Where peers are reached, and where they see us.
    pub reach: std::sync::Arc<Reach>,
    /// Counters.
    pub counters: StreamCounters,
}

impl Shared {
    /// Opens a stream to whoever is at `address`, who may take `patience` to greet back, and
    /// takes note of what that tells about addresses.
    ///
    /// # Errors
    /// When there is no peer of this network.
    pub async fn open(
        &self,
        address: SocketAddr,
        patience: Duration,
    ) -> Result<Channel, GreetError> {
        let own = self.host.identity();
        let opened = self.greeter.open(address, own, patience).await;
        match &opened {
            Ok(channel) => {
                let (peer, sees_us_at) = (channel.peer.uuid, channel.sees_us_at);
                self.reach.met(peer, channel.address.ip(), sees_us_at);
            }
            Err(GreetError::Own) => self.reach.met_ourselves(address.ip()),
            Err(_) => {}
        }
        opened
    }
}
