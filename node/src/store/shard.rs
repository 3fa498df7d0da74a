//! One shard: the core of the store, owned by one caller.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::BTreeMap;
use std::hash::BuildHasher;

use bytes::Bytes;
use hashbrown::HashTable;

use super::budget::Budget;
use super::origins::Origins;
use super::record::{Data, Fields, Record};
use super::slab::{Index, Slab};
use super::sorted::{Sorted, Start};
use super::wheel::Wheel;
use super::{Full, Listed, Stored};
use crate::clock::BootMillis;
use crate::version::Version;

/// The table is made smaller when it has this many times more room than entries, so that
/// a shrinking is paid for by as many removals.
const SHRINK_RATIO: usize = 8;
/// A table with less room than this is left alone.
const SHRINK_MIN: usize = 1024;

/// An entry with its key, ready to be kept.
pub(super) struct Candidate {
    pub(super) data: Data,
    pub(super) key_len: u16,
    pub(super) version: Version,
    pub(super) created_unix_ms: u64,
    pub(super) ttl_s: u32,
    pub(super) deadline: BootMillis,
    pub(super) kept_until: BootMillis,
    /// Bytes it is accounted with.
    pub(super) cost: u64,
}

/// What a reader gets; turning it into an entry needs no lock.
pub(super) struct Found {
    pub(super) data: Data,
    pub(super) key_len: u16,
    pub(super) version: Version,
    pub(super) created_unix_ms: u64,
    pub(super) ttl_s: u32,
    pub(super) deadline: BootMillis,
    pub(super) kept_until: BootMillis,
}

/// How a put changed a shard.
pub(super) struct Put {
    pub(super) stored: Stored,
    /// What was replaced; large buffers are freed outside of the lock.
    #[expect(dead_code, reason = "held until the caller has let go of the lock")]
    pub(super) replaced: Option<Data>,
}

/// Entries, and the three orders they are kept in: by hash, by deadline, by key.
pub(super) struct Shard {
    table: HashTable<Index>,
    slab: Slab,
    wheel: Wheel,
    sorted: Sorted,
    origins: Origins,
    /// Until when the versions of those values are remembered that end before something
    /// that they replaced.
    outliving: BTreeMap<Index, BootMillis>,
}

impl Shard {
    pub(super) fn new() -> Self {
        Self {
            table: HashTable::new(),
            slab: Slab::default(),
            wheel: Wheel::new(),
            sorted: Sorted::default(),
            origins: Origins::default(),
            outliving: BTreeMap::new(),
        }
    }

    /// Entries kept, those included that ended and were not reclaimed.
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    pub(super) fn get(&self, hash: u64, key: &[u8], now: BootMillis) -> Option<Found> {
        let &index = self
            .table
            .find(hash, |&index| self.slab.get(index).key() == key)?;
        let record = self.slab.get(index);
        record.is_live(now).then(|| Found {
            data: record.data.clone(),
            key_len: record.key_len,
            version: self.origins.version(record.time, record.origin),
            created_unix_ms: record.created_unix_ms.get(),
            ttl_s: record.ttl_s,
            deadline: record.deadline(),
            kept_until: self.kept_until(index),
        })
    }

    /// Until when the version of a record is remembered.
    fn kept_until(&self, index: Index) -> BootMillis {
        let due = self.slab.get(index).due();
        if self.outliving.is_empty() {
            return due;
        }
        self.outliving
            .get(&index)
            .map_or(due, |until| due.max(*until))
    }

    /// The version that is kept for a key.
    pub(super) fn version(&self, hash: u64, key: &[u8], now: BootMillis) -> Option<Version> {
        let &index = self
            .table
            .find(hash, |&index| self.slab.get(index).key() == key)?;
        let record = self.slab.get(index);
        (now < self.kept_until(index)).then(|| self.origins.version(record.time, record.origin))
    }

