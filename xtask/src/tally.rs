//! Counting what `cargo test` ran.

use std::fmt;
use std::iter::Sum;

/// How many tests passed and failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    passed: u64,
    failed: u64,
}

impl Tally {
    /// Adds up the summary lines of all test binaries in the output of
    /// `cargo test`; `None` when nothing was run.
    pub(crate) fn of_output(output: &str) -> Option<Self> {
        let mut summaries = output.lines().filter_map(Self::of_line).peekable();
        summaries.peek()?;
        Some(summaries.sum())
    }

    /// Reads `test result: ok. 3 passed; 0 failed; 0 ignored; ...`.
    fn of_line(line: &str) -> Option<Self> {
        let (_verdict, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
        let count = |word: &str| {
            let mut parts = counts.split("; ").filter_map(|part| part.split_once(' '));
            let (number, _) = parts.find(|(_, found)| *found == word)?;
            number.parse().ok()
        };
        Some(Self {
            passed: count("passed")?,
            failed: count("failed")?,
        })
    }
}

impl Sum for Tally {
    fn sum<I: Iterator<Item = Self>>(tallies: I) -> Self {
        tallies.fold(Self::default(), |total, one| Self {
            passed: total.passed + one.passed,
            failed: total.failed + one.failed,
        })
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} passed, {} failed", self.passed, self.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::Tally;

    fn check(output: &str, expect: Option<&str>) {
        let found = Tally::of_output(output).map(|tally| tally.to_string());
        assert_eq!(found.as_deref(), expect, "of {output:?}");
    }

    #[test]
    fn adds_up_all_binaries() {
        check("", None);
        check("error: could not compile `x`", None);
        check(
            "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n",
            Some("3 passed, 0 failed"),
        );
        check(
            "running 1 test\n\
             test a ... FAILED\n\
             test result: FAILED. 12 passed; 1 failed; 0 ignored; 0 measured; 2 filtered out; finished in 1.25s\n\
             Doc-tests x\n\
             test result: ok. 4 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n",
            Some("16 passed, 1 failed"),
        );
    }

    #[test]
    fn ignores_what_only_looks_alike() {
        check("test result: about to come", None);
        check("  test result: ok. 3 passed; 0 failed", None);
    }
}
