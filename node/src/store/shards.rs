//! The shards behind their locks.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::budget::{Budget, Reservation};
use super::page;
use super::record::Data;
use super::shard::{self, Candidate, Found, Shard};
use super::sorted::Start;
use super::{Entry, Full, Listed, PACKED_MAX, Stored};
use crate::clock::BootMillis;
use crate::version::Version;

/// Bytes accounted for an entry beside its key and value: the record (56), its place in
/// the table (8 at the mean load) and in the order (12), the header of its allocation and
/// what the allocator adds (some 30). Measured: 101 to 107.
pub const ENTRY_OVERHEAD: u64 = 112;

/// Records that are looked at before a shard's lock is let go in between: some tens of
/// microseconds.
const RECLAIM_BATCH: usize = 256;

/// What a store is built from.
#[derive(Clone, Copy, Debug)]
pub struct StoreConfig {
    /// Bytes that may be accounted, see [`StoreStats::used_bytes`].
    pub limit_bytes: u64,
    /// Number of shards, rounded up to a power of two; several times the threads that use
    /// the store, so that they seldom meet.
    pub shards: usize,
}

/// Counts of the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Entries kept, those included that ended and were not yet reclaimed.
    pub keys: u64,
    /// Bytes accounted: keys, values, [`ENTRY_OVERHEAD`] each, and reservations.
    pub used_bytes: u64,
    /// The limit.
    pub limit_bytes: u64,
}

/// A map from keys to [`Entry`]s that any number of threads may use.
///
/// Keys are compared and ordered as bytes. A key has at most 65,535 bytes; whoever takes
/// keys from outside has a lower bound.
pub struct Store {
    hasher: RandomState,
    shards: Box<[Mutex<Shard>]>,
    budget: Arc<Budget>,
}

impl Store {
    /// An empty store.
    #[must_use]
    pub fn new(config: StoreConfig) -> Self {
        let shards = config.shards.max(1).next_power_of_two();
        Self {
            // Keyed per process, so that nobody can choose keys that collide.
            hasher: RandomState::new(),
            shards: (0..shards).map(|_| Mutex::new(Shard::new())).collect(),
            budget: Arc::new(Budget::new(config.limit_bytes)),
        }
    }

    /// The entry of `key`, unless it ended. The value is shared, not copied.
    #[must_use]
    pub fn get(&self, key: &[u8], now: BootMillis) -> Option<Entry> {
        let hash = self.hasher.hash_one(key);
        let found = self.shard(hash).get(hash, key, now);
        found.map(Entry::from)
    }

    /// The version that is kept for `key`, if there is one.
    #[must_use]
    pub fn version(&self, key: &[u8], now: BootMillis) -> Option<Version> {
        let hash = self.hasher.hash_one(key);
        self.shard(hash).version(hash, key, now)
    }

