//! The byte budget that all shards and everything in flight share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use super::Full;

/// Bytes in use, and the limit they never pass.
#[derive(Debug)]
pub struct Budget {
    limit: u64,
    used: AtomicU64,
}

impl Budget {
    /// A budget of `limit` bytes, all of them free.
    #[must_use]
    pub const fn new(limit: u64) -> Self {
        Self {
            limit,
            used: AtomicU64::new(0),
        }
    }

    /// The limit in bytes.
    #[must_use]
    pub const fn limit(&self) -> u64 {
        self.limit
    }

    /// Bytes in use.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Takes `bytes` until the reservation is dropped.
    ///
    /// # Errors
    /// When fewer are free.
    pub fn reserve(self: &Arc<Self>, bytes: u64) -> Result<Reservation, Full> {
        self.take(bytes)?;
        Ok(Reservation {
            budget: Arc::clone(self),
            bytes,
        })
    }

    /// Takes `bytes`; whoever asked gives them back with [`Budget::give_back`].
    pub(super) fn take(&self, bytes: u64) -> Result<(), Full> {
        // The counter guards no other memory, so its own atomicity is all that is needed.
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(bytes).filter(|sum| *sum <= self.limit)
            })
            .map(drop)
            .map_err(|used| Full {
                needed: bytes,
                used,
                limit: self.limit,
            })
    }

    pub(super) fn give_back(&self, bytes: u64) {
        let before = self.used.fetch_sub(bytes, Ordering::Relaxed);
        assert!(
            before >= bytes,
            "{bytes} bytes given back, {before} were taken"
        );
    }
}

/// Bytes of a [`Budget`] that are given back when this is dropped.
#[derive(Debug)]
pub struct Reservation {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Reservation {
    /// Takes `more` bytes in addition.
    ///
    /// # Errors
    /// When fewer are free; what was reserved before stays so.
    pub fn grow(&mut self, more: u64) -> Result<(), Full> {
        self.budget.take(more)?;
        self.bytes += more;
        Ok(())
    }

    /// Ties the reservation to `bytes`: they count for as long as anybody has any of them.
    #[must_use]
    pub fn hold(self, bytes: Bytes) -> Bytes {
        Bytes::from_owner(Held {
            bytes,
            _reservation: self,
        })
    }

    /// Bytes reserved.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}

/// Bytes and what they are accounted with.
struct Held {
    bytes: Bytes,
    _reservation: Reservation,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_counts_until_nobody_has_it() {
        let budget = Arc::new(Budget::new(100));
        let reserved = budget.reserve(60).expect("60 of 100");
        let held = reserved.hold(Bytes::from_static(b"value"));
        let (part, whole) = (held.slice(1..2), held.clone());
        assert_eq!((&held[..], &part[..]), (&b"value"[..], &b"a"[..]));
        drop((held, whole));
        assert_eq!(budget.used(), 60);
        drop(part);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn the_limit_is_never_passed_and_everything_comes_back() {
        let budget = Arc::new(Budget::new(100));
        let mut first = budget.reserve(60).expect("60 of 100");
        let refused = budget.reserve(41).expect_err("101 of 100");
        assert_eq!(
            refused,
            Full {
                needed: 41,
                used: 60,
                limit: 100
            }
        );
        first.grow(40).expect("100 of 100");
        assert!(first.grow(1).is_err());
        assert_eq!((first.bytes(), budget.used()), (100, 100));
        assert!(budget.reserve(u64::MAX).is_err(), "the sum must not wrap");
        drop(first);
        assert_eq!(budget.used(), 0);
    }
}
