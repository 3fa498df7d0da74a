//! Answers.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use serde::Serialize;

/// The body of every answer: one piece, so that hyper writes head and body with one call.
pub(super) type Reply = Full<Bytes>;

pub(super) fn empty(status: StatusCode) -> Response<Reply> {
    let mut response = Response::new(Reply::default());
    *response.status_mut() = status;
    response
}

pub(super) fn text(status: StatusCode, body: &'static str) -> Response<Reply> {
    bytes(
        status,
        "text/plain; charset=utf-8",
        Bytes::from_static(body.as_bytes()),
    )
}

pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response<Reply> {
    let body = serde_json::to_vec(body).expect("what we say of ourselves has text keys only");
    bytes(status, "application/json", Bytes::from(body))
}

pub(super) fn bytes(
    status: StatusCode,
    content_type: &'static str,
    body: Bytes,
) -> Response<Reply> {
    let mut response = Response::new(Reply::new(body));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
