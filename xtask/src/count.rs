//! `cargo xtask count`: instructions of the hot paths.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use crate::command::{cargo, run};
use crate::workspace::Workspace;

/// The profile of what is counted: optimised, and built in a fraction of the time of a release.
const PROFILE: &str = "counting";

/// Counts, with these arguments for `repram-bench count`.
pub(crate) fn count(workspace: &Workspace, arguments: &[OsString]) -> ExitCode {
    let mut counting = counting(workspace);
    counting.args(arguments);
    match run(building()).and_then(|()| run(counting)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("xtask: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// Builds the benchmark and the programs at once: one after the other cargo would choose other
/// features of what they have in common, and build that twice.
pub(crate) fn building() -> Command {
    let mut build = cargo(["build", "--quiet", "--locked", "--bins"]);
    build.args(["--profile", PROFILE]);
    for package in ["repram-bench", "repram-node", "repram-supervisor"] {
        build.args(["--package", package]);
    }
    build
}

/// `repram-bench count`, as it was built.
pub(crate) fn counting(workspace: &Workspace) -> Command {
    let programs = workspace.target().join(PROFILE);
    let mut count = Command::new(programs.join("repram-bench"));
    count.arg("count").env("REPRAM_PROGRAMS", programs);
    count
}
