//! What all parts of the cluster share: the cores behind their locks, and the order in
//! which they hear of things.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use uuid::Uuid;

use super::Life;
use super::asks::Asks;
use super::home::{Reader, Waiter};
use super::leaving::Leaving;
use super::reading::forwarded_max;
use super::standing::{ALONE_AWAKE, APART};
use super::world::World;
use crate::clock::BootMillis;
use crate::coordinator::{Reads, Refill, Writes};
use crate::membership::{Change, Fate, Identity, Input, Member, Membership, News, Output, Profile};
use crate::placement::{Placement, Seat};
use crate::store::{Budget, Store};

/// Sets of members that are remembered, so that a member that knew all for one of them is
/// told only what is new since. A fleet that starts goes through one for each node.
pub(super) const RECENT: usize = 32;

/// Datagrams taken in one turn: some milliseconds' work, and more than a fleet sends to one
/// member in the time between two turns.
const DATAGRAMS_AT_ONCE: usize = 256;

/// Who counts, for one moment.
#[derive(Clone, Debug)]
pub(super) struct View {
    /// Where keys are now.
    pub(super) placement: Arc<Placement>,
    /// Where they would be if nobody left: what those who leave have, by which others compare
    /// with them.
    pub(super) wide: Arc<Placement>,
    /// Earlier ones, the latest last.
    pub(super) recent: VecDeque<Arc<Placement>>,
    /// Fingerprint of the last one for which the refill was complete, 0 at first.
    pub(super) complete: u64,
}

impl View {
    /// Whether `own` has been a holder of `key` since it last knew of everything, so that
    /// it has got all writes of it.
    pub(super) fn has_held(&self, own: Uuid, key: &[u8]) -> bool {
        let earlier = self.recent.iter().rev();
        for placement in std::iter::once(&self.placement).chain(earlier) {
            if !placement.is_holder(own, key) {
                return false;
            }
            if placement.fingerprint() == self.complete {
                return true;
            }
        }
        false
    }
}

/// What is counted here; the cores and the streams count for themselves.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) joined: AtomicU64,
    pub(super) unreachable: AtomicU64,
    pub(super) forgotten: AtomicU64,
    pub(super) died: AtomicU64,
    pub(super) left: AtomicU64,
    pub(super) reads_forwarded: AtomicU64,
    pub(super) reads_unknown: AtomicU64,
    pub(super) values_received: AtomicU64,
    pub(super) values_served: AtomicU64,
    pub(super) left_behind: AtomicU64,
    pub(super) confirmations: AtomicU64,
    pub(super) confirmed: AtomicU64,
}

/// Adds one.
pub(super) fn count(counter: &AtomicU64) {
    // Counters guard nothing.
    counter.fetch_add(1, Ordering::Relaxed);
}

/// The shared state of one node's part of the cluster.
///
/// Locks are held for one step of one core and never two at a time, except that
/// [`Node::members_changed`] holds `changing` while it tells the cores one after the other, and
/// looks at who leaves while it looks at the members.
pub(super) struct Node<W> {
    pub(super) own: Seat,
    pub(super) enclave: String,
    pub(super) world: W,
    pub(super) store: Arc<Store>,
    /// What large values take on their way from a holder through this node to a client.
    pub(super) forwarded: Arc<Budget>,
    pub(super) membership: Mutex<Membership>,
    pub(super) writes: Mutex<Writes<Waiter>>,
    pub(super) reads: Mutex<Reads<Reader>>,
    pub(super) refill: Mutex<Refill>,
    pub(super) leaving: Mutex<Leaving>,
    pub(super) view: RwLock<View>,
    /// Whether the refill is complete for the members of `view`.
    pub(super) knows_all: AtomicBool,
    /// Whether nothing can have been acknowledged of which this node has not heard.
    pub(super) sure: AtomicBool,
    /// Votes like this node's that contain one of every acknowledged write; 0 when it has
    /// none.
    pub(super) votes: AtomicU16,
    /// Whether everyone to whom there is a stream has told all for the members of `view`.
    pub(super) heard_reachable: AtomicBool,
    pub(super) asks: Asks,
    pub(super) counters: Counters,
    pub(super) joined: watch::Sender<bool>,
    /// Whether this node leaves, and everything is handed over.
    pub(super) handed_over: watch::Sender<bool>,
    /// Told whenever others count than before.
    pub(super) members_told: watch::Sender<()>,
    /// Replication factor; `usize::MAX` for all.
    pub(super) copies: usize,
    pub(super) changing: Mutex<()>,
    /// When [`Node::tick`] was last called, in milliseconds of the boot clock.
    pub(super) awake_ms: AtomicU64,
    /// From when on some member that counts has been out of reach for too long to know what
    /// is missing, on the same clock; `u64::MAX` when all are there.
    pub(super) apart_ms: AtomicU64,
    /// When it was last found to have been away, on the same clock; 0 for never.
    pub(super) back_ms: AtomicU64,
    /// When it last told somebody all that it knows who saw other members, on the same clock;
    /// 0 for never.
    pub(super) differed_ms: AtomicU64,
}

