//! What the core is told, and what it answers.

use std::fmt;
use std::time::Duration;

use repram_discovery::claim::conversation::ConflictNotice;
use repram_discovery::slot::Slot;

use super::backoff::RestartPolicy;
use super::order::{RestartOrder, Ticket};
use super::policy::{Answer, Check, LivenessPolicy, ProbePolicy};
use crate::event::EventKind;
use crate::exit::Ended;

/// Monotonic time since the supervisor's start.
pub type Time = Duration;

/// Number of a node, from 0; people see it from 1 (`flux-node-1`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeIndex(pub u16);

impl NodeIndex {
    /// The name that people see.
    #[must_use]
    pub fn name(self) -> String {
        format!("flux-node-{}", self.0 + 1)
    }

    /// The node of this number or name, such as `2` or `flux-node-2`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("flux-node-").unwrap_or(text);
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
        let number: u16 = digits.parse().ok().filter(|_| is_number)?;
        number.checked_sub(1).map(Self)
    }

    pub(crate) fn at(self) -> usize {
        usize::from(self.0)
    }
}

/// The ports of a node's slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// HTTP over TCP.
    pub http: u16,
    /// Gossip over TCP and UDP.
    pub gossip: u16,
}

impl Ports {
    /// The ports of a slot.
    #[must_use]
    pub fn of(slot: Slot) -> Self {
        Self {
            http: slot.http,
            gossip: slot.gossip,
        }
    }
}

/// How large a fleet can be. `Display` tells what sets the bound, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxNodes {
    /// Nodes.
    pub count: u16,
    /// What does not allow one more.
    pub bound: NodeBound,
}

/// What bounds the number of nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeBound {
    /// Each needs a slot of the range: MAX_PORTS.
    Ports,
    /// The largest NODE_COUNT.
    Setting,
    /// The limit on descriptors of the supervisor's process, which is this.
    Descriptors(u64),
}

impl fmt::Display for MaxNodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (", self.count)?;
        match self.bound {
            NodeBound::Ports => f.write_str("MAX_PORTS)"),
            NodeBound::Setting => f.write_str("the largest NODE_COUNT)"),
            NodeBound::Descriptors(limit) => {
                write!(f, "the limit on open files is {limit})")
            }
        }
    }
}

/// How the fleet behaves; from the settings of the same names.
#[derive(Clone, Debug)]
pub struct FleetConfig {
    /// Nodes to run, at least 1.
    pub node_count: u16,
    /// Pause between two starts.
    pub start_stagger: Duration,
    /// When and how often a node is started again.
    pub restart: RestartPolicy,
    /// The most nodes to which the fleet can be scaled.
    pub max_nodes: MaxNodes,
    /// Ready nodes that the supervisor's own actions keep.
    pub min_ready: u16,
    /// Whether nobody has set `min_ready`: then it stays one less than `node_count`.
    pub min_ready_follows: bool,
    /// How long a node that was taken down stays as it should before the next one is.
    pub rolling_soak: Duration,
    /// What happens when a node has used up its budget.
    pub on_failed: OnFailed,
    /// How long a whole stop may take.
    pub stop_timeout: Duration,
    /// How long a node may take from its start until it is ready.
    pub start_timeout: Duration,
    /// How a program that does not notify is asked whether it has started; none when it is
    /// not.
    pub startup: Option<ProbePolicy>,
    /// How it is asked whether it is ready; none when it is ready as soon as it has started.
    pub readiness: Option<ProbePolicy>,
    /// How the life of a node that was ready is checked; none when it is not.
    pub liveness: Option<LivenessPolicy>,
    /// Whether the program is known to notify, so that it need not be asked for readiness.
    pub notifies: bool,
    /// Seed of the jitter.
    pub seed: u64,
}

/// What happens when a node has used up its restart budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailed {
    /// It is tried again at the longest delay, for ever.
    SlowRetry,
    /// The supervisor ends with 1 when fewer than MIN_READY nodes can still run.
    Exit,
    /// It stays failed, and the health check says so.
    Keep,
}

