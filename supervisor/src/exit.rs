//! How a process ended, and why the supervisor thinks it did.

use std::fmt;
use std::time::Duration;

use nix::sys::signal::Signal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the main process of a node ended, as the kernel reports it. Signals are numbers: a
/// real-time signal has no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExitReason {
    /// It exited with this code, 0 to 255.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

impl ExitReason {
    /// Whether a node that nobody asked to stop failed by ending so. Even code 0 is no
    /// way for a server to end, but it is not worth a warning's colour.
    #[must_use]
    pub fn is_failure(self) -> bool {
        self != Self::Code(0)
    }

    /// The exit code that a shell would give: 128 + n for signal n.
    #[must_use]
    pub fn shell_code(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => 128 + signal,
        }
    }
}

impl fmt::Display for ExitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(number) => match Signal::try_from(number) {
                Ok(signal) => write!(f, "{}", signal.as_str()),
                Err(_) => write!(f, "signal {number}"),
            },
        }
    }
}

/// Why the process of a node ended, or why none could be started: one word for people,
/// filters and metrics. Words of systemd.exec(5), `$SERVICE_RESULT`, where it has one.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum ExitClass {
    /// It ended by itself with an exit code.
    ExitCode,
    /// A signal ended it that the supervisor had not sent.
    Signal,
    /// SIGKILL ended it that the supervisor had not sent, and at that time the kernel killed
    /// for want of memory. A suspicion: the kernel does not say whom.
    OomKill,
    /// Its startup or liveness probe failed too often.
    Probe,
    /// It did not say `WATCHDOG=1` in time, or asked to be treated so.
    Watchdog,
    /// It was not ready in time.
    StartTimeout,
    /// The program could not be started at all.
    StartFailed,
    /// Its port is another's.
    PortConflict,
    /// Somebody asked for a restart, of all nodes together or one after the other.
    Operator,
    /// It was restarted to run with other settings.
    Reload,
    /// The fleet was scaled down.
    ScaleDown,
    /// The fleet stopped.
    Stop,
}

impl ExitClass {
    /// Every class, for reference pages and for counters that begin at 0.
    pub const ALL: [Self; 12] = [
        Self::ExitCode,
        Self::Signal,
        Self::OomKill,
        Self::Probe,
        Self::Watchdog,
        Self::StartTimeout,
        Self::StartFailed,
        Self::PortConflict,
        Self::Operator,
        Self::Reload,
        Self::ScaleDown,
        Self::Stop,
    ];

    /// The word that people see.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ExitCode => "exit-code",
            Self::Signal => "signal",
            Self::OomKill => "oom-kill",
            Self::Probe => "probe",
            Self::Watchdog => "watchdog",
            Self::StartTimeout => "start-timeout",
            Self::StartFailed => "start-failed",
            Self::PortConflict => "port-conflict",
            Self::Operator => "operator",
            Self::Reload => "reload",
            Self::ScaleDown => "scale-down",
            Self::Stop => "stop",
        }
    }

    /// Whether somebody wanted it so: no fault of the node or the machine.
    #[must_use]
    pub fn is_wanted(self) -> bool {
        match self {
            Self::Operator | Self::Reload | Self::ScaleDown | Self::Stop => true,
            Self::ExitCode
            | Self::Signal
            | Self::OomKill
            | Self::Probe
            | Self::Watchdog
            | Self::StartTimeout
            | Self::StartFailed
            | Self::PortConflict => false,
        }
    }
}

impl fmt::Display for ExitClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a process has used in its life, as wait4(2) tells it: with those of its children that
/// it has waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time in user mode.
    pub user: Duration,
    /// Processor time in the kernel.
    pub system: Duration,
    /// The most memory that it, or the largest of these children, had at once, in bytes. At
    /// least the supervisor's own size, as a copy of which it began (getrusage(2)).
    pub max_rss: u64,
}

/// What the kernel killed for want of memory among the processes of our cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OomKills {
    /// How many, at least 1.
    pub kills: u64,
    /// Since this time of the supervisor's; it was not looked at more often.
    pub since: Duration,
}

/// All that is known of the end of a process when it was reaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// How it ended.
    pub reason: ExitReason,
    /// What it used.
    pub usage: Usage,
    /// What the kernel killed at that time, when SIGKILL ended it.
    pub oom: Option<OomKills>,
}

impl From<ExitReason> for Ended {
    /// An end of which no more is known.
    fn from(reason: ExitReason) -> Self {
        Self {
            reason,
            usage: Usage::default(),
            oom: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_read_as_a_shell_user_expects() {
        let check = |reason: ExitReason, text: &str, code: i32| {
            assert_eq!(reason.to_string(), text);
            assert_eq!(reason.shell_code(), code);
        };
        check(ExitReason::Code(0), "exit code 0", 0);
        check(ExitReason::Code(78), "exit code 78", 78);
        check(ExitReason::Signal(9), "SIGKILL", 137);
        check(ExitReason::Signal(64), "signal 64", 192);
    }

    #[test]
    fn every_class_has_its_word() {
        for class in ExitClass::ALL {
            let json = serde_json::to_value(class).expect("a word");
            assert_eq!(json, class.as_str());
        }
        let words = ExitClass::ALL.map(ExitClass::as_str);
        let unknown = serde_json::from_str::<ExitClass>("\"?\"").expect_err("no such word");
        let known = words.map(|word| format!("`{word}`")).join(", ");
        assert!(unknown.to_string().contains(&known), "{unknown}");
    }
}
