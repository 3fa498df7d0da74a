//! Changing a fleet while it runs: restarts, rolling restarts, another number of nodes.

use std::fs;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::Child;

use nix::sys::signal::Signal;
use repram_tests::{Finished, Fleet, Node, Output, PATIENCE, Sandbox, Stranger, wait_until};
use serde_json::Value;

/// A program that ends at once while `broken` or `broken-NODE` is in its directory, and else
/// serves the sockets that it is handed. It is in nobody's way when it restarts.
fn breakable(sandbox: Sandbox) -> Sandbox {
    let program = sandbox.write("activated.py", include_str!("../programs/activated.py"));
    let script = format!(
        "for reason in broken broken-$REPRAM_NODE_ID; do\n  [ -e \"${{0%/*}}/$reason\" ] && exit 1\n\
         done\nexec python3 '{}'\n",
        program.display()
    );
    let script = sandbox.write("breakable.sh", &script);
    sandbox.set("NODE_COMMAND", format!("sh {}", script.display()))
}

/// Breaks what [`breakable`] gave, or mends it.
fn break_it(sandbox: &Sandbox, reason: &str, broken: bool) {
    let path = sandbox.path(reason);
    if broken {
        fs::write(path, "").expect("the directory is ours");
    } else {
        fs::remove_file(path).expect("it is broken");
    }
}

/// The status of a fleet, once so many nodes are ready.
#[track_caller]
fn wait_until_ready(fleet: &Fleet, count: usize) -> Value {
    wait_until(&format!("{count} ready nodes"), PATIENCE, || {
        let finished = fleet.finish(&["status", "--json"]);
        if finished.code() != Some(0) {
            return Err(finished.said());
        }
        let status = finished.json();
        let nodes = status["nodes"].as_array().expect("a list");
        let ready = nodes.iter().filter(|node| node["state"] == "ready").count();
        match ready == count && nodes.len() == count {
            true => Ok(status),
            false => Err(status.to_string()),
        }
    })
}

/// The pids of all nodes, by their number.
fn pids(status: &Value) -> Vec<u64> {
    let nodes = status["nodes"].as_array().expect("a list");
    let pid = |node: &Value| node["pid"].as_u64().expect("it runs");
    nodes.iter().map(pid).collect()
}

/// Everything that happened so far, oldest first.
#[track_caller]
fn events(fleet: &Fleet) -> Vec<Value> {
    let said = fleet.finish(&["events", "--json"]).stdout;
    let event = |line: &str| serde_json::from_str(line).expect("one object per line");
    said.lines().map(event).collect()
}

#[track_caller]
fn wait_for_event(fleet: &Fleet, is_it: impl Fn(&Value) -> bool) {
    wait_until("an event", PATIENCE, || {
        let events = events(fleet);
        match events.iter().any(&is_it) {
            true => Ok(()),
            false => Err(format!("{events:#?}")),
        }
    });
}

#[track_caller]
fn succeeds(finished: &Finished) {
    assert_eq!(finished.code(), Some(0), "{}", finished.said());
}

#[track_caller]
fn fails(finished: &Finished, words: &[&str]) {
    assert_eq!(finished.code(), Some(1), "{}", finished.said());
    for word in words {
        assert!(
            finished.said().contains(word),
            "{word}: {}",
            finished.said()
        );
    }
}

/// A command that goes on while the test does.
fn begin(fleet: &Fleet, arguments: &[&str]) -> (Child, Output) {
    fleet.spawn(&mut fleet.supervisor(arguments), "waiting")
}

#[test]
fn a_restart_gives_a_node_a_new_process_and_leaves_the_others_alone() {
    let mut fleet = Sandbox::new().set("NODE_COUNT", 3).start();
    let before = fleet.wait_until_refilled(3);
    succeeds(&fleet.finish(&["restart", "2"]));
    let after = fleet.wait_for_nodes(3);
    for (before, after) in before.iter().zip(&after) {
        let starts = u64::from(before.id == "flux-node-2");
        assert_eq!(after.generation, before.generation + starts, "{}", after.id);
        assert_eq!((&after.uuid, after.port), (&before.uuid, before.port));
    }
    let status = wait_until_ready(&fleet, 3);
    assert_eq!(status["nodes"][1]["failures"], 0, "{status}");
    fleet.stop();
}

