//! Records: batches of frames with one MAC.
//!
//! ```text
//! 4 bytes  length of the body
//! ...      body: frames, one after the other
//! 32       HMAC-SHA256 over sequence number (8 bytes), length and body, when signed
//! ```
//!
//! Of a body of [`DIGESTED_FROM`] bytes and more the HMAC covers the BLAKE3 digest instead.
//! The length, which it covers in either case, says which of the two it is, so no record can
//! be taken for one of the other kind.
//!
//! The sequence number is not sent: both sides count the records of each direction from 0,
//! so a record that is lost, repeated, reordered or sent back does not verify. One MAC
//! covers everything that is written in one go, and a body is never copied for it.

use bytes::{Buf, Bytes, BytesMut};

use super::frame::MAX_FRAME;
use super::rope::Rope;
use super::seal::Signer;

/// A record is closed when it has this many bytes. It amortises the MAC and the system call
/// over hundreds of small frames, and keeps what must be buffered before it can be verified
/// small next to a large value.
pub const BATCH: usize = 256 * 1024;

/// Bytes of the longest body: a batch that was almost full when the longest frame came.
pub const MAX_BODY: usize = BATCH + MAX_FRAME;

/// Bytes of the longest first body of somebody who has yet to prove who it is. A ping comes
/// first, or the one question to a candidate: a push of the largest table is 190 KiB.
pub const MAX_FIRST_BODY: usize = BATCH;

/// Bytes of the shortest body that is digested before it is signed. From about here on BLAKE3
/// is faster than SHA-256, as it takes many pieces of 1 KiB at a time: two times at 4 KiB, four
/// times at 64 KiB, even where the processor knows SHA-256. While a secret is being changed,
/// a body is also read once instead of once for either secret.
pub const DIGESTED_FROM: usize = 4 * 1024;

const LENGTH: usize = 4;

/// Why the bytes of a stream are no records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// A record is longer than any that is sent.
    #[error("record of {0} bytes is too long")]
    TooLong(usize),
    /// Its MAC is wrong: forged, repeated or reordered.
    #[error("record is not authentic")]
    Forged,
}

/// Makes the records of one direction.
#[derive(Debug)]
pub struct RecordWriter {
    signer: Signer,
    sequence: u64,
}

impl RecordWriter {
    /// For one direction of a new session.
    #[must_use]
    pub const fn new(signer: Signer) -> Self {
        Self {
            signer,
            sequence: 0,
        }
    }

    /// The record around `body` as pieces to write in order.
    ///
    /// # Panics
    /// When the body is longer than [`MAX_BODY`].
    pub fn seal(&mut self, body: Rope) -> Vec<Bytes> {
        assert!(body.len() <= MAX_BODY, "a record of {} bytes", body.len());
        let length = u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes();
        let mut pieces = vec![Bytes::copy_from_slice(&length)];
        pieces.extend(body.into_pieces());
        let mac = if self.signer.is_signing() {
            let body = pieces[1..].iter().map(|piece| &piece[..]);
            let covered = Covered::new(self.sequence, length, body);
            self.signer.sign(&covered.parts())
        } else {
            Vec::new()
        };
        self.sequence += 1;
        if !mac.is_empty() {
            pieces.push(mac.into());
        }
        pieces
    }
}

/// Takes the records of one direction off a buffer.
#[derive(Debug)]
pub struct RecordReader {
    signer: Signer,
    sequence: u64,
    /// Bytes of a body until one has verified.
    first: usize,
}

impl RecordReader {
    /// For one direction of a new session with a peer that has proved who it is.
    #[must_use]
    pub const fn new(signer: Signer) -> Self {
        Self {
            signer,
            sequence: 0,
            first: MAX_BODY,
        }
    }

    /// For one direction of a new session with somebody whose first record is the proof:
    /// until then no more than [`MAX_FIRST_BODY`] is worth buffering.
    #[must_use]
    pub const fn of_stranger(signer: Signer) -> Self {
        Self {
            signer,
            sequence: 0,
            first: MAX_FIRST_BODY,
        }
    }

    /// The body of the next record, when all of it is in `buffer`; it shares the buffer's
    /// memory.
    ///
    /// # Errors
    /// When the stream is broken; nothing that follows can be trusted.
    pub fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, Broken> {
        let Some(length) = self.body_length(buffer)? else {
            return Ok(None);
        };
        let whole = LENGTH + length + self.signer.mac_length();
        if buffer.len() < whole {
            return Ok(None);
        }
        self.open(buffer.split_to(whole).freeze()).map(Some)
    }

