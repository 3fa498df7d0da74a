//! Records: batches of frames, and the long values that they speak of, with one MAC.
//!
//! ```text
//! 4 bytes  length of the frames
//! 2        number of values
//! 4        length of a value, for each of them
//! ...      frames, one after the other
//! 32       HMAC-SHA256, when signed
//! ...      values, one after the other
//! ```
//!
//! The HMAC covers, in this order: the sequence number (8 bytes, not sent), the three fields
//! before the frames, the frames, and the BLAKE3 digest of each value. Of [`DIGESTED_FROM`]
//! bytes of frames and more it covers their BLAKE3 digest instead. The lengths, which come
//! first, say where each of these ends and which of the two it is, so no record can be taken
//! for another one that consists of other parts: whoever makes a second record for the same
//! MAC has found two values with one digest.
//!
//! The sequence number is not sent: both sides count the records of each direction from 0, and
//! keys are those of one direction of one connection, so a record that is lost, repeated,
//! reordered, sent back or sent elsewhere does not verify. A digest is no secret and knows
//! nothing of a connection, so the records that carry one value to several peers share it
//! ([`SharedDigest`](super::SharedDigest)), and each is signed over it under its own key.
//!
//! One MAC covers everything that is written in one go, nothing is copied for it, and nothing
//! of a record is given out before all of it has come and was found authentic. It stands before
//! the values so that whatever follows the last of them is the next record: each value
//! is received into a buffer of its own, which can be kept as it is.

use bytes::{Buf, Bytes, BytesMut};

use super::Reader;
use super::digest::{DIGEST_LENGTH, digest};
use super::frame::MAX_FRAME;
use super::rope::{ATTACHED_OVER, Attached, Rope};
use super::seal::Signer;
use crate::store::ValueBuffer;

/// A record is closed when it has this many bytes. It amortises the MAC and the system call
/// over hundreds of small frames, and keeps what must be buffered before it can be verified
/// small next to a large value.
pub const BATCH: usize = 256 * 1024;

/// Bytes of the longest body, frames and values: a batch that was almost full when the longest
/// frame came.
pub const MAX_BODY: usize = BATCH + MAX_FRAME;

/// Bytes of the longest first body of somebody who has yet to prove who it is. A ping comes
/// first, or the one question to a candidate: a push of the largest table is 190 KiB.
pub const MAX_FIRST_BODY: usize = BATCH;

/// The most values of a record: none is shorter than those that stand in their frames.
pub const MAX_VALUES: usize = MAX_BODY / ATTACHED_OVER;

/// Bytes of the fewest frames that are digested before they are signed. From about here on
/// BLAKE3 is faster than SHA-256, as it takes many pieces of 1 KiB at a time: two times at
/// 4 KiB, four times at 64 KiB, even where the processor knows SHA-256. While a secret is being
/// changed, they are also read once instead of once for either secret.
pub const DIGESTED_FROM: usize = 4 * 1024;

/// Bytes of the length of the frames, and of that of a value.
const LENGTH: usize = 4;

/// Bytes of the length of the frames and the number of values.
const FIXED: usize = LENGTH + 2;

/// Why the bytes of a stream are no records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// A record is longer than any that is sent.
    #[error("record of {0} bytes is too long")]
    TooLong(usize),
    /// A record has more values than any that is sent.
    #[error("record of {0} values has too many")]
    TooMany(usize),
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
        let (frames, values) = body.into_parts();
        let prefix = prefix(&frames, &values);
        let mut pieces = Vec::with_capacity(2 + frames.len() + values.len());
        pieces.push(Bytes::from(prefix));
        pieces.extend(frames);
        if self.signer.is_signing() {
            let frames = pieces[1..].iter().map(|piece| &piece[..]);
            let digests = values.iter().map(Attached::digest).collect();
            let covered = Covered::new(self.sequence, &pieces[0], frames, digests);
            let mac = self.signer.sign(&covered.parts());
            pieces.push(mac.into());
        }
        self.sequence += 1;
        pieces.extend(values.into_iter().map(|value| value.bytes));
        pieces
    }
}

/// What stands before the frames.
fn prefix(frames: &[Bytes], values: &[Attached]) -> Vec<u8> {
    // A body is far shorter than what four bytes can say, and has fewer values than two can.
    let length = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX).to_be_bytes();
    let count = u16::try_from(values.len()).unwrap_or(u16::MAX);
    let mut prefix = Vec::with_capacity(FIXED + LENGTH * values.len());
    prefix.extend_from_slice(&length(frames.iter().map(Bytes::len).sum()));
    prefix.extend_from_slice(&count.to_be_bytes());
    for value in values {
        prefix.extend_from_slice(&length(value.bytes.len()));
    }
    prefix
}

