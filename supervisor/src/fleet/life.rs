//! The life of one node: claims, starts, exits, restarts, the door.

use std::time::Duration;

use super::checks::Checks;
use super::core::{Fleet, millis};
use super::exits::{EndedLife, Ending, ExitRecord};
use super::node::{Health, Next, Node, Process, State, StopCause};
use super::types::{NodeIndex, OnFailed, Output, Ports, Sig, Time};
use crate::event::EventKind;
use crate::exit::{Ended, ExitClass};
use crate::status::FollowUp;

/// How often a node without a slot looks for one.
const CLAIM_RETRY: Duration = Duration::from_secs(5);

/// How soon a node looks for another slot when a stranger took its own just before it
/// could bind it. Not at once, so that a thief that follows us does not make us spin.
const CLAIM_AGAIN: Duration = Duration::from_millis(100);

/// A door is closed when its node stays away for longer than this: clients had better be
/// refused than wait.
const DOOR_PATIENCE: Duration = Duration::from_secs(1);

/// The pause between two looks at what is left of a process doubles from here.
const FIRST_LOOK: Duration = Duration::from_millis(2);

/// And up to here.
const LONGEST_LOOK: Duration = Duration::from_millis(100);

impl Fleet {
    pub(super) fn claimed(&mut self, index: NodeIndex, ports: Ports, now: Time) {
        let begun = self.begun;
        let node = self.node_mut(index);
        let State::NoPort { .. } = node.state else {
            return;
        };
        node.ports = Some(ports);
        // Before the start the whole table is shown; later it is news.
        if begun {
            let (http_port, gossip_port) = (ports.http, ports.gossip);
            self.emit(
                Some(index),
                EventKind::NodeClaimed {
                    http_port,
                    gossip_port,
                },
            );
            let start_at = self.staggered(now);
            self.start_at(index, start_at, now);
        }
    }

    pub(super) fn not_claimed(&mut self, index: NodeIndex, holders: String, now: Time) {
        let node = self.node_mut(index);
        let State::NoPort { .. } = node.state else {
            return;
        };
        let first = node.message.as_deref() != Some(holders.as_str());
        node.message = Some(holders.clone());
        node.state = State::NoPort {
            retry_at: Some(now + CLAIM_RETRY),
        };
        let reason = format!("no slot is free for it: {holders}");
        if first {
            self.emit(Some(index), EventKind::NodeWithoutPort { holders });
        }
        self.came_back_worse(index, &reason);
    }

    pub(super) fn slot_lost(&mut self, index: NodeIndex, holders: String, now: Time) {
        let node = self.node_mut(index);
        let State::Spawning = node.state else { return };
        node.ports = None;
        let cause = format!("its port was taken before it could be started: {holders}");
        node.exits.push(ExitRecord {
            time: now,
            class: ExitClass::PortConflict,
            cause,
            life: None,
            follow_up: None,
        });
        if self.stays_down(index, now) {
            return;
        }
        let retry_at = Some(now + CLAIM_AGAIN);
        let node = self.node_mut(index);
        node.exits.follow_up(FollowUp::LookForPort);
        node.enter(State::NoPort { retry_at }, now);
        let message = format!("its slot was taken, it looks for another: {holders}");
        self.emit(Some(index), EventKind::Warning { message });
        if self.brake.canary() == Some(index) {
            self.next_canary(now);
        }
    }

    pub(super) fn spawned(&mut self, index: NodeIndex, pid: u32, generation: u64, now: Time) {
        let ours = self.config.notifies;
        let watchdog = self.config.liveness.map(|policy| policy.watchdog());
        let deadline = now + self.config.start_timeout;
        let node = self.node_mut(index);
        assert!(
            node.state == State::Spawning,
            "a process was started that nobody asked for"
        );
        let process = Process {
            pid,
            started: now,
            was_ready: false,
            notifies: false,
            beats: false,
            checks: Checks::none(),
            ours,
            watchdog,
            refilled: None,
            ending: None,
            killed: false,
        };
        let health = Health::Starting { deadline };
        node.enter(State::Running { process, health }, now);
        node.starts += 1;
        node.generation = generation;
        node.message = None;
        let ports = node.ports.expect("only a node with ports is started");
        let (http_port, gossip_port) = (ports.http, ports.gossip);
        let kind = EventKind::NodeStarted {
            pid,
            generation,
            http_port,
            gossip_port,
        };
        self.emit(Some(index), kind);
        if let Some(kill_at) = self.stop_kills_at() {
            let ending = Ending::new(ExitClass::Stop, "the fleet stops");
            self.stop_node(index, ending, kill_at, now);
        } else if !self.is_wanted(index) {
            let ending = Ending::new(ExitClass::ScaleDown, "the fleet was scaled down");
            self.stop_node(index, ending, now + self.grace(), now);
        } else {
            self.begin_checks(index, now);
        }
    }

