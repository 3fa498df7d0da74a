//! Changes of the running fleet that somebody has asked for, from the order to the outcome.
//!
//! Each carries a [`Ticket`] and tells by events how far it is, so that whoever asked can
//! wait for it: `change_started`, steps, and at last either `change_done` or `change_halted`
//! with the reason. A change only watches the nodes that it has set going. What becomes of a
//! node is up to its own life, so a change that is forgotten leaves nothing undone.

use std::collections::BTreeMap;

use super::core::{Fleet, millis};
use super::exits::Ending;
use super::node::Node;
use super::order::{PlanAction, PlanStep, RestartMode, RestartOrder, Ticket, names};
use super::rolling::Rolling;
use super::types::{NodeIndex, Time};
use crate::event::EventKind;

/// A change under way. At most one scales, one is a rolling restart, and every node is
/// awaited by at most one other restart, so there are never more than nodes and two.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) ticket: Ticket,
    since: Time,
    /// What it does, in words.
    pub(super) what: String,
    pub(super) work: Work,
}

#[derive(Clone, Debug)]
pub(super) enum Work {
    /// Nodes are restarted together.
    Restart(Awaited),
    /// Nodes are restarted one after the other.
    Rolling(Rolling),
    /// Nodes come and go. Those that go are the ones that are no longer wanted.
    Scale(Awaited),
}

/// Nodes that are to become ready in a new process.
#[derive(Clone, Debug, Default)]
pub(super) struct Awaited {
    /// Each with the number of starts before.
    nodes: BTreeMap<NodeIndex, u64>,
    /// What went wrong with those that will not be ready soon.
    problems: Vec<String>,
}

impl Awaited {
    pub(super) fn add(&mut self, node: NodeIndex, starts: u64) {
        self.nodes.insert(node, starts);
    }

    /// Takes over what another change waits for.
    pub(super) fn take(&mut self, others: &mut Self) {
        self.nodes.append(&mut others.nodes);
    }

    /// How far it is, in words.
    fn progress(&self) -> String {
        format!("waits for {}", names(self.nodes.keys().copied()))
    }

    fn gone_wrong(&mut self, node: NodeIndex, reason: &str) {
        self.nodes.remove(&node);
        self.problems.push(format!("{}: {reason}", node.name()));
    }
}

/// A change under way, as the status shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeView {
    /// Its number.
    pub ticket: Ticket,
    /// What it does, in words.
    pub what: String,
    /// Since when.
    pub since: Time,
    /// How far it is, in words.
    pub progress: String,
}

impl Fleet {
    /// The changes that are under way, in the order in which they began.
    pub fn changes(&self) -> impl Iterator<Item = ChangeView> {
        self.changes.iter().map(|change| ChangeView {
            ticket: change.ticket,
            what: change.what.clone(),
            since: change.since,
            progress: match &change.work {
                Work::Rolling(rolling) => rolling.progress(),
                Work::Restart(awaited) => awaited.progress(),
                Work::Scale(awaited) if self.all_gone() => awaited.progress(),
                Work::Scale(_) => {
                    let leaving = self.nodes.iter().map(|node| node.index);
                    let leaving = leaving.filter(|index| !self.is_wanted(*index));
                    format!("waits for the end of {}", names(leaving))
                }
            },
        })
    }

    pub(super) fn restart_asked(
        &mut self,
        ticket: Ticket,
        order: &RestartOrder,
        by: &str,
        now: Time,
    ) {
        let plan = match self.plan_restart(order) {
            Ok(plan) => plan,
            Err(refusal) => return self.emit_halted(ticket, refusal.to_string(), Vec::new()),
        };
        let nodes = self.meant(order);
        let what = plan.change;
        if let RestartMode::Together { .. } = order.mode {
            let reason = format!("a {what}, asked by {by}, took its place");
            self.halt_changes(&reason, |work| matches!(work, Work::Rolling(_)));
        }
        self.emit_started(ticket, &what, by);
        let class = order.occasion.class();
        let work = match order.mode {
            RestartMode::Rolling => {
                let ending = Ending::new(class, format!("rolling restart, asked by {by}"));
                Work::Rolling(Rolling::of(&nodes, ending))
            }
            RestartMode::Together { .. } => {
                let ending = Ending::new(class, format!("restart, asked by {by}"));
                Work::Restart(self.restart_together(&nodes, &ending, now))
            }
        };
        self.begin_change(ticket, what, work, now);
    }

    pub(super) fn scale_asked(&mut self, ticket: Ticket, to: u16, by: &str, now: Time) {
        let plan = match self.plan_scale(to) {
            Ok(plan) => plan,
            Err(refusal) => return self.emit_halted(ticket, refusal.to_string(), Vec::new()),
        };
        let mut awaited = Awaited::default();
        for change in &mut self.changes {
            if let Work::Scale(earlier) = &mut change.work {
                awaited.take(earlier);
            }
        }
        let what = plan.change;
        let reason = format!("a {what}, asked by {by}, took its place");
        self.halt_changes(&reason, |work| matches!(work, Work::Scale(_)));
        self.emit_started(ticket, &what, by);
        self.scale(to, &mut awaited, by, now);
        self.begin_change(ticket, what, Work::Scale(awaited), now);
    }

    fn begin_change(&mut self, ticket: Ticket, what: String, work: Work, now: Time) {
        self.changes.push(Change {
            ticket,
            since: now,
            what,
            work,
        });
    }

