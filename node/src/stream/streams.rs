//! The streams to all peers.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::timeout;
use uuid::Uuid;

use super::greet::{Channel, GreetError};
use super::host::Shared;
use super::outbox::NotSent;
use super::peer::{Link, Peer};
use crate::membership::Identity;
use crate::reach::Reach;
use crate::wire::Rope;
use crate::wire::frame::{Reply, Request};

/// The streams to all peers of a node.
pub struct Streams {
    shared: Arc<Shared>,
    /// Where the streams' tasks run.
    runtime: Handle,
    peers: RwLock<BTreeMap<Uuid, Arc<Peer>>>,
}

impl Streams {
    /// No streams yet; their tasks will run on `runtime`.
    #[must_use]
    pub const fn new(shared: Arc<Shared>, runtime: Handle) -> Self {
        Self {
            shared,
            runtime,
            peers: RwLock::new(BTreeMap::new()),
        }
    }

    /// Keeps a stream open to `peer`, where it is now.
    pub fn keep(&self, peer: &Identity) {
        let mut peers = self.peers.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = peers.get(&peer.uuid) {
            known.mark_silent(false);
            known.found_at(peer.gossip, &self.shared.reach);
            return;
        }
        let new = Arc::new(Peer::new(peer.uuid, peer.gossip));
        peers.insert(peer.uuid, Arc::clone(&new));
        self.runtime.spawn(new.run(Arc::clone(&self.shared)));
    }

    /// Ends the stream to `peer`.
    pub fn end(&self, peer: Uuid) {
        let mut peers = self.peers.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(peer) = peers.remove(&peer) {
            peer.stop();
        }
    }

    /// Ends all streams.
    pub fn end_all(&self) {
        let mut peers = self.peers.write().unwrap_or_else(PoisonError::into_inner);
        for peer in std::mem::take(&mut *peers).into_values() {
            peer.stop();
        }
    }

    /// Asks `peer`.
    ///
    /// # Errors
    /// When there is no stream to it, or too much waits for it.
    pub fn send(&self, peer: Uuid, question: Request) -> Result<(), NotSent> {
        match self.peers().get(&peer) {
            Some(peer) => peer.outbox().push(question),
            None => Err(NotSent::Closed),
        }
    }

    /// Whether there is a stream to `peer`.
    #[must_use]
    pub fn is_up(&self, peer: Uuid) -> bool {
        self.peers().get(&peer).is_some_and(|peer| peer.is_up())
    }

    /// Whether an answer of `peer` can be expected: there is a stream to it, and it is not
    /// known to be silent.
    #[must_use]
    pub fn answers(&self, peer: Uuid) -> bool {
        self.peers()
            .get(&peer)
            .is_some_and(|peer| peer.is_up() && !peer.is_silent())
    }

    /// Notes that `peer` does not answer, until [`Streams::keep`] says that it does. A
    /// process that hangs keeps its streams.
    pub fn mark_silent(&self, peer: Uuid) {
        if let Some(peer) = self.peers().get(&peer) {
            peer.mark_silent(true);
        }
    }

    /// Whether `peer` is known not to answer, or its stream broke or could not be opened.
    #[must_use]
    pub fn is_silent(&self, peer: Uuid) -> bool {
        self.peers()
            .get(&peer)
            .is_some_and(|peer| peer.is_silent() || peer.is_down())
    }

    /// Peers to whom there is a stream.
    #[must_use]
    pub fn up(&self) -> Vec<Uuid> {
        let peers = self.peers();
        let up = peers.iter().filter(|(_, peer)| peer.is_up());
        up.map(|(uuid, _)| *uuid).collect()
    }

    /// Questions and bytes that wait for all peers together.
    #[must_use]
    pub fn waiting(&self) -> (usize, usize) {
        let peers = self.peers();
        let waiting = peers.values().map(|peer| peer.outbox().waiting());
        waiting.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }

    /// How late a deadline may become that goes to a peer on another clock, or comes from it:
    /// the largest of all peers.
    #[must_use]
    pub fn lateness(&self) -> Duration {
        let peers = self.peers();
        let up = peers.values().filter(|peer| peer.is_up());
        up.map(|peer| peer.lateness()).max().unwrap_or_default()
    }

    /// Waits until every stream was opened, or could not be opened, once.
    pub async fn tried(&self) {
        let links: Vec<_> = self.peers().values().map(|peer| peer.link()).collect();
        for mut link in links {
            // It only fails when the peer is gone, and then there is nothing to wait for.
            let _ = link.wait_for(|link| *link != Link::New).await;
        }
    }

    /// Where peers are reached, and where they see us.
    #[must_use]
    pub fn reach(&self) -> &Reach {
        &self.shared.reach
    }

    /// Asks whoever is at `address` one question and closes the connection again: how a
    /// candidate is met. Returns who it is, and its answer.
    ///
    /// # Errors
    /// When nobody of this network answers within `patience`.
    pub async fn ask_once(
        &self,
        address: SocketAddr,
        question: &Request,
        patience: Duration,
    ) -> Result<(Channel, Reply), GreetError> {
        let exchange = async {
            let mut channel = self.shared.open(address, patience).await?;
            let mut record = Rope::new();
            question.encode(&mut record);
            channel.sender.send(record).await?;
            let mut answer = channel.receiver.next().await?;
            let answer = Reply::decode(&mut answer).map_err(super::StreamError::from)?;
            Ok((channel, answer))
        };
        timeout(patience, exchange)
            .await
            .map_err(|_| GreetError::TimedOut(patience))?
    }

    fn peers(&self) -> RwLockReadGuard<'_, BTreeMap<Uuid, Arc<Peer>>> {
        self.peers.read().unwrap_or_else(PoisonError::into_inner)
    }
}
