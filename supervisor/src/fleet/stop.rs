//! Stopping the fleet: in parallel, in bounded time, leaving nothing.

use std::time::Duration;

use super::core::{Fleet, millis};
use super::exits::Ending;
use super::node::{Next, Node, State, StopCause};
use super::types::{NodeIndex, Output, Time};
use crate::event::EventKind;
use crate::exit::ExitClass;
use crate::stop_budget::StopBudget;

/// Between two looks for strays at the end.
const STRAY_PAUSE: Duration = Duration::from_millis(10);

/// A stop under way.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stop {
    since: Time,
    /// Whether a person or the platform asked, or only the fleet's own failure.
    asked: bool,
    killing: Killing,
    code: u8,
    strays: Strays,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Killing {
    /// Everything is killed at this time.
    At(Time),
    /// It was; at this time what still lives is left alone.
    Until(Time),
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
            Strays::NotYet => match self.killing {
                Killing::At(time) | Killing::Until(time) => Some(time),
            },
            Strays::Clearing { check_at, .. } => Some(check_at),
            Strays::Gone => None,
        }
    }
}

impl Fleet {
    /// Someone asked for a stop. A second time kills.
    pub(super) fn stop_asked(&mut self, by: String, at_once: bool, now: Time) {
        match &mut self.stop {
            None => {
                self.emit(None, EventKind::FleetStopping { by: by.clone() });
                self.begin_stop(0, true, &by, now);
                if at_once {
                    self.kill_all(now);
                }
            }
            // The first that is asked of a fleet which ends by itself.
            Some(stop) if !stop.asked && !at_once => stop.asked = true,
            Some(_) => self.kill_all(now),
        }
    }

    /// How long a process has between SIGTERM and SIGKILL.
    pub(super) fn grace(&self) -> Duration {
        self.budget().grace
    }

    fn budget(&self) -> StopBudget {
        StopBudget::of(self.config.stop_timeout)
    }

    /// Begins a stop that ends with `code`.
    pub(super) fn begin_stop(&mut self, code: u8, asked: bool, by: &str, now: Time) {
        let kill_at = now + self.grace();
        let killing = Killing::At(kill_at);
        self.stop = Some(Stop {
            since: now,
            asked,
            killing,
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
            let ending = Ending::new(ExitClass::Stop, format!("stop, asked by {by}"));
            self.stop_node(index, ending, kill_at, now);
        }
        self.end_when_empty(now);
    }

    pub(super) fn stop_node(&mut self, index: NodeIndex, ending: Ending, kill: Time, now: Time) {
        let node = self.node_mut(index);
        match &mut node.state {
            State::Running { .. } => {
                self.terminate(index, ending, StopCause::Wanted, kill, now);
            }
            State::Stopping { cause, .. } => *cause = StopCause::Wanted,
            State::Clearing { then, .. } => *then = Next::Stay,
            State::NoPort { .. } | State::Waiting { .. } | State::Failed { .. } => {
                node.enter(State::Stopped, now);
            }
            // The answer to the spawn is on its way, and finds the stop.
            State::Spawning => {}
            State::Stopped => {}
        }
    }

    pub(super) fn stop_deadline(&mut self, now: Time) {
        let Some(stop) = &self.stop else { return };
        match stop.strays {
            Strays::NotYet => match stop.killing {
                Killing::At(time) if time <= now => self.kill_all(now),
                Killing::Until(time) if time <= now => self.leave_the_rest(now),
                Killing::At(_) | Killing::Until(_) => {}
            },
            Strays::Clearing { check_at, .. } if check_at <= now => {
                self.outputs.push(Output::ClearStrays);
            }
            Strays::Clearing { .. } | Strays::Gone => {}
        }
    }

    /// When everything that still lives is killed, if a stop is under way.
    pub(super) fn stop_kills_at(&self) -> Option<Time> {
        let stop = self.stop.as_ref()?;
        match stop.killing {
            Killing::At(time) => Some(time),
            Killing::Until(_) => Some(Time::ZERO),
        }
    }

    fn kill_all(&mut self, now: Time) {
        let until = now + self.budget().patience;
        let Some(stop) = &mut self.stop else { return };
        if let Killing::Until(_) = stop.killing {
            return;
        }
        stop.killing = Killing::Until(until);
        self.emit(None, EventKind::FleetKilling);
        for index in self.indices() {
            let node = self.node_mut(index);
            match &mut node.state {
                State::Stopping {
                    process, kill_at, ..
                } => {
                    let pid = process.pid;
                    // Its own time may have been over at this very moment.
                    if kill_at.take().is_some() {
                        self.kill(index, pid);
                    }
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

    /// What SIGKILL did not end cannot be waited for.
    fn leave_the_rest(&mut self, now: Time) {
        let left = |node: &&Node| node.state != State::Stopped;
        let names: Vec<String> = self
            .nodes
            .iter()
            .filter(left)
            .map(|node| node.index.name())
            .collect();
        let names = names.join(", ");
        let message = format!("processes of {names} could not be killed; see `ps` for state D");
        self.emit(None, EventKind::Warning { message });
        self.end(now);
    }

    /// When no node has a process left, what the supervisor adopted is ended too.
    pub(super) fn end_when_empty(&mut self, now: Time) {
        let empty = self.nodes.iter().all(|node| node.state == State::Stopped);
        let StopBudget {
            grace, patience, ..
        } = self.budget();
        let Some(stop) = &mut self.stop else { return };
        if empty && stop.strays == Strays::NotYet {
            // What comes after the stop needs its part of the time, too.
            let until = (now + patience).min(stop.since + grace + patience);
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
        if left > 0 {
            let message = format!("{left} processes could not be killed; see `ps` for state D");
            self.emit(None, EventKind::Warning { message });
        }
        self.end(now);
    }

    fn end(&mut self, now: Time) {
        let Some(stop) = &mut self.stop else { return };
        stop.strays = Strays::Gone;
        let (code, after_ms) = (stop.code, millis(now.saturating_sub(stop.since)));
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
