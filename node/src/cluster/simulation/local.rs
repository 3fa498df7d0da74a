//! The world as one simulated node sees it.

use std::collections::{BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use uuid::Uuid;

use super::super::world::World;
use crate::clock::BootMillis;
use crate::membership::{Confirmation, Identity};
use crate::stream::NotSent;
use crate::wire::frame::Request;

/// Datagrams that a kernel keeps for a process that does not read them.
const SOCKET_BUFFER: usize = 200;

/// Questions that wait for one peer at most; few, so that it happens.
const QUEUED: usize = 40;

/// True time, in microseconds, which nobody in the simulation can read.
pub(super) type TrueTime = Arc<AtomicU64>;

/// The clocks of one host: how far they are from true time.
#[derive(Debug)]
pub(super) struct Clocks {
    /// Added to true time for the boot clock, in milliseconds.
    pub(super) boot_ms: u64,
    /// Added to true time for the wall clock, in milliseconds; it can be set.
    pub(super) wall_ms: AtomicU64,
}

/// What a node asked of the world.
#[derive(Debug)]
pub(super) enum Asked {
    Datagram(SocketAddr, Bytes),
    Confirmation(Confirmation),
    Question(Uuid, Request),
    Keep(Identity),
    End(Uuid),
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) inbox: VecDeque<(IpAddr, Bytes)>,
    pub(super) asked: Vec<Asked>,
    pub(super) up: BTreeSet<Uuid>,
    pub(super) silent: BTreeSet<Uuid>,
    /// Peers whose stream broke or could not be opened.
    pub(super) down: BTreeSet<Uuid>,
    /// Questions on their way, one item each.
    pub(super) flying: Vec<Uuid>,
}

/// The world of one life of one node.
pub(super) struct Local {
    pub(super) true_us: TrueTime,
    pub(super) clocks: Arc<Clocks>,
    pub(super) state: Mutex<State>,
}

impl Local {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("one thread")
    }

    /// A datagram arrives.
    pub(super) fn deliver(&self, source: IpAddr, payload: Bytes) {
        let mut state = self.state();
        if state.inbox.len() < SOCKET_BUFFER {
            state.inbox.push_back((source, payload));
        }
    }

    /// The boot clock in microseconds.
    pub(super) fn boot_us(&self) -> u64 {
        self.true_us.load(Ordering::Relaxed) + self.clocks.boot_ms * 1000
    }
}

impl World for Local {
    fn boot_now(&self) -> BootMillis {
        BootMillis(self.boot_us() / 1000)
    }

    fn unix_now_ms(&self) -> u64 {
        self.true_us.load(Ordering::Relaxed) / 1000 + self.clocks.wall_ms.load(Ordering::Relaxed)
    }

    fn received(&self) -> Option<(IpAddr, Bytes)> {
        self.state().inbox.pop_front()
    }

    fn datagram(&self, to: SocketAddr, payload: &Bytes) {
        self.state()
            .asked
            .push(Asked::Datagram(to, payload.clone()));
    }

    fn confirm(&self, confirmation: Confirmation) {
        self.state().asked.push(Asked::Confirmation(confirmation));
    }

    fn send(&self, peer: Uuid, question: Request) -> Result<(), NotSent> {
        let mut state = self.state();
        if !state.up.contains(&peer) {
            return Err(NotSent::Closed);
        }
        if state.flying.iter().filter(|to| **to == peer).count() >= QUEUED {
            return Err(NotSent::Full);
        }
        state.flying.push(peer);
        state.asked.push(Asked::Question(peer, question));
        Ok(())
    }

    fn keep(&self, peer: &Identity) {
        let mut state = self.state();
        state.silent.remove(&peer.uuid);
        state.asked.push(Asked::Keep(peer.clone()));
    }

    fn end(&self, peer: Uuid) {
        let mut state = self.state();
        state.up.remove(&peer);
        state.asked.push(Asked::End(peer));
    }

    fn mark_silent(&self, peer: Uuid) {
        self.state().silent.insert(peer);
    }

    fn answers(&self, peer: Uuid) -> bool {
        let state = self.state();
        state.up.contains(&peer) && !state.silent.contains(&peer)
    }

    fn is_silent(&self, peer: Uuid) -> bool {
        let state = self.state();
        state.silent.contains(&peer) || state.down.contains(&peer)
    }

    fn wake_at(&self, _: Option<BootMillis>) {
        // The simulation looks at the deadline after every step.
    }
}
