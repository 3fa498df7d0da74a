//! The last ends of a node's processes: what is remembered, and for how long.

use std::collections::{BTreeMap, VecDeque};

use super::types::Time;
use crate::exit::{Ended, ExitClass};
use crate::status::FollowUp;

/// Ends of a node that are remembered: enough to see whether it fails the same way again and
/// again, and what it did before.
pub const EXITS_KEPT: usize = 8;

/// The end of a node's process, or a start that came to nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct ExitRecord {
    /// When.
    pub time: Time,
    /// Why, in one word.
    pub class: ExitClass,
    /// Why, in words.
    pub cause: String,
    /// The process that ended; none when none could be started.
    pub life: Option<EndedLife>,
    /// What was done about it; none while what is left of the process is being ended.
    pub follow_up: Option<FollowUp>,
}

/// The life of a process that has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct EndedLife {
    /// Its process id.
    pub pid: u32,
    /// Its generation.
    pub generation: u64,
    /// When it was started.
    pub started: Time,
    /// Whether it was ever ready.
    pub was_ready: bool,
    /// Whether the supervisor had to kill it.
    pub killed: bool,
    /// How it ended, and what it used.
    pub ended: Ended,
}

/// Why the supervisor ends a process, as it was when it was told to finish.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ending {
    pub(super) class: ExitClass,
    pub(super) cause: String,
}

impl Ending {
    pub(super) fn new(class: ExitClass, cause: impl Into<String>) -> Self {
        let cause = cause.into();
        Self { class, cause }
    }

    /// Why a process ended that was not told to.
    pub(super) fn by_itself(ended: &Ended, now: Time) -> Self {
        use crate::exit::ExitReason::{Code, Signal};
        let Ended { reason, oom, .. } = ended;
        match (reason, oom) {
            (Code(_), _) => Self::new(
                ExitClass::ExitCode,
                format!("it ended by itself with {reason}"),
            ),
            (Signal(_), None) => Self::new(
                ExitClass::Signal,
                format!("{reason} ended it, which the supervisor had not sent"),
            ),
            (Signal(_), Some(oom)) => {
                let (kills, were) = match oom.kills {
                    1 => ("1 process".to_owned(), "was"),
                    many => (format!("{many} processes"), "were"),
                };
                let span = crate::event::span(super::core::millis(now.saturating_sub(oom.since)));
                let cause = format!(
                    "{reason} ended it, which the supervisor had not sent; {kills} of this \
                     container {were} killed by the kernel for want of memory within the {span} \
                     before"
                );
                Self::new(ExitClass::OomKill, cause)
            }
        }
    }
}

/// The last ends, and how many of each class there were.
#[derive(Clone, Debug, Default)]
pub(super) struct Exits {
    /// The latest last; at most [`EXITS_KEPT`].
    last: VecDeque<ExitRecord>,
    counts: BTreeMap<ExitClass, u64>,
}

impl Exits {
    /// Remembers an end, in the place of the oldest one.
    pub(super) fn push(&mut self, record: ExitRecord) {
        *self.counts.entry(record.class).or_default() += 1;
        if self.last.len() == EXITS_KEPT {
            self.last.pop_front();
        }
        self.last.push_back(record);
    }

    /// Notes what is done about the latest one, unless that is known already.
    pub(super) fn follow_up(&mut self, follow_up: FollowUp) {
        if let Some(last) = self.last.back_mut() {
            last.follow_up.get_or_insert(follow_up);
        }
    }

    /// The latest first.
    pub(super) fn latest_first(&self) -> impl Iterator<Item = &ExitRecord> {
        self.last.iter().rev()
    }

    pub(super) fn counts(&self) -> &BTreeMap<ExitClass, u64> {
        &self.counts
    }
}
