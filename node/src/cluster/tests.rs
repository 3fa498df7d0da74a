//! Several clusters in one process, over loopback.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use repram_config::ReplicationFactor;
use repram_discovery::auth::ClusterKeys;
use repram_discovery::own_address::{AddressOrigin, OwnAddress};
use repram_discovery::peers::{Candidate, Found, FoundFuture, PeerSource, SiblingPorts};
use repram_discovery::public_ports::PublicPorts;
use repram_discovery::secret::Secret;
use repram_discovery::supervised::{Sibling, SiblingState, SupervisorMessage};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use super::*;
use crate::clock::boot_now;
use crate::store::{Store, StoreConfig};
use crate::wire::frame::Answer;

/// Nothing here takes so long, unless it hangs.
const LIMIT: Duration = Duration::from_secs(30);

/// A source that names fixed places.
#[derive(Debug)]
struct Fixed(Vec<SocketAddr>);

impl PeerSource for Fixed {
    fn name(&self) -> &'static str {
        "fixed"
    }

    fn candidates(&self) -> FoundFuture<'_> {
        let candidate = |gossip: &SocketAddr| Candidate {
            uuid: None,
            node_id: None,
            http: *gossip,
            gossip: *gossip,
            source: "fixed",
        };
        let candidates = self.0.iter().map(candidate).collect();
        Box::pin(async {
            Found {
                candidates,
                ..Found::default()
            }
        })
    }
}

/// A gossip port of both kinds, as the supervisor holds it.
struct Sockets {
    tcp: TcpListener,
    udp: UdpSocket,
}

impl Sockets {
    fn pick() -> Self {
        for _ in 0..100 {
            let tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
            let address = tcp.local_addr().expect("an address");
            if let Ok(udp) = UdpSocket::bind(address) {
                return Self { tcp, udp };
            }
        }
        panic!("no port is free for TCP and UDP")
    }

    fn address(&self) -> SocketAddr {
        self.tcp.local_addr().expect("an address")
    }

    fn copy(&self) -> Self {
        let tcp = self.tcp.try_clone().expect("a descriptor");
        Self {
            tcp,
            udp: self.udp.try_clone().expect("a descriptor"),
        }
    }
}

struct Plan {
    number: u16,
    generation: u64,
    seeds: Vec<SocketAddr>,
    copies: u16,
    secret: Option<&'static str>,
    enclave: &'static str,
    limit_bytes: u64,
    write_timeout: Duration,
}

impl Plan {
    fn new(number: u16) -> Self {
        Self {
            number,
            generation: 1,
            seeds: Vec::new(),
            copies: 3,
            secret: Some("secret"),
            enclave: "default",
            limit_bytes: 1 << 30,
            write_timeout: Duration::from_millis(500),
        }
    }

    async fn start(
        self,
        sockets: &Sockets,
        siblings: Option<mpsc::Receiver<SupervisorMessage>>,
    ) -> Running {
        let address = sockets.address();
        let identity = Me {
            node_id: format!("flux-node-{}", self.number),
            uuid: uuid(self.number),
            generation: self.generation,
            http: address,
            gossip: address,
            enclave: self.enclave.to_owned(),
            network: "public".to_owned(),
            domain: "localhost".to_owned(),
        };
        let config = ClusterConfig {
            identity,
            keys: self
                .secret
                .map(|it| ClusterKeys::new(&Secret::new(it.as_bytes()), None)),
            replication_factor: ReplicationFactor::Count(self.copies),
            write_timeout: self.write_timeout,
            sources: vec![Box::new(Fixed(self.seeds))],
            address: AddressConfig {
                own: OwnAddress::fixed(address.ip(), AddressOrigin::ThisMachine),
                ports: PublicPorts::default(),
                hostinfo: None,
            },
            sibling_ports: SiblingPorts::default(),
        };
        let config_of_store = StoreConfig {
            limit_bytes: self.limit_bytes,
            shards: 4,
        };
        let store = Arc::new(Store::new(config_of_store));
        let Sockets { tcp, udp } = sockets.copy();
        let cluster = Cluster::start(config, Arc::clone(&store), tcp, udp, siblings)
            .await
            .expect("it starts");
        Running {
            number: self.number,
            cluster,
            store,
        }
    }
}