    pub(super) fn spawn_failed(&mut self, index: NodeIndex, error: String, now: Time) {
        let State::Spawning = self.node(index).state else {
            return;
        };
        let node = self.node_mut(index);
        node.message = Some(error.clone());
        node.exits.push(ExitRecord {
            time: now,
            class: ExitClass::StartFailed,
            cause: format!("it could not be started: {error}"),
            life: None,
            follow_up: None,
        });
        let reason = format!("it could not be started: {error}");
        self.emit(Some(index), EventKind::NodeStartFailed { error });
        if !self.stays_down(index, now) {
            self.came_back_worse(index, &reason);
            self.failed(index, true, now);
        }
    }

    /// A node that is to stop and whose start came to nothing has stopped.
    fn stays_down(&mut self, index: NodeIndex, now: Time) -> bool {
        let stays = self.stop.is_some() || !self.is_wanted(index);
        if stays {
            let node = self.node_mut(index);
            node.exits.follow_up(FollowUp::StayDown);
            node.enter(State::Stopped, now);
            self.end_when_empty(now);
        }
        stays
    }

    pub(super) fn exited(&mut self, index: NodeIndex, pid: u32, ended: Ended, now: Time) {
        let stable = self.is_stable(self.node(index), now);
        let stop_kill = self.stop_kills_at();
        let node = self.node_mut(index);
        let restart = |process: &Process| Next::Restart {
            early: !process.was_ready,
        };
        let (process, next) = match &node.state {
            State::Running { process, .. } if process.pid == pid => (process, restart(process)),
            State::Stopping { process, cause, .. } if process.pid == pid => match cause {
                StopCause::Wanted => (process, Next::Stay),
                StopCause::Moved => (process, Next::Move),
                StopCause::Restart => (process, Next::Again),
                StopCause::Fault(_) => (process, restart(process)),
            },
            _ => return,
        };
        let process = process.clone();
        if stable {
            node.failures = 0;
        }
        let ending = process.ending.clone();
        let Ending { class, cause } = ending.unwrap_or_else(|| Ending::by_itself(&ended, now));
        node.exits.push(ExitRecord {
            time: now,
            class,
            cause,
            life: Some(EndedLife {
                pid,
                generation: node.generation,
                started: process.started,
                was_ready: process.was_ready,
                killed: process.killed,
                ended,
            }),
            follow_up: None,
        });
        // Only in a stop do helpers get the rest of the grace; otherwise they would
        // delay the restart, and may hold what the successor needs.
        let by_itself = matches!(node.state, State::Running { .. });
        let kill_at = stop_kill.unwrap_or(now);
        let state = State::Clearing {
            pid,
            check_at: now,
            pause: FIRST_LOOK,
            kill_at,
            told: false,
            then: next,
        };
        node.enter(state, now);
        let (reason, after_ms) = (ended.reason, millis(now.saturating_sub(process.started)));
        let kind = EventKind::NodeExited {
            pid,
            reason,
            class,
            after_ms,
        };
        self.emit(Some(index), kind);
        if by_itself {
            self.came_back_worse(index, &format!("it ended: {reason}"));
        }
        self.look_after(index, now);
    }

