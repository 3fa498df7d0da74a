//! The fleet: dispatch of inputs, deadlines, and what concerns all nodes together.

use std::time::Duration;

use super::brake::Brake;
use super::change::Change;
use super::node::{Health, Node, State};
use super::stop::Stop;
use super::types::{FleetConfig, Input, NodeIndex, Output, Time};
use crate::event::EventKind;
use crate::status::FleetPhase;

/// When something that was due is looked at so late, the supervisor did not run in between:
/// it was stopped or frozen. An overloaded machine delays it for less.
const OVERSLEPT: Duration = Duration::from_secs(1);

/// The state machine of the fleet. See the [module](super) for what it guarantees.
#[derive(Clone, Debug)]
pub struct Fleet {
    pub(super) config: FleetConfig,
    pub(super) nodes: Vec<Node>,
    pub(super) random: fastrand::Rng,
    pub(super) brake: Brake,
    pub(super) stop: Option<Stop>,
    /// Whether the first claims are made.
    pub(super) begun: bool,
    /// Since when not every node with a port is ready; none while all are.
    pub(super) incomplete: Option<Time>,
    /// What somebody has asked for and is under way, see [`Change`] for how many.
    pub(super) changes: Vec<Change>,
    /// Before this time no other node starts of several that could.
    pub(super) next_start: Time,
    pub(super) outputs: Vec<Output>,
}

impl Fleet {
    /// A fleet whose nodes have no ports yet.
    #[must_use]
    pub fn new(config: FleetConfig) -> Self {
        assert!(config.node_count > 0, "a fleet has at least one node");
        assert!(
            config.restart.budget > 0,
            "a budget of no failures cannot be kept"
        );
        Self {
            nodes: (0..config.node_count)
                .map(|i| Node::new(NodeIndex(i)))
                .collect(),
            random: fastrand::Rng::with_seed(config.seed),
            config,
            brake: Brake::default(),
            stop: None,
            begun: false,
            incomplete: Some(Time::ZERO),
            changes: Vec::new(),
            next_start: Time::ZERO,
            outputs: Vec::new(),
        }
    }

    /// Takes in what happened at `now`, which never goes back, and says what is to be
    /// done, in order.
    pub fn handle(&mut self, input: Input, now: Time) -> Vec<Output> {
        let siblings = self.sibling_states();
        if self
            .next_deadline()
            .is_some_and(|due| due + OVERSLEPT < now)
        {
            self.overslept(now);
        }
        if input.node().is_none_or(|node| node.at() < self.nodes.len()) {
            self.dispatch(input, now);
        }
        self.pass_deadlines(now);
        self.end_the_lifeless(now);
        self.stop_deadline(now);
        self.note_arrivals(now);
        self.go_on_moving(now);
        self.dismiss();
        self.go_on_changing(now);
        // A change may have let nodes start now.
        self.pass_deadlines(now);
        self.say_when_all_ready(now);
        if self.sibling_states() != siblings {
            self.outputs.push(Output::Siblings);
        }
        self.check_invariants();
        std::mem::take(&mut self.outputs)
    }

