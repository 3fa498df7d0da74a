//! What is wrong by itself.

use crate::case::{Case, check};

#[test]
fn values_out_of_bounds_are_named_by_their_variable() {
    check(
        "NODE_COUNT=0",
        &["NODE_COUNT: found \"0\", allowed is 1 to 256"],
    );
    check(
        "BASE_PORT=abc",
        &["BASE_PORT: found \"abc\", allowed is a port number from 1 to 65535"],
    );
    check(
        "REPRAM_REPLICATION=0",
        &["REPRAM_REPLICATION: found \"0\", allowed is 1 to 1000, or all"],
    );
    check(
        "ON_FAILED=panic",
        &["ON_FAILED: found \"panic\", allowed is slow-retry, exit or keep"],
    );
    check(
        "LIVENESS=maybe",
        &["LIVENESS: found \"maybe\", allowed is on or off (also yes/no, true/false, 1/0)"],
    );
    check(
        "STOP_TIMEOUT=500ms",
        &["STOP_TIMEOUT: found \"500ms\", allowed is a duration from 1s to 1h, such as 2s or 5m"],
    );
    check(
        "REPRAM_PEERS=a:1,b",
        &[
            "REPRAM_PEERS: found \"b\" in \"a:1,b\", allowed is host:port, such as \
           peer.example:8081 or [::1]:8081; several (at most 1000) separated by commas",
        ],
    );
}

#[test]
fn flags_and_lines_are_named_too() {
    Case::new()
        .file("\nnode_count = 0\nlog_max_size = \"10 M\"\n")
        .flag("base_port", "abc")
        .bad(&[
            "repram.toml:2: node_count: found 0, allowed is 1 to 256",
            "--base-port: found \"abc\", allowed is a port number from 1 to 65535",
            "repram.toml:3: log_max_size: found \"10 M\", allowed is a size from 4 KiB to 1 TiB, \
             such as 10 MiB or 100MB",
        ]);
}

#[test]
fn wrong_types_are_all_named() {
    Case::new()
        .file("node_count = \"3\"\nbase_port = 1.5\nenclave = 7\nliveness = 1\n[peers]\na = 1\n")
        .bad(&[
            "repram.toml:1: node_count: found a string, \"3\", allowed is an integer: 1 to 256",
            "repram.toml:2: base_port: found a float, 1.5, allowed is an integer: a port number \
             from 1 to 65535",
            "repram.toml:5: peers: found a table, allowed is an array of strings or a string: \
             host:port, such as peer.example:8081 or [::1]:8081; several (at most 1000) separated \
             by commas",
            "repram.toml:3: enclave: found an integer, 7, allowed is a string: 1 to 64 of the \
             characters A-Z a-z 0-9 - _ . beginning with a letter or digit",
            "repram.toml:4: liveness: found an integer, 1, allowed is a boolean or a string: on or \
             off (also yes/no, true/false, 1/0)",
        ]);
}

#[test]
fn everything_wrong_is_told_at_once() {
    let case = Case::of("NODE_COUNT=11 BASE_PORT=abc REPRAM_MIN_TTL=60 REPRAM_MAX_TTL=30")
        .variable("LOG_DIR", b"/tmp/\xff")
        .file("node_cuont = 5\nlog_keep = -1\n")
        .flag("on_failed", "explode");
    case.bad(&[
        "repram.toml:1: unknown key \"node_cuont\"; did you mean node_count?",
        "LOG_DIR: found bytes that are not UTF-8, allowed is text in UTF-8",
        "BASE_PORT: found \"abc\", allowed is a port number from 1 to 65535",
        "--on-failed: found \"explode\", allowed is slow-retry, exit or keep",
        "repram.toml:2: log_keep: found -1, allowed is 0 to 1000",
        "REPRAM_MIN_TTL: found \"60\", allowed is at most REPRAM_MAX_TTL (30)",
        "NODE_COUNT: found \"11\", allowed is at most MAX_PORTS (default 10), because every node \
         needs a port of its own",
    ]);
    let text = case.load().unwrap_err().to_string();
    assert!(
        text.starts_with("7 problems with the settings:\n\n  "),
        "{text}"
    );
}

#[test]
fn a_value_that_is_overridden_is_not_judged() {
    let case = Case::of("NODE_COUNT=nonsense")
        .file("node_count = [1]")
        .flag("node_count", "1");
    assert_eq!(case.good().settings.node_count, 1);
}

#[test]
fn a_file_that_is_no_toml_hides_nothing_else() {
    Case::of("NODE_COUNT=0 MAX_PORTS=1")
        .file("base_port = \nmax_ports 10\n")
        .flag("min_ready", "x")
        .bad(&[
            "repram.toml:1:13: not TOML: string values must be quoted, expected literal string",
            "repram.toml:2:11: not TOML: key with no value, expected `=`",
            "NODE_COUNT: found \"0\", allowed is 1 to 256",
            "--min-ready: found \"x\", allowed is 0 to 256",
        ]);
    // The file may have said MAX_PORTS=20, so there is no contradiction yet.
    Case::of("NODE_COUNT=20")
        .file("base_port 1")
        .bad(&["repram.toml:1:11: not TOML: key with no value, expected `=`"]);
}

#[test]
fn a_file_that_cannot_be_read() {
    let missing = Case {
        file: Some("/nonexistent/repram.toml".into()),
        ..Case::of("NODE_COUNT=0")
    };
    missing.bad(&[
        "--config: found \"/nonexistent/repram.toml\", which could not be read: No such file or \
         directory (os error 2); allowed is a readable TOML file of at most 1 MiB",
        "NODE_COUNT: found \"0\", allowed is 1 to 256",
    ]);
    check(
        "REPRAM_CONFIG=/",
        &[
            "REPRAM_CONFIG: found \"/\", which could not be read: Is a directory (os error 21); \
           allowed is a readable TOML file of at most 1 MiB",
        ],
    );
    let too_long = Case::new()
        .file(&"#".repeat(1024 * 1024 + 1))
        .load()
        .unwrap_err();
    assert!(too_long.to_string().contains("at most 1 MiB"), "{too_long}");
}
