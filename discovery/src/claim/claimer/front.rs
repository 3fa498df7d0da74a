//! What is answered on the HTTP socket of a slot on which no node runs.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Incoming as IncomingBody};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::http::request::Parts;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};

use super::config::About;
use super::fronts::Incoming;
use super::view::SlotView;
use crate::auth::SIGNATURE_HEADER;
use crate::claim::conversation::{
    ANSWER_TIME_MAX, Answer, Desk, Kind, Posted, REQUEST_MAX, Refusal, sign_answer,
};
use crate::peers::{Health, HealthStatus, Peers, UnixMillis};
use crate::rate::RateLimiter;

/// How long a client may take over the head of its request.
const HEAD_TIME: Duration = Duration::from_secs(2);

/// How long a connection may last: the head, the body, and the longest answer.
const VISIT_TIME: Duration = Duration::from_secs(8);

/// Bytes of a request's head, at most; more than hyper's floor, less than its default.
const HEAD_MAX: usize = 16 * 1024;

/// What Retry-After says where a node may run soon: about [`crate::claim::core::CLAIM_SETTLE`].
const RETRY_AFTER_S: u32 = 2;

/// What connections to one slot have in common.
#[derive(Clone)]
pub(super) struct Counter {
    /// Index of the slot.
    pub(super) slot: u16,
    pub(super) desk: Arc<Desk>,
    pub(super) limiter: Arc<Mutex<RateLimiter>>,
    pub(super) inbox: mpsc::Sender<Incoming>,
    pub(super) about: Arc<About>,
    pub(super) began: Instant,
}

/// One visitor.
struct Visit {
    counter: Counter,
    client: IpAddr,
}

type Reply = Response<Full<Bytes>>;

/// Serves one connection with one request to its end, within bounds of time and size.
pub(super) async fn serve(stream: TcpStream, client: IpAddr, counter: Counter) {
    let visit = Visit { counter, client };
    let service = service_fn(|request| async { Ok::<_, Infallible>(visit.answer(request).await) });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_MAX)
        // A node may listen here a moment later: nobody is to keep a connection to us.
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    if let Ok(Err(error)) = timeout(VISIT_TIME, connection).await {
        tracing::debug!(%client, %error, "a visitor of a claimed port went away");
    }
}

impl Visit {
    async fn answer(&self, request: Request<IncomingBody>) -> Reply {
        let (head, body) = request.into_parts();
        let path = head.uri.path();
        let path = match path.strip_prefix("/v1") {
            Some(rest) if rest.starts_with('/') => rest,
            _ => path,
        };
        if let Some(kind) = Kind::of_path(path) {
            return match self.post(kind, &head, body).await {
                Ok(reply) => reply,
                Err(problem) => problem,
            };
        }
        let reading = [Method::GET, Method::HEAD].contains(&head.method);
        match path {
            "/health" if reading => self.health().await,
            "/peers" if reading => self.peers().await,
            _ => not_yet(),
        }
    }

