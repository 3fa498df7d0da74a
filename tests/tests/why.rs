//! Why nodes are as they are: every reason provoked for real.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use nix::sys::signal::Signal;
use repram_tests::{Binaries, Cgroup, Fleet, PATIENCE, Sandbox, Stranger, wait_until};
use serde_json::{Value, json};

const FIRST: &str = "flux-node-1";
const SECOND: &str = "flux-node-2";

/// The story of a node, once the supervisor answers.
fn look_at(fleet: &Fleet, node: &str) -> Result<Value, String> {
    let told = fleet.finish(&["why", node, "--json"]);
    if told.code() != Some(0) {
        return Err(told.said());
    }
    assert_eq!(told.json()["schema"], 1);
    Ok(told.json()["nodes"][0].clone())
}

/// Waits until a node's story is as wanted.
#[track_caller]
fn wait_for(fleet: &Fleet, node: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    wait_until(&format!("{node} {what}"), PATIENCE, || {
        let story = look_at(fleet, node)?;
        if wanted(&story) {
            Ok(story)
        } else {
            Err(story.to_string())
        }
    })
}

/// Waits until an end of this class is told with what was done about it, and gives that end.
#[track_caller]
fn wait_for_exit(fleet: &Fleet, node: &str, class: &str) -> Value {
    let is_it = |exit: &&Value| exit["class"] == class && !exit["follow_up"].is_null();
    let found = |story: &Value| exits(story).iter().find(is_it).cloned();
    let story = wait_for(fleet, node, class, |story| found(story).is_some());
    let exit = found(&story).expect("it was just there");
    let counted = story["status"]["exits"][class].as_u64();
    assert!(counted >= Some(1), "{story}");
    exit
}

fn exits(story: &Value) -> &Vec<Value> {
    story["exits"].as_array().expect("a list")
}

