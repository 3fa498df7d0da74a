//! Carries out commands.

use std::error::Error;
use std::fmt::Write as _;
use std::io;
use std::process::ExitCode;

use repram_config::Problems;

use super::command::{
    claims, completions, config, events, flux_spec, health, log_stats, logs, man, metrics, reload,
    restart, scale, status, stop, why,
};
use super::{Invocation, code};
use crate::control::ClientError;
use crate::stderr::tell;

/// Why a command brought nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    /// The settings do not even say where the supervisor is.
    #[error(transparent)]
    Settings(#[from] Problems),
    /// The supervisor was not reached, or refused.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The answer could not be written to our stdout.
    #[error("write to stdout")]
    Output(#[source] io::Error),
    /// Log files could not be read.
    #[error("read the log files in {dir}")]
    Files {
        /// The directory.
        dir: String,
        /// What the system said.
        source: io::Error,
    },
    /// There are no such files.
    #[error("there is no {node} in {dir}; there are {known}")]
    NoSuchNode {
        /// Which node was asked for.
        node: String,
        /// Where its files would be.
        dir: String,
        /// The nodes of which there are files.
        known: String,
    },
    /// No supervisor answers, and it would not write files either.
    #[error("LOG_DIR is off, so that there are no files to read, and {0}")]
    NoFiles(#[source] ClientError),
    /// Manual pages could not be written.
    #[error("write manual pages into {dir}")]
    Pages {
        /// The folder.
        dir: String,
        /// What the system said.
        source: io::Error,
    },
    /// Arguments that only now turn out to be wrong.
    #[error("{0}")]
    Usage(String),
    /// The system refused something that always works.
    #[error("start at all")]
    System(#[source] io::Error),
}

impl CommandError {
    fn code(&self) -> u8 {
        match self {
            Self::Settings(_) => code::CONFIG,
            Self::Client(error) if error.is_unreachable() => code::UNAVAILABLE,
            Self::Client(error) if error.is_about_settings() => code::CONFIG,
            Self::NoFiles(_) => code::UNAVAILABLE,
            Self::Client(_) | Self::Files { .. } | Self::NoSuchNode { .. } | Self::Pages { .. } => {
                code::FAILED
            }
            Self::Output(_) | Self::System(_) => code::INTERNAL,
            Self::Usage(_) => code::USAGE,
        }
    }

    /// Whoever read our output has seen enough, as `head` does.
    fn is_hangup(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// What can be done about it.
    fn advice(&self) -> Option<&'static str> {
        match self {
            Self::Client(error) | Self::NoFiles(error) => client_advice(error),
            Self::Files { .. } => Some(
                "name the LOG_DIR of the supervisor with --log-dir, and read it as the user that \
                 runs it, or as root",
            ),
            Self::Pages { .. } => {
                Some("name a folder that you may write, such as ~/.local/share/man/man1")
            }
            Self::Output(_) => Some("make room where the output goes"),
            Self::System(_) => Some("look at the limits of this shell or container: `ulimit -a`"),
            // These say it themselves.
            Self::Settings(_) | Self::NoSuchNode { .. } | Self::Usage(_) => None,
        }
    }

    /// Whether its text says what could not be done.
    fn is_attempt(&self) -> bool {
        match self {
            Self::Output(_) | Self::Files { .. } | Self::Pages { .. } | Self::System(_) => true,
            Self::Settings(_)
            | Self::Client(_)
            | Self::NoSuchNode { .. }
            | Self::NoFiles(_)
            | Self::Usage(_) => false,
        }
    }
}

fn client_advice(error: &ClientError) -> Option<&'static str> {
    let forbidden = |tried: &[(_, io::Error)]| {
        let mut errors = tried.iter().map(|(_, error)| error.kind());
        errors.any(|kind| kind == io::ErrorKind::PermissionDenied)
    };
    match error {
        ClientError::Unreachable { tried } if forbidden(tried) => {
            Some("only the user that started it and root may ask: run this as one of them")
        }
        ClientError::Unreachable { .. } => Some(
            "start one with `supervisor run`, or name the STATE_DIR of the one you mean with \
             --state-dir",
        ),
        ClientError::Silent { .. } => Some(
            "it may be frozen or starved: look at its state with `ps -C supervisor -o \
             pid,stat,time,args`, and try again",
        ),
        ClientError::Lost { .. } | ClientError::Broken { .. } => {
            Some("see with `supervisor status` whether it still runs, and why not in its output")
        }
        ClientError::Unexpected { .. } | ClientError::TooLong => Some(
            "ask with the program that runs: compare `supervisor --version` with the version in \
             `supervisor status --json`",
        ),
        // It says so itself.
        ClientError::Refused { .. } => None,
    }
}

/// Carries out everything but [`Invocation::Run`] and [`Invocation::Exec`], which are up to
/// the caller: they need the signals that it holds.
///
/// # Panics
/// When it is given one of these.
#[must_use]
pub fn execute(invocation: Invocation) -> ExitCode {
    let result = match invocation {
        Invocation::Run(_) | Invocation::Exec(_) => panic!("these are run by `main`"),
        Invocation::Man(dir) => man::show(dir.as_deref()),
        Invocation::Metrics(options) => ask(metrics::show(&options)),
        Invocation::Completions(shell) => completions::show(shell),
        Invocation::Config(options) => config::show(&options),
        Invocation::FluxSpec(options) => flux_spec::run(&options),
        Invocation::Status(options) => ask(status::show(&options)),
        Invocation::Why(options) => ask(why::show(&options)),
        Invocation::Health(options) => ask(health::ask(&options)),
        Invocation::Claims(options) => ask(claims::show(&options)),
        Invocation::Logs(options) => ask(logs::show(&options)),
        Invocation::Rotate(options) => ask(logs::rotate(&options)),
        Invocation::LogStats(options) => ask(log_stats::show(&options)),
        Invocation::Events(options) => ask(events::show(&options)),
        Invocation::Restart(options) => ask(restart::restart(&options)),
        Invocation::Scale(options) => ask(scale::scale(&options)),
        Invocation::Reload(options) => ask(reload::reload(&options)),
        Invocation::Stop(options) => ask(stop::stop(&options)),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) if error.is_hangup() => ExitCode::from(code::OK),
        Err(error) => {
            tell(report(&error).trim_end());
            ExitCode::from(error.code())
        }
    }
}

/// Runs a command that talks to a supervisor.
fn ask(command: impl Future<Output = Result<u8, CommandError>>) -> Result<u8, CommandError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(CommandError::System)?;
    runtime.block_on(command)
}

