//! What the control API asks of the event loop.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::change::Decision;
use crate::claims::Claims;
use crate::fleet::{NodeIndex, Plan, Refusal, RestartOrder, Ticket};
use crate::metrics::{Tally, Target};
use crate::reload::{ReloadPlan, ReloadRefused};
use crate::status::{FleetPhase, FleetStatus};
use crate::why::FleetWhy;

/// Requests that wait for the event loop; a client beyond it gets 503.
pub const REQUESTS_MAX: usize = 16;

/// One question or order for the event loop. A dropped `reply` tells the client 503.
#[derive(Debug)]
pub enum Request {
    /// What is the fleet doing?
    Status {
        /// Where the answer goes.
        reply: oneshot::Sender<FleetStatus>,
    },
    /// What is there to be measured?
    Figures {
        /// Where the answer goes.
        reply: oneshot::Sender<Box<Figures>>,
    },
    /// Are enough nodes ready?
    Health {
        /// Where the answer goes.
        reply: oneshot::Sender<Health>,
    },
    /// Why are nodes as they are?
    Why {
        /// These nodes; none means all that are not fine.
        nodes: Vec<NodeIndex>,
        /// Where the answer goes: all but what the nodes wrote.
        reply: oneshot::Sender<Result<FleetWhy, UnknownNode>>,
    },
    /// Who holds which slot of the range?
    Claims {
        /// Where the answer goes, in a few seconds.
        reply: oneshot::Sender<Claims>,
    },
    /// Change the running fleet, or say what would be done.
    Change {
        /// What is asked.
        order: ChangeOrder,
        /// Only say what would be done.
        dry_run: bool,
        /// Who asks.
        by: String,
        /// Answered at once: the change itself is followed by events.
        reply: oneshot::Sender<Result<Decision, Refusal>>,
    },
    /// End the rolling restart that is under way.
    EndRolling {
        /// Who asks.
        by: String,
        /// Answered at once.
        reply: oneshot::Sender<Result<(), Refusal>>,
    },
    /// Read the settings again and go over to them.
    Reload {
        /// Only say what would be done.
        dry_run: bool,
        /// Who asks, as for a stop.
        by: String,
        /// Where the answer goes, when the files were read: what follows is told by events.
        reply: oneshot::Sender<ReloadReply>,
    },
    /// Stop the fleet and end the supervisor.
    Stop {
        /// Kill at once instead of asking first.
        now: bool,
        /// Who asks, as an event shows it, such as `pid 4711 over the control socket`.
        by: String,
        /// Answered at once: the stop itself is followed by events.
        reply: oneshot::Sender<StopReply>,
    },
}

/// What the event loop knows that metrics tell.
#[derive(Clone, Debug)]
pub struct Figures {
    /// The fleet.
    pub status: FleetStatus,
    /// What happened so far.
    pub tally: Tally,
    /// Nodes that are to run.
    pub wanted: u16,
    /// The nodes, as they are asked for their own metrics.
    pub targets: Vec<Target>,
}

/// An order to change the running fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeOrder {
    /// Restart nodes.
    Restart(RestartOrder),
    /// Run so many nodes.
    Scale {
        /// How many.
        to: u16,
    },
}

/// What becomes of the fleet, or why the settings cannot be used.
pub type ReloadReply = Result<ReloadPlan, ReloadRefused>;

/// There is no such node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no {}; the fleet has flux-node-1 to flux-node-{nodes}", node.name())]
pub struct UnknownNode {
    /// Which was asked for.
    pub node: NodeIndex,
    /// How many there are.
    pub nodes: u16,
}

/// What became of the order to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReply {
    /// The stop begins now.
    Started,
    /// It was under way already (and was made a kill when `now` was asked for).
    UnderWay,
}

/// The answer to a change for whose end nobody waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Begun {
    /// Its number, which its events carry.
    pub change: Ticket,
    /// What it does.
    pub plan: Plan,
}

/// The answer to the order to end a rolling restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ended {
    /// That it ends.
    pub ended: bool,
}

/// The answer to the order to stop for whose end nobody waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stopping {
    /// Whether it begins now; otherwise it was under way.
    pub started: bool,
}

/// Version of the JSON that `health --json` prints; it grows when a field is renamed, removed
/// or changes its meaning, not when one is added.
pub const HEALTH_SCHEMA: u32 = 1;

/// Whether enough nodes are ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Health {
    /// Version of this form: [`HEALTH_SCHEMA`].
    #[serde(default)]
    pub schema: u32,
    /// Yes or no.
    pub healthy: bool,
    /// What the fleet is doing.
    pub phase: FleetPhase,
    /// Nodes that are ready.
    pub ready: u16,
    /// Nodes that there are.
    pub nodes: u16,
    /// Nodes that have to be ready.
    pub needed: u16,
    /// What the others do: `flux-node-2 is waiting`.
    #[serde(default)]
    pub lacking: Vec<String>,
}