    /// Keeps a candidate when it is newer than what is remembered of its key. An entry that
    /// has ended counts as absent, whether or not it was reclaimed, unless its version is to
    /// be remembered for longer.
    pub(super) fn put(
        &mut self,
        hasher: &impl BuildHasher,
        mut candidate: Candidate,
        budget: &Budget,
        now: BootMillis,
    ) -> Result<Put, Full> {
        if candidate.deadline <= now {
            // Its value has ended on the way; the version may still count.
            let key = candidate.data.key(candidate.key_len);
            candidate.data = Data::new(key, Bytes::new());
            candidate.cost = cost(&candidate.data);
        }
        let key = candidate.data.key(candidate.key_len);
        let hash = hasher.hash_one(key);
        let slab = &self.slab;
        let found = self
            .table
            .find(hash, |&index| slab.get(index).key() == key)
            .copied();
        let Some(index) = found else {
            if now < candidate.deadline.max(candidate.kept_until) {
                budget.take(candidate.cost)?;
                self.insert(hasher, hash, candidate, now);
            }
            return Ok(Put {
                stored: Stored::Newer,
                replaced: None,
            });
        };
        let kept = self.slab.get(index);
        let version = self.origins.version(kept.time, kept.origin);
        let remembered = self.kept_until(index);
        if now < remembered && version >= candidate.version {
            if version == candidate.version && remembered < candidate.kept_until {
                self.remember(index, candidate.kept_until, now);
            }
            return Ok(Put {
                stored: Stored::Older(version),
                replaced: Some(candidate.data),
            });
        }
        candidate.kept_until = candidate.kept_until.max(remembered);
        let replaced = if now < candidate.deadline.max(candidate.kept_until) {
            self.replace(index, candidate, budget, now)?
        } else {
            budget.give_back(cost(&kept.data));
            self.remove(hasher, index).data
        };
        Ok(Put {
            stored: Stored::Newer,
            replaced: Some(replaced),
        })
    }

    /// Remembers a version for longer.
    fn remember(&mut self, index: Index, until: BootMillis, now: BootMillis) {
        let record = self.slab.get(index);
        if record.is_bare() {
            let data = record.data.clone();
            self.wheel.unlink(&mut self.slab, index);
            self.slab.get_mut(index).strip(data, until);
            self.wheel.link(&mut self.slab, index, now);
        } else {
            self.outliving.insert(index, until);
        }
    }

    /// Brings the books about a record that is new under its index in order: it is linked
    /// by its deadline, or by the end of its version when its value has ended already.
    fn settle(&mut self, index: Index, kept_until: BootMillis, now: BootMillis) {
        let record = self.slab.get_mut(index);
        if record.deadline() <= now {
            let bare = Data::new(record.key(), Bytes::new());
            record.strip(bare, kept_until);
            self.outliving.remove(&index);
        } else if record.deadline() < kept_until {
            self.outliving.insert(index, kept_until);
        } else if !self.outliving.is_empty() {
            self.outliving.remove(&index);
        }
        self.wheel.link(&mut self.slab, index, now);
    }

    fn insert(
        &mut self,
        hasher: &impl BuildHasher,
        hash: u64,
        candidate: Candidate,
        now: BootMillis,
    ) {
        let kept_until = candidate.kept_until;
        let record = self.record(candidate);
        let index = self.slab.insert(record);
        let slab = &self.slab;
        self.table
            .insert_unique(hash, index, |&other| hasher.hash_one(slab.get(other).key()));
        self.sorted.insert(&self.slab, index);
        self.settle(index, kept_until, now);
    }

    fn replace(
        &mut self,
        index: Index,
        candidate: Candidate,
        budget: &Budget,
        now: BootMillis,
    ) -> Result<Data, Full> {
        let old_cost = cost(&self.slab.get(index).data);
        match candidate.cost.checked_sub(old_cost) {
            Some(more) => budget.take(more)?,
            None => budget.give_back(old_cost - candidate.cost),
        }
        self.wheel.unlink(&mut self.slab, index);
        let kept_until = candidate.kept_until;
        let record = self.record(candidate);
        let old = std::mem::replace(self.slab.get_mut(index), record);
        self.origins.release(old.origin);
        self.settle(index, kept_until, now);
        Ok(old.data)
    }

    fn record(&mut self, candidate: Candidate) -> Record {
        Record::new(Fields {
            origin: self.origins.intern(&candidate.version),
            data: candidate.data,
            key_len: candidate.key_len,
            time: candidate.version.time,
            ttl_s: candidate.ttl_s,
            created_unix_ms: candidate.created_unix_ms,
            deadline: candidate.deadline,
        })
    }

    fn remove(&mut self, hasher: &impl BuildHasher, index: Index) -> Record {
        self.wheel.unlink(&mut self.slab, index);
        self.forget(hasher, index)
    }

    /// Removes a record that is off the wheel.
    fn forget(&mut self, hasher: &impl BuildHasher, index: Index) -> Record {
        let hash = hasher.hash_one(self.slab.get(index).key());
        match self.table.find_entry(hash, |&other| other == index) {
            Ok(entry) => drop(entry.remove()),
            Err(_) => unreachable!("every record is in the table"),
        }
        self.sorted.remove(&self.slab, index);
        if !self.outliving.is_empty() {
            self.outliving.remove(&index);
        }
        let record = self.slab.remove(index);
        self.origins.release(record.origin);
        record
    }