    /// The body of the next record, which is all of `record`, as [`RecordReader::missing`]
    /// tells; it shares its memory.
    ///
    /// # Errors
    /// When the stream is broken; nothing that follows can be trusted.
    pub fn open(&mut self, mut record: Bytes) -> Result<Bytes, Broken> {
        let body_ends = record.len().saturating_sub(self.signer.mac_length());
        let mac = record.split_off(body_ends);
        let Some((length, body)) = record.split_first_chunk() else {
            return Err(Broken::Forged);
        };
        let is_authentic = !self.signer.is_signing() || {
            let covered = Covered::new(self.sequence, *length, [body].into_iter());
            self.signer.verify(&covered.parts(), &mac)
        };
        if !is_authentic {
            return Err(Broken::Forged);
        }
        self.sequence += 1;
        record.advance(LENGTH);
        Ok(record)
    }

    /// Bytes that are still missing of the record at the front of `buffer`, 0 when its
    /// length is not known yet.
    ///
    /// # Errors
    /// When it is too long.
    pub fn missing(&self, buffer: &BytesMut) -> Result<usize, Broken> {
        let Some(length) = self.body_length(buffer)? else {
            return Ok(0);
        };
        Ok((LENGTH + length + self.signer.mac_length()).saturating_sub(buffer.len()))
    }

    fn body_length(&self, buffer: &BytesMut) -> Result<Option<usize>, Broken> {
        let Some(length) = buffer.first_chunk::<LENGTH>() else {
            return Ok(None);
        };
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        let limit = if self.sequence == 0 {
            self.first
        } else {
            MAX_BODY
        };
        if length > limit {
            Err(Broken::TooLong(length))
        } else {
            Ok(Some(length))
        }
    }
}

/// What the MAC of a record covers.
struct Covered<'a> {
    sequence: [u8; 8],
    length: [u8; LENGTH],
    body: CoveredBody<'a>,
}

enum CoveredBody<'a> {
    Itself(Vec<&'a [u8]>),
    Digest(blake3::Hash),
}

impl<'a> Covered<'a> {
    /// Of the record with this number whose body is so long and consists of `pieces`.
    fn new(sequence: u64, length: [u8; LENGTH], pieces: impl Iterator<Item = &'a [u8]>) -> Self {
        let bytes = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        let body = if bytes < DIGESTED_FROM {
            CoveredBody::Itself(pieces.collect())
        } else {
            let mut digest = blake3::Hasher::new();
            for piece in pieces {
                digest.update(piece);
            }
            CoveredBody::Digest(digest.finalize())
        };
        Self {
            sequence: sequence.to_be_bytes(),
            length,
            body,
        }
    }

