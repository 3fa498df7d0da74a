//! Whether what a node has may be outdated.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::time::Duration;

use uuid::Uuid;

use super::source::{Doubt, Source};
use super::{Pull, Refill};
use crate::clock::BootMillis;

/// How long a member sends again whatever it acknowledged without us, when it has a stream
/// again: no value ends within that time, and a member gives none up for others within it.
pub(super) const RESENT_FOR: Duration = Duration::from_millis(500);

/// Whoever appears so soon after this node was away came while it was: what waited in the
/// kernel is heard within milliseconds, and gossip takes some tenths of a second.
const HEARS_WITHIN: Duration = Duration::from_secs(2);

impl Refill {
    /// Whether all members to whom there is a stream, and there is one, have told all that
    /// they have: they see the same members, this node among them.
    #[must_use]
    pub fn has_heard_reachable(&self) -> bool {
        let sources = self.sources.iter();
        let mut reachable = sources
            .filter(|(uuid, _)| self.connected.contains(uuid))
            .peekable();
        reachable.peek().is_some()
            && reachable.all(|(_, source)| source.told_for == Some(self.view))
    }

    /// Whether what this node has may be taken for the newest: nothing can have been
    /// acknowledged without its hearing of it.
    #[must_use]
    pub fn is_sure(&self) -> bool {
        self.sources
            .iter()
            .all(|(uuid, source)| source.doubt == Doubt::None && self.heard.contains(uuid))
    }

    /// Whether this node's copies were counted on all the time, and so many votes like its
    /// own contain one of every acknowledged write. `None` when it was away for so long that
    /// others may have written without counting on it.
    #[must_use]
    pub fn votes(&self) -> Option<usize> {
        let counted_on = |source: &Source| source.doubt < Doubt::Apart;
        self.sources.values().all(counted_on).then_some(self.votes)
    }

    /// A member has a stream to this node.
    pub fn heard(&mut self, peer: Uuid, now: BootMillis) -> Vec<Pull> {
        let long = |source: &Source| source.unheard_since + RESENT_FOR < now;
        if self.heard.insert(peer) && self.sources.get(&peer).is_some_and(long) {
            // What it acknowledged without us it may have left to others to tell.
            self.doubt_all(Doubt::Behind);
            self.active = None;
        }
        self.next(now)
    }

    /// A member has another stream to this node, and the end of its former one was not seen:
    /// for how long it could not tell anything is not known.
    pub fn reheard(&mut self, peer: Uuid, now: BootMillis) -> Vec<Pull> {
        if self.sources.contains_key(&peer) {
            self.doubt_all(Doubt::Behind);
            self.active = None;
        }
        self.next(now)
    }

    /// A member has no stream to this node any more.
    pub fn unheard(&mut self, peer: Uuid, now: BootMillis) {
        if self.heard.remove(&peer)
            && let Some(source) = self.sources.get_mut(&peer)
        {
            source.unheard_since = now;
        }
    }

    pub(super) fn doubt_all(&mut self, doubt: Doubt) {
        self.sources
            .values_mut()
            .for_each(|source| source.doubted(doubt));
    }

    /// A member was out of reach for so long that others may have written without us.
    pub fn apart(&mut self, peer: Uuid, now: BootMillis) -> Vec<Pull> {
        if let Some(source) = self.sources.get_mut(&peer) {
            source.told_for = None;
            source.doubted(Doubt::Apart);
        }
        self.active.take_if(|active| active.from == peer);
        self.next(now)
    }

    /// This node itself was away, so that others may have written without it; when it was
    /// for `long`, maybe without counting on it.
    pub fn away(&mut self, long: bool, now: BootMillis) -> Vec<Pull> {
        self.doubt_all(if long { Doubt::Apart } else { Doubt::Behind });
        // Whoever came meanwhile may never have heard of this node.
        self.away_until = now + HEARS_WITHIN;
        let unknown = |source: &&mut Source| source.told_for.is_none();
        for source in self.sources.values_mut().filter(unknown) {
            source.doubted(Doubt::Apart);
        }
        self.forget_told(|_| true);
        self.active = None;
        self.next(now)
    }
}
