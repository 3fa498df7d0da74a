//! One write under way, and what is known of its copies.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use bytes::Bytes;
use uuid::Uuid;

use crate::clock::BootMillis;
use crate::placement::{Placement, Seat};
use crate::store::{Entry, Reservation};
use crate::wire::SharedDigest;

/// Bytes counted for a write beside its key and value, so that small ones are bounded too.
pub(super) const OVERHEAD: usize = 256;

/// What is known of the copy at one holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Copy {
    /// Not sent, or lost with the stream.
    Unsent,
    /// Not sent, because too much waits for a holder that answers.
    Crowded,
    /// Sent, not answered.
    Sent,
    /// There, or something newer.
    Stored,
    /// No room there.
    Full,
    /// Refused there: the version is too far ahead.
    Ahead,
}

/// A holder in one of its lives.
#[derive(Debug)]
pub(super) struct Holder {
    pub(super) uuid: Uuid,
    generation: u64,
    pub(super) copy: Copy,
}

/// A write that has not reached every holder. `T` is whoever waits for it.
#[derive(Debug)]
pub(super) struct Operation<T> {
    pub(super) key: Bytes,
    pub(super) entry: Entry,
    pub(super) digest: SharedDigest,
    pub(super) holders: Vec<Holder>,
    pub(super) waiter: Option<T>,
    pub(super) answer_by: BootMillis,
    /// How often it got a new version.
    pub(super) restamps: u8,
    /// When it is to be looked at again.
    pub(super) retry_at: Option<BootMillis>,
    #[expect(dead_code, reason = "dropping it gives the bytes back")]
    pub(super) held: Option<Reservation>,
}

impl<T> Operation<T> {
    /// Bytes that it is counted with.
    pub(super) fn size(&self) -> usize {
        self.key.len() + self.entry.value.len() + OVERHEAD
    }

    /// Holders whose copy is in this state.
    pub(super) fn count(&self, copy: Copy) -> usize {
        self.holders
            .iter()
            .filter(|holder| holder.copy == copy)
            .count()
    }

    /// One of the holders.
    pub(super) fn holder(&mut self, uuid: Uuid) -> Option<&mut Holder> {
        self.holders.iter_mut().find(|holder| holder.uuid == uuid)
    }
}

/// The holders of a key now, with what is known of the copies in the same lives.
pub(super) fn holders(placement: &Placement, key: &[u8], known: &[Holder]) -> Vec<Holder> {
    let holder = |seat: Seat| {
        let copy = known
            .iter()
            .find(|known| (known.uuid, known.generation) == (seat.uuid, seat.generation))
            .map_or(Copy::Unsent, |known| known.copy);
        Holder {
            uuid: seat.uuid,
            generation: seat.generation,
            copy,
        }
    };
    placement.holders(key).into_iter().map(holder).collect()
}
