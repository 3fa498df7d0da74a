//! Descriptors.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tracing::debug;

use crate::http::bounds::CONNECTIONS_MAX;

/// Descriptors that are not for clients: peers, listeners, one event queue per worker.
const RESERVED: u64 = 256;
/// Served even when there are hardly any descriptors.
pub(super) const CONNECTIONS_MIN: usize = 16;

/// Raises the soft limit on descriptors as far as [`CONNECTIONS_MAX`] clients need and the hard
/// one allows.
pub fn raise_descriptor_limit() {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return;
    };
    let raised = (CONNECTIONS_MAX as u64 + RESERVED).min(hard);
    if soft < raised
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, raised, hard)
    {
        debug!(%error, "could not raise the limit on descriptors");
    }
}

/// Client connections that the limit on descriptors leaves room for, at most
/// [`CONNECTIONS_MAX`].
#[must_use]
pub(super) fn connections_by_descriptors() -> usize {
    let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(soft, _)| soft);
    let left = usize::try_from(limit.saturating_sub(RESERVED)).unwrap_or(usize::MAX);
    left.clamp(CONNECTIONS_MIN, CONNECTIONS_MAX)
}
