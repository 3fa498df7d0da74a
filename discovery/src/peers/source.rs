use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;

use uuid::Uuid;

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
}

/// A round under way.
pub type FoundFuture<'a> = Pin<Box<dyn Future<Output = Found> + Send + 'a>>;

/// Something that can be asked for candidates again and again.
pub trait PeerSource: fmt::Debug + Send + Sync {
    /// A short name for logs and reports, such as `scan`.
    fn name(&self) -> &'static str;

    /// Asks once. The future ends by itself in bounded time and may be dropped.
    fn candidates(&self) -> FoundFuture<'_>;
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
}
