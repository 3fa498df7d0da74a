//! Processes as /proc shows them.

use std::fs;
use std::path::PathBuf;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A process, by its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Process {
    /// Its id.
    pub pid: i32,
}

impl Process {
    /// Every process of this machine that we may look at.
    pub fn all() -> impl Iterator<Item = Self> {
        let entries = fs::read_dir("/proc").expect("/proc is mounted").flatten();
        entries.filter_map(|entry| {
            entry
                .file_name()
                .to_str()?
                .parse()
                .ok()
                .map(|pid| Self { pid })
        })
    }

    /// Whether it runs: a zombie has ended.
    pub fn alive(self) -> bool {
        self.field(0)
            .is_some_and(|state| state != "Z" && state != "X")
    }

    /// Whether it has ended and nobody has reaped it.
    pub fn is_zombie(self) -> bool {
        self.field(0).is_some_and(|state| state == "Z")
    }

    /// Memory that is its own, and not a part of a file, in KiB.
    pub fn memory_kib(self) -> Option<u64> {
        self.status("RssAnon:")
    }

    /// All memory that it has mapped now, with what is a part of a file, in KiB.
    pub fn resident_kib(self) -> Option<u64> {
        self.status("VmRSS:")
    }

    /// The most that [`Process::resident_kib`] ever was.
    pub fn resident_peak_kib(self) -> Option<u64> {
        self.status("VmHWM:")
    }

    /// Descriptors that it has open; none when it has ended.
    pub fn descriptors(self) -> usize {
        fs::read_dir(self.path("fd")).map_or(0, Iterator::count)
    }

    /// Its parent.
    pub fn parent(self) -> Option<i32> {
        self.field(1)?.parse().ok()
    }

    /// Its process group.
    pub fn group(self) -> Option<i32> {
        self.field(2)?.parse().ok()
    }

    /// The arguments it was started with, empty when it has ended.
    pub fn command_line(self) -> Vec<String> {
        self.strings("cmdline")
    }

    /// The environment it was started with, as `NAME=value`; empty when it has ended.
    pub fn environment(self) -> Vec<String> {
        self.strings("environ")
    }

    /// The value of one variable it was started with.
    pub fn variable(self, name: &str) -> Option<String> {
        let wanted = |entry: String| Some(entry.strip_prefix(name)?.strip_prefix('=')?.to_owned());
        self.environment().into_iter().find_map(wanted)
    }

    /// Sends a signal; a process that is gone already is fine.
    pub fn signal(self, signal: Signal) {
        let _gone_already = kill(Pid::from_raw(self.pid), signal);
    }

    /// A number of /proc/PID/status, see proc_pid_status(5).
    fn status(self, name: &str) -> Option<u64> {
        let status = fs::read_to_string(self.path("status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line?.split_whitespace().next()?.parse().ok()
    }

    fn path(self, file: &str) -> PathBuf {
        format!("/proc/{}/{file}", self.pid).into()
    }

    /// A field of /proc/PID/stat, counted from the one after the name, see proc(5).
    fn field(self, index: usize) -> Option<String> {
        let stat = fs::read_to_string(self.path("stat")).ok()?;
        // The name stands in parentheses and may itself contain some.
        let (_name, fields) = stat.rsplit_once(')')?;
        fields.split_whitespace().nth(index).map(str::to_owned)
    }

    fn strings(self, file: &str) -> Vec<String> {
        let bytes = fs::read(self.path(file)).unwrap_or_default();
        let parts = bytes
            .split(|byte| *byte == 0)
            .filter(|part| !part.is_empty());
        parts
            .map(|part| String::from_utf8_lossy(part).into_owned())
            .collect()
    }
}
