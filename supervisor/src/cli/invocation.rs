//! What the command line asks for.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

/// What the command line asks for.
#[derive(Debug)]
pub enum Invocation {
    /// Run the fleet in the foreground.
    Run(RunOptions),
}

/// How to run the fleet.
#[derive(Debug, Default)]
pub struct RunOptions {
    /// The configuration file that `--config` names.
    pub config: Option<PathBuf>,
    // flags: Vec<repram_config::Flag> follows with the config package.
}

/// Options of `supervisor config`.
#[derive(Debug, Default)]
pub struct ConfigOptions {
    /// The configuration file that `--config` names.
    pub config: Option<PathBuf>,
    /// Print JSON.
    pub json: bool,
}

/// Reads the arguments, program name first.
///
/// # Errors
/// Help, the version or what is wrong was printed; the code to exit with comes back.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Invocation, ExitCode> {
    let _ = arguments.into_iter();
    todo!()
}

/// Carries out everything but [`Invocation::Run`].
#[must_use]
pub fn execute(invocation: Invocation) -> ExitCode {
    let _ = invocation;
    todo!()
}
