//! Starting cargo.

use std::ffi::OsStr;
use std::process::Command;

/// The cargo that runs this task.
pub(crate) fn cargo<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Command {
    // Set by cargo for what it runs; absent when the binary is started by hand.
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

/// Runs a command in the foreground; an error says what went wrong.
pub(crate) fn run(mut command: Command) -> Result<(), String> {
    let status = command
        .status()
        .map_err(|error| cannot_start(&command, &error))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{} ended with {status}", shown(&command)))
    }
}

/// What to say when a program cannot be started at all.
pub(crate) fn cannot_start(command: &Command, error: &std::io::Error) -> String {
    format!("could not start {}: {error}", shown(command))
}

/// The command as a person would type it.
pub(crate) fn shown(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let name = program.file_name().unwrap_or(command.get_program());
    let words = std::iter::once(name).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}
