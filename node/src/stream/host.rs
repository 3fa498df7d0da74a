//! What streams need of the node, and what they count.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
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

    /// A peer has opened a stream to this node. What it asks arrives in order and without a
    /// gap until [`Host::closed`].
    fn opened(&self, by: Uuid);

    /// A peer has opened another stream before the end of its former one was seen here: nobody
    /// knows for how long it had none that worked, and what it asked meanwhile may be lost.
    fn reopened(&self, by: Uuid);

    /// There is no stream of the peer to this node any more: questions of it may be lost.
    fn closed(&self, by: Uuid);

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
    /// Greetings of others that were refused: another secret, network or protocol, but for
    /// its version.
    pub refused: AtomicU64,
    /// Greetings of another version of the protocol.
    pub versions: AtomicU64,
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

/// How many streams each peer has to this node.
#[derive(Debug, Default)]
pub struct Incoming {
    streams: Mutex<BTreeMap<Uuid, usize>>,
}

impl Incoming {
    /// Counts a stream of a peer for as long as what is returned lives, and tells the node of
    /// each begin and of the last one's end.
    pub(super) fn count<'a>(&'a self, host: &'a dyn Host, uuid: Uuid) -> Counted<'a> {
        let mut streams = self.streams();
        let count = streams.entry(uuid).or_default();
        *count += 1;
        match *count {
            1 => host.opened(uuid),
            _ => host.reopened(uuid),
        }
        drop(streams);
        Counted {
            incoming: self,
            host,
            uuid,
        }
    }

    fn streams(&self) -> MutexGuard<'_, BTreeMap<Uuid, usize>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream of a peer, as long as it lives.
pub(super) struct Counted<'a> {
    incoming: &'a Incoming,
    host: &'a dyn Host,
    uuid: Uuid,
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        // The node is told under the lock, so that it hears of an end and of the next begin
        // in their order.
        let mut streams = self.incoming.streams();
        if let Some(count) = streams.get_mut(&self.uuid) {
            *count -= 1;
            if *count == 0 {
                streams.remove(&self.uuid);
                self.host.closed(self.uuid);
            }
        }
    }
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
    /// Streams that peers have to this node.
    pub incoming: Incoming,
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
