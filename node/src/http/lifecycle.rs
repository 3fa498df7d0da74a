//! Where in its life the node is.

use std::sync::atomic::{AtomicU8, Ordering};

/// Where in its life the node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// It has not joined its peers yet.
    Starting,
    /// It serves.
    Serving,
    /// It answers what comes on open connections and takes no new ones.
    Draining,
}

/// A [`Stage`] that all threads see; it only goes forward.
#[derive(Debug, Default)]
pub struct Lifecycle(AtomicU8);

impl Lifecycle {
    /// The stage of the moment.
    #[must_use]
    pub fn stage(&self) -> Stage {
        match self.0.load(Ordering::Relaxed) {
            0 => Stage::Starting,
            1 => Stage::Serving,
            _ => Stage::Draining,
        }
    }

    /// Goes on to `stage`, unless it is there or further already.
    pub fn advance(&self, stage: Stage) {
        self.0.fetch_max(stage as u8, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_goes_back() {
        let lifecycle = Lifecycle::default();
        for (step, expect) in [
            (Stage::Starting, Stage::Starting),
            (Stage::Serving, Stage::Serving),
            (Stage::Draining, Stage::Draining),
            (Stage::Serving, Stage::Draining),
        ] {
            lifecycle.advance(step);
            assert_eq!(lifecycle.stage(), expect);
        }
    }
}
