//! What the node says of itself and of the others.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Response, StatusCode};
use repram_config::ClaimScope;
use repram_discovery::own_address::AddressReport;
use repram_discovery::peers::{Health, HealthStatus, ListedPeer, Peers, Report, UnixMillis};
use serde::Serialize;
use uuid::Uuid;

use super::Stage;
use super::api::Api;
use super::reply::{self, Reply};
use crate::cluster::{PeerState, PeerView};
use crate::{clock, limits, metrics};

const fn word(stage: Stage) -> HealthStatus {
    match stage {
        Stage::Starting => HealthStatus::Starting,
        Stage::Serving => HealthStatus::Healthy,
        Stage::Draining => HealthStatus::Draining,
    }
}

fn uptime_s(api: &Api) -> u64 {
    clock::boot_now().since(api.started) / 1000
}

fn active(peers: &[PeerView]) -> usize {
    peers
        .iter()
        .filter(|peer| peer.state == PeerState::Alive)
        .count()
}

/// `GET /health`.
pub(super) fn health(api: &Api) -> Response<Reply> {
    let stage = api.lifecycle.stage();
    let status = match stage {
        Stage::Serving => StatusCode::OK,
        Stage::Starting | Stage::Draining => StatusCode::SERVICE_UNAVAILABLE,
    };
    let health = Health {
        status: word(stage),
        node_id: api.me.node_id.clone(),
        uuid: api.me.uuid,
        generation: api.me.generation,
        port: api.port,
        uptime: uptime_s(api),
        domain: api.me.domain.clone(),
        network: api.me.network.clone(),
        enclave: api.me.enclave.clone(),
        discovery_enabled: api.discovery_enabled,
        active_peers: active(&api.cluster.peers()),
        claim: api.conversation.claim(),
    };
    reply::json(status, &health)
}

/// `GET /peers`.
pub(super) fn peers(api: &Api) -> Response<Reply> {
    let peers = api.cluster.peers();
    let listed = peers.iter().map(|peer| ListedPeer {
        node_id: peer.node_id.clone(),
        uuid: peer.uuid,
        address: ListedPeer::address_of(peer.http),
        port: peer.http.port(),
        gossip_port: peer.gossip.port(),
        state: peer.state.as_str(),
        last_seen: UnixMillis(peer.last_seen_unix_ms),
    });
    let body = Peers {
        peers: listed.collect(),
        claimed_ports: claimed_ports(api, &peers),
        last_updated: UnixMillis(clock::unix_now_ms()),
    };
    reply::json(StatusCode::OK, &body)
}

/// The HTTP ports held in this scope: our own, and those of the members that have not gone.
/// In scope `host` only members behind our own address count.
fn claimed_ports(api: &Api, peers: &[PeerView]) -> Vec<u16> {
    let in_scope = |peer: &&PeerView| match api.claim_scope {
        ClaimScope::Domain => true,
        ClaimScope::Host => api.cluster.is_here(peer.http.ip().to_canonical()),
    };
    let holds = |peer: &&PeerView| match peer.state {
        PeerState::Alive | PeerState::Unreachable => true,
        PeerState::Dead | PeerState::Left => false,
    };
    let others = peers
        .iter()
        .filter(holds)
        .filter(in_scope)
        .map(|peer| api.cluster.port_here(peer.http.port()));
    let mut ports: Vec<u16> = others.chain([api.port]).collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

#[derive(Serialize)]
struct Topology<'a> {
    node_id: &'a str,
    uuid: Uuid,
    enclave: &'a str,
    network: &'a str,
    peers: Vec<TopologyPeer<'a>>,
}

/// A peer as clients of the second version read it, and its health.
#[derive(Serialize)]
struct TopologyPeer<'a> {
    id: &'a str,
    uuid: Uuid,
    generation: u64,
    address: String,
    http_port: u16,
    gossip_port: u16,
    enclave: &'a str,
    state: &'static str,
    healthy: bool,
    last_seen: UnixMillis,
}

