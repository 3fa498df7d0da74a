//! Descriptors.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tracing::debug;

use crate::http::bounds::CONNECTIONS_MAX;

/// Descriptors that are not for clients: peers, listeners, one event queue per worker.
const RESERVED: u64 = 256;
/// Served even when there are hardly any descriptors.
pub(super) const CONNECTIONS_MIN: usize = 16;

/// Client connections that the limit on descriptors leaves room for, at most
/// [`CONNECTIONS_MAX`]. Raises the soft limit as far as that needs and the hard one allows.
#[must_use]
pub(super) fn connections_by_descriptors() -> usize {
    let wanted = CONNECTIONS_MAX as u64 + RESERVED;
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return CONNECTIONS_MIN;
    };
    let raised = wanted.min(hard);
    let limit = if soft >= raised {
        soft
    } else if let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, raised, hard) {
        debug!(%error, "could not raise the limit on descriptors");
        soft
    } else {
        raised
    };
    let left = usize::try_from(limit.saturating_sub(RESERVED)).unwrap_or(usize::MAX);
    left.clamp(CONNECTIONS_MIN, CONNECTIONS_MAX)
}
