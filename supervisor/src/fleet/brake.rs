//! When many nodes fail together, restarting them all again and again only makes it
//! worse: the fleet brakes, one canary goes ahead, and the rest follow when it is ready.

use std::collections::BTreeMap;
use std::time::Duration;

use super::core::Fleet;
use super::node::State;
use super::types::{NodeIndex, Time};
use crate::event::EventKind;

/// Failures within this span count as "together".
const WINDOW: Duration = Duration::from_secs(1);

/// The memory of recent failures, and whether the fleet is braked.
#[derive(Clone, Debug, Default)]
pub(super) struct Brake {
    /// The latest bad failure of each node. At most one entry a node.
    recent: BTreeMap<NodeIndex, Time>,
    canary: Option<NodeIndex>,
}

impl Brake {
    /// Notes a failure; says whether it makes the fleet brake now.
    ///
    /// A failure is bad when the node had not been ready before, or when it is at least
    /// the second in a row. The fleet brakes when at least half of the nodes, and two,
    /// failed badly within a second.
    pub(super) fn note(&mut self, node: NodeIndex, bad: bool, node_count: u16, now: Time) -> bool {
        self.recent
            .retain(|_, time| now.saturating_sub(*time) < WINDOW);
        if bad {
            self.recent.insert(node, now);
        }
        let many = usize::from(node_count.div_ceil(2).max(2));
        self.canary.is_none() && self.recent.len() >= many
    }

    pub(super) fn engage(&mut self, canary: NodeIndex) {
        self.canary = Some(canary);
    }

    pub(super) fn release(&mut self) {
        self.canary = None;
        self.recent.clear();
    }

    pub(super) fn canary(&self) -> Option<NodeIndex> {
        self.canary
    }
}

impl Fleet {
    pub(super) fn engage_brake(&mut self) {
        let Some(canary) = self.first_waiting() else {
            return;
        };
        self.brake.engage(canary);
        let name = canary.name();
        self.emit(None, EventKind::FleetBraked { canary: name });
        for index in self.indices().filter(|index| *index != canary) {
            self.hold(index);
        }
    }

    /// The canary has failed for good: another one goes ahead.
    pub(super) fn next_canary(&mut self, now: Time) {
        self.brake.release();
        let Some(canary) = self.first_waiting() else {
            return;
        };
        self.brake.engage(canary);
        self.node_mut(canary).state = State::Waiting {
            start_at: Some(now),
        };
        let name = canary.name();
        self.emit(None, EventKind::FleetBraked { canary: name });
    }

    fn first_waiting(&self) -> Option<NodeIndex> {
        self.indices()
            .find(|index| matches!(self.node(*index).state, State::Waiting { .. }))
    }

    /// The brake keeps a waiting node from starting, for nobody knows how long.
    pub(super) fn hold(&mut self, index: NodeIndex) {
        let State::Waiting { start_at } = &mut self.node_mut(index).state else {
            return;
        };
        *start_at = None;
        self.set_door(index, false);
    }

    pub(super) fn release_brake(&mut self, now: Time) {
        self.brake.release();
        self.emit(None, EventKind::FleetReleased);
        let mut next = now;
        for index in self.indices() {
            if let State::Waiting {
                start_at: start_at @ None,
            } = &mut self.node_mut(index).state
            {
                *start_at = Some(next);
                next += self.config.start_stagger;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_and_two_within_a_second() {
        let check = |count: u16, failures: &[(u16, u64, bool)], expect: bool| {
            let mut brake = Brake::default();
            let mut braked = false;
            for &(node, ms, bad) in failures {
                braked |= brake.note(NodeIndex(node), bad, count, Duration::from_millis(ms));
            }
            assert_eq!(braked, expect, "{count} nodes, {failures:?}");
        };
        check(1, &[(0, 0, true), (0, 1, true)], false);
        check(2, &[(0, 0, true)], false);
        check(2, &[(0, 0, true), (1, 999, true)], true);
        check(2, &[(0, 0, true), (1, 1_000, true)], false);
        check(3, &[(0, 0, true), (1, 10, true)], true);
        check(5, &[(0, 0, true), (1, 10, true)], false);
        check(5, &[(0, 0, true), (1, 10, true), (2, 20, true)], true);
        check(5, &[(0, 0, true), (1, 10, false), (2, 20, true)], false);
    }
}