    /// Looks at what is left of an ended process.
    pub(super) fn look_after(&mut self, index: NodeIndex, now: Time) {
        let State::Clearing {
            pid,
            check_at,
            pause,
            kill_at,
            told,
            ..
        } = &mut self.node_mut(index).state
        else {
            return;
        };
        let pid = *pid;
        let signal = match *kill_at <= now {
            true => Some(Sig::Kill),
            false => (!*told).then_some(Sig::Term),
        };
        *told = true;
        *check_at = now + *pause;
        *pause = (*pause * 2).min(LONGEST_LOOK);
        self.outputs.push(Output::Clear {
            node: index,
            pid,
            signal,
        });
    }

    pub(super) fn cleared(&mut self, index: NodeIndex, old: u32, left: usize, now: Time) {
        let node = self.node_mut(index);
        let State::Clearing { pid, then, .. } = node.state else {
            return;
        };
        if pid != old || left > 0 {
            return;
        }
        match then {
            Next::Stay => {
                node.exits.follow_up(FollowUp::StayDown);
                node.enter(State::Stopped, now);
                self.end_when_empty(now);
            }
            Next::Move => drop(self.end_move(index, now)),
            Next::Again => {
                if !self.end_move(index, now) {
                    self.node_mut(index).exits.follow_up(FollowUp::StartAgain);
                    let start_at = self.staggered(now);
                    self.start_at(index, start_at, now);
                }
            }
            Next::Restart { early } => {
                self.failed(index, early, now);
                // It failed before it was told to leave, so that it waits in the new slot as
                // it would have in the old one.
                self.end_move(index, now);
            }
        }
    }

    /// Nothing is left of a process that failed: what now?
    fn failed(&mut self, index: NodeIndex, early: bool, now: Time) {
        let policy = self.config.restart;
        let node = &mut self.nodes[index.at()];
        node.failures = node.failures.saturating_add(1);
        let failures = node.failures;
        if failures >= policy.budget {
            return self.give_up(index, now);
        }
        let delay = policy.delay_after(failures, &mut self.random);
        node.enter(
            State::Waiting {
                start_at: Some(now + delay),
            },
            now,
        );
        let count = self.config.node_count;
        if self.brake.note(index, early || failures >= 2, count, now) {
            self.engage_brake();
        }
        if let Some(canary) = self.brake.canary().filter(|canary| *canary != index) {
            let canary = canary.name();
            self.node_mut(index)
                .exits
                .follow_up(FollowUp::Brake { canary });
            return self.hold(index);
        }
        let delay_ms = millis(delay);
        self.node_mut(index).exits.follow_up(FollowUp::Restart {
            delay_ms,
            failures,
            budget: policy.budget,
        });
        self.emit(
            Some(index),
            EventKind::NodeRestarting { delay_ms, failures },
        );
        if delay > DOOR_PATIENCE {
            self.set_door(index, false);
        }
    }

    fn give_up(&mut self, index: NodeIndex, now: Time) {
        let retry = self.config.restart.delay_max;
        let retry_at = match self.config.on_failed {
            OnFailed::SlowRetry => Some(now + retry),
            OnFailed::Exit | OnFailed::Keep => None,
        };
        let node = self.node_mut(index);
        node.enter(State::Failed { retry_at }, now);
        let failures = node.failures;
        let retry_ms = retry_at.map(|_| millis(retry));
        node.exits.follow_up(FollowUp::Fail { failures, retry_ms });
        self.emit(Some(index), EventKind::NodeFailed { failures, retry_ms });
        self.came_back_worse(index, &format!("it failed {failures} times"));
        self.set_door(index, false);
        if self.brake.canary() == Some(index) {
            self.next_canary(now);
        }
        self.end_if_too_few(now);
    }

    /// Where that is wanted, the fleet ends when too many of its nodes have failed.
    pub(super) fn end_if_too_few(&mut self, now: Time) {
        let wanted = self.nodes.iter().filter(|node| self.is_wanted(node.index));
        let (failed, able): (Vec<&Node>, Vec<&Node>) =
            wanted.partition(|node| matches!(node.state, State::Failed { .. }));
        let too_few = !failed.is_empty() && able.len() < usize::from(self.config.min_ready.max(1));
        let failed: Vec<String> = failed.iter().map(|node| node.index.name()).collect();
        if self.config.on_failed == OnFailed::Exit && too_few && self.stop.is_none() {
            let by = format!("ON_FAILED=exit: {} failed for good", failed.join(", "));
            self.emit(None, EventKind::FleetStopping { by: by.clone() });
            self.begin_stop(1, false, &by, now);
        }
    }

