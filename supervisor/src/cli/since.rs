//! Points in time as people write them.

use jiff::civil::{DateTime, Time};
use jiff::{Span, Timestamp, Zoned};

/// From when on: a moment, or so long ago.
#[derive(Clone, Debug)]
pub enum Since {
    /// A moment.
    At(Timestamp),
    /// So long before now.
    Ago(Span),
    /// A date and time in the local zone.
    Local(DateTime),
    /// A time of today in the local zone.
    Today(Time),
}

impl Since {
    /// Reads `5m`, `1h30m`, `90` (seconds), `12:00`, `2026-11-20`, `2026-11-20 12:00` or
    /// RFC 3339.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if let Ok(seconds) = text.parse::<u32>() {
            return Ok(Self::Ago(Span::new().seconds(seconds)));
        }
        if let Ok(time) = text.parse::<Timestamp>() {
            return Ok(Self::At(time));
        }
        if let Ok(time) = text.parse::<DateTime>() {
            return Ok(Self::Local(time));
        }
        if let Ok(time) = text.parse::<Time>() {
            return Ok(Self::Today(time));
        }
        match text.parse::<Span>() {
            Ok(span) if !span.is_negative() => Ok(Self::Ago(span)),
            _ => Err(
                "allowed is a duration such as 5m or 1h30m, a time such as 12:00, or a \
                      moment such as 2026-11-20T12:00:00Z"
                    .to_owned(),
            ),
        }
    }

    /// The moment, as seen at `now` in its zone; none when there is no such moment.
    pub(crate) fn resolve(&self, now: &Zoned) -> Option<Timestamp> {
        let local = |time: DateTime| Some(time.to_zoned(now.time_zone().clone()).ok()?.timestamp());
        match self {
            Self::At(time) => Some(*time),
            Self::Ago(span) => Some(now.checked_sub(*span).ok()?.timestamp()),
            Self::Local(time) => local(*time),
            Self::Today(time) => local(now.date().to_datetime(*time)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_write_times_in_many_ways() {
        let now: Zoned = "2026-11-20T12:00:00+02:00[+02:00]".parse().expect("time");
        let check = |text: &str, expect: Option<&str>| {
            let found = Since::parse(text)
                .ok()
                .and_then(|since| since.resolve(&now));
            let expect = expect.map(|time| time.parse::<Timestamp>().expect("time"));
            assert_eq!(found, expect, "{text}");
        };
        check("5m", Some("2026-11-20T09:55:00Z"));
        check("1h30m", Some("2026-11-20T08:30:00Z"));
        check("2d", Some("2026-11-18T10:00:00Z"));
        check("90", Some("2026-11-20T09:58:30Z"));
        check("200ms", Some("2026-11-20T09:59:59.8Z"));
        check("11:30", Some("2026-11-20T09:30:00Z"));
        check("2026-11-19", Some("2026-11-18T22:00:00Z"));
        check("2026-11-19 08:00", Some("2026-11-19T06:00:00Z"));
        check("2026-11-19T08:00:00Z", Some("2026-11-19T08:00:00Z"));
        check(
            "2026-11-19T08:00:00.5+01:00",
            Some("2026-11-19T07:00:00.5Z"),
        );
        check("-5m", None);
        check("yesterday", None);
        check("", None);
    }
}
