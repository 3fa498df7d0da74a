//! What keeps programs running: ours, and what one would use instead.

use std::ffi::OsString;
use std::path::Path;
use std::process::{self, Command};

use nix::sys::signal::Signal;
use repram_tests::{Binaries, Container, Process, Sandbox};

use crate::found::Numbering;
use crate::moment::Moment;
use crate::recipe::{KEPT, ROTATE_AT};
use crate::version::Version;

/// Something that keeps programs running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keeper {
    /// The supervisor of this repository.
    Ours,
    /// s6-svscan, with one s6-supervise and one s6-log per program.
    S6,
    /// runsvdir, with one runsv and one svlogd per program.
    Runit,
    /// supervisord.
    Supervisord,
    /// circusd.
    Circus,
    /// pm2-runtime, which is pm2 in the foreground.
    Pm2,
    /// horust.
    Horust,
    /// One shell per program that starts it again and again.
    Shell,
    /// `supervisor exec`, which is an init for one program.
    Exec,
    /// tini, which is the same.
    Tini,
}

/// A keeper that runs, in its sandbox. Everything it started ends with it.
pub(crate) struct Kept {
    keeper: Keeper,
    sandbox: Sandbox,
    started: Moment,
    child: process::Child,
    command: Vec<OsString>,
}

impl Keeper {
    /// Ours first, then every peer that this machine has.
    pub(crate) fn here() -> Vec<Self> {
        Self::present(&[
            Self::Ours,
            Self::S6,
            Self::Runit,
            Self::Supervisord,
            Self::Circus,
            Self::Pm2,
            Self::Horust,
            Self::Shell,
        ])
    }

    /// Those that this machine has of what keeps a single program, and ends with it.
    pub(crate) fn inits() -> Vec<Self> {
        Self::present(&[Self::Exec, Self::Tini])
    }

    /// All of these.
    pub(crate) fn all() -> Vec<Self> {
        [Self::here(), Self::inits()].concat()
    }

    fn present(all: &[Self]) -> Vec<Self> {
        let (here, missing): (Vec<_>, Vec<_>) = all.iter().copied().partition(|one| one.is_here());
        for missing in missing {
            eprintln!("{} is not installed and takes no part", missing.name());
        }
        here
    }

