//! What clients see of nodes that are restarted: nothing, and of nodes that are killed: next
//! to nothing.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use repram_tests::{Fleet, Load, LoadConfig, Node, PATIENCE, Process, Sandbox, wait_until};

/// Clients that keep their connections.
const SESSIONS: usize = 32;

/// Load that keeps two cores busy and leaves nodes some time to start.
fn load_on(nodes: &[Node]) -> Load {
    let seed = std::env::var("REPRAM_LOAD_SEED").ok();
    let seed = seed.and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("seed {seed}");
    let load = Load::start(LoadConfig {
        ports: nodes.iter().map(|node| node.port).collect(),
        sessions: SESSIONS,
        pause: Duration::from_millis(10),
        short_per_second: 100,
        seed,
    });
    wait_for_requests(&load, 200);
    load
}

/// Waits until so many more requests were answered.
#[track_caller]
fn wait_for_requests(load: &Load, count: u64) {
    let goal = load.tally().answered() + count;
    wait_until("requests that are answered", PATIENCE, || {
        let tally = load.tally();
        match tally.answered() >= goal {
            true => Ok(()),
            false => Err(tally.to_string()),
        }
    });
}

/// Waits until the successor of a node is ready.
#[track_caller]
fn wait_for_successor(node: &Node) {
    wait_until("a successor", PATIENCE, || {
        let found = Node::at(node.port)?;
        match found.generation > node.generation {
            true => Ok(()),
            false => Err(format!("{found:?}")),
        }
    });
}

#[track_caller]
fn wait_for_death(process: Process) {
    wait_until("the end of a killed process", PATIENCE, || {
        match process.alive() {
            true => Err(format!("pid {} lives", process.pid)),
            false => Ok(()),
        }
    });
}

/// Every exit is the first failure of its node, so that the successor starts at once.
fn fleet_of(count: u16) -> Fleet {
    let sandbox = Sandbox::new().set("NODE_COUNT", count);
    sandbox.set("RESTART_STABLE", "1ms").start()
}

/// Restarts every node of a fleet of so many under load, in the way that `restart` does it,
/// and says what became of the requests.
#[track_caller]
fn check(count: u16, how: &str, restart: impl FnOnce(&mut Fleet, &[Node], &Load)) {
    let mut fleet = fleet_of(count);
    let before = fleet.wait_until_refilled(count.into());
    let load = load_on(&before);
    restart(&mut fleet, &before, &load);
    wait_for_requests(&load, 300);
    let after = fleet.wait_for_nodes(count.into());
    let tally = load.finish();
    println!("{count} nodes restarted, {how}: {tally}");
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(after.generation, before.generation + 1, "{}", after.id);
    }
    assert_eq!(tally.failures.len(), 0, "{count} nodes: {tally}");
    assert_eq!(tally.verified, tally.written, "{count} nodes: {tally}");
    assert!(
        tally.reopened >= SESSIONS as u64,
        "every session met a restart: {tally}"
    );
    fleet.stop();
}

#[test]
fn no_request_fails_in_a_rolling_restart() {
    for count in [3, 5] {
        check(count, "by the command", |fleet, _, _| {
            let done = fleet.finish(&["restart", "--rolling"]);
            assert_eq!(done.code(), Some(0), "{}", done.said());
        });
    }
}

#[test]
fn no_request_fails_when_nodes_are_told_to_finish() {
    check(3, "by signals", |fleet, nodes, load| {
        for node in nodes {
            fleet.process_of(&node.id).signal(Signal::SIGTERM);
            wait_for_successor(node);
            fleet.wait_until_refilled(3);
            wait_for_requests(load, 300);
        }
    });
}

#[test]
fn a_kill_costs_only_what_was_under_way_in_that_process() {
    let mut fleet = fleet_of(3);
    let nodes = fleet.wait_until_refilled(3);
    let load = load_on(&nodes);
    let mut gone = Vec::new();
    for node in &nodes {
        let process = fleet.process_of(&node.id);
        process.signal(Signal::SIGKILL);
        wait_for_death(process);
        gone.push((node.port, Instant::now()));
        wait_for_successor(node);
        fleet.wait_until_refilled(3);
        wait_for_requests(&load, 300);
    }
    let tally = load.finish();
    println!("3 nodes killed, one after the other: {tally}");
    assert_eq!(tally.verified, tally.written, "{tally}");
    for failure in &tally.failures {
        let (_, dead) = gone
            .iter()
            .find(|(port, _)| *port == failure.port)
            .expect("a node");
        let was_with_the_process = failure.connected.is_some_and(|connected| connected < *dead);
        assert!(was_with_the_process, "{failure:?} of {tally}");
    }
    fleet.stop();
}

#[test]
fn nobody_waits_at_the_door_of_a_node_that_stays_away() {
    let fleet = Sandbox::new()
        .set("NODE_COUNT", 1)
        .set("NODE_COMMAND", "false")
        .set("RESTART_DELAY", "1ms")
        .set("RESTART_BUDGET", "2")
        .set("ON_FAILED", "keep")
        .start();
    let port = fleet.http_port(0);
    wait_until("a node that has failed", PATIENCE, || {
        let status = fleet.finish(&["status", "--json"]);
        match status.code() == Some(0) && status.json()["nodes"][0]["state"] == "failed" {
            true => Ok(()),
            false => Err(status.said()),
        }
    });
    let refused = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).map_err(|error| error.kind());
    assert_eq!(refused.err(), Some(ErrorKind::ConnectionRefused));
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect_err("the port is still ours");
    fleet.stop();
}
