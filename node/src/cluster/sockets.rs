//! The world of a real node: the kernel's clocks, a UDP socket and TCP streams.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::sleep;
use uuid::Uuid;

use super::alarm::Alarm;
use super::node::{count, lock};
use super::world::World;
use crate::clock::{BootMillis, boot_now, unix_now_ms};
use crate::membership::{Confirmation, Identity};
use crate::reach::Reach;
use crate::stream::{NotSent, Quiet, STRANGERS_EVERY, Streams};
use crate::wire::frame::Request;
use crate::wire::{Datagrams, Dropped, PROTOCOL_VERSION};

/// Sockets, streams and the alarm of one node.
pub(super) struct Sockets {
    socket: UdpSocket,
    datagrams: Mutex<Datagrams>,
    reach: Arc<Reach>,
    streams: OnceLock<Streams>,
    confirmations: mpsc::Sender<Confirmation>,
    strangers: Quiet,
    pub(super) alarm: Alarm,
    pub(super) counters: DatagramCounters,
}

/// Counted since the start.
#[derive(Debug, Default)]
pub(super) struct DatagramCounters {
    pub(super) sent: AtomicU64,
    pub(super) received: AtomicU64,
    pub(super) malformed: AtomicU64,
    pub(super) version: AtomicU64,
    pub(super) foreign: AtomicU64,
    pub(super) unsigned: AtomicU64,
    pub(super) forged: AtomicU64,
    pub(super) stale: AtomicU64,
    /// Confirmations for which there was no room.
    pub(super) unconfirmed: AtomicU64,
}

impl Sockets {
    /// Whoever receives `confirmations` is to try them.
    pub(super) fn new(
        socket: UdpSocket,
        datagrams: Datagrams,
        reach: Arc<Reach>,
        confirmations: mpsc::Sender<Confirmation>,
    ) -> Self {
        Self {
            socket,
            datagrams: Mutex::new(datagrams),
            reach,
            streams: OnceLock::new(),
            confirmations,
            strangers: Quiet::new(STRANGERS_EVERY),
            alarm: Alarm::new(),
            counters: DatagramCounters::default(),
        }
    }

    /// Sets the streams, which need the node that needs this.
    pub(super) fn set_streams(&self, streams: Streams) {
        // Nobody else has seen the node yet.
        let _ = self.streams.set(streams);
    }

    /// The streams to the peers.
    ///
    /// # Panics
    /// Before the start has set them, which it does before anything can ask.
    pub(super) fn streams(&self) -> &Streams {
        self.streams
            .get()
            .expect("streams are there from the start")
    }

    /// Waits until there is a datagram.
    pub(super) async fn readable(&self) {
        /// An error of the socket is about some datagram sent before; nothing is to be done
        /// but not to spin.
        const PAUSE: Duration = Duration::from_millis(10);
        if self.socket.readable().await.is_err() {
            sleep(PAUSE).await;
        }
    }

    fn count_dropped(&self, dropped: Dropped, source: SocketAddr) {
        if let Dropped::Version(found) = dropped {
            self.strangers.say(|more| {
                tracing::warn!(
                    %source,
                    more,
                    "a datagram of version {found} of the protocol was dropped; this node speaks \
                     version {PROTOCOL_VERSION}"
                );
            });
        }
        let counters = &self.counters;
        count(match dropped {
            Dropped::Malformed => &counters.malformed,
            Dropped::Version(_) => &counters.version,
            Dropped::OtherNetwork => &counters.foreign,
            Dropped::Unsigned => &counters.unsigned,
            Dropped::Forged => &counters.forged,
            Dropped::Own | Dropped::Stale(_) => &counters.stale,
        });
    }
}

impl World for Sockets {
    fn boot_now(&self) -> BootMillis {
        boot_now()
    }

    fn unix_now_ms(&self) -> u64 {
        unix_now_ms()
    }

    fn received(&self) -> Option<(IpAddr, Bytes)> {
        // One byte more than a datagram may have, so that a longer one is told.
        let mut buffer = [0; crate::wire::MAX_DATAGRAM + 1];
        while let Ok((length, source)) = self.socket.try_recv_from(&mut buffer) {
            let datagram = Bytes::copy_from_slice(&buffer[..length]);
            let unframed = lock(&self.datagrams).unframe(datagram, unix_now_ms());
            match unframed {
                Ok(payload) => {
                    count(&self.counters.received);
                    return Some((source.ip().to_canonical(), payload));
                }
                Err(dropped) => self.count_dropped(dropped, source),
            }
        }
        None
    }

    fn datagram(&self, to: SocketAddr, payload: &Bytes) {
        let datagram = lock(&self.datagrams).frame(payload, unix_now_ms());
        // Datagrams may be lost anywhere; here it is when the socket's buffer is full.
        let to = self.reach.of(to);
        if self.socket.try_send_to(&datagram, to).is_ok() {
            count(&self.counters.sent);
        }
    }

    fn confirm(&self, confirmation: Confirmation) {
        if self.confirmations.try_send(confirmation).is_err() {
            count(&self.counters.unconfirmed);
        }
    }

    fn send(&self, peer: Uuid, question: Request) -> Result<(), NotSent> {
        self.streams().send(peer, question)
    }

    fn keep(&self, peer: &Identity) {
        self.streams().keep(peer);
    }

    fn end(&self, peer: Uuid) {
        self.streams().end(peer);
    }

    fn mark_silent(&self, peer: Uuid) {
        self.streams().mark_silent(peer);
    }

    fn answers(&self, peer: Uuid) -> bool {
        self.streams().answers(peer)
    }

    fn is_silent(&self, peer: Uuid) -> bool {
        self.streams().is_silent(peer)
    }

    fn wake_at(&self, deadline: Option<BootMillis>) {
        self.alarm.at_latest(deadline);
    }
}
