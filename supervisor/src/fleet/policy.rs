//! How nodes are checked: the core's side of the probe settings. What is asked, how, and how
//! long an answer may take, only the shell knows.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The three checks, named as in Kubernetes.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// Has it started? Asked first, until it succeeds once.
    Startup,
    /// Is it ready? A node that is not stays running.
    Readiness,
    /// Does it live? A node that does not is ended.
    Liveness,
}

/// The rhythm and the patience of one check.
#[derive(Clone, Copy, Debug)]
pub struct ProbePolicy {
    /// From when on it could be asked until it is.
    pub initial_delay: Duration,
    /// Time between two questions.
    pub period: Duration,
    /// Successes in a row that count, at least 1.
    pub success_threshold: u32,
    /// Failures in a row that count, at least 1.
    pub failure_threshold: u32,
}

/// How the life of a node that was ready is checked.
#[derive(Clone, Copy, Debug)]
pub struct LivenessPolicy {
    /// Who is asked, beside those that a watchdog watches.
    pub asks: Asks,
    /// The questions, and the notifications that replace them.
    pub probe: ProbePolicy,
}

/// Who is asked whether it lives. What sends `WATCHDOG=1` never is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asks {
    /// Nobody.
    Nobody,
    /// Processes that say nothing of themselves.
    Silent,
    /// All that have no watchdog.
    Unwatched,
}

impl LivenessPolicy {
    /// How long a node that notifies may be silent: WATCHDOG_USEC.
    #[must_use]
    pub fn watchdog(&self) -> Duration {
        self.probe.period * self.probe.failure_threshold
    }
}

/// What came of asking a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Whether it counts as success.
    pub passed: bool,
    /// What was answered, or that nothing was, in words.
    pub summary: String,
    /// How long it took.
    pub latency: Duration,
}

/// An answer that was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeRecord {
    /// When it came, since the supervisor's start.
    pub time: Duration,
    /// The process that was asked.
    pub pid: u32,
    /// What it was asked.
    pub check: Check,
    /// What it answered.
    pub answer: Answer,
}
