//! From settings to a node that accepts requests.

use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroU32;
use std::sync::Arc;

use repram_config::{ClaimScope, Loaded, Settings};
use repram_discovery::addresses::{DomainAddresses, DomainName};
use repram_discovery::auth::ClusterKeys;
use repram_discovery::claim::conversation::{CallBack, Desk, DeskConfig};
use repram_discovery::domain::Location;
use repram_discovery::peers::{AnnouncedPeers, SiblingPorts};
use repram_discovery::slot::PortRange;
use repram_discovery::sockets::LoopbackGuard;
use repram_discovery::supervised::{Sibling, SupervisorMessage};
use tokio::sync::{mpsc, watch};
use tracing::info;

use super::address;
use super::beginning::{self, Alone, Beginning, Origin};
use super::failure::Failure;
use super::identity::Identity;
use super::orders::Line;
use super::sockets::NodeSockets;
use super::sources;
use super::workers::Worker;
use crate::cluster::{AddressConfig, Cluster, ClusterConfig, Me};
use crate::door::Door;
use crate::http::{
    Api, ApiConfig, Connections, Conversation, Doorman, Drain, Lifecycle, TtlBounds,
};
use crate::limits;
use crate::metrics::RequestMetrics;
use crate::store::{Store, StoreConfig};
use crate::supervised::Supervisor;

/// Shards per worker: with eight times as many shards as threads, two threads that are in
/// the store at the same moment meet in one of 16 cases on two cores.
const SHARDS_PER_WORKER: usize = 8;

/// Messages of the supervisor on their way to the cluster. Each has all there is to know, so
/// few are enough.
const SIBLINGS_QUEUE: usize = 4;

/// A node that accepts requests.
pub(super) struct Node {
    pub(super) settings: Settings,
    pub(super) cluster: Cluster,
    pub(super) store: Arc<Store>,
    pub(super) lifecycle: Arc<Lifecycle>,
    pub(super) connections: Arc<Connections>,
    pub(super) drain: watch::Sender<Drain>,
    pub(super) doorman: Doorman,
    pub(super) workers: Vec<Worker>,
    /// To the supervisor, if there is one.
    pub(super) line: Option<Line>,
    /// Accepted on while the node is ready.
    pub(super) ingress: Option<TcpListener>,
    /// Held for as long as the node lives: ports it must not lose.
    pub(super) held: Option<LoopbackGuard>,
    /// What it has without a supervisor.
    pub(super) alone: Option<Alone>,
}

/// Builds a node from its settings, and begins to accept. Must run on the main runtime.
///
/// # Errors
/// Whatever keeps it from starting; nothing is left behind.
pub(super) async fn start(loaded: Loaded, origin: Origin) -> Result<Node, Failure> {
    let range = range(&loaded.settings)?;
    let beginning = match origin {
        Origin::Moved(moved) => beginning::again(&loaded, *moved).await?,
        Origin::Fresh(inherited) => match Supervisor::of_this_process()? {
            Some(supervisor) => beginning::under(supervisor, &loaded, inherited, &range).await?,
            None => beginning::alone(&loaded, inherited, range).await?,
        },
    };
    build(loaded, beginning, range).await
}

/// `load` has checked the range as a whole, so this fails on a mistake of ours only.
fn range(settings: &Settings) -> Result<PortRange, Failure> {
    PortRange::new(
        settings.base_port,
        settings.max_ports,
        settings.gossip_port_offset,
    )
    .map_err(|error| Failure::System {
        what: "the range of ports cannot be used",
        source: std::io::Error::other(error),
    })
}

async fn build(loaded: Loaded, beginning: Beginning, range: PortRange) -> Result<Node, Failure> {
    let Beginning {
        identity,
        keys,
        sockets,
        claim,
        pass_on,
        alone,
        supervisor,
        location,
    } = beginning;
    let settings = &loaded.settings;
    let workers = limits::workers();
    let store = store(&loaded, supervisor.is_some(), workers)?;
    let address = address(settings, &location).await?;
    let ports = Ports::of(&sockets)?;
    let me = me(settings, identity, &address, ports);
    introduce(&me, ports);

    let announced = AnnouncedPeers::default();
    let sibling_ports = SiblingPorts::default();
    let config = ClusterConfig {
        identity: me.clone(),
        keys: keys.clone(),
        replication_factor: settings.replication_factor,
        write_timeout: settings.write_timeout,
        sources: sources::of(settings, &me, range, &sibling_ports, &announced, &address)?,
        address,
        sibling_ports,
    };
    let (line, siblings) = supervisor.map(line).unzip();
    let (gossip, gossip_udp) = (sockets.gossip, sockets.gossip_udp);
    let cluster = Cluster::start(config, Arc::clone(&store), gossip, gossip_udp, siblings).await?;

    let public = address::public_ports(settings);
    let desk = desk(settings, range, keys, &cluster)?;
    let conversation = Conversation::new(desk, range, public, me.uuid, claim, announced, pass_on);
    let lifecycle = Arc::new(Lifecycle::default());
    let api = Arc::new(Api::new(
        api_config(settings, me, ports.http),
        cluster.clone(),
        Arc::clone(&store),
        Arc::clone(&lifecycle),
        conversation,
        Arc::new(RequestMetrics::new(workers)),
    ));
    let most = limits::connections_max(settings, line.is_some());
    let connections = Arc::new(Connections::new(most, workers));
    let (drain, drained) = watch::channel(Drain::Open);
    let doorman = Doorman {
        api,
        connections: Arc::clone(&connections),
        drain: drained,
        worker: 0,
    };
    let workers = open_doors(&doorman, sockets.http, workers)?;
    Ok(Node {
        settings: loaded.settings,
        cluster,
        store,
        lifecycle,
        connections,
        drain,
        doorman,
        workers,
        line,
        ingress: sockets.ingress,
        held: sockets.guard,
        alone,
    })
}

