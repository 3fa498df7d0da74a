//! Programs that are not ours, and how the supervisor learns how they do.

use std::fs;

use nix::sys::signal::Signal;
use repram_tests::{Fleet, PATIENCE, Sandbox, wait_until};
use serde_json::Value;

/// What `status --json` says of a node, once the supervisor answers.
fn look_at(fleet: &Fleet, node: &str) -> Result<Value, String> {
    let status = fleet.finish(&["status", "--json"]);
    if status.code() != Some(0) {
        return Err(status.said());
    }
    let nodes = status.json()["nodes"].clone();
    let nodes = nodes.as_array().expect("a list").iter();
    let mut named = nodes.filter(|found| found["node"] == node);
    Ok(named.next().expect("the node exists").clone())
}

/// What `status --json` says of a node.
#[track_caller]
fn status_of(fleet: &Fleet, node: &str) -> Value {
    look_at(fleet, node).unwrap_or_else(|problem| panic!("{problem}"))
}

/// Waits until a node's status is as wanted.
#[track_caller]
fn wait_for(fleet: &Fleet, node: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    wait_until(&format!("{node} {what}"), PATIENCE, || {
        let status = look_at(fleet, node)?;
        if wanted(&status) {
            Ok(status)
        } else {
            Err(status.to_string())
        }
    })
}

#[track_caller]
fn wait_for_state(fleet: &Fleet, node: &str, state: &str) -> Value {
    wait_for(fleet, node, state, |status| status["state"] == state)
}

/// The answers to one check, the latest first: whether each was a success.
fn answers(status: &Value, check: &str) -> Vec<bool> {
    let probes = status["probes"].as_array().expect("a list").iter();
    let of_check = probes.filter(|probe| probe["check"] == check);
    of_check
        .map(|probe| probe["passed"].as_bool().expect("yes or no"))
        .collect()
}

fn text<'a>(status: &'a Value, field: &str) -> &'a str {
    status[field].as_str().unwrap_or_default()
}

const SECOND: &str = "flux-node-2";

#[test]
fn a_node_that_answers_503_is_unready_and_stays_and_returns() {
    let fleet = Sandbox::web(2)
        .set("LIVENESS", "off")
        .set("READINESS_FAILURE_THRESHOLD", 4)
        .set("READINESS_SUCCESS_THRESHOLD", 3)
        .start();
    wait_for_state(&fleet, "flux-node-1", "ready");
    let before = wait_for_state(&fleet, SECOND, "ready");
    assert!(answers(&before, "readiness").starts_with(&[true, true, true]));
    assert!(before["probes"][0]["latency_us"].as_u64() > Some(0));

    fleet.write("flux-node-2.health", "503");
    let unready = wait_for_state(&fleet, SECOND, "unready");
    assert!(answers(&unready, "readiness").starts_with(&[false; 4]));
    let reason = "/health answered 503 Service Unavailable";
    assert_eq!(text(&unready, "reason"), reason);
    let table = fleet.finish(&["status"]).stdout;
    let line = format!("{SECOND} is unready: {reason}");
    assert!(table.contains(&line), "{table}");

    fs::remove_file(fleet.path("flux-node-2.health")).expect("it was written");
    let after = wait_for_state(&fleet, SECOND, "ready");
    assert!(answers(&after, "readiness").starts_with(&[true; 3]));
    assert_eq!(after["pid"], before["pid"], "it was left running");
    assert_eq!(after["reason"], Value::Null);
    let events = fleet.stop().stdout;
    let told = events.lines().filter(|line| line.contains("not ready: "));
    assert_eq!(told.count(), 1, "{events}");
}

#[test]
fn any_status_below_500_will_do_unless_a_probe_is_set() {
    let sandbox = Sandbox::web(1);
    sandbox.write("flux-node-1.health", "404");
    let fleet = sandbox.start();
    let ready = wait_for_state(&fleet, "flux-node-1", "ready");
    let answer = &ready["probes"][0]["summary"];
    assert_eq!(answer, "/health answered 404 Not Found", "{ready}");
    fleet.stop();

    let sandbox = Sandbox::web(1).set("READINESS_PROBE", "http:/health?full=1");
    let path = "flux-node-1.health?full=1";
    sandbox.write(path, "404");
    let fleet = sandbox.start();
    let asked = wait_for(&fleet, "flux-node-1", "asked", |status| {
        text(status, "reason") == "/health?full=1 answered 404 Not Found"
    });
    assert_eq!(asked["state"], "starting");
    fleet.write(path, "302");
    wait_for_state(&fleet, "flux-node-1", "ready");
    fleet.stop();
}

#[test]
fn a_port_that_takes_connections_is_enough_for_tcp() {
    let fleet = Sandbox::web(1)
        .set("READINESS_PROBE", "tcp:gossip")
        .set("LIVENESS_PROBE", "tcp")
        .set("GOSSIP_WAITS", "go")
        .start();
    let refused = wait_for(&fleet, "flux-node-1", "asked", |status| {
        status["reason"] != Value::Null
    });
    assert_eq!(refused["state"], "starting");
    fleet.write("go", "");
    wait_for_state(&fleet, "flux-node-1", "ready");
    wait_for(&fleet, "flux-node-1", "alive", |status| {
        answers(status, "liveness").contains(&true)
    });
    fleet.stop();
}

