//! The API: from a parsed request to its answer.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::header::HOST;
use http::request::Parts;
use http::{HeaderMap, Method, Response, StatusCode, Uri, Version};
use repram_config::ClaimScope;
use repram_discovery::claim::conversation::Kind;

use super::bounds::{HEAD_MAX, HEADERS_MAX};
use super::connection::{Handler, Upload};
use super::conversation::Conversation;
use super::problem::Problem;
use super::query::TtlBounds;
use super::rate::{RateLimiter, forwarded_for};
use super::reply::{self, Reply};
use super::route::{self, Endpoint, Route};
use super::shortcut::{Receiving, Taken, Waiting};
use super::{Lifecycle, Stage, cors, data, keys, openapi, views};
use crate::clock::{self, BootMillis};
use crate::cluster::{Cluster, Me, PutOutcome};
use crate::metrics::{MethodLabel, Observation, RequestMetrics};
use crate::store::Store;

const X_FORWARDED_FOR: &str = "x-forwarded-for";

/// What the API is told of the node it speaks for.
#[derive(Clone, Debug)]
pub struct ApiConfig {
    /// Who the node is.
    pub me: Me,
    /// The port that it serves HTTP on.
    pub port: u16,
    /// Whether it looks for peers by itself.
    pub discovery_enabled: bool,
    /// Among whom ports are unique.
    pub claim_scope: ClaimScope,
    /// Bounds of times to live.
    pub ttl: TtlBounds,
    /// Data requests per second and client address; none is no limit.
    pub rate_limit: Option<NonZeroU32>,
    /// Whether X-Forwarded-For says who the client is.
    pub trust_proxy: bool,
}

/// The API of one node, shared by all its connections.
pub struct Api {
    pub(super) me: Me,
    pub(super) port: u16,
    pub(super) discovery_enabled: bool,
    pub(super) claim_scope: ClaimScope,
    pub(super) ttl: TtlBounds,
    pub(super) cluster: Cluster,
    /// For its counts and its limit only: values go through the cluster.
    pub(super) store: Arc<Store>,
    pub(super) lifecycle: Arc<Lifecycle>,
    pub(super) conversation: Conversation,
    pub(super) metrics: Arc<RequestMetrics>,
    pub(super) started: BootMillis,
    pub(super) started_unix_ms: u64,
    limiter: Option<RateLimiter>,
    trust_proxy: bool,
}

impl Api {
    /// An API over `cluster`.
    #[must_use]
    pub fn new(
        config: ApiConfig,
        cluster: Cluster,
        store: Arc<Store>,
        lifecycle: Arc<Lifecycle>,
        conversation: Conversation,
        metrics: Arc<RequestMetrics>,
    ) -> Self {
        Self {
            me: config.me,
            port: config.port,
            discovery_enabled: config.discovery_enabled,
            claim_scope: config.claim_scope,
            ttl: config.ttl,
            cluster,
            store,
            lifecycle,
            conversation,
            metrics,
            started: clock::boot_now(),
            started_unix_ms: clock::unix_now_ms(),
            limiter: config.rate_limit.map(RateLimiter::new),
            trust_proxy: config.trust_proxy,
        }
    }

