//! The shell.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::IpAddr;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use uuid::Uuid;

use super::config::{Applicant, ClaimerConfig};
use super::courier::Courier;
use super::event::{ClaimEvent, Refused, Rival};
use super::fronts::{Fronts, Incoming};
use super::view::{OtherClaim, OwnClaim};
use crate::addresses::DomainAddresses;
use crate::claim::conversation::{Desk, DeskConfig, Speaker};
use crate::claim::core::{
    Claim, Claims, Config, Input, Message, Newcomer, Output, Scope, Standing,
};
use crate::public_ports::PublicPorts;
use crate::slot::PortRange;
use crate::sockets::{SlotSockets, SlotTaken};

/// What comes in and was not looked at yet. The tasks that have something wait when it is
/// full, so it only has to be large enough to keep them busy.
const INBOX_MAX: usize = 256;

/// Claims slots over a domain for the nodes of one process.
///
/// It binds the slots that the rules choose, answers on the HTTP socket of each until a node
/// does ([`Self::hand_over`]), tells the other hosts of the domain what it holds, and takes
/// in what they say. It does nothing by itself: its user calls [`Self::next`] in a loop and
/// acts on each [`ClaimEvent`].
pub struct Claimer {
    pub(super) range: PortRange,
    pub(super) ports: PublicPorts,
    pub(super) bind: IpAddr,
    pub(super) addresses: Arc<DomainAddresses>,
    pub(super) core: Claims<fastrand::Rng>,
    pub(super) began: Instant,
    pub(super) applicants: BTreeMap<Uuid, Entry>,
    /// The slots that are held here and not settled.
    pub(super) held: BTreeMap<u16, SlotSockets>,
    pub(super) fronts: Fronts,
    pub(super) courier: Courier,
    pub(super) desk: Arc<Desk>,
    pub(super) inbox: mpsc::Receiver<Incoming>,
    pub(super) events: VecDeque<ClaimEvent>,
    /// The hosts of the others.
    pub(super) hosts: BTreeMap<Uuid, IpAddr>,
    /// Who is being answered: it hears our claim with the answer.
    pub(super) answering: Option<Uuid>,
    _look_ups: JoinSet<()>,
}

/// What is kept of a claimant beside the core.
pub(super) struct Entry {
    pub(super) node_id: String,
    pub(super) generation: u64,
    /// Since when it stands where it stands.
    pub(super) since: Instant,
    /// The latest claim that others were told.
    pub(super) told: Option<Claim>,
    /// Why slots of this host could not be had when they were tried last.
    pub(super) taken: BTreeMap<u16, SlotTaken>,
}

impl Claimer {
    /// A claimer for nobody yet. Looks the domain up before it returns, which takes at most
    /// [`crate::domain::RESOLVE_TIMEOUT`]; where that fails we are alone for now.
    ///
    /// # Errors
    /// When the HTTP client cannot be made.
    pub async fn new(config: ClaimerConfig) -> reqwest::Result<Self> {
        let (range, bind, keys) = (config.range, config.bind, config.keys);
        let ports = config.ports;
        let addresses = config.addresses;
        let desk = Arc::new(Desk::new(DeskConfig {
            range,
            ports: ports.clone(),
            bind,
            keys: keys.clone(),
            addresses: Arc::clone(&addresses),
            // What is claimed is told over HTTP only.
            call_back: None,
        })?);
        let speaker = Speaker::new(range, bind, keys)?;
        addresses.refreshed(Duration::ZERO).await;
        let mut look_ups = JoinSet::new();
        look_ups.spawn(keep_looking(Arc::clone(&addresses), config.timing.refresh));
        let (sender, inbox) = mpsc::channel(INBOX_MAX);
        let core = Config {
            scope: Scope::Domain,
            slots: range.count(),
            incarnation: config.incarnation,
        };
        Ok(Self {
            range,
            ports,
            bind,
            addresses,
            core: Claims::with_timing(core, config.timing, fastrand::Rng::new()),
            began: Instant::now(),
            applicants: BTreeMap::new(),
            held: BTreeMap::new(),
            fronts: Fronts::new(Arc::clone(&desk), sender.clone(), config.about),
            courier: Courier::new(speaker, sender),
            desk,
            inbox,
            events: VecDeque::new(),
            hosts: BTreeMap::new(),
            answering: None,
            _look_ups: look_ups,
        })
    }

