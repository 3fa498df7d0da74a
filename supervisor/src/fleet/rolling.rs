//! Rolling restarts: one node after the other, in the order of their numbers.
//!
//! The next node is taken down when the gate lets it: the one before is ready, has got back
//! its values and has soaked, and more than MIN_READY nodes are ready. While another node is
//! down the restart waits. It ends when a node comes back worse than it went: the rest stay
//! as they are, because what hurt one would hurt them all.

use std::collections::{BTreeSet, VecDeque};

use super::change::Work;
use super::core::Fleet;
use super::exits::Ending;
use super::order::Ticket;
use super::types::{NodeIndex, Time};
use crate::event::EventKind;

/// A rolling restart under way.
#[derive(Clone, Debug)]
pub(super) struct Rolling {
    /// What its nodes are ended for.
    ending: Ending,
    /// Nodes that it has not come to.
    ahead: VecDeque<NodeIndex>,
    /// The node that was taken down and is not back yet, with its number of starts before.
    current: Option<(NodeIndex, u64)>,
    /// Nodes that it restarts.
    of: u16,
    /// Which of them the current one is, from 1; 0 before the first.
    step: u16,
    /// What it said last about why it waits, so that it says it once.
    waits_for: Option<String>,
}

impl Rolling {
    pub(super) fn of(nodes: &BTreeSet<NodeIndex>, ending: Ending) -> Self {
        Self {
            ending,
            ahead: nodes.iter().copied().collect(),
            current: None,
            of: u16::try_from(nodes.len()).expect("no more nodes than there are"),
            step: 0,
            waits_for: None,
        }
    }

    /// The node that is on its way out or back.
    pub(super) fn current(&self) -> Option<NodeIndex> {
        self.current.map(|(index, _)| index)
    }

    /// The starts that this node had before it was taken down, when it is the current one.
    pub(super) fn starts_before(&self, node: NodeIndex) -> Option<u64> {
        let (_, before) = self.current.filter(|(index, _)| *index == node)?;
        Some(before)
    }

    pub(super) fn untouched(&self) -> impl Iterator<Item = NodeIndex> {
        self.ahead.iter().copied()
    }

    /// How far it is, in words.
    pub(super) fn progress(&self) -> String {
        match (self.current(), &self.waits_for) {
            (Some(node), _) => format!("at {}, {} of {}", node.name(), self.step, self.of),
            (None, Some(reason)) => format!("{} of {} done, waits: {reason}", self.step, self.of),
            (None, None) => format!("{} of {} done", self.step, self.of),
        }
    }
}

impl Fleet {
    pub(super) fn end_rolling_asked(&mut self, by: &str) {
        let reason = format!("{by} asked for its end");
        self.halt_changes(&reason, |work| matches!(work, Work::Rolling(_)));
    }

    /// Whether a rolling restart is under way.
    #[must_use]
    pub fn is_rolling(&self) -> bool {
        let mut changes = self.changes.iter();
        changes.any(|change| matches!(change.work, Work::Rolling(_)))
    }

    /// Takes down the next node when its turn has come. Whether all are done.
    pub(super) fn go_on_rolling(
        &mut self,
        ticket: Ticket,
        rolling: &mut Rolling,
        now: Time,
    ) -> bool {
        rolling.ahead.retain(|index| self.is_wanted(*index));
        if let Some((index, before)) = rolling.current {
            if self.is_wanted(index) && !self.is_back(index, before, now) {
                return false;
            }
            rolling.current = None;
        }
        let Some(next) = rolling.ahead.front().copied() else {
            return true;
        };
        if let Some(reason) = self.shut().filter(|_| self.node(next).is_ready()) {
            self.say_what_it_waits_for(ticket, rolling, reason);
            return false;
        }
        rolling.ahead.pop_front();
        self.take_down(ticket, rolling, next, now);
        false
    }

    fn take_down(&mut self, ticket: Ticket, rolling: &mut Rolling, next: NodeIndex, now: Time) {
        let node = self.node(next);
        assert!(
            !node.is_ready() || self.ready() > self.config.min_ready,
            "a rolling restart keeps MIN_READY nodes"
        );
        rolling.current = Some((next, node.starts));
        rolling.waits_for = None;
        // It starts again as soon as it can: there is nobody with whom it would start.
        self.next_start = now;
        rolling.step += 1;
        let kind = EventKind::ChangeStep {
            change: ticket.0,
            step: rolling.step,
            of: rolling.of,
        };
        self.emit(Some(next), kind);
        self.restart_node(next, rolling.ending.clone(), now);
    }

    /// Whether the node is as good as before, in a new process.
    fn is_back(&self, index: NodeIndex, before: u64, now: Time) -> bool {
        let node = self.node(index);
        node.starts > before && self.arrives_at(node).is_some_and(|at| at <= now)
    }

    fn say_what_it_waits_for(&mut self, ticket: Ticket, rolling: &mut Rolling, reason: String) {
        if rolling.waits_for.as_ref() == Some(&reason) {
            return;
        }
        rolling.waits_for = Some(reason.clone());
        let change = ticket.0;
        self.emit(None, EventKind::ChangeWaiting { change, reason });
    }
}
