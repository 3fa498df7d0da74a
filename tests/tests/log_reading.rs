//! `supervisor logs`: the lines of all nodes, merged and chosen, from plain and packed files.

use std::fs;

use nix::sys::signal::Signal;
use repram_tests::{Finished, Fleet, Order, PATIENCE, Scribe, wait_until};
use serde_json::Value;

/// Two scribes, of which each has written three lines in turns, with a rotation between;
/// the rotated files are packed.
fn written() -> (Fleet, [Scribe; 2]) {
    let fleet = Scribe::sandbox().set("NODE_COUNT", 2).start();
    fleet.wait_for_status("two ready nodes", |status| status["ready"] == 2);
    let scribes = ["flux-node-1", "flux-node-2"].map(Scribe::new);
    for round in 0..3 {
        for scribe in &scribes {
            let written = scribe.write(&fleet, Order::Lines { count: 1, size: 20 });
            assert_eq!(scribe.books(&fleet, written), (round + 1, 0));
        }
        if round == 0 {
            let rotated = fleet.finish(&["logs", "rotate"]);
            assert_eq!(rotated.stdout, "rotated flux-node-1, flux-node-2\n");
        }
    }
    wait_until("packed files", PATIENCE, || {
        for scribe in &scribes {
            let packed = fleet.log_file(scribe.node()).with_extension("log.1.gz");
            fs::metadata(&packed).map_err(|error| format!("{}: {error}", packed.display()))?;
        }
        Ok(())
    });
    (fleet, scribes)
}

/// Nodes and numbers of what was printed as JSON.
fn told(finished: &Finished) -> Vec<(u64, u64)> {
    assert_eq!(finished.code(), Some(0), "{}", finished.said());
    let told = |line: &str| {
        let line: Value = serde_json::from_str(line).expect("an object per line");
        let node = line["node"].as_str()?.strip_prefix("flux-node-")?.parse();
        let number = line["line"].as_str()?.get(..12)?.parse();
        Some((node.ok()?, number.ok()?))
    };
    let lines = finished.stdout.lines();
    lines.map(|line| told(line).expect(line)).collect()
}

#[track_caller]
fn check_refused(finished: &Finished, code: i32, words: &str) {
    assert_eq!(finished.code(), Some(code), "{}", finished.said());
    assert!(finished.stderr.contains(words), "{}", finished.stderr);
    assert_eq!(finished.stdout, "");
}

#[test]
fn lines_are_merged_over_files_and_chosen_by_node_time_and_number() {
    let (mut fleet, _) = written();
    let all = [(1, 0), (2, 0), (1, 1), (2, 1), (1, 2), (2, 2)];
    let objects = fleet.finish(&["logs", "--json"]).stdout;
    let time = |line: usize| {
        let line = objects.lines().nth(line).expect("six lines");
        let line: Value = serde_json::from_str(line).expect("an object");
        line["time"].as_str().expect("a time").to_owned()
    };
    assert!(time(0).ends_with('Z'), "JSON has UTC");
    let (second, fifth) = (time(1), time(4));
    let check_all = |fleet: &Fleet| {
        let check = |arguments: &[&str], expect: &[(u64, u64)]| {
            let arguments = [&["logs", "--json"], arguments].concat();
            assert_eq!(told(&fleet.finish(&arguments)), expect, "{arguments:?}");
        };
        check(&[], &all);
        check(&["--node", "2"], &[(2, 0), (2, 1), (2, 2)]);
        check(&["--node", "flux-node-1,2"], &all);
        check(&["-n", "3"], &all[3..]);
        check(&["--tail", "3", "--node", "1"], &[(1, 0), (1, 1), (1, 2)]);
        check(&["--since", &second], &all[1..]);
        check(&["--since", &second, "--until", &fifth], &all[1..5]);
        check(&["--until", &fifth, "-n", "2"], &all[3..5]);
        check(&["--since", "1h"], &all);
        check(&["--until", "1h"], &[]);
    };
    check_all(&fleet);
    let supervisor = |fleet: &Fleet| fleet.supervisor_process().signal(Signal::SIGTERM);
    fleet.end_cleanly(supervisor);
    // The same without a supervisor.
    check_all(&fleet);
}

#[test]
fn times_are_shown_in_the_local_zone_or_in_utc() {
    let (fleet, _) = written();
    let first = |arguments: &[&str]| {
        let mut command = fleet.supervisor(&[&["logs", "-n", "1"], arguments].concat());
        let output = command.env("TZ", "XYZ-05:30").output().expect("it starts");
        let said = String::from_utf8(output.stdout).expect("UTF-8");
        said.trim_end().to_owned()
    };
    let file = fs::read_to_string(fleet.log_file("flux-node-2")).expect("there is one");
    let line = file.lines().last().expect("a line");
    assert_eq!(first(&["--utc"]), format!("flux-node-2 {line}"));
    let local = first(&[]);
    assert!(local.contains("+05:30 000000000002 "), "{local}");
    assert_eq!(first(&["--raw"]), &line[25..]);
    assert!(first(&["--json"]).contains(&line[..24]));
    fleet.stop();
}

#[test]
fn a_node_that_there_is_not_is_named_with_those_that_there_are() {
    let (mut fleet, _) = written();
    let there = "there is no flux-node-9; there are flux-node-1 to flux-node-2";
    check_refused(&fleet.finish(&["logs", "--node", "9"]), 1, there);
    check_refused(
        &fleet.finish(&["logs", "-f", "--node", "flux-node-9"]),
        1,
        there,
    );
    for arguments in [&["logs", "--node", "first"][..], &["restart", "first"]] {
        let expect = "allowed is the number of a node or its name: 2, flux-node-2";
        check_refused(&fleet.finish(arguments), 64, expect);
    }
    fleet.end_cleanly(|fleet| fleet.supervisor_process().signal(Signal::SIGTERM));
    let offline = fleet.finish(&["logs", "--node", "9"]);
    check_refused(&offline, 1, "there is no flux-node-9 in ");
    check_refused(&offline, 1, "; there are flux-node-1 to flux-node-2");
}

#[test]
fn without_files_nothing_is_read_and_it_says_why() {
    let sandbox = Scribe::sandbox().set("NODE_COUNT", 1).set("LOG_DIR", "off");
    check_refused(
        &sandbox.finish(&["logs"]),
        69,
        "LOG_DIR is off, so that there are no files",
    );
    let mut fleet = sandbox.start();
    fleet.wait_for_status("a ready node", |status| status["ready"] == 1);
    for arguments in [&["logs"][..], &["logs", "rotate"]] {
        check_refused(
            &fleet.finish(arguments),
            1,
            "LOG_DIR is off, so that there are no files",
        );
    }
    let scribe = Scribe::new("flux-node-1");
    scribe.order(&fleet, Order::Tick { size: 20 });
    let mut follow = fleet.supervisor(&["logs", "-f", "--raw"]);
    let (mut child, output) = fleet.spawn(&mut follow, "follow");
    wait_until("lines as they come", PATIENCE, || {
        let said = output.stdout();
        match said.lines().count() {
            0 | 1 => Err(said),
            _ => Ok(()),
        }
    });
    // Following ends with the supervisor, and only then nothing is left.
    fleet.supervisor_process().signal(Signal::SIGTERM);
    assert!(child.wait().is_ok_and(|status| status.success()));
    assert_eq!(fleet.wait_for_end().code(), Some(0));
}
