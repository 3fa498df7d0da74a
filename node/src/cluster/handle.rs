//! The handle that HTTP calls.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use repram_discovery::own_address::{AddressOrigin, AddressReport, KnownAddress};
use repram_discovery::peers::{Report, Sources};
use repram_discovery::supervised::SupervisorMessage;
use tokio::net::UdpSocket;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::asks::Asked;
use super::boot::Boot;
use super::caller::Caller;
use super::confirming::{CONFIRMATIONS, confirm};
use super::home::Home;
use super::joining::Joining;
use super::node::{Node, lock};
use super::sockets::Sockets;
use super::{
    ClusterConfig, ClusterCounters, GetOutcome, HandOver, KeysOutcome, Life, Me, PeerState,
    PeerView, PutOutcome, RefillView, counters,
};
use crate::clock::BootMillis;
use crate::door::Door;
use crate::membership::{Identity, Input, Liveness, Member, Names, Profile};
use crate::reach::Reach;
use crate::store::{Entry, Store};
use crate::stream::{Greeter, Host, Incoming, Shared, StreamCounters, Streams, boot_now_us, serve};
use crate::wire::frame::Request;
use crate::wire::{Datagrams, Seal};
use repram_config::ReplicationFactor;

/// Why a cluster could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A gossip socket could not be used.
    #[error("gossip socket could not be used")]
    Socket(#[from] io::Error),
}

/// A handle to the cluster: cheap to clone, usable from every thread.
///
/// Its tasks run on the runtime on which it was started, until [`Cluster::leave`].
#[derive(Clone)]
pub struct Cluster {
    node: Arc<Node<Sockets>>,
    shared: Arc<Shared>,
    sources: Arc<Sources>,
    tasks: Arc<Mutex<JoinSet<()>>>,
    /// Whether joining was seen to be over: the quick look of every request.
    seen_joined: Arc<AtomicBool>,
}

/// How long a request waits for the node to join: longer than a round of discovery takes at
/// worst, and shorter than clients wait.
const JOINED_WITHIN: Duration = Duration::from_secs(5);

