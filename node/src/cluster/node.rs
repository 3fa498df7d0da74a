//! What all parts of the cluster share: the cores behind their locks, and the order in
//! which they hear of things.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use tokio::net::UdpSocket;
use tokio::sync::{oneshot, watch};
use uuid::Uuid;

use super::alarm::Alarm;
use super::asks::Asks;
use crate::clock::{BootMillis, boot_now, unix_now_ms};
use crate::coordinator::{PutOutcome, Refill, Writes};
use crate::membership::{Change, DOWN_FORGET, Fate, Identity, Input, Member, Membership, Output};
use crate::placement::{Placement, Seat};
use crate::store::Store;
use crate::stream::{Streams, boot_now_us};
use crate::wire::{Datagrams, Dropped};

/// Sets of members that are remembered, so that a member that knew all for one of them is
/// told only what is new since. A fleet that starts goes through one for each node.
const RECENT: usize = 32;

/// A silence after which others may have written without the silent one, so that both must
/// compare: half of the time for which it counts.
const APART: Duration = Duration::from_secs(DOWN_FORGET.as_secs() / 2);

/// Who counts, for one moment.
#[derive(Clone, Debug)]
pub(super) struct View {
    /// Where keys are now.
    pub(super) placement: Arc<Placement>,
    /// Earlier ones, the latest last.
    pub(super) recent: VecDeque<Arc<Placement>>,
}

/// What is counted here; the cores and the streams count for themselves.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) joined: AtomicU64,
    pub(super) unreachable: AtomicU64,
    pub(super) forgotten: AtomicU64,
    pub(super) died: AtomicU64,
    pub(super) left: AtomicU64,
    pub(super) datagrams_sent: AtomicU64,
    pub(super) datagrams_received: AtomicU64,
    pub(super) datagrams_malformed: AtomicU64,
    pub(super) datagrams_foreign: AtomicU64,
    pub(super) datagrams_unsigned: AtomicU64,
    pub(super) datagrams_forged: AtomicU64,
    pub(super) datagrams_stale: AtomicU64,
    pub(super) reads_forwarded: AtomicU64,
    pub(super) reads_hedged: AtomicU64,
    pub(super) reads_unknown: AtomicU64,
    pub(super) values_received: AtomicU64,
    pub(super) values_served: AtomicU64,
}

