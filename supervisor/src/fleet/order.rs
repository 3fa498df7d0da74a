//! Orders to change the running fleet: what they ask, what would be done, and why not.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::types::{MaxNodes, NodeIndex};
use crate::exit::ExitClass;

/// Tells one change of the running fleet from the others under this supervisor: its events
/// carry it as `change`.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct Ticket(pub u64);

/// An order to restart nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestartOrder {
    /// Which; none means all. Their order does not matter.
    pub nodes: Vec<NodeIndex>,
    /// How.
    pub mode: RestartMode,
    /// What for.
    pub occasion: Occasion,
}

/// What nodes are restarted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// Somebody asked for it.
    Operator,
    /// They are to run with other settings.
    Reload,
}

impl Occasion {
    /// The class of the exits that it brings.
    pub(super) fn class(self) -> ExitClass {
        match self {
            Self::Operator => ExitClass::Operator,
            Self::Reload => ExitClass::Reload,
        }
    }
}

/// How nodes are restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartMode {
    /// All at the same time.
    Together {
        /// Also when fewer than MIN_READY nodes stay ready.
        force: bool,
    },
    /// One after the other.
    Rolling,
}

/// What a change would do, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// The change in words, such as `rolling restart of flux-node-1, flux-node-2`.
    pub change: String,
    /// Nodes that are ready now.
    pub ready: u16,
    /// MIN_READY, as it is afterwards.
    pub min_ready: u16,
    /// What happens to which node. Nodes that are not named are left alone.
    pub steps: Vec<PlanStep>,
}

/// What would happen to one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlanStep {
    /// Its name.
    pub node: String,
    /// What would happen to it.
    pub action: PlanAction,
    /// Its process, while it has one.
    pub pid: Option<u32>,
    /// Its HTTP port, while it has a slot.
    pub http_port: Option<u16>,
}

/// What would happen to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PlanAction {
    /// Its process is ended and the next one started.
    Restart,
    /// A process is started; it has none.
    Start,
    /// It joins the fleet.
    Add,
    /// It leaves the fleet.
    Remove,
}

/// Why an order is not carried out, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The fleet stops.
    #[error("the fleet is being stopped")]
    Stopping,
    /// There is no such node.
    #[error("there is no {}; the fleet has flux-node-1 to flux-node-{nodes}", node.name())]
    NoSuchNode {
        /// Which.
        node: NodeIndex,
        /// How many there are.
        nodes: u16,
    },
    /// Too few nodes would stay ready.
    #[error(
        "of {ready} ready nodes {left} would be left, and MIN_READY is {min_ready}; restart them \
         one after the other (--rolling), or all the same (--force)"
    )]
    BelowMinReady {
        /// Nodes that are ready.
        ready: u16,
        /// Nodes that would be left.
        left: u16,
        /// Nodes that have to stay.
        min_ready: u16,
    },
    /// MIN_READY never lets a node go.
    #[error(
        "MIN_READY is {min_ready} and the fleet has {nodes} nodes, so that none may ever be \
         taken down; lower MIN_READY, or restart nodes all the same (--force instead of --rolling)"
    )]
    NoneToSpare {
        /// Nodes that have to stay ready.
        min_ready: u16,
        /// Nodes that there are.
        nodes: u16,
    },
    /// One rolling restart at a time.
    #[error(
        "change {} is under way, a {what}; wait for it, or end it with `supervisor restart \
         --abort`", ticket.0
    )]
    UnderWay {
        /// The change that is under way.
        ticket: Ticket,
        /// What it does and how far it is.
        what: String,
    },
    /// There is nothing to end.
    #[error("no rolling restart is under way")]
    NothingUnderWay,
    /// So many nodes cannot be.
    #[error("{to} nodes are asked for, and 1 to {max} are possible")]
    OutOfRange {
        /// Nodes that were asked for.
        to: u16,
        /// The most that there can be.
        max: MaxNodes,
    },
    /// Fewer nodes than have to be ready.
    #[error(
        "{to} nodes are asked for, and MIN_READY was set to {min_ready}: such a fleet would never \
         be healthy; lower MIN_READY first"
    )]
    FewerThanMinReady {
        /// Nodes that were asked for.
        to: u16,
        /// Nodes that have to be ready.
        min_ready: u16,
    },
}

/// Names of nodes in one line.
pub(super) fn names(nodes: impl IntoIterator<Item = NodeIndex>) -> String {
    let names: Vec<String> = nodes.into_iter().map(NodeIndex::name).collect();
    names.join(", ")
}