    /// What the report calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ours => "supervisor",
            Self::S6 => "s6",
            Self::Runit => "runit",
            Self::Supervisord => "supervisord",
            Self::Circus => "circus",
            Self::Pm2 => "pm2",
            Self::Horust => "horust",
            Self::Shell => "shell loop",
            Self::Exec => "supervisor exec",
            Self::Tini => "tini -g",
        }
    }

    /// Those of them that were not built here, with their versions.
    pub(crate) fn versions(keepers: &[Self]) -> Vec<String> {
        let with_version = |keeper: &Self| {
            let (program, version) = match keeper {
                Self::Ours | Self::Shell | Self::Exec => return None,
                Self::S6 => ("s6-svscan", Version::OfPackage("s6")),
                Self::Runit => ("runsvdir", Version::OfPackage("runit")),
                Self::Supervisord => ("supervisord", Version::Said("--version")),
                Self::Circus => ("circusd", Version::Said("--version")),
                Self::Pm2 => ("pm2-runtime", Version::Said("--version")),
                Self::Horust => ("horust", Version::Said("--version")),
                Self::Tini => ("tini", Version::Said("--version")),
            };
            Some(format!("{} {}", keeper.name(), version.of(program)))
        };
        keepers.iter().filter_map(with_version).collect()
    }

    /// How it numbers the files of a log.
    pub(crate) fn numbering(self) -> Numbering {
        match self {
            Self::Horust => Numbering::InTurn,
            _ => Numbering::ByAge,
        }
    }

    fn is_here(self) -> bool {
        let programs: &[&str] = match self {
            Self::Ours | Self::Shell | Self::Exec => &[],
            Self::S6 => &["s6-svscan", "s6-log"],
            Self::Runit => &["runsvdir", "svlogd"],
            Self::Supervisord => &["supervisord"],
            Self::Circus => &["circusd"],
            Self::Pm2 => &["pm2-runtime"],
            Self::Horust => &["horust"],
            Self::Tini => &["tini"],
        };
        let path = std::env::var_os("PATH").unwrap_or_default();
        let found = |program: &&str| {
            let mut folders = std::env::split_paths(&path);
            folders.any(|folder| folder.join(program).is_file())
        };
        programs.iter().all(found)
    }

    /// A sandbox in which this keeper can keep so many programs.
    pub(crate) fn sandbox(self, count: u16) -> Sandbox {
        Sandbox::new()
            .set("NODE_COUNT", count)
            .set("MAX_PORTS", count)
            .set("LOG_MAX_SIZE", ROTATE_AT)
            .set("LOG_KEEP", KEPT)
            .set("LOG_TOTAL", "1TiB")
    }

    /// Keeps `count` times this program running, with a log file of its own each.
    pub(crate) fn keep(self, sandbox: Sandbox, command: Vec<OsString>, count: u16) -> Kept {
        let keeper = self.recipe(&sandbox, &command, count);
        self.started(sandbox, keeper, command)
    }

    /// The same as process 1 of a container.
    pub(crate) fn keep_as_process_1(
        self,
        container: &Container,
        sandbox: Sandbox,
        command: Vec<OsString>,
    ) -> Kept {
        let keeper = self.recipe(&sandbox, &command, 1);
        let mut inside = container.program(&sandbox, keeper.get_program().as_ref());
        inside.args(keeper.get_args());
        for (name, value) in keeper.get_envs() {
            inside.envs(value.map(|value| (name, value)));
        }
        self.started(sandbox, inside, command)
    }

    fn started(self, sandbox: Sandbox, mut keeper: Command, command: Vec<OsString>) -> Kept {
        let started = Moment::now();
        let (child, _output) = sandbox.spawn(&mut keeper, "keeper");
        Kept {
            keeper: self,
            sandbox,
            started,
            child,
            command,
        }
    }

    /// Keeps our own nodes running.
    pub(crate) fn keep_nodes(sandbox: Sandbox) -> Kept {
        let started = Moment::now();
        let (child, _output) = sandbox.spawn(&mut sandbox.supervisor(&["run"]), "keeper");
        let command = vec![Binaries::built().node.clone().into()];
        Kept {
            keeper: Self::Ours,
            sandbox,
            started,
            child,
            command,
        }
    }
}

impl Kept {
    /// When the command was given.
    pub(crate) fn started(&self) -> Moment {
        self.started
    }

    /// The programs that are kept.
    pub(crate) fn programs(&self) -> Vec<Process> {
        self.divided().0
    }

    /// Everything that keeps them.
    pub(crate) fn keepers(&self) -> Vec<Process> {
        self.divided().1
    }

    /// Asks the keeper to stop everything, in its own way.
    pub(crate) fn ask_to_stop(&self) {
        let signal = match self.keeper {
            // At SIGTERM it leaves its services alone, by design.
            Keeper::Runit => Signal::SIGHUP,
            _ => Signal::SIGTERM,
        };
        self.main().signal(signal);
    }

    /// The process that was started as the keeper.
    pub(crate) fn main(&self) -> Process {
        Process {
            pid: self.child.id().cast_signed(),
        }
    }

    /// Whether the process that was started as the keeper has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        let ended = self.child.try_wait().expect("it is our child");
        ended.is_some()
    }

    /// Everything that runs, keepers and kept.
    pub(crate) fn processes(&self) -> Vec<Process> {
        self.sandbox.processes()
    }

    /// Ends everything; what was written stays.
    pub(crate) fn end(&mut self) {
        self.sandbox.end_all();
        // It is our child, so it is ours to reap as well.
        let _reaped = self.child.wait();
    }

    /// Ends everything, and moves what was written into `folder`.
    pub(crate) fn set_aside(mut self, folder: &Path) {
        self.end();
        self.sandbox.set_aside(folder);
    }

    fn divided(&self) -> (Vec<Process>, Vec<Process>) {
        let command: Vec<_> = self
            .command
            .iter()
            .map(|word| word.to_string_lossy().into_owned())
            .collect();
        let processes = self.sandbox.processes().into_iter();
        processes.partition(|process| process.command_line() == command)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.end();
    }
}
