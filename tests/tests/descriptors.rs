//! Limits on descriptors: a low soft one is no matter, a low hard one is told.

use std::fs;
use std::process::Command;

use nix::sys::signal::Signal;
use repram_tests::{Binaries, Fleet, PATIENCE, Process, Sandbox, wait_until};

/// What the supervisor reckons with for a node, and for everything else.
const PER_NODE: usize = 10;
const SHARED: usize = 64;

/// `supervisor run` below a shell that sets limits first.
fn limited(sandbox: &Sandbox, ulimit: &str) -> Command {
    let mut command = sandbox.program("sh".as_ref());
    command
        .arg("-c")
        .arg(format!(r#"ulimit {ulimit} && exec "$0" run"#))
        .arg(&Binaries::built().supervisor);
    command
}

/// Waits until so many nodes are ready, and gives the supervisor's open descriptors.
#[track_caller]
fn descriptors_with(fleet: &Fleet, nodes: u64) -> usize {
    fleet.wait_for_status("all nodes ready", |status| {
        let list = status["nodes"].as_array();
        let ready = list.into_iter().flatten();
        ready.filter(|node| node["state"] == "ready").count() as u64 == nodes
    });
    fleet.supervisor_process().descriptors()
}

#[test]
fn a_low_soft_limit_is_raised_and_programs_get_it_as_it_was() {
    const NODES: usize = 20;
    let sandbox = Sandbox::new()
        .set("NODE_COUNT", NODES)
        .set("MAX_PORTS", NODES)
        .set("NODE_COMMAND", r#"sh -c "ulimit -Sn; exec sleep 1000""#);
    let command = limited(&sandbox, "-Sn 64");
    let mut fleet = sandbox.start_as(command);
    wait_until("the limit in all logs", PATIENCE, || {
        let found = (1..=NODES).filter(|number| {
            let log = fleet.log_file(&format!("flux-node-{number}"));
            fs::read_to_string(log).is_ok_and(|log| log.trim_end().ends_with("Z 64"))
        });
        match found.count() {
            NODES => Ok(()),
            found => Err(format!("{found} of {NODES}")),
        }
    });
    let supervisor = fleet.supervisor_process();
    let open = supervisor.descriptors();
    assert!(open > 64, "{open}");
    // What a start does besides works where more is open than the limit of programs.
    let score = |process: Process| -> i32 {
        let text = fs::read_to_string(format!("/proc/{}/oom_score_adj", process.pid));
        let text = text.expect("it runs");
        text.trim().parse().expect("it is a number")
    };
    let expect = (score(supervisor) + 500).min(1000);
    assert_eq!(score(fleet.process_of("flux-node-20")), expect);
    fleet.end_cleanly(|fleet| fleet.supervisor_process().signal(Signal::SIGTERM));
}

#[test]
fn a_low_hard_limit_bounds_the_fleet_and_what_fits_runs() {
    let base = Sandbox::new();
    let (ingress, admin) = (base.http_port(50), base.http_port(51));
    let file = base.write("repram.toml", "node_count = 2\n");
    let sandbox = base
        .set("REPRAM_CONFIG", file.display())
        .set("MAX_PORTS", 20)
        .set("INGRESS_PORT", ingress)
        .set("ADMIN_ADDR", format!("127.0.0.1:{admin}"));
    let command = limited(&sandbox, "-n 164");
    let mut fleet = sandbox.start_as(command);
    let two = descriptors_with(&fleet, 2);
    assert!(two <= SHARED / 2 + 2 * PER_NODE, "{two}");

    fleet.write("repram.toml", "node_count = 11\n");
    let refused = fleet.finish(&["reload"]);
    assert_eq!(refused.code(), Some(78), "{}", refused.said());
    let expect = format!("{}:1: node_count: found 11", file.display());
    assert!(refused.said().contains(&expect), "{}", refused.said());

    let refused = fleet.finish(&["scale", "11"]);
    assert_ne!(refused.code(), Some(0));
    let expect =
        "11 nodes are asked for, and 1 to 10 (the limit on open files is 164) are possible";
    assert!(refused.said().contains(expect), "{}", refused.said());

    let scaled = fleet.finish(&["scale", "10"]);
    assert_eq!(scaled.code(), Some(0), "{}", scaled.said());
    let ten = descriptors_with(&fleet, 10);
    assert!(ten <= two + 8 * PER_NODE, "{two}, then {ten}");
    fleet.end_cleanly(|fleet| fleet.supervisor_process().signal(Signal::SIGTERM));
}

#[test]
fn a_fleet_that_does_not_fit_is_refused_before_anything_is_done() {
    let sandbox = Sandbox::new().set("NODE_COUNT", 11).set("MAX_PORTS", 11);
    let mut command = limited(&sandbox, "-n 164");
    let (mut child, output) = sandbox.spawn(&mut command, "supervisor");
    let refused = sandbox.wait_for_end(&mut child, &output);
    assert_eq!(refused.code(), Some(78), "{}", refused.said());
    for fragment in ["NODE_COUNT: found 11", "164", "at most 10", "ulimit -n"] {
        assert!(refused.stderr.contains(fragment), "{}", refused.said());
    }
    sandbox.assert_nothing_left();
}
