//! How a running process does: readiness, liveness, and what it says of itself.

use std::time::Duration;

use super::core::{Fleet, millis};
use super::node::{Asking, Health, Life, Node, State, StopCause};
use super::types::{Answer, NodeIndex, Notice, Output, Sig, Time};
use crate::event::EventKind;

/// The first question to a node that does not notify, after its start.
pub(super) const FIRST_ASKING: Duration = Duration::from_millis(20);

/// The pause between two questions to a starting node doubles up to this.
const LONGEST_ASKING: Duration = Duration::from_secs(1);

/// Longest STATUS text that is kept, in bytes.
const MESSAGE_MAX: usize = 256;

impl Fleet {
    pub(super) fn notified(&mut self, index: NodeIndex, pid: u32, notice: Notice, now: Time) {
        let liveness = self.config.liveness;
        let node = self.node_mut(index);
        if node.process().is_none_or(|process| process.pid != pid) {
            return;
        }
        if let Notice::Status(text) = notice {
            node.message = Some(shortened(text));
            return;
        }
        let State::Running { process, health } = &mut node.state else {
            return;
        };
        match notice {
            Notice::Ready => {
                process.notifies = true;
                if let Some(life @ Life::Probed { .. }) = health.life_mut() {
                    *life = Life::Unchecked;
                }
                self.became_ready(index, now);
            }
            Notice::Stopping => {
                process.notifies = true;
                self.no_longer_ready(index, "it says that it is stopping".into(), now);
            }
            Notice::Watchdog => {
                process.notifies = true;
                if let (Some(life), Some(policy)) = (health.life_mut(), liveness) {
                    life.fed(now + policy.watchdog());
                }
            }
            Notice::WatchdogTrigger => self.hang(index, "it asked for it".into(), now),
            Notice::Refilled => drop(process.refilled.get_or_insert(now)),
            Notice::Status(_) | Notice::Conflict(_) => {}
        }
    }

    pub(super) fn probed(&mut self, index: NodeIndex, pid: u32, answer: Answer, now: Time) {
        let liveness = self.config.liveness;
        let State::Running { process, health } = &mut self.node_mut(index).state else {
            return;
        };
        if process.pid != pid {
            return;
        }
        match health {
            Health::Starting { probe, .. } => {
                let Asking::Awaited { pause } = *probe else {
                    return;
                };
                if answer == Answer::Ready {
                    self.became_ready(index, now);
                } else {
                    let pause = (pause * 2).min(LONGEST_ASKING);
                    *probe = Asking::At {
                        time: now + pause,
                        pause,
                    };
                }
            }
            Health::Ready { life, .. } | Health::Unready { life } => {
                let (
                    Life::Probed {
                        time,
                        unready,
                        silent,
                    },
                    Some(policy),
                ) = (life, liveness)
                else {
                    return;
                };
                *time = Some(now + policy.period);
                let (ready, alive) = (
                    answer == Answer::Ready,
                    !matches!(answer, Answer::Nothing(_)),
                );
                *unready = if ready { 0 } else { *unready + 1 };
                *silent = if alive { 0 } else { *silent + 1 };
                let (unready, silent) = (*unready >= policy.failures, *silent >= policy.failures);
                match answer {
                    Answer::Ready => self.became_ready(index, now),
                    Answer::Nothing(why) if silent => self.hang(index, why, now),
                    Answer::Alive(why) | Answer::Nothing(why) if unready => {
                        self.no_longer_ready(index, why, now);
                    }
                    Answer::Alive(_) | Answer::Nothing(_) => {}
                }
            }
        }
    }

    pub(super) fn became_ready(&mut self, index: NodeIndex, now: Time) {
        let life = self.first_life(index, now);
        let State::Running { process, health } = &mut self.node_mut(index).state else {
            return;
        };
        let life = match health {
            Health::Starting { .. } => life,
            Health::Ready { .. } => return,
            Health::Unready { life } => life.clone(),
        };
        process.was_ready = true;
        *health = Health::Ready { since: now, life };
        let after_ms = millis(now.saturating_sub(process.started));
        self.node_mut(index).since = now;
        self.emit(Some(index), EventKind::NodeReady { after_ms });
        if self.brake.canary() == Some(index) {
            self.release_brake(now);
        }
    }

    /// How the life of a node is watched that has just become ready. The phases of nodes
    /// that are asked are spread over the period; what notifies is watched from its first
    /// `WATCHDOG=1` on, so that a program that knows READY only is left alone.
    fn first_life(&self, index: NodeIndex, now: Time) -> Life {
        let Some(policy) = self.config.liveness else {
            return Life::Unchecked;
        };
        let State::Running { process, .. } = &self.node(index).state else {
            return Life::Unchecked;
        };
        if process.notifies {
            return Life::Unchecked;
        }
        let share = u32::from(index.0) + 1;
        let phase = policy.period * share / u32::from(self.config.node_count);
        Life::Probed {
            time: Some(now + phase),
            unready: 0,
            silent: 0,
        }
    }