/// Takes the records of one direction off a buffer.
#[derive(Debug)]
pub struct RecordReader {
    signer: Signer,
    sequence: u64,
    /// Bytes of a body until one has verified.
    first: usize,
    arriving: Option<Arriving>,
}

/// A record of which all is there up to the first value.
#[derive(Debug)]
struct Arriving {
    /// All before the values, without the MAC.
    head: Bytes,
    /// Bytes of it before the frames.
    prefix: usize,
    mac: Bytes,
    values: Vec<Bytes>,
    digests: Vec<[u8; DIGEST_LENGTH]>,
    /// The value that comes now.
    value: ValueBuffer,
}

impl Arriving {
    /// Bytes of the value that comes now, or `None` after the last one.
    fn length(&self) -> Option<usize> {
        let lengths = self.head[FIXED..self.prefix].chunks_exact(LENGTH);
        lengths.map(number).nth(self.values.len())
    }

    /// Bytes that are missing of the value that comes now.
    fn missing(&self) -> usize {
        self.length().unwrap_or(0).saturating_sub(self.value.len())
    }

    /// Makes room for the next value.
    fn begin(&mut self) {
        self.value = ValueBuffer::with_capacity(self.length().unwrap_or(0));
    }
}

impl RecordReader {
    /// For one direction of a new session with a peer that has proved who it is.
    #[must_use]
    pub const fn new(signer: Signer) -> Self {
        Self {
            signer,
            sequence: 0,
            first: MAX_BODY,
            arriving: None,
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
            arriving: None,
        }
    }

    /// The body of the next record, when all of it has come; its frames share the memory of
    /// `buffer`, of which everything is taken that belongs to it.
    ///
    /// # Errors
    /// When the stream is broken; nothing that follows can be trusted.
    pub fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<Reader>, Broken> {
        if self.arriving.is_none() {
            match self.head_length(buffer)? {
                Some(length) if length <= buffer.len() => {
                    let head = buffer.split_to(length).freeze();
                    self.begin(head)?;
                }
                Some(_) | None => return Ok(None),
            }
        }
        self.fill(buffer)
    }

    /// Goes on with the record of which `head` is all that stands before the values, as
    /// [`RecordReader::missing`] tells.
    ///
    /// # Errors
    /// When it is less than that.
    pub fn begin(&mut self, mut head: Bytes) -> Result<(), Broken> {
        let mac = head.split_off(head.len().saturating_sub(self.signer.mac_length()));
        let prefix = head.first_chunk().map(prefix_length);
        let prefix = prefix.filter(|prefix| *prefix <= head.len());
        let prefix = prefix.ok_or(Broken::Forged)?;
        let mut arriving = Arriving {
            head,
            prefix,
            mac,
            values: Vec::new(),
            digests: Vec::new(),
            value: ValueBuffer::with_capacity(0),
        };
        arriving.begin();
        self.arriving = Some(arriving);
        Ok(())
    }

    /// Bytes that are still missing of all that stands before the values of the record at the
    /// front of `buffer`, 0 when that is not known yet.
    ///
    /// # Errors
    /// When it is too long.
    pub fn missing(&self, buffer: &BytesMut) -> Result<usize, Broken> {
        let length = self.head_length(buffer)?;
        Ok(length.map_or(0, |length| length.saturating_sub(buffer.len())))
    }

    /// The value that comes now, and how many bytes of it are missing: what the stream brings
    /// next belongs into it. [`RecordReader::next`] goes on when it was filled.
    pub fn value(&mut self) -> Option<(&mut ValueBuffer, usize)> {
        let arriving = self.arriving.as_mut()?;
        let missing = arriving.missing();
        (missing > 0).then_some((&mut arriving.value, missing))
    }

    /// Takes values off the buffer, until the record is whole.
    fn fill(&mut self, buffer: &mut BytesMut) -> Result<Option<Reader>, Broken> {
        while let Some(arriving) = &mut self.arriving {
            let here = arriving.missing().min(buffer.len());
            arriving.value.extend(&buffer[..here]);
            buffer.advance(here);
            if arriving.missing() > 0 {
                return Ok(None);
            }
            if arriving.length().is_none() {
                break;
            }
            let value = std::mem::replace(&mut arriving.value, ValueBuffer::with_capacity(0));
            let value = value.freeze();
            if self.signer.is_signing() {
                arriving.digests.push(digest(&value));
            }
            arriving.values.push(value);
            arriving.begin();
        }
        self.arriving.take().map(|all| self.open(all)).transpose()
    }