    /// Gives back the memory of entries that ended, touching at most `budget` of them;
    /// returns how many were removed and whether more may be due.
    pub(super) fn reclaim(
        &mut self,
        hasher: &impl BuildHasher,
        bytes: &Budget,
        now: BootMillis,
        mut budget: usize,
    ) -> (usize, bool) {
        let mut removed = 0;
        while let Some(index) = self.wheel.expired(&mut self.slab, now, &mut budget) {
            let kept = cost(&self.slab.get(index).data);
            match self.outliving.remove(&index) {
                Some(until) if now < until => {
                    let record = self.slab.get_mut(index);
                    let bare = Data::new(record.key(), Bytes::new());
                    bytes.give_back(kept - cost(&bare));
                    record.strip(bare, until);
                    self.wheel.link(&mut self.slab, index, now);
                }
                _ => {
                    bytes.give_back(kept);
                    self.forget(hasher, index);
                }
            }
            removed += 1;
        }
        if removed > 0 && self.table.capacity() > SHRINK_MIN.max(self.len() * SHRINK_RATIO) {
            let slab = &self.slab;
            self.table.shrink_to(self.table.len() * 2, |&other| {
                hasher.hash_one(slab.get(other).key())
            });
        }
        (removed, budget == 0)
    }

    pub(super) fn next_deadline(&self) -> Option<BootMillis> {
        self.wheel.next_deadline()
    }

    /// Appends at most `limit` live keys that start with `prefix` from `start` on to
    /// `keys`; whether there may be more.
    pub(super) fn keys(
        &self,
        prefix: &[u8],
        start: Start<'_>,
        limit: usize,
        now: BootMillis,
        keys: &mut Vec<Bytes>,
    ) -> bool {
        self.walk(prefix, start, limit, keys, |_, record| {
            let live = record.is_live(now);
            live.then(|| Bytes::copy_from_slice(record.key()))
        })
    }

    /// As [`Shard::keys`] for all versions that are remembered.
    pub(super) fn listed(
        &self,
        prefix: &[u8],
        start: Start<'_>,
        limit: usize,
        now: BootMillis,
        listed: &mut Vec<Listed>,
    ) -> bool {
        self.walk(prefix, start, limit, listed, |index, record| {
            let live = record.is_live(now);
            let length = record.data.len() - usize::from(record.key_len);
            (live || now < self.kept_until(index)).then(|| Listed {
                key: Bytes::copy_from_slice(record.key()),
                version: self.origins.version(record.time, record.origin),
                length: if live {
                    u32::try_from(length).unwrap_or(u32::MAX)
                } else {
                    0
                },
                ended: !live,
            })
        })
    }

    /// What is remembered of a key whose value has ended: its version, and until when.
    pub(super) fn ended(&self, hash: u64, key: &[u8], now: BootMillis) -> Option<Found> {
        let &index = self
            .table
            .find(hash, |&index| self.slab.get(index).key() == key)?;
        let (record, kept_until) = (self.slab.get(index), self.kept_until(index));
        (!record.is_live(now) && now < kept_until).then(|| Found {
            data: Data::new(&[], Bytes::new()),
            key_len: 0,
            version: self.origins.version(record.time, record.origin),
            created_unix_ms: 0,
            ttl_s: 0,
            // On another host the end of the value may be later by the round trip that is
            // allowed for, and an entry without its value would be served until then.
            deadline: BootMillis(0),
            kept_until,
        })
    }

    fn walk<T>(
        &self,
        prefix: &[u8],
        start: Start<'_>,
        limit: usize,
        found: &mut Vec<T>,
        pick: impl Fn(Index, &Record) -> Option<T>,
    ) -> bool {
        let mut left = limit;
        for index in self.sorted.iter_from(&self.slab, start) {
            let record = self.slab.get(index);
            if !record.key().starts_with(prefix) {
                return false;
            }
            if left == 0 {
                return true;
            }
            if let Some(picked) = pick(index, record) {
                found.push(picked);
                left -= 1;
            }
        }
        false
    }
}

/// Bytes that an entry is accounted with; a large value is accounted by its buffer.
pub(super) fn cost(data: &Data) -> u64 {
    data.own_len() as u64 + super::ENTRY_OVERHEAD
}
