//! When a ready node may be taken down by our own action.
//!
//! Two nodes of a fleet may hold the only copies of a value, so nodes that have to leave
//! their slots and rolling restarts pass one gate, one node at a time: the next goes when
//! the one before it is ready again, has got back what it should hold, and has soaked; and
//! only while more than MIN_READY nodes are ready. A node that is not ready needs no gate,
//! for nobody loses it.

use super::core::Fleet;
use super::node::{Health, Next, Node, State, StopCause};
use super::types::Time;

impl Fleet {
    /// Why no ready node may be taken down at this moment, in words; none when one may.
    pub(super) fn shut(&self) -> Option<String> {
        if let Some(node) = self.nodes.iter().find(|node| node.is_away()) {
            return Some(format!("{} is not back yet", node.index.name()));
        }
        if let Some(node) = self.nodes.iter().find(|node| self.refills(node)) {
            let name = node.index.name();
            return Some(format!("{name} has not got back its values yet"));
        }
        let (ready, min_ready) = (self.ready(), self.config.min_ready);
        (ready <= min_ready).then(|| {
            let down = self.nodes.iter().filter(|node| !node.is_ready());
            let down: Vec<String> = down
                .map(|node| format!("{} is {}", node.index.name(), node.phase().as_str()))
                .collect();
            format!(
                "{ready} nodes are ready and MIN_READY is {min_ready}: {}",
                down.join(", ")
            )
        })
    }

    /// Whether our own action may end the node's process now.
    pub(super) fn may_go(&self, node: &Node) -> bool {
        !node.is_ready() || self.shut().is_none()
    }

    /// Whether ending the node for want of life leaves MIN_READY nodes ready. That is all that
    /// is asked: it is ended for its own fault, and waits for no other node.
    pub(super) fn can_spare(&self, node: &Node) -> bool {
        !node.is_ready() || self.ready() > self.config.min_ready
    }

    /// Takes note of the nodes that are back, and of those for whom nobody waits any more.
    pub(super) fn note_arrivals(&mut self, now: Time) {
        for index in self.indices() {
            let arrived = self.has_arrived(self.node(index), now);
            self.node_mut(index).arriving &= !arrived;
        }
    }

    /// When [`Self::note_arrivals`] has something to note by itself.
    pub(super) fn arrival_deadline(&self) -> Option<Time> {
        let arriving = self.nodes.iter().filter(|node| node.arriving);
        arriving.filter_map(|node| self.arrives_at(node)).min()
    }

    /// When a node that was away will be as good as it was, if it goes on like this.
    pub(super) fn arrives_at(&self, node: &Node) -> Option<Time> {
        let State::Running {
            health: Health::Ready { since, .. },
            process,
        } = &node.state
        else {
            return None;
        };
        // Our own nodes say when they have got back what they should hold; other programs
        // have nothing to get back.
        let refilled = if process.ours {
            process.refilled?
        } else {
            *since
        };
        Some(refilled.max(*since) + self.config.rolling_soak)
    }

    /// Whether nobody waits for the node any more: it is there, or will not be soon.
    fn has_arrived(&self, node: &Node, now: Time) -> bool {
        match node.state {
            State::NoPort { .. } | State::Failed { .. } | State::Stopped => true,
            State::Running { .. } => self.arrives_at(node).is_some_and(|at| at <= now),
            State::Waiting { .. }
            | State::Spawning
            | State::Stopping { .. }
            | State::Clearing { .. } => false,
        }
    }

    /// Whether a ready node has yet to get back what it should hold.
    fn refills(&self, node: &Node) -> bool {
        let State::Running { process, .. } = &node.state else {
            return false;
        };
        process.ours && node.is_ready() && process.refilled.is_none()
    }
}

impl Node {
    /// Whether it is on its way out or back by our own action.
    fn is_away(&self) -> bool {
        let leaving = match &self.state {
            State::Stopping { cause, .. } => match cause {
                StopCause::Wanted | StopCause::Moved | StopCause::Restart => true,
                StopCause::Fault(_) => false,
            },
            State::Clearing { then, .. } => match then {
                Next::Stay | Next::Move | Next::Again => true,
                Next::Restart { .. } => false,
            },
            State::NoPort { .. }
            | State::Waiting { .. }
            | State::Spawning
            | State::Running { .. }
            | State::Failed { .. }
            | State::Stopped => false,
        };
        leaving || self.arriving
    }
}
