//! What others may see of the fleet.

use std::collections::BTreeMap;

use repram_discovery::supervised::SiblingState;

use super::core::Fleet;
use super::exits::ExitRecord;
use super::node::{Health, Node, State, StopCause};
use super::policy::ProbeRecord;
use super::types::{NodeIndex, Ports, Time};
use crate::exit::ExitClass;
use crate::status::NodePhase;
use crate::why::{LifeWatch, Outlook, Probing};

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
    /// When that was started.
    pub started: Option<Time>,
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
    /// The last ends of its processes, the latest first; at most
    /// [`EXITS_KEPT`](super::EXITS_KEPT).
    pub exits: Vec<ExitRecord>,
    /// How often its processes ended, by the class of the reason.
    pub exit_counts: BTreeMap<ExitClass, u64>,
    /// What it last said of itself.
    pub message: Option<String>,
    /// Why it is not ready, where that is known.
    pub reason: Option<String>,
    /// What it answered when it was asked, the latest first.
    pub probes: Vec<ProbeRecord>,
    /// What is done with it next.
    pub outlook: Outlook<Time>,
    /// How its life is watched.
    pub life: LifeWatch<Time>,
    /// The probe that says whether it has started or is ready.
    pub probing: Option<Probing<Time>>,
    /// Failures without a stable run that make it `failed`.
    pub budget: u32,
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
            started: node.process().map(|process| process.started),
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
            exits: node.exits.latest_first().cloned().collect(),
            exit_counts: node.exits.counts().clone(),
            message: node.message.clone(),
            reason: self.reason(node),
            probes: node.probes.iter().rev().cloned().collect(),
            outlook: self.outlook(node),
            life: self.life_watch(node),
            probing: self.probing(node),
            budget: self.config.restart.budget,
        })
    }

    /// Why a node that runs is not as it should be.
    fn reason(&self, node: &Node) -> Option<String> {
        match &node.state {
            State::Running { process, health } => match health {
                Health::Starting { .. } => {
                    let last = node.probes.back()?;
                    let failed = last.pid == process.pid && !last.answer.passed;
                    failed.then(|| last.answer.summary.clone())
                }
                Health::Ready { .. } => self.reason_of_ready(node),
                Health::Unready { reason } => Some(reason.clone()),
            },
            State::Stopping {
                cause: StopCause::Fault(why),
                ..
            } => Some(why.clone()),
            State::NoPort { .. }
            | State::Waiting { .. }
            | State::Spawning
            | State::Stopping { .. }
            | State::Clearing { .. }
            | State::Failed { .. }
            | State::Stopped => None,
        }
    }

    fn reason_of_ready(&self, node: &Node) -> Option<String> {
        if self.is_lifeless(node) {
            let reason =
                "no sign of life; it is not ended, because MIN_READY nodes would not be left";
            return Some(reason.to_owned());
        }
        let going = node.moving?;
        Some(match going.ports {
            Some(ports) => format!("its port is another's, it moves to {}", ports.http),
            None => "its port is another's, and no other is free".to_owned(),
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
