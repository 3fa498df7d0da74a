//! What a churn client saw.

use std::fmt;

/// Violations that are remembered in words.
const SHOWN: usize = 20;

/// Counts of answers, and what was wrong with the wrong ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Writes that were acknowledged (201).
    pub written: u64,
    /// Writes that are stored and still spread (202), or of which nothing is known.
    pub unconfirmed: u64,
    /// Reads that gave a value that may be there now.
    pub verified: u64,
    /// Reads that gave bytes that nobody has written, and values that nobody gives any more.
    pub lost: u64,
    /// Reads that gave a value older than one acknowledged a second before the read began.
    pub stale: u64,
    /// Reads that gave 404 although a write of the key was acknowledged before.
    pub false_404: u64,
    /// Reads that were refused or not answered.
    pub refused: u64,
    /// The first violations.
    pub violations: Vec<String>,
}

impl Report {
    /// Whether nothing went wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.lost + self.stale + self.false_404 == 0
    }

    pub(super) fn violated(&mut self, what: String) {
        if self.violations.len() < SHOWN {
            self.violations.push(what);
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} written, {} unconfirmed, {} verified, {} lost, {} stale, {} false 404, {} refused",
            self.written,
            self.unconfirmed,
            self.verified,
            self.lost,
            self.stale,
            self.false_404,
            self.refused,
        )?;
        self.violations
            .iter()
            .try_for_each(|violation| write!(f, "\n  {violation}"))
    }
}