    /// Keeps `entry` until its deadline when its version is higher than that of the live
    /// entry of `key`.
    ///
    /// Values of up to [`PACKED_MAX`](super::PACKED_MAX) bytes are copied once into an
    /// allocation of their own, which is accounted here; a larger one keeps its buffer alive,
    /// which must have been accounted before: see [`Store::hold`] and [`Reservation::hold`].
    ///
    /// # Errors
    /// When the byte limit leaves no room; what was there stays.
    ///
    /// # Panics
    /// When the key has more than 65,535 bytes.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "callers hand the key over; how it is kept is the store's business"
    )]
    pub fn put(&self, key: Bytes, entry: Entry, now: BootMillis) -> Result<Stored, Full> {
        let data = Data::new(&key, entry.value);
        let candidate = || Candidate {
            data: data.clone(),
            key_len: u16::try_from(key.len()).expect("keys have at most 65,535 bytes"),
            version: entry.version,
            created_unix_ms: entry.created_unix_ms,
            ttl_s: entry.ttl_s,
            deadline: entry.deadline,
            kept_until: entry.kept_until,
            cost: shard::cost(&data),
        };
        let hash = self.hasher.hash_one(key.as_ref());
        let put = || {
            self.shard(hash)
                .put(&self.hasher, candidate(), &self.budget, now)
        };
        // A full store may hold entries that ended and that nobody has reclaimed yet.
        let done = put().or_else(|full| {
            if self.reclaim(now) > 0 {
                put()
            } else {
                Err(full)
            }
        });
        done.map(|put| put.stored)
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
        let start = start(prefix, after);
        page::merge(
            self.shards.len(),
            start,
            limit,
            |key: &Bytes| key,
            |number, start, count, keys| {
                lock(&self.shards[number]).keys(prefix, start, count, now, keys)
            },
        )
    }

    /// As [`Store::keys`] for all versions that are remembered: those with a live value, and
    /// those whose value has ended.
    #[must_use]
    pub fn listed(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
        now: BootMillis,
    ) -> Vec<Listed> {
        let start = start(prefix, after);
        page::merge(
            self.shards.len(),
            start,
            limit,
            |listed: &Listed| &listed.key,
            |number, start, count, listed| {
                lock(&self.shards[number]).listed(prefix, start, count, now, listed)
            },
        )
    }

    /// What is remembered of `key` when its value has ended, as an entry without a value, whose
    /// deadline is the beginning of the clock: it has ended by every clock that it is told to.
    #[must_use]
    pub fn ended(&self, key: &[u8], now: BootMillis) -> Option<Entry> {
        let hash = self.hasher.hash_one(key);
        let found = self.shard(hash).ended(hash, key, now);
        found.map(Entry::from)
    }

    /// Gives back the memory of entries that ended at least 128 ms ago, and of most that
    /// ended since; returns how many there were.
    pub fn reclaim(&self, now: BootMillis) -> usize {
        self.reclaim_in_batches(now).sum()
    }

    /// As [`Store::reclaim`], one batch for each item that is asked for: some tens of
    /// microseconds, during which one shard is locked. An item is the number of entries.
    pub fn reclaim_in_batches(&self, now: BootMillis) -> impl Iterator<Item = usize> {
        self.shards.iter().flat_map(move |shard| {
            let mut more = true;
            std::iter::from_fn(move || {
                let removed;
                (removed, more) = more
                    .then(|| lock(shard).reclaim(&self.hasher, &self.budget, now, RECLAIM_BATCH))?;
                Some(removed)
            })
        })
    }

    /// When [`Store::reclaim`] has something to do next; `None` when the store is empty.
    #[must_use]
    pub fn next_deadline(&self) -> Option<BootMillis> {
        self.shards
            .iter()
            .filter_map(|shard| lock(shard).next_deadline())
            .min()
    }

    /// Takes `bytes` of the limit for something that holds data for a while, such as a
    /// body in flight, until the reservation is dropped.
    ///
    /// # Errors
    /// When fewer are free.
    pub fn reserve(&self, bytes: u64) -> Result<Reservation, Full> {
        self.budget.reserve(bytes)
    }

    /// A large value accounted for as long as anybody has it. It must have a buffer of its own:
    /// a part of one would keep all of it in memory. A value of at most
    /// [`PACKED_MAX`](super::PACKED_MAX) bytes is given back as it is: [`Store::put`] copies it.
    ///
    /// # Errors
    /// When the byte limit leaves no room.
    pub fn hold(&self, value: Bytes, now: BootMillis) -> Result<Bytes, Full> {
        if value.len() <= PACKED_MAX {
            return Ok(value);
        }
        let bytes = value.len() as u64;
        // As in `put`.
        let reserved = self.reserve(bytes).or_else(|full| {
            if self.reclaim(now) > 0 {
                self.reserve(bytes)
            } else {
                Err(full)
            }
        });
        Ok(reserved?.hold(value))
    }

    /// Counts of the moment.
    #[must_use]
    pub fn stats(&self) -> StoreStats {
        StoreStats {
            keys: self
                .shards
                .iter()
                .map(|shard| lock(shard).len() as u64)
                .sum(),
            used_bytes: self.budget.used(),
            limit_bytes: self.budget.limit(),
        }
    }

    /// The shard of a hash. Its table uses the hash's low and highest bits, so the shard is
    /// picked by others.
    fn shard(&self, hash: u64) -> MutexGuard<'_, Shard> {
        let number = (hash >> 40) as usize & (self.shards.len() - 1);
        lock(&self.shards[number])
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Store")
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

