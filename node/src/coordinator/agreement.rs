//! Whether the members see the same members.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::BTreeSet;
use std::time::Duration;

use uuid::Uuid;

use crate::clock::BootMillis;
use crate::placement::{Placement, Seat};

/// How long the others are waited for after the members have changed, and after somebody was
/// last heard to see others. News of a change reaches everyone who answers in a fraction of
/// that; who does not answer for so long has been away when it is back, and says so
/// ([`Answer::DoNotKnow`]).
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
/// Whoever is to leave is waited for as well: it may have been stopped before it was told, and
/// still count itself.
#[derive(Debug)]
pub(super) struct Agreement {
    own: Uuid,
    view: u64,
    /// The members that count, and those that leave and have not gone.
    members: BTreeSet<Uuid>,
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
            members: uuids(placement.seats()),
            agreeing: BTreeSet::new(),
            awaited: BTreeSet::new(),
            settle_by: BootMillis(0),
            ask_at: BootMillis(0),
        }
    }

    /// Other members count now, and these leave.
    pub(super) fn members_changed(
        &mut self,
        placement: &Placement,
        leaving: &[Seat],
        now: BootMillis,
    ) {
        self.view = placement.fingerprint();
        self.members = uuids(placement.seats().iter().chain(leaving));
        self.agreeing.clear();
        self.awaited = self.members.clone();
        self.awaited.remove(&self.own);
        self.settle_by = now + SETTLE_WITHIN;
        self.ask_at = now;
    }

    /// A peer said which members it sees; whether that is news. As long as one that counts
    /// sees others, however long that is, it may answer somebody by what it sees.
    pub(super) fn told(&mut self, peer: Uuid, view: u64, now: BootMillis) -> bool {
        if view == self.view {
            self.awaited.remove(&peer);
            return self.agreeing.insert(peer);
        }
        self.agreeing.remove(&peer);
        if self.members.contains(&peer) {
            self.has_waited(now);
            self.awaited.insert(peer);
            self.settle_by = now + SETTLE_WITHIN;
            self.ask_at = self.ask_at.max(now + ASK_EVERY);
        }
        false
    }

    /// A peer is known not to answer: it is not waited for. Whether that is news.
    pub(super) fn silent(&mut self, peer: Uuid) -> bool {
        self.awaited.remove(&peer)
    }

    /// Only these leave still; the others are gone. Whether somebody was waited for in vain.
    pub(super) fn gone(&mut self, placement: &Placement, leaving: &[Seat]) -> bool {
        self.members = uuids(placement.seats().iter().chain(leaving));
        let before = self.awaited.len();
        self.awaited.retain(|uuid| self.members.contains(uuid));
        self.awaited.len() < before
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

fn uuids<'a>(seats: impl IntoIterator<Item = &'a Seat>) -> BTreeSet<Uuid> {
    seats.into_iter().map(|seat| seat.uuid).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: BootMillis = BootMillis(1_000);
    const TENTH: Duration = Duration::from_millis(100);

    fn uuid(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    fn seat(number: u128) -> Seat {
        Seat {
            uuid: uuid(number),
            generation: 1,
            host: 0,
        }
    }

    fn placement(members: u128) -> Placement {
        Placement::new((1..=members).map(seat), 3)
    }

    /// Node 1 among three members since just now, of whom the second sees the same.
    fn changed() -> (Agreement, u64) {
        let mut agreement = Agreement::new(uuid(1), &placement(1));
        agreement.members_changed(&placement(3), &[], NOW);
        let view = placement(3).fingerprint();
        assert!(agreement.told(uuid(2), view, NOW));
        (agreement, view)
    }

    #[test]
    fn who_says_nothing_is_waited_for_until_it_would_know_that_it_was_away() {
        let (mut agreement, _) = changed();
        assert!(!agreement.is_settled(NOW) && !agreement.counts(uuid(3), NOW));
        assert_eq!(agreement.ask(NOW), [uuid(3)]);
        let end = NOW + SETTLE_WITHIN;
        assert!(agreement.is_settled(end) && agreement.counts(uuid(3), end));
        assert!(agreement.has_waited(end) && !agreement.has_waited(end));
        assert_eq!(agreement.next_deadline(), None);
    }

    #[test]
    fn who_sees_others_is_waited_for_as_long_as_it_says_so() {
        let (mut agreement, view) = changed();
        let mut now = NOW;
        for _ in 0..100 {
            now = now + TENTH;
            assert!(!agreement.told(uuid(3), view ^ 1, now));
            assert!(!agreement.is_settled(now) && !agreement.counts(uuid(3), now));
            assert!(agreement.counts(uuid(2), now));
            assert_eq!(agreement.ask(now + ASK_EVERY), [uuid(3)]);
        }
        let end = now + SETTLE_WITHIN;
        assert!(agreement.is_settled(end), "it says nothing any more");
        // Long after everybody was waited for, somebody turns out to see others.
        let later = end + TENTH;
        assert!(!agreement.told(uuid(2), view ^ 1, later));
        assert!(!agreement.is_settled(later) && !agreement.counts(uuid(2), later));
        assert_eq!(agreement.ask(later + ASK_EVERY), [uuid(2)]);
        assert!(agreement.told(uuid(2), view, later));
        assert!(
            agreement.is_settled(later),
            "nobody else is waited for again"
        );
    }

    #[test]
    fn who_is_said_to_leave_is_waited_for_until_it_knows_or_is_gone() {
        let mut agreement = Agreement::new(uuid(1), &placement(3));
        let (view, leaving) = (placement(1).fingerprint(), [seat(2), seat(3)]);
        agreement.members_changed(&placement(1), &leaving, NOW);
        assert_eq!(agreement.ask(NOW), [uuid(2), uuid(3)]);
        assert!(agreement.told(uuid(2), view, NOW));
        assert!(!agreement.told(uuid(3), view ^ 1, NOW));
        assert!(!agreement.is_settled(NOW), "it still counts itself");
        assert!(!agreement.gone(&placement(1), &leaving));
        assert!(agreement.gone(&placement(1), &leaving[..1]));
        assert!(agreement.is_settled(NOW));
    }

    #[test]
    fn who_does_not_count_may_see_what_it_likes() {
        let (mut agreement, view) = changed();
        assert!(agreement.told(uuid(3), view, NOW));
        assert!(!agreement.told(uuid(9), view ^ 1, NOW));
        assert!(agreement.is_settled(NOW));
    }
}
