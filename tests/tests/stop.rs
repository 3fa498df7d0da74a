//! Every way to an end: exit code 0, no process left, every port free at once.

use nix::sys::signal::Signal;
use repram_tests::{Fleet, Node, PATIENCE, Sandbox, wait_until};

/// Whether something can be seen of a fleet from outside.
type Look = fn(&Fleet) -> bool;

/// A fleet of three nodes that no polite signal ends.
fn stubborn(stop_timeout: &str) -> Fleet {
    let sandbox = Sandbox::new()
        .set("NODE_COUNT", 3)
        .set("STOP_TIMEOUT", stop_timeout);
    let program = sandbox.write("stubborn.py", include_str!("../programs/stubborn.py"));
    let fleet = sandbox
        .set("NODE_COMMAND", format!("python3 {}", program.display()))
        .start();
    wait_until("three stubborn nodes", PATIENCE, || {
        let node = |number: u16| fleet.path(&format!("flux-node-{number}.stubborn"));
        match (1..=3).find(|number| !node(*number).exists()) {
            None => Ok(()),
            Some(number) => Err(format!("flux-node-{number} can still be ended")),
        }
    });
    fleet
}

/// Waits until the supervisor says that it stops.
#[track_caller]
fn wait_for_stopping(fleet: &Fleet) {
    wait_until("a supervisor that stops", PATIENCE, || {
        let status = fleet.finish(&["status", "--json"]);
        if status.code() == Some(0) && status.json()["phase"] == "stopping" {
            return Ok(());
        }
        Err(status.said())
    });
}

#[test]
fn a_signal_stops_a_running_fleet() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut fleet = Sandbox::new().set("NODE_COUNT", 3).start();
        fleet.wait_for_nodes(3);
        fleet.end_cleanly(|fleet| fleet.supervisor_process().signal(signal));
    }
}

#[test]
fn a_signal_stops_a_fleet_that_is_still_starting() {
    let fleet = Sandbox::new()
        .set("NODE_COUNT", 3)
        .set("START_STAGGER", "1h")
        .start();
    fleet.process_of("flux-node-1");
    assert_eq!(
        fleet.find_process("flux-node-2"),
        None,
        "it waits for its turn"
    );
    fleet.stop();
}

#[test]
fn a_signal_stops_a_fleet_at_any_moment_of_its_start() {
    // Each moment is awaited by what can be seen of it from outside.
    let moments: [(&str, Look); 5] = [
        ("it has its directory", |fleet| {
            fleet.path("state/.supervisor.lock").exists()
        }),
        ("it has its first port", |fleet| {
            fleet.ports().all_free().is_err()
        }),
        ("its first node runs", |fleet| {
            fleet.find_process("flux-node-1").is_some()
        }),
        ("its last node runs", |fleet| {
            fleet.find_process("flux-node-10").is_some()
        }),
        ("its first node answers", |fleet| {
            Node::at(fleet.http_port(0)).is_ok()
        }),
    ];
    for (moment, reached) in moments {
        let fleet = Sandbox::new().set("NODE_COUNT", 10).start();
        wait_until(moment, PATIENCE, || match reached(&fleet) {
            true => Ok(()),
            false => Err(fleet.output().stderr()),
        });
        fleet.stop();
    }
}

#[test]
fn nodes_that_ignore_the_signal_are_killed_with_their_helpers() {
    let fleet = stubborn("2s");
    assert_eq!(
        fleet.processes().len(),
        7,
        "a supervisor, three nodes, their helpers"
    );
    fleet.stop();
}

#[test]
fn a_second_signal_waits_for_nobody() {
    let mut fleet = stubborn("1h");
    fleet.end_cleanly(|fleet| {
        fleet.supervisor_process().signal(Signal::SIGTERM);
        wait_for_stopping(fleet);
        fleet.supervisor_process().signal(Signal::SIGTERM);
    });
}

#[test]
fn the_stop_command_returns_when_all_has_ended() {
    let mut fleet = Sandbox::new().set("NODE_COUNT", 3).start();
    fleet.wait_for_nodes(3);
    fleet.end_cleanly(|fleet| {
        let stop = fleet.finish(&["stop"]);
        assert_eq!(stop.code(), Some(0), "{}", stop.said());
        let supervisor = fleet.supervisor_process();
        let nodes: Vec<_> = fleet
            .processes()
            .into_iter()
            .filter(|p| *p != supervisor)
            .collect();
        assert!(nodes.is_empty(), "{nodes:?} run after `stop` returned");
    });
}
