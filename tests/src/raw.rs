//! Bytes that are sent as they are, and what comes back.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpStream, ToSocketAddrs};
use std::time::Duration;

use serde_json::Value;

use crate::wait::PATIENCE;

/// How long silence lasts until it is taken for the end of what is said. Too short makes no
/// difference but that the other side hears earlier that nothing more is coming.
const SILENCE: Duration = Duration::from_millis(50);

/// Bytes that are read of an answer at most.
const ANSWER_MAX: u64 = 32 * 1024 * 1024;

/// The first answer in what a server said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawAnswer {
    /// The status code.
    pub status: u16,
    /// From the status line to the last field.
    pub head: String,
    /// The body as far as it came.
    pub body: Vec<u8>,
    /// Whether all of the body came that was announced.
    pub whole: bool,
}

impl RawAnswer {
    /// The first final answer, interim ones (100) left out; `None` when there is none.
    ///
    /// # Errors
    /// When the bytes are no answer of HTTP/1.
    pub fn parse(mut bytes: &[u8]) -> Result<Option<Self>, String> {
        loop {
            if bytes.is_empty() {
                return Ok(None);
            }
            let shown = || String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned();
            let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
            let end = end.ok_or_else(|| format!("no end of a head: {:?}", shown()))?;
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let line = head
                .strip_prefix("HTTP/1.1 ")
                .or_else(|| head.strip_prefix("HTTP/1.0 "));
            let status = line
                .and_then(|rest| rest.get(..3)?.parse().ok())
                .ok_or_else(|| format!("no status line: {:?}", shown()))?;
            bytes = &bytes[end + 4..];
            if (100..200).contains(&status) {
                continue;
            }
            let mut answer = Self {
                status,
                head,
                body: Vec::new(),
                whole: true,
            };
            let length = answer.header("content-length");
            let length: usize = length.and_then(|text| text.parse().ok()).unwrap_or(0);
            answer.whole = bytes.len() >= length;
            answer.body = bytes[..length.min(bytes.len())].to_vec();
            return Ok(Some(answer));
        }
    }

    /// The value of a field, whose name is given in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// Whether an error is one as RFC 9457 writes it, with the same status and a detail.
    ///
    /// # Errors
    /// What is missing.
    pub fn check_problem(&self) -> Result<(), String> {
        if self.header("content-type") != Some("application/problem+json") {
            return Err(format!("no problem document: {}", self.head));
        }
        let problem: Value = serde_json::from_slice(&self.body)
            .map_err(|error| format!("{error}: {}", String::from_utf8_lossy(&self.body)))?;
        let has_detail = problem["detail"]
            .as_str()
            .is_some_and(|text| !text.is_empty());
        if problem["status"] == self.status && has_detail {
            Ok(())
        } else {
            Err(format!("{} and {problem}", self.status))
        }
    }
}

/// Sends bytes to a port of 127.0.0.1, says that nothing more is coming when nothing has been
/// heard for a moment, and gives everything that was heard until the other side closed. A
/// connection that the other side resets ends like one that it closes.
///
/// # Errors
/// When there is no connection, or it does not end.
pub fn say(port: u16, bytes: &[u8]) -> io::Result<Vec<u8>> {
    say_to((Ipv4Addr::LOCALHOST, port), bytes)
}

fn say_to(address: impl ToSocketAddrs, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // Whoever refuses what is sent may close before all of it was.
    let sent = stream.write_all(bytes);
    let mut heard = Vec::new();
    stream.set_read_timeout(Some(SILENCE))?;
    if sent.is_ok() && read_some(&mut stream, &mut heard)? {
        // What is still open, as after every whole answer, is closed from here.
        let _closed_already = stream.shutdown(Shutdown::Write);
    }
    stream.set_read_timeout(Some(PATIENCE))?;
    let rest = stream.take(ANSWER_MAX).read_to_end(&mut heard);
    match rest {
        Err(error) if !is_reset(&error) => Err(error),
        _ => Ok(heard),
    }
}

/// Reads until there is silence; whether the other side may still say something.
fn read_some(stream: &mut TcpStream, heard: &mut Vec<u8>) -> io::Result<bool> {
    let mut buffer = [0; 16 * 1024];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(false),
            Ok(count) => {
                heard.extend_from_slice(&buffer[..count]);
                // A whole answer is all that is waited for.
                if matches!(RawAnswer::parse(heard), Ok(Some(answer)) if answer.whole) {
                    return Ok(true);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
            Err(error) if is_reset(&error) => return Ok(false),
            Err(error) => return Err(error),
        }
    }
}

fn is_reset(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
    )
}
