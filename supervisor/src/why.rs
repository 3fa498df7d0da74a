//! Why a node is as it is: what happened to it, what was done about it, and what comes next.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::exit::ExitClass;
use crate::fleet::Check;
use crate::status::{ChangeStatus, FleetPhase, NodeExit, NodeStatus};

/// Version of the JSON that `why --json` prints; it grows when a field is renamed, removed or
/// changes its meaning, not when one is added.
pub const WHY_SCHEMA: u32 = 1;

/// The whole story of one node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NodeWhy {
    /// What it does now, as in the status.
    pub status: NodeStatus,
    /// What the supervisor will do with it next.
    pub next: Outlook<Timestamp>,
    /// How its life is watched, and how that stands.
    pub life: LifeWatch<Timestamp>,
    /// The probe that says whether it has started or is ready; none for a node that notifies.
    pub probing: Option<Probing<Timestamp>>,
    /// Failures without a stable run that make it `failed`: RESTART_BUDGET.
    pub budget: u32,
    /// Memory of its process in bytes where a page that n processes share counts as an n-th;
    /// none without a process, or where the kernel does not tell.
    pub pss: Option<u64>,
    /// What its process wrote last; at most ten lines of two KiB together.
    pub lines: Vec<String>,
    /// The last ends of its processes, at most eight, the latest first, each with what the
    /// process had written last.
    pub exits: Vec<NodeExit>,
}

/// Why nodes are as they are: those that were asked for, or all that are not fine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FleetWhy {
    /// [`WHY_SCHEMA`].
    pub schema: u32,
    /// What the fleet is doing.
    pub phase: FleetPhase,
    /// Nodes that are ready.
    pub ready: u16,
    /// Nodes that there are.
    pub count: u16,
    /// The node that goes ahead while the fleet is braked.
    pub canary: Option<String>,
    /// Changes that are under way.
    pub changes: Vec<ChangeStatus>,
    /// The nodes that were asked for, or every one that is not fine.
    pub nodes: Vec<NodeWhy>,
    /// The last failure of each of the others, where it had one, unless nodes were asked for.
    pub earlier: Vec<Earlier>,
}

/// A failure of a node that is fine again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Earlier {
    /// Which node.
    pub node: String,
    /// When, in UTC.
    pub time: Timestamp,
    /// Why, in one word.
    pub class: ExitClass,
    /// Why, in words.
    pub cause: String,
}

/// What the supervisor will do with a node next. `T` is a moment: of the core, or a date.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "plan", rename_all = "kebab-case")]
pub enum Outlook<T> {
    /// Nothing as long as it goes on like this.
    Watch,
    /// It is started now.
    StartNow,
    /// It is started then.
    Start {
        /// When.
        at: T,
    },
    /// It is started when the canary is ready.
    AwaitCanary {
        /// The node that goes ahead.
        canary: String,
    },
    /// It is ended and started again unless it is ready by then.
    AwaitReady {
        /// When at the latest.
        until: T,
    },
    /// It is left running until it is ready again.
    AwaitReadyAgain,
    /// It shows no life and is ended as soon as more than MIN_READY nodes are ready.
    AwaitSpare {
        /// Nodes that are ready now.
        ready: u16,
        /// Nodes that have to stay.
        min_ready: u16,
    },
    /// It is killed then, unless it has ended by itself.
    Kill {
        /// When.
        at: T,
    },
    /// It was killed, and the kernel has not ended it yet.
    AwaitEnd,
    /// What its last process left behind is ended.
    Clear,
    /// It leaves its port when the others let it, and then at the latest.
    Move {
        /// Its HTTP port from then on; none when none is free.
        http_port: Option<u16>,
        /// At the latest.
        until: T,
    },
    /// A free port is looked for.
    Claim {
        /// When; none while somebody is looking.
        at: Option<T>,
    },
    /// It was given up and is tried all the same.
    Retry {
        /// When.
        at: T,
    },
    /// It was given up; only somebody who asks starts it again.
    GivenUp,
    /// It stays as it is.
    StayDown,
}

/// How the life of a process is watched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "watch", rename_all = "kebab-case")]
pub enum LifeWatch<T> {
    /// Not at all, or not yet.
    None,
    /// It must notify again by then.
    Watchdog {
        /// When at the latest.
        until: T,
    },
    /// It is asked.
    Probe(Tally<T>),
}

/// A probe that says whether a process has started or is ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Probing<T> {
    /// Which.
    pub check: Check,
    /// How it stands.
    #[serde(flatten)]
    pub tally: Tally<T>,
}

/// How a probe stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tally<T> {
    /// Failures in a row.
    pub failures: u32,
    /// Of so many that count.
    pub failure_threshold: u32,
    /// Successes in a row.
    pub successes: u32,
    /// Of so many that count.
    pub success_threshold: u32,
    /// When it is asked next; none while its answer is awaited.
    pub next: Option<T>,
}

impl<T> Outlook<T> {
    /// The same with other moments.
    #[must_use]
    pub fn map<U>(self, date: impl Fn(T) -> U) -> Outlook<U> {
        match self {
            Self::Watch => Outlook::Watch,
            Self::StartNow => Outlook::StartNow,
            Self::Start { at } => Outlook::Start { at: date(at) },
            Self::AwaitCanary { canary } => Outlook::AwaitCanary { canary },
            Self::AwaitReady { until } => Outlook::AwaitReady { until: date(until) },
            Self::AwaitReadyAgain => Outlook::AwaitReadyAgain,
            Self::AwaitSpare { ready, min_ready } => Outlook::AwaitSpare { ready, min_ready },
            Self::Kill { at } => Outlook::Kill { at: date(at) },
            Self::AwaitEnd => Outlook::AwaitEnd,
            Self::Clear => Outlook::Clear,
            Self::Move { http_port, until } => Outlook::Move {
                http_port,
                until: date(until),
            },
            Self::Claim { at } => Outlook::Claim { at: at.map(date) },
            Self::Retry { at } => Outlook::Retry { at: date(at) },
            Self::GivenUp => Outlook::GivenUp,
            Self::StayDown => Outlook::StayDown,
        }
    }
}

impl<T> LifeWatch<T> {
    /// The same with other moments.
    #[must_use]
    pub fn map<U>(self, date: impl Fn(T) -> U) -> LifeWatch<U> {
        match self {
            Self::None => LifeWatch::None,
            Self::Watchdog { until } => LifeWatch::Watchdog { until: date(until) },
            Self::Probe(tally) => LifeWatch::Probe(tally.map(date)),
        }
    }
}

impl<T> Probing<T> {
    /// The same with other moments.
    #[must_use]
    pub fn map<U>(self, date: impl Fn(T) -> U) -> Probing<U> {
        Probing {
            check: self.check,
            tally: self.tally.map(date),
        }
    }
}

impl<T> Tally<T> {
    fn map<U>(self, date: impl Fn(T) -> U) -> Tally<U> {
        Tally {
            failures: self.failures,
            failure_threshold: self.failure_threshold,
            successes: self.successes,
            success_threshold: self.success_threshold,
            next: self.next.map(date),
        }
    }
}
