//! The calls of the API.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use super::body::Content;
use super::problem::Problem;
use super::query::Query;
use super::request::{Health, REQUESTS_MAX, Request, StopReply};
use super::route::Route;
use super::stream::{self, LiveEvents, Place, Shown};
use crate::event::{Event, EventKind};
use crate::logs::{FOLLOWERS_MAX, Logs};
use crate::status::FleetStatus;

/// How long the event loop, or a disk that is asked for the files' lengths, may take.
const REPLY_TIMEOUT: Duration = Duration::from_secs(5);

/// Scrapes of metrics at one time; each holds a page of every node.
const SCRAPES_MAX: usize = 2;

/// How much of what all clients share one way in may take at one time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shares {
    /// Clients for whom files are read; each keeps a thread and a disk busy.
    pub(crate) readers: usize,
    /// Clients that follow lines or events.
    pub(crate) followers: usize,
    /// Questions that wait for the event loop.
    pub(crate) questions: usize,
}

impl Shares {
    /// Of the machine's own users: everything that there is.
    pub(crate) const SOCKET: Self = Self {
        readers: 4,
        followers: 2 * FOLLOWERS_MAX,
        questions: REQUESTS_MAX,
    };

    /// Of the network: about half, so that whoever is there cannot shut out the operator.
    pub(crate) const NETWORK: Self = Self {
        readers: 2,
        followers: FOLLOWERS_MAX / 2,
        questions: REQUESTS_MAX / 2,
    };
}

/// Answers calls. Clones share everything.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    logs: Logs,
    requests: mpsc::Sender<Request>,
    pub(super) readers: Arc<Semaphore>,
    followers: Arc<Semaphore>,
    questions: Arc<Semaphore>,
    pub(super) scrapes: Arc<Semaphore>,
}

/// Who calls.
#[derive(Clone, Debug)]
pub(crate) enum Caller {
    /// Somebody on this machine, by the control socket.
    Process {
        /// The process, as the kernel tells it.
        pid: Option<i32>,
    },
    /// Somebody by ADMIN_ADDR.
    Network {
        /// Where from.
        peer: SocketAddr,
    },
}

impl Caller {
    /// Who it is, for people.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Process { pid: Some(pid) } => format!("pid {pid} over the control socket"),
            Self::Process { pid: None } => "the control socket".to_owned(),
            Self::Network { peer } => format!("{peer} over ADMIN_ADDR"),
        }
    }
}

pub(super) type Answer = Result<Response<Content>, Problem>;

impl Api {
    pub(crate) fn new(logs: Logs, requests: mpsc::Sender<Request>, shares: Shares) -> Self {
        let places = |number| Arc::new(Semaphore::new(number));
        Self {
            logs,
            requests,
            readers: places(shares.readers),
            followers: places(shares.followers),
            questions: places(shares.questions),
            scrapes: places(SCRAPES_MAX),
        }
    }

    /// Answers a call.
    pub(crate) async fn answer<B>(
        &self,
        request: &http::Request<B>,
        caller: &Caller,
    ) -> Response<Content> {
        let result = self.call(request, caller).await;
        result.unwrap_or_else(|problem| problem_response(&problem))
    }

    async fn call<B>(&self, request: &http::Request<B>, caller: &Caller) -> Answer {
        let mut query = Query::parse(request.uri().query())?;
        match Route::find(request.method(), request.uri().path())? {
            Route::Status => {
                query.finish()?;
                Ok(json(StatusCode::OK, &self.status().await?))
            }
            Route::Health => {
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
            Route::Claims => {
                query.finish()?;
                let claims = self.ask(|reply| Request::Claims { reply }).await?;
                Ok(json(StatusCode::OK, &claims))
            }
            Route::Metrics => {
                let nodes = query.switch("nodes", false)?;
                query.finish()?;
                self.metrics(nodes, request.headers()).await
            }
            Route::Reload => self.reload(query, caller).await,
            Route::Stop => self.stop(query, caller).await,
            Route::Restart => self.restart(query, caller).await,
            Route::EndRolling => self.end_rolling(query, caller).await,
            Route::Scale => self.scale(query, caller).await,
            Route::Logs => self.lines(query).await,
            Route::Rotate => self.rotate(query).await,
            Route::LogStats => {
                query.finish()?;
                Ok(json(StatusCode::OK, &self.logs.stats()))
            }
            Route::Events => {
                let follow = query.switch("follow", false)?;
                query.finish()?;
                self.events(follow).await
            }
        }
    }

    pub(super) async fn status(&self) -> Result<FleetStatus, Problem> {
        self.ask(|reply| Request::Status { reply }).await
    }

    /// Puts a question to the event loop.
    pub(super) async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<T>) -> Request,
    ) -> Result<T, Problem> {
        let _place = self
            .questions
            .try_acquire()
            .map_err(|_| busy("the supervisor"))?;
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
            self.follow_events().await.ok()
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

    pub(super) fn logs(&self) -> &Logs {
        &self.logs
    }

    pub(super) fn follower(&self, doing: &str) -> Result<Place, Problem> {
        let followers = Arc::clone(&self.followers);
        followers.try_acquire_owned().map_err(|_| too_many(doing))
    }

    /// The last events, and those that come.
    pub(super) async fn follow_events(&self) -> Result<(Vec<Arc<Event>>, LiveEvents), Problem> {
        let doing = "follow events";
        let place = self.follower(doing)?;
        let following = soon(self.logs.follow_events(), "the supervisor").await?;
        let (recent, events) = following.ok_or_else(|| too_many(doing))?;
        Ok((recent, LiveEvents { events, place }))
    }

    async fn events(&self, follow: bool) -> Answer {
        let content_of = |pieces| content(StatusCode::OK, JSON_LINES, pieces);
        if !follow {
            let events = soon(self.logs.recent_events(), "the supervisor").await?;
            return Ok(content_of(Content::Whole(Some(stream::json_lines(
                &events,
            )))));
        }
        let (recent, live) = self.follow_events().await?;
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
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

pub(super) fn problem_response(problem: &Problem) -> Response<Content> {
    let status = problem.status();
    let mut response = content(status, "application/problem+json", Content::json(problem));
    let headers = response.headers_mut();
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    if let Some(allow) = &problem.allow {
        // The name of a method can stand in a header.
        headers.extend(HeaderValue::from_str(allow.as_str()).map(|allow| (ALLOW, allow)));
    }
    if let Some(challenge) = problem.challenge {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    response
}