struct Running {
    number: u16,
    cluster: Cluster,
    store: Arc<Store>,
}

impl Running {
    /// As kill -9 would: nobody is told.
    fn kill(self) {
        self.cluster.kill();
    }

    fn alive(&self) -> usize {
        let peers = self.cluster.peers();
        peers
            .iter()
            .filter(|peer| peer.state == PeerState::Alive)
            .count()
    }

    fn state_of(&self, number: u16) -> Option<PeerState> {
        let peers = self.cluster.peers();
        peers
            .iter()
            .find(|peer| peer.uuid == uuid(number))
            .map(|peer| peer.state)
    }

    /// Knows `others` others and all that it should hold.
    fn is_settled(&self, others: usize) -> bool {
        self.alive() == others && self.cluster.refill().complete()
    }

    async fn put(&self, key: &str, value: impl Into<Bytes>) -> PutOutcome {
        // As HTTP does while it receives it.
        let Ok(value) = self.store.hold(value.into(), boot_now()) else {
            return PutOutcome::Full;
        };
        self.cluster
            .put(Bytes::copy_from_slice(key.as_bytes()), value, 600)
            .await
    }

    /// What a client gets that asks once.
    async fn ask(&self, key: &str) -> GetOutcome {
        self.cluster
            .get(&Bytes::copy_from_slice(key.as_bytes()))
            .await
    }

