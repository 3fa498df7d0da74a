//! What the writes are given, ask for and count.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use bytes::Bytes;
use uuid::Uuid;

use crate::coordinator::PutOutcome;
use crate::store::{Entry, Reservation};
use crate::wire::SharedDigest;

/// What a client wants to write.
#[derive(Debug)]
pub struct NewWrite {
    /// The key.
    pub key: Bytes,
    /// The bytes.
    pub value: Bytes,
    /// Time to live in seconds, already clamped.
    pub ttl_s: u32,
    /// Bytes of the store's budget that the value takes while it is only kept here as a
    /// hint.
    pub held: Option<Reservation>,
}

/// Why a value could not be handed to a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsent {
    /// There is none; the value is sent when there is one again.
    NoStream,
    /// Too much waits there, and the holder is known not to answer.
    Silent,
    /// Too much waits there. The holder does not know that it lacks something, so the write
    /// is not acknowledged before it is on its way.
    Crowded,
}

/// What is to be done, in this order.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect<T> {
    /// Put into this node's own store, and call [`Writes::acked`](super::Writes::acked) with the result.
    Store {
        /// Number of the write.
        id: u64,
        /// Its key.
        key: Bytes,
        /// Its value.
        entry: Entry,
    },
    /// Send to a holder; when that cannot be done now, call [`Writes::unsent`](super::Writes::unsent).
    Send {
        /// Whom.
        to: Uuid,
        /// Number of the write.
        id: u64,
        /// Its key.
        key: Bytes,
        /// Its value.
        entry: Entry,
        /// The digest of the value, shared by all to whom it is sent.
        digest: SharedDigest,
    },
    /// Put into this node's own store, which is no holder: so the value can be read here, and
    /// holders that compare find it.
    Keep {
        /// Its key.
        key: Bytes,
        /// Its value.
        entry: Entry,
    },
    /// Ask which members this one sees, and call [`Writes::view_told`](super::Writes::view_told) with the answer, or
    /// [`Writes::silent`](super::Writes::silent) when it is known not to answer.
    AskView {
        /// Whom.
        to: Uuid,
    },
    /// Tell whoever waits.
    Answer {
        /// Who waits.
        waiter: T,
        /// How it ended.
        outcome: PutOutcome,
    },
}

/// Counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriteCounters {
    /// Writes begun.
    pub begun: u64,
    /// Of these, acknowledged within the time-out.
    pub acknowledged: u64,
    /// Answered with "pending".
    pub pending: u64,
    /// Refused because holders are full.
    pub full: u64,
    /// Refused because nobody could take them.
    pub unavailable: u64,
    /// New versions because a holder had a higher one.
    pub restamped: u64,
    /// Refusals by holders because a version was too far ahead of their clock.
    pub ahead: u64,
    /// Values sent to a holder once more.
    pub retried: u64,
    /// Answered writes that were left to the refill before every holder had them.
    pub abandoned: u64,
}
