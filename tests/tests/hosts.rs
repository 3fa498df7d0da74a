//! Several hosts behind one name, which share one range of ports.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Child;
use std::time::Duration;

use repram_tests::{Binaries, Network, PATIENCE, Sandbox, poll_until};
use serde_json::Value;

/// The usual MOVE_TIMEOUT, and what two refreshes, a new claim and a start take before.
const MOVED: Duration = Duration::from_secs(30 + 30);

/// Between two rounds of questions to every port of every host.
const PAUSE: Duration = Duration::from_millis(100);

/// Ports of the range.
const SLOTS: u16 = 12;

/// Hosts that run supervisors with the same settings.
struct Domain {
    // Supervisors end before their hosts.
    children: Vec<Child>,
    sandbox: Sandbox,
    network: Network,
}

/// A node as one of the hosts shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Node {
    host: u8,
    port: u16,
    uuid: String,
    generation: u64,
}

impl Domain {
    /// A domain of hosts on which nothing runs yet.
    fn of(hosts: u8, nodes_each: u16, test: &str) -> Option<Self> {
        let network = Network::of(hosts, test)?;
        let sandbox = Sandbox::new()
            .set("NODE_COUNT", nodes_each)
            .set("MAX_PORTS", SLOTS)
            .set("CLAIM_SCOPE", "domain")
            .set("CLAIM_REFRESH", "1s")
            .set("BIND_ADDRESS", "::")
            .set("DISCOVERY_DOMAIN", network.domain());
        Some(Self {
            children: Vec::new(),
            sandbox,
            network,
        })
    }

    fn start(&mut self, host: u8) {
        let supervisor = &Binaries::built().supervisor;
        let mut command = self.network.program(host, &self.sandbox, supervisor);
        command
            .arg("run")
            .env("STATE_DIR", self.sandbox.path(&format!("state-{host}")))
            .env("LOG_DIR", "off");
        let (child, _) = self.sandbox.spawn(&mut command, &format!("host-{host}"));
        self.children.push(child);
    }

    /// Starts a node that nobody supervises.
    fn start_node(&mut self, host: u8) {
        let node = &Binaries::built().node;
        let mut command = self.network.program(host, &self.sandbox, node);
        command
            .env("STATE_DIR", self.sandbox.path(&format!("state-{host}")))
            .env("USE_AUTO_DISCOVERY", "true");
        let (child, _) = self.sandbox.spawn(&mut command, &format!("host-{host}"));
        self.children.push(child);
    }

    /// Every node that serves, by host and port.
    fn nodes(&self) -> Result<Vec<Node>, String> {
        let mut nodes = Vec::new();
        for host in self.network.hosts() {
            for slot in 0..SLOTS {
                let port = self.sandbox.http_port(slot);
                let Ok(answer) = self.network.ask(host, "GET", port, "/health", b"") else {
                    continue;
                };
                if answer.status == 200 {
                    nodes.push(Node::read(host, port, &answer.json())?);
                }
            }
        }
        Ok(nodes)
    }

    /// Waits until these many nodes serve, of each host, and each counts so many peers.
    #[track_caller]
    fn wait_for(&self, each: &BTreeMap<u8, (usize, u64)>) -> Vec<Node> {
        poll_until("as many nodes as there should be", PAUSE, PATIENCE, || {
            let nodes = self.nodes()?;
            for (host, (count, peers)) in each {
                let here: Vec<_> = nodes.iter().filter(|node| node.host == *host).collect();
                if here.len() != *count {
                    return Err(format!("{nodes:?}"));
                }
                for node in here {
                    self.check_peers(node, *peers)?;
                }
            }
            Ok(nodes)
        })
    }

    fn check_peers(&self, node: &Node, expect: u64) -> Result<(), String> {
        let health = self
            .network
            .ask(node.host, "GET", node.port, "/health", b"")?;
        let peers = health.json()["active_peers"].as_u64();
        if peers == Some(expect) {
            Ok(())
        } else {
            Err(format!("{node:?} has {peers:?} peers"))
        }
    }