impl Cluster {
    /// Starts membership, streams and coordination on the current runtime.
    ///
    /// # Errors
    /// When a socket cannot be handed to the runtime.
    pub async fn start(
        config: ClusterConfig,
        store: Arc<Store>,
        gossip_tcp: std::net::TcpListener,
        gossip_udp: std::net::UdpSocket,
        siblings: Option<mpsc::Receiver<SupervisorMessage>>,
    ) -> Result<Self, StartError> {
        let seal = Seal::new(
            config.keys,
            &config.identity.domain,
            &config.identity.network,
        );
        let siblings_at = siblings_at(gossip_tcp.local_addr()?.ip());
        gossip_udp.set_nonblocking(true)?;
        let door = Door::new(gossip_tcp)?;
        let socket = UdpSocket::from_std(gossip_udp)?;

        let boot = Boot::of_this_kernel();
        let identity = identity(&config.identity, boot.host);
        let address = config.address;
        let profile = profile(&identity, address.own.known());
        let reach = Arc::new(Reach::new(address.own, address.ports, siblings_at));
        let copies = match config.replication_factor {
            ReplicationFactor::Count(copies) => usize::from(copies),
            ReplicationFactor::All => usize::MAX,
        };
        let wait = config.write_timeout;
        let datagrams = Datagrams::new(&seal, identity.uuid, identity.generation);
        let (confirmations, to_confirm) = mpsc::channel(CONFIRMATIONS);
        let world = Sockets::new(socket, datagrams, Arc::clone(&reach), confirmations);
        let seed = chance();
        let node = Node::new(identity, profile, world, store, copies, wait, seed);
        let node = Arc::new(node);
        let shared = Arc::new(Shared {
            greeter: Greeter {
                seal,
                clock: boot.clock,
            },
            host: Arc::clone(&node) as Arc<dyn Host>,
            reach: Arc::clone(&reach),
            counters: StreamCounters::default(),
            incoming: Incoming::default(),
        });
        let streams = Streams::new(Arc::clone(&shared), Handle::current());
        node.world.set_streams(streams);

        let sources = Arc::new(Sources::new(config.sources));
        let joining = Joining {
            node: Arc::clone(&node),
            sources: Arc::clone(&sources),
            sibling_ports: config.sibling_ports,
            reach: Arc::clone(&reach),
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(receive(Arc::clone(&node)));
        tasks.spawn(wake(Arc::clone(&node)));
        tasks.spawn(confirm(Arc::clone(&node), to_confirm));
        tasks.spawn(follow_address(Arc::clone(&node), reach.own().watch()));
        if let Some((hostinfo, refresh)) = address.hostinfo {
            let own = reach.own().clone();
            tasks.spawn(async move { own.keep_asking(hostinfo, refresh).await });
        }
        let serving = Arc::clone(&shared);
        tasks.spawn(async move { match serve(door, serving).await {} });
        tasks.spawn(joining.run(siblings));
        Ok(Self {
            node,
            shared,
            sources,
            tasks: Arc::new(Mutex::new(tasks)),
            seen_joined: Arc::default(),
        })
    }

    /// Writes a value. `ttl_s` is already clamped, and the buffer of a large value (see
    /// [`Store::put`]) is accounted. Before the node has
    /// [joined](Self::joined) it waits for that, and is unavailable when it takes too long.
    pub async fn put(&self, key: Bytes, value: Bytes, ttl_s: u32) -> PutOutcome {
        if !self.has_joined().await {
            return PutOutcome::Unavailable;
        }
        self.node.put(key, value, ttl_s).await
    }

    /// Spares wake-ups of the thread that this runs on: what ends together for requests that
    /// were made on it is told to it together. For every thread that asks but the one that
    /// started the cluster.
    pub async fn at_home() -> std::convert::Infallible {
        Home::keep().await
    }

    /// Whether the node was seen to have [joined](Self::joined).
    #[must_use]
    pub fn is_joined(&self) -> bool {
        self.seen_joined.load(Ordering::Relaxed)
    }

    /// Begins what [`Cluster::put`] does, when the node has joined: where its end will be
    /// told, or how it ended already.
    ///
    /// # Errors
    /// The outcome of a write that could not begin.
    pub fn begin_put(
        &self,
        key: Bytes,
        value: Bytes,
        ttl_s: u32,
    ) -> Result<oneshot::Receiver<PutOutcome>, PutOutcome> {
        self.node.begin_put(key, value, ttl_s)
    }

    /// What [`Cluster::get`] finds, when the node has joined and can answer by itself.
    #[must_use]
    pub fn get_at_once(&self, key: &[u8], now: BootMillis) -> Option<Entry> {
        self.node.get_at_once(key, now)
    }

    /// Reads a value. Before the node has [joined](Self::joined) it waits for that, and
    /// does not know when it takes too long.
    pub async fn get(&self, key: &Bytes) -> GetOutcome {
        if !self.has_joined().await {
            return GetOutcome::Unknown;
        }
        self.node.get(key).await
    }

    /// Lists live keys in byte order: at most `limit` (and at most 10,000) that start with
    /// `prefix` and come after `after`.
    pub async fn keys(&self, prefix: Bytes, after: Option<Bytes>, limit: usize) -> KeysOutcome {
        if !self.has_joined().await {
            return KeysOutcome::Unknown;
        }
        self.node.keys(prefix, after, limit).await
    }

    /// The other members, in order of UUID, those included whose life has ended within the
    /// last hour.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerView> {
        lock(&self.node.membership)
            .members()
            .iter()
            .map(|member| peer_view(&self.node, member))
            .collect()
    }

    /// Waits until the first discovery round is over and every member found is joined: from
    /// then on the node may say that it is ready.
    pub async fn joined(&self) {
        let mut joined = self.node.joined.subscribe();
        // The node keeps the sender, so there is always an end to wait for.
        let _ = joined.wait_for(|joined| *joined).await;
    }

