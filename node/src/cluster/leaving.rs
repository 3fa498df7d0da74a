//! Members that leave, and this node's own leave.
//!
//! Whoever is about to stop says so to all who stay, again and again, until each has taken
//! over what it is to hold from then on. It does not count any more from the first word on,
//! for them and for itself: new values go to others, and what it has moves to its successors
//! among those who stay, as in any change of members. It answers until it goes.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use uuid::Uuid;

use crate::clock::BootMillis;
use crate::membership::Identity;

/// Pause between two questions to a member whether it has taken everything over: little
/// beside what a hand-over takes, and much beside what a question costs.
const ASK_EVERY: Duration = Duration::from_millis(20);

/// A member that said that it leaves, and then neither repeats it nor goes, counts again
/// after so long: it was stopped from stopping.
const SAID_FOR: Duration = Duration::from_secs(10);

/// One life of a member: its UUID and its generation.
pub type Life = (Uuid, u64);

/// Who leaves, as far as this node knows.
#[derive(Debug, Default)]
pub(super) struct Leaving {
    /// Others that said so, or of whom it was said.
    leavers: BTreeMap<Uuid, Leaver>,
    own: Option<Own>,
}

#[derive(Debug)]
struct Leaver {
    generation: u64,
    until: BootMillis,
}

/// This node's own leave.
#[derive(Debug)]
struct Own {
    /// Who stays and has not taken over everything.
    waiting: BTreeSet<Uuid>,
    ask_at: BootMillis,
}

impl Leaving {
    /// A life leaves; whether that is news.
    pub(super) fn note(&mut self, uuid: Uuid, generation: u64, now: BootMillis) -> bool {
        let until = now + SAID_FOR;
        let known = self.leavers.get(&uuid).map(|leaver| leaver.generation);
        if known.is_some_and(|known| known > generation) {
            return false;
        }
        self.leavers.insert(uuid, Leaver { generation, until });
        known != Some(generation)
    }

    /// Whether this life leaves.
    pub(super) fn leaves(&self, identity: &Identity) -> bool {
        let leaver = self.leavers.get(&identity.uuid);
        leaver.is_some_and(|leaver| leaver.generation == identity.generation)
    }

    /// This node leaves; whether that is news.
    pub(super) fn begin(&mut self, now: BootMillis) -> bool {
        let news = self.own.is_none();
        self.own.get_or_insert(Own {
            waiting: BTreeSet::new(),
            ask_at: now,
        });
        news
    }

    /// Whether this node leaves.
    pub(super) const fn is_own(&self) -> bool {
        self.own.is_some()
    }

    /// These stay, and all of them have to take over what they are to hold among these.
    pub(super) fn hand_over_to(&mut self, staying: impl IntoIterator<Item = Uuid>) {
        if let Some(own) = &mut self.own {
            own.waiting = staying.into_iter().collect();
        }
    }

    /// A member has taken over everything.
    pub(super) fn taken_over(&mut self, by: Uuid) {
        if let Some(own) = &mut self.own {
            own.waiting.remove(&by);
        }
    }

    /// Who stays and has not taken over everything.
    pub(super) fn waiting(&self) -> BTreeSet<Uuid> {
        self.own
            .as_ref()
            .map_or_else(BTreeSet::new, |own| own.waiting.clone())
    }

    /// Whom to ask now.
    pub(super) fn ask(&mut self, now: BootMillis) -> BTreeSet<Uuid> {
        match &mut self.own {
            Some(own) if own.ask_at <= now => {
                own.ask_at = now + ASK_EVERY;
                own.waiting.clone()
            }
            _ => BTreeSet::new(),
        }
    }

    /// Forgets what was said too long ago; whether there was such.
    pub(super) fn expire(&mut self, now: BootMillis) -> bool {
        let before = self.leavers.len();
        self.leavers.retain(|_, leaver| now < leaver.until);
        self.leavers.len() < before
    }

    /// When there is something to do.
    pub(super) fn next_deadline(&self) -> Option<BootMillis> {
        let own = self.own.as_ref().filter(|own| !own.waiting.is_empty());
        let leavers = self.leavers.values().map(|leaver| leaver.until);
        leavers.chain(own.map(|own| own.ask_at)).min()
    }

    /// Those of whom it was said, in their lives.
    pub(super) fn lives(&self) -> Vec<Life> {
        let life = |(uuid, leaver): (&Uuid, &Leaver)| (*uuid, leaver.generation);
        self.leavers.iter().map(life).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::membership::testing::identity;

    const NOW: BootMillis = BootMillis(1_000);

    #[test]
    fn what_was_said_of_a_life_holds_for_that_life_and_not_for_ever() {
        let mut leaving = Leaving::default();
        let life = identity(7, 2);
        assert!(leaving.note(life.uuid, 2, NOW));
        assert!(!leaving.note(life.uuid, 2, NOW + ASK_EVERY));
        assert!(leaving.leaves(&life) && !leaving.leaves(&identity(7, 3)));
        let end = NOW + ASK_EVERY + SAID_FOR;
        assert_eq!(leaving.next_deadline(), Some(end));
        assert!(!leaving.expire(NOW + SAID_FOR));
        assert!(leaving.expire(end));
        assert!(!leaving.leaves(&life));
    }

    #[test]
    fn whoever_stays_is_asked_until_it_has_everything() {
        let mut leaving = Leaving::default();
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        leaving.hand_over_to([one]);
        assert!(!leaving.is_own() && leaving.waiting().is_empty());
        assert!(leaving.begin(NOW) && !leaving.begin(NOW));
        leaving.hand_over_to([one, two]);
        assert_eq!(leaving.ask(NOW), [one, two].into());
        assert_eq!(leaving.ask(NOW), [].into(), "not twice");
        leaving.taken_over(one);
        assert_eq!(leaving.next_deadline(), Some(NOW + ASK_EVERY));
        assert_eq!(leaving.ask(NOW + ASK_EVERY), [two].into());
        leaving.taken_over(two);
        assert_eq!(leaving.next_deadline(), None);
    }
}