    /// What is in a record, if it is authentic.
    fn open(&mut self, all: Arriving) -> Result<Reader, Broken> {
        let (mut head, prefix) = (all.head, all.prefix);
        let is_authentic = !self.signer.is_signing() || {
            let (prefix, frames) = head.split_at(prefix);
            let covered = Covered::new(self.sequence, prefix, [frames].into_iter(), all.digests);
            self.signer.verify(&covered.parts(), &all.mac)
        };
        if !is_authentic {
            return Err(Broken::Forged);
        }
        self.sequence += 1;
        head.advance(prefix);
        Ok(Reader::with_values(head, all.values))
    }

    /// Bytes of all that stands before the values of the record at the front of `buffer`, when
    /// its lengths are there.
    fn head_length(&self, buffer: &[u8]) -> Result<Option<usize>, Broken> {
        let Some(fixed) = buffer.first_chunk::<FIXED>() else {
            return Ok(None);
        };
        let limit = if self.sequence == 0 {
            self.first
        } else {
            MAX_BODY
        };
        let bounded = |length: usize| {
            if length > limit {
                Err(Broken::TooLong(length))
            } else {
                Ok(length)
            }
        };
        let (frames, prefix) = (number(&fixed[..LENGTH]), prefix_length(fixed));
        bounded(frames)?;
        let count = (prefix - FIXED) / LENGTH;
        if count > MAX_VALUES {
            return Err(Broken::TooMany(count));
        }
        let Some(lengths) = buffer.get(FIXED..prefix) else {
            return Ok(None);
        };
        let values = lengths.chunks_exact(LENGTH).map(number);
        bounded(values.fold(frames, usize::saturating_add))?;
        Ok(Some(prefix + frames + self.signer.mac_length()))
    }
}

/// Bytes of what stands before the frames.
fn prefix_length(fixed: &[u8; FIXED]) -> usize {
    FIXED + LENGTH * number(&fixed[LENGTH..])
}

/// What big-endian bytes say.
fn number(bytes: &[u8]) -> usize {
    let number = |sum: usize, byte: &u8| (sum << 8) | usize::from(*byte);
    bytes.iter().fold(0, number)
}

/// What the MAC of a record covers.
struct Covered<'a> {
    sequence: [u8; 8],
    prefix: &'a [u8],
    frames: CoveredFrames<'a>,
    digests: Vec<[u8; DIGEST_LENGTH]>,
}

enum CoveredFrames<'a> {
    Themselves(Vec<&'a [u8]>),
    Digest(blake3::Hash),
}

impl<'a> Covered<'a> {
    /// Of the record with this number, whose frames consist of `pieces`.
    fn new(
        sequence: u64,
        prefix: &'a [u8],
        pieces: impl Iterator<Item = &'a [u8]>,
        digests: Vec<[u8; DIGEST_LENGTH]>,
    ) -> Self {
        let frames = if number(&prefix[..LENGTH]) < DIGESTED_FROM {
            CoveredFrames::Themselves(pieces.collect())
        } else {
            let mut digest = blake3::Hasher::new();
            for piece in pieces {
                digest.update(piece);
            }
            CoveredFrames::Digest(digest.finalize())
        };
        Self {
            sequence: sequence.to_be_bytes(),
            prefix,
            frames,
            digests,
        }
    }

    /// All of it, in order.
    fn parts(&self) -> Vec<&[u8]> {
        let mut parts = vec![&self.sequence[..], self.prefix];
        match &self.frames {
            CoveredFrames::Themselves(pieces) => parts.extend(pieces),
            CoveredFrames::Digest(digest) => parts.push(digest.as_bytes()),
        }
        parts.extend(self.digests.iter().map(|digest| &digest[..]));
        parts
    }
}

#[cfg(test)]
mod tests {
    use bytes::BufMut;
    use proptest::prelude::*;

    use super::super::SharedDigest;
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

    /// A body with values behind it.
    fn with_values(body: &[u8], values: &[Vec<u8>]) -> Rope {
        let mut rope = rope(body);
        for value in values {
            let value = Bytes::copy_from_slice(value);
            rope.value(&value, &SharedDigest::for_value(value.len()));
        }
        rope
    }

    /// Some lengths of values: the least, in memory of the allocator, and in pages.
    fn values() -> Vec<Vec<u8>> {
        let lengths = [ATTACHED_OVER + 1, 70_000, 300_000];
        lengths.iter().map(|length| vec![9; *length]).collect()
    }

