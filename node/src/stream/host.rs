//! What streams need of the node, and what they count.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use uuid::Uuid;

use super::greet::Greeter;
use crate::membership::Identity;
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
    /// Counters.
    pub counters: StreamCounters,
}
