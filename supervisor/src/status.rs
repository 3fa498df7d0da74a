//! The state of the fleet as `supervisor status` and the control API show it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::exit::{ExitClass, ExitReason};
use crate::fleet::Check;

/// Version of the JSON that `status --json` prints; it grows when a field is renamed,
/// removed or changes its meaning, not when one is added.
pub const STATUS_SCHEMA: u32 = 1;

/// The whole fleet at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FleetStatus {
    /// Version of this form: [`STATUS_SCHEMA`].
    pub schema: u32,
    /// Version of the supervisor.
    pub version: String,
    /// Process id of the supervisor.
    pub pid: u32,
    /// When the supervisor started, in UTC.
    pub started: Timestamp,
    /// What the fleet is doing.
    pub phase: FleetPhase,
    /// Nodes that are ready now.
    pub ready: u16,
    /// Nodes that the supervisor's own actions keep ready.
    pub min_ready: u16,
    /// Whether `supervisor health` says yes.
    pub healthy: bool,
    /// The node that goes ahead while the fleet is braked.
    #[serde(default)]
    pub canary: Option<String>,
    /// Changes that somebody asked for and that are under way.
    #[serde(default)]
    pub changes: Vec<ChangeStatus>,
    /// Where the logs are; none when they are not written to files.
    pub log_dir: Option<String>,
    /// The front port that all nodes share; none without INGRESS_PORT.
    #[serde(default)]
    pub ingress: Option<IngressStatus>,
    /// Every node, in the order of its number.
    pub nodes: Vec<NodeStatus>,
}

/// The front port at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IngressStatus {
    /// The port.
    pub port: u16,
    /// Whether connections are taken: a node is ready.
    pub open: bool,
}

/// What the fleet as a whole is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FleetPhase {
    /// Nodes are being started for the first time.
    Starting,
    /// All nodes were started.
    Running,
    /// Many nodes failed together; one goes ahead alone.
    Braked,
    /// A stop was asked for.
    Stopping,
}

/// One node at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NodeStatus {
    /// Its name, such as `flux-node-2`.
    pub node: String,
    /// Its identity, which survives restarts.
    pub uuid: Uuid,
    /// How many times this identity has been started.
    pub generation: u64,
    /// What it is doing.
    pub state: NodePhase,
    /// Since when, in UTC.
    pub since: Timestamp,
    /// Process id of its main process; none while there is none.
    pub pid: Option<u32>,
    /// Its HTTP port; none while it has no slot.
    pub http_port: Option<u16>,
    /// Its gossip port; none while it has no slot.
    pub gossip_port: Option<u16>,
    /// When its main process was started, in UTC; none while there is none.
    #[serde(default)]
    pub started: Option<Timestamp>,
    /// Starts after the first under this supervisor.
    pub restarts: u64,
    /// Failures since it last ran stably.
    pub failures: u32,
    /// When it will be started again; none when nothing is planned.
    pub next_start: Option<Timestamp>,
    /// How its last process ended; none when none did.
    pub last_exit: Option<NodeExit>,
    /// How often its processes ended under this supervisor, by the class of the reason.
    #[serde(default)]
    pub exits: BTreeMap<ExitClass, u64>,
    /// What its process uses now; none without a process.
    #[serde(default)]
    pub usage: Option<ProcessUsage>,
    /// What the node last said of itself by sd_notify's STATUS.
    pub message: Option<String>,
    /// Why it is not ready, where its probes or its silence tell.
    #[serde(default)]
    pub reason: Option<String>,
    /// What it answered when it was asked, at most ten times, the latest first. Empty for a
    /// node that notifies.
    #[serde(default)]
    pub probes: Vec<ProbeStatus>,
}

impl NodeStatus {
    /// Whether there is nothing to say about it: it is ready, and it has not failed since it
    /// last ran stably.
    #[must_use]
    pub fn is_fine(&self) -> bool {
        self.state == NodePhase::Ready && self.reason.is_none() && self.failures == 0
    }
}

/// One answer of a node to a probe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProbeStatus {
    /// When it came, in UTC.
    pub time: Timestamp,
    /// The process that was asked.
    pub pid: u32,
    /// What was asked: `startup`, `readiness` or `liveness`.
    pub check: Check,
    /// Whether it counts as success.
    pub passed: bool,
    /// What was answered, or that nothing was, in words.
    pub summary: String,
    /// How long it took, in microseconds.
    pub latency_us: u64,
}

