//! Nodes that come and go, and ports that stay.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use nix::sys::signal::Signal;
use repram_tests::{Fleet, Node, PATIENCE, Process, Sandbox, Stranger, wait_until};

/// Waits until the process that was is no more.
#[track_caller]
fn wait_for_death(process: Process) {
    wait_until("the end of a killed process", PATIENCE, || {
        if process.alive() {
            Err(format!("pid {} lives", process.pid))
        } else {
            Ok(())
        }
    });
}

/// Waits until a node answers that is the successor of another.
#[track_caller]
fn wait_for_successor(node: &Node) -> Node {
    wait_until("the node back on its port", PATIENCE, || {
        let found = Node::at(node.port)?;
        if found.generation > node.generation {
            Ok(found)
        } else {
            Err(format!("{found:?}"))
        }
    })
}

#[test]
fn a_killed_node_returns_as_itself_and_nobody_is_refused() {
    let mut fleet = Sandbox::new().set("NODE_COUNT", 3).start();
    let nodes = fleet.wait_for_nodes(3);
    let victim = &nodes[1];
    let process = fleet.process_of(&victim.id);
    process.signal(Signal::SIGKILL);
    wait_for_death(process);
    let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, victim.port))
        .expect("the port is held while the node is away");
    client
        .set_read_timeout(Some(PATIENCE))
        .expect("the time-out is not zero");
    client
        .write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .expect("the connection waits in the queue");
    let mut answer = String::new();
    client
        .read_to_string(&mut answer)
        .expect("the successor answers");
    assert!(answer.contains(&victim.uuid), "{answer}");

    let successor = wait_for_successor(victim);
    assert_eq!(successor.generation, victim.generation + 1);
    assert_eq!((&successor.id, &successor.uuid), (&victim.id, &victim.uuid));
    let again = fleet.wait_for_nodes(3);
    assert_eq!(
        again[0].generation, nodes[0].generation,
        "the others were left alone"
    );
    fleet.stop();
}

#[test]
fn a_fleet_that_is_started_again_is_the_same_fleet() {
    let mut fleet = Sandbox::new().set("NODE_COUNT", 3).start();
    let before = fleet.wait_for_nodes(3);
    fleet.end_cleanly(|fleet| fleet.supervisor_process().signal(Signal::SIGTERM));
    fleet.start_again();
    let after = fleet.wait_for_nodes(3);
    for (before, after) in before.iter().zip(&after) {
        assert_eq!((&before.id, &before.uuid), (&after.id, &after.uuid));
        assert_eq!(after.port, before.port, "{}", after.id);
        assert_eq!(after.generation, before.generation + 1, "{}", after.id);
    }
    fleet.stop();
}

#[test]
fn a_taken_port_is_left_to_whoever_has_it() {
    let sandbox = Sandbox::new().set("NODE_COUNT", 3);
    let taken = sandbox.http_port(1);
    let stranger = Stranger::holding(&sandbox, &[format!("tcp:{taken}")]);
    let mut fleet = sandbox.start();
    let nodes = fleet.wait_for_nodes(3);
    let ports: Vec<_> = nodes.iter().map(|node| node.port).collect();
    assert_eq!(ports, [0, 2, 3].map(|slot| fleet.http_port(slot)));
    stranger.leave();
    fleet.stop();
}

#[test]
fn a_slot_is_taken_whole_or_not_at_all() {
    for kind in ["tcp", "udp"] {
        let sandbox = Sandbox::new().set("NODE_COUNT", 1);
        let gossip = sandbox.http_port(0) + sandbox.ports().gossip_offset();
        let stranger = Stranger::holding(&sandbox, &[format!("{kind}:{gossip}")]);
        let mut fleet = sandbox.start();
        let nodes = fleet.wait_for_nodes(1);
        assert_eq!(
            nodes[0].port,
            fleet.http_port(1),
            "gossip {kind} of the first slot is taken"
        );
        TcpListener::bind((Ipv4Addr::LOCALHOST, fleet.http_port(0)))
            .expect("nothing of a slot is kept that cannot be had whole");
        stranger.leave();
        fleet.stop();
    }
}

