//! Fields that several frames share.

use bytes::{BufMut, Bytes, BytesMut};
use uuid::Uuid;

use super::{MAX_KEY, MAX_RANGES, MAX_VALUE, RangeSum, Sums};
use crate::clock::BootMillis;
use crate::membership::{MAX_MEMBERS, News, decode_news, encode_news};
use crate::store::Entry;
use crate::version::Version;
use crate::wire::{MAX_PAYLOAD, Malformed, Reader, Rope, SharedDigest};

/// First byte of a question and of its answer.
pub(super) mod kind {
    pub(in crate::wire::frame) const PUT: u8 = 1;
    pub(in crate::wire::frame) const GET: u8 = 2;
    pub(in crate::wire::frame) const KEYS: u8 = 3;
    pub(in crate::wire::frame) const DIGEST: u8 = 4;
    pub(in crate::wire::frame) const PUSH_PULL: u8 = 5;
    pub(in crate::wire::frame) const PING: u8 = 6;
    pub(in crate::wire::frame) const LEAVING: u8 = 7;
    pub(in crate::wire::frame) const VIEW: u8 = 8;
    pub(in crate::wire::frame) const CARRY: u8 = 9;
}

pub(super) fn head(out: &mut BytesMut, kind: u8, id: u64) {
    out.put_u8(kind);
    out.put_u64(id);
}

pub(super) fn flag(from: &mut Reader) -> Result<bool, Malformed> {
    match from.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        tag => Err(Malformed::UnknownTag { what: "flag", tag }),
    }
}

pub(super) fn put_short(out: &mut BytesMut, bytes: &Bytes) {
    out.put_u16(u16::try_from(bytes.len()).unwrap_or(u16::MAX));
    out.put_slice(bytes);
}

pub(super) fn put_optional(out: &mut BytesMut, bytes: Option<&Bytes>) {
    out.put_u8(u8::from(bytes.is_some()));
    if let Some(bytes) = bytes {
        put_short(out, bytes);
    }
}

pub(super) fn take_optional(from: &mut Reader) -> Result<Option<Bytes>, Malformed> {
    if flag(from)? {
        Ok(Some(from.short("key", MAX_KEY)?))
    } else {
        Ok(None)
    }
}

pub(super) fn put_version(out: &mut BytesMut, version: Version) {
    out.put_u64(version.time.0);
    out.put_slice(version.uuid.as_bytes());
    out.put_u64(version.generation);
}

/// Bytes of the fields of a question or an answer around an entry, and a few more.
const AROUND_ENTRY: usize = 96;

/// Makes room for a frame with an entry in one go.
pub(super) fn reserve_for(out: &mut Rope, key: &[u8], entry: &Entry) {
    let value = Some(entry.value.len()).filter(|bytes| Rope::copies(*bytes));
    out.reserve(AROUND_ENTRY + key.len() + value.unwrap_or(0));
}

pub(super) fn put_entry(out: &mut Rope, entry: &Entry, digest: &SharedDigest) {
    out.fields(|out| {
        put_version(out, entry.version);
        out.put_u64(entry.created_unix_ms);
        out.put_u32(entry.ttl_s);
        out.put_u64(entry.deadline.0);
        out.put_u64(entry.kept_until.0);
        out.put_u32(u32::try_from(entry.value.len()).unwrap_or(u32::MAX));
    });
    out.value(&entry.value, digest);
}

pub(super) fn take_entry(from: &mut Reader) -> Result<Entry, Malformed> {
    Ok(Entry {
        version: from.version()?,
        created_unix_ms: from.u64()?,
        ttl_s: from.u32()?,
        deadline: BootMillis(from.u64()?),
        kept_until: BootMillis(from.u64()?),
        value: from.value(MAX_VALUE)?,
    })
}

pub(super) fn put_news(out: &mut BytesMut, news: &[News]) {
    out.put_u32(u32::try_from(news.len()).unwrap_or(u32::MAX));
    for one in news {
        encode_news(one, out);
    }
}

pub(super) fn take_news(from: &mut Reader) -> Result<Vec<News>, Malformed> {
    // The speaker itself comes on top of its table.
    let count = take_count(from, "members", MAX_MEMBERS + 1)?;
    let mut news = Vec::new();
    for _ in 0..count {
        news.push(decode_news(from)?);
    }
    Ok(news)
}

pub(super) fn put_lives(out: &mut BytesMut, lives: &[(Uuid, u64)]) {
    out.put_u32(u32::try_from(lives.len()).unwrap_or(u32::MAX));
    for (uuid, generation) in lives {
        out.put_slice(uuid.as_bytes());
        out.put_u64(*generation);
    }
}

pub(super) fn take_lives(from: &mut Reader) -> Result<Vec<(Uuid, u64)>, Malformed> {
    let count = take_count(from, "members", MAX_MEMBERS)?;
    let life = |_| Ok((from.uuid()?, from.u64()?));
    (0..count).map(life).collect()
}

pub(super) fn put_sums(out: &mut BytesMut, sums: Option<&Sums>) {
    out.put_u8(u8::from(sums.is_some()));
    let Some(sums) = sums else { return };
    out.put_u8(u8::from(sums.to_the_end));
    out.put_u32(u32::try_from(sums.ranges.len()).unwrap_or(u32::MAX));
    for range in &sums.ranges {
        put_short(out, &range.last);
        out.put_u64(range.sum);
    }
}

pub(super) fn take_sums(from: &mut Reader) -> Result<Option<Sums>, Malformed> {
    if !flag(from)? {
        return Ok(None);
    }
    let to_the_end = flag(from)?;
    let count = take_count(from, "ranges", MAX_RANGES)?;
    let mut ranges = Vec::new();
    for _ in 0..count {
        ranges.push(RangeSum {
            last: from.short("key", MAX_KEY)?,
            sum: from.u64()?,
        });
    }
    Ok(Some(Sums { to_the_end, ranges }))
}

pub(super) fn take_count(
    from: &mut Reader,
    what: &'static str,
    limit: usize,
) -> Result<usize, Malformed> {
    let found = usize::try_from(from.u32()?).unwrap_or(usize::MAX);
    if found > limit {
        Err(Malformed::TooLong { what, found, limit })
    } else {
        Ok(found)
    }
}

pub(super) fn take_payload(from: &mut Reader) -> Result<Bytes, Malformed> {
    from.short("datagram", MAX_PAYLOAD)
}
