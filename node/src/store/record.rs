//! One kept entry, packed.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::sync::Arc;

use bytes::Bytes;

use super::origins::OriginId;
use crate::clock::BootMillis;
use crate::version::HybridTime;

/// Values up to this length are copied once, next to their key, into an allocation of
/// exactly their size: the buffer they came in is usually shared with much else (a read
/// buffer, a batch of frames), and a value must not keep that alive for hours. Above it
/// the copy would cost more than the slack, so the buffer itself is kept; whoever puts
/// such a value gives it a buffer of its own, which is accounted by itself
/// ([`Store::hold`](super::Store::hold)): a queue to a peer or a slow reader may have it for
/// longer than the store.
pub const PACKED_MAX: usize = 16 * 1024;

/// Key and value of an entry; cloning shares them.
#[derive(Clone, Debug)]
pub(super) enum Data {
    /// Key and value, one after the other.
    Packed(Arc<[u8]>),
    /// A large value in its own buffer.
    Apart(Arc<(Box<[u8]>, Bytes)>),
}

/// Keeps a packed entry alive for as long as a reader has its value.
struct PackedValue {
    bytes: Arc<[u8]>,
    key_len: usize,
}

impl AsRef<[u8]> for PackedValue {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[self.key_len..]
    }
}

impl Data {
    pub(super) fn new(key: &[u8], value: Bytes) -> Self {
        if value.len() > PACKED_MAX {
            return Self::Apart(Arc::new((key.into(), value)));
        }
        // Two short copies are cheaper than collecting byte by byte, the only other safe
        // way to fill an `Arc`.
        let mut bytes = Vec::with_capacity(key.len() + value.len());
        bytes.extend_from_slice(key);
        bytes.extend_from_slice(&value);
        Self::Packed(bytes.into())
    }

    pub(super) fn key(&self, key_len: u16) -> &[u8] {
        match self {
            Self::Packed(bytes) => &bytes[..usize::from(key_len)],
            Self::Apart(apart) => &apart.0,
        }
    }

    pub(super) fn into_value(self, key_len: u16) -> Bytes {
        match self {
            Self::Packed(bytes) => Bytes::from_owner(PackedValue {
                bytes,
                key_len: usize::from(key_len),
            }),
            Self::Apart(apart) => apart.1.clone(),
        }
    }

    /// Bytes of key and value.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Packed(bytes) => bytes.len(),
            Self::Apart(apart) => apart.0.len() + apart.1.len(),
        }
    }

    /// Bytes that are accounted with the entry, and not with a buffer of their own.
    pub(super) fn own_len(&self) -> usize {
        match self {
            Self::Packed(bytes) => bytes.len(),
            Self::Apart(apart) => apart.0.len(),
        }
    }
}

/// Milliseconds in 48 bits, enough for 8,900 years; later moments become the last one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Millis48([u8; 6]);

impl Millis48 {
    const MAX: u64 = (1 << 48) - 1;

    pub(super) fn new(millis: u64) -> Self {
        let [_, _, bytes @ ..] = millis.min(Self::MAX).to_be_bytes();
        Self(bytes)
    }

    pub(super) fn get(self) -> u64 {
        let [a, b, c, d, e, f] = self.0;
        u64::from_be_bytes([0, 0, a, b, c, d, e, f])
    }
}

/// Time to live of a record that is only a version: no value has it.
const BARE: u32 = 0;

/// An entry as a shard keeps it. The fields are ordered and sized so that a million of
/// them are 56 MB.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) data: Data,
    pub(super) time: HybridTime,
    pub(super) origin: OriginId,
    pub(super) ttl_s: u32,
    /// Neighbours in the wheel's list, see [`super::wheel`].
    pub(super) next: u32,
    pub(super) previous: u32,
    pub(super) created_unix_ms: Millis48,
    deadline: Millis48,
    pub(super) key_len: u16,
    /// Which of the wheel's lists this record is in.
    pub(super) place: u16,
}

const _: () = assert!(size_of::<Record>() == 56);

/// The parts of a record that come from its entry.
pub(super) struct Fields {
    pub(super) data: Data,
    pub(super) key_len: u16,
    pub(super) time: HybridTime,
    pub(super) origin: OriginId,
    pub(super) ttl_s: u32,
    pub(super) created_unix_ms: u64,
    pub(super) deadline: BootMillis,
}

impl Record {
    /// A record that is in none of the wheel's lists yet.
    pub(super) fn new(fields: Fields) -> Self {
        Self {
            data: fields.data,
            time: fields.time,
            origin: fields.origin,
            ttl_s: fields.ttl_s.max(1),
            next: super::wheel::NIL,
            previous: super::wheel::NIL,
            created_unix_ms: Millis48::new(fields.created_unix_ms),
            deadline: Millis48::new(fields.deadline.0),
            key_len: fields.key_len,
            place: 0,
        }
    }

    pub(super) fn key(&self) -> &[u8] {
        self.data.key(self.key_len)
    }

    pub(super) fn deadline(&self) -> BootMillis {
        BootMillis(self.deadline.get())
    }

    /// Whether the value is served.
    pub(super) fn is_live(&self, now: BootMillis) -> bool {
        !self.is_bare() && now < self.deadline()
    }

    /// Whether only the version is left.
    pub(super) const fn is_bare(&self) -> bool {
        self.ttl_s == BARE
    }

    /// When the wheel has something to do with it: at the end of its value, or of its
    /// version.
    pub(super) fn due(&self) -> BootMillis {
        if self.is_bare() {
            BootMillis(self.created_unix_ms.get())
        } else {
            self.deadline()
        }
    }

    /// Leaves only the version, until `kept_until`, and `data` without a value. What is
    /// replaced is returned.
    pub(super) fn strip(&mut self, data: Data, kept_until: BootMillis) -> Data {
        self.ttl_s = BARE;
        // Nobody asks any more when it was created.
        self.created_unix_ms = Millis48::new(kept_until.0);
        std::mem::replace(&mut self.data, data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(key_len: usize, value_len: usize) {
        let key = vec![b'k'; key_len];
        let value = Bytes::from(vec![b'v'; value_len]);
        let data = Data::new(&key, value.clone());
        let key_len = u16::try_from(key_len).expect("keys are short");
        assert_eq!(data.len(), key.len() + value.len());
        assert_eq!(data.key(key_len), key);
        assert_eq!(data.clone().into_value(key_len), value);
        assert_eq!(matches!(data, Data::Packed(_)), value_len <= PACKED_MAX);
    }

    #[test]
    fn key_and_value_come_back() {
        for (key_len, value_len) in [
            (1, 0),
            (1, 1),
            (1024, 0),
            (3, PACKED_MAX),
            (3, PACKED_MAX + 1),
            (1024, 1 << 20),
        ] {
            check(key_len, value_len);
        }
    }

    #[test]
    fn a_large_value_keeps_its_buffer() {
        let value = Bytes::from(vec![7; PACKED_MAX + 1]);
        let kept = Data::new(b"k", value.clone()).into_value(1);
        assert_eq!(kept.as_ptr(), value.as_ptr());
    }

    #[test]
    fn milliseconds_survive_packing() {
        for millis in [0, 1, 255, 256, 1_790_000_000_000, Millis48::MAX] {
            assert_eq!(Millis48::new(millis).get(), millis);
        }
        assert_eq!(Millis48::new(u64::MAX).get(), Millis48::MAX);
    }
}
