//! Merging the ordered keys of the shards into one page.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use bytes::Bytes;

use super::sorted::Start;

/// Keys that are asked of a shard at least, so that a skewed page needs few rounds.
const BATCH_MIN: usize = 16;

/// Keys from one shard that are not in the page yet, in descending order.
struct Run<T> {
    keys: Vec<T>,
    more: bool,
}

/// Merges up to `limit` items from `shards` sources in the byte order of their keys, by
/// which they are ordered.
///
/// `fetch(shard, start, count, items)` appends at most `count` items of a source from `start`
/// on, ascending, and says whether more may follow. It is called for short batches, so that
/// no source is held for a whole page, and a page costs little more than its own items.
pub(super) fn merge<T: Ord>(
    shards: usize,
    first: Start<'_>,
    limit: usize,
    key_of: impl Fn(&T) -> &Bytes,
    mut fetch: impl FnMut(usize, Start<'_>, usize, &mut Vec<T>) -> bool,
) -> Vec<T> {
    let batch = (limit / shards.max(1) * 2).max(BATCH_MIN).min(limit);
    let mut fill = |shard: usize, start: Start<'_>, run: &mut Run<T>| {
        run.keys.clear();
        run.more = fetch(shard, start, batch, &mut run.keys);
        run.keys.reverse();
        run.keys.pop()
    };
    let mut page = Vec::new();
    if limit == 0 {
        return page;
    }
    let mut runs: Vec<Run<T>> = Vec::new();
    runs.resize_with(shards, || Run {
        keys: Vec::new(),
        more: false,
    });
    let mut heads = BinaryHeap::with_capacity(shards);
    for (shard, run) in runs.iter_mut().enumerate() {
        heads.extend(fill(shard, first, run).map(|key| Reverse((key, shard))));
    }
    while let Some(Reverse((key, shard))) = heads.pop() {
        let run = &mut runs[shard];
        let next = match run.keys.pop() {
            None if run.more => fill(shard, Start::After(key_of(&key)), run),
            next => next,
        };
        heads.extend(next.map(|key| Reverse((key, shard))));
        page.push(key);
        if page.len() == limit {
            break;
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn is_the_sorted_union(
            numbers in prop::collection::btree_set(0u32..2_000, 0..200),
            sources in 1u32..6,
            limit in 0usize..200,
        ) {
            let key = |number: u32| Bytes::from(format!("{number:x}"));
            let mut expected: Vec<_> = numbers.iter().copied().map(key).collect();
            expected.sort();
            expected.truncate(limit);
            let page = merge(sources as usize, Start::From(b""), limit, |key: &Bytes| key, |source, start, count, keys| {
                assert!(count <= limit);
                let own = numbers.iter().filter(|number| *number % sources == source as u32);
                let mut rest: Vec<_> = own.copied().map(key).filter(|key| match start {
                    Start::From(from) => **key >= *from,
                    Start::After(after) => **key > *after,
                }).collect();
                rest.sort();
                let more = rest.len() > count;
                keys.extend(rest.into_iter().take(count));
                more
            });
            prop_assert_eq!(page, expected);
        }
    }
}
