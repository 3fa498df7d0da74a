//! Nodes that fail, one or all of them, once or for ever.

use nix::sys::signal::Signal;
use repram_tests::{Fleet, Node, PATIENCE, Process, Sandbox, wait_until};
use serde_json::Value;

/// The nodes of a status.
fn nodes(status: &Value) -> &Vec<Value> {
    status["nodes"].as_array().expect("nodes is a list")
}

fn count(status: &Value, state: &str) -> usize {
    let in_state = nodes(status).iter().filter(|node| node["state"] == state);
    in_state.count()
}

/// Waits until each node has a successor, which is the same node in its next generation.
#[track_caller]
fn wait_for_successors(fleet: &mut Fleet, before: &[Node]) {
    let after = wait_until("the next generation", PATIENCE, || {
        let nodes = fleet.wait_for_nodes(before.len());
        let next = |(old, new): (&Node, &Node)| new.generation > old.generation;
        match before.iter().zip(&nodes).all(next) {
            true => Ok(nodes),
            false => Err(format!("{nodes:?}")),
        }
    });
    for (old, new) in before.iter().zip(&after) {
        assert_eq!((&old.uuid, old.port), (&new.uuid, new.port));
    }
}

#[test]
fn all_nodes_killed_at_once_return_as_themselves() {
    let mut fleet = Sandbox::new().set("NODE_COUNT", 3).start();
    let before = fleet.wait_for_nodes(3);
    let processes: Vec<Process> = before
        .iter()
        .map(|node| fleet.process_of(&node.id))
        .collect();
    for process in processes {
        process.signal(Signal::SIGKILL);
    }
    wait_for_successors(&mut fleet, &before);
    fleet.stop();
}

#[test]
fn a_node_that_hangs_is_ended_by_its_watchdog() {
    let mut fleet = Sandbox::new()
        .set("NODE_COUNT", 2)
        .set("LIVENESS_PERIOD", "1s")
        .set("LIVENESS_FAILURES", 3)
        .start();
    let before = fleet.wait_for_nodes(2);
    fleet.process_of(&before[0].id).signal(Signal::SIGSTOP);
    let after = wait_until("the successor of a node that hung", PATIENCE, || {
        let found = Node::at(before[0].port)?;
        match found.generation > before[0].generation {
            true => Ok(found),
            false => Err(format!("{found:?}")),
        }
    });
    assert_eq!(after.uuid, before[0].uuid);
    let status = fleet.wait_for_status("a running fleet", |status| count(status, "ready") == 2);
    assert_eq!(nodes(&status)[1]["restarts"], 0, "the other was left alone");
    fleet.stop();
}

#[test]
fn nodes_that_fail_at_once_for_ever_use_up_their_budget() {
    let fleet = Sandbox::new()
        .set("NODE_COUNT", 3)
        .set("NODE_COMMAND", "sh -c 'exit 1'")
        .set("RESTART_DELAY", "1ms")
        .set("RESTART_DELAY_MAX", "1h")
        .set("RESTART_BUDGET", 3)
        .start();
    let status = fleet.wait_for_status("nodes that failed for good", |status| {
        count(status, "failed") == 3
    });
    for node in nodes(&status) {
        assert_eq!(node["last_exit"]["reason"]["code"], 1, "{node}");
        assert_eq!(node["failures"], 3, "{node}");
    }
    let events = fleet.finish(&["events", "--json"]);
    assert!(events.stdout.contains("fleet_braked"), "{}", events.said());
    let health = fleet.finish(&["health"]);
    assert_eq!(health.code(), Some(1), "{}", health.said());
    fleet.stop();
}

#[test]
fn a_fleet_that_failed_for_good_ends_with_1_when_it_was_told_to() {
    let mut fleet = Sandbox::new()
        .set("NODE_COUNT", 3)
        .set("NODE_COMMAND", "sh -c 'exit 1'")
        .set("RESTART_DELAY", "1ms")
        .set("RESTART_DELAY_MAX", "1ms")
        .set("RESTART_BUDGET", 3)
        .set("ON_FAILED", "exit")
        .start();
    let finished = fleet.wait_for_end();
    assert_eq!(finished.code(), Some(1), "{}", finished.said());
    fleet.assert_nothing_left();
}

#[test]
fn a_node_that_never_gets_ready_is_ended_and_started_again() {
    let fleet = Sandbox::new()
        .set("NODE_COUNT", 1)
        .set("NODE_COMMAND", "sleep 1000")
        .set("START_TIMEOUT", "200ms")
        .set("RESTART_DELAY", "1ms")
        .start();
    fleet.wait_for_status("a node that was started twice more", |status| {
        nodes(status)[0]["restarts"]
            .as_u64()
            .is_some_and(|restarts| restarts >= 2)
    });
    let sleeping = fleet.processes().into_iter().filter(|process| {
        process
            .command_line()
            .first()
            .is_some_and(|program| program.ends_with("sleep"))
    });
    assert!(sleeping.count() <= 1, "one process for one node");
    fleet.stop();
}

#[test]
fn what_a_node_left_behind_is_gone_before_its_successor_comes() {
    let sandbox = Sandbox::new()
        .set("NODE_COUNT", 1)
        .set("RESTART_DELAY", "1ms");
    let program = sandbox.write("runaway.py", include_str!("../programs/runaway.py"));
    let fleet = sandbox
        .set("NODE_COMMAND", format!("python3 {}", program.display()))
        .set("STOP_TIMEOUT", "2s")
        .start();
    let supervisor = fleet.supervisor_process();
    // The node, and its orphan: what is between them ends by itself.
    let family = |fleet: &Fleet| -> Vec<Process> {
        let mut all = fleet.processes();
        all.retain(|process| process.parent() == Some(supervisor.pid));
        all
    };
    let before = wait_until("a node and its orphan", PATIENCE, || {
        match &family(&fleet)[..] {
            [one, other] => Ok([*one, *other]),
            found => Err(format!("{found:?}")),
        }
    });
    let node = fleet.process_of("flux-node-1");
    node.signal(Signal::SIGKILL);
    let next = wait_until("a successor", PATIENCE, || {
        match fleet.find_process("flux-node-1") {
            Some(process) if !before.contains(&process) => Ok(process),
            found => Err(format!("{found:?}")),
        }
    });
    assert!(!before.iter().any(|process| process.alive()), "{next:?}");
    fleet.stop();
}