    /// What a client gets that asks again where it is told to: a node that got no processor
    /// for over a second cannot tell what it has.
    async fn get(&self, key: &str) -> GetOutcome {
        let give_up = Instant::now() + LIMIT;
        loop {
            let outcome = self.ask(key).await;
            if outcome != GetOutcome::Unknown || give_up <= Instant::now() {
                return outcome;
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    async fn value(&self, key: &str) -> Option<Bytes> {
        match self.get(key).await {
            GetOutcome::Found(entry) => Some(entry.value),
            GetOutcome::Missing | GetOutcome::Unknown => None,
        }
    }

    fn holds(&self, key: &str) -> bool {
        self.store.get(key.as_bytes(), boot_now()).is_some()
    }
}

fn uuid(number: u16) -> Uuid {
    Uuid::from_u128((u128::from(number) << 96) | 0x4000_8000_0000_0000_0001)
}

/// Waits for a condition, and says which one did not come.
async fn eventually(what: &str, holds: impl AsyncFn() -> bool) {
    let give_up = Instant::now() + LIMIT;
    while !holds().await {
        assert!(Instant::now() < give_up, "{what}: not within {LIMIT:?}");
        sleep(Duration::from_millis(2)).await;
    }
}

/// `count` nodes that know each other, joined through the first.
async fn fleet(count: u16, plan: impl Fn(u16) -> Plan) -> (Vec<Sockets>, Vec<Running>) {
    let sockets: Vec<Sockets> = (0..count).map(|_| Sockets::pick()).collect();
    let mut nodes = Vec::new();
    for (number, sockets_of_one) in (1..).zip(&sockets) {
        let seeds = vec![sockets[0].address()];
        nodes.push(
            Plan {
                seeds,
                ..plan(number)
            }
            .start(sockets_of_one, None)
            .await,
        );
    }
    for node in &nodes {
        timeout(LIMIT, node.cluster.joined())
            .await
            .expect("joined in time");
        settled(node, usize::from(count) - 1).await;
    }
    (sockets, nodes)
}

async fn settled(node: &Running, others: usize) {
    eventually("settled", async || node.is_settled(others)).await;
}

#[tokio::test]
async fn a_lonely_node_works() {
    let node = Plan::new(1).start(&Sockets::pick(), None).await;
    timeout(LIMIT, node.cluster.joined()).await.expect("joined");
    assert_eq!(node.put("key", "value").await, PutOutcome::Acknowledged);
    assert_eq!(node.value("key").await, Some(Bytes::from_static(b"value")));
    assert_eq!(node.get("other").await, GetOutcome::Missing);
    let page = node.cluster.keys(Bytes::new(), None, 10).await;
    assert_eq!(
        page,
        KeysOutcome::Page {
            keys: vec!["key".into()],
            more: false
        }
    );
}

#[tokio::test]
async fn what_one_node_takes_all_can_read() {
    for secret in [None, Some("secret")] {
        let (_sockets, nodes) = fleet(3, |n| Plan {
            secret,
            // The largest value takes its time when the machine does other things.
            write_timeout: LIMIT,
            ..Plan::new(n)
        })
        .await;
        let bodies = [
            Bytes::new(),
            Bytes::from_static(b"text"),
            Bytes::from((0..=255u8).cycle().take(100_000).collect::<Vec<u8>>()),
            Bytes::from(vec![9; 10 << 20]),
        ];
        for (number, body) in bodies.iter().enumerate() {
            let key = format!("key-{number}");
            let node = &nodes[number % nodes.len()];
            assert_eq!(node.put(&key, body.clone()).await, PutOutcome::Acknowledged);
            for node in &nodes {
                assert_eq!(node.value(&key).await.as_ref(), Some(body), "{key}");
            }
        }
        for node in &nodes {
            assert_eq!(node.get("missing").await, GetOutcome::Missing);
        }
    }
}

#[tokio::test]
async fn siblings_read_the_same_deadline() {
    let (_sockets, nodes) = fleet(3, Plan::new).await;
    assert_eq!(nodes[0].put("key", "value").await, PutOutcome::Acknowledged);
    let GetOutcome::Found(first) = nodes[0].get("key").await else {
        panic!("it is there")
    };
    eventually("the copies", async || {
        nodes.iter().all(|node| node.holds("key"))
    })
    .await;
    for node in &nodes {
        assert_eq!(node.get("key").await, GetOutcome::Found(first.clone()));
    }
}

#[tokio::test]
async fn any_node_answers_for_any_key() {
    let (_sockets, nodes) = fleet(6, Plan::new).await;
    for number in 0..30 {
        let key = format!("key-{number}");
        let node = &nodes[number % nodes.len()];
        assert_eq!(node.put(&key, key.clone()).await, PutOutcome::Acknowledged);
        for node in &nodes {
            assert_eq!(node.value(&key).await, Some(Bytes::from(key.clone())));
            assert_eq!(
                node.get(&format!("missing-{number}")).await,
                GetOutcome::Missing
            );
        }
    }
    eventually("three copies of each", async || {
        (0..30).all(|number| {
            let key = format!("key-{number}");
            nodes.iter().filter(|node| node.holds(&key)).count() == 3
        })
    })
    .await;
}

#[tokio::test]
async fn overwriting_wins_from_any_node() {
    let (_sockets, nodes) = fleet(5, Plan::new).await;
    for round in 0..40usize {
        let writer = &nodes[round % nodes.len()];
        assert_eq!(
            writer.put("key", round.to_string()).await,
            PutOutcome::Acknowledged
        );
    }
    let last = Some(Bytes::from_static(b"39"));
    eventually("the last value everywhere", async || {
        for node in &nodes {
            if node.value("key").await != last {
                return false;
            }
        }
        true
    })
    .await;
}

#[tokio::test]
async fn keys_are_listed_once_and_in_order() {
    let (_sockets, nodes) = fleet(5, Plan::new).await;
    let mut expect = Vec::new();
    for number in 0..60 {
        let key = format!("key-{number:02}");
        assert_eq!(
            nodes[number % 5].put(&key, "").await,
            PutOutcome::Acknowledged
        );
        expect.push(Bytes::from(key));
    }
    nodes[0].put("other", "").await;
    let (mut listed, mut after) = (Vec::new(), None);
    for node in nodes.iter().cycle() {
        let page = node.cluster.keys("key-".into(), after.clone(), 7).await;
        let KeysOutcome::Page { keys, more } = page else {
            panic!("all members answer")
        };
        assert!(keys.len() <= 7);
        listed.extend(keys);
        after = listed.last().cloned();
        if !more {
            break;
        }
    }
    assert_eq!(listed, expect);
}

#[tokio::test]
async fn a_killed_node_comes_back_with_its_keys() {
    let (sockets, mut nodes) = fleet(3, Plan::new).await;
    for number in 0..300 {
        let key = format!("key-{number}");
        assert_eq!(
            nodes[number % 3].put(&key, key.clone()).await,
            PutOutcome::Acknowledged
        );
    }
    assert_eq!(
        nodes[0].put("large", vec![3; 3 << 20]).await,
        PutOutcome::Acknowledged
    );
    nodes.remove(1).kill();
    let seeds = vec![sockets[0].address()];
    let second = Plan {
        generation: 2,
        seeds,
        ..Plan::new(2)
    }
    .start(&sockets[1], None)
    .await;
    timeout(LIMIT, second.cluster.joined())
        .await
        .expect("joined");
    // It is empty, and says nothing false while it is: values are found or not known.
    for number in 0..300 {
        let key = format!("key-{number}");
        assert_ne!(second.ask(&key).await, GetOutcome::Missing, "{key}");
    }
    settled(&second, 2).await;
    assert!((0..300).all(|number| second.holds(&format!("key-{number}"))));
    assert!(second.holds("large"));
    for node in &nodes {
        settled(node, 2).await;
        assert_eq!(node.get("missing").await, GetOutcome::Missing);
        assert_eq!(node.cluster.peers().len(), 2);
    }
    assert!(second.cluster.refill().entries > 300);
}

#[tokio::test]
async fn do_not_have_is_said_to_those_who_see_the_same_members() {
    let (_sockets, nodes) = fleet(3, Plan::new).await;
    let answer = |view| {
        nodes[0]
            .cluster
            .node()
            .look_up(view, &Bytes::from_static(b"missing"))
    };
    let view = nodes[1].cluster.node().placement().fingerprint();
    assert_eq!(answer(view), Answer::DoNotHave);
    assert_eq!(answer(view + 1), Answer::DoNotKnow);
}

#[tokio::test]
async fn a_dead_holder_is_replaced() {
    let (_sockets, mut nodes) = fleet(5, Plan::new).await;
    for number in 0..100 {
        let key = format!("key-{number}");
        assert_eq!(
            nodes[number % 5].put(&key, key.clone()).await,
            PutOutcome::Acknowledged
        );
    }
    let gone = nodes.remove(2);
    timeout(LIMIT, gone.cluster.leave(LIMIT, &[]))
        .await
        .expect("all understood");
    for node in &nodes {
        assert_eq!(node.state_of(3), Some(PeerState::Left));
    }
    eventually("three copies among those who stay", async || {
        (0..100).all(|number| {
            let key = format!("key-{number}");
            nodes.iter().filter(|node| node.holds(&key)).count() >= 3
        })
    })
    .await;
}

#[tokio::test]
async fn without_a_quorum_a_write_is_pending_and_spreads_later() {
    let (sockets, mut nodes) = fleet(3, Plan::new).await;
    nodes.remove(2).kill();
    nodes.remove(1).kill();
    // Both still count: nobody said that they died.
    assert_eq!(nodes[0].put("key", "value").await, PutOutcome::Pending);
    assert_eq!(
        nodes[0].value("key").await,
        Some(Bytes::from_static(b"value"))
    );
    assert_ne!(nodes[0].ask("missing").await, GetOutcome::Missing);
    let seeds = vec![sockets[0].address()];
    let plan = Plan {
        generation: 2,
        seeds,
        ..Plan::new(2)
    };
    let second = plan.start(&sockets[1], None).await;
    eventually("the copy", async || second.holds("key")).await;
    assert_eq!(
        nodes[0].put("next", "value").await,
        PutOutcome::Acknowledged
    );
}

#[tokio::test]
async fn full_holders_say_so() {
    let (_sockets, nodes) = fleet(3, |n| Plan {
        limit_bytes: 1 << 20,
        ..Plan::new(n)
    })
    .await;
    let third = vec![0; 300 << 10];
    for number in 0..3 {
        let key = format!("key-{number}");
        assert_eq!(
            nodes[0].put(&key, third.clone()).await,
            PutOutcome::Acknowledged
        );
    }
    eventually("a full store", async || {
        nodes[1].put("one more", third.clone()).await == PutOutcome::Full
    })
    .await;
}

#[tokio::test]
async fn enclaves_share_members_but_no_values() {
    let enclave = |n: u16| if n <= 2 { "one" } else { "two" };
    let (_sockets, nodes) = fleet(4, |n| Plan {
        enclave: enclave(n),
        ..Plan::new(n)
    })
    .await;
    assert_eq!(nodes[0].put("key", "value").await, PutOutcome::Acknowledged);
    assert_eq!(
        nodes[1].value("key").await,
        Some(Bytes::from_static(b"value"))
    );
    assert_eq!(nodes[2].get("key").await, GetOutcome::Missing);
    assert_eq!(nodes[3].get("key").await, GetOutcome::Missing);
    let page = nodes[2].cluster.keys(Bytes::new(), None, 9).await;
    assert_eq!(
        page,
        KeysOutcome::Page {
            keys: vec![],
            more: false
        }
    );
}

#[tokio::test]
async fn strangers_stay_apart() {
    let sockets = [Sockets::pick(), Sockets::pick(), Sockets::pick()];
    let first = Plan::new(1).start(&sockets[0], None).await;
    let seeds = vec![sockets[0].address()];
    let second = Plan {
        seeds: seeds.clone(),
        secret: Some("other"),
        ..Plan::new(2)
    };
    let second = second.start(&sockets[1], None).await;
    let third = Plan {
        seeds,
        secret: None,
        ..Plan::new(3)
    }
    .start(&sockets[2], None)
    .await;
    for node in [&second, &third] {
        timeout(LIMIT, node.cluster.joined())
            .await
            .expect("ready alone");
        assert_eq!(node.alive(), 0);
    }
    assert_eq!(first.alive(), 0);
    let counters = first.cluster.counters().values;
    let refused = counters
        .iter()
        .find(|(name, ..)| *name == "streams_refused_total");
    // They look for somebody again and again.
    assert!(refused.is_some_and(|(_, _, count)| *count >= 2));
}

/// The siblings of one supervisor as it tells them to each node.
struct Supervisor {
    sockets: Vec<Sockets>,
    lines: Vec<Option<mpsc::Sender<SupervisorMessage>>>,
    states: Vec<(u64, SiblingState)>,
}

impl Supervisor {
    fn new(count: usize) -> Self {
        Self {
            sockets: (0..count).map(|_| Sockets::pick()).collect(),
            lines: vec![None; count],
            states: vec![(0, SiblingState::Dead); count],
        }
    }

    fn message(&self, to: usize) -> SupervisorMessage {
        let sibling = |index: usize| Sibling {
            node_id: format!("flux-node-{}", index + 1),
            uuid: uuid(index as u16 + 1),
            generation: self.states[index].0,
            port: self.sockets[index].address().port(),
            gossip_port: self.sockets[index].address().port(),
            state: self.states[index].1,
        };
        let others = (0..self.states.len()).filter(|index| *index != to);
        SupervisorMessage::Siblings(others.map(sibling).collect())
    }

    async fn set(&mut self, index: usize, state: SiblingState) {
        self.states[index].1 = state;
        for to in (0..self.lines.len()).filter(|to| *to != index) {
            if let Some(line) = &self.lines[to] {
                let _ = line.send(self.message(to)).await;
            }
        }
    }

    async fn start(&mut self, index: usize) -> Running {
        self.states[index].0 += 1;
        self.set(index, SiblingState::Starting).await;
        let (line, siblings) = mpsc::channel(64);
        line.send(self.message(index)).await.expect("there is room");
        self.lines[index] = Some(line);
        let plan = Plan {
            generation: self.states[index].0,
            ..Plan::new(index as u16 + 1)
        };
        plan.start(&self.sockets[index], Some(siblings)).await
    }
}

#[tokio::test]
async fn siblings_find_each_other_without_a_scan() {
    let mut supervisor = Supervisor::new(3);
    let mut nodes = Vec::new();
    for index in 0..3 {
        nodes.push(supervisor.start(index).await);
    }
    for node in &nodes {
        timeout(LIMIT, node.cluster.joined()).await.expect("ready");
        supervisor
            .set(usize::from(node.number) - 1, SiblingState::Ready)
            .await;
    }
    for node in &nodes {
        settled(node, 2).await;
    }
}

/// So many nodes under one supervisor, started one after the other, that know each other.
async fn siblings(count: usize) -> (Supervisor, Vec<Running>) {
    let mut supervisor = Supervisor::new(count);
    let mut nodes = Vec::new();
    for index in 0..count {
        nodes.push(supervisor.start(index).await);
        nodes[index].cluster.joined().await;
        supervisor.set(index, SiblingState::Ready).await;
    }
    for node in &nodes {
        settled(node, count - 1).await;
    }
    (supervisor, nodes)
}

#[tokio::test]
async fn a_leave_ends_when_the_last_one_that_it_waits_for_dies() {
    let (mut supervisor, mut nodes) = siblings(2).await;
    // It cannot take over anything any more, and nobody knows.
    nodes.remove(1).kill();
    supervisor.lines[1] = None;
    let leave = timeout(LIMIT, nodes[0].cluster.hand_over(&[]));
    let (left, ()) = tokio::join!(leave, supervisor.set(1, SiblingState::Dead));
    left.expect("nobody is left to wait for");
}

#[tokio::test]
async fn a_siblings_death_is_known_at_once_and_its_successor_too() {
    let (mut supervisor, mut nodes) = siblings(3).await;
    assert_eq!(nodes[0].put("key", "value").await, PutOutcome::Acknowledged);
    nodes.remove(2).kill();
    supervisor.lines[2] = None;
    supervisor.set(2, SiblingState::Dead).await;
    for node in &nodes {
        eventually("the death", async || {
            node.state_of(3) == Some(PeerState::Dead)
        })
        .await;
    }
    // Two count now, and both are there.
    assert_eq!(
        nodes[0].put("next", "value").await,
        PutOutcome::Acknowledged
    );
    eventually("a certain miss", async || {
        nodes[1].get("missing").await == GetOutcome::Missing
    })
    .await;
    nodes.push(supervisor.start(2).await);
    for node in &nodes {
        settled(node, 2).await;
    }
    assert!(nodes[2].holds("key") && nodes[2].holds("next"));
}

#[tokio::test]
async fn ready_means_that_ready_siblings_are_joined() {
    let mut supervisor = Supervisor::new(4);
    let first = supervisor.start(0).await;
    first.cluster.joined().await;
    supervisor.set(0, SiblingState::Ready).await;
    // A sibling whose socket exists and whose process does not is not waited for.
    supervisor.states[3] = (1, SiblingState::Starting);
    let second = supervisor.start(1).await;
    timeout(LIMIT, second.cluster.joined())
        .await
        .expect("at once");
    assert_eq!(second.state_of(1), Some(PeerState::Alive));
    assert_eq!(first.state_of(2), Some(PeerState::Alive));
}
