//! The process's surroundings, as far as settings depend on them.

use std::ffi::{OsStr, OsString};

/// Which program is being configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The launcher of a fleet.
    Supervisor,
    /// One node, under a supervisor or on its own.
    Node,
}

/// Everything outside the file and the command line that decides about a
/// setting. It is passed in, so that a test can say what the world looks like.
#[derive(Clone, Debug)]
pub struct Environment {
    /// Environment variables. Where a name occurs twice the first counts, as
    /// for `getenv(3)`.
    pub variables: Vec<(OsString, OsString)>,
    /// Whether the process is number 1 of its container.
    pub pid1: bool,
    /// The effective user id.
    pub uid: u32,
    /// Which program asks.
    pub role: Role,
}

impl Environment {
    /// The surroundings of the calling process.
    pub fn of_this_process(role: Role) -> Self {
        Self {
            variables: std::env::vars_os().collect(),
            pid1: std::process::id() == 1,
            uid: nix::unistd::geteuid().as_raw(),
            role,
        }
    }

    /// The value of a variable; `None` also when it is empty.
    pub fn variable(&self, name: &str) -> Option<&OsStr> {
        let found = self.variables.iter().find(|(other, _)| other == name);
        found
            .map(|(_, value)| value.as_os_str())
            .filter(|value| !value.is_empty())
    }

    /// Whether this is a node whose supervisor tells it over a descriptor what
    /// must not stand in an environment.
    pub(crate) fn is_supervised_node(&self) -> bool {
        self.role == Role::Node && self.variable(SUPERVISOR_FD).is_some()
    }
}

/// The variable that tells a node which descriptor leads to its supervisor.
pub(crate) const SUPERVISOR_FD: &str = "REPRAM_SUPERVISOR_FD";