#[test]
fn a_restart_below_min_ready_needs_force() {
    let mut fleet = Sandbox::new().set("NODE_COUNT", 3).start();
    let before = fleet.wait_until_refilled(3);
    for arguments in [&["restart"][..], &["restart", "1", "flux-node-3"]] {
        let refused = fleet.finish(arguments);
        fails(&refused, &["MIN_READY is 2", "--rolling", "--force"]);
    }
    let unknown = fleet.finish(&["restart", "4"]);
    fails(&unknown, &["flux-node-4", "flux-node-1 to flux-node-3"]);
    let untouched = fleet.wait_for_nodes(3);
    for (before, after) in before.iter().zip(&untouched) {
        assert_eq!(after.generation, before.generation, "{}", after.id);
    }
    succeeds(&fleet.finish(&["restart", "--force"]));
    for (before, after) in before.iter().zip(&fleet.wait_for_nodes(3)) {
        assert_eq!(after.generation, before.generation + 1, "{}", after.id);
    }
    fleet.stop();
}

#[test]
fn a_rolling_restart_takes_one_node_after_the_other() {
    let sandbox = Sandbox::new().set("NODE_COUNT", 3);
    let mut fleet = sandbox.set("ROLLING_SOAK", "100ms").start();
    let before = fleet.wait_until_refilled(3);
    let restart = fleet.finish(&["restart", "--rolling", "--json"]);
    succeeds(&restart);
    for (before, after) in before.iter().zip(&fleet.wait_for_nodes(3)) {
        assert_eq!(after.generation, before.generation + 1, "{}", after.id);
    }
    let (mut steps, mut down) = (Vec::new(), None);
    let mut last = Value::Null;
    for line in restart.stdout.lines() {
        let event: Value = serde_json::from_str(line).expect("one object per line");
        let node = event["node"].as_str().map(str::to_owned);
        match event["event"].as_str() {
            Some("change_step") => {
                assert_eq!(down, None, "one at a time: {}", restart.stdout);
                (steps, down) = ([steps, vec![node.clone()]].concat(), node);
            }
            Some("node_ready") if node == down => down = None,
            _ => {}
        }
        last = event;
    }
    let names = ["flux-node-1", "flux-node-2", "flux-node-3"];
    assert_eq!(steps, names.map(|name| Some(name.to_owned())));
    assert_eq!(last["event"], "change_done", "{}", restart.stdout);
    fleet.stop();
}

#[test]
fn a_rolling_restart_ends_with_the_first_node_that_comes_back_worse() {
    let fleet = breakable(Sandbox::new().set("NODE_COUNT", 3)).start();
    let before = pids(&wait_until_ready(&fleet, 3));
    break_it(&fleet, "broken", true);
    let halted = fleet.finish(&["restart", "--rolling"]);
    let words = [
        "halted: flux-node-1",
        "left alone: flux-node-2, flux-node-3",
    ];
    fails(&halted, &words);
    for (number, pid) in (2..=3).zip(&before[1..]) {
        let process = fleet.process_of(&format!("flux-node-{number}"));
        assert_eq!(u64::from(process.pid.cast_unsigned()), *pid);
    }
    // Mended, it comes back when it is told to, whatever it has done before.
    break_it(&fleet, "broken", false);
    succeeds(&fleet.finish(&["restart", "1"]));
    assert_eq!(pids(&wait_until_ready(&fleet, 3))[1..], before[1..]);
    fleet.stop();
}

