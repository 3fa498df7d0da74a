//! How far a change is, in one line.

use crate::event::{Event, EventKind, span};
use crate::style::{Colour, Style};

/// How far a change is, from the events of it and of its nodes.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    change: Option<u64>,
    what: String,
    step: Option<(u16, u16)>,
    last: String,
    outcome: Option<Outcome>,
}

/// How a change ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All of it is done.
    Done,
    /// It ended before.
    Halted,
}

impl Progress {
    /// Takes note of an event. The first that begins a change says which one is meant.
    pub fn take(&mut self, event: &Event) {
        match &event.kind {
            EventKind::ChangeStarted { change, what, .. } if self.change.is_none() => {
                self.change = Some(*change);
                self.what.clone_from(what);
            }
            EventKind::ChangeStep { change, step, of } if self.is_it(*change) => {
                self.step = Some((*step, *of));
            }
            EventKind::ChangeWaiting { change, reason } if self.is_it(*change) => {
                self.last = format!("waits: {reason}");
            }
            EventKind::ChangeDone { change, after_ms } if self.is_it(*change) => {
                self.outcome = Some(Outcome::Done);
                self.last = format!("done after {}", span(*after_ms));
            }
            EventKind::ChangeHalted {
                change,
                reason,
                untouched,
            } if self.is_it(*change) => {
                self.outcome = Some(Outcome::Halted);
                self.last = format!("halted: {reason}");
                if !untouched.is_empty() {
                    self.last += &format!("; left alone: {}", untouched.join(", "));
                }
            }
            kind => {
                if let Some(node) = &event.node {
                    self.last = format!("{node} {kind}");
                }
            }
        }
    }

    /// How the change ended, once it has.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        self.outcome
    }

    /// One line without its end, of at most `width` columns; complete at the end of a change.
    #[must_use]
    pub fn line(&self, style: Style, width: Option<usize>) -> String {
        match self.outcome {
            Some(Outcome::Done) => {
                format!("{}: {}", self.what, style.paint(Colour::Green, &self.last))
            }
            Some(Outcome::Halted) => {
                format!("{}: {}", self.what, style.paint(Colour::Red, &self.last))
            }
            None => {
                let line = match self.step {
                    Some((step, of)) => format!("[{step}/{of}] {}", self.last),
                    None if self.last.is_empty() => self.what.clone(),
                    None => self.last.clone(),
                };
                line.chars().take(width.unwrap_or(usize::MAX)).collect()
            }
        }
    }

    fn is_it(&self, change: u64) -> bool {
        self.change == Some(change)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn a_line_says_how_far_it_is() {
        let mut progress = Progress::default();
        let mut check = |node: Option<&str>, kind: EventKind, expect: &str| {
            progress.take(&Event {
                time: Timestamp::UNIX_EPOCH,
                node: node.map(str::to_owned),
                kind,
            });
            assert_eq!(progress.line(Style::Plain, Some(44)), expect);
        };
        let what = "rolling restart of flux-node-1".to_owned();
        let by = "pid 7".to_owned();
        let change = 3;
        check(
            None,
            EventKind::ChangeStarted { change, what, by },
            "rolling restart of flux-node-1",
        );
        let reason = "flux-node-2 is not back yet".to_owned();
        check(
            None,
            EventKind::ChangeWaiting { change, reason },
            "waits: flux-node-2 is not back yet",
        );
        let (step, of) = (1, 1);
        check(
            Some("flux-node-1"),
            EventKind::ChangeStep { change, step, of },
            "[1/1] waits: flux-node-2 is not back yet",
        );
        check(
            Some("flux-node-1"),
            EventKind::NodeReady { after_ms: 12 },
            "[1/1] flux-node-1 ready after 12 ms",
        );
        let after_ms = 5;
        check(
            None,
            EventKind::ChangeDone {
                change: 2,
                after_ms,
            },
            "[1/1] flux-node-1 ready after 12 ms",
        );
        let untouched = vec!["flux-node-2".to_owned()];
        let reason = "flux-node-1: it ended: SIGKILL".to_owned();
        check(
            None,
            EventKind::ChangeHalted {
                change,
                reason,
                untouched,
            },
            "rolling restart of flux-node-1: halted: flux-node-1: it ended: SIGKILL; left alone: \
             flux-node-2",
        );
        assert_eq!(progress.outcome(), Some(Outcome::Halted));
    }
}
