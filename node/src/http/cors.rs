//! Cross-origin requests (Fetch standard, CORS protocol): any page may read and write.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ALLOW, ORIGIN,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use super::reply::{self, Reply};

/// Headers of answers that a page may read beside the harmless ones.
const EXPOSED: HeaderValue =
    HeaderValue::from_static("ETag, Retry-After, X-Created-At, X-Original-TTL, X-Remaining-TTL");
/// Headers that a page may send.
const ACCEPTED: HeaderValue = HeaderValue::from_static("Content-Type, If-None-Match, X-TTL");
/// A day: browsers keep it for two hours at most.
const MAX_AGE_S: HeaderValue = HeaderValue::from_static("86400");

/// Lets any page see an answer. There are no credentials that it could misuse.
pub(super) fn open(request: &HeaderMap, response: &mut HeaderMap) {
    response.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    if request.contains_key(ORIGIN) {
        response.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    }
}

/// The answer to OPTIONS on a path that is not for pages: a preflight gets no permission.
pub(super) fn closed_options(allow: &'static str) -> Response<Reply> {
    let mut response = reply::empty(StatusCode::NO_CONTENT);
    let headers = response.headers_mut();
    headers.insert(ALLOW, HeaderValue::from_static(allow));
    response
}

/// The answer to OPTIONS, a preflight or not.
pub(super) fn options(allow: &'static str) -> Response<Reply> {
    let mut response = closed_options(allow);
    let headers = response.headers_mut();
    headers.insert(
        ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static(allow),
    );
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, ACCEPTED);
    headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE_S);
    response
}
