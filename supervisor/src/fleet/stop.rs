//! Stopping the fleet: in parallel, in bounded time, leaving nothing.

use std::time::Duration;

use super::core::{Fleet, millis};
use super::node::{Next, State, StopCause};
use super::types::{NodeIndex, Output, Sig, Time};
use crate::event::EventKind;

/// What is kept of STOP_TIMEOUT for killing what did not finish and for ending strays.
const KILL_RESERVE: Duration = Duration::from_secs(1);

/// Between two looks for strays at the end.
const STRAY_PAUSE: Duration = Duration::from_millis(10);

/// How long after the first attempt strays that cannot be killed (a process stuck in
/// the kernel) keep the supervisor from ending.
const STRAY_PATIENCE: Duration = Duration::from_millis(500);

/// A stop under way.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stop {
    since: Time,
    /// When everything is killed; none once it was.
    kill_at: Option<Time>,
    code: u8,
    strays: Strays,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Strays {
    /// Nodes are still ending.
    NotYet,
    /// Being killed; looked at again at `check_at`, given up at `until`.
    Clearing { check_at: Time, until: Time },
    /// Gone.
    Gone,
}

impl Stop {
    pub(super) fn deadline(&self) -> Option<Time> {
        match self.strays {
            Strays::NotYet => self.kill_at,
            Strays::Clearing { check_at, .. } => Some(check_at),
            Strays::Gone => None,
        }
    }
}

impl Fleet {
    /// Someone asked for a stop. A second time kills.
    pub(super) fn stop_asked(&mut self, by: String, at_once: bool, now: Time) {
        if self.stop.is_none() {
            self.emit(None, EventKind::FleetStopping { by });
            self.begin_stop(0, now);
            if at_once {
                self.kill_all(now);
            }
        } else {
            self.kill_all(now);
        }
    }

    /// Begins a stop that ends with `code`.
    pub(super) fn begin_stop(&mut self, code: u8, now: Time) {
        let kill_at = now + self.config.stop_timeout.saturating_sub(KILL_RESERVE);
        self.stop = Some(Stop {
            since: now,
            kill_at: Some(kill_at),
            code,
            strays: Strays::NotYet,
        });
        let living: Vec<NodeIndex> = self
            .indices()
            .filter(|index| self.node(*index).process().is_some())
            .collect();
        if !living.is_empty() {
            self.outputs.push(Output::StopTogether(living));
        }
        for index in self.indices() {
            self.stop_node(index, kill_at, now);
        }
        self.end_when_empty(now);
    }

    fn stop_node(&mut self, index: NodeIndex, kill: Time, now: Time) {
        let node = self.node_mut(index);
        match &mut node.state {
            State::Running { process, .. } => {
                let process = process.clone();
                let pid = process.pid;
                let cause = StopCause::Wanted;
                node.enter(
                    State::Stopping {
                        process,
                        kill_at: Some(kill),
                        cause,
                    },
                    now,
                );
                self.outputs.push(Output::Signal {
                    node: index,
                    pid,
                    signal: Sig::Term,
                });
            }
            State::Stopping { cause, .. } => *cause = StopCause::Wanted,
            State::Clearing { then, .. } => *then = Next::Stay,
            State::NoPort { .. } | State::Waiting { .. } | State::Failed { .. } => {
                node.enter(State::Stopped, now);
            }
            // The shell answers a spawn before anything else can come in.
            State::Spawning => unreachable!("an input came between a spawn and its answer"),
            State::Stopped => {}
        }
    }

    pub(super) fn stop_deadline(&mut self, now: Time) {
        let Some(stop) = &self.stop else { return };
        match stop.strays {
            Strays::NotYet if stop.kill_at.is_some_and(|at| at <= now) => self.kill_all(now),
            Strays::Clearing { check_at, .. } if check_at <= now => {
                self.outputs.push(Output::ClearStrays);
            }
            Strays::NotYet | Strays::Clearing { .. } | Strays::Gone => {}
        }
    }

    fn kill_all(&mut self, now: Time) {
        let Some(stop) = &mut self.stop else { return };
        if stop.kill_at.take().is_none() {
            return;
        }
        self.emit(None, EventKind::FleetKilling);
        for index in self.indices() {
            let node = self.node_mut(index);
            match &mut node.state {
                State::Stopping {
                    process, kill_at, ..
                } => {
                    *kill_at = None;
                    let pid = process.pid;
                    self.outputs.push(Output::Signal {
                        node: index,
                        pid,
                        signal: Sig::Kill,
                    });
                }
                State::Clearing {
                    kill_at, check_at, ..
                } => {
                    *kill_at = now;
                    *check_at = now;
                    self.look_after(index, now);
                }
                State::NoPort { .. }
                | State::Waiting { .. }
                | State::Spawning
                | State::Running { .. }
                | State::Failed { .. }
                | State::Stopped => {}
            }
        }
    }

    /// When no node has a process left, what the supervisor adopted is ended too.
    pub(super) fn end_when_empty(&mut self, now: Time) {
        let empty = self.nodes.iter().all(|node| node.state == State::Stopped);
        let Some(stop) = &mut self.stop else { return };
        if empty && stop.strays == Strays::NotYet {
            let until = now + STRAY_PATIENCE;
            stop.strays = Strays::Clearing {
                check_at: now + STRAY_PAUSE,
                until,
            };
            self.outputs.push(Output::ClearStrays);
        }
    }

    pub(super) fn strays_cleared(&mut self, left: usize, now: Time) {
        let Some(stop) = &mut self.stop else { return };
        let Strays::Clearing { check_at, until } = &mut stop.strays else {
            return;
        };
        if left > 0 && now < *until {
            *check_at = now + STRAY_PAUSE;
            return;
        }
        stop.strays = Strays::Gone;
        let (code, after_ms) = (stop.code, millis(now.saturating_sub(stop.since)));
        if left > 0 {
            let message = format!("{left} processes could not be killed; see `ps` for state D");
            self.emit(None, EventKind::Warning { message });
        }
        self.emit(None, EventKind::FleetStopped { after_ms });
        self.outputs.push(Output::Exit { code });
    }

    /// Something was reaped that belongs to no node: look again at once.
    pub(super) fn orphan_reaped(&mut self, now: Time) {
        for index in self.indices() {
            if matches!(self.node(index).state, State::Clearing { .. }) {
                self.look_after(index, now);
            }
        }
        if let Some(Stop {
            strays: Strays::Clearing { .. },
            ..
        }) = self.stop
        {
            self.outputs.push(Output::ClearStrays);
        }
    }
}