    /// When [`Input::Tick`] is due at the latest; none while only an input can change
    /// anything.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        let nodes = self.nodes.iter().filter_map(Node::deadline);
        let stop = self.stop.as_ref().and_then(Stop::deadline);
        let arrival = self.arrival_deadline().into_iter();
        let all = nodes.chain(stop).chain(self.move_deadline()).chain(arrival);
        all.chain(self.change_deadline()).min()
    }

    fn dispatch(&mut self, input: Input, now: Time) {
        match input {
            Input::Begin => self.begin(now),
            Input::Claimed { node, ports } => self.claimed(node, ports, now),
            Input::NotClaimed { node, holders } => self.not_claimed(node, holders, now),
            Input::Move { node, ports, until } => self.must_move(node, ports, until, now),
            Input::Spawned {
                node,
                pid,
                generation,
            } => self.spawned(node, pid, generation, now),
            Input::SpawnFailed { node, error } => self.spawn_failed(node, error, now),
            Input::SlotLost { node, holders } => self.slot_lost(node, holders, now),
            Input::Notified { node, pid, notice } => self.notified(node, pid, notice, now),
            Input::Probed {
                node,
                pid,
                check,
                answer,
            } => self.probed(node, pid, check, answer, now),
            Input::Exited { node, pid, ended } => self.exited(node, pid, ended, now),
            Input::Cleared { node, pid, left } => self.cleared(node, pid, left, now),
            Input::StraysCleared { left } => self.strays_cleared(left, now),
            Input::OrphanReaped => self.orphan_reaped(now),
            Input::Restart { ticket, order, by } => self.restart_asked(ticket, &order, &by, now),
            Input::EndRolling { by } => self.end_rolling_asked(&by),
            Input::Scale { ticket, to, by } => self.scale_asked(ticket, to, &by, now),
            Input::Configure(config) => self.configure(*config, now),
            Input::Stop { by, now: at_once } => self.stop_asked(by, at_once, now),
            Input::Tick => {}
        }
    }

    fn pass_deadlines(&mut self, now: Time) {
        for index in self.indices() {
            if self
                .node(index)
                .deadline()
                .is_some_and(|deadline| deadline <= now)
            {
                self.node_deadline(index, now);
            }
        }
    }

    fn begin(&mut self, now: Time) {
        self.emit(
            None,
            EventKind::FleetStarting {
                node_count: self.config.node_count,
            },
        );
        self.begun = true;
        for index in self.indices() {
            if self.node(index).ports.is_some() {
                let start_at = Some(self.staggered(now));
                self.node_mut(index).enter(State::Waiting { start_at }, now);
            }
        }
    }

    fn say_when_all_ready(&mut self, now: Time) {
        let with_port = self.nodes.iter().filter(|node| node.ports.is_some());
        let ready = self.nodes.iter().filter(|node| node.is_ready()).count();
        let all = ready > 0 && with_port.count() == ready;
        if !all {
            self.incomplete.get_or_insert(now);
        } else if let Some(since) = self.incomplete.take() {
            let ready = u16::try_from(ready).expect("no more nodes than ports");
            let after_ms = millis(now.saturating_sub(since));
            self.emit(None, EventKind::FleetReady { ready, after_ms });
        }
    }

    /// What the whole fleet is doing.
    #[must_use]
    pub fn phase(&self) -> FleetPhase {
        if self.stop.is_some() {
            FleetPhase::Stopping
        } else if self.brake.canary().is_some() {
            FleetPhase::Braked
        } else if self
            .nodes
            .iter()
            .all(|node| node.starts > 0 || node.ports.is_none())
        {
            FleetPhase::Running
        } else {
            FleetPhase::Starting
        }
    }

    /// The node that goes ahead while the fleet is braked.
    #[must_use]
    pub fn canary(&self) -> Option<NodeIndex> {
        self.brake.canary()
    }

    /// Nodes that are ready.
    #[must_use]
    pub fn ready(&self) -> u16 {
        u16::try_from(self.nodes.iter().filter(|node| node.is_ready()).count())
            .expect("no more nodes than ports")
    }

    /// Nodes that there are to be.
    #[must_use]
    pub fn node_count(&self) -> u16 {
        self.config.node_count
    }

    /// Ready nodes that the supervisor's own actions keep.
    #[must_use]
    pub fn min_ready(&self) -> u16 {
        self.config.min_ready
    }

    /// What the health check says: at least max(1, MIN_READY) nodes are ready.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.stop.is_none() && self.ready() >= self.config.min_ready.max(1)
    }

    /// Every node, those on their way out included.
    pub(super) fn indices(&self) -> impl Iterator<Item = NodeIndex> + use<> {
        let count = u16::try_from(self.nodes.len()).expect("no more nodes than ports");
        (0..count).map(NodeIndex)
    }

    pub(super) fn node(&self, index: NodeIndex) -> &Node {
        &self.nodes[index.at()]
    }

    pub(super) fn node_mut(&mut self, index: NodeIndex) -> &mut Node {
        &mut self.nodes[index.at()]
    }

    pub(super) fn emit(&mut self, node: Option<NodeIndex>, kind: EventKind) {
        self.outputs.push(Output::Emit { node, kind });
    }

    fn check_invariants(&self) {
        for node in &self.nodes {
            if let State::Running {
                health: Health::Ready { .. },
                process,
            } = &node.state
            {
                assert!(process.was_ready, "a ready process has been ready");
            }
            let spawning = matches!(node.state, State::Spawning);
            assert!(
                !spawning || node.ports.is_some(),
                "only a node with ports is started"
            );
        }
    }
}

/// Whole milliseconds, saturating.
pub(super) fn millis(time: Time) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