    /// All of it, in order.
    fn parts(&self) -> Vec<&[u8]> {
        let mut parts = vec![&self.sequence[..], &self.length];
        match &self.body {
            CoveredBody::Itself(pieces) => parts.extend(pieces),
            CoveredBody::Digest(digest) => parts.push(digest.as_bytes()),
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use bytes::BufMut;
    use proptest::prelude::*;

    use super::super::hello::SessionKeys;
    use super::super::seal::tests::seal;
    use super::*;

    fn pair(secret: Option<&str>) -> (RecordWriter, RecordReader) {
        let keys = SessionKeys::new(&seal(secret), &[1; 16], &[2; 16]);
        (
            RecordWriter::new(keys.client.clone()),
            RecordReader::new(keys.client),
        )
    }

    fn rope(body: &[u8]) -> Rope {
        let mut rope = Rope::new();
        rope.body(&Bytes::copy_from_slice(body));
        rope
    }

    fn written(writer: &mut RecordWriter, body: &[u8]) -> Vec<u8> {
        writer.seal(rope(body)).concat()
    }

    #[test]
    fn records_come_out_as_they_went_in_however_they_arrive() {
        for secret in [None, Some("a")] {
            let (mut writer, mut reader) = pair(secret);
            let bodies = [
                b"one".to_vec(),
                Vec::new(),
                vec![7; DIGESTED_FROM - 1],
                vec![8; DIGESTED_FROM],
            ];
            let stream: Vec<u8> = bodies
                .iter()
                .flat_map(|body| written(&mut writer, body))
                .collect();
            let (mut buffer, mut found) = (BytesMut::new(), Vec::new());
            for byte in stream {
                buffer.put_u8(byte);
                while let Some(body) = reader.next(&mut buffer).expect("authentic") {
                    found.push(body.to_vec());
                }
            }
            assert_eq!(found, bodies);
        }
    }

    #[test]
    fn order_counts() {
        let (mut writer, mut reader) = pair(Some("a"));
        let first = written(&mut writer, b"first");
        let second = written(&mut writer, b"second");
        let mut read = |bytes: &[u8]| reader.next(&mut BytesMut::from(bytes));
        assert_eq!(read(&second), Err(Broken::Forged), "too early");
        assert!(read(&first).is_ok());
        assert_eq!(read(&first), Err(Broken::Forged), "repeated");
        assert!(read(&second).is_ok());
    }

    #[test]
    fn lengths_are_bounded() {
        let (_, mut reader) = pair(None);
        let mut buffer = BytesMut::from(&u32::MAX.to_be_bytes()[..]);
        assert_eq!(
            reader.next(&mut buffer),
            Err(Broken::TooLong(u32::MAX as usize))
        );
        let mut buffer = BytesMut::from(&[0, 0, 1, 0, 9][..]);
        assert_eq!(reader.missing(&buffer), Ok(255));
        assert_eq!(reader.next(&mut buffer), Ok(None));
    }

    #[test]
    fn a_stranger_is_bounded_until_it_has_proved_itself() {
        let (mut writer, _) = pair(Some("a"));
        let keys = SessionKeys::new(&seal(Some("a")), &[1; 16], &[2; 16]);
        let mut reader = RecordReader::of_stranger(keys.client);
        let long = u32::try_from(MAX_FIRST_BODY + 1).expect("is small");
        let mut buffer = BytesMut::from(&long.to_be_bytes()[..]);
        let refused = Broken::TooLong(MAX_FIRST_BODY + 1);
        assert_eq!(reader.missing(&buffer), Err(refused));
        assert_eq!(reader.next(&mut buffer), Err(refused));
        for length in [MAX_FIRST_BODY, MAX_FIRST_BODY + 1] {
            let mut buffer = BytesMut::from(&written(&mut writer, &vec![7; length])[..]);
            let body = reader.next(&mut buffer).expect("authentic");
            assert_eq!(body.map(|body| body.len()), Some(length));
        }
    }

    /// What another implementation has to do.
    #[test]
    fn the_mac_is_made_as_documented() {
        for length in [5, DIGESTED_FROM] {
            let keys = SessionKeys::new(&seal(Some("a")), &[1; 16], &[2; 16]);
            let mut writer = RecordWriter::new(keys.client.clone());
            let _ = written(&mut writer, b"one before");
            let body = vec![7; length];
            let record = written(&mut writer, &body);
            let digest = blake3::hash(&body);
            let covered = if length < DIGESTED_FROM {
                &body[..]
            } else {
                digest.as_bytes()
            };
            let (sequence, bytes) = (1_u64.to_be_bytes(), (length as u32).to_be_bytes());
            let mac = keys.client.sign(&[&sequence, &bytes, covered]);
            assert_eq!(record[4 + length..], mac);
        }
    }

    #[test]
    fn a_digest_is_no_body() {
        // The MAC of a long body does not verify a short one that is its digest.
        let (mut writer, mut reader) = pair(Some("a"));
        let body = vec![7; DIGESTED_FROM];
        let long = written(&mut writer, &body);
        let digest = blake3::hash(&body);
        let mut short = BytesMut::from(&32_u32.to_be_bytes()[..]);
        short.put_slice(digest.as_bytes());
        short.put_slice(&long[4 + DIGESTED_FROM..]);
        assert_eq!(reader.next(&mut short), Err(Broken::Forged));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let (_, mut reader) = pair(Some("a"));
            prop_assert!(!matches!(reader.next(&mut BytesMut::from(&bytes[..])), Ok(Some(_))));
        }

        #[test]
        fn a_changed_bit_is_noticed(
            length in prop::sample::select(vec![9, DIGESTED_FROM - 1, DIGESTED_FROM, 70_000]),
            at in any::<prop::sample::Index>(),
            bit in 0u8..8,
        ) {
            let (mut writer, mut reader) = pair(Some("a"));
            let mut bytes = written(&mut writer, &vec![7; length]);
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            let read = reader.next(&mut BytesMut::from(&bytes[..]));
            prop_assert!(!matches!(read, Ok(Some(_))));
        }
    }
}
