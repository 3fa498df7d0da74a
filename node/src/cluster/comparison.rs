//! Comparing what two holders have, range by range, without sending it.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use bytes::Bytes;
use twox_hash::XxHash3_64;

use crate::placement::mix;
use crate::store::Listed;
use crate::version::Version;
use crate::wire::frame::{MAX_RANGES, PAGE_BYTES, RangeSum, Sums};

/// Keys in a range: so many are listed when one of them differs.
const RANGE_KEYS: usize = 64;

/// Sums up what a node has, to be asked about.
#[derive(Debug, Default)]
pub(super) struct Summing {
    ranges: Vec<RangeSum>,
    bytes: usize,
    /// Keys in the range that is not closed, its sum and its last key.
    keys: usize,
    sum: u64,
    last: Bytes,
}

impl Summing {
    /// Whether another key may be added.
    pub(super) const fn has_room(&self) -> bool {
        self.ranges.len() < MAX_RANGES - 1 && self.bytes < PAGE_BYTES / 4
    }

    /// The next key in order; whether it counts for both sides.
    pub(super) fn add(&mut self, listed: &Listed, counts: bool) {
        if counts {
            self.sum ^= mark(&listed.key, listed.version);
        }
        self.last = listed.key.clone();
        self.keys += 1;
        if self.keys >= RANGE_KEYS {
            self.close();
        }
    }

    /// All ranges; whether that was everything.
    pub(super) fn end(mut self, to_the_end: bool) -> Sums {
        if self.keys > 0 || to_the_end {
            self.close();
        }
        Sums {
            to_the_end,
            ranges: self.ranges,
        }
    }

    fn close(&mut self) {
        self.bytes += self.last.len() + size_of::<u64>();
        self.ranges.push(RangeSum {
            last: self.last.clone(),
            sum: std::mem::take(&mut self.sum),
        });
        self.keys = 0;
    }
}

/// Compares what a node has with the sums of another.
#[derive(Debug)]
pub(super) struct Comparison<'a> {
    sums: &'a Sums,
    /// The range that is being gone through.
    range: usize,
    sum: u64,
    listed: Vec<Listed>,
}

impl<'a> Comparison<'a> {
    pub(super) const fn new(sums: &'a Sums) -> Self {
        Self {
            sums,
            range: 0,
            sum: 0,
            listed: Vec::new(),
        }
    }

    /// Goes on to a key, in order, and adds to `differing` what differs in the ranges before
    /// it. Whether it is in one of them: nothing may be added when it is beyond.
    pub(super) fn reach(&mut self, key: &Bytes, differing: &mut Vec<Listed>) -> bool {
        loop {
            let Some(range) = self.sums.ranges.get(self.range) else {
                return false;
            };
            let unbounded = self.sums.to_the_end && self.range + 1 == self.sums.ranges.len();
            if unbounded || *key <= range.last {
                return true;
            }
            if self.range + 1 == self.sums.ranges.len() {
                return false;
            }
            differing.extend(self.close());
        }
    }

    /// Adds what this node has and both hold.
    pub(super) fn add(&mut self, listed: Listed) {
        self.sum ^= mark(&listed.key, listed.version);
        self.listed.push(listed);
    }

    /// What was added to the range that is being gone through.
    pub(super) const fn pending(&self) -> usize {
        self.listed.len()
    }

    /// The end, or as far as one goes: what differs in the range that was begun. When its
    /// keys were not all added it differs.
    pub(super) fn end(&mut self) -> Vec<Listed> {
        self.close()
    }

    /// Where the asker goes on.
    pub(super) fn rest(&self) -> Option<Bytes> {
        let last = self.sums.ranges.last().filter(|_| !self.sums.to_the_end);
        last.map(|range| range.last.clone())
    }

    fn close(&mut self) -> Vec<Listed> {
        let expected = self.sums.ranges.get(self.range).map(|range| range.sum);
        self.range += 1;
        let listed = std::mem::take(&mut self.listed);
        if expected == Some(std::mem::take(&mut self.sum)) {
            Vec::new()
        } else {
            listed
        }
    }
}

/// What a key with its version adds to a sum. Versions with a value and without one count
/// alike: when a value ends depends on the clock.
fn mark(key: &Bytes, version: Version) -> u64 {
    let (high, low) = version.uuid.as_u64_pair();
    // One after the other through a bijection: sums of marks must not cancel out because two
    // keys or two versions differ in the same bits.
    let parts = [version.time.0, high, low, version.generation];
    parts
        .into_iter()
        .fold(XxHash3_64::oneshot(key), |mark, part| mix(mark ^ mix(part)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::version::HybridTime;

    fn listed(key: u16, time: u64) -> Listed {
        Listed {
            key: Bytes::from(format!("{key:05}")),
            version: Version {
                time: HybridTime(time),
                ..Version::default()
            },
            length: 0,
            ended: false,
        }
    }

    /// What one side learns of the other, a range of which the asker sums up `at_once` keys.
    fn compared(ours: &[Listed], theirs: &[Listed], at_once: usize) -> Vec<Listed> {
        let (mut after, mut learned): (Option<Bytes>, _) = (None, Vec::new());
        loop {
            let beyond = |listed: &&Listed| after.as_ref().is_none_or(|after| listed.key > *after);
            let mut summing = Summing::default();
            let mut rest = ours.iter().filter(beyond);
            rest.by_ref()
                .take(at_once)
                .for_each(|it| summing.add(it, true));
            let sums = summing.end(rest.next().is_none());
            let mut comparison = Comparison::new(&sums);
            for listed in theirs.iter().filter(beyond) {
                if !comparison.reach(&listed.key, &mut learned) {
                    break;
                }
                comparison.add(listed.clone());
            }
            learned.extend(comparison.end());
            after = comparison.rest();
            if after.is_none() {
                return learned;
            }
        }
    }

    proptest! {
        #[test]
        fn whatever_differs_is_learned(
            ours in prop::collection::btree_map(0u16..500, 0u64..3, 0..300),
            theirs in prop::collection::btree_map(0u16..500, 0u64..3, 0..300),
            at_once in 1usize..400,
        ) {
            let list = |side: &std::collections::BTreeMap<u16, u64>| -> Vec<Listed> {
                side.iter().map(|(key, time)| listed(*key, *time)).collect()
            };
            let learned = compared(&list(&ours), &list(&theirs), at_once);
            for (key, time) in &theirs {
                if ours.get(key) != Some(time) {
                    prop_assert!(learned.contains(&listed(*key, *time)), "{}", key);
                }
            }
            if ours == theirs {
                prop_assert_eq!(learned, []);
            }
        }
    }
}
