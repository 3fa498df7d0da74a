//! A node that must leave its slot, because a stronger claim of the domain has it.
//!
//! It is one step of a rolling restart: the process is told to finish, which drains it and
//! hands over what it holds, and the next one starts in the new slot. It costs no restart
//! budget, for the node is not at fault.

use super::core::Fleet;
use super::node::{State, StopCause};
use super::types::{NodeIndex, Output, Ports, Sig, Time};
use crate::event::EventKind;

impl Fleet {
    pub(super) fn must_move(
        &mut self,
        index: NodeIndex,
        ports: Option<Ports>,
        until: Time,
        now: Time,
    ) {
        if self.stop.is_some() {
            return;
        }
        let node = self.node_mut(index);
        node.moving = Some(ports);
        match &node.state {
            State::Running { process, .. } => {
                let process = process.clone();
                let pid = process.pid;
                let cause = StopCause::Moved;
                node.enter(
                    State::Stopping {
                        process,
                        kill_at: Some(until),
                        cause,
                    },
                    now,
                );
                let reason = match ports {
                    Some(ports) => format!("its port is another's, it moves to {}", ports.http),
                    None => "its port is another's, and no other is free".to_owned(),
                };
                self.emit(Some(index), EventKind::NodeStopping { reason });
                self.outputs.push(Output::Signal {
                    node: index,
                    pid,
                    signal: Sig::Term,
                });
            }
            // It is on its way out already: what follows then knows of the move.
            State::Stopping { .. } | State::Clearing { .. } | State::Spawning => {}
            State::NoPort { .. }
            | State::Waiting { .. }
            | State::Failed { .. }
            | State::Stopped => {
                self.end_move(index, now);
            }
        }
    }

    /// When the node had to move and nothing of it runs any more: says so, and goes on in
    /// the new slot. Whether it did.
    pub(super) fn end_move(&mut self, index: NodeIndex, now: Time) -> bool {
        let Some(ports) = self.node_mut(index).moving.take() else {
            return false;
        };
        self.outputs.push(Output::Vacated(index));
        let node = self.node_mut(index);
        node.ports = ports;
        node.door_open = true;
        let state = match ports {
            Some(_) => State::Waiting {
                start_at: Some(now),
            },
            // The claim goes on looking by itself and says when it has found one.
            None => State::NoPort { retry_at: None },
        };
        node.enter(state, now);
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
        if self.brake.canary().is_some_and(|canary| canary != index) {
            self.hold(index);
        }
        true
    }
}
