//! Another number of nodes, without touching those that stay.
//!
//! Nodes with the highest numbers go and come first, so that the names are always
//! `flux-node-1` to `flux-node-N`. Those that go are told together, so that they hand over
//! to the ones that stay only; they drain, and their doors are closed at once because nobody
//! will come after them. A node leaves the fleet when all above it have, and takes its slot
//! along. Its identity stays: scaled up again it has the same UUID.

use super::change::Awaited;
use super::core::Fleet;
use super::exits::Ending;
use super::node::{Node, State};
use super::order::{Plan, PlanAction, Refusal};
use super::types::{NodeIndex, Output, Time};
use crate::event::EventKind;
use crate::exit::ExitClass;

impl Fleet {
    /// What it would take to run `to` nodes.
    ///
    /// # Errors
    /// [`Refusal`] when it would not be done.
    pub fn plan_scale(&self, to: u16) -> Result<Plan, Refusal> {
        self.check_not_stopping()?;
        let config = &self.config;
        let max = config.max_nodes;
        if to == 0 || to > max.count {
            return Err(Refusal::OutOfRange { to, max });
        }
        let min_ready = self.min_ready_of(to);
        if min_ready > to {
            return Err(Refusal::FewerThanMinReady { to, min_ready });
        }
        let from = config.node_count;
        let added = (from..to).map(|index| self.plan_step(NodeIndex(index), PlanAction::Add));
        let removed = (to..from).rev();
        let removed = removed.map(|index| self.plan_step(NodeIndex(index), PlanAction::Remove));
        Ok(Plan {
            change: format!("scale from {from} to {to} nodes"),
            ready: self.ready(),
            min_ready,
            steps: added.chain(removed).collect(),
        })
    }

    /// MIN_READY of a fleet with so many nodes.
    pub(super) fn min_ready_of(&self, node_count: u16) -> u16 {
        if self.config.min_ready_follows {
            node_count.saturating_sub(1)
        } else {
            self.config.min_ready
        }
    }

    /// Whether the fleet is to have this node. One that it is not to have may still be on its
    /// way out.
    pub(super) fn is_wanted(&self, index: NodeIndex) -> bool {
        index.0 < self.config.node_count
    }

    /// From now on there are to be `to` nodes.
    pub(super) fn scale(&mut self, to: u16, awaited: &mut Awaited, by: &str, now: Time) {
        self.config.min_ready = self.min_ready_of(to);
        let from = std::mem::replace(&mut self.config.node_count, to);
        for index in (from..to).map(NodeIndex) {
            if self.nodes.len() == index.at() {
                self.nodes.push(Node::new(index));
                self.outputs.push(Output::Add(index));
                self.start_from_rest(index, now);
            } else {
                // It was on its way out.
                let cause = format!("scaled up again by {by}");
                self.restart_node(index, Ending::new(ExitClass::Operator, cause), now);
            }
            awaited.add(index, self.node(index).starts);
        }
        let leaving: Vec<NodeIndex> = (to..from).rev().map(NodeIndex).collect();
        let living = leaving.iter().copied();
        let living: Vec<NodeIndex> = living
            .filter(|index| self.node(*index).process().is_some())
            .collect();
        if !living.is_empty() {
            self.outputs.push(Output::StopTogether(living));
        }
        for index in leaving {
            self.let_go(index, by, now);
        }
    }

    fn let_go(&mut self, index: NodeIndex, by: &str, now: Time) {
        let kill_at = now + self.grace();
        let ending = Ending::new(ExitClass::ScaleDown, format!("scaled down by {by}"));
        if let State::Running { .. } = self.node(index).state {
            let (class, reason) = (ending.class, ending.cause.clone());
            self.emit(Some(index), EventKind::NodeStopping { class, reason });
        }
        self.set_door(index, false);
        self.stop_node(index, ending, kill_at, now);
        if self.brake.canary() == Some(index) {
            self.next_canary(now);
        }
    }

    /// Whether no node is left that is not wanted.
    pub(super) fn all_gone(&self) -> bool {
        self.nodes.len() == usize::from(self.config.node_count)
    }

    /// Nodes that are not wanted and have ended leave the fleet, the highest first.
    pub(super) fn dismiss(&mut self) {
        while !self.all_gone()
            && self
                .nodes
                .last()
                .is_some_and(|node| node.state == State::Stopped)
        {
            let node = self.nodes.pop().expect("there is one");
            self.outputs.push(Output::Remove(node.index));
        }
    }
}
