//! Indices in the byte order of their keys.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::slab::{Index, Slab};

/// Indices in a run: 4 KiB with their marks, so that moving half a run for an insertion
/// costs less than one key that is not in the processor's cache.
const RUN_MAX: usize = 512;
/// A run and its neighbour are joined when both fit this: half full, so that joining and
/// splitting do not alternate.
const JOIN_MAX: usize = RUN_MAX / 2;

/// The records of a shard in the byte order of their keys: a B+ tree of two levels.
///
/// Comparing keys means following two pointers to memory that is seldom in the cache, which
/// in a large store costs more than everything else a put does. So both levels answer from
/// what they hold themselves wherever they can: the upper one from separators, cut to the
/// bytes that tell two runs apart (Bayer and Unterauer, "Prefix B-trees", 1977), the lower
/// one from the four bytes of each key that follow what all keys of the run begin with.
/// Together that is some eleven bytes a key.
#[derive(Default)]
pub(super) struct Sorted {
    /// In order; only the first may be empty, and its separator is.
    runs: Vec<Run>,
}

/// Neighbouring keys.
#[derive(Default)]
struct Run {
    /// At most the first key of this run, and above every key of the run before.
    separator: Box<[u8]>,
    /// What all keys of this run begin with.
    prefix: Box<[u8]>,
    /// For each key the four bytes after the prefix, filled up with zeros.
    marks: Vec<u32>,
    indices: Vec<Index>,
}

/// A place between two keys.
#[derive(Clone, Copy, Debug)]
pub(super) enum Start<'a> {
    /// The first key that is not below this.
    From(&'a [u8]),
    /// The first key that is above this.
    After(&'a [u8]),
}

impl Sorted {
    /// Adds a record, whose key is not there yet.
    pub(super) fn insert(&mut self, slab: &Slab, index: Index) {
        if self.runs.is_empty() {
            self.runs.push(Run::default());
        }
        let key = slab.get(index).key();
        let number = self.run_of(key);
        let run = &mut self.runs[number];
        let at = run.insert(slab, key, index);
        if run.indices.len() > RUN_MAX {
            // Keys that come in ascending order leave full runs behind, others halves.
            let middle = if at == RUN_MAX { RUN_MAX } else { RUN_MAX / 2 };
            let upper = run.split(slab, middle);
            self.runs.insert(number + 1, upper);
        }
    }

    /// Takes a record out, before its key goes.
    pub(super) fn remove(&mut self, slab: &Slab, index: Index) {
        let key = slab.get(index).key();
        let number = self.run_of(key);
        let run = &mut self.runs[number];
        let at = run.find(slab, key).expect("every record is in the order");
        assert_eq!(run.indices[at], index, "a key has one record");
        run.marks.remove(at);
        run.indices.remove(at);
        if let Some(next) = self.runs.get(number + 1)
            && self.runs[number].indices.len() + next.indices.len() <= JOIN_MAX
        {
            let next = self.runs.remove(number + 1);
            let run = &mut self.runs[number];
            run.indices.extend(next.indices);
            run.find_marks(slab);
        } else if self.runs[number].indices.is_empty() && number > 0 {
            self.runs.remove(number);
        }
    }

    /// The records from a place on, in order.
    pub(super) fn iter_from<'a>(
        &'a self,
        slab: &'a Slab,
        start: Start<'_>,
    ) -> impl Iterator<Item = Index> + 'a {
        let (key, skip_equal) = match start {
            Start::From(key) => (key, 0),
            Start::After(key) => (key, 1),
        };
        let number = if self.runs.is_empty() {
            0
        } else {
            self.run_of(key)
        };
        let skipped = self
            .runs
            .get(number)
            .map_or(0, |run| match run.find(slab, key) {
                Ok(at) => at + skip_equal,
                Err(at) => at,
            });
        self.runs[number..]
            .iter()
            .flat_map(|run| &run.indices)
            .copied()
            .skip(skipped)
    }

    /// The run that has a key, or would have it.
    fn run_of(&self, key: &[u8]) -> usize {
        self.runs.partition_point(|run| *run.separator <= *key) - 1
    }
}

impl Run {
    /// Where `key` is, or else where it would be.
    fn find(&self, slab: &Slab, key: &[u8]) -> Result<usize, usize> {
        if !key.starts_with(&self.prefix) {
            return Err(if *key < *self.prefix {
                0
            } else {
                self.indices.len()
            });
        }
        let mark = self.mark(key);
        let first = self.marks.partition_point(|&other| other < mark);
        let equal = self.marks[first..].partition_point(|&other| other == mark);
        self.indices[first..first + equal]
            .binary_search_by(|&other| slab.get(other).key().cmp(key))
            .map(|at| first + at)
            .map_err(|at| first + at)
    }

    fn insert(&mut self, slab: &Slab, key: &[u8], index: Index) -> usize {
        let common = common_prefix(&self.prefix, key);
        if self.indices.is_empty() {
            self.prefix = key.into();
        } else if common < self.prefix.len() {
            self.prefix = key[..common].into();
            self.marks = self.marks_of(slab);
        }
        let at = match self.find(slab, key) {
            Ok(_) => unreachable!("a key has one record"),
            Err(at) => at,
        };
        self.marks.insert(at, self.mark(key));
        self.indices.insert(at, index);
        at
    }

