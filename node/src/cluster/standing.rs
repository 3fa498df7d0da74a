//! What a node may say of its own: whether it was running, and whom it can reach.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::node::{Node, lock};
use super::world::World;
use crate::clock::BootMillis;
use crate::membership::{DOWN_FORGET, Liveness, Member};
use crate::store::Entry;
use crate::wire::frame::Answer;

/// A silence after which others may have written without the silent one, so that both must
/// compare: half of the time for which it counts.
pub(super) const APART: Duration = Duration::from_secs(DOWN_FORGET.as_secs() / 2);

/// A node that did not run for so long may have missed what others wrote meanwhile. Among
/// members there is something to do five times a second.
const AWAY: Duration = Duration::from_secs(1);

/// Whoever was away finds its streams broken, though everyone may be there, and somebody may
/// have come of whom it has not heard: so long does it take nobody for gone, and itself neither for
/// alone nor for one that counts. What waited in the kernel for it to run takes milliseconds, and a candidate is given
/// as long to answer.
const REACHES_AFTER: Duration = Duration::from_secs(2);

/// Pause between two looks at the clock of a node that is alone and has nothing else to do.
pub(super) const ALONE_AWAKE: Duration = Duration::from_millis(500);

impl<W: World> Node<W> {
    /// A process that was stopped, or a machine that was, does not see the others fall
    /// silent, or come. But there is something to do several times a second, so a gap tells.
    pub(super) fn note_awake(&self, now: BootMillis) {
        let before = BootMillis(self.awake_ms.load(Ordering::SeqCst));
        if before.0 > 0 && before + AWAY < now {
            tracing::info!(
                ms = now.since(before),
                "was away; what others have is compared"
            );
            self.back_ms.store(now.0, Ordering::SeqCst);
            let long = before + APART < now;
            self.refill_step(|refill| refill.away(long, now));
        }
        // Only now may what it has be taken for the newest.
        self.awake_ms.store(now.0, Ordering::SeqCst);
    }

    /// Whether this node has been running: requests may be looked at before anything else
    /// after it was stopped for a while, or the machine was. Whoever was alone may not be any
    /// more, which it then hears soon.
    fn is_awake(&self, now: BootMillis) -> bool {
        let last = BootMillis(self.awake_ms.load(Ordering::SeqCst));
        let runs = last.0 == 0 || now < last + AWAY;
        runs && (self.has_been_back(now) || !self.is_alone())
    }

    /// Whether it has been running for long enough to have heard from everyone.
    fn has_been_back(&self, now: BootMillis) -> bool {
        let back = BootMillis(self.back_ms.load(Ordering::SeqCst));
        back.0 == 0 || back + REACHES_AFTER <= now
    }

    pub(super) fn is_alone(&self) -> bool {
        self.placement().seats().len() == 1
    }

    /// What a read makes of a holder to whom there is no stream: whether it is out of reach
    /// (`None`), or only could not be asked.
    pub(super) fn out_of_reach(&self, now: BootMillis) -> Option<Answer> {
        (!(self.has_been_back(now) && self.is_awake(now))).then_some(Answer::DoNotKnow)
    }

    /// What this node says of a value that it has. It may be taken for the newest, or at
    /// least counts as a vote, where this node is a holder, and has been one, without a pause,
    /// since it knew of everything; after having been away not before everyone in reach has
    /// told what it has, or for [`REACHES_AFTER`].
    pub(super) fn presence(&self, key: &[u8], entry: Entry, now: BootMillis) -> Answer {
        // First: what is noted of an absence is noted before its end is.
        if !self.is_awake(now) {
            return Answer::Perhaps(entry);
        }
        let (votes, knows_all) = (self.votes.load(Ordering::SeqCst), self.knows_all());
        // Others may have been told meanwhile that this node is to leave, and write without it:
        // it hears of that within this time, or from who does not see the members that it sees.
        let still_counts = || knows_all || self.has_heard_reachable() || self.has_been_back(now);
        if votes == 0 || !still_counts() {
            return Answer::Perhaps(entry);
        }
        let has_held = {
            let view = self.view.read().unwrap_or_else(PoisonError::into_inner);
            if knows_all {
                view.placement.is_holder(self.own.uuid, key)
            } else {
                view.has_held(self.own.uuid, key)
            }
        };
        if !has_held {
            Answer::Perhaps(entry)
        } else if self.sure.load(Ordering::SeqCst) {
            Answer::Have(entry)
        } else {
            Answer::Vote(entry, votes)
        }
    }

    /// What this node, a holder, says of a key that it does not have. The placement by which
    /// it is one is to be looked at before.
    pub(super) fn absence(&self, key: &[u8], now: BootMillis) -> Answer {
        if !self.knows_what_is_missing(now) {
            return Answer::DoNotKnow;
        }
        match self.store.version(key, now) {
            Some(version) => Answer::Over(version),
            None => Answer::DoNotHave,
        }
    }

    /// Whether this node may say of keys that it does not have them: it has heard of all that
    /// it should hold, and no member may have given it up and acknowledge writes without it.
    pub(super) fn knows_what_is_missing(&self, now: BootMillis) -> bool {
        self.is_awake(now) && self.knows_all() && !self.is_apart(now)
    }

    /// Whether some member that counts has been out of reach for so long that it may not
    /// count this node any more.
    pub(super) fn is_apart(&self, now: BootMillis) -> bool {
        self.apart_ms.load(Ordering::SeqCst) < now.0
    }

    /// Notes since when members are out of reach.
    pub(super) fn note_apart(&self) {
        let first = {
            let membership = lock(&self.membership);
            let members = membership.members().iter();
            let silent_since = |member: &Member| match member.liveness {
                Liveness::Unreachable(since) => Some(since),
                Liveness::Alive | Liveness::Forgotten(_) | Liveness::Ended(..) => None,
            };
            members
                .filter(|member| member.identity.names.enclave == self.enclave)
                .filter_map(silent_since)
                .min()
        };
        let apart = first.map_or(u64::MAX, |since| (since + APART).0);
        self.apart_ms.store(apart, Ordering::SeqCst);
    }
}