#[track_caller]
fn wait_for_state(fleet: &Fleet, node: &str, state: &str) -> Value {
    wait_for(fleet, node, state, |story| {
        story["status"]["state"] == state
    })
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// What `why` says of a node to people.
#[track_caller]
fn told(fleet: &Fleet, arguments: &[&str]) -> String {
    let told = fleet.finish(&[&["why"], arguments].concat());
    assert_eq!(told.code(), Some(0), "{}", told.said());
    told.stdout
}

#[test]
fn a_fleet_that_is_fine_says_so() {
    let mut fleet = Sandbox::new().set("RESTART_STABLE", "1ms").start();
    fleet.wait_for_nodes(3);
    wait_until("the word that all is fine", PATIENCE, || {
        let said = told(&fleet, &[]);
        match said == "all is fine: 3 of 3 nodes ready\n" {
            true => Ok(()),
            false => Err(said),
        }
    });
    let story = told(&fleet, &["2"]);
    for expect in [
        "flux-node-2 is ready since ",
        "none of its processes has ended",
    ] {
        assert!(story.contains(expect), "{story}");
    }
    let unknown = fleet.finish(&["why", "9"]);
    assert_eq!(unknown.code(), Some(1), "{}", unknown.said());
    let expect = "there is no flux-node-9; the fleet has flux-node-1 to flux-node-3";
    assert!(unknown.stderr.contains(expect), "{}", unknown.said());
    fleet.stop();
}

#[test]
fn an_exit_code_with_its_last_words() {
    let fleet = Sandbox::new()
        .set("NODE_COUNT", 1)
        .set(
            "NODE_COMMAND",
            "sh -c 'echo one; echo last words >&2; exit 3'",
        )
        .set("LOG_DIR", "off")
        .set("RESTART_DELAY", "1h")
        .set("RESTART_DELAY_MAX", "1h")
        .start();
    let story = wait_for(&fleet, FIRST, "waiting", |story| {
        story["next"]["plan"] == "start"
    });
    let exit = wait_for_exit(&fleet, FIRST, "exit-code");
    assert_eq!(exit["reason"], json!({ "code": 3 }), "{exit}");
    assert_eq!(exit["cause"], "it ended by itself with exit code 3");
    assert_eq!(exit["was_ready"], false, "{exit}");
    assert!(exit["max_rss"].as_u64() > Some(0), "{exit}");
    // The first start again came at once, the second one comes in an hour.
    let exits = exits(&story);
    assert_eq!(exits.len(), 2, "{story}");
    assert_eq!(
        exits[1]["follow_up"],
        json!({ "action": "restart", "delay_ms": 0, "failures": 1, "budget": 10 })
    );
    assert_eq!(exits[0]["follow_up"]["failures"], 2, "{story}");
    assert_ne!(exits[0]["generation"], exits[1]["generation"]);
    for exit in exits {
        assert_eq!(exit["lines"], json!(["one", "last words"]), "{exit}");
    }
    let said = told(&fleet, &["1"]);
    for expect in [
        "flux-node-1 is waiting since ",
        "It is started at ",
        "2 failures since it last ran stably, 8 of 10 are left",
        "exit code 3",
        "    started again at once (failure 1 of 10)\n",
        "    | last words\n",
    ] {
        assert!(said.contains(expect), "{expect}:\n{said}");
    }
    let status = fleet.finish(&["status"]).stdout;
    for expect in [
        "flux-node-1 is waiting: it ended by itself with exit code 3; next start in ",
        "`supervisor why 1` tells more",
    ] {
        assert!(status.contains(expect), "{status}");
    }
    let health = fleet.finish(&["health"]);
    assert_eq!(health.code(), Some(1), "{}", health.said());
    let expect = "unhealthy: 0 of 1 nodes ready, 1 needed; flux-node-1 is waiting\n";
    assert_eq!(health.stdout, expect);
    fleet.stop();
}

#[test]
fn a_signal_that_nobody_here_sent() {
    let mut fleet = Sandbox::new().set("NODE_COUNT", 2).start();
    let before = fleet.wait_for_nodes(2);
    for (number, signal) in [Signal::SIGABRT, Signal::SIGKILL].into_iter().enumerate() {
        fleet.process_of(SECOND).signal(signal);
        let how = signal.as_str();
        let story = wait_for(&fleet, SECOND, how, |story| {
            story["exits"][0]["how"] == how && story["status"]["state"] == "ready"
        });
        let exit = &story["exits"][0];
        assert_eq!(exit["class"], "signal", "{exit}");
        assert_eq!(exit["reason"], json!({ "signal": signal as i32 }));
        assert_eq!(
            (&exit["killed"], &exit["was_ready"]),
            (&json!(false), &json!(true))
        );
        let expect = format!("{how} ended it, which the supervisor had not sent");
        assert_eq!(text(&exit["cause"]), expect);
        let generation = before[1].generation + number as u64;
        assert_eq!(exit["generation"].as_u64(), Some(generation), "{exit}");
        let lines = exit["lines"].to_string();
        assert!(lines.contains("flux-node-2 starts"), "{lines}");
    }
    let status = fleet.finish(&["status", "--json"]).json();
    assert_eq!(status["nodes"][1]["exits"], json!({ "signal": 2 }));
    assert!(
        status["nodes"][0]["usage"]["rss"].as_u64() > Some(0),
        "{status}"
    );
    fleet.stop();
}

#[test]
fn a_kill_for_want_of_memory_is_suspected() {
    let (memory, processors) = (64 << 20, 1);
    let test = "a_kill_for_want_of_memory_is_suspected";
    let Some(cgroup) = Cgroup::with(memory, processors, test) else {
        return;
    };
    let sandbox = Sandbox::new();
    let program = sandbox.write("hungry.py", include_str!("../programs/hungry.py"));
    let sandbox = sandbox
        .set("NODE_COUNT", 2)
        .set("NODE_COMMAND", format!("python3 {}", program.display()))
        .set("START_TIMEOUT", "1h")
        .set("RESTART_DELAY", "1h")
        .set("RESTART_DELAY_MAX", "1h")
        .set("STOP_TIMEOUT", "2s");
    let mut command = cgroup.program(&sandbox, &Binaries::built().supervisor);
    command.arg("run");
    let fleet = sandbox.start_as(command);
    wait_for(&fleet, SECOND, "hungry", |story| {
        story["lines"] == json!(["hungry"])
    });
    fleet.write("eat", "");
    let exit = wait_for_exit(&fleet, SECOND, "oom-kill");
    assert!(cgroup.killed() >= 1);
    assert_eq!(exit["how"], "SIGKILL", "{exit}");
    assert!(exit["oom"]["kills"].as_u64() >= Some(1), "{exit}");
    assert!(exit["max_rss"].as_u64() > Some(16 << 20), "{exit}");
    assert_eq!(exit["lines"], json!(["hungry", "eating"]), "{exit}");
    let cause = text(&exit["cause"]);
    assert!(
        cause.contains("of this container") && cause.contains("for want of memory within the "),
        "{cause}"
    );
    fleet.stop();
}

#[test]
fn a_liveness_probe_that_fails() {
    let sandbox = Sandbox::web(2)
        .set("LIVENESS_PROBE", "http:/alive")
        .set("LIVENESS_FAILURES", 2);
    sandbox.write("flux-node-2.alive", "500");
    let fleet = sandbox.start();
    let exit = wait_for_exit(&fleet, SECOND, "probe");
    let expect = "no sign of life: /alive answered 500 Internal Server Error";
    assert_eq!(text(&exit["cause"]), expect, "{exit}");
    let story = wait_for(&fleet, SECOND, "asked again", |story| {
        story["life"]["watch"] == "probe" && story["life"]["failure_threshold"] == 2
    });
    assert_eq!(story["probing"]["check"], "readiness", "{story}");
    assert!(told(&fleet, &["2"]).contains("what it answered, the latest first"));
    fleet.stop();
}

#[test]
fn a_startup_probe_that_fails() {
    let sandbox = Sandbox::web(1)
        .set("STARTUP_PROBE", "http:/started")
        .set("STARTUP_FAILURE_THRESHOLD", 2);
    sandbox.write("flux-node-1.started", "500");
    let fleet = sandbox.start();
    let exit = wait_for_exit(&fleet, FIRST, "probe");
    let cause = text(&exit["cause"]);
    assert!(
        cause.starts_with("not started after 2 startup probes: "),
        "{cause}"
    );
    fleet.stop();
}

#[test]
fn a_watchdog_that_is_missed() {
    let mut fleet = Sandbox::new()
        .set("NODE_COUNT", 2)
        .set("LIVENESS_PERIOD", "1s")
        .set("LIVENESS_FAILURES", 3)
        .set("STOP_TIMEOUT", "2s")
        .start();
    fleet.wait_for_nodes(2);
    wait_for(&fleet, SECOND, "watched", |story| {
        story["life"]["watch"] == "watchdog"
    });
    fleet.process_of(SECOND).signal(Signal::SIGSTOP);
    let exit = wait_for_exit(&fleet, SECOND, "watchdog");
    assert_eq!(
        exit["cause"], "no sign of life: no WATCHDOG=1 for 3.0 s",
        "{exit}"
    );
    // A process that is stopped does not hear that it is to end.
    assert_eq!(
        (&exit["killed"], &exit["how"]),
        (&json!(true), &json!("SIGKILL"))
    );
    fleet.stop();
}

#[test]
fn a_start_that_takes_too_long() {
    let fleet = Sandbox::new()
        .set("NODE_COUNT", 1)
        .set("NODE_COMMAND", "sleep 1000")
        .set("START_TIMEOUT", "200ms")
        .start();
    let exit = wait_for_exit(&fleet, FIRST, "start-timeout");
    assert_eq!(exit["cause"], "not ready within 200 ms", "{exit}");
    fleet.stop();
}

#[test]
fn a_start_that_comes_to_nothing() {
    let sandbox = Sandbox::new();
    let program = sandbox.write("program", "#!/bin/sh\nexec sleep 1000\n");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("it is ours");
    let fleet = sandbox
        .set("NODE_COUNT", 1)
        .set("NODE_COMMAND", program.display())
        .set("START_TIMEOUT", "1h")
        .start();
    let node = fleet.process_of(FIRST);
    fs::remove_file(&program).expect("it is ours");
    node.signal(Signal::SIGKILL);
    let exit = wait_for_exit(&fleet, FIRST, "start-failed");
    assert!(
        text(&exit["cause"]).starts_with("it could not be started: "),
        "{exit}"
    );
    assert_eq!(exit.get("pid"), None, "there was no process: {exit}");
    fleet.stop();
}

#[test]
fn a_port_that_a_stranger_took() {
    let fleet = Sandbox::new()
        .set("NODE_COUNT", 1)
        .set("NODE_COMMAND", "sleep 1000")
        .set("NODE_SOCKETS", "off")
        .set("BIND_ADDRESS", "127.0.0.1")
        .set("START_TIMEOUT", "1h")
        .start();
    let node = fleet.process_of(FIRST);
    let port = fleet.http_port(0);
    let stranger = Stranger::holding(&fleet, &[format!("tcp:{port}")]);
    node.signal(Signal::SIGKILL);
    let exit = wait_for_exit(&fleet, FIRST, "port-conflict");
    let holder = format!("HTTP port {port} is held by pid {}", stranger.process().pid);
    assert!(text(&exit["cause"]).contains(&holder), "{exit}");
    assert_eq!(exit["follow_up"], json!({ "action": "look-for-port" }));
    let next = fleet.http_port(1);
    wait_for(&fleet, FIRST, "at another port", |story| {
        story["status"]["http_port"] == next && story["status"]["state"] == "starting"
    });
    stranger.leave();
    fleet.stop();
}

#[test]
fn what_the_operator_wanted() {
    let mut fleet = Sandbox::new().set("NODE_COUNT", 2).start();
    fleet.wait_for_nodes(2);
    for (arguments, words) in [
        (&["restart", "2", "--force"][..], "restart, asked by pid "),
        (&["restart", "--rolling"], "rolling restart, asked by pid "),
    ] {
        let done = fleet.finish(arguments);
        assert_eq!(done.code(), Some(0), "{}", done.said());
        let story = look_at(&fleet, SECOND).expect("an answer");
        let exit = &story["exits"][0];
        assert_eq!(exit["class"], "operator", "{exit}");
        assert_eq!(exit["reason"], json!({ "code": 0 }), "{exit}");
        assert!(text(&exit["cause"]).starts_with(words), "{exit}");
        assert_eq!(exit["follow_up"], json!({ "action": "start-again" }));
        assert_eq!(story["status"]["failures"], 0, "{story}");
    }
    // Nobody has failed.
    let said = told(&fleet, &[]);
    assert_eq!(said, "all is fine: 2 of 2 nodes ready\n");
    fleet.stop();
}

#[test]
fn other_settings() {
    let sandbox = Sandbox::new().set("NODE_COUNT", 2);
    let file = sandbox.write("repram.toml", "default_ttl = 600\n");
    let mut fleet = sandbox.set("REPRAM_CONFIG", file.display()).start();
    fleet.wait_for_nodes(2);
    fleet.write("repram.toml", "default_ttl = 700\n");
    let done = fleet.finish(&["reload"]);
    assert_eq!(done.code(), Some(0), "{}", done.said());
    let exit = wait_for_exit(&fleet, FIRST, "reload");
    assert!(
        text(&exit["cause"]).starts_with("rolling restart, asked by pid "),
        "{exit}"
    );
    fleet.stop();
}

#[test]
fn a_stop() {
    let sandbox = Sandbox::new();
    let program = sandbox.write("deaf.sh", include_str!("../programs/deaf.sh"));
    let fleet = sandbox
        .set("NODE_COUNT", 2)
        .set("NODE_COMMAND", format!("sh {}", program.display()))
        .set("START_TIMEOUT", "1h")
        // Long enough to look at a fleet that stops.
        .set("STOP_TIMEOUT", "10m")
        .start();
    for node in [FIRST, SECOND] {
        wait_for(&fleet, node, "running", |story| {
            story["lines"] == json!(["running"])
        });
    }
    let stopping = fleet.finish(&["stop", "--no-wait"]);
    assert_eq!(stopping.code(), Some(0), "{}", stopping.said());
    let exit = wait_for_exit(&fleet, FIRST, "stop");
    assert!(
        text(&exit["cause"]).starts_with("stop, asked by pid "),
        "{exit}"
    );
    assert_eq!(exit["follow_up"], json!({ "action": "stay-down" }));
    let deaf = look_at(&fleet, SECOND).expect("an answer");
    assert_eq!(deaf["next"]["plan"], "kill", "{deaf}");
    assert!(told(&fleet, &["2"]).contains("It was told to end, and is killed at "));
    // A second signal kills.
    fleet.stop();
}

#[test]
fn the_brake_and_the_canary() {
    let fleet = Sandbox::new()
        .set("NODE_COUNT", 3)
        .set("NODE_COMMAND", "sh -c 'exit 1'")
        .set("RESTART_DELAY", "1h")
        .set("RESTART_DELAY_MAX", "1h")
        .start();
    let status = fleet.wait_for_status("a braked fleet", |status| {
        status["phase"] == "braked" && status["canary"].is_string()
    });
    let canary = text(&status["canary"]).to_owned();
    let other = [FIRST, SECOND].into_iter().find(|node| *node != canary);
    let other = other.expect("one of two");
    wait_for(&fleet, other, "held back", |story| {
        story["next"] == json!({ "plan": "await-canary", "canary": canary })
    });
    wait_for_exit(&fleet, &canary, "exit-code");
    let said = told(&fleet, &[]);
    let expect = format!("{canary} goes ahead alone");
    assert!(said.contains(&expect), "{said}");
    fleet.stop();
}

#[test]
fn a_change_under_way_is_in_the_status() {
    let sandbox = Sandbox::web(2)
        .set("WEB_WAITS", "go")
        .set("START_TIMEOUT", "1h");
    let go = sandbox.write("go", "");
    let fleet = sandbox.start();
    for node in [FIRST, SECOND] {
        wait_for_state(&fleet, node, "ready");
    }
    fs::remove_file(go).expect("it was written");
    let begun = fleet.finish(&["restart", "--rolling", "--no-wait"]);
    assert_eq!(begun.code(), Some(0), "{}", begun.said());
    let status = fleet.wait_for_status("a node that waits", |status| {
        status["nodes"][0]["state"] == "starting"
    });
    let change = &status["changes"][0];
    assert_eq!(
        change["what"],
        "rolling restart of flux-node-1, flux-node-2"
    );
    assert_eq!(change["progress"], "at flux-node-1, 1 of 2");
    let shown = fleet.finish(&["status"]).stdout;
    let expect = "change 1, rolling restart of flux-node-1, flux-node-2, for ";
    assert!(shown.contains(expect), "{shown}");
    assert!(told(&fleet, &["1"]).contains(expect));
    fleet.stop();
}

#[test]
fn events_are_chosen() {
    let mut fleet = Sandbox::new().set("NODE_COUNT", 2).start();
    fleet.wait_for_nodes(2);
    let of_second = wait_until("the readiness of a node", PATIENCE, || {
        let told = fleet.finish(&["events", "--node", "2", "--json"]);
        match told.stdout.contains("node_ready") {
            true => Ok(told.stdout),
            false => Err(told.said()),
        }
    });
    for line in of_second.lines() {
        let event: Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(event["node"], SECOND, "{line}");
    }
    let later = fleet.finish(&["events", "--since", "2999-01-01"]);
    assert_eq!((later.code(), later.stdout.as_str()), (Some(0), ""));
    let all = fleet.finish(&["events", "--until", "2999-01-01"]);
    assert!(all.stdout.contains("starting 2 nodes"), "{}", all.said());
    fleet.stop();
}
