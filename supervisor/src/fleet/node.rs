//! One node: its state, which owns the data that only makes sense in it.

use std::collections::VecDeque;
use std::time::Duration;

use repram_discovery::supervised::SiblingState;

use super::checks::Checks;
use super::exits::{Ending, Exits};
use super::policy::ProbeRecord;
use super::types::{NodeIndex, Ports, Time};
use crate::status::NodePhase;

/// One node of the fleet.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) index: NodeIndex,
    pub(super) ports: Option<Ports>,
    pub(super) door_open: bool,
    /// Set while the node has to leave its slot.
    pub(super) moving: Option<Move>,
    /// Whether our own action took it down, and it is not yet as good as it was before.
    pub(super) arriving: bool,
    pub(super) state: State,
    /// When `state` was entered.
    pub(super) since: Time,
    /// Failures since the last stable run.
    pub(super) failures: u32,
    /// Processes started under this supervisor.
    pub(super) starts: u64,
    pub(super) generation: u64,
    pub(super) exits: Exits,
    pub(super) message: Option<String>,
    /// What its processes answered, the latest last; at most [`PROBES_KEPT`].
    pub(super) probes: VecDeque<ProbeRecord>,
}

/// Answers of a node that are kept for people: enough to see a pattern, and little beside
/// what else is known of a node.
const PROBES_KEPT: usize = 10;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum State {
    /// No slot is free; the next look is due at `retry_at`, none while one is under way.
    NoPort { retry_at: Option<Time> },
    /// It starts at `start_at`; none while the brake holds it.
    Waiting { start_at: Option<Time> },
    /// The shell was told to start it and has not answered yet.
    Spawning,
    /// Its process runs.
    Running { process: Process, health: Health },
    /// It was told to finish and is killed at `kill_at`; none when it already was.
    Stopping {
        process: Process,
        kill_at: Option<Time>,
        cause: StopCause,
    },
    /// The main process has ended; what is left of it is looked at again at `check_at`,
    /// and killed from `kill_at` on. `told`: the strays were asked to finish.
    Clearing {
        pid: u32,
        check_at: Time,
        pause: Duration,
        kill_at: Time,
        told: bool,
        then: Next,
    },
    /// The budget is used up; it is tried again at `retry_at`, if at all.
    Failed { retry_at: Option<Time> },
    /// It has ended and stays so.
    Stopped,
}

/// The life of one process of a node.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Process {
    pub(super) pid: u32,
    pub(super) started: Time,
    /// Whether it has ever been ready.
    pub(super) was_ready: bool,
    /// Whether it has said itself that it is ready or not: then it is no longer asked.
    pub(super) notifies: bool,
    /// Whether it has said `WATCHDOG=1`.
    pub(super) beats: bool,
    /// What it is asked.
    pub(super) checks: Checks,
    /// Whether it is our own program, which is known to say how it does, and when it holds
    /// again what it should hold.
    pub(super) ours: bool,
    /// How long it may be silent, as it was told when it was started.
    pub(super) watchdog: Option<Duration>,
    /// When it said that it holds again what it should hold.
    pub(super) refilled: Option<Time>,
    /// Why it was told to finish; the first reason stays.
    pub(super) ending: Option<Ending>,
    /// Whether it was sent SIGKILL.
    pub(super) killed: bool,
}

/// What becomes of a node that has to leave its slot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Move {
    /// Its next slot; none when there is none yet.
    pub(super) ports: Option<Ports>,
    /// The last moment for its process to be gone.
    pub(super) until: Time,
}

/// How a running process does.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Health {
    /// Not ready yet; killed at `deadline`.
    Starting { deadline: Time },
    /// Ready since `since`.
    Ready { since: Time },
    /// Was ready, and is not now.
    Unready { reason: String },
}

/// What a node's process is ended for by us, which says what follows.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum StopCause {
    /// The fleet stops, or the node is no longer wanted.
    Wanted,
    /// It goes on in another slot.
    Moved,
    /// Somebody asked for a restart.
    Restart,
    /// It hangs or never got ready; this counts as a failure.
    Fault(String),
}

