//! Durations.

use std::time::Duration;

use super::{Kind, Rejected, TomlType};

/// Units, longest first: the order in which [`write`] prefers them.
const UNITS_MS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// Some durations as they can be written.
const EXAMPLES: [(&str, Duration); 3] = [
    ("200ms", Duration::from_millis(200)),
    ("2s", Duration::from_secs(2)),
    ("5m", Duration::from_secs(300)),
];

/// Digits after the point that can matter: a day is 8.64e7 milliseconds.
const FRACTION_DIGITS_MAX: usize = 8;

/// A duration between two bounds, both included: a sequence of numbers with
/// units (`200ms`, `1.5s`, `1m30s`), or a bare number of seconds.
pub(crate) struct Span {
    min_ms: u64,
    max_ms: u64,
    /// Whole seconds, written without a unit, as time-to-live settings are.
    whole_seconds: bool,
}

impl Span {
    /// A duration of whole milliseconds.
    pub(crate) const fn new(min: Duration, max: Duration) -> Self {
        Self {
            min_ms: whole_ms(min),
            max_ms: whole_ms(max),
            whole_seconds: false,
        }
    }

    /// How a duration is written, with the longest unit that leaves a whole number.
    pub(crate) fn text(duration: Duration) -> String {
        write(duration)
    }

    /// A duration of whole seconds.
    pub(crate) const fn seconds(min: u64, max: u64) -> Self {
        Self {
            min_ms: min * 1000,
            max_ms: max * 1000,
            whole_seconds: true,
        }
    }
}

/// `Duration::as_millis` for the bounds, which fit.
const fn whole_ms(duration: Duration) -> u64 {
    duration.as_secs() * 1000 + duration.subsec_millis() as u64
}

impl Kind for Span {
    type Value = Duration;

    fn parse(&self, text: &str) -> Result<Duration, Rejected> {
        milliseconds(text.trim())
            .filter(|ms| (self.min_ms..=self.max_ms).contains(ms))
            .filter(|ms| !self.whole_seconds || ms % 1000 == 0)
            .map(Duration::from_millis)
            .ok_or(Rejected::WHOLE)
    }

    fn write(&self, value: &Duration) -> Option<String> {
        Some(if self.whole_seconds {
            value.as_secs().to_string()
        } else {
            write(*value)
        })
    }

    fn allowed(&self) -> String {
        let (min, max) = (
            Duration::from_millis(self.min_ms),
            Duration::from_millis(self.max_ms),
        );
        if self.whole_seconds {
            format!(
                "whole seconds from {} to {}, such as 300 or 5m",
                min.as_secs(),
                max.as_secs()
            )
        } else {
            let examples = EXAMPLES.iter().filter(|(_, of)| (min..=max).contains(of));
            let examples: Vec<&str> = examples.map(|(text, _)| *text).collect();
            let such = match &examples[..] {
                [] => String::new(),
                [only] => format!(", such as {only}"),
                [first @ .., last] => format!(", such as {} or {last}", first.join(", ")),
            };
            format!("a duration from {} to {}{such}", write(min), write(max))
        }
    }

    fn toml_types(&self) -> &'static [TomlType] {
        if self.whole_seconds {
            &[TomlType::Integer, TomlType::String]
        } else {
            &[TomlType::Integer, TomlType::Float, TomlType::String]
        }
    }
}

/// Reads a duration of whole milliseconds.
fn milliseconds(text: &str) -> Option<u64> {
    if text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.')
    {
        return scaled(text, 1000);
    }
    let mut rest = text;
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| c.is_ascii_alphabetic())?);
        let unit_end = after
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let (_, unit_ms) = UNITS_MS.into_iter().find(|(name, _)| *name == unit)?;
        total = total.checked_add(scaled(number.trim(), unit_ms)?)?;
        rest = after.trim_start();
    }
    Some(total)
}

/// A decimal number times `unit`, where that is whole.
fn scaled(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    if number.ends_with('.') || fraction.len() > FRACTION_DIGITS_MAX {
        return None;
    }
    let power = 10_u64.pow(u32::try_from(fraction.len()).ok()?);
    let part = fraction.parse().unwrap_or(0_u64) * unit;
    let whole = whole.parse::<u64>().ok()?.checked_mul(unit)?;
    if part.is_multiple_of(power) {
        whole.checked_add(part / power)
    } else {
        None
    }
}

/// Writes a duration with the longest unit that leaves a whole number.
pub(super) fn write(duration: Duration) -> String {
    let ms = whole_ms(duration);
    if ms == 0 {
        return "0s".to_owned();
    }
    UNITS_MS
        .into_iter()
        .find(|(_, unit_ms)| ms.is_multiple_of(*unit_ms))
        .map_or_else(
            || format!("{ms}ms"),
            |(unit, unit_ms)| format!("{}{unit}", ms / unit_ms),
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, expect_ms: Option<u64>) {
        assert_eq!(milliseconds(text), expect_ms, "{text:?}");
    }

    #[test]
    fn durations() {
        check("200ms", Some(200));
        check("2s", Some(2000));
        check("5m", Some(300_000));
        check("1h", Some(3_600_000));
        check("1d", Some(86_400_000));
        check("2", Some(2000));
        check("0", Some(0));
        check("0.5", Some(500));
        check("1.25s", Some(1250));
        check("1m30s", Some(90_000));
        check("1m 30s", Some(90_000));
        check("2 s", Some(2000));
        check("0.0005s", None);
        check("1.", None);
        check(".5", None);
        check("1.2.3", None);
        check("1.123456789s", None);
        check("-1", None);
        check("1e3", None);
        check("1m30", None);
        check("s", None);
        check("5 minutes", None);
        check("2S", None);
        check("inf", None);
        check("99999999999999999999", None);
        check("9999999999999999d", None);
    }

    #[test]
    fn bounds_are_included() {
        let kind = Span::new(Duration::from_secs(1), Duration::from_secs(60));
        assert!(kind.parse("999ms").is_err());
        assert!(kind.parse("1s").is_ok());
        assert!(kind.parse("1m").is_ok());
        assert!(kind.parse("60001ms").is_err());
        assert_eq!(kind.allowed(), "a duration from 1s to 1m, such as 2s");
    }

    #[test]
    fn whole_seconds_have_no_fraction() {
        let kind = Span::seconds(1, 3600);
        assert_eq!(kind.parse("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(
            kind.write(&Duration::from_secs(300)).as_deref(),
            Some("300")
        );
        assert!(kind.parse("1500ms").is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(ms in 0..u64::MAX / 2) {
            let written = write(Duration::from_millis(ms));
            prop_assert_eq!(milliseconds(&written), Some(ms));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC*") {
            let _ = milliseconds(&text);
        }
    }
}
