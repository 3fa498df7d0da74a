//! How each keeper is told what to keep.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use repram_tests::Sandbox;
use serde_json::{Value, json};

use crate::keeper::Keeper;

/// Bytes at which a log file is rotated: our default, and what supervisord's users set.
pub(crate) const ROTATE_AT: u32 = 10 << 20;

/// Rotated files that are kept: more than any benchmark makes, so that what was written
/// can be counted afterwards.
pub(crate) const KEPT: u32 = 1000;

impl Keeper {
    /// The command line of a keeper that keeps `count` times this program.
    pub(crate) fn recipe(self, sandbox: &Sandbox, command: &[OsString], count: u16) -> Command {
        let line = in_one_line(command);
        match self {
            Self::Ours => {
                let mut keeper = sandbox.supervisor(&["run"]);
                keeper.env("NODE_COMMAND", &line);
                keeper
            }
            Self::S6 => {
                let log = format!("s6-log -b n{KEPT} s{ROTATE_AT} T");
                let services = services(sandbox, &line, &log, count);
                program_with(sandbox, "s6-svscan", &[services])
            }
            Self::Runit => {
                configure_svlogd(sandbox, count);
                let services = services(sandbox, &line, "svlogd -tt", count);
                program_with(sandbox, "runsvdir", &[services])
            }
            Self::Supervisord => {
                let config = supervisord_config(&sandbox.path(""), &line, count);
                let config = sandbox.write("supervisord.conf", &config);
                program_with(sandbox, "supervisord", &["-c".into(), config])
            }
            Self::Circus => {
                let config = circus_config(&sandbox.path(""), &line, count);
                let config = sandbox.write("circus.ini", &config);
                program_with(sandbox, "circusd", &[config])
            }
            Self::Pm2 => {
                let config = pm2_config(&sandbox.path(""), command, count);
                let config = sandbox.write("pm2.config.json", &config.to_string());
                let mut pm2 = program_with(sandbox, "pm2-runtime", &["start".into(), config]);
                pm2.env("PM2_HOME", sandbox.path("pm2"));
                pm2
            }
            Self::Horust => {
                let services = horust_services(sandbox, &line, count);
                program_with(sandbox, "horust", &["--services-path".into(), services])
            }
            Self::Shell => {
                let script = format!(
                    "for number in $(seq {count}); do
                         (while :; do {line} >>\"$LOG_DIR/$number.log\" 2>&1; done) &
                     done; wait"
                );
                program_with(sandbox, "sh", &["-c".into(), script.into()])
            }
            Self::Exec => {
                let mut keeper = sandbox.supervisor(&["exec", "--"]);
                keeper.args(command);
                keeper
            }
            Self::Tini => {
                let mut keeper = program_with(sandbox, "tini", &["-g".into(), "--".into()]);
                // Where it is not process 1 it has to be told that it is an init.
                keeper.env("TINI_SUBREAPER", "1").args(command);
                keeper
            }
        }
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
    // runsvdir waits for the next second where something was changed in this one.
    let folder = fs::File::open(&services).and_then(|it| it.set_modified(SystemTime::UNIX_EPOCH));
    folder.expect("the folder is ours");
    services
}

/// What svlogd reads in the folder of each log.
fn configure_svlogd(sandbox: &Sandbox, count: u16) {
    for number in 1..=count {
        let folder = sandbox.path("logs").join(number.to_string());
        make_folder(&folder);
        let config = format!("s{ROTATE_AT}\nn{KEPT}\n");
        fs::write(folder.join("config"), config).expect("the folder is ours");
    }
}

/// A folder of services as horust wants them.
fn horust_services(sandbox: &Sandbox, command: &str, count: u16) -> PathBuf {
    let services = sandbox.path("services");
    make_folder(&services);
    for number in 1..=count {
        let log = sandbox.path("logs").join(format!("{number}.log"));
        let service = format!(
            "command = \"{command}\"\nstdout = \"{log}\"\nstderr = \"{log}\"\n\
             stdout-rotate-size = \"{ROTATE_AT}B\"\n\
             [restart]\nstrategy = \"always\"\n[environment]\nkeep-env = true\n",
            log = log.display(),
        );
        fs::write(services.join(format!("node-{number}.toml")), service).expect("it is ours");
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
