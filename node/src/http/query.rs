//! Query strings, times to live and cursors.

use std::time::Duration;

use super::bounds::{KEY_MAX, PAGE_MAX};
use super::key::{hex_digit, percent_decode};

/// Why a query is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// A percent sign is not followed by two hexadecimal digits.
    #[error("a percent sign in the query must be followed by two hexadecimal digits")]
    Percent,
    /// A parameter or header field is given more than once.
    #[error("{0} is given more than once; give it once")]
    Twice(&'static str),
    /// The time to live is no number.
    #[error("the time to live must be a whole number of seconds from 1 on, in ?ttl= or in X-TTL")]
    Ttl,
    /// The page size is no number.
    #[error("limit must be a whole number from 1 on; more than {PAGE_MAX} counts as {PAGE_MAX}")]
    Limit,
    /// The cursor is none that a node gave.
    #[error("cursor must be the next_cursor of an earlier answer, unchanged")]
    Cursor,
    /// The prefix is longer than any key.
    #[error("prefix has {0} bytes after percent-decoding; {KEY_MAX} are allowed, as in a key")]
    Prefix(usize),
}

/// The value of a parameter; `None` when there is none. Of two the client cannot know which
/// one counts, so they are refused, also when they are equal.
pub(super) fn parameter(
    query: Option<&str>,
    name: &'static str,
) -> Result<Option<Vec<u8>>, QueryError> {
    let mut found = None;
    for pair in query.into_iter().flat_map(|query| query.split('&')) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if !is_named(key, name) {
            continue;
        }
        let value = percent_decode(value.as_bytes(), true).ok_or(QueryError::Percent)?;
        if found.replace(value).is_some() {
            return Err(QueryError::Twice(name));
        }
    }
    Ok(found)
}

/// Whether the name of a parameter as it came means `name`; a character may be
/// percent-encoded (RFC 3986, section 6.2.2.2). What cannot be decoded means nothing here.
fn is_named(key: &str, name: &str) -> bool {
    key == name
        || (key.contains('%')
            && percent_decode(key.as_bytes(), true).is_some_and(|key| key == name.as_bytes()))
}

/// The bounds of times to live, in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TtlBounds {
    /// Shorter ones are raised to this.
    pub min: Duration,
    /// Longer ones are cut to this.
    pub max: Duration,
    /// What counts when the client says nothing.
    pub default: Duration,
}

impl TtlBounds {
    /// The time to live of a write in seconds, from the query or else the header fields,
    /// of which there may be one.
    pub(super) fn of<'a>(
        &self,
        query: Option<&str>,
        mut headers: impl Iterator<Item = &'a [u8]>,
    ) -> Result<u32, QueryError> {
        let header = headers.next();
        if headers.next().is_some() {
            return Err(QueryError::Twice("X-TTL"));
        }
        let asked = match (parameter(query, "ttl")?, header) {
            (Some(value), _) => whole_number(&value),
            (None, Some(value)) => whole_number(value.trim_ascii()),
            (None, None) => Some(self.default.as_secs()),
        };
        let seconds = asked.ok_or(QueryError::Ttl)?;
        let clamped = seconds.clamp(self.min.as_secs(), self.max.as_secs());
        Ok(u32::try_from(clamped).unwrap_or(u32::MAX))
    }
}

/// A decimal number from 1 on; one that is too large for the type is the largest.
fn whole_number(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    let mut number = 0u64;
    for byte in text {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        number = number.saturating_mul(10).saturating_add(u64::from(digit));
    }
    (number > 0).then_some(number)
}

/// What a listing asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// What the keys begin with.
    pub prefix: Vec<u8>,
    /// The key behind which it goes on.
    pub after: Option<Vec<u8>>,
    /// Keys of a page at most.
    pub limit: usize,
}

impl Listing {
    /// Reads a query.
    ///
    /// # Errors
    /// When it is none of a listing; the answer is 400.
    pub fn parse(query: Option<&str>) -> Result<Self, QueryError> {
        let limit = match parameter(query, "limit")? {
            None => PAGE_MAX,
            Some(text) => {
                let limit = whole_number(&text).ok_or(QueryError::Limit)?;
                usize::try_from(limit).unwrap_or(PAGE_MAX).min(PAGE_MAX)
            }
        };
        let after = parameter(query, "cursor")?
            .filter(|text| !text.is_empty())
            .map(|text| decode_cursor(&text).ok_or(QueryError::Cursor))
            .transpose()?;
        let prefix = parameter(query, "prefix")?.unwrap_or_default();
        if prefix.len() > KEY_MAX {
            return Err(QueryError::Prefix(prefix.len()));
        }
        Ok(Self {
            prefix,
            after,
            limit,
        })
    }
}

