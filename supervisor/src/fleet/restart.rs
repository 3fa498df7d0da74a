//! Restarting nodes because somebody asked for it.
//!
//! A restart costs no failure and no budget: what the node did before is forgiven. Its slot
//! and the sockets of it are kept, so that connections made meanwhile wait for the next
//! process. With MIN_READY it is the operator's will that counts, but only when it is said
//! (`force`): by mistake nobody takes a whole fleet down.

use std::collections::BTreeSet;

use super::change::{Awaited, Work};
use super::core::Fleet;
use super::exits::Ending;
use super::node::{Next, State, StopCause};
use super::order::{Plan, PlanAction, Refusal, RestartMode, RestartOrder, names};
use super::types::{NodeIndex, Output, Time};

impl Fleet {
    /// What a restart would do now.
    ///
    /// # Errors
    /// [`Refusal`] when it would not be carried out.
    pub fn plan_restart(&self, order: &RestartOrder) -> Result<Plan, Refusal> {
        self.check_not_stopping()?;
        let count = self.config.node_count;
        if let Some(node) = order.nodes.iter().find(|node| !self.is_wanted(**node)) {
            return Err(Refusal::NoSuchNode {
                node: *node,
                nodes: count,
            });
        }
        let nodes = self.meant(order);
        let word = match order.mode {
            RestartMode::Rolling => {
                self.check_rolling(&nodes)?;
                "rolling restart"
            }
            RestartMode::Together { force } => {
                self.check_left(&nodes, force)?;
                "restart"
            }
        };
        let step = |index: &NodeIndex| {
            let action = if self.node(*index).process().is_some() {
                PlanAction::Restart
            } else {
                PlanAction::Start
            };
            self.plan_step(*index, action)
        };
        Ok(Plan {
            change: format!("{word} of {}", names(nodes.iter().copied())),
            ready: self.ready(),
            min_ready: self.config.min_ready,
            steps: nodes.iter().map(step).collect(),
        })
    }

    /// # Errors
    /// [`Refusal::Stopping`] while the fleet is being stopped.
    pub(super) fn check_not_stopping(&self) -> Result<(), Refusal> {
        match self.stop {
            Some(_) => Err(Refusal::Stopping),
            None => Ok(()),
        }
    }

    fn check_rolling(&self, nodes: &BTreeSet<NodeIndex>) -> Result<(), Refusal> {
        for change in &self.changes {
            if let Work::Rolling(rolling) = &change.work {
                let (what, progress) = (&change.what, rolling.progress());
                return Err(Refusal::UnderWay {
                    ticket: change.ticket,
                    what: format!("{what} ({progress})"),
                });
            }
        }
        let (min_ready, count) = (self.config.min_ready, self.config.node_count);
        let none_may_go =
            min_ready >= count && nodes.iter().any(|node| self.node(*node).is_ready());
        if none_may_go {
            return Err(Refusal::NoneToSpare {
                min_ready,
                nodes: count,
            });
        }
        Ok(())
    }

    fn check_left(&self, nodes: &BTreeSet<NodeIndex>, force: bool) -> Result<(), Refusal> {
        let (ready, min_ready) = (self.ready(), self.config.min_ready);
        let going = nodes.iter().filter(|node| self.node(**node).is_ready());
        let going = u16::try_from(going.count()).expect("no more nodes than there are");
        let left = ready - going;
        if going > 0 && left < min_ready && !force {
            return Err(Refusal::BelowMinReady {
                ready,
                left,
                min_ready,
            });
        }
        Ok(())
    }

    /// The nodes that an order means, in the order of their numbers.
    pub(super) fn meant(&self, order: &RestartOrder) -> BTreeSet<NodeIndex> {
        if order.nodes.is_empty() {
            (0..self.config.node_count).map(NodeIndex).collect()
        } else {
            order.nodes.iter().copied().collect()
        }
    }

    /// Ends the processes of these nodes at the same time and starts the next ones, staggered.
    pub(super) fn restart_together(
        &mut self,
        nodes: &BTreeSet<NodeIndex>,
        ending: &Ending,
        now: Time,
    ) -> Awaited {
        let leaving: Vec<NodeIndex> = nodes
            .iter()
            .filter(|index| matches!(self.node(**index).state, State::Running { .. }))
            .copied()
            .collect();
        if leaving.len() > 1 {
            self.outputs.push(Output::StopTogether(leaving));
        }
        // The pause is between these; what was started before does not keep them waiting.
        self.next_start = now;
        let mut awaited = Awaited::default();
        for index in nodes {
            awaited.add(*index, self.node(*index).starts);
            self.restart_node(*index, ending.clone(), now);
        }
        awaited
    }

    /// Ends the node's process, if it has one, and starts the next one, whatever it does now.
    pub(super) fn restart_node(&mut self, index: NodeIndex, ending: Ending, now: Time) {
        let kill_at = now + self.grace();
        let node = self.node_mut(index);
        node.failures = 0;
        node.arriving = true;
        match &mut node.state {
            State::Running { .. } => {
                self.terminate(index, ending, StopCause::Restart, kill_at, now);
            }
            State::Stopping { cause, .. } => match cause {
                StopCause::Fault(_) | StopCause::Wanted => *cause = StopCause::Restart,
                // It comes back anyhow.
                StopCause::Moved | StopCause::Restart => {}
            },
            State::Clearing { then, .. } => match then {
                Next::Restart { .. } | Next::Stay => *then = Next::Again,
                Next::Move | Next::Again => {}
            },
            State::Waiting { .. } | State::Failed { .. } | State::Stopped => {
                self.start_from_rest(index, now);
            }
            State::NoPort { retry_at } => {
                // None means that a look is under way.
                *retry_at = retry_at.map(|_| now);
            }
            State::Spawning => {}
        }
    }

    /// Starts a node that has no process, or looks for a slot for it first.
    pub(super) fn start_from_rest(&mut self, index: NodeIndex, now: Time) {
        if self.node(index).ports.is_some() {
            let start_at = self.staggered(now);
            self.start_at(index, start_at, now);
        } else {
            let retry_at = Some(now);
            self.node_mut(index).enter(State::NoPort { retry_at }, now);
        }
    }
}
