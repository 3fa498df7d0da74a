//! One connection on which is asked and waited.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Instant;

use super::dialect::Dialect;

/// Bytes that are read at once.
const PIECE: usize = 16 << 10;

/// One connection.
pub(crate) struct Talk {
    dialect: Dialect,
    stream: TcpStream,
    came: Vec<u8>,
}

/// An answer, with the moments between which it was given.
pub(crate) struct Said<'a> {
    /// When it was asked for.
    pub(crate) sent: Instant,
    /// When it was there.
    pub(crate) answered: Instant,
    /// The whole of it; none when there is no such value.
    pub(crate) found: Option<&'a [u8]>,
}

impl Talk {
    /// A connection to this port of 127.0.0.1.
    pub(crate) fn to(dialect: Dialect, port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            dialect,
            stream,
            came: Vec::new(),
        })
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// When it is a refusal, or the connection ends.
    pub(crate) fn ask(&mut self, request: &[u8]) -> io::Result<Said<'_>> {
        let sent = Instant::now();
        self.stream.write_all(request)?;
        self.came.clear();
        loop {
            let before = self.came.len();
            self.came.resize(before + PIECE, 0);
            let read = self.stream.read(&mut self.came[before..])?;
            self.came.truncate(before + read);
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let absent = self.dialect.absent(&self.came);
            let end = match absent {
                Some(end) => Some(end),
                None => self.dialect.answer(&self.came)?,
            };
            if end.is_none_or(|end| end > self.came.len()) {
                continue;
            }
            return Ok(Said {
                sent,
                answered: Instant::now(),
                found: absent.is_none().then_some(&self.came[..]),
            });
        }
    }
}
