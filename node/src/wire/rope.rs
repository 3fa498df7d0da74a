//! Bytes to be written, gathered without copying the large ones.

use bytes::{BufMut, Bytes, BytesMut};

use super::Reader;
use super::digest::{DIGEST_LENGTH, SharedDigest};
use crate::store::PACKED_MAX;

/// Values longer than this do not stand in their frame but behind all frames of the record, so
/// that each can be received into a buffer of its own and needs no copy to be kept: the store
/// keeps the buffers of values from here on. Part of the format of records and frames.
pub const ATTACHED_OVER: usize = 16 * 1024;

const _: () = assert!(
    ATTACHED_OVER == PACKED_MAX,
    "what is attached is kept as it came"
);

/// Bodies up to this are copied behind their headers: a vectored write costs about as much
/// per piece as copying two kilobytes, and the kernel takes at most 1024 pieces.
const COPY_UP_TO: usize = 2048;

/// A sequence of pieces that are one run of bytes on the wire, and values to come behind them.
#[derive(Debug, Default)]
pub struct Rope {
    pieces: Vec<Bytes>,
    tail: BytesMut,
    values: Vec<Attached>,
    length: usize,
}

/// A value behind the frames.
#[derive(Debug)]
pub(super) struct Attached {
    pub(super) bytes: Bytes,
    digest: SharedDigest,
}

impl Attached {
    pub(super) fn digest(&self) -> [u8; DIGEST_LENGTH] {
        self.digest.of(&self.bytes)
    }
}

impl Rope {
    /// An empty rope.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes in all pieces and values.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.length
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Makes room for so many bytes of fields and short bodies.
    pub fn reserve(&mut self, bytes: usize) {
        self.tail.reserve(bytes);
    }

    /// Whether a body of so many bytes is copied behind what is there, and needs room.
    pub(super) const fn copies(bytes: usize) -> bool {
        bytes <= COPY_UP_TO
    }

    /// Adds small fields: what `fill` writes.
    pub fn fields(&mut self, fill: impl FnOnce(&mut BytesMut)) {
        let before = self.tail.len();
        fill(&mut self.tail);
        self.length += self.tail.len() - before;
    }

    /// Adds a body, shared when it is large.
    pub fn body(&mut self, body: &Bytes) {
        self.length += body.len();
        if body.len() <= COPY_UP_TO {
            self.tail.put_slice(body);
            return;
        }
        if !self.tail.is_empty() {
            self.pieces.push(self.tail.split().freeze());
        }
        self.pieces.push(body.clone());
    }

    /// Adds a value: as a body or, when it is long, behind everything. Its digest is made when
    /// it is needed, unless `digest` has it.
    pub fn value(&mut self, value: &Bytes, digest: &SharedDigest) {
        if value.len() <= ATTACHED_OVER {
            self.body(value);
            return;
        }
        self.length += value.len();
        self.values.push(Attached {
            bytes: value.clone(),
            digest: digest.clone(),
        });
    }

    /// All pieces in order, none of them empty, and the values behind them.
    pub(super) fn into_parts(mut self) -> (Vec<Bytes>, Vec<Attached>) {
        if !self.tail.is_empty() {
            self.pieces.push(self.tail.freeze());
        }
        (self.pieces, self.values)
    }

    /// All pieces and values in order, none of them empty.
    #[must_use]
    pub fn into_pieces(self) -> Vec<Bytes> {
        let (mut pieces, values) = self.into_parts();
        pieces.extend(values.into_iter().map(|value| value.bytes));
        pieces
    }

    /// What the receiver of the rope reads. The frames are copied, so this is for small ropes
    /// and tests.
    #[must_use]
    pub fn into_reader(self) -> Reader {
        let mut frames = BytesMut::with_capacity(self.length);
        let (pieces, values) = self.into_parts();
        for piece in pieces {
            frames.put_slice(&piece);
        }
        let values = values.into_iter().map(|value| value.bytes).collect();
        Reader::with_values(frames.freeze(), values)
    }

    /// Everything in one piece, as [`Rope::into_reader`].
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        let mut all = BytesMut::with_capacity(self.length);
        for piece in self.into_pieces() {
            all.put_slice(&piece);
        }
        all.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_bodies_are_shared_and_small_ones_gathered() {
        let large = Bytes::from(vec![7; COPY_UP_TO + 1]);
        let mut rope = Rope::new();
        rope.fields(|out| out.put_u16(0x0102));
        rope.body(&Bytes::from_static(b"small"));
        rope.body(&large);
        rope.body(&Bytes::new());
        rope.fields(|out| out.put_u8(3));
        assert_eq!(rope.len(), 2 + 5 + large.len() + 1);
        let pieces = rope.into_pieces();
        assert_eq!(pieces.len(), 3);
        assert_eq!(pieces[0], &b"\x01\x02small"[..]);
        assert_eq!(pieces[1].as_ptr(), large.as_ptr());
        assert_eq!(pieces[2], &b"\x03"[..]);
    }

    #[test]
    fn long_values_come_behind_everything() {
        let (long, short) = (
            Bytes::from(vec![7; ATTACHED_OVER + 1]),
            Bytes::from(vec![8; ATTACHED_OVER]),
        );
        let mut rope = Rope::new();
        rope.value(&long, &SharedDigest::default());
        rope.value(&short, &SharedDigest::default());
        rope.fields(|out| out.put_u8(3));
        assert_eq!(rope.len(), long.len() + short.len() + 1);
        let pieces = rope.into_pieces();
        assert_eq!(pieces, [short, Bytes::from_static(b"\x03"), long.clone()]);
        assert_eq!(pieces[2].as_ptr(), long.as_ptr());
    }

    #[test]
    fn an_empty_rope_has_no_pieces() {
        assert!(Rope::new().is_empty());
        assert!(Rope::new().into_pieces().is_empty());
    }
}