    fn whole(mut reader: Reader) -> (Vec<u8>, Vec<Vec<u8>>) {
        let body = reader.take(reader.remaining()).expect("the rest").to_vec();
        (body, reader.values().map(|value| value.to_vec()).collect())
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
                    found.push(body.rest().to_vec());
                }
            }
            assert_eq!(found, bodies);
        }
    }

    #[test]
    fn values_come_out_as_they_went_in_however_they_arrive() {
        for secret in [None, Some("a")] {
            for piece in [1_000, 16_384, usize::MAX] {
                let (mut writer, mut reader) = pair(secret);
                let bodies = [
                    (b"one".to_vec(), values()),
                    (vec![8; DIGESTED_FROM], values()[..1].to_vec()),
                    (Vec::new(), values()[1..].to_vec()),
                    (b"none".to_vec(), Vec::new()),
                ];
                let stream: Vec<u8> = bodies
                    .iter()
                    .flat_map(|(body, values)| writer.seal(with_values(body, values)).concat())
                    .collect();
                let (mut buffer, mut found) = (BytesMut::new(), Vec::new());
                for bytes in stream.chunks(piece.min(stream.len())) {
                    buffer.put_slice(bytes);
                    while let Some(body) = reader.next(&mut buffer).expect("authentic") {
                        found.push(whole(body));
                    }
                }
                assert_eq!(found, bodies);
            }
        }
    }

    #[test]
    fn a_value_may_be_read_past_the_buffer() {
        let (mut writer, mut reader) = pair(Some("a"));
        let record = writer.seal(with_values(b"one", &values())).concat();
        let first = record.len() - values().concat().len();
        let mut buffer = BytesMut::from(&record[..first + 5]);
        assert!(reader.next(&mut buffer).expect("not broken").is_none());
        let mut at = first + 5;
        while let Some((value, missing)) = reader.value() {
            value.extend(&record[at..at + missing]);
            at += missing;
            if let Some(body) = reader.next(&mut buffer).expect("authentic") {
                assert_eq!(whole(body), (b"one".to_vec(), values()));
            }
        }
        assert_eq!((at, buffer.len()), (record.len(), 0));
    }

    #[test]
    fn values_count_in_their_order_and_under_their_record() {
        let sealed = |values: &[Vec<u8>]| {
            let (mut writer, _) = pair(Some("a"));
            writer.seal(with_values(b"one", values)).concat()
        };
        let read = |record: &[u8]| {
            let (_, mut reader) = pair(Some("a"));
            reader
                .next(&mut BytesMut::from(record))
                .map(|it| it.map(whole))
        };
        let (first, second) = (vec![1; 20_000], vec![2; 20_000]);
        let record = sealed(&[first.clone(), second.clone()]);
        let head = record.len() - 40_000;
        let turned = [&record[..head], &second, &first].concat();
        assert_eq!(read(&turned), Err(Broken::Forged));
        let other = [&record[..head], &first, &first].concat();
        assert_eq!(read(&other), Err(Broken::Forged));
        // One value in the place of two with the same bytes.
        let mut joined = record.clone();
        joined[4..6].copy_from_slice(&1_u16.to_be_bytes());
        joined[6..10].copy_from_slice(&40_000_u32.to_be_bytes());
        joined.drain(10..14);
        assert_eq!(read(&joined), Err(Broken::Forged));
        assert!(read(&record).is_ok());
    }

    #[test]
    fn a_shared_digest_is_signed_for_each_connection() {
        let value = Bytes::from(vec![7; 20_000]);
        let digest = SharedDigest::for_value(value.len());
        let record = |nonce: u8| {
            let keys = SessionKeys::new(&seal(Some("a")), &[nonce; 16], &[2; 16]);
            let mut rope = Rope::new();
            rope.value(&value, &digest);
            let record = RecordWriter::new(keys.client.clone()).seal(rope).concat();
            (record, RecordReader::new(keys.client))
        };
        let ((first, mut to_first), (second, mut to_second)) = (record(1), record(3));
        let read = |reader: &mut RecordReader, record: &[u8]| {
            reader
                .next(&mut BytesMut::from(record))
                .map(|it| it.map(whole))
        };
        let expect = Ok(Some((Vec::new(), vec![value.to_vec()])));
        assert_eq!(read(&mut to_first, &second), Err(Broken::Forged));
        assert_eq!(read(&mut to_first, &first), expect);
        assert_eq!(read(&mut to_second, &second), expect);
    }

    #[test]
    fn order_counts() {
        let (mut writer, mut reader) = pair(Some("a"));
        let first = written(&mut writer, b"first");
        let second = written(&mut writer, b"second");
        let mut read = |bytes: &[u8]| {
            let read = reader.next(&mut BytesMut::from(bytes));
            read.map(|body| body.map(whole))
        };
        assert_eq!(read(&second), Err(Broken::Forged), "too early");
        assert!(read(&first).is_ok());
        assert_eq!(read(&first), Err(Broken::Forged), "repeated");
        assert!(read(&second).is_ok());
    }

    #[test]
    fn lengths_are_bounded() {
        let (_, mut reader) = pair(None);
        let mut check = |bytes: &[u8], expect: Result<usize, Broken>| {
            let mut buffer = BytesMut::from(bytes);
            assert_eq!(reader.missing(&buffer), expect);
            let read = reader.next(&mut buffer).map(|body| body.is_some());
            assert_eq!(read, expect.map(|_| false));
        };
        check(&[0xff; 5], Ok(0));
        let longest = Broken::TooLong(u32::MAX as usize);
        check(&[0xff, 0xff, 0xff, 0xff, 0, 0], Err(longest));
        check(&[0, 0, 1, 0, 0, 0, 9], Ok(255));
        // The lengths of the values come first, then their sum counts.
        check(&[0, 0, 1, 0, 0, 1, 0, 1, 0], Ok(0));
        check(&[0, 0, 1, 0, 0, 1, 0, 1, 0, 0, 9], Ok(255));
        let sum = Broken::TooLong(0x0fff_ffff + 0x0fff_ffff);
        check(
            &[0, 0, 0, 0, 0, 2, 15, 255, 255, 255, 15, 255, 255, 255],
            Err(sum),
        );
        check(&[0, 0, 0, 0, 0xff, 0xff], Err(Broken::TooMany(0xffff)));
    }

    #[test]
    fn a_stranger_is_bounded_until_it_has_proved_itself() {
        let (mut writer, _) = pair(Some("a"));
        let keys = SessionKeys::new(&seal(Some("a")), &[1; 16], &[2; 16]);
        let mut reader = RecordReader::of_stranger(keys.client);
        let long = u32::try_from(MAX_FIRST_BODY + 1).expect("is small");
        let refused = Broken::TooLong(MAX_FIRST_BODY + 1);
        let alone = [&long.to_be_bytes()[..], &[0, 0]].concat();
        let value = [&[0, 0, 0, 0, 0, 1], &long.to_be_bytes()[..]].concat();
        for bytes in [alone, value] {
            let mut buffer = BytesMut::from(&bytes[..]);
            assert_eq!(reader.missing(&buffer), Err(refused));
            assert_eq!(reader.next(&mut buffer).map(drop), Err(refused));
        }
        for length in [MAX_FIRST_BODY, MAX_FIRST_BODY + 1] {
            let mut buffer = BytesMut::from(&written(&mut writer, &vec![7; length])[..]);
            let body = reader.next(&mut buffer).expect("authentic");
            assert_eq!(body.map(|body| body.remaining()), Some(length));
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
            let mac = keys.client.sign(&[&sequence, &bytes, &[0, 0], covered]);
            assert_eq!(record[6 + length..], mac);
            let value = vec![9; ATTACHED_OVER + 1];
            let record = writer
                .seal(with_values(&body, std::slice::from_ref(&value)))
                .concat();
            let prefix = [
                &bytes[..],
                &[0, 1],
                &(ATTACHED_OVER as u32 + 1).to_be_bytes(),
            ]
            .concat();
            let (sequence, digest) = (2_u64.to_be_bytes(), blake3::hash(&value));
            let mac = keys
                .client
                .sign(&[&sequence, &prefix, covered, digest.as_bytes()]);
            assert_eq!(record, [prefix, body, mac, value].concat());
        }
    }

    #[test]
    fn a_digest_is_no_body() {
        // The MAC of a long body does not verify a short one that is its digest.
        let (mut writer, mut reader) = pair(Some("a"));
        let body = vec![7; DIGESTED_FROM];
        let long = written(&mut writer, &body);
        let digest = blake3::hash(&body);
        let mut short = BytesMut::from(&[0, 0, 0, 32, 0, 0][..]);
        short.put_slice(digest.as_bytes());
        short.put_slice(&long[6 + DIGESTED_FROM..]);
        assert_eq!(reader.next(&mut short).map(drop), Err(Broken::Forged));
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
            let value = (length > ATTACHED_OVER).then(|| vec![8; ATTACHED_OVER + 1]);
            let body = with_values(&vec![7; length], value.as_slice());
            let mut bytes = writer.seal(body).concat();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            let read = reader.next(&mut BytesMut::from(&bytes[..]));
            prop_assert!(!matches!(read, Ok(Some(_))));
        }
    }
}
