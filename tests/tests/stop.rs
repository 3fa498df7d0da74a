//! Every way to an end: exit code 0, no process left, every port free at once.

use std::fs::File;

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use repram_tests::{
    Binaries, Container, Fleet, Node, PATIENCE, Process, Sandbox, Stranger, wait_until,
};
use serde_json::Value;

/// Whether something can be seen of a fleet from outside.
type Look = fn(&Fleet) -> bool;

/// A name, the settings that lead there, and how the status shows it.
type Phase<'a> = (&'a str, &'a [(&'a str, &'a str)], fn(&Value) -> bool);

/// Whether all nodes are in a state.
fn all_are(status: &Value, state: &str) -> bool {
    let nodes = status["nodes"].as_array().expect("nodes is a list");
    nodes.iter().all(|node| node["state"] == state)
}

/// A fleet of three nodes that no polite signal ends.
fn stubborn(stop_timeout: &str) -> Fleet {
    let sandbox = Sandbox::new()
        .set("NODE_COUNT", 3)
        .set("STOP_TIMEOUT", stop_timeout);
    let program = sandbox.write("stubborn.py", include_str!("../programs/stubborn.py"));
    let fleet = sandbox
        .set("NODE_COMMAND", format!("python3 {}", program.display()))
        .start();
    wait_until("three stubborn nodes", PATIENCE, || {
        let node = |number: u16| fleet.path(&format!("flux-node-{number}.stubborn"));
        match (1..=3).find(|number| !node(*number).exists()) {
            None => Ok(()),
            Some(number) => Err(format!("flux-node-{number} can still be ended")),
        }
    });
    fleet
}

#[test]
fn a_signal_stops_a_running_fleet() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut fleet = Sandbox::new().set("NODE_COUNT", 3).start();
        fleet.wait_for_nodes(3);
        fleet.end_cleanly(|fleet| fleet.supervisor_process().signal(signal));
    }
}

#[test]
fn a_signal_stops_a_fleet_that_is_still_starting() {
    let fleet = Sandbox::new()
        .set("NODE_COUNT", 3)
        .set("START_STAGGER", "1h")
        .start();
    fleet.process_of("flux-node-1");
    assert_eq!(
        fleet.find_process("flux-node-2"),
        None,
        "it waits for its turn"
    );
    fleet.stop();
}

#[test]
fn a_signal_stops_a_fleet_at_any_moment_of_its_start() {
    // Each moment is awaited by what can be seen of it from outside.
    let moments: [(&str, Look); 5] = [
        ("it has its directory", |fleet| {
            fleet.path("state/.supervisor.lock").exists()
        }),
        ("it has its first port", |fleet| {
            fleet.ports().all_free().is_err()
        }),
        ("its first node runs", |fleet| {
            fleet.find_process("flux-node-1").is_some()
        }),
        ("its last node runs", |fleet| {
            fleet.find_process("flux-node-10").is_some()
        }),
        ("its first node answers", |fleet| {
            Node::at(fleet.http_port(0)).is_ok()
        }),
    ];
    for (moment, reached) in moments {
        let fleet = Sandbox::new().set("NODE_COUNT", 10).start();
        wait_until(moment, PATIENCE, || match reached(&fleet) {
            true => Ok(()),
            false => Err(fleet.output().stderr()),
        });
        fleet.stop();
    }
}

#[test]
fn a_signal_stops_a_fleet_in_every_phase() {
    let phases: [Phase<'_>; 5] = [
        ("braked", &[("RESTART_DELAY", "1h")], |status| {
            status["phase"] == "braked"
        }),
        (
            "restarting",
            &[("NODE_COUNT", "1"), ("RESTART_DELAY", "1h")],
            |status| all_are(status, "waiting") && status["nodes"][0]["failures"] == 2,
        ),
        (
            "failed",
            &[("NODE_COUNT", "1"), ("RESTART_BUDGET", "1")],
            |status| all_are(status, "failed"),
        ),
        (
            "starting",
            &[("NODE_COMMAND", "sleep 1000"), ("START_TIMEOUT", "1h")],
            |status| all_are(status, "starting"),
        ),
        (
            "waiting for a port",
            &[("NODE_COMMAND", "sleep 1000"), ("MAX_PORTS", "3")],
            |status| {
                let nodes = status["nodes"].as_array().expect("nodes is a list");
                nodes.iter().any(|node| node["state"] == "no-port")
            },
        ),
    ];
    for (phase, settings, reached) in phases {
        let mut sandbox = Sandbox::new()
            .set("NODE_COMMAND", "/bin/false")
            .set("RESTART_DELAY_MAX", "1h");
        for (name, value) in settings {
            sandbox = sandbox.set(name, value);
        }
        let taken = [format!("tcp:{}", sandbox.http_port(0))];
        let stranger = (phase == "waiting for a port").then(|| Stranger::holding(&sandbox, &taken));
        let mut fleet = sandbox.start();
        fleet.wait_for_status(phase, reached);
        fleet.supervisor_process().signal(Signal::SIGTERM);
        let finished = fleet.wait_for_end();
        assert_eq!(finished.code(), Some(0), "{phase}: {}", finished.said());
        drop(stranger);
        fleet.assert_nothing_left();
    }
}

