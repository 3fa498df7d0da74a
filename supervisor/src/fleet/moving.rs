//! Nodes that must leave their slots, because stronger claims of the domain have them.
//!
//! Each is one step of a rolling restart: the process is told to finish, which drains it,
//! and the next one starts in the new slot. It costs no restart budget, for the node is not
//! at fault. The next one goes when the gate lets it. Only a node whose time runs out does
//! not wait.

use super::core::Fleet;
use super::exits::Ending;
use super::node::{Move, State, StopCause};
use super::types::{NodeIndex, Output, Ports, Time};
use crate::event::EventKind;
use crate::exit::ExitClass;
use crate::status::FollowUp;

impl Fleet {
    pub(super) fn must_move(
        &mut self,
        index: NodeIndex,
        ports: Option<Ports>,
        until: Time,
        now: Time,
    ) {
        if self.stop.is_some() || !self.is_wanted(index) {
            return;
        }
        let node = self.node_mut(index);
        node.moving = Some(Move { ports, until });
        match &node.state {
            // It goes when its turn has come, or is on its way out already: what follows
            // then knows of the move.
            State::Running { .. }
            | State::Stopping { .. }
            | State::Clearing { .. }
            | State::Spawning => {}
            State::NoPort { .. }
            | State::Waiting { .. }
            | State::Failed { .. }
            | State::Stopped => {
                self.end_move(index, now);
            }
        }
    }

    /// Lets the next node go that has to, if it may.
    pub(super) fn go_on_moving(&mut self, now: Time) {
        for index in self.indices() {
            let node = self.node(index);
            let (State::Running { .. }, Some(going)) = (&node.state, node.moving) else {
                continue;
            };
            let time_is_up = self.move_at_latest(going) <= now;
            if self.stop.is_none() && (time_is_up || self.may_go(node)) {
                self.begin_move(index, going, now);
            }
        }
    }

    /// When [`Self::go_on_moving`] has something to do by itself.
    pub(super) fn move_deadline(&self) -> Option<Time> {
        let going = self.nodes.iter().filter_map(|node| match node.state {
            State::Running { .. } => Some(self.move_at_latest(node.moving?)),
            _ => None,
        });
        going.min()
    }

    /// When a node goes whatever the others do: so that it can still finish in order.
    pub(super) fn move_at_latest(&self, going: Move) -> Time {
        going.until.saturating_sub(self.config.stop_timeout)
    }

    fn begin_move(&mut self, index: NodeIndex, going: Move, now: Time) {
        let reason = match going.ports {
            Some(ports) => format!("its port is another's, it moves to {}", ports.http),
            None => "its port is another's, and no other is free".to_owned(),
        };
        let ending = Ending::new(ExitClass::PortConflict, reason);
        self.terminate(index, ending, StopCause::Moved, going.until, now);
    }

    /// When the node had to move and nothing of it runs any more: says so, and goes on in
    /// the new slot. Whether it did.
    pub(super) fn end_move(&mut self, index: NodeIndex, now: Time) -> bool {
        let Some(Move { ports, .. }) = self.node_mut(index).moving.take() else {
            return false;
        };
        self.outputs.push(Output::Vacated(index));
        let node = self.node_mut(index);
        let http_port = ports.map(|ports| ports.http);
        node.exits.follow_up(FollowUp::Move { http_port });
        node.ports = ports;
        node.door_open = true;
        match (ports, &node.state) {
            // What it waits for is no matter of its slot: its delay, the canary, or nothing.
            (Some(_), State::Waiting { start_at: Some(at) }) => {
                let at = *at;
                self.start_at(index, at, now);
            }
            (Some(_), State::Waiting { start_at: None } | State::Failed { .. }) => {
                self.set_door(index, false);
            }
            (Some(_), _) => {
                node.arriving = true;
                self.start_at(index, now, now);
            }
            // The claim goes on looking by itself and says when it has found one.
            (None, _) => {
                node.arriving = false;
                node.enter(State::NoPort { retry_at: None }, now);
                self.came_back_worse(index, "no slot is free for it");
            }
        }
        if let Some(Ports {
            http: http_port,
            gossip: gossip_port,
        }) = ports
        {
            self.emit(
                Some(index),
                EventKind::NodeClaimed {
                    http_port,
                    gossip_port,
                },
            );
        }
        true
    }
}