/// The end of a node's process, or a start that came to nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NodeExit {
    /// When, in UTC.
    pub time: Timestamp,
    /// Why, in one word.
    pub class: ExitClass,
    /// Why, in words: what the supervisor knows about the cause.
    pub cause: String,
    /// The process that ended. Its fields stand beside these; there are none when no process
    /// could be started.
    #[serde(flatten)]
    pub process: Option<EndedProcess>,
    /// What the supervisor did about it; none while it still ends what the process left.
    pub follow_up: Option<FollowUp>,
    /// What the process wrote last, at most ten lines of two KiB together. Only `why` tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<Vec<String>>,
}

/// A process that has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EndedProcess {
    /// Its process id.
    pub pid: u32,
    /// Its generation.
    pub generation: u64,
    /// Milliseconds from its start to its end.
    pub ran_ms: u64,
    /// Whether it was ever ready.
    pub was_ready: bool,
    /// Whether the supervisor killed it, because it did not end in time.
    pub killed: bool,
    /// How it ended, as a number.
    pub reason: ExitReason,
    /// How it ended, as people say it: `exit code 1`, `SIGKILL`.
    pub how: String,
    /// Milliseconds of processor time in user mode, of the process and of those of its
    /// children that it waited for.
    pub user_ms: u64,
    /// The same in the kernel.
    pub system_ms: u64,
    /// The most memory that it had at once, in bytes; at least the supervisor's own size, as
    /// a copy of which it began.
    pub max_rss: u64,
    /// What the kernel killed for want of memory at that time, when SIGKILL ended it.
    #[serde(default)]
    pub oom: Option<OomStatus>,
}

/// Processes of the supervisor's cgroup that the kernel killed for want of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OomStatus {
    /// How many. The kernel does not say which.
    pub kills: u64,
    /// Since when they are counted, in UTC.
    pub since: Timestamp,
}

/// What the supervisor did about the end of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum FollowUp {
    /// It is started again after a while.
    Restart {
        /// Milliseconds until then; 0 at once.
        delay_ms: u64,
        /// Failures since it last ran stably, this one included.
        failures: u32,
        /// Of so many that make it `failed`.
        budget: u32,
    },
    /// Many nodes failed together: it is started when the canary is ready.
    Brake {
        /// The node that goes ahead.
        canary: String,
    },
    /// The restart budget is used up.
    Fail {
        /// Failures since it last ran stably.
        failures: u32,
        /// Milliseconds until it is tried all the same; none when it is not.
        retry_ms: Option<u64>,
    },
    /// It goes on at another port.
    Move {
        /// Its HTTP port there; none when none was free.
        http_port: Option<u16>,
    },
    /// Another port is looked for.
    LookForPort,
    /// It is started again, as somebody asked.
    StartAgain,
    /// It stays down, as somebody asked.
    StayDown,
}

/// What the process of a node uses now. Looked at only when somebody asks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProcessUsage {
    /// Memory that it has in RAM, shared pages included, in bytes.
    pub rss: u64,
    /// Milliseconds of processor time since its start, in user mode and in the kernel.
    pub cpu_ms: u64,
    /// Share of one processor in percent, over the time since it was last asked for, or since
    /// its start: over `cpu_over_ms`.
    pub cpu_percent: f64,
    /// Milliseconds over which `cpu_percent` was taken.
    pub cpu_over_ms: u64,
}

/// A change of the running fleet that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChangeStatus {
    /// Its number; its events carry it.
    pub change: u64,
    /// What it does, such as `rolling restart of flux-node-1, flux-node-2`.
    pub what: String,
    /// Since when, in UTC.
    pub since: Timestamp,
    /// How far it is, in words.
    pub progress: String,
}

/// What a node is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NodePhase {
    /// No slot of the range is free for it.
    NoPort,
    /// It has its ports and waits for its turn to start.
    Waiting,
    /// Its process runs and does not answer yet.
    Starting,
    /// It answers.
    Ready,
    /// It was ready, its process lives, and it does not answer now.
    Unready,
    /// It was asked to end.
    Stopping,
    /// Its main process has ended, and what is left of its group is being ended.
    Clearing,
    /// Its restart budget is used up.
    Failed,
    /// It has ended and stays so.
    Stopped,
}

impl FleetPhase {
    /// Every phase.
    pub const ALL: [Self; 4] = [Self::Starting, Self::Running, Self::Braked, Self::Stopping];

    /// The word that people see.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Braked => "braked",
            Self::Stopping => "stopping",
        }
    }
}

impl NodePhase {
    /// Every state.
    pub const ALL: [Self; 9] = [
        Self::NoPort,
        Self::Waiting,
        Self::Starting,
        Self::Ready,
        Self::Unready,
        Self::Stopping,
        Self::Clearing,
        Self::Failed,
        Self::Stopped,
    ];

    /// The word that people see.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoPort => "no-port",
            Self::Waiting => "waiting",
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Unready => "unready",
            Self::Stopping => "stopping",
            Self::Clearing => "clearing",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }
}
