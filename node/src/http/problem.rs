//! What went wrong, as RFC 9457 writes it.

use std::borrow::Cow;
use std::fmt::Write as _;

use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use repram_discovery::claim::conversation::Refusal;
use serde_json::json;

use super::bounds::{BODY_MAX, HEAD_MAX, HEADERS_MAX, RETRY_AFTER_S};
use super::key::KeyError;
use super::query::QueryError;

const CONTENT_TYPE_PROBLEM: &str = "application/problem+json";

/// Why a request is not done. The detail of each says what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    /// No endpoint has this path.
    NoSuchPath,
    /// The endpoint does not know this method; these it does.
    Method(&'static str),
    /// The path has no usable key.
    Key(KeyError),
    /// The query or X-TTL cannot be used.
    Query(QueryError),
    /// A write is to depend on what is there.
    ConditionalWrite,
    /// No such key, or its time is up.
    NoSuchKey,
    /// The body is too large.
    BodyTooLarge,
    /// The body came too slowly.
    BodyTimeout,
    /// The body ended early or was not framed as announced.
    BodyBroken,
    /// The head came too slowly.
    HeadTimeout,
    /// The head is too large.
    HeadTooLarge,
    /// The head is not HTTP/1.
    HeadMalformed,
    /// There is not exactly one Host field, or it names no host.
    Host,
    /// Too many requests from one address; again after this many seconds.
    TooManyRequests(u32),
    /// Too few holders of the key could tell.
    HoldersUnknown,
    /// Nobody could take the value.
    NoHolder,
    /// No room for the value.
    Full,
    /// Too many connections.
    TooManyConnections,
    /// A claimant's request is not taken.
    Refused(Refusal),
}

impl Problem {
    /// The status code.
    #[must_use]
    pub(super) const fn status(&self) -> StatusCode {
        match self {
            Self::NoSuchPath | Self::NoSuchKey => StatusCode::NOT_FOUND,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Key(_) | Self::Query(_) | Self::BodyBroken | Self::HeadMalformed | Self::Host => {
                StatusCode::BAD_REQUEST
            }
            Self::ConditionalWrite => StatusCode::NOT_IMPLEMENTED,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTimeout | Self::HeadTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::TooManyRequests(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::HoldersUnknown | Self::NoHolder | Self::TooManyConnections => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Full => StatusCode::INSUFFICIENT_STORAGE,
            Self::Refused(refusal) => match StatusCode::from_u16(refusal.status()) {
                Ok(status) => status,
                Err(_) => StatusCode::BAD_REQUEST,
            },
        }
    }

    /// One sentence that says what happened and what to do.
    #[must_use]
    pub(super) fn detail(&self) -> Cow<'static, str> {
        match self {
            Self::NoSuchPath => "nothing is served at this path; /openapi.json lists what is".into(),
            Self::Method(allow) => format!("this path takes {allow}").into(),
            Self::Key(error) => error.to_string().into(),
            Self::Query(error) => error.to_string().into(),
            Self::ConditionalWrite => {
                "conditional writes are not supported, nothing was stored; leave out If-Match and \
                 If-None-Match"
                    .into()
            }
            Self::NoSuchKey => "no value is kept under this key, or its time is up".into(),
            Self::BodyTooLarge => {
                format!("a value has at most {BODY_MAX} bytes; split it over several keys").into()
            }
            Self::BodyTimeout => "the body came too slowly; send it again".into(),
            Self::BodyBroken => {
                "the body did not come as announced by Content-Length or Transfer-Encoding".into()
            }
            Self::HeadTimeout => "the request's head came too slowly; send it again".into(),
            Self::HeadTooLarge => format!(
                "the request's head has at most {HEAD_MAX} bytes and {HEADERS_MAX} fields; send less"
            )
            .into(),
            Self::HeadMalformed => "this is not a well-formed HTTP/1.1 request".into(),
            Self::Host => "a request of HTTP/1.1 has one Host field that names a host".into(),
            Self::TooManyRequests(seconds) => {
                format!("this address sends too many requests; try again in {seconds} s").into()
            }
            Self::HoldersUnknown => {
                "too few nodes that may have it could be asked; try again in a moment".into()
            }
            Self::NoHolder => {
                "no node could take the value; nothing was stored, try again in a moment".into()
            }
            Self::Full => {
                "the store is full; try again when other values have ended, or raise \
                 REPRAM_MAX_STORAGE_MB"
                    .into()
            }
            Self::Refused(refusal) => refusal.to_string().into(),
            Self::TooManyConnections => {
                "this node has too many connections; try again in a moment, or another node".into()
            }
        }
    }

