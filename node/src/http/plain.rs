//! Requests that are read and answered past hyper: the two that a store is asked all day, in
//! the form that clients give them.
//!
//! This reads less than HTTP: whatever is not recognised here is no error but hyper's
//! business, and what is recognised means the same to both. So the fields that may be there
//! are listed, and not those that may not.

use http::Method;
use httparse::{Request, Status};

use super::api::is_host;
use super::bounds::BODY_MAX;
use super::route::{self, Route};
use crate::store::PACKED_MAX;

/// Fields of a head: what programs send; browsers send more, and something else, too.
const FIELDS_MAX: usize = 16;

/// Bytes of a head, far below the bound of all heads.
const HEAD_MAX: usize = 4096;

/// Fields that make no difference here, in lower case.
const WITHOUT_MEANING: [&str; 7] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "cache-control",
    "content-type",
    "pragma",
    "user-agent",
];

/// One whole request, or one whose large body is still coming, and nothing after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plain<'a> {
    /// A value is asked for.
    Get {
        /// Under which key.
        key: &'a [u8],
    },
    /// A value comes.
    Put {
        /// Under which key.
        key: &'a [u8],
        /// The query, if there is one.
        query: Option<&'a str>,
        /// X-TTL, if it is there.
        x_ttl: Option<&'a [u8]>,
        /// Bytes of the body.
        length: usize,
        /// All of it, or of a large one what has come.
        body: &'a [u8],
    },
}

/// What the fields say.
#[derive(Default)]
struct Fields<'a> {
    has_host: bool,
    length: Option<usize>,
    x_ttl: Option<&'a [u8]>,
}

impl<'a> Plain<'a> {
    /// The request that is all of `bytes`, if it is a plain one.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let is_put = match bytes.first()? {
            b'G' => false,
            b'P' => true,
            _ => return None,
        };
        let mut space = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut request = Request::new(&mut space);
        let Ok(Status::Complete(head)) = request.parse(bytes) else {
            return None;
        };
        if head > HEAD_MAX || request.version != Some(1) {
            return None;
        }
        let method = match (request.method?, is_put) {
            ("GET", false) => Method::GET,
            ("PUT", true) => Method::PUT,
            _ => return None,
        };
        let (key, query) = target(request.path?, &method)?;
        let fields = Fields::read(request.headers)?;
        let body = &bytes[head..];
        match (is_put, fields.length) {
            (false, None) if body.is_empty() && query.is_none() && fields.x_ttl.is_none() => {
                Some(Self::Get { key })
            }
            (true, Some(length)) if length == body.len() || is_to_come(length, body) => {
                Some(Self::Put {
                    key,
                    query,
                    x_ttl: fields.x_ttl,
                    length,
                    body,
                })
            }
            _ => None,
        }
    }
}

impl<'a> Fields<'a> {
    /// What they say, if all of them are known and none is doubtful.
    fn read(headers: &[httparse::Header<'a>]) -> Option<Self> {
        let mut fields = Self::default();
        for header in headers {
            let is = |name: &str| header.name.eq_ignore_ascii_case(name);
            if is("host") {
                if std::mem::replace(&mut fields.has_host, true) || !is_host(header.value) {
                    return None;
                }
            } else if is("content-length") {
                fields.length = match fields.length {
                    None => Some(number(header.value)?),
                    Some(_) => return None,
                };
            } else if is("x-ttl") {
                if fields.x_ttl.replace(header.value).is_some() {
                    return None;
                }
            } else if is("connection") {
                header
                    .value
                    .eq_ignore_ascii_case(b"keep-alive")
                    .then_some(())?;
            } else if !WITHOUT_MEANING.iter().any(|name| is(name)) {
                return None;
            }
        }
        fields.has_host.then_some(fields)
    }
}

/// Whether more of a body has to come, which is worth to be received into its own buffer.
const fn is_to_come(length: usize, here: &[u8]) -> bool {
    length > PACKED_MAX && length <= BODY_MAX && here.len() < length
}

/// The key as it stands in a target, and the query; a key with anything in it that would
/// have to be decoded or looked at twice is none here.
fn target<'a>(target: &'a str, method: &Method) -> Option<(&'a [u8], Option<&'a str>)> {
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    let (endpoint, key) = route::find(path)?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let query_is_plain = |query: &str| query.bytes().all(|byte| is_plain(byte) || byte == b'=');
    let known = endpoint.route == Route::Data
        && endpoint.methods.contains(method)
        && !key.is_empty()
        && key.len() <= super::bounds::KEY_MAX
        && key.bytes().all(is_plain_in_key)
        && query.is_none_or(query_is_plain);
    known.then_some((key.as_bytes(), query))
}

/// What stands for itself in a path segment (RFC 3986, section 3.3).
const fn is_plain_in_key(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b':' | b'@')
}