#[test]
fn a_signal_is_heard_while_the_settings_are_read() {
    let test = "a_signal_is_heard_while_the_settings_are_read";
    // As anybody, and as process 1, for which the kernel drops what nobody handles.
    for container in [None, Some(Container::with_process_1(test))] {
        let sandbox = Sandbox::new();
        let pipe = sandbox.path("settings.toml");
        nix::unistd::mkfifo(&pipe, Mode::S_IRWXU).expect("the directory is ours");
        let sandbox = sandbox.set("REPRAM_CONFIG", pipe.display());
        let supervisor = &Binaries::built().supervisor;
        let mut command = match &container {
            None => sandbox.program(supervisor),
            Some(Some(container)) => container.program(&sandbox, supervisor),
            Some(None) => continue,
        };
        command.arg("run");
        let mut fleet = sandbox.start_as(command);
        // It opens when the supervisor has opened the other end, and says nothing.
        let _silent = File::options()
            .write(true)
            .open(pipe)
            .expect("the supervisor reads it");
        fleet.supervisor_process().signal(Signal::SIGTERM);
        let finished = fleet.wait_for_end();
        assert_eq!(finished.code(), Some(0), "{}", finished.said());
        assert!(finished.stderr.contains("SIGTERM"), "{}", finished.said());
        fleet.assert_nothing_left();
    }
}

#[test]
fn a_signal_is_heard_while_the_domain_is_looked_up() {
    let test = "a_signal_is_heard_while_the_domain_is_looked_up";
    let Some(container) = Container::with_mounts_and_network(test) else {
        return;
    };
    // Were the signal only heard after the lookup, the start would be refused: other hosts
    // cannot reach 127.0.0.1.
    let sandbox = Sandbox::new()
        .set("DISCOVERY_DOMAIN", "nodes.test")
        .set("BIND_ADDRESS", "127.0.0.1");
    let program = sandbox.write("silent.py", include_str!("../programs/silent.py"));
    let resolver = sandbox.write("resolv.conf", "nameserver 127.0.0.1\n");
    let mut command = container.program(&sandbox, "sh".as_ref());
    let script = "mount --bind \"$1\" /etc/resolv.conf && ip link set lo up && \
                  exec python3 \"$2\" \"$3\" run";
    let supervisor = &Binaries::built().supervisor;
    command.args(["-c", script, "sh"]);
    command.args([&resolver, &program, supervisor]);
    let mut fleet = sandbox.start_as(command);
    let asked = fleet.path("asked");
    wait_until("a question to the name server", PATIENCE, || {
        match asked.exists() {
            true => Ok(()),
            false => Err(fleet.output().stderr()),
        }
    });
    fleet.supervisor_process().signal(Signal::SIGTERM);
    let finished = fleet.wait_for_end();
    assert_eq!(finished.code(), Some(0), "{}", finished.said());
    // The silent name server is a child that the supervisor had before it began.
    let left = fleet.processes();
    left.into_iter()
        .for_each(|process: Process| process.signal(Signal::SIGKILL));
}

#[test]
fn what_left_its_group_and_its_session_is_ended_too() {
    let sandbox = Sandbox::new()
        .set("NODE_COUNT", 2)
        .set("STOP_TIMEOUT", "2s");
    let program = sandbox.write("runaway.py", include_str!("../programs/runaway.py"));
    let fleet = sandbox
        .set("NODE_COMMAND", format!("python3 {}", program.display()))
        .start();
    for node in ["flux-node-1", "flux-node-2"] {
        let ran_away = fleet.path(&format!("{node}.runaway"));
        wait_until("an orphan that ran away", PATIENCE, || {
            match ran_away.exists() {
                true => Ok(()),
                false => Err(format!("{node} is not so far")),
            }
        });
    }
    // The processes in between may be on their way to be reaped.
    assert!(fleet.processes().len() >= 5, "{:?}", fleet.processes());
    fleet.stop();
}

#[test]
fn nodes_that_ignore_the_signal_are_killed_with_their_helpers() {
    let fleet = stubborn("2s");
    assert_eq!(
        fleet.processes().len(),
        7,
        "a supervisor, three nodes, their helpers"
    );
    fleet.stop();
}

#[test]
fn a_second_signal_waits_for_nobody() {
    let mut fleet = stubborn("1h");
    fleet.end_cleanly(|fleet| {
        fleet.supervisor_process().signal(Signal::SIGTERM);
        fleet.wait_for_status("a fleet that stops", |status| status["phase"] == "stopping");
        fleet.supervisor_process().signal(Signal::SIGTERM);
    });
}

#[test]
fn the_stop_command_returns_when_all_has_ended() {
    let mut fleet = Sandbox::new().set("NODE_COUNT", 3).start();
    fleet.wait_for_nodes(3);
    fleet.end_cleanly(|fleet| {
        let stop = fleet.finish(&["stop"]);
        assert_eq!(stop.code(), Some(0), "{}", stop.said());
        let supervisor = fleet.supervisor_process();
        let nodes: Vec<_> = fleet
            .processes()
            .into_iter()
            .filter(|p| *p != supervisor)
            .collect();
        assert!(nodes.is_empty(), "{nodes:?} run after `stop` returned");
    });
}
