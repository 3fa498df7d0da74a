use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::LocationError;
use crate::domain::ResolveError;

/// A place where a peer may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The identity it showed, if it was asked.
    pub uuid: Option<Uuid>,
    /// The name it gave itself, if it was asked.
    pub node_id: Option<String>,
    /// Where its HTTP API is, as reached from here.
    pub http: SocketAddr,
    /// Where its gossip port is, as reached from here.
    pub gossip: SocketAddr,
    /// [`PeerSource::name`] of the source that found it.
    pub source: &'static str,
}

/// What one round of a source brought. A source that has several things to ask may find
/// some candidates and still have an error to report.
#[derive(Debug, Default)]
pub struct Found {
    /// The candidates, in a defined order.
    pub candidates: Vec<Candidate>,
    /// The first thing that went wrong.
    pub error: Option<SourceError>,
    /// The last question of a source that asks at its own pace; absent where each round
    /// asks.
    pub asked: Option<Asked>,
}

/// How a source that asks at its own pace did so last.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// How often it has asked.
    pub times: u64,
    /// When that ended.
    pub ended: Instant,
    /// How long it took.
    pub duration: Duration,
}

/// A round under way.
pub type FoundFuture<'a> = Pin<Box<dyn Future<Output = Found> + Send + 'a>>;

/// A wait for news.
pub type NewsFuture<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Something that can be asked for candidates again and again.
pub trait PeerSource: fmt::Debug + Send + Sync {
    /// A short name for logs and reports, such as `scan`.
    fn name(&self) -> &'static str;

    /// Asks once. The future ends by itself in bounded time and may be dropped.
    fn candidates(&self) -> FoundFuture<'_>;

    /// What is known now, of a source that asks at its own pace: reports are about that and
    /// not about the last round.
    fn known(&self) -> Option<Found> {
        None
    }

    /// Waits until there are candidates who should not have to wait for the next round. For
    /// one waiter, who gets one word for everything since it was there last; may be dropped.
    fn news(&self) -> NewsFuture<'_> {
        Box::pin(std::future::pending())
    }
}

/// Why a source found less than it might have.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A name has no addresses.
    #[error(transparent)]
    Unresolved(#[from] ResolveError),
    /// The gossip port that belongs to an HTTP port would be past 65535.
    #[error("{host}:{port} has no gossip port: {port} plus {gossip_offset} is past 65535")]
    NoGossipPort {
        /// Host of the peer as it was given.
        host: String,
        /// Its HTTP port.
        port: u16,
        /// Distance to the gossip port.
        gossip_offset: u16,
    },
    /// The HTTP client could not be set up.
    #[error("HTTP client could not be set up")]
    Client(#[source] reqwest::Error),
    /// A service that is asked at its own pace has not answered yet.
    #[error("the service has not answered yet")]
    NoAnswerYet,
    /// The location service of Flux gave no answer of use.
    #[error(transparent)]
    Location(Arc<LocationError>),
}
