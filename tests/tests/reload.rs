//! Other settings for a fleet that runs.

use nix::sys::signal::Signal;
use repram_tests::{Finished, Fleet, Load, LoadConfig, Node, PATIENCE, Sandbox, wait_until};
use serde_json::Value;

/// A fleet whose settings of interest stand in a file.
fn fleet(file: &str) -> Fleet {
    let sandbox = Sandbox::new();
    let path = sandbox.write("repram.toml", file);
    sandbox.set("REPRAM_CONFIG", path.display()).start()
}

/// Writes another file and reloads.
fn reload(fleet: &Fleet, file: &str) -> Finished {
    fleet.write("repram.toml", file);
    fleet.finish(&["reload"])
}

fn status(fleet: &Fleet) -> Value {
    fleet.finish(&["status", "--json"]).json()
}

#[track_caller]
fn check_done(finished: &Finished, said: &[&str]) {
    assert_eq!(finished.code(), Some(0), "{}", finished.said());
    check_said(finished, said);
}

#[track_caller]
fn check_refused(finished: &Finished, said: &[&str]) {
    assert_eq!(finished.code(), Some(78), "{}", finished.said());
    check_said(finished, said);
}

#[track_caller]
fn check_said(finished: &Finished, wanted: &[&str]) {
    let said = finished.said();
    for wanted in wanted {
        assert!(said.contains(wanted), "no {wanted:?} in: {said}");
    }
}

/// The generations of all nodes, which count their starts.
fn generations(nodes: &[Node]) -> Vec<u64> {
    nodes.iter().map(|node| node.generation).collect()
}

#[test]
fn what_the_supervisor_uses_itself_counts_at_once() {
    let mut fleet = fleet("node_count = 2\nmin_ready = 2\n");
    let before = fleet.wait_for_nodes(2);
    let file = "node_count = 2\nmin_ready = 1\n";
    fleet.write("repram.toml", file);
    let shown = ["MIN_READY", "takes effect at once"];
    check_done(&fleet.finish(&["reload", "--dry-run"]), &shown);
    assert_eq!(status(&fleet)["min_ready"], 2, "a dry run changes nothing");
    check_done(&reload(&fleet, file), &shown);
    assert_eq!(status(&fleet)["min_ready"], 1);
    check_done(&reload(&fleet, file), &["nothing is different"]);
    let after = fleet.wait_for_nodes(2);
    assert_eq!(generations(&after), generations(&before));
    fleet.stop();
}

#[test]
fn sighup_is_a_reload() {
    let mut fleet = fleet("node_count = 1\n");
    fleet.wait_for_nodes(1);
    fleet.write("repram.toml", "node_count = 1\nmin_ready = 1\n");
    fleet.supervisor_process().signal(Signal::SIGHUP);
    wait_until("another MIN_READY", PATIENCE, || {
        let status = status(&fleet);
        match status["min_ready"] == 1 {
            true => Ok(()),
            false => Err(status.to_string()),
        }
    });
    fleet.write("repram.toml", "node_count = 0\n");
    fleet.supervisor_process().signal(Signal::SIGHUP);
    wait_until("the problem among the events", PATIENCE, || {
        let events = fleet.finish(&["events"]);
        match events
            .said()
            .contains("settings not reloaded, asked by SIGHUP")
        {
            true => Ok(()),
            false => Err(events.said()),
        }
    });
    assert_eq!(status(&fleet)["min_ready"], 1);
    fleet.stop();
}

#[test]
fn what_cannot_be_used_changes_nothing() {
    let mut fleet = fleet("node_count = 2\n");
    let before = fleet.wait_for_nodes(2);
    let check = |file: &str, said: &[&str]| check_refused(&reload(&fleet, file), said);
    check("node_count = ", &["repram.toml"]);
    check(
        "node_count = 2\nmin_ready = -1\nmax_ttl = 'soon'\n",
        &[
            "2 problems",
            "min_ready",
            "max_ttl",
            "repram.toml:2",
            "repram.toml:3",
        ],
    );
    // A mistake beside a change that would be possible.
    check("node_count = 3\nlog_keep = -1\n", &["log_keep"]);
    check(
        "node_count = 2\nmin_ready = 0\nmax_ports = 9\nclaim_settle = '3s'\n",
        &["2 problems", "max_ports", "claim_settle", "started anew"],
    );
    let status = status(&fleet);
    assert_eq!(status["min_ready"], 1, "{status}");
    let after = fleet.wait_for_nodes(2);
    assert_eq!(generations(&after), generations(&before));
    fleet.stop();
}