/// The line that every node writes at its start.
fn introduce(me: &Me, ports: Ports) {
    info!(
        uuid = %me.uuid,
        generation = me.generation,
        http = ports.http,
        gossip = ports.gossip,
        version = env!("CARGO_PKG_VERSION"),
        "{} starts", me.node_id
    );
}

/// Where other hosts reach this one.
async fn address(settings: &Settings, location: &Location) -> Result<AddressConfig, Failure> {
    let address = address::of(settings, location).await;
    address.map_err(|error| Failure::System {
        what: "the platform cannot be asked for our address",
        source: std::io::Error::other(error),
    })
}

/// Where claimants of the domain are listened to. Those who share ports with other hosts
/// tell of their claims over HTTP; everybody else is asked back over the gossip port, which
/// may be all that is open between hosts.
fn desk(
    settings: &Settings,
    range: PortRange,
    keys: Option<ClusterKeys>,
    cluster: &Cluster,
) -> Result<Desk, Failure> {
    let domain = DomainName(settings.discovery_domain.clone());
    let call_back: Option<Arc<dyn CallBack>> = match settings.claim_scope {
        ClaimScope::Host => Some(Arc::new(cluster.caller())),
        ClaimScope::Domain => None,
    };
    let config = DeskConfig {
        range,
        ports: address::public_ports(settings),
        bind: settings.bind_address,
        keys,
        addresses: Arc::new(DomainAddresses::new(Box::new(domain))),
        call_back,
    };
    Desk::new(config).map_err(|error| Failure::System {
        what: "announced peers cannot be asked back",
        source: std::io::Error::other(error),
    })
}

fn store(loaded: &Loaded, supervised: bool, workers: usize) -> Result<Arc<Store>, Failure> {
    let limit = limits::storage_limit(&loaded.settings, supervised);
    let limit_bytes = limit.map_err(|too_small| {
        let allowed = "at least 1 MiB for a node: more memory, fewer nodes, or this setting";
        let problem = loaded.problem("max_storage_mb", too_small.to_string(), allowed);
        Failure::Settings(problem.into())
    })?;
    Ok(Arc::new(Store::new(StoreConfig {
        limit_bytes,
        shards: workers * SHARDS_PER_WORKER,
    })))
}

/// The supervisor's line to the cluster, with the siblings it began with already on it.
fn line(
    (supervisor, siblings): (Supervisor, Vec<Sibling>),
) -> (Line, mpsc::Receiver<SupervisorMessage>) {
    let (cluster, receiver) = mpsc::channel(SIBLINGS_QUEUE);
    let first = cluster.try_send(SupervisorMessage::Siblings(siblings.clone()));
    first.expect("a new queue has room");
    let line = Line {
        supervisor,
        cluster,
        siblings,
    };
    (line, receiver)
}

#[derive(Clone, Copy)]
struct Ports {
    http: u16,
    gossip: u16,
}

impl Ports {
    fn of(sockets: &NodeSockets) -> Result<Self, Failure> {
        let port = |port: std::io::Result<u16>| {
            port.map_err(|source| Failure::System {
                what: "a socket has no port",
                source,
            })
        };
        Ok(Self {
            http: port(sockets.http_port())?,
            gossip: port(sockets.gossip_port())?,
        })
    }
}

fn me(settings: &Settings, identity: Identity, address: &AddressConfig, ports: Ports) -> Me {
    let ip = address.own.known().ip;
    let at = |port| SocketAddr::new(ip, address.ports.public(port));
    Me {
        node_id: identity.node_id,
        uuid: identity.uuid,
        generation: identity.generation,
        http: at(ports.http),
        gossip: at(ports.gossip),
        enclave: settings.enclave.clone(),
        network: settings.network.clone(),
        domain: settings.discovery_domain.clone(),
    }
}

fn api_config(settings: &Settings, me: Me, port: u16) -> ApiConfig {
    ApiConfig {
        me,
        port,
        discovery_enabled: settings.use_auto_discovery,
        claim_scope: settings.claim_scope,
        ttl: TtlBounds {
            min: settings.min_ttl,
            max: settings.max_ttl,
            default: settings.default_ttl,
        },
        rate_limit: NonZeroU32::new(settings.rate_limit),
        trust_proxy: settings.trust_proxy,
    }
}

/// Lets every worker accept on `listener`; the first is the main thread's own.
fn open_doors(
    doorman: &Doorman,
    listener: TcpListener,
    workers: usize,
) -> Result<Vec<Worker>, Failure> {
    let system = |source| Failure::System {
        what: "the HTTP socket cannot be used",
        source,
    };
    let mut others = Vec::with_capacity(workers.saturating_sub(1));
    for worker in 1..workers {
        let copy = listener.try_clone().map_err(system)?;
        others.push(Worker::start(
            Doorman {
                worker,
                ..doorman.clone()
            },
            copy,
        )?);
    }
    tokio::spawn(doorman.clone().run(Door::new(listener).map_err(system)?));
    Ok(others)
}
