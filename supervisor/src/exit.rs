//! How a process ended, and why the supervisor thinks it did.

use std::fmt;

use nix::sys::signal::Signal;
use rustix::process::WaitStatus;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the main process of a node ended, as the kernel reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExitReason {
    /// It exited with this code, 0 to 255.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

impl ExitReason {
    /// The reason in a wait status; none while the process lives.
    #[must_use]
    pub fn from_wait(status: WaitStatus) -> Option<Self> {
        // As numbers: a real-time signal has no name.
        let code = status.exit_status().map(Self::Code);
        code.or_else(|| status.terminating_signal().map(Self::Signal))
    }

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
}