/// `GET /topology`.
pub(super) fn topology(api: &Api) -> Response<Reply> {
    let peers = api.cluster.peers();
    let peers = peers.iter().map(|peer| TopologyPeer {
        id: &peer.node_id,
        uuid: peer.uuid,
        generation: peer.generation,
        address: ListedPeer::address_of(peer.http),
        http_port: peer.http.port(),
        gossip_port: peer.gossip.port(),
        enclave: &peer.enclave,
        state: peer.state.as_str(),
        healthy: peer.state == PeerState::Alive,
        last_seen: UnixMillis(peer.last_seen_unix_ms),
    });
    let body = Topology {
        node_id: &api.me.node_id,
        uuid: api.me.uuid,
        enclave: &api.me.enclave,
        network: &api.me.network,
        peers: peers.collect(),
    };
    reply::json(StatusCode::OK, &body)
}

#[derive(Serialize)]
struct Status<'a> {
    status: HealthStatus,
    node_id: &'a str,
    uuid: Uuid,
    generation: u64,
    version: &'static str,
    port: u16,
    gossip_port: u16,
    domain: &'a str,
    network: &'a str,
    enclave: &'a str,
    /// Whole seconds.
    uptime: u64,
    memory: Memory,
    store: StoreView,
    peers: BTreeMap<&'static str, usize>,
    refill: Refill,
    counters: BTreeMap<&'static str, u64>,
}

#[derive(Serialize)]
struct Memory {
    resident_bytes: u64,
}

#[derive(Serialize)]
struct StoreView {
    keys: u64,
    used_bytes: u64,
    limit_bytes: u64,
}

#[derive(Serialize)]
struct Refill {
    complete: bool,
    waiting_for: usize,
    entries: u64,
    bytes: u64,
}

/// `GET /status`.
pub(super) fn status(api: &Api) -> Response<Reply> {
    let store = api.store.stats();
    let refill = api.cluster.refill();
    let mut peers = BTreeMap::new();
    for peer in api.cluster.peers() {
        *peers.entry(peer.state.as_str()).or_default() += 1;
    }
    let counters = api.cluster.counters().values.into_iter();
    let body = Status {
        status: word(api.lifecycle.stage()),
        node_id: &api.me.node_id,
        uuid: api.me.uuid,
        generation: api.me.generation,
        version: env!("CARGO_PKG_VERSION"),
        port: api.port,
        gossip_port: api.me.gossip.port(),
        domain: &api.me.domain,
        network: &api.me.network,
        enclave: &api.me.enclave,
        uptime: uptime_s(api),
        memory: Memory {
            resident_bytes: limits::resident_bytes(),
        },
        store: StoreView {
            keys: store.keys,
            used_bytes: store.used_bytes,
            limit_bytes: store.limit_bytes,
        },
        peers,
        refill: Refill {
            complete: refill.complete(),
            waiting_for: refill.waiting_for,
            entries: refill.entries,
            bytes: refill.bytes,
        },
        counters: counters.map(|(name, _, value)| (name, value)).collect(),
    };
    reply::json(StatusCode::OK, &body)
}

/// `GET /metrics`.
pub(super) fn metrics(api: &Api) -> Response<Reply> {
    let page = metrics::Page {
        requests: &api.metrics,
        store: api.store.stats(),
        cluster: api.cluster.counters(),
        peers_active: active(&api.cluster.peers()),
        refill: api.cluster.refill(),
        lateness: api.cluster.lateness(),
        discovery: api.cluster.discovery_report(),
        ready: api.lifecycle.stage() == Stage::Serving,
        started_unix_s: api.started_unix_ms / 1000,
        resident_bytes: limits::resident_bytes(),
    };
    reply::bytes(
        StatusCode::OK,
        metrics::CONTENT_TYPE,
        Bytes::from(page.render()),
    )
}

#[derive(Serialize)]
struct DiscoveryHealth {
    address: AddressReport,
    methods: Vec<Report>,
}

/// `GET /cluster/discovery/health`.
pub(super) fn discovery_health(api: &Api) -> Response<Reply> {
    reply::json(
        StatusCode::OK,
        &DiscoveryHealth {
            address: api.cluster.address_report(),
            methods: api.cluster.discovery_report(),
        },
    )
}
