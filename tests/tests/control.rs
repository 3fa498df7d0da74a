//! Commands that ask a running supervisor.

use std::fs::File;

use repram_tests::{PATIENCE, Sandbox, wait_until};

#[test]
fn status_shows_every_node() {
    let mut fleet = Sandbox::new().set("NODE_COUNT", 3).start();
    let nodes = fleet.wait_for_nodes(3);
    let status = wait_until("a fleet that counts as ready", PATIENCE, || {
        let status = fleet.finish(&["status", "--json"]).json();
        if status["ready"] == 3 {
            Ok(status)
        } else {
            Err(status.to_string())
        }
    });
    assert_eq!(status["pid"], fleet.supervisor_process().pid, "{status}");
    assert_eq!(status["healthy"], true, "{status}");
    let shown = status["nodes"].as_array().expect("nodes is a list");
    assert_eq!(shown.len(), nodes.len(), "{status}");
    for (shown, node) in shown.iter().zip(&nodes) {
        assert_eq!(shown["node"], node.id.as_str(), "{status}");
        assert_eq!(shown["uuid"], node.uuid.as_str(), "{status}");
        assert_eq!(shown["generation"], node.generation, "{status}");
        assert_eq!(shown["http_port"], node.port, "{status}");
        assert_eq!(
            shown["gossip_port"],
            node.port + fleet.ports().gossip_offset(),
            "{status}"
        );
        assert_eq!(shown["pid"], fleet.process_of(&node.id).pid, "{status}");
        assert_eq!(shown["state"], "ready", "{status}");
    }
    let table = fleet.finish(&["status"]);
    assert_eq!(table.code(), Some(0), "{}", table.said());
    for node in &nodes {
        let port = node.port.to_string();
        let row = table.stdout.lines().find(|line| line.contains(&node.id));
        assert!(
            row.is_some_and(|row| row.contains(&port)),
            "{}",
            table.stdout
        );
    }
    assert!(
        !table.stdout.contains('\u{1b}'),
        "colours are for terminals: {:?}",
        table.stdout
    );
    fleet.stop();
}

#[test]
fn the_console_shows_a_table_of_the_nodes() {
    let mut fleet = Sandbox::new().set("NODE_COUNT", 3).start();
    let nodes = fleet.wait_for_nodes(3);
    wait_until("a table of all nodes", PATIENCE, || {
        let said = fleet.output().stdout() + &fleet.output().stderr();
        let shown = nodes.iter().all(|node| {
            let pid = fleet.process_of(&node.id).pid.to_string();
            let port = node.port.to_string();
            let mut lines = said.lines();
            lines.any(|line| {
                [&node.id, &pid, &port]
                    .iter()
                    .all(|word| line.contains(*word))
            })
        });
        if shown { Ok(()) } else { Err(said) }
    });
    fleet.stop();
}

#[test]
fn every_command_says_when_there_is_nobody_to_ask() {
    let sandbox = Sandbox::new();
    for command in ["status", "stop", "health"] {
        let finished = sandbox.finish(&[command]);
        assert_eq!(finished.code(), Some(69), "{command}: {}", finished.said());
        assert!(!finished.stderr.is_empty(), "{command} says nothing");
    }
}

/// What is told to people may get lost, the exit code may not.
#[test]
fn a_full_disk_behind_stderr_changes_no_exit_code() {
    let sandbox = Sandbox::new().set("NODE_COUNT", 0);
    let check = |arguments: &[&str], expect: i32| {
        let full = || {
            let full = File::options().write(true).open("/dev/full");
            full.expect("Linux has it")
        };
        let mut command = sandbox.supervisor(arguments);
        let status = command.stdout(full()).stderr(full()).status();
        let code = status.expect("it can be started").code();
        assert_eq!(code, Some(expect), "{arguments:?}");
    };
    check(&["run"], 78);
    check(&["config"], 78);
    check(&["status", "--state-dir", "/nonexistent"], 69);
    check(&["exec", "--", "/nonexistent/program"], 127);
    check(&["man"], 70);
    check(&["scale", "many"], 64);
    sandbox.assert_nothing_left();
}
