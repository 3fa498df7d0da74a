//! Counts that one thread keeps and others read.

use std::sync::atomic::{AtomicU64, Ordering};

use super::lane::Loss;

/// Lines and their bytes since the start. Exact for whoever looks when the writers rest; in a
/// flood the two numbers may be a batch apart.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    lines: AtomicU64,
    bytes: AtomicU64,
}

impl Tally {
    /// Counts more.
    pub(crate) fn add(&self, more: Loss) {
        // Nothing else is read because of these numbers, so that no order has to be kept.
        self.lines.fetch_add(more.lines, Ordering::Relaxed);
        self.bytes.fetch_add(more.bytes, Ordering::Relaxed);
    }

    /// What was counted so far.
    pub(crate) fn sum(&self) -> Loss {
        Loss {
            lines: self.lines.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
        }
    }
}