/// A cursor is the last key of the page before, in hexadecimal: it needs no state, so every
/// node understands it, and it passes through URLs unchanged.
pub(super) fn encode_cursor(key: &[u8]) -> String {
    use std::fmt::Write as _;
    key.iter()
        .fold(String::with_capacity(2 * key.len()), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

fn decode_cursor(text: &[u8]) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_chunks::<2>();
    if !rest.is_empty() || pairs.len() > KEY_MAX {
        return None;
    }
    pairs
        .iter()
        .map(|&[high, low]| Some((hex_digit(high)? << 4) | hex_digit(low)?))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOUNDS: TtlBounds = TtlBounds {
        min: Duration::from_secs(300),
        max: Duration::from_secs(86_400),
        default: Duration::from_secs(3600),
    };

    fn check(query: Option<&str>, header: Option<&str>, expect: Result<u32, QueryError>) {
        let found = BOUNDS.of(query, header.map(str::as_bytes).into_iter());
        assert_eq!(found, expect, "{query:?} {header:?}");
    }

    #[test]
    fn the_query_wins_over_the_header_and_both_are_clamped() {
        check(None, None, Ok(3600));
        check(Some("ttl=600"), None, Ok(600));
        check(Some("a=b&ttl=600"), Some("700"), Ok(600));
        check(Some("%74tl=600&%zz=1"), None, Ok(600));
        check(Some("attl=600"), Some(" 700 "), Ok(700));
        check(Some("ttl=1"), None, Ok(300));
        check(Some("ttl=99999999999999999999999"), None, Ok(86_400));
        check(Some("ttl=%36%30%30"), None, Ok(600));
        check(None, Some("000000400"), Ok(400));
        for bad in ["", "0", "-1", "+5", "1.5", "5s", "1e3", " 600", "0x10"] {
            check(
                Some(&format!("ttl={}", bad.replace('+', "%2B"))),
                Some("600"),
                Err(QueryError::Ttl),
            );
        }
        check(Some("ttl"), None, Err(QueryError::Ttl));
        check(Some("ttl=%6"), None, Err(QueryError::Percent));
        check(Some(""), Some(""), Err(QueryError::Ttl));
    }

    #[test]
    fn what_is_given_twice_is_refused() {
        let twice = Err(QueryError::Twice("ttl"));
        check(Some("ttl=600&ttl=700"), None, twice);
        check(Some("ttl=600&a=b&ttl=600"), None, twice);
        check(Some("ttl=600&%74%74%6c=600"), None, twice);
        check(Some("ttl=600&tt%6=1&TTL=1"), None, Ok(600));
        check(Some("ttl=600&ttl"), None, twice);
        let headers = [&b"600"[..], b"600"];
        assert_eq!(
            BOUNDS.of(Some("ttl=600"), headers.into_iter()),
            Err(QueryError::Twice("X-TTL"))
        );
        for (query, name) in [
            ("limit=1&limit=2", "limit"),
            ("cursor=&cursor=", "cursor"),
            ("prefix=a&prefix=b", "prefix"),
        ] {
            assert_eq!(Listing::parse(Some(query)), Err(QueryError::Twice(name)));
        }
        assert_eq!(
            QueryError::Twice("ttl").to_string(),
            "ttl is given more than once; give it once"
        );
    }

    #[test]
    fn times_to_live_stay_in_their_bounds_whatever_these_are() {
        let largest = TtlBounds {
            min: Duration::from_secs(1),
            max: Duration::MAX,
            default: Duration::MAX,
        };
        for query in [
            None,
            Some("ttl=18446744073709551615"),
            Some("ttl=4294967296"),
        ] {
            assert_eq!(
                largest.of(query, std::iter::empty()),
                Ok(u32::MAX),
                "{query:?}"
            );
        }
    }

    #[test]
    fn listings_have_bounds() {
        let listing = |prefix: &str, after: Option<&str>, limit| {
            Ok(Listing {
                prefix: prefix.into(),
                after: after.map(Into::into),
                limit,
            })
        };
        let check = |query: Option<&str>, expect| {
            assert_eq!(Listing::parse(query), expect, "{query:?}");
        };
        check(None, listing("", None, PAGE_MAX));
        check(Some("prefix=a%2Fb+c&limit=5"), listing("a/b c", None, 5));
        check(
            Some("limit=100000000000000000000"),
            listing("", None, PAGE_MAX),
        );
        check(
            Some("cursor=6b31&prefix=k"),
            listing("k", Some("k1"), PAGE_MAX),
        );
        check(Some("cursor="), listing("", None, PAGE_MAX));
        check(Some("limit=0"), Err(QueryError::Limit));
        check(Some("limit=x"), Err(QueryError::Limit));
        check(Some("cursor=6b3"), Err(QueryError::Cursor));
        check(Some("cursor=zz"), Err(QueryError::Cursor));
        check(
            Some(&format!("cursor={}", "00".repeat(1025))),
            Err(QueryError::Cursor),
        );
        check(Some("prefix=%"), Err(QueryError::Percent));
        let longest = "a".repeat(KEY_MAX);
        check(
            Some(&format!("prefix={longest}")),
            listing(&longest, None, PAGE_MAX),
        );
        check(
            Some(&format!("prefix={}", "%61".repeat(KEY_MAX))),
            listing(&longest, None, PAGE_MAX),
        );
        check(
            Some(&format!("prefix=b{longest}")),
            Err(QueryError::Prefix(1025)),
        );
        assert_eq!(
            QueryError::Prefix(1025).to_string(),
            "prefix has 1025 bytes after percent-decoding; 1024 are allowed, as in a key"
        );
    }

    proptest! {
        #[test]
        fn a_cursor_is_its_key(key in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert_eq!(decode_cursor(encode_cursor(&key).as_bytes()), Some(key));
        }

        #[test]
        fn no_query_panics(query in "[%&=a-z0-9+]{0,40}") {
            let _ = Listing::parse(Some(&query));
            let _ = BOUNDS.of(Some(&query), std::iter::empty());
        }
    }
}
