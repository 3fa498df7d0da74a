//! Buffers of values while they come in.

use std::io;

use bytes::{BufMut as _, Bytes};
use memmap2::MmapMut;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// A buffer with room for at least so many bytes has pages of its own. They go back to the
/// kernel when the value ends, and only those that were written to take memory. An allocator
/// keeps what is given back to it between what is not, and with values of megabytes that adds
/// up to more than the values.
const PAGES_MIN: usize = 256 * 1024;

/// A buffer that grows at its end.
#[derive(Debug)]
pub struct ValueBuffer(Room);

#[derive(Debug)]
enum Room {
    Heap(Vec<u8>),
    Pages(Pages),
}

#[derive(Debug)]
struct Pages {
    pages: MmapMut,
    length: usize,
}

impl AsRef<[u8]> for Pages {
    fn as_ref(&self) -> &[u8] {
        &self.pages[..self.length]
    }
}

impl ValueBuffer {
    /// An empty buffer with room for so many bytes.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        if bytes >= PAGES_MIN
            && let Ok(pages) = MmapMut::map_anon(bytes)
        {
            return Self(Room::Pages(Pages { pages, length: 0 }));
        }
        // Too little for pages, or the kernel has no more mappings for this process.
        Self(Room::Heap(Vec::with_capacity(bytes)))
    }

    /// A copy of `value`.
    #[must_use]
    pub fn copy_of(value: &[u8]) -> Bytes {
        let mut buffer = Self::with_capacity(value.len());
        buffer.extend(value);
        buffer.freeze()
    }

    /// Bytes in it.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.0 {
            Room::Heap(bytes) => bytes.len(),
            Room::Pages(pages) => pages.length,
        }
    }

    /// Whether it is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends bytes. Where they do not fit, all move into a buffer of twice the size.
    pub fn extend(&mut self, data: &[u8]) {
        let (length, wanted) = (self.len(), self.len() + data.len());
        let capacity = match &self.0 {
            Room::Heap(bytes) => bytes.capacity(),
            Room::Pages(pages) => pages.pages.len(),
        };
        if wanted > capacity {
            let mut larger = Self::with_capacity(wanted.max(2 * capacity));
            larger.extend(self.bytes());
            *self = larger;
        }
        match &mut self.0 {
            Room::Heap(bytes) => bytes.extend_from_slice(data),
            Room::Pages(pages) => {
                pages.pages[length..wanted].copy_from_slice(data);
                pages.length = wanted;
            }
        }
    }

    /// Appends what `source` has, at most `limit` bytes and no more than there is room for; how
    /// many came. None means that it has ended, or that there is no room.
    ///
    /// # Errors
    /// When the source fails.
    pub async fn read_from<R: AsyncRead + Unpin>(
        &mut self,
        source: &mut R,
        limit: usize,
    ) -> io::Result<usize> {
        match &mut self.0 {
            Room::Heap(bytes) => {
                let room = bytes.capacity() - bytes.len();
                source.read_buf(&mut bytes.limit(room.min(limit))).await
            }
            Room::Pages(pages) => {
                let room = &mut pages.pages[pages.length..];
                let end = room.len().min(limit);
                let count = source.read(&mut room[..end]).await?;
                pages.length += count;
                Ok(count)
            }
        }
    }

    /// What is in it, with no memory beside that.
    #[must_use]
    pub fn freeze(self) -> Bytes {
        match self.0 {
            Room::Heap(bytes) => Bytes::from(bytes.into_boxed_slice()),
            Room::Pages(pages) => Bytes::from_owner(pages),
        }
    }

    fn bytes(&self) -> &[u8] {
        match &self.0 {
            Room::Heap(bytes) => bytes,
            Room::Pages(pages) => pages.as_ref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(capacity: usize, pieces: &[usize], is_in_pages: bool) {
        let mut buffer = ValueBuffer::with_capacity(capacity);
        let mut expect = Vec::new();
        for (number, length) in pieces.iter().enumerate() {
            let piece = vec![u8::try_from(number + 1).expect("few pieces"); *length];
            buffer.extend(&piece);
            expect.extend_from_slice(&piece);
        }
        assert_eq!(buffer.len(), expect.len());
        assert_eq!(buffer.is_empty(), expect.is_empty());
        assert_eq!(matches!(buffer.0, Room::Pages(_)), is_in_pages);
        assert!(buffer.freeze() == expect, "{capacity} {pieces:?}");
    }

    #[tokio::test]
    async fn what_a_source_has_is_appended_within_bounds() {
        for capacity in [10, PAGES_MIN] {
            let mut buffer = ValueBuffer::with_capacity(capacity);
            buffer.extend(b"ab");
            let mut source = &b"cdefghijklmn"[..];
            let read = buffer.read_from(&mut source, 3).await;
            assert_eq!(read.expect("no error"), 3);
            let room = capacity - 5;
            let read = buffer.read_from(&mut source, 100).await;
            assert_eq!(read.expect("no error"), room.min(9));
            let read = buffer.read_from(&mut source, 100).await;
            assert_eq!(read.expect("no error"), 0);
            assert!(b"abcdefghijklmn".starts_with(&buffer.freeze()[..]));
        }
    }

    #[test]
    fn what_goes_in_comes_out() {
        check(0, &[], false);
        check(0, &[1, 0, 2], false);
        check(10, &[5, 5, 5], false);
        check(PAGES_MIN - 1, &[PAGES_MIN - 1], false);
        check(PAGES_MIN, &[], true);
        check(PAGES_MIN, &[PAGES_MIN], true);
        check(PAGES_MIN, &[PAGES_MIN, 1, 3 * PAGES_MIN], true);
        check(PAGES_MIN / 2 + 1, &[PAGES_MIN / 2, PAGES_MIN / 2], true);
        check(0, &[100_000; 40], true);
        let value = vec![7; PAGES_MIN + 1];
        assert!(ValueBuffer::copy_of(&value) == value);
    }
}
