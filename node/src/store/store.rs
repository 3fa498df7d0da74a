//! The shards behind their locks, and the byte budget they share.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use super::{Entry, Full, Stored};
use crate::clock::BootMillis;

/// What a store is built from.
#[derive(Clone, Copy, Debug)]
pub struct StoreConfig {
    /// Bytes that may be accounted, see [`StoreStats::used_bytes`].
    pub limit_bytes: u64,
    /// Number of shards, rounded up to a power of two.
    pub shards: usize,
}

/// Counts of the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Entries kept, those included that expired and were not yet reclaimed.
    pub keys: u64,
    /// Bytes accounted: keys, values, a fixed overhead per entry, and reservations.
    pub used_bytes: u64,
    /// The limit.
    pub limit_bytes: u64,
}

/// A map from keys to [`Entry`]s that may be used by any number of threads.
pub struct Store {
    limit_bytes: u64,
    entries: Mutex<BTreeMap<Bytes, Entry>>,
}

impl Store {
    /// An empty store.
    #[must_use]
    pub fn new(config: StoreConfig) -> Self {
        Self { limit_bytes: config.limit_bytes, entries: Mutex::new(BTreeMap::new()) }
    }

    /// The entry of `key`, unless it ended.
    #[must_use]
    pub fn get(&self, key: &[u8], now: BootMillis) -> Option<Entry> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.get(key).filter(|entry| now < entry.deadline).cloned()
    }

    /// Keeps `entry` until its deadline when its version is higher than what is there.
    ///
    /// # Errors
    /// When the byte limit leaves no room; what was there stays.
    pub fn put(&self, key: Bytes, entry: Entry, now: BootMillis) -> Result<Stored, Full> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = entries.get(&key)
            && now < kept.deadline
            && kept.version >= entry.version
        {
            return Ok(Stored::Older(kept.version));
        }
        entries.insert(key, entry);
        Ok(Stored::Newer)
    }

    /// At most `limit` live keys that start with `prefix` and come after `after`, in byte
    /// order.
    #[must_use]
    pub fn keys(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
        now: BootMillis,
    ) -> Vec<Bytes> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries
            .iter()
            .filter(|(key, entry)| {
                now < entry.deadline
                    && key.starts_with(prefix)
                    && after.is_none_or(|after| key.as_ref() > after)
            })
            .map(|(key, _)| key.clone())
            .take(limit)
            .collect()
    }

    /// Gives back the memory of entries that ended; the number of them.
    pub fn reclaim(&self, now: BootMillis) -> usize {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let before = entries.len();
        entries.retain(|_, entry| now < entry.deadline);
        before - entries.len()
    }

    /// When [`Store::reclaim`] has something to do next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<BootMillis> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.values().map(|entry| entry.deadline).min()
    }

    /// Counts of the moment.
    #[must_use]
    pub fn stats(&self) -> StoreStats {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        StoreStats {
            keys: entries.len() as u64,
            used_bytes: entries.iter().map(|(k, e)| (k.len() + e.value.len()) as u64).sum(),
            limit_bytes: self.limit_bytes,
        }
    }
}
