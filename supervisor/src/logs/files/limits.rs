//! How much the files may take.

use std::time::Duration;

/// How much may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Bytes at which a file is rotated.
    pub(crate) max_size: u64,
    /// Age of its first line at which a file is rotated; none rotates by size only.
    pub(crate) max_age: Option<Duration>,
    /// Rotated files per node.
    pub(crate) keep: u32,
    /// Bytes of all files.
    pub(crate) total: u64,
    /// Nodes that write: `flux-node-1` up to this number.
    pub(crate) nodes: u16,
}

impl Limits {
    /// Limits under which all files together stay within `total` bytes. Every node's current
    /// file and one compression under way need room for `max_size` bytes, which is lowered
    /// when that would leave less than half for rotated files.
    pub(crate) fn new(max_size: u64, keep: u32, total: u64, nodes: u16) -> Self {
        Self {
            max_size: max_size.min(share(total, nodes)).max(1),
            max_age: None,
            keep,
            total,
            nodes,
        }
    }

    /// The same when at least so many nodes write.
    pub(crate) fn shared_by(self, nodes: u16) -> Self {
        if nodes <= self.nodes {
            return self;
        }
        let max_size = self.max_size.min(share(self.total, nodes)).max(1);
        Self {
            max_size,
            nodes,
            ..self
        }
    }

    /// The same with a greatest age; zero is none.
    pub(crate) fn with_max_age(self, age: Duration) -> Self {
        let max_age = (!age.is_zero()).then_some(age);
        Self { max_age, ..self }
    }

    /// Bytes for files that no longer grow, when `writing` nodes write.
    pub(crate) fn at_rest(self, writing: u64) -> u64 {
        self.total
            .saturating_sub(self.max_size.saturating_mul(writing + 1))
    }
}

/// What half of `total` leaves for each of so many nodes and a compression.
fn share(total: u64, nodes: u16) -> u64 {
    total / 2 / (u64::from(nodes) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_shared_out() {
        let check = |max_size, total, nodes, expect_max: u64| {
            let limits = Limits::new(max_size, 5, total, nodes);
            assert_eq!(limits.max_size, expect_max);
            let writing = u64::from(nodes);
            assert!(limits.at_rest(writing) + expect_max * (writing + 1) <= total.max(2));
        };
        check(10 << 20, 100 << 20, 3, 10 << 20);
        check(10 << 20, 100 << 20, 10, (100 << 20) / 22);
        check(1, 0, 1, 1);
        check(u64::MAX, u64::MAX, u16::MAX, u64::MAX / 2 / 65536);
    }

    #[test]
    fn more_nodes_share_the_same_total() {
        let three = Limits::new(10 << 20, 5, 100 << 20, 3);
        assert_eq!(three.shared_by(10), Limits::new(10 << 20, 5, 100 << 20, 10));
        assert_eq!(three.shared_by(2), three);
    }
}
