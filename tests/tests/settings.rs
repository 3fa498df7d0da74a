//! Settings that cannot be used stop the start before anything was created, and all of
//! them are named at once, each with where it came from.

use std::fs;

use repram_tests::{Finished, Sandbox};
use serde_json::Value;

/// Expects a refused start that mentions everything in `wanted`.
#[track_caller]
fn check(sandbox: &Sandbox, arguments: &[&str], wanted: &[&str]) {
    let refused = sandbox.finish(&[&["run"], arguments].concat());
    assert_eq!(refused.code(), Some(78), "{}", refused.said());
    for fragment in wanted {
        assert!(
            refused.stderr.contains(fragment),
            "no {fragment:?} in: {}",
            refused.said()
        );
    }
    assert_nothing_done(sandbox);
}

#[track_caller]
fn assert_nothing_done(sandbox: &Sandbox) {
    sandbox.assert_nothing_left();
    for directory in ["state", "logs"] {
        let entries = fs::read_dir(sandbox.path(directory)).expect("it is the sandbox's");
        let created: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        assert!(
            created.is_empty(),
            "a start that was refused created {created:?}"
        );
    }
}

#[test]
fn an_address_of_another_machine_is_no_place_to_listen() {
    // TEST-NET-1, RFC 5737.
    check(
        &Sandbox::new().set("BIND_ADDRESS", "192.0.2.1"),
        &[],
        &[
            "BIND_ADDRESS",
            "found 192.0.2.1",
            "an address of this machine",
        ],
    );
}

#[test]
fn folders_of_a_running_supervisor_are_named_together() {
    let fleet = Sandbox::web(1).start();
    let of_fleet = |name: &str| fleet.path(name).display().to_string();
    let (state, logs) = (of_fleet("state"), of_fleet("logs"));
    let sandbox = Sandbox::new()
        .set("STATE_DIR", &state)
        .set("LOG_DIR", &logs);
    let used = |key: &str, dir: &str| {
        format!(
            "{key}: found {dir}, which pid {} uses",
            fleet.supervisor_process().pid
        )
    };
    let wanted = [used("STATE_DIR", &state), used("LOG_DIR", &logs)];
    check(&sandbox, &[], &wanted.each_ref().map(String::as_str));
}

#[test]
fn a_variable_is_named_with_what_it_holds_and_what_it_may() {
    check(
        &Sandbox::new().set("NODE_COUNT", 0),
        &[],
        &["NODE_COUNT", "0", "1"],
    );
    check(
        &Sandbox::new().set("BASE_PORT", "abc"),
        &[],
        &["BASE_PORT", "abc", "65535"],
    );
    check(
        &Sandbox::new().set("STOP_TIMEOUT", "soon"),
        &[],
        &["STOP_TIMEOUT", "soon"],
    );
    check(
        &Sandbox::new().set("ON_FAILED", "panic"),
        &[],
        &["ON_FAILED", "panic", "slow-retry"],
    );
}

#[test]
fn settings_that_contradict_each_other_are_named_together() {
    let eleven = Sandbox::new().set("NODE_COUNT", 11).set("MAX_PORTS", 10);
    check(&eleven, &[], &["NODE_COUNT", "11", "MAX_PORTS", "10"]);
    check(
        &Sandbox::new().set("BASE_PORT", 65_530),
        &[],
        &["BASE_PORT", "65530", "65535"],
    );
    let overlap = Sandbox::new().set("GOSSIP_PORT_OFFSET", 5);
    check(&overlap, &[], &["GOSSIP_PORT_OFFSET", "5", "MAX_PORTS"]);
    let aliases = Sandbox::new()
        .set("REPLICATION_FACTOR", 2)
        .set("REPRAM_REPLICATION", 3);
    check(
        &aliases,
        &[],
        &["REPLICATION_FACTOR", "REPRAM_REPLICATION", "2", "3"],
    );
}

#[test]
fn a_file_is_named_with_the_line() {
    let sandbox = Sandbox::new();
    let unknown = sandbox.write("unknown.toml", "# two lines\nnode_cuont = 3\n");
    let unknown = unknown.display().to_string();
    check(
        &sandbox,
        &["--config", &unknown],
        &[&format!("{unknown}:2"), "node_cuont", "node_count"],
    );
    let wrong_type = sandbox.write("type.toml", "\n\nmax_ports = \"many\"\n");
    let wrong_type = wrong_type.display().to_string();
    check(
        &sandbox,
        &["--config", &wrong_type],
        &[&format!("{wrong_type}:3"), "max_ports", "many"],
    );
    let broken = sandbox
        .write("broken.toml", "node_count = = 3\n")
        .display()
        .to_string();
    check(&sandbox, &["--config", &broken], &[&format!("{broken}:1")]);
}

