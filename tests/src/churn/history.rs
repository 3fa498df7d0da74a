//! What is known of one key that has one writer.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

/// How long after its acknowledgement every read must see a write, or a later one.
const SEEN_AFTER: Duration = Duration::from_secs(1);

/// Bytes of a value at most, beside its number.
const PADDING_MAX: usize = 4_000;

/// Digits of a value's number.
const DIGITS: usize = 12;

/// The writes of one key, numbered from 1, by moments since some start.
#[derive(Debug, Default)]
pub(super) struct History {
    /// The last that was sent.
    sent: u64,
    /// Those that were acknowledged, and when, as far as a read may still ask.
    acknowledged: VecDeque<(u64, Duration)>,
    /// Those of which nothing is known. Such a write may still wait in the queue of a node's
    /// socket, and then be the last one, however many were acknowledged meanwhile.
    unconfirmed: BTreeSet<u64>,
}

/// What a read that began at some moment may give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Expectation {
    /// Whether a write was acknowledged before.
    pub(super) exists: bool,
    /// The last write that must have been seen by then, 0 for none.
    pub(super) at_least: u64,
}

/// What an answer says of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// All is well.
    Fine,
    /// It is not what anybody wrote.
    Corrupt,
    /// It is of this write, and a later one must be known.
    Stale(u64),
}

impl History {
    /// The number of the next write.
    pub(super) const fn next(&mut self) -> u64 {
        self.sent += 1;
        self.sent
    }

    /// A write was acknowledged.
    pub(super) fn acknowledge(&mut self, number: u64, at: Duration) {
        self.acknowledged.push_back((number, at));
    }

    /// Nobody knows what became, or will become, of a write.
    pub(super) fn lose_sight(&mut self, number: u64) {
        self.unconfirmed.insert(number);
    }

    /// What a read that begins now may give. Moments never go back.
    pub(super) fn expect(&mut self, now: Duration) -> Expectation {
        let is_old = |at: &Duration| *at + SEEN_AFTER <= now;
        while self.acknowledged.get(1).is_some_and(|(_, at)| is_old(at)) {
            self.acknowledged.pop_front();
        }
        let first = self.acknowledged.front();
        Expectation {
            exists: first.is_some(),
            at_least: first
                .filter(|(_, at)| is_old(at))
                .map_or(0, |(number, _)| *number),
        }
    }

    /// Judges the bytes that a read gave.
    pub(super) fn judge(&self, key: &str, expected: Expectation, value: &[u8]) -> Verdict {
        let number = value
            .get(..DIGITS)
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| digits.parse().ok());
        match number {
            Some(number) if number > self.sent || value_of(key, number) != value => {
                Verdict::Corrupt
            }
            None => Verdict::Corrupt,
            Some(number) if self.unconfirmed.contains(&number) => Verdict::Fine,
            Some(number) if number < expected.at_least => Verdict::Stale(number),
            Some(_) => Verdict::Fine,
        }
    }
}

/// The value of a write: its number, and bytes that follow from key and number.
pub(super) fn value_of(key: &str, number: u64) -> Vec<u8> {
    let seed = key.bytes().fold(number, |seed, byte| {
        seed.wrapping_mul(31).wrapping_add(byte.into())
    });
    let mut random = fastrand::Rng::with_seed(seed);
    let mut padding = vec![0; random.usize(..PADDING_MAX)];
    random.fill(&mut padding);
    let mut value = format!("{number:0DIGITS$}").into_bytes();
    value.append(&mut padding);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn the_checker_sees_what_is_wrong() {
        let mut history = History::default();
        let nothing = Expectation {
            exists: false,
            at_least: 0,
        };
        assert_eq!(history.expect(at(0)), nothing);
        for (number, ms) in [(1, 100), (2, 200)] {
            assert_eq!(history.next(), number);
            history.acknowledge(number, at(ms));
        }
        assert_eq!(history.next(), 3, "it is under way");
        let expect = |history: &mut History, ms, at_least| {
            let expected = history.expect(at(ms));
            assert!(expected.exists);
            assert_eq!(expected.at_least, at_least, "at {ms}");
            expected
        };
        expect(&mut history, 1_099, 0);
        let young = expect(&mut history, 1_100, 1);
        let old = expect(&mut history, 1_200, 2);
        let check = |expected, value: &[u8], verdict| {
            assert_eq!(history.judge("k", expected, value), verdict);
        };
        let value = |number| value_of("k", number);
        check(young, &value(1), Verdict::Fine);
        check(old, &value(1), Verdict::Stale(1));
        check(old, &value(2), Verdict::Fine);
        check(old, &value(3), Verdict::Fine);
        check(old, &value(4), Verdict::Corrupt);
        history.lose_sight(3);
        assert_eq!(history.next(), 4);
        history.acknowledge(4, at(2_000));
        let late = expect(&mut history, 3_000, 4);
        let check = |expected, value: &[u8], verdict| {
            assert_eq!(history.judge("k", expected, value), verdict);
        };
        check(late, &value(3), Verdict::Fine);
        check(late, &value(2), Verdict::Stale(2));
        check(old, &value_of("l", 2), Verdict::Corrupt);
        check(old, &value(2)[1..], Verdict::Corrupt);
        check(old, b"", Verdict::Corrupt);
    }
}
