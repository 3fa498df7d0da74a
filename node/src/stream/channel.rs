//! Records over a socket: the two halves of a greeted stream.

use std::io::{self, IoSlice};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use crate::store::ValueBuffer;
use crate::wire::record::{Broken, RecordReader, RecordWriter};
use crate::wire::{Reader, Rope};

/// Bytes read at a time when nothing larger is expected: two connections per peer at rest
/// should not cost much.
const READ: usize = 16 * 1024;

/// Bytes of frames that must be missing for a record to be large. What is reserved for it takes
/// memory as it arrives, not as it was announced.
const LARGE: usize = 512 * 1024;

/// Bytes of a large record that are read at a time.
const PIECE: usize = 256 * 1024;

/// Pieces handed to the kernel at once; it takes 1024 (IOV_MAX).
const PIECES: usize = 256;

/// Why a stream ended.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The socket failed.
    #[error("stream failed")]
    Io(#[from] io::Error),
    /// The peer closed it.
    #[error("stream was closed by the peer")]
    Closed,
    /// The peer did not prove in time who it is.
    #[error("no record within {0:?} of the greeting")]
    Unproved(Duration),
    /// What arrived cannot be trusted.
    #[error("stream is broken")]
    Broken(#[from] Broken),
    /// A record was authentic but is not understood.
    #[error("stream is not understood")]
    Malformed(#[from] crate::wire::Malformed),
}

/// The half that receives.
#[derive(Debug)]
pub struct Receiver<R> {
    socket: R,
    records: RecordReader,
    buffer: BytesMut,
}

impl<R: AsyncRead + Unpin> Receiver<R> {
    /// Receives records from `socket`.
    pub fn new(socket: R, records: RecordReader) -> Self {
        Self {
            socket,
            records,
            buffer: BytesMut::new(),
        }
    }

    /// The body of the next record.
    ///
    /// # Errors
    /// When the stream ended.
    pub async fn next(&mut self) -> Result<Reader, StreamError> {
        loop {
            if let Some(body) = self.ready()? {
                return Ok(body);
            }
            let count = if let Some((value, missing)) = self.records.value() {
                // The buffer is empty.
                value.read_from(&mut self.socket, missing).await?
            } else {
                let missing = self.records.missing(&self.buffer)?;
                if missing > LARGE {
                    self.large(missing).await?;
                    continue;
                }
                self.buffer.reserve(missing.max(READ));
                self.socket.read_buf(&mut self.buffer).await?
            };
            if count == 0 {
                return Err(StreamError::Closed);
            }
        }
    }

    /// The frames of a record of which so many bytes are missing, in memory of their own that is
    /// given back with them. A buffer that is grown for them would stay as large.
    async fn large(&mut self, mut missing: usize) -> Result<(), StreamError> {
        let mut record = ValueBuffer::with_capacity(self.buffer.len() + missing);
        record.extend(&self.buffer);
        self.buffer.clear();
        while missing > 0 {
            self.buffer.reserve(missing.min(PIECE));
            let mut rest = (&mut self.socket).take(missing as u64);
            let count = rest.read_buf(&mut self.buffer).await?;
            if count == 0 {
                return Err(StreamError::Closed);
            }
            record.extend(&self.buffer);
            self.buffer.clear();
            missing -= count;
        }
        Ok(self.records.begin(record.freeze())?)
    }

    /// The body of the first record, which has to come within `limit`.
    ///
    /// # Errors
    /// When it did not, or the stream ended.
    pub async fn first(&mut self, limit: Duration) -> Result<Reader, StreamError> {
        let first = timeout(limit, self.next()).await;
        first.unwrap_or(Err(StreamError::Unproved(limit)))
    }

    /// The body of the next record if it has arrived already.
    ///
    /// # Errors
    /// When it is broken.
    pub fn ready(&mut self) -> Result<Option<Reader>, StreamError> {
        Ok(self.records.next(&mut self.buffer)?)
    }
}

/// The half that sends.
#[derive(Debug)]
pub struct Sender<W> {
    socket: W,
    records: RecordWriter,
}

impl<W: AsyncWrite + Unpin> Sender<W> {
    /// Sends records to `socket`.
    pub fn new(socket: W, records: RecordWriter) -> Self {
        Self { socket, records }
    }

    /// Sends one record in as few system calls as the socket takes it.
    ///
    /// # Errors
    /// When the socket failed.
    pub async fn send(&mut self, body: Rope) -> io::Result<()> {
        let mut pieces = self.records.seal(body);
        let mut pieces = &mut pieces[..];
        while !pieces.is_empty() {
            let slices: Vec<IoSlice<'_>> = pieces
                .iter()
                .take(PIECES)
                .map(|piece| IoSlice::new(piece))
                .collect();
            let mut written = self.socket.write_vectored(&slices).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            while let Some(first) = pieces.first_mut()
                && written >= first.len()
            {
                written -= first.len();
                pieces = &mut pieces[1..];
            }
            if let Some(first) = pieces.first_mut() {
                first.advance(written);
            }
        }
        self.socket.flush().await
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tokio::io::duplex;

    use super::*;
    use crate::wire::SharedDigest;
    use crate::wire::hello::SessionKeys;
    use crate::wire::testing::seal;

    /// A body of several pieces, among them an empty one, and a value behind it.
    fn rope(length: usize) -> Rope {
        let mut rope = Rope::new();
        rope.body(&Bytes::from_static(b"head"));
        rope.body(&Bytes::from(vec![7; length]));
        rope.body(&Bytes::new());
        rope.body(&Bytes::from(vec![8; 5_000]));
        rope.value(&Bytes::from(vec![9; length]), &SharedDigest::default());
        rope
    }

    #[tokio::test]
    async fn records_arrive_through_any_window() {
        for window in [1, 7, 4_096, 1 << 20] {
            let keys = SessionKeys::new(&seal(Some("a")), &[1; 16], &[2; 16]);
            let (near, far) = duplex(window);
            let mut sender = Sender::new(near, RecordWriter::new(keys.client.clone()));
            let mut receiver = Receiver::new(far, RecordReader::new(keys.client));
            // A large one through a narrow window takes too long.
            let large = if window > 4_000 { 3 * LARGE } else { 0 };
            let lengths = [0, 3_000, large, 40_000];
            let send = async {
                for length in lengths {
                    sender.send(rope(length)).await.expect("sent");
                }
                drop(sender);
            };
            let receive = async {
                for length in lengths {
                    let body = receiver.next().await.expect("a record");
                    assert_eq!(body, rope(length).into_reader(), "window {window}");
                }
                assert!(matches!(receiver.next().await, Err(StreamError::Closed)));
            };
            tokio::join!(send, receive);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_record_has_a_deadline() {
        let keys = SessionKeys::new(&seal(Some("a")), &[1; 16], &[2; 16]);
        let limit = Duration::from_secs(2);
        let (mut near, far) = duplex(1 << 20);
        let mut receiver = Receiver::new(far, RecordReader::of_stranger(keys.client));
        // A length, and a body that never comes.
        near.write_all(&[0, 0, 1, 0]).await.expect("written");
        assert!(matches!(
            receiver.first(limit).await,
            Err(StreamError::Unproved(found)) if found == limit
        ));
    }

    #[tokio::test]
    async fn another_session_is_not_understood() {
        let keys = |nonce| SessionKeys::new(&seal(Some("a")), &[nonce; 16], &[2; 16]).client;
        let (near, far) = duplex(1 << 20);
        let mut sender = Sender::new(near, RecordWriter::new(keys(1)));
        let mut receiver = Receiver::new(far, RecordReader::new(keys(9)));
        sender.send(rope(10)).await.expect("sent");
        assert!(matches!(
            receiver.next().await,
            Err(StreamError::Broken(Broken::Forged))
        ));
    }
}
