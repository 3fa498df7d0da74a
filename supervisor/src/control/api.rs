//! The calls of the API.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Method, Response, StatusCode};
use serde::Serialize;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use super::body::Content;
use super::problem::Problem;
use super::query::Query;
use super::request::{Health, Request, StopReply};
use super::stream::{self, Shown};
use crate::event::{Event, EventKind};
use crate::logs::Logs;
use crate::status::FleetStatus;

/// How long the event loop, or a disk that is asked for the files' lengths, may take.
const REPLY_TIMEOUT: Duration = Duration::from_secs(5);

/// Clients for whom files are read at one time; each keeps a thread and a disk busy.
const READERS_MAX: usize = 4;

/// Everything that there is, for the answer to a call that there is not.
const CALLS: &str = "GET /status, GET /health, GET /claims, POST /stop, POST /restart, POST /restart/abort, POST \
     /scale, POST /reload, GET /logs, GET /logs/stats, POST /logs/rotate, GET /events";

/// Answers calls. Clones share everything.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    logs: Logs,
    requests: mpsc::Sender<Request>,
    pub(super) readers: Arc<Semaphore>,
}

/// Who calls.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// The process, as the kernel tells it.
    pub(crate) pid: Option<i32>,
}

impl Caller {
    /// Who it is, for people.
    pub(super) fn text(&self) -> String {
        match self.pid {
            Some(pid) => format!("pid {pid} over the control socket"),
            None => "the control socket".to_owned(),
        }
    }
}

pub(super) type Answer = Result<Response<Content>, Problem>;

impl Api {
    pub(crate) fn new(logs: Logs, requests: mpsc::Sender<Request>) -> Self {
        Self {
            logs,
            requests,
            readers: Arc::new(Semaphore::new(READERS_MAX)),
        }
    }

    /// Answers a call.
    pub(crate) async fn answer<B>(
        &self,
        request: &http::Request<B>,
        caller: &Caller,
    ) -> Response<Content> {
        let result = self.call(request, caller).await;
        let mut response = result.unwrap_or_else(|problem| problem_response(&problem));
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }

    async fn call<B>(&self, request: &http::Request<B>, caller: &Caller) -> Answer {
        let mut query = Query::parse(request.uri().query())?;
        let path = request.uri().path();
        match (request.method(), path) {
            (&Method::GET, "/status") => {
                query.finish()?;
                Ok(json(StatusCode::OK, &self.status().await?))
            }
            (&Method::GET, "/health") => {
                query.finish()?;
                let health = Health::from(&self.status().await?);
                let yes = health.healthy;
                let status = if yes {
                    StatusCode::OK
                } else {
                    StatusCode::SERVICE_UNAVAILABLE
                };
                Ok(json(status, &health))
            }
            (&Method::GET, "/claims") => {
                query.finish()?;
                let claims = self.ask(|reply| Request::Claims { reply }).await?;
                Ok(json(StatusCode::OK, &claims))
            }
            (&Method::POST, "/reload") => self.reload(query, caller).await,
            (&Method::POST, "/stop") => self.stop(query, caller).await,
            (&Method::POST, "/restart") => self.restart(query, caller).await,
            (&Method::POST, "/restart/abort") => self.end_rolling(query, caller).await,
            (&Method::POST, "/scale") => self.scale(query, caller).await,
            (&Method::GET, "/logs") => self.lines(query).await,
            (&Method::GET, "/logs/stats") => {
                query.finish()?;
                Ok(json(StatusCode::OK, &self.logs.stats()))
            }
            (&Method::POST, "/logs/rotate") => self.rotate(query).await,
            (&Method::GET, "/events") => {
                let follow = query.switch("follow", false)?;
                query.finish()?;
                self.events(follow).await
            }
            (_, "/status" | "/health" | "/claims" | "/logs" | "/logs/stats" | "/events") => {
                Err(Problem::method_not_allowed("GET"))
            }
            (
                _,
                "/stop" | "/restart" | "/restart/abort" | "/scale" | "/reload" | "/logs/rotate",
            ) => Err(Problem::method_not_allowed("POST")),
            _ => Err(Problem::new(
                StatusCode::NOT_FOUND,
                format!("there is no {path} here; there are {CALLS}"),
            )),
        }
    }

    pub(super) fn logs(&self) -> &Logs {
        &self.logs
    }

    pub(super) async fn status(&self) -> Result<FleetStatus, Problem> {
        self.ask(|reply| Request::Status { reply }).await
    }

    /// Puts a question to the event loop.
    pub(super) async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<T>) -> Request,
    ) -> Result<T, Problem> {
        let (reply, answer) = oneshot::channel();
        self.requests
            .try_send(request(reply))
            .map_err(|_| busy("the supervisor"))?;
        soon(answer, "the supervisor")
            .await?
            .map_err(|_| busy("the supervisor"))
    }

    async fn stop(&self, mut query: Query, caller: &Caller) -> Answer {
        let now = query.switch("now", false)?;
        let wait = query.switch("wait", true)?;
        query.finish()?;
        // Before the order, so that no event of the stop is missed. When there are too many
        // followers, the order counts more than watching it.
        let following = if wait {
            self.logs.follow_events().await
        } else {
            None
        };
        let by = caller.text();
        let reply = self.ask(|reply| Request::Stop { now, by, reply }).await?;
        let Some((_, live)) = following else {
            let started = reply == StopReply::Started;
            return Ok(json(
                StatusCode::ACCEPTED,
                &serde_json::json!({ "started": started }),
            ));
        };
        let last = |event: &Event| match event.kind {
            EventKind::FleetStopped { .. } => Shown::Last,
            _ => Shown::Yes,
        };
        let pieces = stream::events(Vec::new(), live, last);
        Ok(content(
            StatusCode::ACCEPTED,
            JSON_LINES,
            Content::Stream(pieces),
        ))
    }

    async fn events(&self, follow: bool) -> Answer {
        let content_of = |pieces| content(StatusCode::OK, JSON_LINES, pieces);
        if !follow {
            let events = soon(self.logs.recent_events(), "the supervisor").await?;
            return Ok(content_of(Content::Whole(Some(stream::json_lines(
                &events,
            )))));
        }
        let (recent, live) = soon(self.logs.follow_events(), "the supervisor")
            .await?
            .ok_or_else(|| too_many("follow events"))?;
        Ok(content_of(Content::Stream(stream::events(
            recent,
            live,
            |_| Shown::Yes,
        ))))
    }
}

/// JSON objects, one per line.
pub(super) const JSON_LINES: &str = "application/x-ndjson";

/// Waits for an answer, but not for ever.
pub(super) async fn soon<T>(answer: impl Future<Output = T>, of: &str) -> Result<T, Problem> {
    timeout(REPLY_TIMEOUT, answer).await.map_err(|_| busy(of))
}

fn busy(who: &str) -> Problem {
    Problem::unavailable(format!("{who} is busy; try again in a moment"))
}

pub(super) fn too_many(doing: &str) -> Problem {
    Problem::unavailable(format!("too many others {doing} now; try again later"))
}

pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response<Content> {
    content(status, "application/json", Content::json(value))
}

pub(super) fn content(status: StatusCode, kind: &'static str, body: Content) -> Response<Content> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn problem_response(problem: &Problem) -> Response<Content> {
    let status = problem.status();
    let mut response = content(status, "application/problem+json", Content::json(problem));
    let headers = response.headers_mut();
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    if let Some(allow) = problem.allow {
        headers.insert(ALLOW, HeaderValue::from_static(allow));
    }
    response
}