#[test]
fn a_node_that_hangs_is_ended_and_started_again() {
    let fleet = Sandbox::web(2)
        .set("READINESS_TIMEOUT", "2s")
        .set("LIVENESS_TIMEOUT", "2s")
        .set("READINESS_FAILURE_THRESHOLD", 1000)
        .set("LIVENESS_FAILURES", 2)
        // It is looked at before its failure is forgotten.
        .set("RESTART_STABLE", "1h")
        .start();
    let before = wait_for_state(&fleet, SECOND, "ready");
    wait_for_state(&fleet, "flux-node-1", "ready");
    fleet.process_of(SECOND).signal(Signal::SIGSTOP);
    let after = wait_for(&fleet, SECOND, "back", |status| {
        status["state"] == "ready" && status["pid"] != before["pid"]
    });
    let cause = &after["last_exit"]["cause"];
    let expect = "no sign of life: /live did not answer within 2000 ms";
    assert_eq!(cause, expect, "{after}");
    assert_eq!(
        after["last_exit"]["reason"]["signal"],
        Signal::SIGKILL as i32,
        "{after}"
    );
    assert_eq!(
        after["failures"].as_u64(),
        Some(1),
        "it counts as a failure"
    );
    fleet.stop();
}

#[test]
fn min_ready_nodes_are_not_ended_for_want_of_life() {
    let sandbox = Sandbox::web(2)
        .set("MIN_READY", 2)
        .set("LIVENESS_PROBE", "http:/alive")
        .set("RESTART_STABLE", "1h");
    sandbox.write("flux-node-2.alive", "500");
    let fleet = sandbox.start();
    let kept = wait_for(&fleet, SECOND, "lifeless", |status| {
        text(status, "reason").contains("MIN_READY")
    });
    assert_eq!(kept["state"], "ready");
    // As soon as it is not ready it may be ended.
    fleet.write("flux-node-2.health", "500");
    wait_for(&fleet, SECOND, "ended", |status| {
        let cause = status["last_exit"]["cause"].as_str().unwrap_or_default();
        cause == "no sign of life: /alive answered 500 Internal Server Error"
    });
    let first = status_of(&fleet, "flux-node-1");
    assert_eq!(
        (&first["state"], &first["restarts"]),
        (&"ready".into(), &0.into())
    );
    fleet.stop();
}

#[test]
fn a_long_start_is_waited_for() {
    let fleet = Sandbox::web(1)
        .set("WEB_WAITS", "go")
        .set("STARTUP_PROBE", "http:/started")
        .set("STARTUP_FAILURE_THRESHOLD", 1000)
        .start();
    let starting = wait_for(&fleet, "flux-node-1", "asked often", |status| {
        answers(status, "startup").len() == 10
    });
    assert_eq!(starting["state"], "starting");
    fleet.write("flux-node-1.started", "503");
    fleet.write("go", "");
    wait_for(&fleet, "flux-node-1", "listening", |status| {
        text(status, "reason") == "/started answered 503 Service Unavailable"
    });
    fleet.write("flux-node-1.started", "200");
    let ready = wait_for_state(&fleet, "flux-node-1", "ready");
    assert_eq!(ready["restarts"].as_u64(), Some(0), "{ready}");
    fleet.stop();
}

#[test]
fn a_start_that_fails_its_probes_is_ended() {
    let sandbox = Sandbox::web(1)
        .set("STARTUP_PROBE", "http:/started")
        .set("STARTUP_FAILURE_THRESHOLD", 2)
        .set("STARTUP_INITIAL_DELAY", "100ms");
    sandbox.write("flux-node-1.started", "500");
    let fleet = sandbox.start();
    let cause = "not started after 2 startup probes: ";
    wait_for(&fleet, "flux-node-1", "ended", |status| {
        let found = status["last_exit"]["cause"].as_str();
        let ended = found.is_some_and(|found| found.starts_with(cause));
        // It counts once its helpers are known to be gone, too.
        ended && status["failures"].as_u64() >= Some(1)
    });
    fleet.stop();
}

#[test]
fn a_node_that_notifies_is_not_asked_any_more() {
    let fleet = Sandbox::web(2).set("WEB_NOTIFIES", "flux-node-1").start();
    let ready = wait_for_state(&fleet, "flux-node-1", "ready");
    // What was asked before it notified may be answered late. After that, however often the
    // other one is asked, it is not.
    let quiet = wait_until("a node that is not asked any more", PATIENCE, || {
        let before = status_of(&fleet, "flux-node-1");
        let seen = wait_for_state(&fleet, SECOND, "ready")["probes"][0]["time"].clone();
        wait_for(&fleet, SECOND, "asked ten times more", |status| {
            let probes = status["probes"].as_array().expect("a list");
            probes.len() == 10 && probes.iter().all(|probe| probe["time"] != seen)
        });
        let after = status_of(&fleet, "flux-node-1");
        match before["probes"] == after["probes"] {
            true => Ok(after),
            false => Err(format!("{before} and then {after}")),
        }
    });
    assert_eq!(quiet["state"], "ready", "{quiet}");
    assert_eq!(quiet["pid"], ready["pid"], "{quiet}");
    fleet.stop();
}

#[test]
fn probes_that_cannot_work_are_refused() {
    let refused = Sandbox::new()
        .set("READINESS_PROBE", "tcp")
        .set("LIVENESS_PROBE", "exec:true")
        .set("STARTUP_PROBE", "http:/started")
        .set("STARTUP_FAILURE_THRESHOLD", 30)
        .set("START_TIMEOUT", "1m")
        .set("LIVENESS_FAILURE_THRESHOLD", 0)
        .finish(&["run"]);
    assert_eq!(refused.code(), Some(78), "{}", refused.said());
    for expect in [
        "READINESS_PROBE: found \"tcp\", allowed is http or off beside NODE_SOCKETS",
        "LIVENESS_PROBE: found \"exec:true\", allowed is http:/PATH",
        "START_TIMEOUT: found \"1m\", allowed is more than the 5m",
        "LIVENESS_FAILURE_THRESHOLD: found \"0\", allowed is 1 to 1000",
    ] {
        assert!(refused.stderr.contains(expect), "{}", refused.said());
    }
}
