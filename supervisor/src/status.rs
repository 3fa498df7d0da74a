//! The state of the fleet as `supervisor status` and the control API show it.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::exit::ExitReason;
use crate::fleet::Check;

/// Version of the JSON that `status --json` prints; it grows when a field is renamed,
/// removed or changes its meaning, not when one is added.
pub const STATUS_SCHEMA: u32 = 1;

/// The whole fleet at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FleetStatus {
    /// [`STATUS_SCHEMA`].
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
    /// Where the logs are; none when they are not written to files.
    pub log_dir: Option<String>,
    /// Every node, in the order of its number.
    pub nodes: Vec<NodeStatus>,
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
    /// Starts after the first under this supervisor.
    pub restarts: u64,
    /// Failures since it last ran stably.
    pub failures: u32,
    /// When it will be started again; none when nothing is planned.
    pub next_start: Option<Timestamp>,
    /// How its last process ended; none when none did.
    pub last_exit: Option<LastExit>,
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

/// The end of a node's process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LastExit {
    /// When, in UTC.
    pub time: Timestamp,
    /// How.
    pub reason: ExitReason,
    /// Why, in words: what the supervisor knows about the cause.
    pub cause: String,
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

impl NodePhase {
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
