//! What is said to a store, and where its answer ends.

use std::io;

/// The protocol of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// HTTP/1.1 with the paths of the node of this repository.
    Node,
    /// HTTP/1.1 with JSON and base64, as the gateway of etcd has it.
    Etcd,
    /// The protocol of Redis, version 2.
    Redis,
    /// The same; a write waits until another copy has been acknowledged.
    RedisQuorum,
    /// The text protocol of memcached.
    Memcached,
}

/// How long values live, in seconds: longer than any benchmark.
const TTL_S: u32 = 3600;

/// Headers in an answer. Those measured here send fewer than ten.
const HEADERS_MAX: usize = 32;

impl Dialect {
    /// How is read what was written in this dialect, where it matters.
    pub(crate) fn of_reads(self) -> Self {
        match self {
            // Only a write waits for other copies.
            Self::RedisQuorum => Self::Redis,
            other => other,
        }
    }

    /// A request for a value.
    pub(crate) fn get(self, key: &str) -> Vec<u8> {
        match self {
            Self::Node => {
                format!("GET /data/{key} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes()
            }
            Self::Etcd => etcd(
                "range",
                &format!(r#"{{"key":"{}"}}"#, base64(key.as_bytes())),
            ),
            Self::Redis | Self::RedisQuorum => resp(&[b"GET", key.as_bytes()]),
            Self::Memcached => format!("get {key}\r\n").into_bytes(),
        }
    }

    /// A request that stores a value for longer than any benchmark takes.
    pub(crate) fn put(self, key: &str, value: &[u8]) -> Vec<u8> {
        self.put_for(TTL_S, key, value)
    }

    /// A request that stores a value for so many seconds. etcd, whose values have no time of
    /// their own, keeps it for ever.
    pub(crate) fn put_for(self, ttl_s: u32, key: &str, value: &[u8]) -> Vec<u8> {
        let length = value.len();
        match self {
            Self::Node => {
                let head = format!(
                    "PUT /data/{key}?ttl={ttl_s} HTTP/1.1\r\nHost: localhost\r\n\
                     Content-Length: {length}\r\n\r\n"
                );
                [head.as_bytes(), value].concat()
            }
            Self::Etcd => {
                let (key, value) = (base64(key.as_bytes()), base64(value));
                etcd("put", &format!(r#"{{"key":"{key}","value":"{value}"}}"#))
            }
            Self::Redis => redis_set(ttl_s, key, value),
            Self::RedisQuorum => [
                redis_set(ttl_s, key, value),
                resp(&[b"WAIT", b"1", b"5000"]),
            ]
            .concat(),
            Self::Memcached => {
                let head = format!("set {key} 0 {ttl_s} {length}\r\n");
                [head.as_bytes(), value, b"\r\n"].concat()
            }
        }
    }

    /// Bytes of the answer to one request at the beginning of what came; none while that
    /// cannot be told yet.
    ///
    /// # Errors
    /// When the answer is a refusal, or none of this protocol.
    pub(crate) fn answer(self, came: &[u8]) -> io::Result<Option<usize>> {
        match self {
            Self::Node | Self::Etcd => http_answer(came),
            Self::Redis => redis_reply(came),
            // The replies to SET and WAIT; to GET there is only one, so it is not asked here.
            Self::RedisQuorum => {
                let Some(first) = redis_reply(came)? else {
                    return Ok(None);
                };
                let second = came.get(first..).map_or(Ok(None), redis_reply)?;
                Ok(second.map(|second| first + second))
            }
            Self::Memcached => memcached_answer(came),
        }
    }

    /// Bytes of the answer that it cannot be told yet; none when what came is another one, or
    /// that cannot be told yet.
    pub(crate) fn later(self, came: &[u8]) -> Option<usize> {
        match http_end(came) {
            Ok(Some((503, end))) if self == Self::Node => Some(end),
            _ => None,
        }
    }

    /// Bytes of the answer that there is no such value; none when what came is another one, or
    /// that cannot be told yet.
    pub(crate) fn absent(self, came: &[u8]) -> Option<usize> {
        match self {
            Self::Node => match http_end(came) {
                Ok(Some((404, end))) => Some(end),
                _ => None,
            },
            Self::Redis => came.starts_with(b"$-1\r\n").then_some(5),
            Self::Memcached => came.starts_with(b"END\r\n").then_some(5),
            // The one has no such answer to a write, the other has a body that says so.
            Self::RedisQuorum | Self::Etcd => None,
        }
    }
}

fn etcd(call: &str, json: &str) -> Vec<u8> {
    let length = json.len();
    format!(
        "POST /v3/kv/{call} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{json}"
    )
    .into_bytes()
}

fn redis_set(ttl_s: u32, key: &str, value: &[u8]) -> Vec<u8> {
    resp(&[
        b"SET",
        key.as_bytes(),
        value,
        b"EX",
        ttl_s.to_string().as_bytes(),
    ])
}

/// A command of Redis: an array of strings, each with its length in front.
fn resp(words: &[&[u8]]) -> Vec<u8> {
    let mut command = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        command.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        command.extend_from_slice(word);
        command.extend_from_slice(b"\r\n");
    }
    command
}

fn http_answer(came: &[u8]) -> io::Result<Option<usize>> {
    match http_end(came)? {
        Some((200 | 201, end)) => Ok(Some(end)),
        Some(_) => Err(refusal(came)),
        None => Ok(None),
    }
}

/// The status of an HTTP answer, and where it ends; none while that cannot be told yet.
fn http_end(came: &[u8]) -> io::Result<Option<(u16, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = response.parse(came).map_err(io::Error::other)? else {
        return Ok(None);
    };
    let status = response.code.unwrap_or_default();
    let value_of = |name: &str| {
        let mut headers = response.headers.iter();
        let header = headers.find(|header| header.name.eq_ignore_ascii_case(name));
        header.and_then(|header| str::from_utf8(header.value).ok())
    };
    if value_of("transfer-encoding") == Some("chunked") {
        let body = chunked(&came[head..])?;
        return Ok(body.map(|body| (status, head + body)));
    }
    let length = value_of("content-length").and_then(|length| length.parse::<usize>().ok());
    let length = length.ok_or_else(|| io::Error::other("an answer without a length"))?;
    Ok(Some((status, head + length)))
}

/// Bytes of a body in chunks (RFC 9112, section 7.1), without trailers; none while some are
/// missing.
fn chunked(came: &[u8]) -> io::Result<Option<usize>> {
    let mut at = 0;
    loop {
        let Some((line, rest)) = came.get(at..).and_then(first_line) else {
            return Ok(None);
        };
        let size = str::from_utf8(line).ok();
        let size = size.and_then(|digits| usize::from_str_radix(digits, 16).ok());
        let size = size.ok_or_else(|| refusal(line))?;
        at += rest + size + 2;
        if size == 0 {
            return Ok((at <= came.len()).then_some(at));
        }
    }
}

fn redis_reply(came: &[u8]) -> io::Result<Option<usize>> {
    let Some((line, rest)) = first_line(came) else {
        return Ok(None);
    };
    match line.split_first() {
        Some((b'+', _)) => Ok(Some(rest)),
        // How many copies there are besides.
        Some((b':', count)) if count != b"0" => Ok(Some(rest)),
        Some((b'$', length)) if length != b"-1" => Ok(Some(rest + number(length)? + 2)),
        _ => Err(refusal(came)),
    }
}

fn memcached_answer(came: &[u8]) -> io::Result<Option<usize>> {
    const END: usize = "\r\nEND\r\n".len();
    let Some((line, rest)) = first_line(came) else {
        return Ok(None);
    };
    let mut words = line.split(|byte| *byte == b' ');
    match words.next() {
        Some(b"STORED") => Ok(Some(rest)),
        Some(b"VALUE") => Ok(Some(rest + number(words.nth(2).unwrap_or_default())? + END)),
        _ => Err(refusal(came)),
    }
}

/// The first line, and where the next begins.
fn first_line(came: &[u8]) -> Option<(&[u8], usize)> {
    let end = memchr::memmem::find(came, b"\r\n")?;
    Some((&came[..end], end + 2))
}

fn number(digits: &[u8]) -> io::Result<usize> {
    let number = str::from_utf8(digits)
        .ok()
        .and_then(|text| text.parse().ok());
    number.ok_or_else(|| refusal(digits))
}

fn refusal(came: &[u8]) -> io::Error {
    const SHOWN: usize = 300;
    let shown = &came[..came.len().min(SHOWN)];
    io::Error::other(format!("answered: {}", String::from_utf8_lossy(shown)))
}

/// As RFC 4648, section 4, has it.
fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every beginning of an answer is no answer yet, and what follows it is not part of it.
    fn check(dialect: Dialect, answer: &str, known_from: usize) {
        let whole = answer.len();
        let more = format!("{answer}more");
        for length in 0..more.len() {
            let found = dialect
                .answer(&more.as_bytes()[..length])
                .expect("a good answer");
            let expect = (length >= known_from).then_some(whole);
            assert_eq!(found, expect, "{length} bytes of {answer:?}");
        }
    }

    #[test]
    fn answers_end_where_they_end() {
        let head = "HTTP/1.1 200 OK\r\nx: y\r\nContent-Length: 5\r\n\r\n";
        check(Dialect::Node, &format!("{head}hello"), head.len());
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let answer = format!("{head}5\r\nhello\r\na\r\n0123456789\r\n0\r\n\r\n");
        check(Dialect::Etcd, &answer, answer.len());
        check(Dialect::Redis, "+OK\r\n", 5);
        check(Dialect::Redis, "$5\r\nhello\r\n", 4);
        check(Dialect::RedisQuorum, "+OK\r\n:2\r\n", 9);
        check(Dialect::Memcached, "STORED\r\n", 8);
        check(Dialect::Memcached, "VALUE k 0 5\r\nhello\r\nEND\r\n", 13);
    }

    #[test]
    fn a_node_that_cannot_tell_yet_is_no_refusal() {
        let later = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\n";
        let check = |dialect: Dialect, answer: &str, expect| {
            assert_eq!(dialect.later(answer.as_bytes()), expect, "{answer:?}");
        };
        check(Dialect::Node, later, Some(later.len() + 2));
        check(Dialect::Node, &later[..later.len() - 1], None);
        check(Dialect::Node, &later.replace("503", "500"), None);
        check(Dialect::Etcd, later, None);
    }

    #[test]
    fn absence_is_told_from_answers() {
        let check = |dialect: Dialect, answer: &str, expect| {
            assert_eq!(dialect.absent(answer.as_bytes()), expect, "{answer:?}");
        };
        let answer = "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno";
        check(Dialect::Node, answer, Some(answer.len()));
        check(
            Dialect::Node,
            &answer[..answer.len() - 1],
            Some(answer.len()),
        );
        check(Dialect::Node, &answer[..answer.len() - 3], None);
        let found = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        check(Dialect::Node, found, None);
        check(Dialect::Redis, "$-1\r\n", Some(5));
        check(Dialect::Redis, "$1\r\nv\r\n", None);
        check(Dialect::Memcached, "END\r\n", Some(5));
        check(Dialect::Memcached, "VALUE k 0 1\r\nv\r\nEND\r\n", None);
    }

    #[test]
    fn refusals_are_no_answers() {
        let check = |dialect: Dialect, answer: &str, shown: &str| {
            let error = dialect.answer(answer.as_bytes()).expect_err(answer);
            assert!(error.to_string().contains(shown), "{error}");
        };
        check(
            Dialect::Node,
            "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
            "503 Busy",
        );
        check(Dialect::Redis, "$-1\r\n", "$-1");
        check(Dialect::Redis, "-ERR no\r\n", "-ERR no");
        check(Dialect::RedisQuorum, "+OK\r\n:0\r\n", ":0");
        check(Dialect::Memcached, "END\r\n", "END");
        check(
            Dialect::Memcached,
            "SERVER_ERROR out of memory\r\n",
            "out of memory",
        );
    }
}