#[test]
fn a_rolling_restart_waits_for_a_node_that_is_down() {
    let sandbox = Sandbox::new()
        .set("NODE_COUNT", 3)
        .set("ROLLING_SOAK", "1ms")
        .set("RESTART_BUDGET", 1000)
        .set("RESTART_DELAY_MAX", "100ms");
    let fleet = breakable(sandbox).start();
    wait_until_ready(&fleet, 3);
    break_it(&fleet, "broken-flux-node-3", true);
    fleet.process_of("flux-node-3").signal(Signal::SIGKILL);
    wait_for_event(&fleet, |event| {
        event["event"] == "node_restarting" && event["failures"] == 3
    });
    let before = [1, 2].map(|number| fleet.process_of(&format!("flux-node-{number}")));
    let (mut restart, output) = begin(&fleet, &["restart", "--rolling", "1", "2"]);
    wait_for_event(&fleet, |event| event["event"] == "change_waiting");
    for process in before {
        assert!(process.alive(), "MIN_READY is kept");
    }
    break_it(&fleet, "broken-flux-node-3", false);
    succeeds(&Sandbox::wait_for_end(&fleet, &mut restart, &output));
    for process in before {
        assert!(!process.alive(), "it was restarted");
    }
    fleet.stop();
}

#[test]
fn one_rolling_restart_at_a_time_until_it_is_ended() {
    let sandbox = Sandbox::new().set("NODE_COUNT", 3);
    let mut fleet = sandbox.set("ROLLING_SOAK", "1h").start();
    let before = fleet.wait_until_refilled(3);
    fails(
        &fleet.finish(&["restart", "--abort"]),
        &["no rolling restart"],
    );
    let (mut restart, output) = begin(&fleet, &["restart", "--rolling"]);
    wait_for_event(&fleet, |event| event["event"] == "change_step");
    let second = fleet.finish(&["restart", "--rolling", "3"]);
    fails(
        &second,
        &["change 1 is under way", "at flux-node-1, 1 of 3", "--abort"],
    );
    succeeds(&fleet.finish(&["restart", "--abort"]));
    let halted = Sandbox::wait_for_end(&fleet, &mut restart, &output);
    fails(&halted, &["asked for its end", "flux-node-2, flux-node-3"]);
    let after = fleet.wait_for_nodes(3);
    let starts =
        |nodes: &[Node]| -> Vec<u64> { nodes.iter().map(|node| node.generation).collect() };
    assert_eq!(starts(&after)[1..], starts(&before)[1..]);
    fleet.stop();
}

#[test]
fn a_stop_ends_a_rolling_restart() {
    let sandbox = Sandbox::new().set("NODE_COUNT", 3);
    let mut fleet = sandbox.set("ROLLING_SOAK", "1h").start();
    fleet.wait_until_refilled(3);
    let (mut restart, output) = begin(&fleet, &["restart", "--rolling"]);
    wait_for_event(&fleet, |event| event["event"] == "change_step");
    fleet.end_cleanly(|fleet| {
        fleet.supervisor_process().signal(Signal::SIGTERM);
        let halted = Sandbox::wait_for_end(fleet, &mut restart, &output);
        fails(&halted, &["the fleet is being stopped"]);
    });
}

#[test]
fn scaling_touches_nobody_who_stays_and_loses_nothing() {
    let mut fleet = Sandbox::new().set("NODE_COUNT", 3).start();
    let three = fleet.wait_until_refilled(3);
    let first = pids(&wait_until_ready(&fleet, 3));
    succeeds(&fleet.finish(&["scale", "5"]));
    let five = fleet.wait_until_refilled(5);
    let grown = wait_until_ready(&fleet, 5);
    assert_eq!(pids(&grown)[..3], first[..]);
    assert_eq!(grown["min_ready"], 4, "{grown}");
    for (name, value) in [("NODE_COUNT", "5"), ("MIN_READY", "4")] {
        let told = fleet.process_of("flux-node-5").variable(name);
        assert_eq!(told.as_deref(), Some(value), "{name}");
    }
    let keys: Vec<String> = (0..40)
        .map(|number| format!("/data/key-{number}"))
        .collect();
    for (key, node) in keys.iter().zip(five.iter().cycle()) {
        let answer = node.put(key, key.as_bytes());
        assert_eq!(answer.status, 201, "{}", answer.text());
    }
    // Every value has a copy on one who stays.
    succeeds(&fleet.finish(&["scale", "3"]));
    assert_eq!(pids(&wait_until_ready(&fleet, 3)), first);
    for key in &keys {
        for node in &three {
            let answer = node.get(key);
            let text = answer.text();
            assert_eq!(answer.status, 200, "{key} on {}: {text}", node.id);
        }
    }
    succeeds(&fleet.finish(&["scale", "2"]));
    assert_eq!(pids(&wait_until_ready(&fleet, 2)), first[..2]);
    for node in &five[2..] {
        let gone = TcpListener::bind((Ipv4Addr::LOCALHOST, node.port));
        assert!(gone.is_ok(), "{} has let go of its port", node.id);
        let log = fleet.log_file(&node.id);
        assert!(log.exists(), "{} keeps its log", node.id);
    }
    succeeds(&fleet.finish(&["scale", "3"]));
    assert_eq!(pids(&wait_until_ready(&fleet, 3))[..2], first[..2]);
    let again = Node::at(three[2].port).expect("it is on its port");
    assert_eq!(again.uuid, three[2].uuid, "it is the one that it was");
    assert_eq!(again.generation, three[2].generation + 1);
    fleet.stop();
}