/// A decimal number that no two readers can take for different ones.
fn number(text: &[u8]) -> Option<usize> {
    /// Longer ones are no plain request's.
    const DIGITS_MAX: usize = 9;
    if text.is_empty() || text.len() > DIGITS_MAX {
        return None;
    }
    text.iter().try_fold(0, |number, byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        Some(number * 10 + usize::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: Option<Plain<'_>>) {
        assert_eq!(Plain::parse(text.as_bytes()), expect, "{text}");
    }

    fn put<'a>(
        key: &'a str,
        query: Option<&'a str>,
        ttl: Option<&'a str>,
        body: &'a str,
    ) -> Plain<'a> {
        Plain::Put {
            key: key.as_bytes(),
            query,
            x_ttl: ttl.map(str::as_bytes),
            length: body.len(),
            body: body.as_bytes(),
        }
    }

    #[test]
    fn what_clients_send_is_plain() {
        let get = |key: &'static str| {
            Some(Plain::Get {
                key: key.as_bytes(),
            })
        };
        check("GET /data/a HTTP/1.1\r\nHost: h\r\n\r\n", get("a"));
        check(
            "GET /v1/data/a.b:c@d HTTP/1.1\r\nhost:h\r\n\r\n",
            get("a.b:c@d"),
        );
        check("GET /cluster/get/a HTTP/1.1\r\nHost: h\r\n\r\n", get("a"));
        check(
            "GET /data/a HTTP/1.1\r\nHost: h:80\r\nUser-Agent: x/1 (y)\r\nAccept: */*\r\n\
             Connection: Keep-Alive\r\n\r\n",
            get("a"),
        );
        check(
            "PUT /data/a HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
            Some(put("a", None, None, "")),
        );
        check(
            "PUT /data/a?ttl=60 HTTP/1.1\r\nHost: h\r\nX-TTL: 7\r\nContent-Length: 3\r\n\r\nabc",
            Some(put("a", Some("ttl=60"), Some("7"), "abc")),
        );
    }

    #[test]
    fn a_large_body_may_come_later() {
        let check = |length: usize, here: usize, is_plain: bool| {
            let body = "b".repeat(here);
            let head = "PUT /data/a HTTP/1.1\r\nHost: h\r\nContent-Length:";
            let text = format!("{head} {length}\r\n\r\n{body}");
            let expect = is_plain.then_some(Plain::Put {
                key: b"a",
                query: None,
                x_ttl: None,
                length,
                body: body.as_bytes(),
            });
            assert_eq!(Plain::parse(text.as_bytes()), expect, "{here} of {length}");
        };
        check(PACKED_MAX, PACKED_MAX - 1, false);
        check(PACKED_MAX + 1, 0, true);
        check(PACKED_MAX + 1, PACKED_MAX, true);
        check(PACKED_MAX + 1, PACKED_MAX + 1, true);
        check(PACKED_MAX + 1, PACKED_MAX + 2, false);
        check(BODY_MAX, 7, true);
        check(BODY_MAX + 1, 7, false);
    }

    #[test]
    fn everything_else_is_left_to_hyper() {
        for head in [
            "",
            "G",
            "GET /data/a HTTP/1.1\r\nHost: h\r\n",
            "GET /data/a HTTP/1.0\r\nHost: h\r\n\r\n",
            "GET /data/a HTTP/1.1\r\n\r\n",
            "GET /data/a HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n",
            "GET /data/a HTTP/1.1\r\nHost: a b\r\n\r\n",
            "GET /data/a HTTP/1.1\r\nHost: h\r\n\r\nGET",
            "GET /data/a HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
            "GET /data/a HTTP/1.1\r\nHost: h\r\nOrigin: x\r\n\r\n",
            "GET /data/a HTTP/1.1\r\nHost: h\r\nIf-None-Match: *\r\n\r\n",
            "GET /data/a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
            "GET /data/a HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: ::1\r\n\r\n",
            "GET /data/a?x HTTP/1.1\r\nHost: h\r\n\r\n",
            "GET /data/ HTTP/1.1\r\nHost: h\r\n\r\n",
            "GET /data/a%20 HTTP/1.1\r\nHost: h\r\n\r\n",
            "GET /data/a/b HTTP/1.1\r\nHost: h\r\n\r\n",
            "GET /data/a#b HTTP/1.1\r\nHost: h\r\n\r\n",
            "GET http://h/data/a HTTP/1.1\r\nHost: h\r\n\r\n",
            "GET /keys HTTP/1.1\r\nHost: h\r\n\r\n",
            "GET /cluster/put/a HTTP/1.1\r\nHost: h\r\n\r\n",
            "HEAD /data/a HTTP/1.1\r\nHost: h\r\n\r\n",
            "POST /data/a HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
            "PUT /data/a HTTP/1.1\r\nHost: h\r\n\r\n",
            "PUT /data/a HTTP/1.1\r\nHost: h\r\nContent-Length: +3\r\n\r\nabc",
            "PUT /data/a HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nabc",
            "PUT /data/a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nabc",
            "PUT /data/a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
            "PUT /data/a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "PUT /data/a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n",
            "PUT /data/a HTTP/1.1\r\nHost: h\r\nIf-Match: *\r\nContent-Length: 0\r\n\r\n",
            "PUT /data/a?ttl=%31 HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
        ] {
            check(head, None);
        }
        let long = "k".repeat(super::super::bounds::KEY_MAX + 1);
        check(
            &format!("GET /data/{long} HTTP/1.1\r\nHost: h\r\n\r\n"),
            None,
        );
        let many = "Accept: a\r\n".repeat(FIELDS_MAX);
        check(
            &format!("GET /data/a HTTP/1.1\r\nHost: h\r\n{many}\r\n"),
            None,
        );
    }
}
