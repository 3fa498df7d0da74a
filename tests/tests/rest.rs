//! A supervisor that has nothing to do.

use nix::sys::signal::Signal;
use repram_tests::{PATIENCE, Process, Sandbox, wait_until};

/// Waits until the supervisor has given back a quarter of what it ever had. How much the
/// start touches depends on how it was built, but most of it is never needed again.
#[track_caller]
fn wait_for_rest(supervisor: Process) {
    wait_until("memory given back", PATIENCE, || {
        let now = supervisor.resident_kib().ok_or("it has ended")?;
        let peak = supervisor.resident_peak_kib().ok_or("it has ended")?;
        if now < peak / 4 * 3 {
            Ok(())
        } else {
            Err(format!("{now} KiB of {peak} KiB"))
        }
    });
}

#[test]
fn what_only_the_start_needed_is_given_back_and_found_again() {
    let mut fleet = Sandbox::new().set("LIVENESS", "off").start();
    let nodes = fleet.wait_for_nodes(3);
    let supervisor = fleet.supervisor_process();
    wait_for_rest(supervisor);

    // What was given back is there when it is needed: for an answer, for a new process.
    let ready = |status: &serde_json::Value| status["ready"] == 3;
    fleet.wait_for_status("three ready nodes", ready);
    fleet.process_of(&nodes[0].id).signal(Signal::SIGKILL);
    wait_until("its successor", PATIENCE, || {
        let found = repram_tests::Node::at(nodes[0].port)?;
        match found.generation > nodes[0].generation {
            true => Ok(()),
            false => Err(format!("{found:?}")),
        }
    });
    fleet.wait_for_nodes(3);
    wait_for_rest(supervisor);
    fleet.stop();
}