    const fn retry_after_s(&self) -> Option<u32> {
        match self {
            Self::TooManyRequests(seconds) => Some(*seconds),
            Self::Refused(refusal) => refusal.retry_after_s(),
            Self::HoldersUnknown | Self::NoHolder | Self::TooManyConnections => Some(RETRY_AFTER_S),
            Self::NoSuchPath
            | Self::Method(_)
            | Self::Key(_)
            | Self::Query(_)
            | Self::ConditionalWrite
            | Self::NoSuchKey
            | Self::BodyTooLarge
            | Self::BodyTimeout
            | Self::BodyBroken
            | Self::HeadTimeout
            | Self::HeadTooLarge
            | Self::HeadMalformed
            | Self::Host
            | Self::Full => None,
        }
    }

    /// Whether what follows on the connection cannot be trusted to be a request.
    #[must_use]
    pub(super) const fn ends_connection(&self) -> bool {
        match self {
            Self::BodyTooLarge
            | Self::BodyTimeout
            | Self::BodyBroken
            | Self::HeadTimeout
            | Self::HeadTooLarge
            | Self::HeadMalformed
            | Self::Host
            | Self::TooManyConnections
            | Self::Refused(Refusal::TooLong) => true,
            Self::NoSuchPath
            | Self::Method(_)
            | Self::Key(_)
            | Self::Query(_)
            | Self::ConditionalWrite
            | Self::NoSuchKey
            | Self::TooManyRequests(_)
            | Self::HoldersUnknown
            | Self::NoHolder
            | Self::Full
            | Self::Refused(_) => false,
        }
    }

    fn body(&self) -> Vec<u8> {
        let status = self.status();
        let body = json!({
            "type": "about:blank",
            "title": status.canonical_reason(),
            "status": status.as_u16(),
            "detail": self.detail(),
        });
        body.to_string().into_bytes()
    }

    /// The answer of a handler.
    #[must_use]
    pub(super) fn response(&self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(Bytes::from(self.body())));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE_PROBLEM));
        if let Some(seconds) = self.retry_after_s() {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Self::Method(allow) = self {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        if let Self::Refused(Refusal::Unsigned(_)) = self {
            let scheme = HeaderValue::from_static("Repram-Signature");
            headers.insert(WWW_AUTHENTICATE, scheme);
        }
        if self.ends_connection() {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// The answer on a connection where no request could be made out, and which is closed
    /// after it.
    #[must_use]
    pub(super) fn raw_response(&self) -> Vec<u8> {
        let status = self.status();
        let body = self.body();
        let mut head = format!(
            "HTTP/1.1 {} {}\r\ncontent-type: {CONTENT_TYPE_PROBLEM}\r\ncontent-length: {}\r\n\
             connection: close\r\n",
            status.as_u16(),
            status.canonical_reason().unwrap_or(""),
            body.len(),
        );
        if let Some(seconds) = self.retry_after_s() {
            let _ = write!(head, "retry-after: {seconds}\r\n");
        }
        head.push_str("\r\n");
        let mut response = head.into_bytes();
        response.extend_from_slice(&body);
        response
    }
}

impl From<KeyError> for Problem {
    fn from(error: KeyError) -> Self {
        Self::Key(error)
    }
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        Self::Query(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_raw_answer_is_a_whole_one() {
        let text = String::from_utf8(Problem::TooManyConnections.raw_response()).expect("is text");
        let (head, body) = text
            .split_once("\r\n\r\n")
            .expect("a head ends with an empty line");
        assert!(
            head.starts_with("HTTP/1.1 503 Service Unavailable\r\n"),
            "{head}"
        );
        assert!(head.contains("\r\nretry-after: 1"), "{head}");
        assert!(
            head.contains(&format!("\r\ncontent-length: {}\r\n", body.len())),
            "{head}"
        );
        let body: serde_json::Value = serde_json::from_str(body).expect("is JSON");
        assert_eq!(body["status"], 503);
        assert_eq!(body["title"], "Service Unavailable");
    }

    #[test]
    fn the_answer_says_what_to_do() {
        let response = Problem::Method("GET, HEAD, OPTIONS").response();
        assert_eq!(response.status(), 405);
        assert_eq!(response.headers()[ALLOW], "GET, HEAD, OPTIONS");
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        assert_eq!(
            Problem::TooManyRequests(7).response().headers()[RETRY_AFTER],
            "7"
        );
        assert_eq!(
            Problem::BodyTooLarge.response().headers()[CONNECTION],
            "close"
        );
    }
}
