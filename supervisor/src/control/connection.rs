//! One connection: one request, and its answer.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::api::problem_response;
use super::body::Content;
use super::patience::Patient;
use super::problem::Problem;

/// How long a client may take for the head of its request, and as long again for its body.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a client may take nothing of its answer, before it is cut off.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes of the head of a request.
const HEAD_MAX: usize = 16 << 10;

/// Bytes of the body of a request. No call looks at it: everything stands in the query.
const BODY_MAX: usize = 64 << 10;

/// Bytes of a larger body that are read all the same, so that the client hears why it is
/// refused.
const BODY_TAKEN: usize = 1 << 20;

/// Serves the one request of a connection.
pub(super) async fn serve<I, F>(stream: I, answer: impl Fn(Request<()>) -> F)
where
    I: AsyncRead + AsyncWrite + Unpin,
    F: Future<Output = Response<Content>>,
{
    let service = service_fn(|request: Request<Incoming>| async {
        let (head, body) = request.into_parts();
        let response = match take_in(body).await {
            Ok(()) => answer(Request::from_parts(head, ())).await,
            Err(problem) => problem_response(&problem),
        };
        Ok::<_, Infallible>(response)
    });
    let stream = Patient::new(stream, WRITE_TIMEOUT);
    // An error is a client that went away, was too slow or does not speak HTTP.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(READ_TIMEOUT)
        .max_buf_size(HEAD_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// Reads the body and forgets it. What is left unread when a connection is closed makes the
/// kernel reset it, and the client may lose its answer (RFC 9112, section 9.6).
async fn take_in(body: Incoming) -> Result<(), Problem> {
    let mut body = Limited::new(body, BODY_TAKEN);
    let all = async {
        let mut length = 0;
        while let Some(frame) = body.frame().await {
            length += frame?.data_ref().map_or(0, Bytes::len);
        }
        Ok(length)
    };
    let too_slow = || {
        let detail = format!("the body did not come within {READ_TIMEOUT:?}; send none");
        Problem::new(StatusCode::REQUEST_TIMEOUT, detail)
    };
    let too_long = || {
        let detail = format!(
            "a body of more than {BODY_MAX} bytes; send none: all parameters stand in the query"
        );
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
    };
    let taken = timeout(READ_TIMEOUT, all).await.map_err(|_| too_slow())?;
    match taken {
        Ok(length) if length <= BODY_MAX => Ok(()),
        Ok(_) => Err(too_long()),
        Err::<_, Box<dyn std::error::Error + Send + Sync>>(error) => {
            Err(if error.is::<LengthLimitError>() {
                too_long()
            } else {
                Problem::bad_request(format!("the body cannot be read: {error}"))
            })
        }
    }
}
