//! What users are shown when nothing is wrong: warnings and values.

use repram_config::{Problem, Problems};

use crate::case::Case;

#[test]
fn unknown_variables_with_our_prefix_are_warnings() {
    Case::of("REPRAM_ZEBRA=1 REPRAM_PEER=a:1 OTHER_PEER=x REPRAM_EMPTY= REPRAM_SUPERVISOR_FD=3")
        .warned(&[
            "REPRAM_PEER: no such setting; did you mean REPRAM_PEERS?",
            "REPRAM_ZEBRA: no such setting, and none has a similar name",
        ]);
    Case::of("REPRAM_CLUSTER_SECERT=sixteen-bytes-and-more")
        .warned(&["REPRAM_CLUSTER_SECERT: no such setting; did you mean REPRAM_CLUSTER_SECRET?"]);
    Case::of("REPRAM_ZEBRA=1 REPRAM_SUPERVISOR_FD=3")
        .node()
        .warned(&[]);
}

#[test]
fn what_has_no_effect_is_a_warning() {
    Case::of("REPRAM_NODE_ID=me")
        .warned(&["REPRAM_NODE_ID: has no effect, because the supervisor sets it for each node"]);
    Case::of("REPRAM_NODE_ID=me").node().warned(&[]);
    Case::of("REPRAM_CLUSTER_SECRET=short").warned(&[
        "REPRAM_CLUSTER_SECRET: a secret of 5 bytes can be found by trying; use at least 16 random \
         bytes",
    ]);
}

#[test]
fn columns_are_aligned() {
    let loaded = Case::of("REPRAM_REPLICATION=all NODE_COUNT=5")
        .variable("NODE_COMMAND", "a\nb".as_bytes())
        .flag("base_port", "9000")
        .good();
    let text = loaded.render();
    let line = |name: &str| {
        text.lines()
            .find(|line| line.starts_with(name))
            .unwrap()
            .to_owned()
    };
    let words = |name: &str| {
        line(name)
            .split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(words("SETTING"), ["SETTING", "VALUE", "ORIGIN"]);
    assert_eq!(words("NODE_COUNT"), ["NODE_COUNT", "5", "environment"]);
    assert_eq!(words("MIN_READY"), ["MIN_READY", "4", "default"]);
    assert_eq!(
        words("NODE_COMMAND"),
        ["NODE_COMMAND", "a\\nb", "environment"]
    );
    assert_eq!(words("BASE_PORT"), ["BASE_PORT", "9000", "--base-port"]);
    assert_eq!(words("ADMIN_ADDR"), ["ADMIN_ADDR", "-", "default"]);
    assert!(
        line("REPLICATION_FACTOR").ends_with("  environment, REPRAM_REPLICATION"),
        "{text}"
    );
    let column = line("SETTING").find("ORIGIN").unwrap();
    assert!(
        line("NODE_COUNT")[column..].starts_with("environment"),
        "{text}"
    );

    let json = loaded.to_json();
    let settings = json["settings"].as_array().unwrap();
    assert_eq!(settings.len(), repram_config::declarations().len());
    assert_eq!(settings[0]["key"], "node_count");
    assert_eq!(settings[0]["value"], "5");
    assert_eq!(settings[0]["layer"], "environment");
}

#[test]
fn a_caller_reports_with_the_users_words() {
    let found = "\"/nope\", which could not be written";
    let problem = |case: Case| {
        case.good()
            .problem("log_dir", found, "a directory, or off")
            .to_string()
    };
    let rest = "found \"/nope\", which could not be written, allowed is a directory, or off";
    assert_eq!(
        problem(Case::of("LOG_DIR=/nope")),
        format!("LOG_DIR: {rest}")
    );
    assert_eq!(
        problem(Case::new().flag("log_dir", "/nope")),
        format!("--log-dir: {rest}")
    );
    assert_eq!(problem(Case::new()), format!("LOG_DIR (default): {rest}"));
    let problems = Problems::from(Case::new().good().problem("log_dir", found, "x"));
    assert!(
        problems
            .to_string()
            .starts_with("1 problem with the settings:")
    );
    let _: &Problem = problems.iter().next().unwrap();
}