    /// Starts the node at `at`, or when the brake lets it; it has a slot. Its door is closed
    /// when that is a while from now. One that was given up stays so, in whatever slot.
    pub(super) fn start_at(&mut self, index: NodeIndex, at: Time, now: Time) {
        let gives_up = match self.config.on_failed {
            OnFailed::SlowRetry => false,
            OnFailed::Exit | OnFailed::Keep => true,
        };
        if gives_up && self.node(index).failures >= self.config.restart.budget {
            let retry_at = None;
            self.node_mut(index).enter(State::Failed { retry_at }, now);
            return self.set_door(index, false);
        }
        let start_at = Some(at);
        self.node_mut(index).enter(State::Waiting { start_at }, now);
        if self.brake.canary().is_some_and(|canary| canary != index) {
            self.hold(index);
        } else if at.saturating_sub(now) > DOOR_PATIENCE {
            self.set_door(index, false);
        }
    }

    /// When the next of several nodes starts that could all start now.
    pub(super) fn staggered(&mut self, now: Time) -> Time {
        let at = self.next_start.max(now);
        self.next_start = at + self.config.start_stagger;
        at
    }

    pub(super) fn node_deadline(&mut self, index: NodeIndex, now: Time) {
        match &mut self.node_mut(index).state {
            State::NoPort { retry_at } => {
                *retry_at = None;
                self.outputs.push(Output::Claim(index));
            }
            State::Waiting { .. } | State::Failed { .. } => self.spawn(index, now),
            State::Running { .. } => self.health_deadline(index, now),
            State::Stopping {
                process, kill_at, ..
            } => {
                *kill_at = None;
                let pid = process.pid;
                self.kill(index, pid);
            }
            State::Clearing { .. } => self.look_after(index, now),
            State::Spawning | State::Stopped => {}
        }
    }

    /// Asks the process of a node to end, and kills it when it did not until `kill_at`. Nothing
    /// happens, and the answer is no, when none is running that was not asked before.
    pub(super) fn terminate(
        &mut self,
        index: NodeIndex,
        ending: Ending,
        cause: StopCause,
        kill_at: Time,
        now: Time,
    ) -> bool {
        let node = self.node_mut(index);
        let State::Running { process, .. } = &node.state else {
            return false;
        };
        let (class, reason) = (ending.class, ending.cause.clone());
        let process = process.told(ending);
        let pid = process.pid;
        // Whoever stops nodes for good says so of all of them.
        let is_news = cause != StopCause::Wanted;
        let kill_at = Some(kill_at);
        node.enter(
            State::Stopping {
                process,
                kill_at,
                cause,
            },
            now,
        );
        if is_news {
            self.emit(Some(index), EventKind::NodeStopping { class, reason });
        }
        self.outputs.push(Output::Signal {
            node: index,
            pid,
            signal: Sig::Term,
        });
        true
    }

    /// Kills a process that did not end in its grace.
    pub(super) fn kill(&mut self, index: NodeIndex, pid: u32) {
        self.outputs.push(Output::Signal {
            node: index,
            pid,
            signal: Sig::Kill,
        });
        self.node_mut(index).was_killed();
        let reason = "it did not end in time".to_owned();
        self.emit(Some(index), EventKind::NodeKilled { reason });
    }

    fn spawn(&mut self, index: NodeIndex, now: Time) {
        self.set_door(index, true);
        self.node_mut(index).enter(State::Spawning, now);
        self.outputs.push(Output::Spawn(index));
    }

    pub(super) fn set_door(&mut self, index: NodeIndex, open: bool) {
        let node = self.node_mut(index);
        if node.door_open == open {
            return;
        }
        node.door_open = open;
        self.outputs.push(Output::Door { node: index, open });
        let kind = if open {
            EventKind::DoorOpened
        } else {
            EventKind::DoorClosed
        };
        self.emit(Some(index), kind);
    }
}