    /// Waits until this node has joined, but not for ever; whether it has.
    ///
    /// A node that does not know its peers would take itself for all there is: it would
    /// acknowledge what only it has, and miss what only others have. Connections come in
    /// that early because the socket listens before the process exists.
    async fn has_joined(&self) -> bool {
        if self.seen_joined.load(Ordering::Relaxed) {
            return true;
        }
        let joined = timeout(JOINED_WITHIN, self.joined()).await.is_ok();
        self.seen_joined.fetch_or(joined, Ordering::Relaxed);
        joined
    }

    /// Each discovery source and its last round.
    #[must_use]
    pub fn discovery_report(&self) -> Vec<Report> {
        self.sources.reports()
    }

    /// Our own address and how we know it.
    #[must_use]
    pub fn address_report(&self) -> AddressReport {
        self.shared.reach.own().report()
    }

    /// Whether `ip` is an address of this host, as its nodes tell it.
    #[must_use]
    pub fn is_here(&self, ip: IpAddr) -> bool {
        ip.is_loopback() || self.shared.reach.own().is_own(ip)
    }

    /// The port of a node on this host whose public number is `public`.
    #[must_use]
    pub fn port_here(&self, public: u16) -> u16 {
        self.shared.reach.port_here(public)
    }

    /// Asks other hosts back over their gossip ports.
    #[must_use]
    pub fn caller(&self) -> Caller {
        Caller::new(Arc::clone(&self.shared))
    }

    /// Progress of the refill.
    #[must_use]
    pub fn refill(&self) -> RefillView {
        let progress = lock(&self.node.refill).progress();
        RefillView {
            waiting_for: progress.waiting_for,
            entries: progress.entries,
            bytes: progress.bytes,
        }
    }

    /// How late a deadline may become that goes to a peer on another clock, or comes from it:
    /// the largest of all peers.
    #[must_use]
    pub fn lateness(&self) -> Duration {
        self.node.world.streams().lateness()
    }

    /// Counters since the start.
    #[must_use]
    pub fn counters(&self) -> ClusterCounters {
        counters::of(&self.node, &self.shared.counters)
    }

    /// Hands over what would lose copies without this node, to those who stay: not to
    /// `leaving_too`. From here on this node does not count any more; it still answers, and
    /// [`Cluster::leave`] is to follow. It ends when all have taken over everything. It may be
    /// dropped and called again when more is known of who leaves.
    pub async fn hand_over(&self, leaving_too: &[Life]) {
        let mut over = self.node.handed_over.subscribe();
        self.node.begin_leave(leaving_too);
        self.node.world.alarm.at_latest(self.node.next_deadline());
        // The node keeps the sender, so there is always an end to wait for.
        let _ = over.wait_for(|over| *over).await;
    }

    /// What became of the values that this node has; what nobody took over is counted.
    pub fn count_left_behind(&self) -> HandOver {
        let result = self.node.hand_over();
        let (HandOver::Incomplete(left) | HandOver::NobodyStays(left)) = result else {
            return result;
        };
        let counter = &self.node.counters.left_behind;
        counter.fetch_add(left, Ordering::Relaxed);
        result
    }

    /// Tells the peers that this node leaves, and ends all tasks: when every peer has
    /// understood, or after `within`. Those that leave at the same time are told as well,
    /// and not waited for. Later calls of the other methods are answered from what this
    /// node knew then.
    pub async fn leave(&self, within: Duration, leaving_too: &[Life]) {
        let (waiting, mut all_done) = mpsc::unbounded_channel::<()>();
        let (unheard, _) = mpsc::unbounded_channel();
        for peer in self.node.world.streams().up() {
            let life = self.node.life_of(peer);
            let waits = if life.is_some_and(|life| leaving_too.contains(&life)) {
                &unheard
            } else {
                &waiting
            };
            let id = self.node.asks.note(peer, Asked::Farewell(waits.clone()));
            // A peer whose queue is full finds out by our silence.
            if self
                .node
                .world
                .streams()
                .send(
                    peer,
                    Request::Leaving {
                        id,
                        view: 0,
                        together: Vec::new(),
                        going: true,
                    },
                )
                .is_err()
            {
                self.node.asks.forget(id);
            }
        }
        drop(waiting);
        // Those who were told say so to all, and it is not to be objected to.
        self.node.step(Input::Leave);
        // It ends when the last question is answered or lost.
        let _ = timeout(within, all_done.recv()).await;
        self.node.world.streams().end_all();
        lock(&self.tasks).abort_all();
    }
}

