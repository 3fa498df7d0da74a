//! Merging the ordered keys of the shards into one page.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use bytes::Bytes;

use super::sorted::Start;

/// Keys that are asked of a shard at least, so that a skewed page needs few rounds.
const BATCH_MIN: usize = 16;

/// Keys from one shard that are not in the page yet, in descending order.
#[derive(Default)]
struct Run {
    keys: Vec<Bytes>,
    more: bool,
}

/// Merges up to `limit` keys from `shards` sources in byte order.
///
/// `fetch(shard, start, count, keys)` appends at most `count` keys of a source from `start`
/// on, ascending, and says whether more may follow. It is called for short batches, so that
/// no source is held for a whole page, and a page costs little more than its own keys.
pub(super) fn merge(
    shards: usize,
    first: Start<'_>,
    limit: usize,
    mut fetch: impl FnMut(usize, Start<'_>, usize, &mut Vec<Bytes>) -> bool,
) -> Vec<Bytes> {
    let batch = (limit / shards.max(1) * 2).max(BATCH_MIN).min(limit);
    let mut fill = |shard: usize, start: Start<'_>, run: &mut Run| {
        run.keys.clear();
        run.more = fetch(shard, start, batch, &mut run.keys);
        run.keys.reverse();
        run.keys.pop()
    };
    let mut page = Vec::new();
    if limit == 0 {
        return page;
    }
    let mut runs: Vec<Run> = Vec::new();
    runs.resize_with(shards, Run::default);
    let mut heads = BinaryHeap::with_capacity(shards);
    for (shard, run) in runs.iter_mut().enumerate() {
        heads.extend(fill(shard, first, run).map(|key| Reverse((key, shard))));
    }
    while let Some(Reverse((key, shard))) = heads.pop() {
        let run = &mut runs[shard];
        let next = match run.keys.pop() {
            None if run.more => fill(shard, Start::After(&key), run),
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
            mut sources in prop::collection::vec(prop::collection::vec("[a-c]{1,6}", 0..60), 0..6),
            limit in 0usize..200,
        ) {
            // Sources are disjoint, as shards are.
            let mut all: Vec<String> = sources.iter().flatten().cloned().collect();
            all.sort();
            all.dedup();
            for (number, source) in sources.iter_mut().enumerate() {
                source.sort();
                source.dedup();
                source.retain(|key| {
                    all.binary_search(key).is_ok_and(|at| at % 6 == number)
                });
            }
            all = sources.iter().flatten().cloned().collect();
            all.sort();
            all.truncate(limit);
            let page = merge(sources.len(), Start::From(b""), limit, |shard, start, count, keys| {
                assert!(count <= limit);
                let rest: Vec<_> = sources[shard]
                    .iter()
                    .filter(|key| match start {
                        Start::From(from) => key.as_bytes() >= from,
                        Start::After(after) => key.as_bytes() > after,
                    })
                    .collect();
                keys.extend(rest.iter().take(count).map(|key| Bytes::from((**key).clone())));
                rest.len() > count
            });
            prop_assert_eq!(page, all);
        }
    }
}