#[test]
fn a_scale_that_makes_no_sense_is_refused() {
    let sandbox = Sandbox::new().set("NODE_COUNT", 2).set("MAX_PORTS", 3);
    let mut fleet = sandbox.set("MIN_READY", 2).start();
    fleet.wait_for_nodes(2);
    fails(&fleet.finish(&["scale", "4"]), &["1 to 3 (MAX_PORTS)"]);
    // No fleet is as small as that, whatever its settings are.
    let none = fleet.finish(&["scale", "0"]);
    assert_eq!(none.code(), Some(64), "{}", none.said());
    assert!(
        none.stderr
            .contains("allowed is a whole number from 1 to MAX_PORTS")
    );
    fails(&fleet.finish(&["scale", "1"]), &["MIN_READY was set to 2"]);
    let roll = fleet.finish(&["restart", "--rolling"]);
    fails(&roll, &["MIN_READY is 2 and the fleet has 2 nodes"]);
    succeeds(&fleet.finish(&["scale", "2"]));
    fleet.stop();
}

#[test]
fn a_dry_run_changes_nothing() {
    let mut fleet = Sandbox::new().set("NODE_COUNT", 3).start();
    fleet.wait_until_refilled(3);
    let before = pids(&wait_until_ready(&fleet, 3));
    let plan = |arguments: &[&str]| {
        let finished = fleet.finish(&[arguments, &["--dry-run", "--json"]].concat());
        succeeds(&finished);
        let plan = finished.json();
        let steps = plan["steps"].as_array().expect("a list");
        let text = |step: &Value| {
            let word = |field: &str| step[field].as_str().expect("a text").to_owned();
            format!("{} {}", word("action"), word("node"))
        };
        steps.iter().map(text).collect::<Vec<_>>()
    };
    assert_eq!(
        plan(&["restart", "--rolling", "3", "1"]),
        ["restart flux-node-1", "restart flux-node-3"]
    );
    assert_eq!(
        plan(&["scale", "5"]),
        ["add flux-node-4", "add flux-node-5"]
    );
    assert_eq!(
        plan(&["scale", "1"]),
        ["remove flux-node-3", "remove flux-node-2"]
    );
    let shown = fleet.finish(&["scale", "1", "--dry-run"]);
    assert!(shown.stdout.contains("flux-node-3"), "{}", shown.said());
    fails(
        &fleet.finish(&["restart", "--dry-run"]),
        &["MIN_READY is 2"],
    );
    assert_eq!(pids(&wait_until_ready(&fleet, 3)), before);
    assert!(events(&fleet).iter().all(|event| event["change"].is_null()));
    fleet.stop();
}

#[test]
fn a_new_node_without_a_port_is_a_failure_that_mends_itself() {
    let sandbox = Sandbox::new().set("NODE_COUNT", 1).set("MAX_PORTS", 2);
    let taken = sandbox.http_port(1);
    let stranger = Stranger::holding(&sandbox, &[format!("tcp:{taken}")]);
    let mut fleet = sandbox.start();
    fleet.wait_for_nodes(1);
    let failed = fleet.finish(&["scale", "2"]);
    let pid = format!("pid {}", stranger.process().pid);
    fails(
        &failed,
        &["flux-node-2: no slot is free", &taken.to_string(), &pid],
    );
    let status = fleet.finish(&["status", "--json"]).json();
    assert_eq!(status["nodes"][1]["state"], "no-port", "{status}");
    stranger.leave();
    fleet.wait_for_nodes(2);
    fleet.stop();
}