    /// Ends the changes that are meant, before they are done. Nodes that they have set going
    /// go on.
    pub(super) fn halt_changes(&mut self, reason: &str, meant: impl Fn(&Work) -> bool) {
        let halted: Vec<Change> = self
            .changes
            .extract_if(.., |change| meant(&change.work))
            .collect();
        for change in halted {
            let untouched = change.work.untouched();
            self.emit_halted(change.ticket, reason.to_owned(), untouched);
        }
    }

    /// A node is worse than it was before it was taken down, or does not come up at all:
    /// changes that wait for it learn it. News of the process that was ended do not count.
    pub(super) fn came_back_worse(&mut self, index: NodeIndex, reason: &str) {
        let node = self.node(index);
        let (starts, is_up) = (node.starts, node.process().is_some());
        // A process that was there before the change says nothing about the one after it.
        let is_new = |before: u64| !is_up || starts > before;
        let mut halted = Vec::new();
        for change in &mut self.changes {
            match &mut change.work {
                Work::Restart(awaited) | Work::Scale(awaited) => {
                    if awaited
                        .nodes
                        .get(&index)
                        .is_some_and(|before| is_new(*before))
                    {
                        awaited.gone_wrong(index, reason);
                    }
                }
                Work::Rolling(rolling) => {
                    if rolling.starts_before(index).is_some_and(is_new) {
                        halted.push(change.ticket);
                    }
                }
            }
        }
        for ticket in halted {
            self.halt_rolling(ticket, &format!("{}: {reason}", index.name()));
        }
    }

    fn halt_rolling(&mut self, ticket: Ticket, reason: &str) {
        let place = self
            .changes
            .iter()
            .position(|change| change.ticket == ticket);
        let Some(place) = place else { return };
        let change = self.changes.remove(place);
        self.emit_halted(ticket, reason.to_owned(), change.work.untouched());
    }

    /// Sees how far all changes are, and lets them go on.
    pub(super) fn go_on_changing(&mut self, now: Time) {
        if self.stop.is_some() {
            return self.halt_changes("the fleet is being stopped", |_| true);
        }
        for mut change in std::mem::take(&mut self.changes) {
            let done = match &mut change.work {
                Work::Restart(awaited) => self.have_come(awaited),
                Work::Scale(awaited) => self.have_come(awaited) && self.all_gone(),
                Work::Rolling(rolling) => self.go_on_rolling(change.ticket, rolling, now),
            };
            if !done {
                self.changes.push(change);
                continue;
            }
            match change.work.problems() {
                None => {
                    let after_ms = millis(now.saturating_sub(change.since));
                    let change = change.ticket.0;
                    self.emit(None, EventKind::ChangeDone { change, after_ms });
                }
                Some(reason) => self.emit_halted(change.ticket, reason, Vec::new()),
            }
        }
    }

    /// When [`Self::go_on_changing`] has something to do by itself.
    pub(super) fn change_deadline(&self) -> Option<Time> {
        let rolling = self.changes.iter().find_map(|change| match &change.work {
            Work::Rolling(rolling) => rolling.current(),
            Work::Restart(_) | Work::Scale(_) => None,
        });
        self.arrives_at(self.nodes.get(rolling?.at())?)
    }

    /// Forgets the awaited nodes that are ready, or no longer wanted. Whether none is left.
    fn have_come(&self, awaited: &mut Awaited) -> bool {
        awaited.nodes.retain(|index, before| {
            let node = self.nodes.get(index.at());
            let here = |node: &Node| node.is_ready() && node.starts > *before;
            self.is_wanted(*index) && !node.is_some_and(here)
        });
        awaited.nodes.is_empty()
    }

    /// One step of a plan, for a node that there is.
    pub(super) fn plan_step(&self, index: NodeIndex, action: PlanAction) -> PlanStep {
        let node = self.nodes.get(index.at());
        PlanStep {
            node: index.name(),
            action,
            pid: node.and_then(|node| Some(node.process()?.pid)),
            http_port: node.and_then(|node| Some(node.ports?.http)),
        }
    }

    fn emit_started(&mut self, ticket: Ticket, what: &str, by: &str) {
        let (change, what, by) = (ticket.0, what.to_owned(), by.to_owned());
        self.emit(None, EventKind::ChangeStarted { change, what, by });
    }

    fn emit_halted(&mut self, ticket: Ticket, reason: String, untouched: Vec<NodeIndex>) {
        let kind = EventKind::ChangeHalted {
            change: ticket.0,
            reason,
            untouched: untouched.into_iter().map(NodeIndex::name).collect(),
        };
        self.emit(None, kind);
    }
}

impl Work {
    /// The nodes that were to be restarted and have not been.
    fn untouched(&self) -> Vec<NodeIndex> {
        match self {
            Self::Rolling(rolling) => rolling.untouched().collect(),
            Self::Restart(_) | Self::Scale(_) => Vec::new(),
        }
    }

    /// What went wrong, in words.
    fn problems(&self) -> Option<String> {
        match self {
            Self::Restart(awaited) | Self::Scale(awaited) if !awaited.problems.is_empty() => {
                Some(awaited.problems.join("; "))
            }
            Self::Restart(_) | Self::Scale(_) | Self::Rolling(_) => None,
        }
    }
}
