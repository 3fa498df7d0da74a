//! The books that are kept beside the nodes: what was promised, and what may be seen.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::coordinator::{GetOutcome, PutOutcome};
use crate::version::Version;

/// A read that begins so long after an acknowledgement must not see anything older.
pub(super) const STALE_AFTER_US: u64 = 1_000_000;

/// One write of a client. Its value is its number.
#[derive(Clone, Debug)]
pub(super) struct Write {
    pub(super) key: Bytes,
    pub(super) begun_us: u64,
    /// True time at which its value ends.
    pub(super) ends_us: u64,
    pub(super) ended: Option<(u64, PutOutcome)>,
    /// As soon as it is known.
    pub(super) version: Option<Version>,
    /// No node that lives has it or anything newer.
    pub(super) lost: bool,
    /// Some node that lives had something newer: when that has ended nobody needs to know of
    /// it where nobody has what it replaced.
    pub(super) replaced: bool,
}

impl Write {
    /// When it was acknowledged.
    pub(super) fn acknowledged_us(&self) -> Option<u64> {
        match self.ended {
            Some((at, PutOutcome::Acknowledged)) => Some(at),
            _ => None,
        }
    }
}

/// Counts of what was checked.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) written: u64,
    pub(super) acknowledged: u64,
    pub(super) found: u64,
    pub(super) missing: u64,
    pub(super) unknown: u64,
    pub(super) lost_with_all_copies: u64,
    pub(super) latest_us: u64,
    /// Nodes that stopped as they were asked to, and of these those that handed everything
    /// over while nobody was killed.
    pub(super) left: u64,
    pub(super) left_whole: u64,
}

impl Tally {
    pub(super) fn add(&mut self, other: &Self) {
        self.written += other.written;
        self.acknowledged += other.acknowledged;
        self.found += other.found;
        self.missing += other.missing;
        self.unknown += other.unknown;
        self.left += other.left;
        self.left_whole += other.left_whole;
        self.lost_with_all_copies += other.lost_with_all_copies;
        self.latest_us = self.latest_us.max(other.latest_us);
    }
}

/// All writes of one run.
#[derive(Debug, Default)]
pub(super) struct Oracle {
    pub(super) writes: Vec<Write>,
    by_key: BTreeMap<Bytes, Vec<usize>>,
    pub(super) tally: Tally,
}

/// A read of a client that is over.
pub(super) struct ReadSeen<'a> {
    pub(super) key: &'a Bytes,
    pub(super) begun_us: u64,
    pub(super) now_us: u64,
    pub(super) outcome: &'a GetOutcome,
    /// How late a value may be served, in microseconds.
    pub(super) lateness_us: u64,
    /// Whether values that are superseded may still be seen: members are apart.
    pub(super) may_be_stale: bool,
}

/// The number in a value.
pub(super) fn number(value: &Bytes) -> usize {
    let bytes: [u8; 8] = value[..8].try_into().expect("a number");
    usize::try_from(u64::from_be_bytes(bytes)).expect("small")
}

impl Oracle {
    pub(super) fn begin(&mut self, write: Write) -> usize {
        let number = self.writes.len();
        self.by_key
            .entry(write.key.clone())
            .or_default()
            .push(number);
        self.writes.push(write);
        self.tally.written += 1;
        number
    }

    pub(super) fn keys(&self) -> Vec<Bytes> {
        self.by_key.keys().cloned().collect()
    }

    /// The highest version of `key` that is known of any write.
    pub(super) fn newest(&self, key: &Bytes) -> Option<Version> {
        let numbers = self.by_key.get(key).into_iter().flatten();
        numbers
            .filter_map(|number| self.writes[*number].version)
            .max()
    }

    /// Acknowledged writes of `key` that somebody still has, or something newer, and whose
    /// version is known.
    pub(super) fn kept<'a>(&'a self, key: &Bytes) -> impl Iterator<Item = &'a Write> {
        let numbers = self.by_key.get(key).into_iter().flatten();
        numbers
            .map(|number| &self.writes[*number])
            .filter(|write| !write.lost && write.version.is_some())
            .filter(|write| write.acknowledged_us().is_some())
    }

    /// Whatever might have replaced `write` and have ended since: a 404 is no surprise then.
    fn may_be_over(&self, write: &Write, now_us: u64) -> bool {
        self.by_key[&write.key]
            .iter()
            .map(|number| &self.writes[*number])
            .filter(|other| {
                other.begun_us >= write.begun_us
                    || other.version.is_none_or(|it| Some(it) >= write.version)
            })
            .any(|other| other.ends_us <= now_us)
    }

    /// The latest acknowledged write of `key` that must be there now, unless nobody can.
    pub(super) fn must_be_there(&self, key: &Bytes, since_us: u64, now_us: u64) -> Option<&Write> {
        self.kept(key)
            .filter(|write| write.acknowledged_us().is_some_and(|at| at < since_us))
            .filter(|write| !self.may_be_over(write, now_us))
            .max_by_key(|write| write.version)
    }

    /// Checks what a read found.
    pub(super) fn found(&mut self, read: &ReadSeen<'_>) {
        let GetOutcome::Found(entry) = read.outcome else {
            return;
        };
        self.tally.found += 1;
        let number = number(&entry.value);
        let write = &self.writes[number];
        assert_eq!(write.key, read.key, "the value of another key");
        let late = read.now_us.saturating_sub(write.ends_us);
        assert!(
            late <= read.lateness_us,
            "{} us late, of at most {}: write {number}: {write:?}",
            late,
            read.lateness_us
        );
        self.tally.latest_us = self.tally.latest_us.max(late);
        if read.may_be_stale {
            return;
        }
        let newer = self.kept(read.key).find(|other| {
            !std::ptr::eq(*other, &self.writes[number])
                && other.version > Some(entry.version)
                && other
                    .acknowledged_us()
                    .is_some_and(|at| write.begun_us < at && at + STALE_AFTER_US < read.begun_us)
        });
        assert!(
            newer.is_none(),
            "write {number} was served, read began at {} and ended at {}, but {newer:?}",
            read.begun_us,
            read.now_us
        );
    }
}