#[test]
fn without_waiting_a_change_goes_on_alone() {
    let mut fleet = Sandbox::new().set("NODE_COUNT", 1).start();
    fleet.wait_for_nodes(1);
    let begun = fleet.finish(&["scale", "3", "--no-wait", "--json"]);
    succeeds(&begun);
    assert_eq!(begun.json()["change"], 1, "{}", begun.said());
    fleet.wait_for_nodes(3);
    wait_for_event(&fleet, |event| {
        event["event"] == "change_done" && event["change"] == 1
    });
    fleet.stop();
}

#[test]
fn a_node_that_stays_away_refuses_at_once_and_keeps_its_port() {
    let sandbox = Sandbox::new()
        .set("NODE_COUNT", 1)
        .set("RESTART_BUDGET", 1)
        .set("ON_FAILED", "keep");
    let fleet = breakable(sandbox);
    break_it(&fleet, "broken", true);
    let fleet = fleet.start();
    wait_for_event(&fleet, |event| event["event"] == "door_closed");
    let address = (Ipv4Addr::LOCALHOST, fleet.http_port(0));
    let refused = TcpStream::connect(address).expect_err("its door is closed");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    let bound = TcpListener::bind(address).expect_err("its port is kept");
    assert_eq!(bound.kind(), ErrorKind::AddrInUse);
    break_it(&fleet, "broken", false);
    succeeds(&fleet.finish(&["restart", "1"]));
    TcpStream::connect(address).expect("its door is open");
    fleet.stop();
}

#[test]
fn ports_of_a_domain_are_claimed_and_let_go_of_as_well() {
    let fleet = Sandbox::new()
        .set("NODE_COUNT", 1)
        .set("CLAIM_SCOPE", "domain")
        .set("CLAIM_SETTLE", "100ms")
        .set("BIND_ADDRESS", "::");
    let mut fleet = fleet.start();
    let one = fleet.wait_for_nodes(1);
    succeeds(&fleet.finish(&["scale", "3"]));
    let three = fleet.wait_for_nodes(3);
    succeeds(&fleet.finish(&["restart", "2"]));
    succeeds(&fleet.finish(&["scale", "1"]));
    for node in &three[1..] {
        let gone = TcpListener::bind((Ipv4Addr::UNSPECIFIED, node.port));
        assert!(gone.is_ok(), "{} has let go of its port", node.id);
    }
    succeeds(&fleet.finish(&["scale", "3"]));
    let again = fleet.wait_for_nodes(3);
    for (before, after) in three.iter().zip(&again) {
        assert_eq!((&after.uuid, after.port), (&before.uuid, before.port));
    }
    assert_eq!(again[0].generation, one[0].generation, "it was left alone");
    fleet.stop();
}

#[test]
fn what_nodes_of_a_larger_fleet_left_behind_is_ended_too() {
    let sandbox = Sandbox::new()
        .set("NODE_COUNT", 1)
        .set("STOP_TIMEOUT", "2s");
    let program = sandbox.write("runaway.py", include_str!("../programs/runaway.py"));
    let command = format!("python3 {}", program.display());
    let mut fleet = sandbox.set("NODE_COMMAND", command).start();
    fleet.process_of("flux-node-1");
    succeeds(&fleet.finish(&["scale", "2", "--no-wait"]));
    for node in ["flux-node-1", "flux-node-2"] {
        wait_until("what nothing polite ends", PATIENCE, || {
            let path = fleet.path(&format!("{node}.runaway"));
            path.exists().then_some(()).ok_or_else(|| node.to_owned())
        });
    }
    let before = fleet.processes();
    fleet.supervisor_process().signal(Signal::SIGKILL);
    fleet.start_again();
    wait_until("an end of all that was", PATIENCE, || {
        let left: Vec<_> = before.iter().filter(|process| process.alive()).collect();
        left.is_empty().then_some(()).ok_or(format!("{left:?}"))
    });
    fleet.stop();
}
