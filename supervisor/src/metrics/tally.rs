//! What happened so far, as far as the status does not keep it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::event::EventKind;
use crate::fleet::{Check, NodeIndex};

/// Bounds of the classes of probe latencies, in seconds: from a program on the same machine
/// that answers at once to the default time-out and beyond it.
pub(super) const LATENCY_BOUNDS: [f64; 9] = [0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0];

/// Counters since the supervisor's start. Of a node that has left the fleet they are kept, so
/// that they go on where they were when it comes back.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    /// Changes that were begun.
    pub changes_started: u64,
    /// Changes that were done.
    pub changes_done: u64,
    /// Changes that ended before they were done.
    pub changes_halted: u64,
    /// Reloads that were carried out.
    pub reloads_done: u64,
    /// Reloads that were refused.
    pub reloads_refused: u64,
    /// How often the fleet was braked.
    pub brakes: u64,
    /// By node.
    pub nodes: BTreeMap<NodeIndex, NodeTally>,
}

/// The same of one node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeTally {
    /// Processes that were started.
    pub starts: u64,
    /// Processes that were killed.
    pub kills: u64,
    /// Slots that it got.
    pub claims: u64,
    /// How often it found none.
    pub claims_refused: u64,
    /// Slots that it had to leave for another one's claim.
    pub moves: u64,
    /// How often it stopped being ready though its process lived.
    pub unready: u64,
    /// Answers to probes.
    pub probes: BTreeMap<Check, ProbeTally>,
}

/// Answers to one kind of probe.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ProbeTally {
    /// Those that count as success.
    pub passed: u64,
    /// The others.
    pub failed: u64,
    /// How long they took together.
    pub duration: Duration,
    /// How many fell into each class of latencies, the last of which has no end.
    pub latencies: [u64; LATENCY_BOUNDS.len() + 1],
}

impl Tally {
    /// Counts an event.
    pub fn event(&mut self, node: Option<NodeIndex>, kind: &EventKind) {
        match kind {
            EventKind::ChangeStarted { .. } => self.changes_started += 1,
            EventKind::ChangeDone { .. } => self.changes_done += 1,
            EventKind::ChangeHalted { .. } => self.changes_halted += 1,
            EventKind::Reloaded { .. } => self.reloads_done += 1,
            EventKind::ReloadRefused { .. } => self.reloads_refused += 1,
            EventKind::FleetBraked { .. } => self.brakes += 1,
            _ => {
                if let Some(node) = node {
                    self.nodes.entry(node).or_default().event(kind);
                }
            }
        }
    }

    /// Counts an answer to a probe.
    pub fn probe(&mut self, node: NodeIndex, check: Check, passed: bool, latency: Duration) {
        let node = self.nodes.entry(node).or_default();
        node.probes.entry(check).or_default().count(passed, latency);
    }

    /// A node has to leave its slot.
    pub fn moves(&mut self, node: NodeIndex) {
        self.nodes.entry(node).or_default().moves += 1;
    }
}

impl NodeTally {
    fn event(&mut self, kind: &EventKind) {
        match kind {
            EventKind::NodeStarted { .. } => self.starts += 1,
            EventKind::NodeKilled { .. } => self.kills += 1,
            EventKind::NodeClaimed { .. } => self.claims += 1,
            EventKind::NodeWithoutPort { .. } => self.claims_refused += 1,
            EventKind::NodeUnready { .. } => self.unready += 1,
            // The status counts ends of processes; the rest says nothing that adds up.
            _ => {}
        }
    }
}

impl ProbeTally {
    fn count(&mut self, passed: bool, latency: Duration) {
        if passed {
            self.passed += 1;
        } else {
            self.failed += 1;
        }
        self.duration += latency;
        let seconds = latency.as_secs_f64();
        let class = LATENCY_BOUNDS.partition_point(|bound| *bound < seconds);
        self.latencies[class] += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_fall_into_the_class_that_ends_with_them() {
        let mut probes = ProbeTally::default();
        for (ms, class) in [(0, 0), (1, 0), (2, 1), (1000, 7), (4999, 8), (5001, 9)] {
            let before = probes.latencies[class];
            probes.count(true, Duration::from_millis(ms));
            assert_eq!(probes.latencies[class], before + 1, "{ms}");
        }
        assert_eq!((probes.passed, probes.failed), (6, 0));
        assert_eq!(probes.duration, Duration::from_millis(11_003));
    }

    #[test]
    fn what_concerns_a_node_is_counted_for_it() {
        let mut tally = Tally::default();
        let node = NodeIndex(1);
        tally.event(Some(node), &EventKind::NodeUnready { reason: "x".into() });
        tally.event(None, &EventKind::FleetReleased);
        tally.event(
            None,
            &EventKind::ChangeDone {
                change: 1,
                after_ms: 2,
            },
        );
        assert_eq!(tally.nodes[&node].unready, 1);
        assert_eq!(tally.changes_done, 1);
        assert_eq!(tally.nodes.len(), 1);
    }
}
