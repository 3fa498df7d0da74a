//! What a node needs of the world around it.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use uuid::Uuid;

use crate::clock::BootMillis;
use crate::membership::{Confirmation, Identity};
use crate::stream::NotSent;
use crate::wire::frame::Request;

/// Everything a [`Node`](super::node::Node) sees and does outside of its own memory: clocks,
/// datagrams and streams. No method waits, and none calls the node back.
///
/// The production world is [`Sockets`](super::sockets::Sockets); the simulation has one of
/// its own, so that it runs the very code that serves clients.
pub(super) trait World: Send + Sync + 'static {
    /// The boot clock.
    fn boot_now(&self) -> BootMillis;

    /// The wall clock, in milliseconds since the Unix epoch. It may jump.
    fn unix_now_ms(&self) -> u64;

    /// The next datagram that has arrived, if there is one: its sender and what authentic
    /// payload it had.
    fn received(&self) -> Option<(IpAddr, Bytes)>;

    /// Sends a payload as a datagram, which may get lost.
    fn datagram(&self, to: SocketAddr, payload: &Bytes);

    /// Asks a member over a connection of its own whether it lives, and calls
    /// [`Node::confirmed`](super::node::Node::confirmed) when it has answered in time. Nothing
    /// happens otherwise.
    fn confirm(&self, confirmation: Confirmation);

    /// Asks `peer` over its stream.
    ///
    /// # Errors
    /// When there is no stream to it, or too much waits for it.
    fn send(&self, peer: Uuid, question: Request) -> Result<(), NotSent>;

    /// Keeps a stream open to `peer`, where it is now.
    fn keep(&self, peer: &Identity);

    /// Ends the stream to `peer`.
    fn end(&self, peer: Uuid);

    /// Notes that `peer` does not answer, until [`World::keep`] says that it does.
    fn mark_silent(&self, peer: Uuid);

    /// Whether an answer of `peer` can be expected.
    fn answers(&self, peer: Uuid) -> bool;

    /// Whether `peer` is known not to answer.
    fn is_silent(&self, peer: Uuid) -> bool;

    /// Wants [`Node::tick`](super::node::Node::tick) called at `deadline` at the latest.
    fn wake_at(&self, deadline: Option<BootMillis>);
}