    /// These want slots, and choose in this order.
    ///
    /// # Panics
    /// When one of them has joined before and not left.
    pub fn join(&mut self, applicants: Vec<Applicant>) {
        let mut newcomers = Vec::with_capacity(applicants.len());
        for applicant in applicants {
            newcomers.push(Newcomer {
                uuid: applicant.uuid,
                last_slot: applicant.last_slot,
                start: applicant.start,
            });
            self.desk.add_own(applicant.uuid);
            let entry = Entry {
                node_id: applicant.node_id,
                generation: applicant.generation,
                since: Instant::now(),
                told: None,
                taken: BTreeMap::new(),
            };
            self.applicants.insert(applicant.uuid, entry);
        }
        self.feed(Input::Join(newcomers));
    }

    /// Waits for the next thing to act on. May be dropped at any time; nothing happens
    /// while nobody waits.
    pub async fn next(&mut self) -> ClaimEvent {
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            let deadline = self.core.next_deadline().map(|at| self.began + at);
            tokio::select! {
                Some(incoming) = self.inbox.recv() => self.take(incoming),
                () = self.fronts.serve_next() => {}
                () = at(deadline) => self.feed(Input::Tick),
            }
        }
    }

    /// A node answers on the HTTP socket of the slot from now on, and the claimer no more.
    pub fn hand_over(&mut self, slot: u16) {
        self.fronts.close(slot);
    }

    /// No node answers on `http`, the HTTP socket of the settled slot, for a while: the
    /// claimer does, because a claim that nobody can ask for is not believed.
    ///
    /// # Errors
    /// When the socket cannot be shared.
    pub fn take_back(&mut self, slot: u16, http: BorrowedFd<'_>) -> io::Result<()> {
        self.fronts.open(slot, http)
    }

    /// Nothing of the claimant runs any more in the slot that it had to leave.
    pub fn vacated(&mut self, uuid: Uuid, slot: u16) {
        self.feed(Input::Vacated { uuid, slot });
    }

    /// The claimant needs no slot any more: lets go of what is held for it here, and tells
    /// the others. [`Self::next`] says nothing of it any more.
    pub fn leave(&mut self, uuid: Uuid) {
        // A slot that settled a moment ago is not to be taken for one that is claimed.
        self.events.retain(|event| event.uuid() != Some(uuid));
        self.feed(Input::Leave(uuid));
        self.desk.remove_own(uuid);
        self.applicants.remove(&uuid);
    }

    /// A node that answers for a slot of ours has heard of a claim to it, and believes it.
    pub fn heard(&mut self, claim: Claim, host: Option<IpAddr>) {
        self.note_host(claim.uuid, host);
        self.feed(Input::Received(Message::Announce(claim)));
    }

    /// The claim of one of our claimants, as others are told it.
    #[must_use]
    pub fn claim_of(&self, uuid: Uuid) -> Option<Claim> {
        self.core.claims().find(|claim| claim.uuid == uuid)
    }

    /// Whether one of our claimants has a settled slot.
    #[must_use]
    pub fn has_settled(&self, uuid: Uuid) -> bool {
        let claim = self.claim_of(uuid);
        claim.is_some_and(|claim| claim.standing == Standing::Settled)
    }

    /// All slots that are held for our claimants, those that they have to leave included.
    pub fn own(&self) -> impl Iterator<Item = OwnClaim> {
        let since = |uuid| self.applicants[&uuid].since;
        let claims = self.core.claims().map(move |claim| OwnClaim {
            slot: claim.slot,
            uuid: claim.uuid,
            standing: Some(claim.standing),
            since: since(claim.uuid),
        });
        let leaving = self.core.leaving().map(move |(uuid, slot, _)| OwnClaim {
            slot,
            uuid,
            standing: None,
            since: since(uuid),
        });
        claims.chain(leaving)
    }

    /// The addresses of the domain's hosts, our own among them.
    #[must_use]
    pub fn hosts(&self) -> Arc<[IpAddr]> {
        self.addresses.known()
    }

    /// What others are believed to hold: those with whom we met on a slot lately.
    pub fn others(&self) -> impl Iterator<Item = OtherClaim> {
        self.core.neighbours().map(|claim| OtherClaim {
            slot: claim.slot,
            uuid: claim.uuid,
            standing: claim.standing,
            host: self.hosts.get(&claim.uuid).copied(),
        })
    }

    /// Everybody leaves. Returns when the others were told, or at `limit`. The sockets of
    /// settled slots are to be let go of before.
    pub async fn farewell(mut self, limit: Duration) {
        let everybody: Vec<Uuid> = self.applicants.keys().copied().collect();
        for uuid in everybody {
            self.leave(uuid);
        }
        // Who could not be told finds out by itself.
        let _ = timeout(limit, self.courier.finish(self.inbox)).await;
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Hands `input` to the core and does what it says, and what that leads to.
    pub(super) fn feed(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let now = self.now();
            for output in self.core.handle(input, now) {
                inputs.extend(self.perform(output));
            }
        }
    }

    fn perform(&mut self, output: Output) -> Option<Input> {
        match output {
            Output::Bind { uuid, slot } => return Some(self.bind(uuid, slot)),
            Output::Release { slot } => self.release(slot),
            Output::Tentative { uuid, slot } => {
                tracing::debug!(%uuid, slot, "slot claimed for the time being");
                self.entry(uuid).since = Instant::now();
                self.answer_on(slot);
            }
            Output::Settled { uuid, slot } => self.settled(uuid, slot),
            Output::Yield { uuid, slot, until } => {
                let until = self.began + until;
                self.entry(uuid).since = Instant::now();
                self.events
                    .push_back(ClaimEvent::Yield { uuid, slot, until });
            }
            Output::NoPort { uuid } => self.no_port(uuid),
            Output::Send { to, message } => self.send(to, &message),
        }
        None
    }

    fn bind(&mut self, uuid: Uuid, slot: u16) -> Input {
        let place = self.range.slot(slot);
        let place = place.expect("the core knows how many slots there are");
        match SlotSockets::bind(self.bind, place) {
            Ok(sockets) => {
                self.held.insert(slot, sockets);
                Input::Bound(slot)
            }
            Err(taken) => {
                tracing::debug!(%uuid, error = %taken, cause = %taken.source, "slot not had");
                self.entry(uuid).taken.insert(slot, taken);
                Input::Taken(slot)
            }
        }
    }

    fn release(&mut self, slot: u16) {
        self.fronts.close(slot);
        if self.held.remove(&slot).is_none() {
            self.events.push_back(ClaimEvent::Released { slot });
        }
    }

    fn answer_on(&mut self, slot: u16) {
        let Some(sockets) = self.held.get(&slot) else {
            return;
        };
        if let Err(error) = self.fronts.open(slot, sockets.http()) {
            // Others do not believe a claim that they cannot ask for, and we go on hearing
            // theirs by the answers to ours.
            tracing::warn!(slot, %error, "could not answer on a claimed port");
        }
    }

    fn settled(&mut self, uuid: Uuid, slot: u16) {
        let sockets = self
            .held
            .remove(&slot)
            .expect("what settles was held until now");
        let claim = self.claim_of(uuid).expect("it has just settled");
        let entry = self.entry(uuid);
        entry.since = Instant::now();
        entry.taken.clear();
        self.events
            .push_back(ClaimEvent::Settled { claim, sockets });
    }

    fn no_port(&mut self, uuid: Uuid) {
        let entry = self.entry(uuid);
        entry.since = Instant::now();
        let tried = std::mem::take(&mut entry.taken).into_values().collect();
        let mut rivals: Vec<Rival> = self
            .core
            .neighbours()
            .filter_map(|claim| {
                let port = self.range.slot(claim.slot)?.http;
                Some(Rival {
                    port,
                    uuid: claim.uuid,
                })
            })
            .collect();
        rivals.sort_unstable_by_key(|rival| rival.port);
        let refused = Refused {
            uuid,
            tried,
            rivals,
        };
        self.events.push_back(ClaimEvent::NoPort(refused));
    }

    /// The claim of this process to `slot`.
    pub(super) fn holder(&self, slot: u16) -> Option<Claim> {
        self.core.claims().find(|claim| claim.slot == slot)
    }

    pub(super) fn entry(&mut self, uuid: Uuid) -> &mut Entry {
        self.applicants
            .get_mut(&uuid)
            .expect("the core speaks of those who joined")
    }
}

impl std::fmt::Debug for Claimer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Claimer")
            .field("core", &self.core)
            .finish_non_exhaustive()
    }
}

/// Looks the domain up about once in `pause`. The jitter keeps hosts that start together
/// from asking their name server together for ever.
async fn keep_looking(addresses: Arc<DomainAddresses>, pause: Duration) {
    loop {
        sleep(pause.mul_f64(0.8 + 0.2 * fastrand::f64())).await;
        addresses.refreshed(Duration::ZERO).await;
    }
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
