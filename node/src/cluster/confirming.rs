//! Asking members over streams who do not answer datagrams, for ourselves and for others.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::asks::Asked;
use super::node::{Node, count};
use super::sockets::Sockets;
use super::world::World;
use crate::membership::{Confirmation, Input, localized_payload};
use crate::stream::Quiet;
use crate::wire::frame::{Reply, Request};

/// Connections that are tried at the same time, and as many more that wait for their turn. A
/// node doubts one member in a period and asks for three others at most; when half of a fleet
/// falls silent at once there is more, and what does not fit is dropped and counted.
pub(super) const CONFIRMATIONS: usize = 16;

/// Least time between two lines in the log about members that datagrams do not reach.
const LOST_DATAGRAMS_EVERY: Duration = Duration::from_secs(60);

impl<W: World> Node<W> {
    /// Takes what a datagram would have carried; what goes back the way it came.
    pub(super) fn carried(&self, source: IpAddr, relay: bool, payload: Bytes) -> Vec<Bytes> {
        self.step(Input::Carried {
            source,
            payload,
            relay,
        })
    }

    /// Has a member asked over a connection of its own, and by others who have a stream to us.
    pub(super) fn confirm(&self, confirmation: Confirmation) {
        count(&self.counters.confirmations);
        for peer in &confirmation.through {
            self.carry(*peer, true, confirmation.ping.clone());
        }
        self.world.confirm(confirmation);
    }

    /// A member has answered, from `source`. Whoever wanted to know is told.
    pub(super) fn confirmed(
        &self,
        confirmation: &Confirmation,
        source: IpAddr,
        payloads: Vec<Bytes>,
    ) {
        count(&self.counters.confirmed);
        for payload in payloads {
            if let Some(asker) = confirmation.on_behalf_of {
                self.carry(asker, false, localized_payload(payload, source));
            } else {
                self.step(Input::Datagram { source, payload });
            }
        }
    }

    fn carry(&self, peer: Uuid, relay: bool, payload: Bytes) {
        let id = self.asks.note(peer, Asked::Carried);
        let question = Request::Carry { id, relay, payload };
        if self.world.send(peer, question).is_err() {
            self.asks.forget(id);
        }
    }
}

/// Asks members over connections of their own, for as long as the node lives.
pub(super) async fn confirm(node: Arc<Node<Sockets>>, mut asked: mpsc::Receiver<Confirmation>) {
    let quiet = Arc::new(Quiet::new(LOST_DATAGRAMS_EVERY));
    let mut attempts = JoinSet::new();
    while let Some(confirmation) = asked.recv().await {
        while attempts.len() >= CONFIRMATIONS {
            attempts.join_next().await;
        }
        while attempts.try_join_next().is_some() {}
        attempts.spawn(attempt(Arc::clone(&node), confirmation, Arc::clone(&quiet)));
    }
}

async fn attempt(node: Arc<Node<Sockets>>, confirmation: Confirmation, quiet: Arc<Quiet>) {
    let streams = node.world.streams();
    let place = streams.reach().of(confirmation.to.gossip);
    let question = Request::Carry {
        id: 0,
        relay: false,
        payload: confirmation.ping.clone(),
    };
    let answer = streams.ask_once(place, &question, confirmation.within);
    match answer.await {
        Ok((channel, Reply::Carried { payloads, .. })) if !payloads.is_empty() => {
            let name = &confirmation.to.names.node_id;
            if confirmation.on_behalf_of.is_none() {
                quiet.say(|more| {
                    tracing::warn!(
                        %place,
                        more,
                        "datagrams to and from {name} get lost, but it answers over TCP; is UDP \
                         blocked on its gossip port?"
                    );
                });
            }
            node.confirmed(&confirmation, channel.address.ip(), payloads);
        }
        Ok(_) => tracing::debug!(%place, "asked over TCP, answered something else"),
        Err(error) => tracing::debug!(%place, %error, "not reached over TCP either"),
    }
}
