//! Whether the members see the same members.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::BTreeSet;
use std::time::Duration;

use uuid::Uuid;

use crate::clock::BootMillis;
use crate::placement::Placement;

/// How long the others are waited for after the members have changed. News of a change
/// reaches everyone who answers in a fraction of that; who does not answer for so long has
/// been away when it is back, and says so ([`Answer::DoNotKnow`]).
///
/// [`Answer::DoNotKnow`]: crate::wire::frame::Answer::DoNotKnow
pub(super) const SETTLE_WITHIN: Duration = Duration::from_secs(2);

/// Pause before those who have not answered are asked again.
const ASK_EVERY: Duration = Duration::from_millis(20);

/// Who is known to see the same members as this node.
///
/// Placement follows from the members, so two nodes that see others may pick different
/// holders for one key. Somebody who still sees the former members could then hear "do not
/// have" from enough of the former holders although the present ones have acknowledged a
/// write. So nothing is acknowledged before every member has been heard to see the same, or
/// has been waited for long enough; and a holder's copy counts only while it does.
#[derive(Debug)]
pub(super) struct Agreement {
    own: Uuid,
    view: u64,
    agreeing: BTreeSet<Uuid>,
    /// Those whose answer is waited for.
    awaited: BTreeSet<Uuid>,
    settle_by: BootMillis,
    ask_at: BootMillis,
}

impl Agreement {
    pub(super) fn new(own: Uuid, placement: &Placement) -> Self {
        Self {
            own,
            view: placement.fingerprint(),
            agreeing: BTreeSet::new(),
            awaited: BTreeSet::new(),
            settle_by: BootMillis(0),
            ask_at: BootMillis(0),
        }
    }

    /// Other members count now.
    pub(super) fn members_changed(&mut self, placement: &Placement, now: BootMillis) {
        self.view = placement.fingerprint();
        self.agreeing.clear();
        let others = placement.seats().iter().map(|seat| seat.uuid);
        self.awaited = others.filter(|uuid| *uuid != self.own).collect();
        self.settle_by = now + SETTLE_WITHIN;
        self.ask_at = now;
    }

    /// A peer said which members it sees; whether that is news.
    pub(super) fn told(&mut self, peer: Uuid, view: u64, now: BootMillis) -> bool {
        if view == self.view {
            self.awaited.remove(&peer);
            return self.agreeing.insert(peer);
        }
        if self.agreeing.remove(&peer) {
            self.awaited.insert(peer);
            self.settle_by = now + SETTLE_WITHIN;
            self.ask_at = now + ASK_EVERY;
        }
        false
    }

    /// A peer is known not to answer: it is not waited for. Whether that is news.
    pub(super) fn silent(&mut self, peer: Uuid) -> bool {
        self.awaited.remove(&peer)
    }

    /// Whether nobody is waited for any more.
    pub(super) fn is_settled(&self, now: BootMillis) -> bool {
        self.awaited.is_empty() || self.settle_by <= now
    }

    /// Whether a copy at `holder` counts.
    pub(super) fn counts(&self, holder: Uuid, now: BootMillis) -> bool {
        holder == self.own || self.agreeing.contains(&holder) || self.settle_by <= now
    }

    /// Whom to ask now which members they see.
    pub(super) fn ask(&mut self, now: BootMillis) -> Vec<Uuid> {
        if now < self.ask_at || self.is_settled(now) {
            return Vec::new();
        }
        self.ask_at = now + ASK_EVERY;
        self.awaited.iter().copied().collect()
    }

    /// Whether some were waited for in vain; they are not any more.
    pub(super) fn has_waited(&mut self, now: BootMillis) -> bool {
        let in_vain = !self.awaited.is_empty() && self.settle_by <= now;
        if in_vain {
            self.awaited.clear();
        }
        in_vain
    }

    /// When there is something to do, as long as a write waits.
    pub(super) fn next_deadline(&self) -> Option<BootMillis> {
        (!self.awaited.is_empty()).then(|| self.ask_at.min(self.settle_by))
    }
}
