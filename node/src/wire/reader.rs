//! Taking fields off the front of received bytes, every one checked.

use bytes::{Buf, Bytes};
use uuid::Uuid;

use super::ATTACHED_OVER;
use crate::version::{HybridTime, Version};

/// Why received bytes are not a message of this protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The bytes end within a field.
    #[error("ends within a field")]
    Truncated,
    /// Bytes are left over after the last field.
    #[error("has bytes after its end")]
    Trailing,
    /// A tag that this version does not know.
    #[error("has the unknown {what} {tag}")]
    UnknownTag {
        /// What the tag stands for.
        what: &'static str,
        /// The tag.
        tag: u8,
    },
    /// A field is longer than its bound.
    #[error("has {found} bytes of {what}, more than {limit}")]
    TooLong {
        /// Which field.
        what: &'static str,
        /// Its length.
        found: usize,
        /// Its bound.
        limit: usize,
    },
    /// A text field is not UTF-8.
    #[error("has {what} that is not UTF-8")]
    NotText {
        /// Which field.
        what: &'static str,
    },
}

/// A cursor over received bytes. Slices that are taken share the memory of the whole, but not
/// the long values that came behind it, each of which has memory of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reader {
    rest: Bytes,
    /// The first one last.
    values: Vec<Bytes>,
}

impl Reader {
    /// A cursor at the start of `bytes`.
    #[must_use]
    pub const fn new(bytes: Bytes) -> Self {
        Self {
            rest: bytes,
            values: Vec::new(),
        }
    }

    /// A cursor at the start of `bytes`, behind which these values came.
    #[must_use]
    pub fn with_values(bytes: Bytes, mut values: Vec<Bytes>) -> Self {
        values.reverse();
        Self {
            rest: bytes,
            values,
        }
    }

    /// Bytes that were not taken yet, without values.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Everything that was not taken yet, without values.
    #[must_use]
    pub fn rest(self) -> Bytes {
        self.rest
    }

    /// Long values that were not taken yet, in order.
    pub fn values(&self) -> impl Iterator<Item = &Bytes> {
        self.values.iter().rev()
    }

    /// The next `length` bytes.
    ///
    /// # Errors
    /// When fewer are left, as all methods here.
    pub fn take(&mut self, length: usize) -> Result<Bytes, Malformed> {
        if length > self.rest.len() {
            return Err(Malformed::Truncated);
        }
        Ok(self.rest.split_to(length))
    }