#[cfg(test)]
impl Cluster {
    /// What is behind the handle.
    pub(super) fn node(&self) -> &Node<Sockets> {
        &self.node
    }

    /// Ends all tasks and tells nobody, as the kernel would for a process that is killed.
    pub(super) fn kill(&self) {
        lock(&self.tasks).abort_all();
        self.node.world.streams().end_all();
    }
}

/// Reads datagrams as they come.
async fn receive(node: Arc<Node<Sockets>>) {
    loop {
        node.world.readable().await;
        while node.receive() {
            // Everything else on this thread gets its turn in a flood, too.
            tokio::task::yield_now().await;
        }
    }
}

/// Wakes the cores when they want to be.
async fn wake(node: Arc<Node<Sockets>>) {
    loop {
        node.world.alarm.wait(|| node.next_deadline()).await;
        node.tick();
    }
}

/// Tells the members when our address has changed.
async fn follow_address(node: Arc<Node<Sockets>>, mut address: watch::Receiver<KnownAddress>) {
    loop {
        let ip = address.borrow_and_update().ip;
        node.step(Input::Moved(ip));
        if address.changed().await.is_err() {
            return;
        }
    }
}

/// Whoever tells a loopback address has members on this machine only, unless it merely does
/// not know its address.
fn profile(identity: &Identity, known: KnownAddress) -> Profile {
    if identity.gossip.ip().is_loopback() && known.origin != AddressOrigin::Unknown {
        Profile::Machine
    } else {
        Profile::Network
    }
}

fn identity(me: &Me, host: u64) -> Identity {
    Identity {
        uuid: me.uuid,
        generation: me.generation,
        renewal: 0,
        host,
        gossip: me.gossip,
        http_port: me.http.port(),
        names: Arc::new(Names::new(&me.node_id, &me.enclave)),
        fate: None,
    }
}

/// A seed for choices that nobody needs to foresee or repeat.
fn chance() -> u64 {
    boot_now_us() ^ fastrand::u64(..)
}

/// Where the sockets of siblings are reached: they are bound like ours.
fn siblings_at(bound: IpAddr) -> IpAddr {
    match bound.to_canonical() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        // Dual-stack, or without IPv4: loopback of IPv4 works in all but the last case.
        IpAddr::V6(ip) if ip.is_unspecified() => {
            let v4 = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            match std::net::UdpSocket::bind(v4) {
                Ok(_) => Ipv4Addr::LOCALHOST.into(),
                Err(_) => Ipv6Addr::LOCALHOST.into(),
            }
        }
        bound => bound,
    }
}

fn peer_view(node: &Node<Sockets>, member: &Member) -> PeerView {
    let identity = &member.identity;
    PeerView {
        node_id: identity.names.node_id.clone(),
        uuid: identity.uuid,
        generation: identity.generation,
        http: identity.http(),
        gossip: identity.gossip,
        enclave: identity.names.enclave.clone(),
        state: match member.liveness {
            Liveness::Alive => PeerState::Alive,
            Liveness::Unreachable(_) => PeerState::Unreachable,
            Liveness::Forgotten(_) | Liveness::Ended(crate::membership::Fate::Died, _) => {
                PeerState::Dead
            }
            Liveness::Ended(crate::membership::Fate::Left, _) => PeerState::Left,
        },
        last_seen_unix_ms: node.heard_unix_ms(member),
    }
}
