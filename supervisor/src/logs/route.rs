//! Which way lines go that were read.

use std::time::Instant;

use super::batch::{Batch, Node};
use super::destinations::Destinations;
use super::lane::Verdict;
use super::outbox::Outbox;

/// Whether a full destination may hold a pipe back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    Some,
    None,
}

/// What to do with a batch, per destination.
#[derive(Clone, Copy, Debug)]
pub(super) struct Route {
    pub(super) files: Verdict,
    pub(super) shown: Verdict,
}

impl Route {
    /// Everything is queued.
    pub(super) const TAKEN: Self = Self {
        files: Verdict::Take,
        shown: Verdict::Take,
    };

    /// Asks both destinations; an error is the time until which the pipe has to wait.
    pub(super) fn find(
        to: &Destinations,
        node: &Node,
        now: Instant,
        patience: Patience,
    ) -> Result<Self, Instant> {
        let files = to
            .files
            .as_ref()
            .map_or(Verdict::Take, |files| files.verdict(node, now));
        let shown = to
            .lines_shown()
            .map_or(Verdict::Take, |shown| shown.verdict(node, now));
        let route = Self { files, shown };
        let holds = [files, shown]
            .into_iter()
            .filter_map(|verdict| match verdict {
                Verdict::Hold(until) => Some(until),
                Verdict::Take | Verdict::Drop => None,
            });
        match holds.min().filter(|_| patience == Patience::Some) {
            Some(until) => Err(until),
            None => Ok(route),
        }
    }
}

/// Queues a batch or counts it as lost. Who would hold it but must not, loses it.
pub(super) fn hand_over<O>(to: &Outbox<O>, batch: &Batch, verdict: Verdict) {
    match verdict {
        Verdict::Take => to.take_in(batch.clone()),
        Verdict::Hold(_) | Verdict::Drop => to.drop_lines(batch),
    }
}
