//! The time in front of a line.

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;

/// `2026-11-20T12:00:00.123Z`: always this long for the years 0 to 9999, so that stamps sort
/// as text.
pub(crate) const STAMP_LEN: usize = 24;

/// RFC 3339 in UTC with milliseconds.
static PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(3));

/// A moment in milliseconds, as it stands in front of every line of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stamp([u8; STAMP_LEN]);

impl Default for Stamp {
    /// The epoch.
    fn default() -> Self {
        Self(*b"1970-01-01T00:00:00.000Z")
    }
}

impl Stamp {
    /// Bytes of the text.
    pub(crate) const LEN: usize = STAMP_LEN;

    /// The stamp of a moment, rounded down to milliseconds. A year that four digits cannot
    /// hold (a clock that is set to nonsense) becomes the epoch.
    pub(crate) fn new(time: Timestamp) -> Self {
        // The printer truncates. It is infallible for a `String`.
        let text = PRINTER.timestamp_to_string(&time);
        Self::parse(text.as_bytes()).unwrap_or_default()
    }

    /// Now, by the wall clock.
    pub(crate) fn now() -> Self {
        Self::new(Timestamp::now())
    }

    /// The stamp at the beginning of a line, when there is one.
    pub(crate) fn parse(line: &[u8]) -> Option<Self> {
        const FORM: &[u8; STAMP_LEN] = b"0000-00-00T00:00:00.000Z";
        let head: [u8; STAMP_LEN] = line.get(..STAMP_LEN)?.try_into().ok()?;
        let fits = head.iter().zip(FORM).all(|(byte, form)| match form {
            b'0' => byte.is_ascii_digit(),
            _ => byte == form,
        });
        fits.then_some(Self(head))
    }

    /// The text.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        // All bytes were checked to be ASCII.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The moment, for another way to show it; none when the digits are no date.
    pub(crate) fn timestamp(&self) -> Option<Timestamp> {
        self.as_str().parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_become_fixed_width_text() {
        let check = |millis: i64, expect: &str| {
            let time = Timestamp::from_millisecond(millis).expect("in range");
            let stamp = Stamp::new(time);
            assert_eq!(stamp.as_str(), expect);
            assert_eq!(
                Stamp::parse(format!("{expect} rest").as_bytes()),
                Some(stamp)
            );
            assert_eq!(stamp.timestamp(), Some(time));
        };
        check(0, "1970-01-01T00:00:00.000Z");
        check(7, "1970-01-01T00:00:00.007Z");
        check(1_795_176_000_123, "2026-11-20T12:00:00.123Z");
        check(-62_167_219_200_000, "0000-01-01T00:00:00.000Z");
    }

    #[test]
    fn a_fraction_of_a_millisecond_is_cut() {
        let time = Timestamp::new(1, 999_999_999).expect("in range");
        assert_eq!(Stamp::new(time).as_str(), "1970-01-01T00:00:01.999Z");
    }

    #[test]
    fn a_year_beyond_four_digits_is_the_epoch() {
        let time = Timestamp::new(-70_000_000_000, 0).expect("in range");
        assert_eq!(Stamp::new(time).as_str(), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn other_text_is_no_stamp() {
        let check = |line: &[u8]| assert_eq!(Stamp::parse(line), None);
        check(b"");
        check(b"2026-11-20T12:00:00.123");
        check(b"2026-11-20 12:00:00.123Z x");
        check(b"2026-11-20T12:00:00.12aZ x");
        check(&[0xff; 40]);
    }
}