/// What follows when nothing is left of the old process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Next {
    /// It failed, before it was ever ready or after.
    Restart { early: bool },
    /// It goes on in another slot.
    Move,
    /// It goes on in its slot, because somebody asked for a restart.
    Again,
    /// It stays down.
    Stay,
}

impl Node {
    pub(super) fn new(index: NodeIndex) -> Self {
        Self {
            index,
            ports: None,
            door_open: true,
            moving: None,
            arriving: false,
            state: State::NoPort { retry_at: None },
            since: Time::ZERO,
            failures: 0,
            starts: 0,
            generation: 0,
            exits: Exits::default(),
            message: None,
            probes: VecDeque::with_capacity(PROBES_KEPT),
        }
    }

    /// Keeps an answer, in the place of the oldest one.
    pub(super) fn keep(&mut self, record: ProbeRecord) {
        if self.probes.len() == PROBES_KEPT {
            self.probes.pop_front();
        }
        self.probes.push_back(record);
    }

    pub(super) fn enter(&mut self, state: State, now: Time) {
        self.state = state;
        self.since = now;
    }

    pub(super) fn is_ready(&self) -> bool {
        matches!(
            self.state,
            State::Running {
                health: Health::Ready { .. },
                ..
            }
        )
    }

    /// The process, while its main process is believed to live.
    pub(super) fn process(&self) -> Option<&Process> {
        match &self.state {
            State::Running { process, .. } | State::Stopping { process, .. } => Some(process),
            State::NoPort { .. }
            | State::Waiting { .. }
            | State::Spawning
            | State::Clearing { .. }
            | State::Failed { .. }
            | State::Stopped => None,
        }
    }

    /// Takes note that its process was sent SIGKILL.
    pub(super) fn was_killed(&mut self) {
        if let State::Running { process, .. } | State::Stopping { process, .. } = &mut self.state {
            process.killed = true;
        }
    }

    pub(super) fn phase(&self) -> NodePhase {
        match &self.state {
            State::NoPort { .. } => NodePhase::NoPort,
            State::Waiting { .. } => NodePhase::Waiting,
            State::Spawning => NodePhase::Starting,
            State::Running { health, .. } => match health {
                Health::Starting { .. } => NodePhase::Starting,
                Health::Ready { .. } => NodePhase::Ready,
                Health::Unready { .. } => NodePhase::Unready,
            },
            State::Stopping { .. } => NodePhase::Stopping,
            State::Clearing { .. } => NodePhase::Clearing,
            State::Failed { .. } => NodePhase::Failed,
            State::Stopped => NodePhase::Stopped,
        }
    }

    /// What the other nodes are told: an unready node still answers them.
    pub(super) fn sibling_state(&self) -> SiblingState {
        match self.phase() {
            NodePhase::Starting => SiblingState::Starting,
            NodePhase::Ready | NodePhase::Unready => SiblingState::Ready,
            NodePhase::Stopping => SiblingState::Stopping,
            NodePhase::NoPort
            | NodePhase::Waiting
            | NodePhase::Clearing
            | NodePhase::Failed
            | NodePhase::Stopped => SiblingState::Dead,
        }
    }

    /// When the node wants to be looked at.
    pub(super) fn deadline(&self) -> Option<Time> {
        match &self.state {
            State::NoPort { retry_at } | State::Failed { retry_at } => *retry_at,
            State::Waiting { start_at } => *start_at,
            State::Running { process, health } => {
                let ready = health.deadline();
                ready.into_iter().chain(process.checks.deadline()).min()
            }
            State::Stopping { kill_at, .. } => *kill_at,
            State::Clearing { check_at, .. } => Some(*check_at),
            State::Spawning | State::Stopped => None,
        }
    }
}

impl Process {
    /// The same process, told to finish.
    pub(super) fn told(&self, ending: Ending) -> Self {
        let mut told = self.clone();
        told.ending.get_or_insert(ending);
        told
    }
}

impl Health {
    fn deadline(&self) -> Option<Time> {
        match self {
            Self::Starting { deadline } => Some(*deadline),
            Self::Ready { .. } | Self::Unready { .. } => None,
        }
    }
}
