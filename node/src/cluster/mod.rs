//! The cluster as the HTTP layer sees it: one handle that writes, reads and
//! lists keys over all members.

mod config;
mod handle;
mod outcome;
mod view;

pub use config::{ClusterConfig, Me};
pub use handle::{Cluster, StartError};
pub use outcome::KeysOutcome;
pub use crate::coordinator::{GetOutcome, PutOutcome};
pub use view::{ClusterCounters, PeerState, PeerView, RefillView};