    async fn post<B>(&self, kind: Kind, head: &Parts, body: B) -> Result<Reply, Reply>
    where
        B: Body<Data = Bytes>,
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        if head.method != Method::POST {
            let mut reply = problem(StatusCode::METHOD_NOT_ALLOWED, "this path takes POST", None);
            reply
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static("POST"));
            return Err(reply);
        }
        let refused = |refusal: Refusal| refusal_reply(&refusal);
        self.admit().map_err(refused)?;
        let body = Limited::new(body, REQUEST_MAX).collect().await;
        let body = body.map_err(|_| refused(Refusal::TooLong))?.to_bytes();
        let signature = head.headers.get(SIGNATURE_HEADER);
        let signature = signature.and_then(|value| value.to_str().ok());
        let posted = Posted {
            kind,
            path: head.uri.path_and_query().map_or("/", |path| path.as_str()),
            signature,
            body: &body,
            client: self.client,
        };
        let heard = self.counter.desk.hear(posted).await.map_err(refused)?;
        let (reply, answer) = oneshot::channel();
        let incoming = Incoming::Heard {
            at: self.counter.slot,
            kind,
            heard,
            reply,
        };
        let answer: Answer = self.ask(incoming, answer).await.ok_or_else(not_yet)?;
        let body = answer.body();
        let keys = self.counter.desk.keys();
        let sealed = keys
            .zip(signature)
            .map(|(keys, question)| sign_answer(keys, posted.path, question, &body));
        let mut reply = json(StatusCode::OK, body);
        if let Some(sealed) = sealed {
            let sealed = HeaderValue::from_str(&sealed).expect("a signature is ASCII");
            reply.headers_mut().insert(SIGNATURE_HEADER, sealed);
        }
        Ok(reply)
    }

    fn admit(&self) -> Result<(), Refusal> {
        let limiter = self.counter.limiter.lock();
        let mut limiter = limiter.unwrap_or_else(PoisonError::into_inner);
        Ok(limiter.admit(self.client, self.counter.began.elapsed())?)
    }

    async fn health(&self) -> Reply {
        let Some(view) = self.view().await else {
            return not_yet();
        };
        let About {
            domain,
            network,
            enclave,
        } = (*self.counter.about).clone();
        let health = Health {
            status: HealthStatus::Claiming,
            node_id: view.node_id,
            uuid: view.claim.uuid,
            generation: view.generation,
            port: view.claim.port,
            uptime: self.counter.began.elapsed().as_secs(),
            domain,
            network,
            enclave,
            discovery_enabled: true,
            active_peers: 0,
            claim: Some(view.claim),
        };
        let body = serde_json::to_vec(&health).expect("health is plain data");
        retry_later(json(StatusCode::SERVICE_UNAVAILABLE, body), RETRY_AFTER_S)
    }

    async fn peers(&self) -> Reply {
        let Some(view) = self.view().await else {
            return not_yet();
        };
        let peers = Peers {
            peers: Vec::new(),
            claimed_ports: view.claimed_ports,
            last_updated: UnixMillis::now(),
        };
        json(
            StatusCode::OK,
            serde_json::to_vec(&peers).expect("a list is plain data"),
        )
    }

    async fn view(&self) -> Option<SlotView> {
        let (reply, view) = oneshot::channel();
        let at = self.counter.slot;
        self.ask(Incoming::Asked { at, reply }, view).await
    }

    /// Hands something to the claimer. Nothing comes back when it does not hold the slot
    /// any more, or is gone.
    async fn ask<T>(&self, incoming: Incoming, answer: oneshot::Receiver<T>) -> Option<T> {
        self.counter.inbox.send(incoming).await.ok()?;
        timeout(ANSWER_TIME_MAX, answer).await.ok()?.ok()
    }
}

fn not_yet() -> Reply {
    let detail = "this port is claimed and no node runs here now; try again in a moment, or \
                  another node";
    problem(StatusCode::SERVICE_UNAVAILABLE, detail, Some(RETRY_AFTER_S))
}

fn refusal_reply(refusal: &Refusal) -> Reply {
    let status = StatusCode::from_u16(refusal.status()).expect("refusals have known statuses");
    let mut reply = problem(status, &refusal.to_string(), refusal.retry_after_s());
    if status == StatusCode::UNAUTHORIZED {
        let scheme = HeaderValue::from_static("Repram-Signature");
        reply.headers_mut().insert(WWW_AUTHENTICATE, scheme);
    }
    reply
}

/// A problem as RFC 9457 writes it.
fn problem(status: StatusCode, detail: &str, retry_after_s: Option<u32>) -> Reply {
    let body = serde_json::json!({
        "type": "about:blank",
        "title": status.canonical_reason(),
        "status": status.as_u16(),
        "detail": detail,
    });
    let mut reply = json(status, body.to_string().into_bytes());
    let kind = HeaderValue::from_static("application/problem+json");
    reply.headers_mut().insert(CONTENT_TYPE, kind);
    match retry_after_s {
        Some(seconds) => retry_later(reply, seconds),
        None => reply,
    }
}

fn retry_later(mut reply: Reply, seconds: u32) -> Reply {
    reply.headers_mut().insert(RETRY_AFTER, seconds.into());
    reply
}

fn json(status: StatusCode, body: Vec<u8>) -> Reply {
    let mut reply = Response::new(Full::new(Bytes::from(body)));
    *reply.status_mut() = status;
    let kind = HeaderValue::from_static("application/json");
    reply.headers_mut().insert(CONTENT_TYPE, kind);
    reply
}
