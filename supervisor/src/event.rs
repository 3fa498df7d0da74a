//! What happens to the fleet, as the log, the console and the control API tell it.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::exit::{ExitClass, ExitReason};

/// One thing that happened, with the wall-clock time at which the supervisor learnt of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// When, in UTC.
    pub time: Timestamp,
    /// The node it concerns, such as `flux-node-2`; none when it concerns the fleet.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub node: Option<String>,
    /// What.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What happened. The `event` field of the JSON form is the variant's name in snake case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventKind {
    /// The supervisor begins to start its nodes.
    FleetStarting {
        /// Nodes it is to run.
        node_count: u16,
    },
    /// Every node that has a port is ready.
    FleetReady {
        /// Nodes that are ready.
        ready: u16,
        /// Milliseconds since the supervisor's start, or since not all were ready.
        after_ms: u64,
    },
    /// So many nodes failed together that one of them now goes ahead alone.
    FleetBraked {
        /// The node that goes ahead; the others follow when it is ready.
        canary: String,
    },
    /// The canary is ready: the others follow.
    FleetReleased,
    /// The settings were read again, and are in use from now on.
    Reloaded {
        /// Who or what asked.
        by: String,
        /// The settings that are different, such as `MIN_READY 2 -> 1`.
        changes: Vec<String>,
    },
    /// The settings were read again, and cannot be used. Nothing has changed.
    ReloadRefused {
        /// Who or what asked.
        by: String,
        /// Why not: all problems.
        problems: Vec<String>,
    },
    /// A stop was asked for.
    FleetStopping {
        /// Who or what asked, such as `SIGTERM from pid 1`.
        by: String,
    },
    /// The grace is over, or a second signal came: what is left is killed.
    FleetKilling,
    /// No process is left.
    FleetStopped {
        /// Milliseconds since the stop was asked for.
        after_ms: u64,
    },
    /// Somebody asked for a change of the running fleet, and it begins.
    ChangeStarted {
        /// Its number; every event of it has it.
        change: u64,
        /// What it does, such as `rolling restart of flux-node-1, flux-node-2`.
        what: String,
        /// Who asked.
        by: String,
    },
    /// A rolling restart has come to the node.
    ChangeStep {
        /// Which change.
        change: u64,
        /// The how many-th node it is, from 1.
        step: u16,
        /// Of so many.
        of: u16,
    },
    /// A change cannot go on now, and waits until it can.
    ChangeWaiting {
        /// Which change.
        change: u64,
        /// What it waits for.
        reason: String,
    },
    /// A change has ended before it was done.
    ChangeHalted {
        /// Which change.
        change: u64,
        /// Why.
        reason: String,
        /// Nodes that it had not come to: they are as they were.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        untouched: Vec<String>,
    },
    /// A change is done.
    ChangeDone {
        /// Which change.
        change: u64,
        /// Milliseconds since it began.
        after_ms: u64,
    },
    /// A process was started for the node.
    NodeStarted {
        /// Its process id.
        pid: u32,
        /// How many times this identity has been started.
        generation: u64,
        /// Its HTTP port.
        http_port: u16,
        /// Its gossip port.
        gossip_port: u16,
    },
    /// The program could not be started at all.
    NodeStartFailed {
        /// What the system said.
        error: String,
    },
    /// The node answers.
    NodeReady {
        /// Milliseconds since its process was started.
        after_ms: u64,
    },
    /// The node no longer counts as ready, though its process lives.
    NodeUnready {
        /// Why.
        reason: String,
    },
    /// The main process of the node ended.
    NodeExited {
        /// Its process id.
        pid: u32,
        /// How it ended.
        reason: ExitReason,
        /// Why, in one word.
        class: ExitClass,
        /// Milliseconds since its start.
        after_ms: u64,
    },
    /// The node will be started again.
    NodeRestarting {
        /// Milliseconds until then.
        delay_ms: u64,
        /// Failures since the node last ran stably.
        failures: u32,
    },
    /// The restart budget is used up.
    NodeFailed {
        /// Failures since the node last ran stably.
        failures: u32,
        /// Milliseconds until it is tried all the same; none when it is not.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        retry_ms: Option<u64>,
    },
    /// The supervisor ends the node's process.
    NodeStopping {
        /// Why, in one word.
        class: ExitClass,
        /// Why.
        reason: String,
    },
    /// The node or what was left of its process group is killed.
    NodeKilled {
        /// Why.
        reason: String,
    },
    /// No slot of the range is free for the node.
    NodeWithoutPort {
        /// Who holds what.
        holders: String,
    },
    /// The node got a slot, at the start or after it had to wait for one.
    NodeClaimed {
        /// Its HTTP port.
        http_port: u16,
        /// Its gossip port.
        gossip_port: u16,
    },
    /// The node stays away for longer: new connections are refused, its ports stay ours.
    DoorClosed,
    /// Connections are taken again.
    DoorOpened,
    /// A node is ready: the front port takes connections.
    IngressOpened {
        /// The front port.
        port: u16,
    },
    /// No node is ready: the front port refuses connections and stays ours.
    IngressClosed {
        /// The front port.
        port: u16,
    },
    /// Log lines had to be dropped.
    LogLinesDropped {
        /// Where they were to go: `file`, `stdout` or `follower`.
        to: String,
        /// How many lines.
        lines: u64,
        /// Why: what was too slow, or what the system said.
        reason: String,
    },
    /// Something a person should know.
    Warning {
        /// What, and what to do about it.
        message: String,
    },
}

