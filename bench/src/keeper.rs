//! What keeps programs running: ours, and what one would use instead.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{self, Command};

use nix::sys::signal::Signal;
use repram_tests::{Binaries, Process, Sandbox};
use serde_json::{Value, json};

/// Bytes at which a log file is rotated: our default, and what supervisord's users set.
const ROTATE_AT: u32 = 10 << 20;

/// Rotated files that are kept: more than any benchmark makes, so that what was written
/// can be counted afterwards.
const KEPT: u32 = 1000;

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
    /// One shell per program that starts it again and again.
    Shell,
}

/// A keeper that runs, in its sandbox. Everything it started ends with it.
pub(crate) struct Kept {
    keeper: Keeper,
    sandbox: Sandbox,
    child: process::Child,
    command: Vec<OsString>,
}

impl Keeper {
    /// Ours first, then every peer that this machine has.
    pub(crate) fn here() -> Vec<Self> {
        let all = [
            Self::Ours,
            Self::S6,
            Self::Runit,
            Self::Supervisord,
            Self::Circus,
            Self::Pm2,
            Self::Shell,
        ];
        let (here, missing): (Vec<_>, Vec<_>) = all.into_iter().partition(|one| one.is_here());
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
            Self::Shell => "shell loop",
        }
    }

    fn is_here(self) -> bool {
        let programs: &[&str] = match self {
            Self::Ours | Self::Shell => &[],
            Self::S6 => &["s6-svscan", "s6-log"],
            Self::Runit => &["runsvdir", "svlogd"],
            Self::Supervisord => &["supervisord"],
            Self::Circus => &["circusd"],
            Self::Pm2 => &["pm2-runtime"],
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
        let line = in_one_line(&command);
        let logs = sandbox.path("logs");
        let mut keeper = match self {
            Self::Ours => {
                let mut keeper = sandbox.supervisor(&["run"]);
                keeper.env("NODE_COMMAND", &line);
                keeper
            }
            Self::S6 => {
                let log = format!("s6-log -b n{KEPT} s{ROTATE_AT} T");
                let services = services(&sandbox, &line, &log, count);
                program_with(&sandbox, "s6-svscan", &[services])
            }
            Self::Runit => {
                for number in 1..=count {
                    let folder = logs.join(number.to_string());
                    make_folder(&folder);
                    let config = format!("s{ROTATE_AT}\nn{KEPT}\n");
                    fs::write(folder.join("config"), config).expect("the folder is ours");
                }
                let services = services(&sandbox, &line, "svlogd -tt", count);
                program_with(&sandbox, "runsvdir", &[services])
            }
            Self::Supervisord => {
                let config = supervisord_config(&sandbox.path(""), &line, count);
                let config = sandbox.write("supervisord.conf", &config);
                program_with(&sandbox, "supervisord", &["-c".into(), config])
            }
            Self::Circus => {
                let config = circus_config(&sandbox.path(""), &line, count);
                let config = sandbox.write("circus.ini", &config);
                program_with(&sandbox, "circusd", &[config])
            }
            Self::Pm2 => {
                let config = pm2_config(&sandbox.path(""), &command, count);
                let config = sandbox.write("pm2.config.json", &config.to_string());
                let mut pm2 = program_with(&sandbox, "pm2-runtime", &["start".into(), config]);
                pm2.env("PM2_HOME", sandbox.path("pm2"));
                pm2
            }
            Self::Shell => {
                let script = format!(
                    "for number in $(seq {count}); do
                         (while :; do {line} >>\"$LOG_DIR/$number.log\" 2>&1; done) &
                     done; wait"
                );
                program_with(&sandbox, "sh", &["-c".into(), script.into()])
            }
        };
        let (child, _output) = sandbox.spawn(&mut keeper, "keeper");
        Kept {
            keeper: self,
            sandbox,
            child,
            command,
        }
    }

    /// Keeps our own nodes running.
    pub(crate) fn keep_nodes(sandbox: Sandbox) -> Kept {
        let (child, _output) = sandbox.spawn(&mut sandbox.supervisor(&["run"]), "keeper");
        let command = vec![Binaries::built().node.clone().into()];
        Kept {
            keeper: Self::Ours,
            sandbox,
            child,
            command,
        }
    }
}

impl Kept {
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

/// A command for a shell, for a line of supervisord's configuration and for NODE_COMMAND:
/// none of the words in it means anything to one of them.
fn in_one_line(command: &[OsString]) -> String {
    let words: Vec<_> = command
        .iter()
        .map(|word| word.to_str().expect("paths of this build are text"))
        .collect();
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-".contains(letter);
    let is_plain = |word: &&str| word.chars().all(plain);
    assert!(
        words.iter().all(is_plain),
        "quoting differs from keeper to keeper; build where no path needs it: {words:?}"
    );
    words.join(" ")
}

/// A folder of services as s6-svscan and runsvdir want them.
fn services(sandbox: &Sandbox, command: &str, log: &str, count: u16) -> PathBuf {
    let services = sandbox.path("services");
    let logs = sandbox.path("logs");
    for number in 1..=count {
        let service = services.join(format!("node-{number}"));
        make_folder(&service.join("log"));
        let run = format!("#!/bin/sh\nexec {command} 2>&1\n");
        write_script(&service.join("run"), &run);
        let run = format!("#!/bin/sh\nexec {log} {}/{number}\n", logs.display());
        write_script(&service.join("log/run"), &run);
    }
    services
}

fn supervisord_config(folder: &Path, command: &str, count: u16) -> String {
    let folder = folder.display();
    format!(
        "[supervisord]\nnodaemon=true\nlogfile={folder}/supervisord.log\n\
         pidfile={folder}/supervisord.pid\n\
         [program:node]\ncommand={command}\nnumprocs={count}\n\
         process_name=%(program_name)s-%(process_num)d\nautorestart=true\n\
         startretries=1000\nredirect_stderr=true\n\
         stdout_logfile={folder}/logs/%(process_num)d.log\n\
         stdout_logfile_maxbytes={ROTATE_AT}\nstdout_logfile_backups={KEPT}\n"
    )
}

fn circus_config(folder: &Path, command: &str, count: u16) -> String {
    let folder = folder.display();
    format!(
        "[circus]\nendpoint=ipc://{folder}/endpoint\n\
         pubsub_endpoint=ipc://{folder}/pubsub\nstatsd=false\n\
         [watcher:node]\ncmd={command}\nnumprocesses={count}\ncopy_env=true\n\
         stdout_stream.class=FileStream\nstdout_stream.filename={folder}/logs/node.log\n\
         stdout_stream.max_bytes={ROTATE_AT}\nstdout_stream.backup_count={KEPT}\n"
    )
}

fn pm2_config(folder: &Path, command: &[OsString], count: u16) -> Value {
    let words: Vec<_> = command.iter().map(|word| word.to_str()).collect();
    let log = |name: &str| folder.join("logs").join(name);
    json!({"apps": [{
        "name": "node",
        "script": words[0],
        "args": words[1..],
        "interpreter": "none",
        "exec_mode": "fork",
        "instances": count,
        "out_file": log("node.log"),
        "error_file": log("node.err"),
    }]})
}

fn program_with(sandbox: &Sandbox, program: &str, arguments: &[PathBuf]) -> Command {
    let mut command = sandbox.program(program.as_ref());
    command.args(arguments);
    command
}

fn make_folder(path: &Path) {
    fs::create_dir_all(path).expect("the sandbox is ours");
}

fn write_script(path: &Path, text: &str) {
    fs::write(path, text).expect("the sandbox is ours");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("it is ours");
}