/// What a node said by sd_notify(3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// `READY=1`.
    Ready,
    /// `STOPPING=1`.
    Stopping,
    /// `WATCHDOG=1`.
    Watchdog,
    /// `WATCHDOG=trigger`: it asks to be treated as hung.
    WatchdogTrigger,
    /// `STATUS=...`.
    Status(String),
    /// `X_REPRAM_REFILLED=1`: it holds again what it should hold.
    Refilled,
    /// `X_REPRAM_CONFLICT=...`: somebody else in the domain has a stronger claim to its
    /// slot. Whoever claims the slots decides about it; the fleet hears of it when the node
    /// has to move.
    Conflict(ConflictNotice),
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// The first claims are made; the fleet may start.
    Begin,
    /// The node has a slot.
    Claimed {
        /// Which node.
        node: NodeIndex,
        /// Its ports.
        ports: Ports,
    },
    /// No slot is free for the node.
    NotClaimed {
        /// Which node.
        node: NodeIndex,
        /// Who holds what, in words.
        holders: String,
    },
    /// The node must leave its slot, which a stronger claim of the domain has.
    Move {
        /// Which node.
        node: NodeIndex,
        /// Its next slot; none when there is none for now.
        ports: Option<Ports>,
        /// The last moment for it.
        until: Time,
    },
    /// Answer to [`Output::Spawn`]: its process lives.
    Spawned {
        /// Which node.
        node: NodeIndex,
        /// Process id, which is also the process group's.
        pid: u32,
        /// Its generation.
        generation: u64,
    },
    /// Answer to [`Output::Spawn`]: it could not be started.
    SpawnFailed {
        /// Which node.
        node: NodeIndex,
        /// What the system said.
        error: String,
    },
    /// Answer to [`Output::Spawn`] where the program binds its ports itself: a stranger
    /// has taken them meanwhile. Costs no restart budget.
    SlotLost {
        /// Which node.
        node: NodeIndex,
        /// Who holds what, in words.
        holders: String,
    },
    /// The node said something.
    Notified {
        /// Which node.
        node: NodeIndex,
        /// The process whose socket it came by.
        pid: u32,
        /// What.
        notice: Notice,
    },
    /// Answer to [`Output::Probe`].
    Probed {
        /// Which node.
        node: NodeIndex,
        /// The process that was asked.
        pid: u32,
        /// What it was asked.
        check: Check,
        /// What it answered.
        answer: Answer,
    },
    /// The main process of the node has ended and is reaped.
    Exited {
        /// Which node.
        node: NodeIndex,
        /// Which process.
        pid: u32,
        /// How, and what it used.
        ended: Ended,
    },
    /// Answer to [`Output::Clear`]: how many processes of the old generation are left.
    Cleared {
        /// Which node.
        node: NodeIndex,
        /// The old main process.
        pid: u32,
        /// Processes of its group and strays of it that still live.
        left: usize,
    },
    /// Answer to [`Output::ClearStrays`].
    StraysCleared {
        /// Processes that still live.
        left: usize,
    },
    /// A process that is no node's main process was reaped: something may be clear now.
    OrphanReaped,
    /// Restart nodes, now or one after the other. Refused like
    /// [`Fleet::plan_restart`](super::Fleet::plan_restart) says.
    Restart {
        /// The change that it begins.
        ticket: Ticket,
        /// Which nodes, and how.
        order: RestartOrder,
        /// Who asked.
        by: String,
    },
    /// End the rolling restart that is under way, after the node that it is at.
    EndRolling {
        /// Who asked.
        by: String,
    },
    /// Run another number of nodes. Refused like
    /// [`Fleet::plan_scale`](super::Fleet::plan_scale) says.
    Scale {
        /// The change that it begins.
        ticket: Ticket,
        /// Nodes to run.
        to: u16,
        /// Who asked.
        by: String,
    },
    /// Behave like this from now on. Nodes stay as many as they are, and the randomness goes
    /// on as it was.
    Configure(Box<FleetConfig>),
    /// Stop everything.
    Stop {
        /// Who asked.
        by: String,
        /// Kill at once.
        now: bool,
    },
    /// A deadline has passed.
    Tick,
}

impl Input {
    /// The node that it is about, if one.
    pub(super) fn node(&self) -> Option<NodeIndex> {
        match self {
            Self::Claimed { node, .. }
            | Self::NotClaimed { node, .. }
            | Self::Move { node, .. }
            | Self::Spawned { node, .. }
            | Self::SpawnFailed { node, .. }
            | Self::SlotLost { node, .. }
            | Self::Notified { node, .. }
            | Self::Probed { node, .. }
            | Self::Exited { node, .. }
            | Self::Cleared { node, .. } => Some(*node),
            Self::Begin
            | Self::StraysCleared { .. }
            | Self::OrphanReaped
            | Self::Restart { .. }
            | Self::EndRolling { .. }
            | Self::Scale { .. }
            | Self::Configure(_)
            | Self::Stop { .. }
            | Self::Tick => None,
        }
    }
}

/// A signal to a process group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sig {
    /// SIGTERM: finish.
    Term,
    /// SIGKILL.
    Kill,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// A node joins the fleet, after those that there are. [`Output::Claim`] follows.
    Add(NodeIndex),
    /// The last node has left the fleet: nothing of it runs, let go of its slot. A claim for
    /// it that is still under way is of no use any more.
    Remove(NodeIndex),
    /// Find a slot for the node and answer `Claimed` or `NotClaimed`.
    Claim(NodeIndex),
    /// Nothing of the node runs any more in the slot that it had to leave.
    Vacated(NodeIndex),
    /// Start its process and answer `Spawned`, `SpawnFailed` or `SlotLost`.
    Spawn(NodeIndex),
    /// Signal its process group.
    Signal {
        /// Which node.
        node: NodeIndex,
        /// The group.
        pid: u32,
        /// The signal.
        signal: Sig,
    },
    /// See what is left of an ended process's group and strays, and answer `Cleared`. Kill
    /// it all when asked to; SIGTERM is for the strays, the group has had it.
    Clear {
        /// Which node.
        node: NodeIndex,
        /// The old main process.
        pid: u32,
        /// What they are sent.
        signal: Option<Sig>,
    },
    /// Kill every process that the supervisor has adopted, and answer `StraysCleared`.
    ClearStrays,
    /// Open or close the node's door.
    Door {
        /// Which node.
        node: NodeIndex,
        /// Whether new connections are taken.
        open: bool,
    },
    /// Ask the node and answer `Probed`, in bounded time. Until then it is asked nothing else.
    Probe {
        /// Which node.
        node: NodeIndex,
        /// Its process.
        pid: u32,
        /// What it is asked.
        check: Check,
    },
    /// The siblings' states have changed: tell all nodes.
    Siblings,
    /// Tell these nodes that they stop together.
    StopTogether(Vec<NodeIndex>),
    /// Tell people.
    Emit {
        /// The node it concerns, if one.
        node: Option<NodeIndex>,
        /// What happened.
        kind: EventKind,
    },
    /// Nothing is left to do: end with this code.
    Exit {
        /// 0 stopped as asked, 1 the fleet failed for good.
        code: u8,
    },
}