    /// Leaves the indices before `middle` here, of which there are some.
    fn split(&mut self, slab: &Slab, middle: usize) -> Self {
        let indices = self.indices.split_off(middle);
        let below = slab.get(self.indices[middle - 1]).key();
        let first = slab.get(indices[0]).key();
        let separator = first[..=common_prefix(below, first)].into();
        let mut upper = Self {
            separator,
            indices,
            ..Self::default()
        };
        self.find_marks(slab);
        upper.find_marks(slab);
        upper
    }

    /// Sets prefix and marks to what the keys are.
    fn find_marks(&mut self, slab: &Slab) {
        let (Some(&first), Some(&last)) = (self.indices.first(), self.indices.last()) else {
            return;
        };
        let (first, last) = (slab.get(first).key(), slab.get(last).key());
        self.prefix = first[..common_prefix(first, last)].into();
        self.marks = self.marks_of(slab);
    }

    fn marks_of(&self, slab: &Slab) -> Vec<u32> {
        self.indices
            .iter()
            .map(|&index| self.mark(slab.get(index).key()))
            .collect()
    }

    /// Of two keys that begin with the prefix, the lower never has the higher mark.
    fn mark(&self, key: &[u8]) -> u32 {
        let rest = &key[self.prefix.len()..];
        let mut mark = [0; 4];
        let count = rest.len().min(mark.len());
        mark[..count].copy_from_slice(&rest[..count]);
        u32::from_be_bytes(mark)
    }
}

fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::clock::BootMillis;
    use crate::store::origins::Origins;
    use crate::store::record::{Data, Fields, Record};
    use crate::version::{HybridTime, Version};

    fn add(slab: &mut Slab, key: &[u8]) -> Index {
        slab.insert(Record::new(Fields {
            data: Data::new(key, Bytes::new()),
            key_len: u16::try_from(key.len()).expect("keys are short"),
            time: HybridTime(0),
            origin: Origins::default().intern(&Version::default()),
            ttl_s: 1,
            created_unix_ms: 0,
            deadline: BootMillis(0),
        }))
    }

    impl Sorted {
        fn check(&self, slab: &Slab) {
            let mut order: Vec<&[u8]> = Vec::new();
            for (number, run) in self.runs.iter().enumerate() {
                assert_eq!(run.separator.is_empty(), number == 0);
                assert!(run.indices.len() <= RUN_MAX);
                assert!(number == 0 || !run.indices.is_empty());
                assert_eq!(run.marks, run.marks_of(slab));
                let keys: Vec<_> = run
                    .indices
                    .iter()
                    .map(|&index| slab.get(index).key())
                    .collect();
                assert!(keys.iter().all(|key| key.starts_with(&run.prefix)));
                assert!(keys.iter().all(|key| **key >= *run.separator));
                assert!(order.last().is_none_or(|last| **last < *run.separator));
                order.extend(keys);
            }
            assert!(order.is_sorted_by(|a, b| a < b));
        }
    }

    #[test]
    fn ascending_keys_fill_their_runs() {
        let (mut slab, mut sorted) = (Slab::default(), Sorted::default());
        for number in 0..10 * RUN_MAX as u64 {
            let index = add(&mut slab, &number.to_be_bytes());
            sorted.insert(&slab, index);
        }
        sorted.check(&slab);
        assert_eq!(sorted.runs.len(), 10);
    }

    /// Keys of one to seven bytes from few letters: long common prefixes, keys that are
    /// prefixes of others, and keys that differ in zeros only.
    fn key(number: u16) -> Vec<u8> {
        let letters = [0, 0, b'a', 0xff];
        let digits = (0..7).map(|place| usize::from(number >> (2 * place)) & 3);
        let len = 1 + usize::from(number % 7);
        [
            b"p".to_vec(),
            digits.take(len).map(|digit| letters[digit]).collect(),
        ]
        .concat()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn agrees_with_a_tree(
            steps in prop::collection::vec((0u8..3, any::<u16>()), 1..5_000),
            starts in prop::collection::vec(any::<u16>(), 20),
        ) {
            let (mut slab, mut sorted) = (Slab::default(), Sorted::default());
            let mut model: BTreeMap<Vec<u8>, Index> = BTreeMap::new();
            for (number, (step, choice)) in steps.into_iter().enumerate() {
                // Mostly growth first and mostly removal then, so that runs split and join.
                if (step > 0) == (number < 3_000) || model.is_empty() {
                    let key = key(choice);
                    model.entry(key).or_insert_with_key(|key| {
                        let index = add(&mut slab, key);
                        sorted.insert(&slab, index);
                        index
                    });
                } else {
                    let from = key(choice);
                    let next = model.range(from..).next().or(model.iter().next());
                    let key = next.expect("not empty").0.clone();
                    let index = model.remove(&key).expect("is in it");
                    sorted.remove(&slab, index);
                    slab.remove(index);
                }
            }
            sorted.check(&slab);
            for start in starts {
                let start = key(start);
                let from: Vec<_> = sorted.iter_from(&slab, Start::From(&start)).collect();
                let after: Vec<_> = sorted.iter_from(&slab, Start::After(&start)).collect();
                let expected: Vec<_> =
                    model.range(start.clone()..).map(|(_, &index)| index).collect();
                let skip = usize::from(model.contains_key(&start));
                prop_assert_eq!(&from, &expected);
                prop_assert_eq!(&after, &expected[skip..]);
            }
        }
    }
}
