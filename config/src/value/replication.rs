//! How many copies of a value there are.

use std::fmt;

use super::whole::digits;
use super::{Kind, Rejected, TomlType};

/// More copies than nodes can ever exist are written as `all`.
const COPIES_MAX: u16 = 1000;

/// The number of nodes that keep a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplicationFactor {
    /// This many nodes, or all where there are fewer. Never 0.
    Count(u16),
    /// Every node.
    All,
}

impl fmt::Display for ReplicationFactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => count.fmt(f),
            Self::All => f.write_str("all"),
        }
    }
}

/// The kind of [`ReplicationFactor`].
pub(crate) struct Copies;

impl Kind for Copies {
    type Value = ReplicationFactor;

    fn parse(&self, text: &str) -> Result<ReplicationFactor, Rejected> {
        if text.trim().eq_ignore_ascii_case("all") {
            return Ok(ReplicationFactor::All);
        }
        digits(text)
            .and_then(|number| u16::try_from(number).ok())
            .filter(|number| (1..=COPIES_MAX).contains(number))
            .map(ReplicationFactor::Count)
            .ok_or(Rejected::WHOLE)
    }

    fn write(&self, value: &ReplicationFactor) -> Option<String> {
        Some(value.to_string())
    }

    fn allowed(&self) -> String {
        format!("1 to {COPIES_MAX}, or all")
    }

    fn toml_types(&self) -> &'static [TomlType] {
        &[TomlType::Integer, TomlType::String]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Option<ReplicationFactor>) {
        assert_eq!(Copies.parse(text).ok(), expect, "{text:?}");
    }

    #[test]
    fn copies() {
        check("3", Some(ReplicationFactor::Count(3)));
        check("All", Some(ReplicationFactor::All));
        check("0", None);
        check("1001", None);
        check("many", None);
    }
}