#[test]
fn a_file_that_cannot_be_read_is_a_problem() {
    let sandbox = Sandbox::new();
    let missing = sandbox.path("missing.toml").display().to_string();
    check(&sandbox, &["--config", &missing], &["--config", &missing]);
    // A directory opens but does not read, for root too.
    let directory = sandbox.path("state").display().to_string();
    check(&sandbox, &["--config", &directory], &[&directory]);
    let by_variable = Sandbox::new().set("REPRAM_CONFIG", &missing);
    check(&by_variable, &[], &["REPRAM_CONFIG", &missing]);
}

#[test]
fn a_flag_is_named_as_it_was_written() {
    check(
        &Sandbox::new(),
        &["--node-count", "0"],
        &["--node-count", "0"],
    );
}

#[test]
fn all_problems_are_told_at_once() {
    let sandbox = Sandbox::new().set("NODE_COUNT", 0).set("BASE_PORT", "abc");
    let file = sandbox.write("two.toml", "max_ports = 0\nno_such_setting = 1\n");
    let file = file.display().to_string();
    let wanted = [
        "NODE_COUNT",
        "BASE_PORT",
        &format!("{file}:1"),
        "max_ports",
        &format!("{file}:2"),
        "no_such_setting",
        "--stop-timeout",
    ];
    check(
        &sandbox,
        &["--config", &file, "--stop-timeout", "never"],
        &wanted,
    );
}

#[test]
fn a_log_directory_that_cannot_be_used_is_a_problem() {
    let sandbox = Sandbox::new();
    let file = sandbox.write("file", "").display().to_string();
    let sandbox = sandbox.set("LOG_DIR", &file);
    check(&sandbox, &[], &["LOG_DIR", &file]);
    check(
        &sandbox.set("NODE_COUNT", 0),
        &[],
        &["LOG_DIR", &file, "NODE_COUNT"],
    );
}

#[test]
fn an_unknown_flag_is_a_matter_of_usage() {
    let sandbox = Sandbox::new();
    let refused = sandbox.finish(&["run", "--no-such-flag"]);
    assert_eq!(refused.code(), Some(64), "{}", refused.said());
    assert_nothing_done(&sandbox);
}

fn effective<'a>(config: &'a Value, key: &str) -> &'a Value {
    let settings = config["settings"].as_array().expect("settings is a list");
    settings
        .iter()
        .find(|setting| setting["key"] == key)
        .expect("every setting is listed")
}

fn config(sandbox: &Sandbox, arguments: &[&str]) -> Finished {
    let finished = sandbox.finish(&[&["config", "--json"], arguments].concat());
    assert_eq!(finished.code(), Some(0), "{}", finished.said());
    finished
}

#[test]
fn later_layers_win_and_origins_are_shown() {
    let sandbox = Sandbox::new()
        .set("MAX_PORTS", 12)
        .set("REPRAM_ENCLAVE", "");
    let file = "node_count = 5\nmax_ports = 11\nstop_timeout = \"5s\"\n";
    let file = sandbox.write("fleet.toml", file).display().to_string();
    let finished = config(&sandbox, &["--config", &file, "--stop-timeout", "6s"]);
    let shown = finished.json();
    let check = |key: &str, value: &str, origin: &str| {
        let setting = effective(&shown, key);
        let text = setting["value"]
            .as_str()
            .map_or_else(|| setting["value"].to_string(), str::to_owned);
        assert_eq!(text, value, "{setting}");
        assert!(
            setting["origin"].to_string().contains(origin),
            "no {origin} in {setting}"
        );
    };
    check("node_count", "5", &format!("{file}:1"));
    check("max_ports", "12", "MAX_PORTS");
    check("stop_timeout", "6s", "--stop-timeout");
    check("replication_factor", "3", "default");
    check("enclave", "default", "default");
}

#[test]
fn an_unknown_variable_is_a_warning_with_the_nearest_name() {
    let finished = config(&Sandbox::new().set("REPRAM_ENCLAFE", "x"), &[]);
    for wanted in ["REPRAM_ENCLAFE", "REPRAM_ENCLAVE"] {
        assert!(
            finished.said().contains(wanted),
            "no {wanted} in: {}",
            finished.said()
        );
    }
}
