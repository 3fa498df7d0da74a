//! One HTTP/1.1 connection, as plain as it gets.

use std::io;
use std::net::Ipv4Addr;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// Bytes of a line of a head: nodes send short ones.
const LINE_MAX: u64 = 8 * 1024;

/// Bytes of a body: more than any that is written here.
const BODY_MAX: usize = 4 * 1024 * 1024;

/// A connection to a port of 127.0.0.1.
pub(super) struct Connection {
    stream: BufReader<TcpStream>,
    /// Its port.
    pub(super) port: u16,
    /// When it stood.
    pub(super) since: Instant,
    /// When the last request was sent; when it stood, if there was none.
    pub(super) asked: Instant,
}

/// An answer, read to its end.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
    /// Whether it is the last one of its connection.
    pub(super) last: bool,
}

impl Connection {
    pub(super) async fn open(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        stream.set_nodelay(true)?;
        let now = Instant::now();
        Ok(Self {
            stream: BufReader::new(stream),
            port,
            since: now,
            asked: now,
        })
    }

    /// Whether the server has closed or reset it while nothing was asked.
    pub(super) fn is_closed(&self) -> bool {
        let read = self.stream.get_ref().try_read(&mut [0]);
        !read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Sends a request and reads its answer. `last` says that no other follows.
    pub(super) async fn ask(
        &mut self,
        method: &str,
        path: &str,
        body: &[u8],
        last: bool,
    ) -> io::Result<Answer> {
        let length = body.len();
        let connection = if last { "close" } else { "keep-alive" };
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\
             connection: {connection}\r\n\r\n"
        )
        .into_bytes();
        request.extend_from_slice(body);
        let sent = self.stream.write_all(&request).await;
        self.asked = Instant::now();
        sent?;
        self.answer().await
    }

    async fn answer(&mut self) -> io::Result<Answer> {
        let first = self.line().await?;
        let status = first.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| broken(&first))?;
        let (mut length, mut last) = (0, false);
        loop {
            let line = self.line().await?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or_else(|| broken(&line))?;
            let (name, value) = (name.to_ascii_lowercase(), value.trim());
            match name.as_str() {
                "content-length" => length = value.parse().map_err(|_| broken(&line))?,
                "connection" => last = value.eq_ignore_ascii_case("close"),
                _ => {}
            }
        }
        if length > BODY_MAX {
            return Err(broken("a body longer than any that was written"));
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await?;
        Ok(Answer { status, body, last })
    }

    async fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        let mut limited = (&mut self.stream).take(LINE_MAX);
        limited.read_line(&mut line).await?;
        match line.strip_suffix("\r\n") {
            Some(line) => Ok(line.to_owned()),
            None if line.is_empty() => Err(io::ErrorKind::UnexpectedEof.into()),
            None => Err(broken(&line)),
        }
    }
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("no HTTP: {what:?}"))
}