impl EventKind {
    /// How much attention it asks for.
    #[must_use]
    pub fn severity(&self) -> Severity {
        match self {
            Self::NodeStartFailed { .. } | Self::NodeFailed { .. } | Self::ChangeHalted { .. } => {
                Severity::Error
            }
            Self::NodeExited { reason, .. } if reason.is_failure() => Severity::Warning,
            Self::FleetBraked { .. }
            | Self::FleetKilling
            | Self::ChangeWaiting { .. }
            | Self::NodeUnready { .. }
            | Self::NodeKilled { .. }
            | Self::NodeWithoutPort { .. }
            | Self::ReloadRefused { .. }
            | Self::DoorClosed
            | Self::IngressClosed { .. }
            | Self::LogLinesDropped { .. }
            | Self::Warning { .. } => Severity::Warning,
            Self::FleetReady { .. } | Self::NodeReady { .. } | Self::ChangeDone { .. } => {
                Severity::Good
            }
            Self::FleetStarting { .. }
            | Self::FleetReleased
            | Self::Reloaded { .. }
            | Self::FleetStopping { .. }
            | Self::FleetStopped { .. }
            | Self::ChangeStarted { .. }
            | Self::ChangeStep { .. }
            | Self::NodeStarted { .. }
            | Self::NodeExited { .. }
            | Self::NodeRestarting { .. }
            | Self::NodeStopping { .. }
            | Self::NodeClaimed { .. }
            | Self::DoorOpened
            | Self::IngressOpened { .. } => Severity::Plain,
        }
    }
}

/// How much attention an event asks for; a terminal shows it as a colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// As it should be.
    Good,
    /// For the record.
    Plain,
    /// Worth a look.
    Warning,
    /// Somebody has to act.
    Error,
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FleetStarting { node_count } => {
                write!(f, "starting {}", count((*node_count).into(), "node"))
            }
            Self::FleetReady { ready, after_ms } => {
                let after = span(*after_ms);
                match ready {
                    1 => write!(f, "the node is ready after {after}"),
                    _ => write!(f, "all {ready} nodes ready after {after}"),
                }
            }
            Self::FleetBraked { canary } => {
                write!(
                    f,
                    "too many failures at once: {canary} goes ahead alone, the rest wait"
                )
            }
            Self::FleetReleased => write!(f, "canary ready, the others follow"),
            Self::Reloaded { by, changes } if changes.is_empty() => {
                write!(
                    f,
                    "settings read again, asked by {by}: nothing is different"
                )
            }
            Self::Reloaded { by, changes } => {
                write!(
                    f,
                    "settings reloaded, asked by {by}: {}",
                    changes.join(", ")
                )
            }
            Self::ReloadRefused { by, problems } => {
                let problems = problems.join("; ");
                write!(f, "settings not reloaded, asked by {by}: {problems}")
            }
            Self::FleetStopping { by } => write!(f, "stopping, asked by {by}"),
            Self::FleetKilling => write!(f, "killing what is left"),
            Self::FleetStopped { after_ms } => write!(f, "stopped after {}", span(*after_ms)),
            Self::DoorClosed => write!(f, "door closed: connections are refused, ports are kept"),
            Self::DoorOpened => write!(f, "door open"),
            Self::IngressOpened { port } => write!(f, "front port {port} open"),
            Self::IngressClosed { port } => {
                write!(f, "front port {port} closed: no node is ready")
            }
            Self::LogLinesDropped { to, lines, reason } => {
                let lines = count(*lines, "log line");
                write!(f, "{lines} dropped on the way to the {to}: {reason}")
            }
            Self::Warning { message } => write!(f, "{message}"),
            Self::ChangeStarted { .. }
            | Self::ChangeStep { .. }
            | Self::ChangeWaiting { .. }
            | Self::ChangeHalted { .. }
            | Self::ChangeDone { .. } => fmt_change(self, f),
            node => fmt_node(node, f),
        }
    }
}