/// The error with its causes, each once, and what to do.
fn report(error: &CommandError) -> String {
    if let CommandError::Settings(problems) = error {
        return format!("{problems}\n");
    }
    let could_not = if error.is_attempt() { "could not " } else { "" };
    let mut text = format!("supervisor: {could_not}{error}");
    let mut cause = match error {
        // Shows the error that it holds, so that the cause is that error's.
        CommandError::Client(error) | CommandError::NoFiles(error) => error.source(),
        error => error.source(),
    };
    while let Some(error) = cause {
        // Writing to a string cannot fail.
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text.push('\n');
    if let Some(advice) = error.advice() {
        text.push_str(advice);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::control::ControlAddress;

    #[test]
    fn errors_say_what_was_tried_and_what_to_do() {
        let refused = || io::Error::from_raw_os_error(111);
        let tried = vec![
            (ControlAddress::in_directory(Path::new("/run/x")), refused()),
            (ControlAddress::abstract_name(0, 8081), refused()),
        ];
        let error = CommandError::from(ClientError::Unreachable { tried });
        assert_eq!(error.code(), 69);
        let expect = "\
supervisor: no supervisor answers
  at /run/x/supervisor.sock: Connection refused (os error 111)
  at @repram-supervisor/0/8081: Connection refused (os error 111)
start one with `supervisor run`, or name the STATE_DIR of the one you mean with --state-dir
";
        assert_eq!(report(&error), expect);

        let error = CommandError::Files {
            dir: "/tmp".to_owned(),
            source: refused(),
        };
        let expect = "\
supervisor: could not read the log files in /tmp: Connection refused (os error 111)
name the LOG_DIR of the supervisor with --log-dir, and read it as the user that runs it, or as root
";
        assert_eq!(report(&error), expect);
    }

    #[test]
    fn who_may_not_ask_is_told_who_may() {
        let address = ControlAddress::in_directory(Path::new("/run/x"));
        let tried = vec![(address, io::Error::from_raw_os_error(13))];
        let error = CommandError::from(ClientError::Unreachable { tried });
        assert!(
            report(&error).ends_with("run this as one of them\n"),
            "{}",
            report(&error)
        );
    }
}
