//! Walking over the store's keys in order, a page at a time.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::clock::BootMillis;
use crate::store::{Listed, Store};

/// Keys fetched from the store at once.
const FETCH: usize = 512;

/// What one page may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    /// Items in the page.
    pub(super) items: usize,
    /// Bytes in the page, but for the last item, which may go beyond.
    pub(super) bytes: usize,
}

/// A walk over what a store remembers: live values, and versions whose value has ended.
pub(super) struct Scan<'a> {
    store: &'a Store,
    now: BootMillis,
    prefix: Bytes,
    /// The last key that was given out or skipped.
    position: Option<Bytes>,
    fetched: VecDeque<Listed>,
    ended: bool,
    left: Budget,
    seen: usize,
}

impl<'a> Scan<'a> {
    /// Walks over keys that are live at `now`, start with `prefix` and come after `after`.
    pub(super) const fn new(
        store: &'a Store,
        now: BootMillis,
        prefix: Bytes,
        after: Option<Bytes>,
        budget: Budget,
    ) -> Self {
        let fetched = VecDeque::new();
        Self {
            store,
            now,
            prefix,
            position: after,
            fetched,
            ended: false,
            left: budget,
            seen: 0,
        }
    }

    /// The next key, unless the page is full or the walk is over.
    pub(super) fn next(&mut self) -> Option<Listed> {
        if self.left.items == 0 || self.left.bytes == 0 {
            return None;
        }
        self.fetch();
        let listed = self.fetched.pop_front()?;
        self.position = Some(listed.key.clone());
        self.seen += 1;
        Some(listed)
    }

    /// The last key went into the page and took so many bytes of it.
    pub(super) const fn took(&mut self, bytes: usize) {
        self.left.items -= 1;
        self.left.bytes = self.left.bytes.saturating_sub(bytes);
    }

    /// Keys given out so far.
    pub(super) const fn seen(&self) -> usize {
        self.seen
    }

    /// Whether there are more keys.
    pub(super) fn more(&mut self) -> bool {
        self.fetch();
        !self.fetched.is_empty()
    }

    /// Where the next page starts, if there are more keys.
    pub(super) fn rest(mut self) -> Option<Bytes> {
        if self.more() { self.position } else { None }
    }

    fn fetch(&mut self) {
        if !self.fetched.is_empty() || self.ended {
            return;
        }
        let after = self.position.as_deref();
        let listed = self.store.listed(&self.prefix, after, FETCH, self.now);
        self.ended = listed.len() < FETCH;
        self.fetched = listed.into();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::boot_now;
    use crate::store::{Entry, StoreConfig};
    use crate::version::Version;

    fn store(count: usize) -> Store {
        let store = Store::new(StoreConfig {
            limit_bytes: 1 << 30,
            shards: 4,
        });
        for number in 0..count {
            let entry = Entry {
                value: Bytes::new(),
                version: Version {
                    generation: 1,
                    ..Version::default()
                },
                created_unix_ms: 0,
                ttl_s: 3600,
                deadline: boot_now() + Duration::from_secs(3600),
                kept_until: boot_now() + Duration::from_secs(3600),
            };
            store
                .put(format!("{number:05}").into(), entry, boot_now())
                .expect("fits");
        }
        store
    }

    /// All keys, page by page.
    fn walked(store: &Store, budget: Budget, wanted: impl Fn(&Bytes) -> bool) -> (usize, usize) {
        let (mut after, mut keys, mut pages) = (None, Vec::new(), 0);
        loop {
            let mut scan = Scan::new(store, boot_now(), Bytes::new(), after, budget);
            while let Some(Listed { key, .. }) = scan.next() {
                if wanted(&key) {
                    scan.took(key.len());
                    keys.push(key);
                }
            }
            pages += 1;
            after = scan.rest();
            if after.is_none() {
                break;
            }
        }
        assert!(keys.is_sorted());
        keys.dedup();
        (keys.len(), pages)
    }

    #[test]
    fn pages_follow_each_other_without_gap_or_repetition() {
        let store = store(2 * FETCH + 3);
        let budget = |items, bytes| Budget { items, bytes };
        let count = 2 * FETCH + 3;
        assert_eq!(
            walked(&store, budget(10_000, 1 << 20), |_| true),
            (count, 1)
        );
        assert_eq!(walked(&store, budget(FETCH, 1 << 20), |_| true), (count, 3));
        assert_eq!(walked(&store, budget(100, 1 << 20), |_| true).0, count);
        assert_eq!(walked(&store, budget(10_000, 50), |_| true).0, count);
        let even = |key: &Bytes| key.last().is_some_and(|digit| digit % 2 == 0);
        assert_eq!(
            walked(&store, budget(100, 1 << 20), even).0,
            count.div_ceil(2)
        );
    }
}