    /// The next `N` bytes.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        if N > self.rest.len() {
            return Err(Malformed::Truncated);
        }
        let mut array = [0; N];
        self.rest.copy_to_slice(&mut array);
        Ok(array)
    }

    /// One byte.
    ///
    /// # Errors
    /// When none is left.
    pub fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    /// Two bytes, the most significant first, as all numbers of the protocol.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn u16(&mut self) -> Result<u16, Malformed> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    /// Four bytes.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    /// Eight bytes.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn u64(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    /// A UUID.
    ///
    /// # Errors
    /// When fewer than 16 bytes are left.
    pub fn uuid(&mut self) -> Result<Uuid, Malformed> {
        Ok(Uuid::from_bytes(self.array()?))
    }

    /// A version.
    ///
    /// # Errors
    /// When fewer than 32 bytes are left.
    pub fn version(&mut self) -> Result<Version, Malformed> {
        Ok(Version {
            time: HybridTime(self.u64()?),
            uuid: self.uuid()?,
            generation: self.u64()?,
        })
    }

    /// Bytes behind a length of two bytes, at most `limit` of them.
    ///
    /// # Errors
    /// When there are more, or fewer than announced.
    pub fn short(&mut self, what: &'static str, limit: usize) -> Result<Bytes, Malformed> {
        let length = usize::from(self.u16()?);
        self.bounded(what, length, limit)
    }

    /// Bytes behind a length of four bytes, at most `limit` of them.
    ///
    /// # Errors
    /// When there are more, or fewer than announced.
    pub fn long(&mut self, what: &'static str, limit: usize) -> Result<Bytes, Malformed> {
        let length = usize::try_from(self.u32()?).unwrap_or(usize::MAX);
        self.bounded(what, length, limit)
    }

    /// A value behind a length of four bytes, at most `limit` of them: a long one is the next
    /// of those that came behind the frames.
    ///
    /// # Errors
    /// When there are more, or the next value has another length.
    pub fn value(&mut self, limit: usize) -> Result<Bytes, Malformed> {
        let length = usize::try_from(self.u32()?).unwrap_or(usize::MAX);
        if length <= ATTACHED_OVER || length > limit {
            return self.bounded("value", length, limit);
        }
        let value = self.values.pop();
        value
            .filter(|value| value.len() == length)
            .ok_or(Malformed::Truncated)
    }

    /// Text behind a length of one byte.
    ///
    /// # Errors
    /// When it is longer than `limit` or not UTF-8.
    pub fn text(&mut self, what: &'static str, limit: usize) -> Result<String, Malformed> {
        let length = usize::from(self.u8()?);
        let bytes = self.bounded(what, length, limit)?;
        String::from_utf8(bytes.into()).map_err(|_| Malformed::NotText { what })
    }

    /// Checks that nothing is left.
    ///
    /// # Errors
    /// When something is.
    pub fn finish(self) -> Result<(), Malformed> {
        if self.rest.is_empty() && self.values.is_empty() {
            Ok(())
        } else {
            Err(Malformed::Trailing)
        }
    }

    fn bounded(
        &mut self,
        what: &'static str,
        found: usize,
        limit: usize,
    ) -> Result<Bytes, Malformed> {
        if found > limit {
            return Err(Malformed::TooLong { what, found, limit });
        }
        self.take(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_off_in_order() {
        let mut reader = Reader::new(Bytes::from_static(b"\x01\x02\x03\0\x02abc\x01d"));
        assert_eq!(reader.u8(), Ok(1));
        assert_eq!(reader.u16(), Ok(0x0203));
        assert_eq!(reader.short("key", 2), Ok(Bytes::from_static(b"ab")));
        assert_eq!(reader.array(), Ok(*b"c"));
        assert_eq!(reader.text("name", 9), Ok("d".to_owned()));
        assert_eq!(reader.finish(), Ok(()));
    }

    #[test]
    fn long_values_come_from_behind() {
        let long = ATTACHED_OVER as u32 + 1;
        let fields = |lengths: &[u32]| {
            let bytes = lengths.iter().flat_map(|length| length.to_be_bytes());
            Bytes::from_iter(bytes)
        };
        let value = |byte: u8, length: u32| Bytes::from(vec![byte; length as usize]);
        let values = vec![value(1, long), value(2, long + 1)];
        let mut reader = Reader::with_values(fields(&[long, long + 1]), values.clone());
        assert_eq!(reader.value(1 << 20), Ok(values[0].clone()));
        assert_eq!(
            reader.clone().value(long as usize),
            Err(Malformed::TooLong {
                what: "value",
                found: long as usize + 1,
                limit: long as usize
            })
        );
        assert_eq!(reader.value(1 << 20), Ok(values[1].clone()));
        assert_eq!(reader.finish(), Ok(()));
        let mut other = Reader::with_values(fields(&[long]), vec![value(1, long + 1)]);
        assert_eq!(other.value(1 << 20), Err(Malformed::Truncated));
        let missing = Reader::new(fields(&[long])).value(1 << 20);
        assert_eq!(missing, Err(Malformed::Truncated));
        let left = Reader::with_values(Bytes::new(), vec![value(1, long)]);
        assert_eq!(left.finish(), Err(Malformed::Trailing));
    }

    #[test]
    fn bounds_are_kept() {
        let reader = |bytes: &'static [u8]| Reader::new(Bytes::from_static(bytes));
        assert_eq!(reader(b"\x01").u16(), Err(Malformed::Truncated));
        assert_eq!(
            reader(b"\0\x05abc").short("key", 9),
            Err(Malformed::Truncated)
        );
        let too_long = Malformed::TooLong {
            what: "key",
            found: 3,
            limit: 2,
        };
        assert_eq!(reader(b"\0\x03abc").short("key", 2), Err(too_long));
        assert_eq!(reader(b"\0\0\0\x03abc").long("key", 2), Err(too_long));
        assert_eq!(
            reader(b"\x01\xff").text("key", 2),
            Err(Malformed::NotText { what: "key" })
        );
        assert_eq!(reader(b"a").finish(), Err(Malformed::Trailing));
        assert_eq!(reader(&[0xff; 31]).version(), Err(Malformed::Truncated));
    }
}