    fn no_longer_ready(&mut self, index: NodeIndex, reason: String, now: Time) {
        let stable = self.is_stable(self.node(index), now);
        let node = self.node_mut(index);
        let State::Running { health, .. } = &mut node.state else {
            return;
        };
        let Health::Ready { life, .. } = health else {
            return;
        };
        *health = Health::Unready { life: life.clone() };
        node.since = now;
        if stable {
            node.failures = 0;
        }
        self.emit(
            Some(index),
            EventKind::NodeUnready {
                reason: reason.clone(),
            },
        );
        self.came_back_worse(index, &format!("it is not ready: {reason}"));
    }

    /// The node shows no life. It is not ready, so it may be ended at any time.
    fn hang(&mut self, index: NodeIndex, reason: String, now: Time) {
        self.no_longer_ready(index, reason.clone(), now);
        self.end_faulty(index, format!("no sign of life: {reason}"), now);
    }

    /// Ends a process for its own fault, which counts as a failure.
    pub(super) fn end_faulty(&mut self, index: NodeIndex, reason: String, now: Time) {
        let kill_at = now + self.grace();
        let node = self.node_mut(index);
        let State::Running { process, .. } = &node.state else {
            return;
        };
        let process = process.clone();
        let pid = process.pid;
        let cause = StopCause::Fault(reason.clone());
        node.enter(
            State::Stopping {
                process,
                kill_at: Some(kill_at),
                cause,
            },
            now,
        );
        let worse = format!("it had to be ended: {reason}");
        self.emit(Some(index), EventKind::NodeStopping { reason });
        self.outputs.push(Output::Signal {
            node: index,
            pid,
            signal: Sig::Term,
        });
        self.came_back_worse(index, &worse);
    }

    pub(super) fn health_deadline(
        &mut self,
        index: NodeIndex,
        pid: u32,
        health: Health,
        now: Time,
    ) {
        let next = match health {
            Health::Starting { deadline, .. } if deadline <= now => {
                let limit = millis(self.config.start_timeout);
                let reason = format!("not ready within {}", crate::event::span(limit));
                return self.end_faulty(index, reason, now);
            }
            Health::Starting {
                deadline,
                probe: Asking::At { pause, .. },
            } => Health::Starting {
                deadline,
                probe: Asking::Awaited { pause },
            },
            Health::Ready {
                since,
                life: Life::Probed {
                    unready, silent, ..
                },
            } => Health::Ready {
                since,
                life: Life::Probed {
                    time: None,
                    unready,
                    silent,
                },
            },
            Health::Unready {
                life: Life::Probed {
                    unready, silent, ..
                },
            } => Health::Unready {
                life: Life::Probed {
                    time: None,
                    unready,
                    silent,
                },
            },
            Health::Ready { life, .. } | Health::Unready { life } => {
                return self.watchdog_deadline(index, &life, now);
            }
            Health::Starting { .. } => return,
        };
        if let State::Running { health, .. } = &mut self.node_mut(index).state {
            *health = next;
        }
        self.outputs.push(Output::Probe { node: index, pid });
    }

    /// The watchdog's timer fired; since then the node may have notified.
    fn watchdog_deadline(&mut self, index: NodeIndex, life: &Life, now: Time) {
        let Life::Watchdog { deadline, .. } = *life else {
            return;
        };
        if deadline <= now {
            let span = self
                .config
                .liveness
                .map_or(Duration::ZERO, |policy| policy.watchdog());
            let text = format!("no WATCHDOG=1 for {}", crate::event::span(millis(span)));
            return self.hang(index, text, now);
        }
        if let State::Running { health, .. } = &mut self.node_mut(index).state
            && let Some(Life::Watchdog { checked, .. }) = health.life_mut()
        {
            *checked = deadline;
        }
    }

    /// Whether the node has been ready for long enough to be forgiven.
    pub(super) fn is_stable(&self, node: &Node, now: Time) -> bool {
        match node.state {
            State::Running {
                health: Health::Ready { since, .. },
                ..
            } => now.saturating_sub(since) >= self.config.restart.stable,
            _ => false,
        }
    }
}

impl Health {
    fn life_mut(&mut self) -> Option<&mut Life> {
        match self {
            Self::Starting { .. } => None,
            Self::Ready { life, .. } | Self::Unready { life } => Some(life),
        }
    }
}

impl Life {
    /// A notification came: the next must come before `until`. What was asked until now
    /// is watched from here on.
    fn fed(&mut self, until: Time) {
        match self {
            Self::Watchdog { deadline, .. } => *deadline = until,
            Self::Unchecked | Self::Probed { .. } => {
                *self = Self::Watchdog {
                    deadline: until,
                    checked: until,
                };
            }
        }
    }
}

fn shortened(mut text: String) -> String {
    let mut end = text.len().min(MESSAGE_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}
