//! Writing and reading one value.

use http::header::{CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Response, StatusCode};

use super::api::Api;
use super::connection::Upload;
use super::reply::{self, Reply};
use super::{body, describe, key, problem::Problem};
use crate::clock;
use crate::cluster::{GetOutcome, PutOutcome};

const X_TTL: HeaderName = HeaderName::from_static("x-ttl");
const OCTET_STREAM: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// `GET`, `HEAD` and `PUT` of a key.
pub(super) async fn answer(
    api: &Api,
    head: &Parts,
    segment: &str,
    body: &mut Upload,
) -> Result<Response<Reply>, Problem> {
    if head.method == Method::PUT {
        put(api, head, segment, body).await
    } else {
        get(api, head, segment).await
    }
}

async fn put(
    api: &Api,
    head: &Parts,
    segment: &str,
    body: &mut Upload,
) -> Result<Response<Reply>, Problem> {
    // Written all the same, it would overwrite what the client wants to keep.
    if [IF_MATCH, IF_NONE_MATCH]
        .iter()
        .any(|condition| head.headers.contains_key(condition))
    {
        return Err(Problem::ConditionalWrite);
    }
    let key = key::decode(segment)?;
    let headers = head.headers.get_all(X_TTL).iter();
    let ttl_s = api
        .ttl
        .of(head.uri.query(), headers.map(HeaderValue::as_bytes))?;
    let received = body::receive(body, &api.store).await?;
    let outcome = api.cluster.put(key, received.bytes, ttl_s).await;
    drop(received.reservation);
    put_answer(outcome)
}

/// The answer to a write that has ended so.
pub(super) fn put_answer(outcome: PutOutcome) -> Result<Response<Reply>, Problem> {
    match outcome {
        PutOutcome::Acknowledged => Ok(reply::text(StatusCode::CREATED, "OK")),
        PutOutcome::Pending => Ok(reply::text(
            StatusCode::ACCEPTED,
            "Accepted (quorum pending)",
        )),
        PutOutcome::Full => Err(Problem::Full),
        PutOutcome::Unavailable => Err(Problem::NoHolder),
    }
}

async fn get(api: &Api, head: &Parts, segment: &str) -> Result<Response<Reply>, Problem> {
    let key = key::decode(segment)?;
    let entry = match api.cluster.get(&key).await {
        GetOutcome::Found(entry) => entry,
        GetOutcome::Missing => return Err(Problem::NoSuchKey),
        GetOutcome::Unknown => return Err(Problem::HoldersUnknown),
    };
    let known = describe::is_known(&head.headers, &entry);
    let mut response = if known {
        reply::empty(StatusCode::NOT_MODIFIED)
    } else {
        let mut response = Response::new(Reply::new(entry.value.clone()));
        response.headers_mut().insert(CONTENT_TYPE, OCTET_STREAM);
        response
    };
    describe::describe(&entry, clock::boot_now(), response.headers_mut());
    Ok(response)
}
