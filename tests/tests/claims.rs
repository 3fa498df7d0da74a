//! Ports that several supervisors want.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::net::{Ipv6Addr, TcpListener, UdpSocket};
use std::process::{Child, Stdio};

use nix::sys::signal::Signal;
use repram_tests::{
    Answer, Binaries, Node, PATIENCE, Process, Sandbox, Stranger, ask, get, wait_until,
};
use serde_json::Value;

/// Nodes of each supervisor in a race.
const NODES: u16 = 2;

/// A supervisor that waits at the line, in the state directory `state`.
fn at_the_line(sandbox: &Sandbox, name: &str, state: &str) -> Child {
    let mut command = sandbox.program("sh".as_ref());
    command
        .args(["-c", r#"read go && exec "$0" run"#])
        .arg(&Binaries::built().supervisor)
        .env("STATE_DIR", sandbox.path(state))
        .env("LOG_DIR", "off")
        .stdin(Stdio::piped());
    sandbox.spawn(&mut command, name).0
}

/// Lets them all go at once.
fn go(supervisors: &mut [Child]) {
    for supervisor in supervisors {
        let line = supervisor.stdin.as_mut().expect("it was piped");
        line.write_all(b"go\n").expect("the supervisor reads");
    }
}

/// The HTTP ports of a supervisor's nodes, by name.
fn ports_of(supervisor: &Child) -> BTreeMap<String, u16> {
    let parent = supervisor.id().cast_signed();
    let nodes = Process::all().filter(|process| process.parent() == Some(parent));
    nodes
        .filter_map(|node| {
            let port = node.variable("REPRAM_HTTP_PORT")?.parse().ok()?;
            Some((node.variable("REPRAM_NODE_ID")?, port))
        })
        .collect()
}

#[track_caller]
fn end(mut supervisor: Child) {
    let process = Process {
        pid: supervisor.id().cast_signed(),
    };
    process.signal(Signal::SIGTERM);
    let status = wait_until("the end of a supervisor", PATIENCE, || {
        let status = supervisor.try_wait().expect("it is our child");
        status.ok_or_else(|| "it runs".to_owned())
    });
    assert_eq!(status.code(), Some(0));
}

#[test]
fn supervisors_that_start_together_never_share_a_port() {
    let sandbox = Sandbox::new()
        .set("NODE_COUNT", NODES)
        .set("MAX_PORTS", 8)
        .set("NODE_COMMAND", "sleep 1000");
    let (http, gossip) = (sandbox.http_port(1), sandbox.ports().gossip_offset());
    let udp = sandbox.http_port(4) + gossip;
    let strangers = [format!("tcp:{http}"), format!("udp:{udp}")];
    let stranger = Stranger::holding(&sandbox, &strangers);
    for round in 0..100 {
        let count = 2 + round % 2;
        let mut supervisors: Vec<Child> = (0..count)
            // Ten rounds share a history.
            .map(|number| {
                let name = format!("supervisor-{number}");
                at_the_line(&sandbox, &name, &format!("state-{}-{number}", round / 10))
            })
            .collect();
        go(&mut supervisors);
        let ports = wait_until("nodes of all supervisors", PATIENCE, || {
            let found: Vec<_> = supervisors.iter().map(ports_of).collect();
            if found.iter().all(|nodes| nodes.len() == usize::from(NODES)) {
                Ok(found)
            } else {
                Err(format!("round {round}: {found:?}"))
            }
        });
        let all: Vec<u16> = ports.iter().flat_map(BTreeMap::values).copied().collect();
        let distinct: BTreeSet<u16> = all.iter().copied().collect();
        assert_eq!(distinct.len(), all.len(), "round {round}: {ports:?}");
        for slot in [1, 4] {
            let strangers = sandbox.http_port(slot);
            assert!(!distinct.contains(&strangers), "round {round}: {ports:?}");
        }
        supervisors.into_iter().for_each(end);
    }
    assert!(stranger.process().alive());
    stranger.leave();
    sandbox.assert_nothing_left();
}

#[test]
fn killed_in_the_middle_of_claiming_it_leaves_nothing_bound() {
    let sandbox = Sandbox::new()
        .set("NODE_COUNT", 3)
        .set("CLAIM_SCOPE", "domain")
        .set("CLAIM_SETTLE", "1h")
        .set("BIND_ADDRESS", "::");
    let mut supervisors = [at_the_line(&sandbox, "supervisor", "state")];
    go(&mut supervisors);
    let [mut supervisor] = supervisors;
    for slot in 0..3 {
        let port = sandbox.http_port(slot);
        let health = wait_until("a port that is claimed", PATIENCE, || claimed(port));
        assert_eq!(health["claim"]["standing"], "tentative");
        assert_eq!(health["node_id"], format!("flux-node-{}", slot + 1));
    }
    supervisor.kill().expect("it is our child");
    supervisor.wait().expect("it is our child");
    sandbox.assert_nothing_left();
    for slot in 0..3 {
        let http = sandbox.http_port(slot);
        let gossip = http + sandbox.ports().gossip_offset();
        // As far as there is IPv6; without it the look above was all there is.
        if UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).is_ok() {
            TcpListener::bind((Ipv6Addr::UNSPECIFIED, http)).expect("it is free");
            TcpListener::bind((Ipv6Addr::UNSPECIFIED, gossip)).expect("it is free");
            UdpSocket::bind((Ipv6Addr::UNSPECIFIED, gossip)).expect("it is free");
        }
    }
}

#[test]
fn a_stop_in_the_middle_of_claiming_is_a_stop() {
    let sandbox = Sandbox::new()
        .set("CLAIM_SCOPE", "domain")
        .set("CLAIM_SETTLE", "1h")
        .set("BIND_ADDRESS", "::");
    let mut supervisors = [at_the_line(&sandbox, "supervisor", "state")];
    go(&mut supervisors);
    let port = sandbox.http_port(0);
    wait_until("a port that is claimed", PATIENCE, || get(port, "/health"));
    supervisors.into_iter().for_each(end);
    sandbox.assert_nothing_left();
}

/// What a port says that is claimed and has no node.
fn claimed(port: u16) -> Result<Value, String> {
    let answer = get(port, "/health")?;
    if answer.status != 503 {
        return Err(answer.text());
    }
    let health = answer.json();
    match health["status"].as_str() {
        Some("claiming") => Ok(health),
        _ => Err(health.to_string()),
    }
}

#[test]
fn a_port_whose_node_stays_away_is_answered_for() {
    let fleet = Sandbox::new()
        .set("NODE_COUNT", 1)
        .set("CLAIM_SCOPE", "domain")
        .set("CLAIM_SETTLE", "100ms")
        .set("BIND_ADDRESS", "::")
        .set("NODE_COMMAND", "/bin/false")
        .set("RESTART_DELAY", "2s");
    let mut fleet = fleet.start();
    let port = fleet.http_port(0);
    wait_until("a door that was closed", PATIENCE, || {
        let events = fleet.finish(&["events", "--json"]).stdout;
        if events.contains("door_closed") {
            Ok(())
        } else {
            Err(events)
        }
    });
    let health = wait_until("an answer nevertheless", PATIENCE, || claimed(port));
    assert_eq!(health["claim"]["standing"], "settled");
    let answer = get(port, "/data/k").expect("an answer");
    assert_eq!(answer.status, 503);
    assert!(answer.header("retry-after").is_some());
    fleet.end_cleanly(|fleet| fleet.supervisor_process().signal(Signal::SIGTERM));
}

/// The one holder of a slot.
#[track_caller]
fn holder(claims: &Value, slot: usize) -> Value {
    let [holder] = &claims["slots"][slot]["holders"].as_array().expect("a list")[..] else {
        panic!("one holds slot {slot}: {claims:#}");
    };
    holder.clone()
}

#[test]
fn claims_names_everybody_who_holds_a_port() {
    let sandbox = Sandbox::new().set("NODE_COUNT", 1).set("MAX_PORTS", 4);
    let gossip = sandbox.http_port(2) + sandbox.ports().gossip_offset();
    let stranger = Stranger::holding(&sandbox, &[format!("tcp:{gossip}")]);
    let mut other = [at_the_line(&sandbox, "other", "other-state")];
    go(&mut other);
    let foreign = wait_until("the other supervisor's node", PATIENCE, || {
        Node::at(sandbox.http_port(0))
    });
    let mut fleet = sandbox.start();
    let nodes = wait_until("our node", PATIENCE, || Node::at(fleet.http_port(1)));

    let claims = fleet.finish(&["claims", "--json"]).json();
    assert_eq!(claims["scope"], "host");
    let expect = [
        (0, "peer", Some(&foreign.uuid)),
        (1, "ours", Some(&nodes.uuid)),
        (2, "stranger", None),
    ];
    for (slot, kind, uuid) in expect {
        let holder = holder(&claims, slot);
        assert_eq!(holder["kind"], kind, "{holder}");
        assert_eq!(
            holder["uuid"].as_str(),
            uuid.map(String::as_str),
            "{holder}"
        );
    }
    assert_eq!(holder(&claims, 1)["standing"], "settled");
    assert!(holder(&claims, 1)["since"].is_string());
    let stranger_shown = holder(&claims, 2);
    assert_eq!(stranger_shown["pid"], stranger.process().pid);
    assert_eq!(stranger_shown["port"], gossip);
    assert_eq!(stranger_shown["socket"], "gossip");
    let command = stranger_shown["command"].as_str().expect("a command");
    assert!(command.contains("stranger.py"), "{command}");
    assert_eq!(claims["slots"][3]["holders"], Value::Array(vec![]));

    let table = fleet.finish(&["claims"]).stdout;
    for part in ["flux-node-1", &foreign.uuid, "stranger.py", "free"] {
        assert!(table.contains(part), "{part} is not in\n{table}");
    }
    other.into_iter().for_each(end);
    stranger.leave();
    fleet.end_cleanly(|fleet| fleet.supervisor_process().signal(Signal::SIGTERM));
}

#[track_caller]
fn post(port: u16, path: &str, body: &str) -> Answer {
    ask("POST", port, path, body.as_bytes()).unwrap_or_else(|problem| panic!("{problem}"))
}

#[test]
fn a_node_with_a_secret_takes_nothing_unsigned() {
    let mut fleet = Sandbox::new().set("NODE_COUNT", 1).start();
    let node = &fleet.wait_for_nodes(1)[0];
    let body = format!(
        r#"{{"node_id":"n","http_port":{},"timestamp":1}}"#,
        node.port
    );
    for path in ["/peer_announce", "/v1/peer_leaving", "/conflict_resolution"] {
        let answer = post(node.port, path, &body);
        assert_eq!(answer.status, 401, "{path}");
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json")
        );
        let detail = answer.json()["detail"].to_string();
        assert!(detail.contains("x-repram-signature is missing"), "{detail}");
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
    fleet.stop();
}

#[test]
fn a_node_asks_an_announced_peer_back() {
    // A peer elsewhere is looked for, so there is no secret of this user's.
    let mut fleet = Sandbox::new()
        .set("NODE_COUNT", 1)
        .set("REPRAM_PEERS", "192.0.2.1:9")
        .unset("REPRAM_CLUSTER_SECRET_FILE")
        .start();
    let node = wait_until("a node that serves", PATIENCE, || {
        Node::at(fleet.http_port(0))
    });
    let uuid = "00000000-0000-4000-8000-000000000001";
    let body = format!(
        r#"{{"new_peer_port":{},"new_peer_uuid":"{uuid}"}}"#,
        node.port
    );
    let answer = post(node.port, "/peer_announce", &body);
    let said = answer.json();
    assert_eq!(
        (answer.status, &said["acknowledged"]),
        (200, &false.into()),
        "{said}"
    );
    assert_eq!(said["my_uuid"], node.uuid.as_str());

    let own = format!(
        r#"{{"new_peer_port":{},"new_peer_uuid":"{}"}}"#,
        node.port, node.uuid
    );
    assert_eq!(
        post(node.port, "/peer_announce", &own).json()["acknowledged"],
        true
    );
    assert_eq!(post(node.port, "/peer_announce", "{}").status, 400);

    let refused = wait_until("a client that asked too often", PATIENCE, || {
        let answer = post(node.port, "/peer_announce", "{}");
        if answer.status == 429 {
            Ok(answer)
        } else {
            Err(answer.text())
        }
    });
    assert!(refused.header("retry-after").is_some());
    assert_eq!(get(node.port, "/health").expect("an answer").status, 200);
    fleet.end_cleanly(|fleet| fleet.supervisor_process().signal(Signal::SIGTERM));
}