/// Adds one.
pub(super) fn count(counter: &AtomicU64) {
    // Counters guard nothing.
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Whoever waits for a write.
pub(super) type Waiter = oneshot::Sender<PutOutcome>;

/// The shared state of one node's part of the cluster.
///
/// Locks are held for one step of one core and never two at a time, except that
/// [`Node::members_changed`] holds `changing` while it tells the cores one after the other.
pub(super) struct Node {
    pub(super) own: Seat,
    pub(super) enclave: String,
    pub(super) store: Arc<Store>,
    pub(super) socket: UdpSocket,
    pub(super) datagrams: Mutex<Datagrams>,
    pub(super) membership: Mutex<Membership>,
    pub(super) writes: Mutex<Writes<Waiter>>,
    pub(super) refill: Mutex<Refill>,
    pub(super) view: RwLock<View>,
    /// Whether the refill is complete for the members of `view`.
    pub(super) knows_all: AtomicBool,
    pub(super) asks: Asks,
    pub(super) alarm: Alarm,
    pub(super) counters: Counters,
    pub(super) joined: watch::Sender<bool>,
    /// Told whenever others count than before.
    pub(super) members_told: watch::Sender<()>,
    /// Replication factor; `usize::MAX` for all.
    pub(super) copies: usize,
    pub(super) streams: OnceLock<Streams>,
    pub(super) changing: Mutex<()>,
    /// When [`Node::tick`] was last called, in milliseconds of the boot clock.
    pub(super) awake_ms: AtomicU64,
}

/// A panic while a lock was held is a bug that the panic itself has reported; the other
/// operations go on.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Node {
    /// Who counts now.
    pub(super) fn view(&self) -> View {
        self.view
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Where keys are now.
    pub(super) fn placement(&self) -> Arc<Placement> {
        Arc::clone(
            &self
                .view
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .placement,
        )
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

    /// One step of membership and all that follows from it.
    pub(super) fn step(&self, input: Input) {
        let now = boot_now();
        let (output, deadline) = {
            let mut membership = lock(&self.membership);
            let output = membership.handle(input, now);
            (output, membership.next_deadline())
        };
        self.alarm.at_latest(deadline);
        self.follow(output, now);
    }

    /// Everything that is due.
    pub(super) fn tick(&self) {
        // What arrived counts before what was waited for in vain.
        self.receive();
        let now = boot_now();
        self.note_awake(now);
        let due = |deadline: Option<BootMillis>| deadline.is_some_and(|deadline| deadline <= now);
        if due(lock(&self.membership).next_deadline()) {
            self.step(Input::Tick);
        }
        let effects = {
            let mut writes = lock(&self.writes);
            if due(writes.next_deadline()) {
                writes.tick(now)
            } else {
                Vec::new()
            }
        };
        self.perform(effects);
        let pulls = {
            let mut refill = lock(&self.refill);
            if due(refill.next_deadline()) {
                refill.tick(now)
            } else {
                Vec::new()
            }
        };
        self.pull(pulls);
    }

    /// A process that was stopped, or a machine that was, does not see the others fall
    /// silent. But among members there is something to do several times a second, so a gap
    /// tells.
    fn note_awake(&self, now: BootMillis) {
        let before = BootMillis(self.awake_ms.swap(now.0, Ordering::Relaxed));
        if before.0 > 0 && before + APART < now {
            tracing::info!(
                ms = now.since(before),
                "was away; what others have is compared"
            );
            self.refill_step(|refill| refill.away(now));
        }
    }

    /// The earliest moment at which [`Node::tick`] has something to do.
    pub(super) fn next_deadline(&self) -> Option<BootMillis> {
        let deadlines = [
            lock(&self.membership).next_deadline(),
            lock(&self.writes).next_deadline(),
            lock(&self.refill).next_deadline(),
        ];
        deadlines.into_iter().flatten().min()
    }

    /// Takes every datagram that is there.
    pub(super) fn receive(&self) {
        // One byte more than a datagram may have, so that a longer one is told.
        let mut buffer = [0; crate::wire::MAX_DATAGRAM + 1];
        while let Ok((length, source)) = self.socket.try_recv_from(&mut buffer) {
            let datagram = Bytes::copy_from_slice(&buffer[..length]);
            let unframed = lock(&self.datagrams).unframe(datagram, unix_now_ms());
            match unframed {
                Ok(payload) => {
                    count(&self.counters.datagrams_received);
                    let source = source.ip().to_canonical();
                    self.step(Input::Datagram { source, payload });
                }
                Err(dropped) => self.count_dropped(dropped),
            }
        }
    }

    fn count_dropped(&self, dropped: Dropped) {
        let counters = &self.counters;
        count(match dropped {
            Dropped::Malformed => &counters.datagrams_malformed,
            Dropped::OtherNetwork => &counters.datagrams_foreign,
            Dropped::Unsigned => &counters.datagrams_unsigned,
            Dropped::Forged => &counters.datagrams_forged,
            Dropped::Own | Dropped::Stale(_) => &counters.datagrams_stale,
        });
    }

    fn follow(&self, output: Output, now: BootMillis) {
        for (to, payload) in output.datagrams {
            let datagram = lock(&self.datagrams).frame(&payload, unix_now_ms());
            // Datagrams may be lost anywhere; here it is when the socket's buffer is full.
            if self.socket.try_send_to(&datagram, to).is_ok() {
                count(&self.counters.datagrams_sent);
            }
        }
        let mut counting_changed = false;
        for change in &output.changes {
            counting_changed |= self.changed(*change, now);
        }
        if counting_changed {
            self.members_changed();
        }
    }

    /// Follows one change; whether it changes who counts.
    fn changed(&self, change: Change, now: BootMillis) -> bool {
        let (Change::Joined(uuid)
        | Change::Returned(uuid, _)
        | Change::Unreachable(uuid)
        | Change::Forgotten(uuid)
        | Change::Ended(uuid, _)) = change;
        let Some(member) = lock(&self.membership).members().get(uuid).cloned() else {
            return true;
        };
        let (identity, counters) = (&member.identity, &self.counters);
        let (node, generation) = (&identity.names.node_id, identity.generation);
        match change {
            Change::Joined(_) => {
                count(&counters.joined);
                tracing::info!(%uuid, generation, at = %identity.gossip, "{node} joined");
                self.streams().keep(identity);
                true
            }
            Change::Returned(_, silence) => {
                tracing::info!(%uuid, generation, ?silence, "{node} is back");
                self.streams().keep(identity);
                if silence > APART {
                    self.refill_step(|refill| refill.apart(uuid, now));
                }
                false
            }
            Change::Unreachable(_) => {
                count(&counters.unreachable);
                tracing::warn!(%uuid, generation, "{node} does not answer");
                self.streams().mark_silent(uuid);
                false
            }
            Change::Forgotten(_) => {
                count(&counters.forgotten);
                tracing::warn!(%uuid, generation, "{node} counts as lost, and so do its copies");
                self.streams().end(uuid);
                true
            }
            Change::Ended(_, fate) => {
                let (counter, how) = match fate {
                    Fate::Died => (&counters.died, "died"),
                    Fate::Left => (&counters.left, "left"),
                };
                count(counter);
                tracing::info!(%uuid, generation, "{node} {how}");
                self.streams().end(uuid);
                true
            }
        }
    }

    /// Tells the cores who counts now, if that is somebody else than before.
    fn members_changed(&self) {
        // One at a time, and each looks at the members after it got its turn: so the last
        // one tells the latest.
        let turn = lock(&self.changing);
        let placement = Arc::new(self.placement_now());
        if placement.fingerprint() == self.placement().fingerprint() {
            return;
        }
        let now = boot_now();
        // "Do not have" may be said for the new members only after the refill for them, so
        // the refill is told before they are seen.
        let pulls = {
            let mut refill = lock(&self.refill);
            let pulls = refill.members_changed(&placement, now);
            self.note_completeness(&refill);
            pulls
        };
        {
            let mut view = self.view.write().unwrap_or_else(PoisonError::into_inner);
            let former = std::mem::replace(&mut view.placement, Arc::clone(&placement));
            view.recent.push_back(former);
            if view.recent.len() > RECENT {
                view.recent.pop_front();
            }
        }
        let effects = lock(&self.writes).members_changed(placement);
        drop(turn);
        self.members_told.send_replace(());
        self.perform(effects);
        self.pull(pulls);
    }

    /// This node and the members of its enclave that count.
    fn placement_now(&self) -> Placement {
        let membership = lock(&self.membership);
        let counting =
            |member: &&Member| member.counts() && member.identity.names.enclave == self.enclave;
        let seat = |member: &Member| seat(&member.identity);
        let others = membership.members().iter().filter(counting).map(seat);
        Placement::new(others.chain([self.own]), self.copies)
    }

    /// What a peer told about the members.
    pub(super) fn learn(&self, source: IpAddr, updates: Vec<crate::membership::Update>) {
        self.step(Input::Learned { source, updates });
    }

    /// When a member was last heard of, in milliseconds since the Unix epoch.
    pub(super) fn heard_unix_ms(member: &Member) -> u64 {
        unix_now_ms().saturating_sub(boot_now().since(member.heard))
    }

    /// Which lives there are: for messages of the supervisor about them.
    pub(super) fn knows_life(&self, uuid: Uuid, generation: u64) -> bool {
        let membership = lock(&self.membership);
        membership
            .members()
            .get(uuid)
            .is_some_and(|member| member.identity.generation >= generation && member.counts())
    }
}

pub(super) fn seat(identity: &Identity) -> Seat {
    Seat {
        uuid: identity.uuid,
        generation: identity.generation,
        host: identity.host,
    }
}

/// A seed for choices that nobody needs to foresee or repeat.
pub(super) fn chance() -> u64 {
    boot_now_us() ^ fastrand::u64(..)
}
