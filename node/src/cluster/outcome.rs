//! How operations on the cluster end.

use bytes::Bytes;

use crate::store::Entry;

/// How a write ended, for its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutOutcome {
    /// W holders have the value: 201.
    Acknowledged,
    /// The value is stored and goes on spreading, but fewer than W holders
    /// confirmed it within the write time-out: 202.
    Pending,
    /// Every holder that answered is full, so nobody keeps the value: 507.
    Full,
    /// Nobody could take the value: 503.
    Unavailable,
}

/// How a read ended, for its client.
#[derive(Clone, Debug, PartialEq)]
pub enum GetOutcome {
    /// The value: 200.
    Found(Entry),
    /// Enough holders do not have it that an acknowledged write must have met
    /// one of them: 404.
    Missing,
    /// Too few holders could tell: 503 with Retry-After.
    Unknown,
}

/// How a listing of keys ended, for its client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeysOutcome {
    /// One page of live keys.
    Page {
        /// In byte order, each once.
        keys: Vec<Bytes>,
        /// Whether keys may follow after the last one of this page.
        more: bool,
    },
    /// For some key range fewer holders answered than a 404 would need: 503
    /// with Retry-After.
    Unknown,
}