    async fn answer(
        &self,
        head: &Parts,
        found: Option<(&'static Endpoint, &str)>,
        client: IpAddr,
        body: &mut Upload,
    ) -> Result<Response<Reply>, Problem> {
        check_head(head)?;
        let Some((endpoint, segment)) = found else {
            return if head.method == Method::OPTIONS && head.uri == Uri::from_static("*") {
                Ok(cors::options(route::ENDPOINTS[0].allow))
            } else {
                Err(Problem::NoSuchPath)
            };
        };
        if head.method == Method::OPTIONS {
            return Ok(if endpoint.route.is_open_to_pages() {
                cors::options(endpoint.allow)
            } else {
                cors::closed_options(endpoint.allow)
            });
        }
        if !endpoint.methods.contains(&head.method) {
            return Err(Problem::Method(endpoint.allow));
        }
        match endpoint.route {
            Route::Data => data::answer(self, head, segment, body).await,
            Route::Keys => keys::answer(self, head.uri.query()).await,
            Route::Health => Ok(views::health(self)),
            Route::Live => Ok(reply::text(StatusCode::OK, "alive")),
            Route::Peers => Ok(views::peers(self)),
            Route::Topology => Ok(views::topology(self)),
            Route::Status => Ok(views::status(self)),
            Route::Metrics => Ok(views::metrics(self)),
            Route::OpenApi => Ok(openapi::answer()),
            Route::DiscoveryHealth => Ok(views::discovery_health(self)),
            Route::PeerAnnounce => self.hear(Kind::Announce, head, client, body).await,
            Route::PeerLeaving => self.hear(Kind::Leave, head, client, body).await,
            Route::ConflictResolution => self.hear(Kind::Conflict, head, client, body).await,
        }
    }

    async fn hear(
        &self,
        kind: Kind,
        head: &Parts,
        client: IpAddr,
        body: &mut Upload,
    ) -> Result<Response<Reply>, Problem> {
        self.conversation.answer(kind, head, client, body).await
    }

    /// Counts a request of `client`, if it may ask for something now; otherwise nothing is
    /// counted.
    pub(super) fn admit(&self, client: IpAddr, now_ns: u64) -> Option<()> {
        match &self.limiter {
            // Who the client is then stands in a field that is looked at elsewhere.
            Some(_) if self.trust_proxy => None,
            Some(limiter) => limiter.admit(client, now_ns).ok(),
            None => Some(()),
        }
    }

    fn limit(&self, head: &Parts, client: IpAddr, now_ns: u64) -> Result<(), Problem> {
        let Some(limiter) = &self.limiter else {
            return Ok(());
        };
        let client = if self.trust_proxy {
            let lines = head.headers.get_all(X_FORWARDED_FOR);
            let last = lines.iter().next_back();
            last.and_then(|line| forwarded_for(line.as_bytes()))
                .unwrap_or(client)
        } else {
            client
        };
        limiter.admit(client, now_ns).map_err(|seconds| {
            self.metrics.rate_limited.fetch_add(1, Ordering::Relaxed);
            Problem::TooManyRequests(seconds)
        })
    }
}

/// The bounds of a head, below those at which hyper gives up, and its Host.
fn check_head(head: &Parts) -> Result<(), Problem> {
    let fields = |headers: &HeaderMap| -> usize {
        headers
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len() + 4)
            .sum()
    };
    let target = |uri: &Uri| uri.path().len() + uri.query().map_or(0, str::len);
    if head.headers.len() > HEADERS_MAX || fields(&head.headers) + target(&head.uri) > HEAD_MAX {
        return Err(Problem::HeadTooLarge);
    }
    // A target that is neither a path nor a whole URI (RFC 9112, section 3.2) can only be
    // meant for a proxy.
    if head.uri.scheme().is_none()
        && head.uri.authority().is_some()
        && head.method != Method::CONNECT
    {
        return Err(Problem::HeadMalformed);
    }
    check_host(head)
}

/// RFC 9112, section 3.2: a request of HTTP/1.1 names its host in exactly one field, and
/// must be refused when it does not, because whoever stands between us and the client may
/// have taken it for a request to another host. Which host is named makes no difference here.
fn check_host(head: &Parts) -> Result<(), Problem> {
    if head.version != Version::HTTP_11 {
        return Ok(());
    }
    let mut hosts = head.headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(Problem::Host);
    };
    is_host(host.as_bytes()).then_some(()).ok_or(Problem::Host)
}

/// Whether the value of a Host field can name one.
pub(super) fn is_host(value: &[u8]) -> bool {
    let is_foreign = |byte: &u8| !byte.is_ascii_graphic() || b"/?#@,\\\"<>".contains(byte);
    !value.iter().any(is_foreign)
}

/// The API as one client on one worker uses it.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) api: Arc<Api>,
    pub(super) worker: usize,
    pub(super) client: IpAddr,
}

impl Handler for Session {
    async fn handle(&self, head: Parts, body: &mut Upload) -> Response<Reply> {
        let api = &*self.api;
        let started_ns = clock::boot_now_ns();
        let found = route::find(head.uri.path());
        let route = found.map(|(endpoint, _)| endpoint.route);
        let limited = route.is_some_and(Route::is_limited) && head.method != Method::OPTIONS;
        let admitted = if limited {
            api.limit(&head, self.client, started_ns)
        } else {
            Ok(())
        };
        let answer = match admitted {
            Ok(()) => api.answer(&head, found, self.client, body).await,
            Err(problem) => Err(problem),
        };
        let mut response = answer.unwrap_or_else(|problem| problem.response());
        if route.is_some_and(Route::is_open_to_pages) {
            cors::open(&head.headers, response.headers_mut());
        }
        if head.method == Method::HEAD {
            reply::announce_length(&mut response);
        }
        api.metrics.observe(
            self.worker,
            &Observation {
                route,
                method: MethodLabel::of(&head.method),
                status: response.status(),
                duration_ns: clock::boot_now_ns().saturating_sub(started_ns),
            },
        );
        response
    }

    fn is_draining(&self) -> bool {
        self.api.lifecycle.stage() == Stage::Draining
    }

    fn take(&self, bytes: &[u8], out: &mut Vec<u8>) -> Option<Taken> {
        self.take_plain(bytes, out)
    }

    fn received(&self, receiving: Receiving, out: &mut Vec<u8>) -> Taken {
        self.put_received(receiving, out)
    }

    fn failed(&self, receiving: &Receiving, problem: &Problem) {
        self.put_failed(receiving, problem);
    }

    fn ended(&self, waiting: &Waiting, outcome: PutOutcome, out: &mut Vec<u8>) {
        self.put_ended(outcome, waiting.started_ns, out);
    }
}