#[test]
fn what_nodes_start_with_restarts_them_one_after_the_other() {
    let mut fleet = fleet("node_count = 3\nrolling_soak = 0\n");
    let before = fleet.wait_until_refilled(3);
    let load = Load::start(LoadConfig {
        ports: before.iter().map(|node| node.port).collect(),
        sessions: 12,
        pause: std::time::Duration::from_millis(20),
        short_per_second: 50,
        seed: fastrand::u64(..),
    });
    let file = "node_count = 3\nrolling_soak = 0\nmin_ttl = 60\ndefault_ttl = 77\n";
    check_done(
        &reload(&fleet, file),
        &[
            "REPRAM_MIN_TTL",
            "REPRAM_DEFAULT_TTL",
            "one after the other",
        ],
    );
    let after = fleet.wait_for_nodes(3);
    let tally = load.finish();
    println!("a reload with a rolling restart: {tally}");
    assert_eq!(tally.failures.len(), 0, "{tally}");
    let started_again: Vec<u64> = before.iter().map(|node| node.generation + 1).collect();
    assert_eq!(generations(&after), started_again);
    for node in &after {
        assert_eq!(node.put("/data/a-key", b"value").status, 201);
        let got = node.get("/data/a-key");
        assert_eq!(got.header("x-original-ttl"), Some("77"), "{}", node.id);
    }
    fleet.stop();
}

#[test]
fn another_number_of_nodes_is_reached() {
    let mut fleet = fleet("node_count = 2\n");
    let before = fleet.wait_for_nodes(2);
    check_done(
        &reload(&fleet, "node_count = 4\n"),
        &["NODE_COUNT", "starts or stops nodes"],
    );
    let more = fleet.wait_for_nodes(4);
    assert_eq!(
        generations(&more[..2]),
        generations(&before),
        "they were left alone"
    );
    assert_eq!(status(&fleet)["min_ready"], 3);
    check_done(&reload(&fleet, "node_count = 1\n"), &[]);
    let left = Node::at(before[0].port).expect("it was left alone");
    assert_eq!(left.generation, before[0].generation);
    Node::at(before[1].port).expect_err("it is gone");
    let status = status(&fleet);
    assert_eq!(
        status["nodes"].as_array().map(Vec::len),
        Some(1),
        "{status}"
    );
    fleet.stop();
}

#[test]
fn a_reload_that_hurts_ends_with_the_first_node() {
    let mut fleet = fleet("node_count = 3\n");
    let before = fleet.wait_for_nodes(3);
    let halted = reload(
        &fleet,
        "node_count = 3\nnode_command = '/no/such/program'\n",
    );
    assert_eq!(halted.code(), Some(1), "{}", halted.said());
    check_said(
        &halted,
        &[
            "NODE_COMMAND",
            "halted",
            "left alone: flux-node-2, flux-node-3",
        ],
    );
    for node in &before[1..] {
        let left = Node::at(node.port).expect("it was left alone");
        assert_eq!(left.generation, node.generation);
    }
    check_done(&reload(&fleet, "node_count = 3\n"), &["NODE_COMMAND"]);
    fleet.wait_for_nodes(3);
    fleet.stop();
}

#[test]
fn a_secret_changes_in_two_steps() {
    let secret = |name: &str| format!("{name}-secret-that-is-long-enough");
    let (old, new) = (secret("old"), secret("new"));
    let sandbox = Sandbox::new();
    let config = sandbox.write("repram.toml", "node_count = 2\nrolling_soak = 0\n");
    let path = sandbox.write("cluster", &old);
    let sandbox = sandbox
        .set("REPRAM_CONFIG", config.display())
        .set("REPRAM_CLUSTER_SECRET_FILE", path.display());
    let mut fleet = sandbox.start();
    let before = fleet.wait_until_refilled(2);
    assert_eq!(before[0].put("/data/kept", b"value").status, 201);
    fleet.write("cluster", &new);
    let refused = fleet.finish(&["reload"]);
    check_refused(&refused, &["REPRAM_CLUSTER_SECRET_PREVIOUS", "two reloads"]);
    let mut said = refused.said();
    let mut step = |current: &str, previous: &str| {
        fleet.write("cluster", current);
        let file =
            format!("node_count = 2\nrolling_soak = 0\ncluster_secret_previous = '{previous}'\n");
        let done = reload(&fleet, &file);
        check_done(&done, &["REPRAM_CLUSTER_SECRET_PREVIOUS"]);
        said += &done.said();
    };
    step(&old, &new);
    step(&new, &old);
    said += &fleet.finish(&["events"]).said();
    for secret in [old, new] {
        assert!(!said.contains(&secret), "a secret is shown: {said}");
    }
    let after = fleet.wait_until_refilled(2);
    assert_eq!(after[0].generation, before[0].generation + 2);
    for node in &after {
        assert_eq!(node.get("/data/kept").text(), "value", "{}", node.id);
    }
    fleet.stop();
}
