//! What others may see of the fleet.

use repram_discovery::supervised::SiblingState;

use super::core::Fleet;
use super::node::State;
use super::types::{NodeIndex, Ports, Time};
use crate::exit::ExitReason;
use crate::status::NodePhase;

/// One node, as the status shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeView {
    /// Which node.
    pub node: NodeIndex,
    /// What it is doing.
    pub phase: NodePhase,
    /// Since when.
    pub since: Time,
    /// Its main process, while it lives.
    pub pid: Option<u32>,
    /// Its slot.
    pub ports: Option<Ports>,
    /// Starts after the first.
    pub restarts: u64,
    /// The generation of its latest process; 0 before the first.
    pub generation: u64,
    /// Failures since the last stable run.
    pub failures: u32,
    /// When it is started next, where that is known.
    pub next_start: Option<Time>,
    /// The end of its last process: when, how, and why.
    pub last_exit: Option<(Time, ExitReason, String)>,
    /// What it last said of itself.
    pub message: Option<String>,
}

/// One node, as the others are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SiblingView {
    /// Which node.
    pub node: NodeIndex,
    /// Its slot.
    pub ports: Ports,
    /// Its generation; 0 before its first start.
    pub generation: u64,
    /// What it is doing.
    pub state: SiblingState,
}

impl Fleet {
    /// Every node, in order.
    pub fn views(&self, now: Time) -> impl Iterator<Item = NodeView> {
        self.nodes.iter().map(move |node| NodeView {
            node: node.index,
            phase: node.phase(),
            since: node.since,
            pid: node.process().map(|process| process.pid),
            ports: node.ports,
            restarts: node.starts.saturating_sub(1),
            generation: node.generation,
            failures: if self.is_stable(node, now) {
                0
            } else {
                node.failures
            },
            next_start: match node.state {
                State::Waiting { start_at: at } | State::Failed { retry_at: at } => at,
                State::NoPort { .. }
                | State::Spawning
                | State::Running { .. }
                | State::Stopping { .. }
                | State::Clearing { .. }
                | State::Stopped => None,
            },
            last_exit: node
                .last_exit
                .as_ref()
                .map(|exit| (exit.time, exit.reason, exit.cause.clone())),
            message: node.message.clone(),
        })
    }

    /// Every node that has a slot, as the others are told.
    pub fn siblings(&self) -> impl Iterator<Item = SiblingView> {
        self.nodes.iter().filter_map(|node| {
            Some(SiblingView {
                node: node.index,
                ports: node.ports?,
                generation: node.generation,
                state: node.sibling_state(),
            })
        })
    }

    pub(super) fn sibling_states(&self) -> Vec<SiblingView> {
        self.siblings().collect()
    }
}
