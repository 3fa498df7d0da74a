//! When many nodes fail together, restarting them all again and again only makes it
//! worse: the fleet brakes, one canary goes ahead, and the rest follow when it is ready.

use std::collections::BTreeMap;
use std::time::Duration;

use super::types::{NodeIndex, Time};

/// Failures within this span count as "together".
const WINDOW: Duration = Duration::from_secs(1);

/// The memory of recent failures, and whether the fleet is braked.
#[derive(Debug, Default)]
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
