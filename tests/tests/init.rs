//! A fleet whose supervisor is process 1 of a container.

use nix::sys::signal::Signal;
use repram_tests::{Binaries, Container, Fleet, PATIENCE, Process, Sandbox, wait_until};

/// Orphans of a storm.
const STORM: u32 = 10_000;

/// What they may cost the supervisor, in KiB.
const STORM_KIB: u64 = 4_096;

/// A fleet that begins as a script does, which comes to be the supervisor `$1`.
fn container_of(sandbox: Sandbox, test: &str, script: &str) -> Option<Fleet> {
    let container = Container::with_process_1(test)?;
    let mut command = container.program(&sandbox, "sh".as_ref());
    command.args(["-c", script, "sh"]);
    command.arg(&Binaries::built().supervisor);
    Some(sandbox.start_as(command))
}

/// Waits until no child of the supervisor is a zombie.
#[track_caller]
fn wait_for_no_zombie(supervisor: Process) {
    wait_until("every orphan reaped", PATIENCE, || {
        let zombie =
            |process: &Process| process.parent() == Some(supervisor.pid) && process.is_zombie();
        match Process::all().filter(zombie).count() {
            0 => Ok(()),
            zombies => Err(format!("{zombies} zombies")),
        }
    });
}

#[test]
fn a_storm_of_orphans_disturbs_nobody() {
    let test = "a_storm_of_orphans_disturbs_nobody";
    let sandbox = Sandbox::new().set("NODE_COUNT", 3);
    let program = sandbox.write("storm.py", include_str!("../programs/storm.py"));
    let script = format!("python3 {} {STORM} & exec \"$1\" run", program.display());
    let Some(mut fleet) = container_of(sandbox, test, &script) else {
        return;
    };
    let nodes = fleet.wait_for_nodes(3);
    assert_eq!(nodes[0].put("/data/before?ttl=600", b"a").status, 201);
    let supervisor = fleet.supervisor_process();
    let before = supervisor.memory_kib().expect("it runs");
    fleet.write("storm.go", "");
    let over = fleet.path("storm.over");
    let mut writes = 0;
    wait_until("the end of the storm", PATIENCE, || {
        // Nodes serve all the while.
        writes += 1;
        let path = format!("/data/during-{writes}?ttl=600");
        assert_eq!(nodes[writes % 3].put(&path, b"b").status, 201);
        match over.exists() {
            true => Ok(()),
            false => Err(format!("{writes} values were written")),
        }
    });
    wait_for_no_zombie(supervisor);
    let after = supervisor.memory_kib().expect("it runs");
    assert!(after < before + STORM_KIB, "{before} KiB, then {after} KiB");
    let now = fleet.wait_for_nodes(3);
    for (old, new) in nodes.iter().zip(&now) {
        assert_eq!((&old.uuid, old.generation), (&new.uuid, new.generation));
    }
    fleet.stop();
}

#[test]
fn nothing_survives_a_supervisor_that_is_killed() {
    let test = "nothing_survives_a_supervisor_that_is_killed";
    let sandbox = Sandbox::new().set("NODE_COUNT", 2);
    let program = sandbox.write("runaway.py", include_str!("../programs/runaway.py"));
    let sandbox = sandbox.set("NODE_COMMAND", format!("python3 {}", program.display()));
    let Some(mut fleet) = container_of(sandbox, test, "exec \"$1\" run") else {
        return;
    };
    for node in ["flux-node-1", "flux-node-2"] {
        let ran_away = fleet.path(&format!("{node}.runaway"));
        wait_until("an orphan that ran away", PATIENCE, || {
            match ran_away.exists() {
                true => Ok(()),
                false => Err(format!("{node} is not so far")),
            }
        });
    }
    fleet.supervisor_process().signal(Signal::SIGKILL);
    assert_ne!(fleet.wait_for_end().code(), Some(0), "it was killed");
    fleet.assert_nothing_left();
}

#[test]
fn process_1_ends_whatever_runs_with_it() {
    let test = "process_1_ends_whatever_runs_with_it";
    let sandbox = Sandbox::new().set("NODE_COUNT", 2);
    let script = "sleep 1000 & setsid sleep 1000 & exec \"$1\" run";
    let Some(mut fleet) = container_of(sandbox, test, script) else {
        return;
    };
    fleet.wait_for_nodes(2);
    assert!(fleet.processes().len() >= 5, "{:?}", fleet.processes());
    fleet.stop();
}

#[test]
fn process_1_stops_as_it_is_told() {
    let test = "process_1_stops_as_it_is_told";
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT] {
        let sandbox = Sandbox::new().set("NODE_COUNT", 2);
        let Some(mut fleet) = container_of(sandbox, test, "exec \"$1\" run") else {
            return;
        };
        fleet.wait_for_nodes(2);
        fleet.end_cleanly(|fleet| fleet.supervisor_process().signal(signal));
    }
}
