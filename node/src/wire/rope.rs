//! Bytes to be written, gathered without copying the large ones.

use bytes::{BufMut, Bytes, BytesMut};

/// Bodies up to this are copied behind their headers: a vectored write costs about as much
/// per piece as copying two kilobytes, and the kernel takes at most 1024 pieces.
const COPY_UP_TO: usize = 2048;

/// A sequence of pieces that are one run of bytes on the wire.
#[derive(Debug, Default)]
pub struct Rope {
    pieces: Vec<Bytes>,
    tail: BytesMut,
    length: usize,
}

impl Rope {
    /// An empty rope.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes in all pieces.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.length
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.length == 0
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

    /// All pieces in order, none of them empty.
    #[must_use]
    pub fn into_pieces(mut self) -> Vec<Bytes> {
        if !self.tail.is_empty() {
            self.pieces.push(self.tail.freeze());
        }
        self.pieces
    }

    /// Everything in one piece; it copies, so it is for small ropes and tests.
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
    fn an_empty_rope_has_no_pieces() {
        assert!(Rope::new().is_empty());
        assert!(Rope::new().into_pieces().is_empty());
    }
}
