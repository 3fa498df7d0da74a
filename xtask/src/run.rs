//! `cargo xtask run`: from a clone to a running fleet.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use crate::command::{cargo, run as in_foreground};
use crate::workspace::Workspace;

/// Builds both binaries and becomes `supervisor run ARGS`. The process is
/// replaced, so that signals, the terminal and the exit code are the
/// supervisor's own.
pub(crate) fn run(workspace: &Workspace, arguments: &[OsString]) -> ExitCode {
    let packages = ["--package", "repram-node", "--package", "repram-supervisor"];
    let mut build = cargo(["build", "--release", "--locked", "--bins"]);
    build
        .args(packages)
        .arg("--target-dir")
        .arg(workspace.target());
    if let Err(problem) = in_foreground(build) {
        eprintln!("xtask: {problem}");
        return ExitCode::FAILURE;
    }
    // As for `cargo run`, where it is needed.
    let arguments = match arguments {
        [first, rest @ ..] if first == "--" => rest,
        all => all,
    };
    let supervisor = workspace.target().join("release/supervisor");
    let error = Command::new(&supervisor).arg("run").args(arguments).exec();
    eprintln!("xtask: could not start {}: {error}", supervisor.display());
    ExitCode::FAILURE
}