/// Where keys that start with `prefix` and come after `after` begin.
fn start<'a>(prefix: &'a [u8], after: Option<&'a [u8]>) -> Start<'a> {
    match after {
        Some(after) if after >= prefix => Start::After(after),
        _ => Start::From(prefix),
    }
}

impl From<Found> for Entry {
    fn from(found: Found) -> Self {
        Self {
            value: found.data.into_value(found.key_len),
            version: found.version,
            created_unix_ms: found.created_unix_ms,
            ttl_s: found.ttl_s,
            deadline: found.deadline,
            kept_until: found.kept_until,
        }
    }
}

/// A panic while the lock was held is a bug that was reported by the panic itself; the
/// other keys of the shard are served on.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::version::{HybridTime, Version};

    /// The wheel's tick: with all times on it, reclaiming is exact.
    const TICK: u64 = 128;
    const LIMIT: u64 = 3_000;

    fn store(limit_bytes: u64) -> Store {
        Store::new(StoreConfig {
            limit_bytes,
            shards: 4,
        })
    }

    fn entry(value: &[u8], time: u64, deadline: BootMillis) -> Entry {
        let version = Version {
            time: HybridTime(time),
            uuid: Uuid::from_u128(9),
            generation: time % 3,
        };
        Entry {
            value: Bytes::copy_from_slice(value),
            version,
            created_unix_ms: 1_790_000_000_000 + time,
            ttl_s: 300,
            deadline,
            kept_until: deadline,
        }
    }

    #[test]
    fn served_until_its_deadline_and_not_a_millisecond_longer() {
        let store = store(LIMIT);
        let kept = entry(b"v", 1, BootMillis(1_000));
        assert_eq!(
            store.put("k".into(), kept.clone(), BootMillis(0)),
            Ok(Stored::Newer)
        );
        assert_eq!(store.get(b"k", BootMillis(999)), Some(kept));
        assert_eq!(store.get(b"k", BootMillis(1_000)), None);
        assert!(store.keys(b"", None, 10, BootMillis(1_000)).is_empty());
        assert_eq!(store.stats().keys, 1);
        assert_eq!(store.reclaim(BootMillis(1_000 + TICK)), 1);
        assert_eq!(
            store.stats(),
            StoreStats {
                limit_bytes: LIMIT,
                ..StoreStats::default()
            }
        );
        assert_eq!(store.next_deadline(), None);
    }

    #[test]
    fn the_higher_version_wins_whatever_the_order() {
        let store = store(LIMIT);
        let (now, end) = (BootMillis(0), BootMillis(1_000));
        let newer = entry(b"newer", 2, end);
        assert_eq!(store.put("k".into(), newer.clone(), now), Ok(Stored::Newer));
        for time in [0, 1] {
            let late = entry(b"late", time, BootMillis(9_000));
            assert_eq!(
                store.put("k".into(), late, now),
                Ok(Stored::Older(newer.version))
            );
        }
        assert_eq!(store.get(b"k", now), Some(newer));
        assert_eq!(
            store.put("k".into(), entry(b"x", 1, BootMillis(2_000)), end),
            Ok(Stored::Newer)
        );
    }

    #[test]
    fn a_newer_entry_that_has_ended_ends_the_older() {
        let store = store(LIMIT);
        let now = BootMillis(500);
        store
            .put("k".into(), entry(b"old", 1, BootMillis(9_000)), now)
            .expect("fits");
        assert_eq!(
            store.put("k".into(), entry(b"new", 2, now), now),
            Ok(Stored::Newer)
        );
        assert_eq!(store.get(b"k", now), None);
        // Its version is remembered for as long as the older one would have lived.
        assert_eq!(store.stats().used_bytes, 1 + ENTRY_OVERHEAD);
        let late = entry(b"old", 1, BootMillis(9_000));
        let older = store.put("k".into(), late, BootMillis(8_999));
        assert!(matches!(older, Ok(Stored::Older(_))), "{older:?}");
        store.reclaim(BootMillis(9_000 + TICK));
        assert_eq!(store.stats().used_bytes, 0);
    }

    #[test]
    fn what_is_told_of_an_ended_value_has_ended_by_a_clock_that_is_behind() {
        let (here, there) = (store(LIMIT), store(LIMIT));
        let end = BootMillis(1_000);
        let long = Entry {
            kept_until: BootMillis(9_000),
            ..entry(b"value", 1, end)
        };
        for reclaimed in [false, true] {
            here.put("k".into(), long.clone(), BootMillis(0))
                .expect("fits");
            if reclaimed {
                here.reclaim(end + Duration::from_millis(TICK));
            }
            let told = here.ended(b"k", end).expect("its version is kept");
            // By this clock the value would live on for a moment; it did not come along.
            let now = BootMillis(end.0 - 1);
            there.put("k".into(), told, now).expect("fits");
            assert_eq!(there.get(b"k", now), None, "reclaimed: {reclaimed}");
            assert_eq!(there.version(b"k", now), Some(long.version));
        }
    }

    #[test]
    fn what_does_not_fit_changes_nothing() {
        let store = store(2 * (ENTRY_OVERHEAD + 10));
        let (now, end) = (BootMillis(0), BootMillis(1_000));
        let kept = entry(b"123456789", 1, end);
        store.put("a".into(), kept.clone(), now).expect("fits");
        store
            .put("b".into(), kept.clone(), now)
            .expect("fits exactly");
        let full = Full {
            needed: 1,
            used: store.stats().limit_bytes,
            limit: store.stats().limit_bytes,
        };
        assert_eq!(
            store.put("a".into(), entry(b"1234567890", 2, end), now),
            Err(full)
        );
        assert_eq!(store.get(b"a", now), Some(kept));
        assert!(store.reserve(1).is_err());
        store
            .put("a".into(), entry(b"1", 2, end), now)
            .expect("smaller");
        assert_eq!(store.reserve(8).map(|reserved| reserved.bytes()), Ok(8));
        // What ended makes room without waiting for the next round of reclaiming.
        let late = BootMillis(1_000 + TICK);
        store
            .put("c".into(), entry(&[0; 100], 3, BootMillis(9_000)), late)
            .expect("reclaimed");
        assert_eq!(store.stats().keys, 1);
    }

    #[test]
    fn a_page_starts_after_its_cursor() {
        let store = store(1 << 20);
        for number in 0..300 {
            let key = format!("{}/{number:03}", ["a", "b", "c"][number % 3]);
            store
                .put(key.into(), entry(b"", 1, BootMillis(9)), BootMillis(0))
                .expect("fits");
        }
        let mut seen = Vec::new();
        loop {
            let after: Option<&Bytes> = seen.last();
            let page = store.keys(b"b/", after.map(AsRef::as_ref), 7, BootMillis(0));
            if page.is_empty() {
                break;
            }
            seen.extend(page);
        }
        let expected: Vec<_> = (0..300)
            .filter(|n| n % 3 == 1)
            .map(|n| Bytes::from(format!("b/{n:03}")))
            .collect();
        assert_eq!(seen, expected);
        assert_eq!(
            store.keys(b"b/", Some(b"a"), 1, BootMillis(0)),
            expected[..1]
        );
        assert_eq!(
            store.keys(b"b/", Some(b"c"), 1, BootMillis(0)),
            Vec::<Bytes>::new()
        );
        assert_eq!(store.keys(b"", None, 0, BootMillis(0)), Vec::<Bytes>::new());
    }

    #[test]
    fn a_listing_has_what_stays_once_and_in_order_while_others_write() {
        let store = store(1 << 24);
        let stays: Vec<_> = (0..1_000)
            .map(|number| Bytes::from(format!("stays-{number:04}")))
            .collect();
        for key in &stays {
            let kept = entry(b"", 1, BootMillis(u64::MAX >> 16));
            store.put(key.clone(), kept, BootMillis(0)).expect("fits");
        }
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for round in (1..).take_while(|_| !over.load(Ordering::Relaxed)) {
                    let now = BootMillis(TICK * round);
                    let key = format!("{}-{}", ["a", "stays-05", "z"][round as usize % 3], round);
                    let goes = entry(b"", round, now + Duration::from_millis(4 * TICK));
                    store.put(key.into(), goes, now).expect("fits");
                    store.reclaim(now);
                }
            });
            for _ in 0..20 {
                let mut seen: Vec<Bytes> = Vec::new();
                loop {
                    let after = seen.last().map(AsRef::as_ref);
                    let page = store.keys(b"", after, 37, BootMillis(0));
                    if page.is_empty() {
                        break;
                    }
                    seen.extend(page);
                }
                assert!(seen.is_sorted_by(|one, next| one < next));
                seen.retain(|key| key.len() == "stays-0000".len() && stays.contains(key));
                assert_eq!(seen, stays);
            }
            over.store(true, Ordering::Relaxed);
        });
    }

    #[derive(Clone, Debug)]
    enum Step {
        Put {
            key: String,
            time: u64,
            ticks: u64,
            len: usize,
        },
        Get(String),
        Keys {
            prefix: String,
            after: Option<String>,
            limit: usize,
        },
        Advance(u64),
        Reclaim,
    }

    fn step() -> impl Strategy<Value = Step> {
        let key = "[ab]{1,3}";
        prop_oneof![
            6 => (key, 0u64..40, 0u64..30, 0usize..400)
                .prop_map(|(key, time, ticks, len)| Step::Put { key, time, ticks, len }),
            3 => key.prop_map(Step::Get),
            1 => ("[ab]{0,2}", prop::option::of(key), 0usize..8)
                .prop_map(|(prefix, after, limit)| Step::Keys { prefix, after, limit }),
            2 => (0u64..10).prop_map(Step::Advance),
            1 => Just(Step::Reclaim),
        ]
    }

    /// The store as one map and a clock.
    #[derive(Default)]
    struct Model {
        /// What is remembered; a version whose value was given up has no more bytes.
        entries: BTreeMap<String, Remembered>,
        now: BootMillis,
    }

    #[derive(Clone)]
    struct Remembered {
        entry: Entry,
        /// Whether only the version is left.
        bare: bool,
    }

    impl Remembered {
        fn due(&self) -> BootMillis {
            if self.bare {
                self.entry.kept_until
            } else {
                self.entry.deadline
            }
        }
    }

    impl Model {
        fn cost(key: &str, entry: &Entry) -> u64 {
            (key.len() + entry.value.len()) as u64 + ENTRY_OVERHEAD
        }

        fn used(&self) -> u64 {
            self.entries
                .iter()
                .map(|(key, kept)| Self::cost(key, &kept.entry))
                .sum()
        }

        fn live(&self, key: &str) -> Option<&Entry> {
            let kept = self.entries.get(key);
            kept.map(|kept| &kept.entry)
                .filter(|entry| self.now < entry.deadline)
        }

        fn reclaim(&mut self) -> usize {
            let mut count = 0;
            self.entries.retain(|_, kept| {
                if self.now < kept.due() {
                    return true;
                }
                count += 1;
                if kept.bare || kept.entry.kept_until <= self.now {
                    return false;
                }
                kept.bare = true;
                kept.entry.value = Bytes::new();
                true
            });
            count
        }

        /// `Err` stands for full.
        fn put(&mut self, key: &str, entry: &Entry) -> Result<Stored, ()> {
            let (now, mut entry) = (self.now, entry.clone());
            let bare = entry.deadline <= now;
            if bare {
                entry.value = Bytes::new();
            }
            let old = self.entries.get_mut(key).map(|kept| &mut kept.entry);
            if let Some(old) = old.filter(|old| now < old.kept_until) {
                if old.version >= entry.version {
                    if old.version == entry.version {
                        old.kept_until = old.kept_until.max(entry.kept_until);
                    }
                    return Ok(Stored::Older(old.version));
                }
                entry.kept_until = entry.kept_until.max(old.kept_until);
            }
            if entry.kept_until <= now {
                self.entries.remove(key);
                return Ok(Stored::Newer);
            }
            let freed = |model: &Self| {
                let old = model.entries.get(key);
                old.map_or(0, |old| Self::cost(key, &old.entry))
            };
            let fits =
                |model: &Self| model.used() - freed(model) + Self::cost(key, &entry) <= LIMIT;
            if !fits(self) && (self.reclaim() == 0 || !fits(self)) {
                return Err(());
            }
            self.entries
                .insert(key.to_owned(), Remembered { entry, bare });
            Ok(Stored::Newer)
        }

        fn keys(&self, prefix: &str, after: Option<&str>, limit: usize) -> Vec<Bytes> {
            let live = self
                .entries
                .iter()
                .filter(|(_, kept)| self.now < kept.entry.deadline);
            live.map(|(key, _)| key)
                .filter(|key| key.starts_with(prefix))
                .filter(|key| after.is_none_or(|after| key.as_str() > after))
                .take(limit)
                .map(|key| Bytes::from(key.clone()))
                .collect()
        }
    }

    proptest! {
        #[test]
        fn agrees_with_a_map(steps in prop::collection::vec(step(), 1..200)) {
            let store = store(LIMIT);
            let mut model = Model { now: BootMillis(1 << 20), ..Model::default() };
            for step in steps {
                match step {
                    Step::Put { key, time, ticks, len } => {
                        let deadline = BootMillis(model.now.0 + ticks * TICK);
                        let entry = entry(&vec![b'x'; len], time, deadline);
                        let stored = store.put(key.clone().into(), entry.clone(), model.now);
                        prop_assert_eq!(stored.map_err(drop), model.put(&key, &entry));
                    }
                    Step::Get(key) => {
                        let found = store.get(key.as_bytes(), model.now);
                        prop_assert_eq!(found.as_ref(), model.live(&key));
                        let kept = model.entries.get(&key).map(|kept| &kept.entry);
                        let kept = kept.filter(|entry| model.now < entry.kept_until);
                        let version = store.version(key.as_bytes(), model.now);
                        prop_assert_eq!(version, kept.map(|entry| entry.version));
                    }
                    Step::Keys { prefix, after, limit } => prop_assert_eq!(
                        store.keys(
                            prefix.as_bytes(),
                            after.as_ref().map(String::as_bytes),
                            limit,
                            model.now,
                        ),
                        model.keys(&prefix, after.as_deref(), limit)
                    ),
                    Step::Advance(ticks) => model.now.0 += ticks * TICK,
                    Step::Reclaim => {
                        prop_assert_eq!(store.reclaim(model.now), model.reclaim());
                        let first = model.entries.values().map(Remembered::due).min();
                        prop_assert_eq!(store.next_deadline().is_some(), first.is_some());
                        prop_assert!(store.next_deadline() <= first);
                    }
                }
                let stats = store.stats();
                prop_assert_eq!(stats.keys, model.entries.len() as u64);
                prop_assert_eq!(stats.used_bytes, model.used());
            }
        }
    }

    #[test]
    fn threads_share_it() {
        let store = store(1 << 24);
        let now = BootMillis(0);
        std::thread::scope(|scope| {
            for thread in 0..4u64 {
                let store = &store;
                scope.spawn(move || {
                    for number in 0..500u64 {
                        let time = number * 4 + thread;
                        let value = entry(&time.to_be_bytes(), time, BootMillis(1_000));
                        let key = format!("{}", number % 50);
                        store.put(key.into(), value, now).expect("fits");
                        assert!(store.keys(b"", None, 20, now).len() <= 20);
                    }
                });
            }
        });
        assert_eq!(store.stats().keys, 50);
        for number in 0..50 {
            let last: u64 = (number + 450) * 4 + 3;
            let kept = store
                .get(format!("{number}").as_bytes(), now)
                .expect("live");
            assert_eq!(kept.value, last.to_be_bytes().as_slice());
        }
        store.reclaim(BootMillis(2_000));
        assert_eq!(store.stats().used_bytes, 0);
    }
}