    /// Waits until so many nodes serve, each on a port of its own, and know each other.
    #[track_caller]
    fn wait_for_peace(&self, count: usize) -> Vec<Node> {
        poll_until("a port for each node", PAUSE, MOVED, || {
            let nodes = self.nodes()?;
            if nodes.len() != count || ports(&nodes).len() != count {
                return Err(format!("{nodes:#?}"));
            }
            for node in &nodes {
                self.check_peers(node, count as u64 - 1)?;
            }
            Ok(nodes)
        })
    }

    /// Writes a value and insists on 201.
    #[track_caller]
    fn write(&self, node: &Node, key: &str) {
        let path = format!("/data/{key}?ttl=600");
        let answer = self
            .network
            .ask(node.host, "PUT", node.port, &path, key.as_bytes());
        let answer = answer.unwrap_or_else(|problem| panic!("{key}: {problem}"));
        assert_eq!(answer.status, 201, "{key}: {}", answer.text());
    }

    /// Reads a value that must be there: a node may need a moment, but it must not say that
    /// there is none.
    #[track_caller]
    fn read(&self, node: &Node, key: &str) {
        let path = format!("/data/{key}");
        poll_until("a value readable", PAUSE, PATIENCE, || {
            let answer = self.network.ask(node.host, "GET", node.port, &path, b"")?;
            assert_ne!(answer.status, 404, "{key} is lost, says {node:?}");
            if answer.status == 200 {
                assert_eq!(answer.body, key.as_bytes());
                return Ok(());
            }
            Err(format!("{}: {}", answer.status, answer.text()))
        });
    }

    /// What `supervisor claims` says on a host.
    fn claims(&self, host: u8) -> Value {
        self.ask(host, &["claims", "--json"])
    }

    /// What the supervisor of a host answers.
    fn ask(&self, host: u8, arguments: &[&str]) -> Value {
        let supervisor = &Binaries::built().supervisor;
        let mut command = self.network.program(host, &self.sandbox, supervisor);
        command
            .args(arguments)
            .env("STATE_DIR", self.sandbox.path(&format!("state-{host}")));
        let output = command.output().expect("ip can be started");
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).expect("JSON")
    }
}

impl Drop for Domain {
    fn drop(&mut self) {
        self.sandbox.end_all();
        for child in &mut self.children {
            let _reaped = child.wait();
        }
    }
}

impl Node {
    fn read(host: u8, port: u16, health: &Value) -> Result<Self, String> {
        let claim = &health["claim"];
        let node = (|| {
            Some(Self {
                host,
                port,
                uuid: health["uuid"].as_str()?.to_owned(),
                generation: health["generation"].as_u64()?,
            })
        })();
        let node = node.ok_or_else(|| format!("/health lacks fields: {health}"))?;
        let settled = claim["standing"] == "settled" && claim["port"] == port;
        if settled && claim["uuid"] == node.uuid.as_str() {
            Ok(node)
        } else {
            Err(format!("the claim is not the node's own: {health}"))
        }
    }
}

fn ports(nodes: &[Node]) -> BTreeSet<u16> {
    nodes.iter().map(|node| node.port).collect()
}

/// Of the nodes that held one port the one with the lowest UUID still does, as it was; the
/// others live on elsewhere.
#[track_caller]
fn check_who_moved(before: &[Node], after: &[Node]) {
    for port in ports(before) {
        let claimants = || before.iter().filter(|node| node.port == port);
        let keeper = claimants()
            .min_by_key(|node| &node.uuid)
            .expect("one at least");
        assert!(
            after.contains(keeper),
            "{keeper:?} keeps its port: {after:#?}"
        );
        for mover in claimants().filter(|node| *node != keeper) {
            let moved = after.iter().find(|node| node.uuid == mover.uuid);
            let moved = moved.expect("it is there again");
            assert_eq!(
                (moved.host, moved.generation),
                (mover.host, mover.generation + 1)
            );
        }
    }
}

