//! Sizes in bytes.

use super::{Kind, Rejected, TomlType};

/// Units of sizes, largest first and binary before decimal: the order in which
/// [`write`] prefers them. They are read without regard to case.
const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1000),
    ("B", 1),
];

/// A number of bytes between two bounds, both included: `10 MiB`, `64KiB`,
/// `100MB`, or a bare number of bytes.
pub(crate) struct Size {
    min: u64,
    max: u64,
}

impl Size {
    pub(crate) const fn new(min: u64, max: u64) -> Self {
        Self { min, max }
    }
}

impl Kind for Size {
    type Value = u64;

    fn parse(&self, text: &str) -> Result<u64, Rejected> {
        bytes(text.trim())
            .filter(|bytes| (self.min..=self.max).contains(bytes))
            .ok_or(Rejected::WHOLE)
    }

    fn write(&self, value: &u64) -> Option<String> {
        Some(write(*value))
    }

    fn allowed(&self) -> String {
        let (min, max) = (write(self.min), write(self.max));
        format!("a size from {min} to {max}, such as 10 MiB or 100MB")
    }

    fn toml_types(&self) -> &'static [TomlType] {
        &[TomlType::Integer, TomlType::String]
    }
}

/// Reads a whole number with an optional unit.
fn bytes(text: &str) -> Option<u64> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number: u64 = number.parse().ok()?;
    let unit = unit.trim_start();
    if unit.is_empty() {
        return Some(number);
    }
    let (_, factor) = UNITS
        .into_iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
    number.checked_mul(factor)
}

/// Writes a size with the largest binary unit that leaves a whole number.
pub(super) fn write(bytes: u64) -> String {
    let (unit, factor) = UNITS
        .into_iter()
        .filter(|(_, factor)| factor.is_power_of_two())
        .find(|(_, factor)| bytes >= *factor && bytes.is_multiple_of(*factor))
        .unwrap_or(("B", 1));
    format!("{} {unit}", bytes / factor)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Option<u64>) {
        assert_eq!(bytes(text), expect, "{text:?}");
    }

    #[test]
    fn sizes() {
        check("10 MiB", Some(10 << 20));
        check("10485760", Some(10 << 20));
        check("64KiB", Some(64 << 10));
        check("64kib", Some(64 << 10));
        check("100MB", Some(100_000_000));
        check("1 kb", Some(1000));
        check("2TiB", Some(2 << 40));
        check("7 B", Some(7));
        check("0", Some(0));
        check("10M", None);
        check("1.5 MiB", None);
        check("-1", None);
        check("MiB", None);
        check("", None);
        check("10 MiB extra", None);
        check("18446744073709551616", None);
        check("99999999999 TiB", None);
    }

    #[test]
    fn sizes_are_written_in_binary_units() {
        assert_eq!(write(10 << 20), "10 MiB");
        assert_eq!(write(64 << 10), "64 KiB");
        assert_eq!(write(1000), "1000 B");
        assert_eq!(write(0), "0 B");
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(size: u64) {
            prop_assert_eq!(bytes(&write(size)), Some(size));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC*") {
            let _ = bytes(&text);
        }
    }
}
