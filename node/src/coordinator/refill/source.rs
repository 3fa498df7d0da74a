//! The members that are asked, and the one that is being asked.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use uuid::Uuid;

use super::RETRY_FIRST;
use crate::clock::BootMillis;

#[derive(Debug)]
pub(super) struct Source {
    pub(super) generation: u64,
    /// The set of members for which it told us everything.
    pub(super) told_for: Option<u64>,
    /// Whether it may have what we missed.
    pub(super) doubt: Doubt,
    /// Whether it leaves.
    pub(super) leaves: bool,
    /// Since when it counts and has no stream to us, if it has none.
    pub(super) unheard_since: BootMillis,
    /// Whether what both have is to be compared when there is nothing more urgent.
    pub(super) compare_due: bool,
    pub(super) retry_at: BootMillis,
    pub(super) pause: Duration,
}

/// Whether a member may have what this node missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Doubt {
    /// No: what it has acknowledged without us reaches us.
    None,
    /// Something that was acknowledged without us.
    Behind,
    /// Something that was acknowledged while we may not even have counted.
    Apart,
}

/// The pull that is under way.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) from: Uuid,
    pub(super) ticket: u64,
    /// Whether it is only a comparison, on which nothing depends.
    pub(super) in_passing: bool,
    /// Whether only what differs is asked for.
    pub(super) compared: bool,
    /// Whether all that the member has is gone through, not only what is new for us.
    pub(super) whole: bool,
    /// Values that are wanted and not asked for yet.
    pub(super) wanted: VecDeque<(Bytes, u32)>,
    /// Values that were asked for.
    pub(super) flying: BTreeMap<Bytes, u32>,
    /// Where the next page starts; `None` when there is none or it is being waited for.
    pub(super) next: Next,
    pub(super) full: bool,
    /// Bytes of the page, for the pace.
    pub(super) bytes: u64,
    /// When an answer is late.
    pub(super) late_at: BootMillis,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A page was asked for.
    Awaited,
    /// There is one more, after this key.
    After(Bytes),
    /// That was the last.
    None,
}

impl Active {
    /// Whether nothing is awaited, and the next page is asked for when the pace allows.
    pub(super) fn is_pausing(&self) -> bool {
        matches!(self.next, Next::After(_)) && self.wanted.is_empty() && self.flying.is_empty()
    }
}

impl Source {
    pub(super) const fn new(generation: u64, now: BootMillis) -> Self {
        Self {
            generation,
            told_for: None,
            doubt: Doubt::None,
            leaves: false,
            unheard_since: now,
            compare_due: false,
            retry_at: BootMillis(0),
            pause: RETRY_FIRST,
        }
    }

    /// Everything it has is to be compared.
    pub(super) fn doubted(&mut self, doubt: Doubt) {
        self.doubt = self.doubt.max(doubt);
        self.compare_due = true;
    }

    /// For a new set of members there is no reason to wait.
    pub(super) fn at_once(self) -> Self {
        Self {
            retry_at: BootMillis(0),
            pause: RETRY_FIRST,
            ..self
        }
    }
}
