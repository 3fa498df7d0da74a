//! Whole numbers and ports.

use std::fmt::Display;

use super::{Kind, Rejected, TomlType};

/// A whole number between two bounds, both included.
pub(crate) struct Whole<T> {
    min: T,
    max: T,
}

impl<T> Whole<T> {
    pub(crate) const fn new(min: T, max: T) -> Self {
        Self { min, max }
    }
}

impl<T> Kind for Whole<T>
where
    T: Copy + Display + PartialOrd + TryFrom<u64>,
{
    type Value = T;

    fn parse(&self, text: &str) -> Result<T, Rejected> {
        digits(text)
            .and_then(|number| T::try_from(number).ok())
            .filter(|number| (self.min..=self.max).contains(number))
            .ok_or(Rejected::WHOLE)
    }

    fn write(&self, value: &T) -> Option<String> {
        Some(value.to_string())
    }

    fn allowed(&self) -> String {
        format!("{} to {}", self.min, self.max)
    }

    fn toml_types(&self) -> &'static [TomlType] {
        &[TomlType::Integer]
    }
}

/// A TCP or UDP port.
pub(crate) struct Port;

impl Kind for Port {
    type Value = u16;

    fn parse(&self, text: &str) -> Result<u16, Rejected> {
        Whole::new(1, u16::MAX).parse(text)
    }

    fn write(&self, value: &u16) -> Option<String> {
        Some(value.to_string())
    }

    fn allowed(&self) -> String {
        "a port number from 1 to 65535".to_owned()
    }

    fn toml_types(&self) -> &'static [TomlType] {
        &[TomlType::Integer]
    }
}

/// A number of decimal digits; `str::parse` would also take a plus sign.
pub(super) fn digits(text: &str) -> Option<u64> {
    let text = text.trim();
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Option<u16>) {
        assert_eq!(Whole::new(1_u16, 1000).parse(text).ok(), expect, "{text:?}");
    }

    #[test]
    fn whole_numbers_between_the_bounds() {
        check("1", Some(1));
        check("1000", Some(1000));
        check(" 7 ", Some(7));
        check("007", Some(7));
        check("0", None);
        check("1001", None);
        check("65536", None);
        check("99999999999999999999", None);
        check("-1", None);
        check("+1", None);
        check("1.0", None);
        check("1_000", None);
        check("٣", None);
        check("", None);
        check("abc", None);
    }

    #[test]
    fn a_port_is_never_zero() {
        assert_eq!(Port.parse("65535"), Ok(65535));
        assert_eq!(Port.parse("0"), Err(Rejected::WHOLE));
        assert_eq!(Port.parse("65536"), Err(Rejected::WHOLE));
    }
}
