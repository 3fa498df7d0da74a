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
    /// Version of this form: [`WHY_SCHEMA`].
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

/// Stories for tests.
#[cfg(test)]
pub(crate) mod sample {
    use std::collections::BTreeMap;

    use uuid::Uuid;

    use super::*;
    use crate::exit::ExitReason;
    use crate::status::{EndedProcess, FollowUp, NodePhase};

    /// The moment at which these stories are told.
    pub(crate) fn now() -> Timestamp {
        at(1_795_176_000_000)
    }

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(ms).expect("in range")
    }

    fn ago(ms: i64) -> Timestamp {
        at(now().as_millisecond() - ms)
    }

    /// An end some time ago, with what was written last.
    pub(crate) fn exit(ms_ago: i64, class: ExitClass, how: Option<ExitReason>) -> NodeExit {
        NodeExit {
            time: ago(ms_ago),
            class,
            cause: "it ended by itself".to_owned(),
            process: how.map(|reason| EndedProcess {
                pid: 4711,
                generation: 1,
                ran_ms: 1_500,
                was_ready: false,
                killed: false,
                reason,
                how: reason.to_string(),
                user_ms: 12,
                system_ms: 3,
                max_rss: 6_400_000,
                oom: None,
            }),
            follow_up: Some(FollowUp::Restart {
                delay_ms: 0,
                failures: 1,
                budget: 10,
            }),
            lines: None,
        }
    }

    /// A node in a state.
    pub(crate) fn status(state: NodePhase) -> NodeStatus {
        NodeStatus {
            node: "flux-node-2".to_owned(),
            uuid: Uuid::nil(),
            generation: 2,
            state,
            since: ago(1_200),
            started: None,
            pid: None,
            http_port: Some(8082),
            gossip_port: Some(9082),
            restarts: 1,
            failures: 0,
            next_start: None,
            last_exit: None,
            exits: BTreeMap::new(),
            usage: None,
            message: None,
            reason: None,
            probes: Vec::new(),
        }
    }

    /// A node about which there is nothing to say but this.
    pub(crate) fn node(state: NodePhase, next: Outlook<Timestamp>) -> NodeWhy {
        NodeWhy {
            status: status(state),
            next,
            life: LifeWatch::None,
            probing: None,
            budget: 10,
            pss: None,
            lines: Vec::new(),
            exits: Vec::new(),
        }
    }

    /// A node that has crashed and waits for its next start.
    pub(crate) fn crashed() -> NodeWhy {
        let mut earlier = exit(9_000, ExitClass::Signal, Some(ExitReason::Signal(11)));
        earlier.process.as_mut().expect("it ran").generation = 0;
        let at = ago(-3_100);
        NodeWhy {
            status: NodeStatus {
                failures: 2,
                next_start: Some(at),
                ..status(NodePhase::Waiting)
            },
            exits: vec![
                exit(1_200, ExitClass::ExitCode, Some(ExitReason::Code(78))),
                earlier,
            ],
            ..node(NodePhase::Waiting, Outlook::Start { at })
        }
    }

    /// A fleet of which one node has crashed.
    pub(crate) fn fleet() -> FleetWhy {
        FleetWhy {
            schema: WHY_SCHEMA,
            phase: FleetPhase::Running,
            ready: 2,
            count: 3,
            canary: None,
            changes: Vec::new(),
            nodes: vec![crashed()],
            earlier: Vec::new(),
        }
    }
}
