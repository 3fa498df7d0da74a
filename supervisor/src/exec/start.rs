//! From the command line to the command, and to the exit code.

use std::ffi::{OsStr, OsString};
use std::process::ExitCode;

use nix::unistd::Pid;
use repram_config::{Environment, Problems, Role, declaration, load};

use super::ending::Ending;
use super::foreground::Foreground;
use super::inbox::Inbox;
use super::keeper::Keeper;
use crate::cli::{ExecOptions, code};
use crate::environment::{self, Variable};
use crate::reaper::{self, Bystanders};
use crate::signals::HeldSignals;
use crate::spawn::{Inherited, Spawn, SpawnError, Surroundings};
use crate::stderr::tell;
use crate::stop_budget::StopBudget;

/// The setting that this command has; all others may be as wrong as they like.
const SETTING: &str = "stop_timeout";

/// Variables that tell one process that another variable is for it.
const PID_VARIABLES: [&str; 2] = ["LISTEN_PID", "WATCHDOG_PID"];

/// Why the command did not run.
#[derive(Debug, thiserror::Error)]
enum ExecError {
    #[error(transparent)]
    Settings(#[from] Problems),
    #[error("signals cannot be read")]
    Signals(#[source] std::io::Error),
    #[error("orphans cannot be adopted")]
    Subreaper(#[source] nix::errno::Errno),
    #[error(transparent)]
    Spawn(#[from] SpawnError),
}

impl ExecError {
    fn code(&self) -> u8 {
        match self {
            Self::Settings(_) => code::CONFIG,
            Self::Signals(_) | Self::Subreaper(_) => code::INTERNAL,
            Self::Spawn(error) => error.shell_code().unwrap_or(code::INTERNAL),
        }
    }

    fn show(&self) {
        if let Self::Settings(problems) = self {
            tell(problems);
            return;
        }
        let mut text = format!("supervisor: {self}");
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        tell(text);
    }
}

/// Runs the command to its end, and ends what it leaves behind. Must be called by the main
/// thread, with all signals held: the command dies with the thread that started it.
#[must_use]
pub fn exec(options: &ExecOptions, held: HeldSignals) -> ExitCode {
    let code = run(options, &held).unwrap_or_else(|error| {
        error.show();
        error.code()
    });
    // What still waits now is for nobody: it must not change the exit code.
    std::mem::forget(held);
    ExitCode::from(code)
}

fn run(options: &ExecOptions, held: &HeldSignals) -> Result<u8, ExecError> {
    let budget = stop_budget(options)?;
    let bystanders = Bystanders::of_this_process();
    reaper::become_subreaper().map_err(ExecError::Subreaper)?;
    let inbox = Inbox::open().map_err(ExecError::Signals)?;
    let foreground = Foreground::of_stdin();
    let child = start(&options.command, held, &foreground)?;
    let mut keeper = Keeper { child, foreground };
    let reason = keeper.keep(&inbox);
    let ending = Ending {
        group: child,
        bystanders,
        budget,
    };
    let left = ending.end(&inbox);
    if !left.is_empty() {
        let pids: Vec<String> = left.iter().map(ToString::to_string).collect();
        let pids = pids.join(", ");
        tell(format!(
            "supervisor: these processes could not be killed, see `ps` for state D: {pids}"
        ));
    }
    keeper.foreground.take_back(child);
    Ok(u8::try_from(reason.shell_code()).unwrap_or(code::INTERNAL))
}

/// The only setting, from its variable or its flag.
fn stop_budget(options: &ExecOptions) -> Result<StopBudget, Problems> {
    let mut environment = Environment::of_this_process(Role::Supervisor);
    let variables = declaration(SETTING).map_or(&[][..], |setting| setting.variables());
    environment
        .variables
        .retain(|(name, _)| variables.iter().any(|variable| *variable == name));
    let loaded = load(&environment, None, &options.flags)?;
    Ok(StopBudget::of(loaded.settings.stop_timeout))
}

fn start(
    command: &[OsString],
    held: &HeldSignals,
    foreground: &Foreground,
) -> Result<Pid, SpawnError> {
    let ours = std::process::id().to_string();
    let names_us = |name: &str| std::env::var_os(name).is_some_and(|pid| pid == *ours);
    let pid_variables: Vec<&str> = PID_VARIABLES
        .into_iter()
        .filter(|name| names_us(name))
        .collect();
    let is_replaced = |name: &OsStr| pid_variables.iter().any(|variable| *variable == name);
    let environment: Vec<Variable> = std::env::vars_os()
        .filter(|(name, _)| !is_replaced(name))
        .collect();
    let spawn = Spawn {
        arguments: command,
        environment: environment::whole(&environment, &[]),
        pid_variables: &pid_variables,
        surroundings: Surroundings::Inherited(Inherited {
            blocked: held.before(),
            terminal: foreground.to_give(),
        }),
    };
    spawn.start()
}