/// Its supervisor tells that the node had to leave its port, and where it went.
#[track_caller]
fn check_why_it_moved(domain: &Domain, moved: &Node) {
    let why = domain.ask(moved.host, &["why", "1", "2", "--json"]);
    let nodes = why["nodes"].as_array().expect("a list");
    let story = nodes
        .iter()
        .find(|node| node["status"]["uuid"] == moved.uuid.as_str());
    let exits = story.expect("it is there")["exits"]
        .as_array()
        .expect("a list");
    let left = exits.iter().find(|exit| {
        exit["class"] == "port-conflict" && exit["follow_up"]["http_port"] == moved.port
    });
    assert!(left.is_some(), "{moved:?}: {exits:?}");
}

#[test]
fn three_hosts_that_start_together_share_the_range() {
    let Some(mut domain) = Domain::of(3, 3, "three_hosts_that_start_together_share_the_range")
    else {
        return;
    };
    for host in 1..=3 {
        domain.start(host);
    }
    let nodes = domain.wait_for(&(1..=3).map(|host| (host, (3, 8))).collect());
    assert_eq!(ports(&nodes).len(), 9, "{nodes:#?}");

    // Whoever is asked knows who holds what.
    for host in 1..=3 {
        let claims = domain.claims(host);
        assert_eq!(claims["scope"], "domain");
        let slots = claims["slots"].as_array().expect("a list of slots");
        for node in &nodes {
            let slot = slots
                .iter()
                .find(|slot| slot["http_port"] == node.port)
                .expect("it is in the range");
            let [holder] = &slot["holders"].as_array().expect("a list")[..] else {
                panic!("one holds a port: {slot}");
            };
            assert_eq!(holder["uuid"], node.uuid.as_str(), "{slot}");
            assert_eq!(holder["standing"], "settled", "{slot}");
            let kind = if node.host == host { "ours" } else { "peer" };
            assert_eq!(holder["kind"], kind, "{slot}");
        }
        let free = slots
            .iter()
            .filter(|slot| slot["holders"] == Value::Array(vec![]));
        assert_eq!(free.count(), usize::from(SLOTS) - nodes.len());
    }
}

#[test]
fn after_a_partition_the_lower_uuid_keeps_the_port_and_nothing_is_lost() {
    let test = "after_a_partition_the_lower_uuid_keeps_the_port_and_nothing_is_lost";
    let Some(mut domain) = Domain::of(3, 2, test) else {
        return;
    };
    domain.network.cut(1);
    for host in 1..=3 {
        domain.start(host);
    }
    // Two nodes alone on one side, four on the other: the two claim ports of the four.
    let apart = BTreeMap::from([(1, (2, 1)), (2, (2, 3)), (3, (2, 3))]);
    let before = domain.wait_for(&apart);
    assert_eq!(ports(&before).len(), 4, "{before:#?}");
    let keys: Vec<String> = (0..60).map(|number| format!("value-{number}")).collect();
    for (key, node) in keys.iter().zip(before.iter().cycle()) {
        domain.write(node, key);
    }

    domain.network.heal(1);
    let after = domain.wait_for_peace(6);
    check_who_moved(&before, &after);
    for mover in after.iter().filter(|node| !before.contains(node)) {
        check_why_it_moved(&domain, mover);
    }
    for key in &keys {
        for node in &after {
            domain.read(node, key);
        }
    }
}

#[test]
fn nodes_that_nobody_supervises_claim_over_the_domain_too() {
    let test = "nodes_that_nobody_supervises_claim_over_the_domain_too";
    let Some(mut domain) = Domain::of(2, 1, test) else {
        return;
    };
    domain.network.cut(1);
    for host in 1..=2 {
        domain.start_node(host);
    }
    let before = domain.wait_for(&BTreeMap::from([(1, (1, 0)), (2, (1, 0))]));
    assert_eq!(ports(&before).len(), 1, "{before:#?}");
    let keys = ["one", "two"];
    for (key, node) in keys.iter().zip(&before) {
        domain.write(node, key);
    }

    domain.network.heal(1);
    let after = domain.wait_for_peace(2);
    check_who_moved(&before, &after);
    for key in keys {
        for node in &after {
            domain.read(node, key);
        }
    }
}