#[test]
fn without_enough_ports_the_start_says_who_has_them() {
    let sandbox = Sandbox::new().set("NODE_COUNT", 3).set("MAX_PORTS", 3);
    let ports = [0, 1, 2].map(|slot| sandbox.http_port(slot));
    let stranger = Stranger::holding(&sandbox, &ports.map(|port| format!("tcp:{port}")));
    let refused = sandbox.finish(&["run"]);
    assert_eq!(refused.code(), Some(69), "{}", refused.said());
    let pid = stranger.process().pid.to_string();
    let mut wanted = vec![pid.as_str(), "stranger.py"];
    let ports = ports.map(|port| port.to_string());
    wanted.extend(ports.iter().map(String::as_str));
    for wanted in wanted {
        assert!(
            refused.stderr.contains(wanted),
            "no {wanted} in: {}",
            refused.said()
        );
    }
    assert_eq!(
        sandbox.processes(),
        [stranger.process()],
        "no node was started"
    );
    stranger.leave();
    sandbox.assert_nothing_left();
}

#[test]
fn a_node_without_a_port_gets_one_when_it_is_free() {
    let sandbox = Sandbox::new().set("NODE_COUNT", 3).set("MAX_PORTS", 3);
    let taken = sandbox.http_port(0);
    let stranger = Stranger::holding(&sandbox, &[format!("tcp:{taken}")]);
    let mut fleet = sandbox.start();
    fleet.wait_for_nodes(2);
    let states = states(&fleet);
    assert!(states.contains("no-port"), "{states:?}");
    stranger.leave();
    fleet.wait_for_nodes(3);
    fleet.stop();
}

fn states(fleet: &Fleet) -> BTreeSet<String> {
    let status = fleet.finish(&["status", "--json"]).json();
    let nodes = status["nodes"].as_array().expect("nodes is a list");
    nodes
        .iter()
        .filter_map(|node| Some(node["state"].as_str()?.to_owned()))
        .collect()
}

#[test]
fn a_directory_belongs_to_one_supervisor() {
    let mut first = Sandbox::new().set("NODE_COUNT", 1).start();
    first.wait_for_nodes(1);
    let pid = first.supervisor_process().pid.to_string();
    for (setting, path) in [
        ("STATE_DIR", first.path("state")),
        ("LOG_DIR", first.path("logs")),
    ] {
        let second = Sandbox::new().set(setting, path.display());
        let refused = second.finish(&["run"]);
        assert_eq!(refused.code(), Some(78), "{setting}: {}", refused.said());
        for wanted in [setting, pid.as_str()] {
            assert!(
                refused.stderr.contains(wanted),
                "no {wanted} in: {}",
                refused.said()
            );
        }
        second.assert_nothing_left();
    }
    first.stop();
}

#[test]
fn nodes_end_with_their_supervisor() {
    let mut fleet = Sandbox::new().set("NODE_COUNT", 3).start();
    fleet.wait_for_nodes(3);
    let all = fleet.processes();
    fleet.supervisor_process().signal(Signal::SIGKILL);
    assert_eq!(fleet.wait_for_end().code(), None, "it was killed");
    // Not by their environment: that is gone before their sockets are.
    wait_until("the end of all nodes", PATIENCE, || {
        let left: Vec<_> = all.iter().filter(|process| process.alive()).collect();
        match left.is_empty() {
            true => Ok(()),
            false => Err(format!("{left:?} run")),
        }
    });
    fleet.assert_nothing_left();
}

#[test]
fn the_secret_is_nowhere_to_be_seen() {
    const SECRET: &str = "correct-horse-battery-staple-7361";
    let mut fleet = Sandbox::new()
        .unset("REPRAM_CLUSTER_SECRET_FILE")
        .set("REPRAM_CLUSTER_SECRET", SECRET)
        .set("REPRAM_LOG_LEVEL", "debug")
        .start();
    let nodes = fleet.wait_for_nodes(3);
    for node in &nodes {
        let process = fleet.process_of(&node.id);
        for shown in process
            .environment()
            .into_iter()
            .chain(process.command_line())
        {
            assert!(!shown.contains(SECRET), "{} shows {shown}", node.id);
        }
        for path in ["/status", "/health", "/peers", "/topology", "/metrics"] {
            assert!(
                !node.get(path).text().contains(SECRET),
                "{path} shows the secret"
            );
        }
    }
    for arguments in [["config", "--json"], ["status", "--json"]] {
        let finished = fleet.finish(&arguments);
        assert!(
            !finished.said().contains(SECRET),
            "{arguments:?} shows the secret"
        );
    }
    fleet.supervisor_process().signal(Signal::SIGTERM);
    fleet.wait_for_end();
    let said = fleet.output().stdout() + &fleet.output().stderr();
    assert!(!said.contains(SECRET), "the supervisor shows the secret");
    for node in &nodes {
        let log = fs::read_to_string(fleet.log_file(&node.id)).expect("every node has a log");
        assert!(!log.contains(SECRET), "the log of {} shows it", node.id);
    }
}