/// A panic while a lock was held is a bug that the panic itself has reported; the other
/// operations go on.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<W: World> Node<W> {
    /// A node that knows nobody yet. Values are kept on `copies` members (`usize::MAX` for
    /// all), writes answered within `write_timeout`; `seed` chooses whom it probes when.
    pub(super) fn new(
        identity: Identity,
        profile: Profile,
        world: W,
        store: Arc<Store>,
        copies: usize,
        write_timeout: Duration,
        seed: u64,
    ) -> Self {
        let own = seat(&identity);
        let placement = Arc::new(Placement::new([own], copies));
        Self {
            own,
            enclave: identity.names.enclave.clone(),
            world,
            forwarded: Arc::new(Budget::new(forwarded_max(store.stats().limit_bytes))),
            store,
            membership: Mutex::new(Membership::new(identity, profile, seed)),
            writes: Mutex::new(Writes::new(own, write_timeout, Arc::clone(&placement))),
            reads: Mutex::default(),
            refill: Mutex::new(Refill::new(own.uuid)),
            leaving: Mutex::default(),
            view: RwLock::new(View {
                complete: 0,
                wide: Arc::clone(&placement),
                placement,
                recent: VecDeque::new(),
            }),
            // Alone, it knows all there is.
            knows_all: AtomicBool::new(true),
            sure: AtomicBool::new(true),
            votes: AtomicU16::new(1),
            heard_reachable: AtomicBool::new(false),
            asks: Asks::default(),
            counters: Counters::default(),
            joined: watch::Sender::new(false),
            handed_over: watch::Sender::new(false),
            members_told: watch::Sender::new(()),
            copies,
            changing: Mutex::new(()),
            awake_ms: AtomicU64::new(0),
            apart_ms: AtomicU64::new(u64::MAX),
            back_ms: AtomicU64::new(0),
            differed_ms: AtomicU64::new(0),
        }
    }

    /// The boot clock.
    #[cfg(test)]
    pub(super) fn now(&self) -> BootMillis {
        self.world.boot_now()
    }

    /// The first round of discovery is over. Whoever is alone then knows all there is.
    pub(super) fn note_joined(&self) {
        {
            let mut view = self.view.write().unwrap_or_else(PoisonError::into_inner);
            if view.placement.seats().len() == 1 {
                view.complete = view.placement.fingerprint();
            }
        }
        self.joined.send_replace(true);
    }

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

    /// One step of membership and all that follows from it.
    /// Returns what goes back to whoever sent the input over a stream.
    pub(super) fn step(&self, input: Input) -> Vec<Bytes> {
        let now = self.world.boot_now();
        let (mut output, deadline) = {
            let mut membership = lock(&self.membership);
            let output = membership.handle(input, now);
            (output, membership.next_deadline())
        };
        self.world.wake_at(deadline);
        let answers = std::mem::take(&mut output.answers);
        self.follow(output, now);
        answers
    }

    /// Everything that is due.
    pub(super) fn tick(&self) {
        // What arrived counts before what was waited for in vain.
        self.receive();
        let now = self.world.boot_now();
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
        let effects = {
            let mut reads = lock(&self.reads);
            if due(reads.next_deadline()) {
                reads.tick(now)
            } else {
                Vec::new()
            }
        };
        self.perform_reads(effects);
        let pulls = {
            let mut refill = lock(&self.refill);
            if due(refill.next_deadline()) {
                refill.tick(now)
            } else {
                Vec::new()
            }
        };
        self.pull(pulls);
        if due(lock(&self.leaving).next_deadline()) {
            if lock(&self.leaving).expire(now) {
                self.members_changed();
            }
            self.ask_to_take_over();
        }
    }

    /// The earliest moment at which [`Node::tick`] has something to do.
    pub(super) fn next_deadline(&self) -> Option<BootMillis> {
        let awake = || match self.awake_ms.load(Ordering::SeqCst) {
            0 => BootMillis(0),
            last => BootMillis(last) + ALONE_AWAKE,
        };
        let deadlines = [
            self.is_alone().then(awake),
            lock(&self.membership).next_deadline(),
            lock(&self.writes).next_deadline(),
            lock(&self.reads).next_deadline(),
            lock(&self.refill).next_deadline(),
            lock(&self.leaving).next_deadline(),
        ];
        deadlines.into_iter().flatten().min()
    }

    /// Takes the datagrams that are there, but not so many that everything else would have
    /// to wait for a flood; whether there may be more.
    pub(super) fn receive(&self) -> bool {
        for _ in 0..DATAGRAMS_AT_ONCE {
            let Some((source, payload)) = self.world.received() else {
                return false;
            };
            self.step(Input::Datagram { source, payload });
        }
        true
    }

    fn follow(&self, output: Output, now: BootMillis) {
        for (to, payload) in output.datagrams {
            self.world.datagram(to, &payload);
        }
        for confirmation in output.confirmations {
            self.confirm(confirmation);
        }
        let mut counting_changed = false;
        for change in &output.changes {
            counting_changed |= self.changed(*change, now);
        }
        if counting_changed {
            self.members_changed();
        }
        if !output.changes.is_empty() {
            // What is to be compared with who is back is noted by now.
            self.note_apart();
        }
    }

    /// Follows one change; whether it changes who counts.
    fn changed(&self, change: Change, now: BootMillis) -> bool {
        let (Change::Joined(uuid)
        | Change::Returned(uuid, _)
        | Change::Moved(uuid)
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
                self.world.keep(identity);
                true
            }
            Change::Returned(_, silence) => {
                tracing::info!(%uuid, generation, ?silence, "{node} is back");
                self.world.keep(identity);
                if silence > APART {
                    self.refill_step(|refill| refill.apart(uuid, now));
                }
                lock(&self.leaving).leaves(identity)
            }
            Change::Moved(_) => {
                tracing::info!(%uuid, generation, at = %identity.gossip, "{node} moved");
                self.world.keep(identity);
                false
            }
            Change::Unreachable(_) => {
                count(&counters.unreachable);
                tracing::warn!(%uuid, generation, "{node} does not answer");
                self.world.mark_silent(uuid);
                let effects = lock(&self.writes).silent(uuid, now);
                self.perform(effects);
                lock(&self.leaving).leaves(identity)
            }
            Change::Forgotten(_) => {
                count(&counters.forgotten);
                tracing::warn!(%uuid, generation, "{node} counts as lost, and so do its copies");
                self.world.end(uuid);
                true
            }
            Change::Ended(_, fate) => {
                let (counter, how) = match fate {
                    Fate::Died => (&counters.died, "died"),
                    Fate::Left => (&counters.left, "left"),
                };
                count(counter);
                tracing::info!(%uuid, generation, "{node} {how}");
                self.world.end(uuid);
                true
            }
        }
    }

    /// What this node tells a peer about the members.
    pub(super) fn knowledge(&self) -> Vec<News> {
        lock(&self.membership).knowledge(self.world.boot_now())
    }

    /// What a peer told about the members.
    pub(super) fn learn(&self, source: IpAddr, news: Vec<News>) {
        self.step(Input::Learned { source, news });
    }

    /// When a member was last heard of, in milliseconds since the Unix epoch.
    pub(super) fn heard_unix_ms(&self, member: &Member) -> u64 {
        self.world
            .unix_now_ms()
            .saturating_sub(self.world.boot_now().since(member.heard))
    }

    /// The life that a member has, as far as is known.
    pub(super) fn life_of(&self, uuid: Uuid) -> Option<Life> {
        let membership = lock(&self.membership);
        let member = membership.members().get(uuid)?;
        Some((uuid, member.identity.generation))
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