/// The part of `Display` that concerns changes.
fn fmt_change(kind: &EventKind, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match kind {
        EventKind::ChangeStarted { change, what, by } => {
            write!(f, "change {change}: {what}, asked by {by}")
        }
        EventKind::ChangeStep { change, step, of } => write!(f, "change {change}: {step} of {of}"),
        EventKind::ChangeWaiting { change, reason } => write!(f, "change {change} waits: {reason}"),
        EventKind::ChangeHalted {
            change,
            reason,
            untouched,
        } => {
            write!(f, "change {change} halted: {reason}")?;
            match untouched.as_slice() {
                [] => Ok(()),
                nodes => write!(f, "; left alone: {}", nodes.join(", ")),
            }
        }
        EventKind::ChangeDone { change, after_ms } => {
            write!(f, "change {change} done after {}", span(*after_ms))
        }
        _ => Ok(()),
    }
}

/// The part of `Display` that concerns single nodes.
fn fmt_node(kind: &EventKind, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match kind {
        EventKind::NodeStarted {
            pid,
            generation,
            http_port,
            gossip_port,
        } => write!(
            f,
            "started, pid {pid}, generation {generation}, http {http_port}, gossip {gossip_port}"
        ),
        EventKind::NodeStartFailed { error } => write!(f, "could not be started: {error}"),
        EventKind::NodeReady { after_ms } => write!(f, "ready after {}", span(*after_ms)),
        EventKind::NodeUnready { reason } => write!(f, "not ready: {reason}"),
        EventKind::NodeExited {
            pid,
            reason,
            class,
            after_ms,
        } => {
            write!(f, "pid {pid} ended after {}: {reason}", span(*after_ms))?;
            match class {
                ExitClass::OomKill => write!(f, ", probably for want of memory"),
                _ => Ok(()),
            }
        }
        EventKind::NodeRestarting { delay_ms: 0, .. } => write!(f, "starting again now"),
        EventKind::NodeRestarting { delay_ms, failures } => {
            write!(
                f,
                "starting again in {} (failure {failures})",
                span(*delay_ms)
            )
        }
        EventKind::NodeFailed { failures, retry_ms } => {
            write!(f, "failed {failures} times without a stable run")?;
            match retry_ms {
                Some(ms) => write!(f, "; next try in {}", span(*ms)),
                None => write!(f, "; given up"),
            }
        }
        EventKind::NodeStopping { reason, .. } => write!(f, "stopping: {reason}"),
        EventKind::NodeKilled { reason } => write!(f, "killed: {reason}"),
        EventKind::NodeWithoutPort { holders } => write!(f, "no free slot: {holders}"),
        EventKind::NodeClaimed {
            http_port,
            gossip_port,
        } => {
            write!(f, "claimed http {http_port}, gossip {gossip_port}")
        }
        _ => Ok(()),
    }
}

/// A number of things: `1 node`, `2 nodes`.
#[must_use]
pub fn count(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

/// Milliseconds as a person reads them.
#[must_use]
pub fn span(ms: u64) -> String {
    let duration = Duration::from_millis(ms);
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{:.1} s", duration.as_secs_f64()),
        60_000..3_600_000 => format!("{} min {} s", ms / 60_000, ms / 1_000 % 60),
        3_600_000..86_400_000 => format!("{} h {} min", ms / 3_600_000, ms / 60_000 % 60),
        _ => format!("{} d {} h", ms / 86_400_000, ms / 3_600_000 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_well() {
        let check = |ms: u64, expect: &str| assert_eq!(span(ms), expect);
        check(0, "0 ms");
        check(999, "999 ms");
        check(1_500, "1.5 s");
        check(61_000, "1 min 1 s");
        check(3_660_000, "1 h 1 min");
        check(90_000_000, "1 d 1 h");
    }

    #[test]
    fn json_carries_the_kind_as_event() {
        let event = Event {
            time: Timestamp::UNIX_EPOCH,
            node: Some("flux-node-1".into()),
            kind: EventKind::NodeReady { after_ms: 12 },
        };
        let json = serde_json::to_value(&event).expect("serialises");
        assert_eq!(
            json,
            serde_json::json!({
                "time": "1970-01-01T00:00:00Z",
                "node": "flux-node-1",
                "event": "node_ready",
                "after_ms": 12
            })
        );
        assert_eq!(
            serde_json::from_value::<Event>(json).expect("parses"),
            event
        );
    }
}
