//! What was written and must be there, and what went wrong.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A request that was not answered as it should have been.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The node's port.
    pub port: u16,
    /// When its connection stood; none when there was no connection.
    pub connected: Option<Instant>,
    /// When the request began.
    pub began: Instant,
    /// What was asked, and what came instead of the answer.
    pub what: String,
}

/// What became of all requests.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Writes that a quorum acknowledged (201).
    pub written: u64,
    /// Writes that were stored and not acknowledged in time (202).
    pub unconfirmed: u64,
    /// Reads that gave what was written.
    pub read: u64,
    /// Keys that were there in the end.
    pub verified: u64,
    /// Connections for one request.
    pub short: u64,
    /// Kept connections that had to be opened again.
    pub reopened: u64,
    /// Requests that came more than a second after the one before, on a connection that was
    /// closed meanwhile, and were sent again.
    pub late: u64,
    /// The longest that one request took, its connection included.
    pub slowest: Duration,
    /// Everything else.
    pub failures: Vec<Failure>,
}

impl Tally {
    /// Requests that were answered as they should be.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.written + self.unconfirmed + self.read + self.verified
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{} requests failed, {} answered: {} writes ({} more unconfirmed), {} reads, {} keys \
             verified in the end; {} on connections of their own, {} kept connections opened \
             again ({} of these for a pause of this client's); slowest {} ms",
            self.failures.len(),
            self.answered(),
            self.written,
            self.unconfirmed,
            self.read,
            self.verified,
            self.short,
            self.reopened,
            self.late,
            self.slowest.as_millis(),
        )?;
        for failure in self.failures.iter().take(20) {
            write!(out, "\n  port {}: {}", failure.port, failure.what)?;
        }
        Ok(())
    }
}

/// What all sessions share.
#[derive(Debug, Default)]
pub(super) struct Ledger(Mutex<Entries>);

#[derive(Debug, Default)]
pub(super) struct Entries {
    /// The number of the last key.
    pub(super) last: u64,
    /// Keys whose writes were acknowledged.
    pub(super) acknowledged: Vec<u64>,
    pub(super) tally: Tally,
}

impl Ledger {
    pub(super) fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Every so many keys there is a large one.
const LARGE_EVERY: u64 = 64;
const LARGE: usize = 256 * 1024;
const SMALL_MAX: usize = 2 * 1024;

/// The value of a key: always the same, so that nobody has to remember it.
pub(super) fn value_of(number: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(number);
    let length = if number.is_multiple_of(LARGE_EVERY) {
        LARGE
    } else {
        random.usize(..SMALL_MAX)
    };
    let mut value = vec![0; length];
    random.fill(&mut value);
    value
}
