//! How operations end.

use crate::store::Entry;

/// How a write ended, for its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutOutcome {
    /// W holders have the value: 201.
    Acknowledged,
    /// The value is kept and goes on spreading, but fewer than W holders confirmed it
    /// within the write time-out: 202.
    Pending,
    /// Every holder that answered is full, so nobody keeps the value: 507.
    Full,
    /// Nobody could take the value: 503.
    Unavailable,
}

/// How a read ended, for its client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GetOutcome {
    /// The value: 200.
    Found(Entry),
    /// Enough holders do not have it that an acknowledged write must have met one of them:
    /// 404.
    Missing,
    /// Too few holders could tell: 503 with Retry-After.
    Unknown,
}
