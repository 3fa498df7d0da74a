//! Answers.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Body as _;
use serde::Serialize;

/// The body of every answer: one piece, so that hyper writes head and body with one call.
pub(super) type Reply = Full<Bytes>;

pub(super) fn empty(status: StatusCode) -> Response<Reply> {
    let mut response = Response::new(Reply::default());
    *response.status_mut() = status;
    response
}

/// All of a body.
pub(super) fn whole(body: &Reply) -> Bytes {
    let mut context = Context::from_waker(Waker::noop());
    // It is one piece, or none, and never waits.
    match Pin::new(&mut body.clone()).poll_frame(&mut context) {
        Poll::Ready(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
        Poll::Ready(None) | Poll::Pending => Bytes::new(),
    }
}

/// Says how long the body is, which a HEAD request does not get; hyper says so by itself
/// for all bodies but empty ones.
pub(super) fn announce_length(response: &mut Response<Reply>) {
    let has_none = matches!(
        response.status(),
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
    );
    if let Some(length) = response.body().size_hint().exact().filter(|_| !has_none) {
        response
            .headers_mut()
            .insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
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
