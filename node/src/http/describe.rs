//! Entity tags, times and what else an entry is described with.

use bytes::Bytes;
use http::HeaderMap;
use http::header::{ETAG, HeaderName, HeaderValue, IF_NONE_MATCH};

use super::rfc3339;
use crate::clock::BootMillis;
use crate::store::Entry;

const X_CREATED_AT: HeaderName = HeaderName::from_static("x-created-at");
const X_ORIGINAL_TTL: HeaderName = HeaderName::from_static("x-original-ttl");
const X_REMAINING_TTL: HeaderName = HeaderName::from_static("x-remaining-ttl");

/// Room for everything that is rendered of one entry: a time (24 bytes), two numbers of up
/// to 20, and a tag of up to 68.
const RENDERED_MAX: usize = 136;

/// Describes `entry`: its tag, when it was made, how long it lives and still lives. The
/// remaining seconds are rounded up, so that a value that is served has some. They are never
/// more than it had: its deadline is in the next millisecond, and on another host later by as
/// much as the clocks there may be apart.
pub(super) fn describe(entry: &Entry, now: BootMillis, headers: &mut HeaderMap) {
    let mut text = Vec::with_capacity(RENDERED_MAX);
    write_tag(entry, &mut text);
    let tag_end = text.len();
    write_created(entry, &mut text);
    let created_end = text.len();
    write_number(u64::from(entry.ttl_s), &mut text);
    let ttl_end = text.len();
    write_remaining(entry, now, &mut text);

    // One allocation for all four.
    let text = Bytes::from(text);
    let value = |range: std::ops::Range<usize>| {
        HeaderValue::from_maybe_shared(text.slice(range)).expect("digits and punctuation")
    };
    headers.insert(ETAG, value(0..tag_end));
    headers.insert(X_CREATED_AT, value(tag_end..created_end));
    headers.insert(X_ORIGINAL_TTL, value(created_end..ttl_end));
    headers.insert(X_REMAINING_TTL, value(ttl_end..text.len()));
}

/// Whether the client has this very entry already (RFC 9110, section 13.1.2).
pub(super) fn is_known(request: &HeaderMap, entry: &Entry) -> bool {
    if !request.contains_key(IF_NONE_MATCH) {
        return false;
    }
    let mut tag = Vec::with_capacity(RENDERED_MAX);
    write_tag(entry, &mut tag);
    request
        .get_all(IF_NONE_MATCH)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .any(|known| known == b"*" || known.strip_prefix(b"W/").unwrap_or(known) == tag)
}

/// When it was made.
pub(super) fn write_created(entry: &Entry, to: &mut Vec<u8>) {
    rfc3339::write(entry.created_unix_ms, to);
}

/// The seconds that it still lives.
pub(super) fn write_remaining(entry: &Entry, now: BootMillis, to: &mut Vec<u8>) {
    let remaining_s = entry.deadline.since(now).div_ceil(1000);
    write_number(remaining_s.min(entry.ttl_s.into()), to);
}

/// A strong tag: the version, of which no two writes have the same.
pub(super) fn write_tag(entry: &Entry, to: &mut Vec<u8>) {
    let version = &entry.version;
    to.push(b'"');
    write_hex(version.time.0, to);
    to.push(b'-');
    let mut uuid = [0; 32];
    to.extend_from_slice(version.uuid.simple().encode_lower(&mut uuid).as_bytes());
    to.push(b'-');
    write_hex(version.generation, to);
    to.push(b'"');
}

/// Without leading zeros.
fn write_hex(number: u64, to: &mut Vec<u8>) {
    let digits = (64 - (number | 1).leading_zeros()).div_ceil(4);
    for place in (0..digits).rev() {
        to.push(b"0123456789abcdef"[(number >> (4 * place)) as usize & 15]);
    }
}

/// In decimal.
pub(super) fn write_number(number: u64, to: &mut Vec<u8>) {
    let start = to.len();
    let mut rest = number;
    loop {
        to.push(b'0' + (rest % 10) as u8);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    to[start..].reverse();
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::version::{HybridTime, Version};

    fn entry() -> Entry {
        Entry {
            value: Bytes::from_static(b"v"),
            version: Version {
                time: HybridTime(0x0abc),
                uuid: Uuid::from_u128(0x1f),
                generation: u64::MAX,
            },
            created_unix_ms: 1_790_000_000_007,
            ttl_s: 600,
            deadline: BootMillis(700_001),
            kept_until: BootMillis(700_001),
        }
    }

    #[test]
    fn an_entry_is_described() {
        let mut headers = HeaderMap::new();
        describe(&entry(), BootMillis(101_001), &mut headers);
        let tag = "\"abc-0000000000000000000000000000001f-ffffffffffffffff\"";
        assert_eq!(headers[ETAG], tag);
        assert_eq!(headers["X-Created-At"], "2026-09-21T14:13:20.007Z");
        assert_eq!(headers["X-Original-TTL"], "600");
        assert_eq!(headers["X-Remaining-TTL"], "599");
        let remaining = |now| {
            let mut headers = HeaderMap::new();
            describe(&entry(), BootMillis(now), &mut headers);
            headers["X-Remaining-TTL"].clone()
        };
        assert_eq!(remaining(100_000), "600", "at most all of it");
        assert_eq!(remaining(101_000), "600");
        assert_eq!(remaining(700_000), "1");
    }

    #[test]
    fn tags_match_weakly_and_in_lists() {
        let tag = "\"abc-0000000000000000000000000000001f-ffffffffffffffff\"";
        let check = |lines: &[&str], expect| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(IF_NONE_MATCH, line.parse().expect("is a header"));
            }
            assert_eq!(is_known(&headers, &entry()), expect, "{lines:?}");
        };
        check(&[], false);
        check(&["*"], true);
        check(&[tag], true);
        check(&[&format!("W/{tag}")], true);
        check(&[&format!("\"x\" , {tag}")], true);
        check(&["\"x\"", tag], true);
        check(&["\"x\"", &tag[1..]], false);
    }

    #[test]
    fn numbers_are_written() {
        for number in [0, 1, 9, 10, 15, 16, 255, 256, u64::MAX] {
            let (mut decimal, mut hex) = (Vec::new(), Vec::new());
            write_number(number, &mut decimal);
            write_hex(number, &mut hex);
            assert_eq!(decimal, number.to_string().as_bytes());
            assert_eq!(hex, format!("{number:x}").as_bytes());
        }
    }
}
