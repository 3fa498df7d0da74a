//! Where peers may be.
//!
//! A [`PeerSource`] is asked in rounds and answers with [`Candidate`]s: places where a peer
//! may be, never a statement that it lives. [`Sources`] asks all of them at once and keeps
//! a [`Report`] of each for `/cluster/discovery/health`.
//!
//! [`AnnouncedPeers`] came to us; [`StaticPeers`] names what the operator listed;
//! [`RangeScan`] asks `GET /health` on every port of the range; [`FluxPeers`] asks the
//! platform where the other instances of an app are. What nodes and claimants answer there, and on `GET /peers`, is
//! here as well: [`Health`] and [`Peers`] as they are written, [`HealthAnswer`] and
//! [`PeersAnswer`] as they are read.

mod announced;
mod flux_peers;
mod health;
mod list;
mod question;
mod range_scan;
mod report;
mod source;
mod sources;
mod static_peers;

pub use announced::{ANNOUNCED_AGE_MAX, ANNOUNCED_MAX, AnnouncedPeers};
pub use flux_peers::{FluxPeers, FluxPeersConfig, LocationError};
pub use health::{Health, HealthAnswer, HealthStatus};
pub use list::{ListedPeer, PeerAnswer, Peers, PeersAnswer, UnixMillis};
pub(crate) use question::whole_body;
pub use question::{ANSWER_MAX, health_at};
pub use range_scan::{PROBE_TIMEOUT, PROBES_MAX, RangeScan, ScanConfig, SiblingPorts};
pub use report::{Outcome, Report};
pub use source::{Asked, Candidate, Found, FoundFuture, NewsFuture, PeerSource, SourceError};
pub use sources::Sources;
pub use static_peers::StaticPeers;
