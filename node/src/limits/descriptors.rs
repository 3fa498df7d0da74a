//! Descriptors.

use repram_discovery::descriptors::DescriptorLimit;
use tracing::debug;

use crate::http::bounds::CONNECTIONS_MAX;

/// Descriptors that are not for clients: peers, listeners, one event queue per worker.
const RESERVED: u64 = 256;
/// Served even when there are hardly any descriptors.
pub(super) const CONNECTIONS_MIN: usize = 16;

/// Raises the soft limit on descriptors as far as [`CONNECTIONS_MAX`] clients need and the hard
/// one allows.
pub fn raise_descriptor_limit() {
    let wanted = CONNECTIONS_MAX as u64 + RESERVED;
    if let Err(error) = DescriptorLimit::of_this_process().and_then(|limit| limit.raise(wanted)) {
        debug!(%error, "could not raise the limit on descriptors");
    }
}

/// Client connections that the limit on descriptors leaves room for, at most
/// [`CONNECTIONS_MAX`]: by the limit as it is at this moment, so ask after
/// [`raise_descriptor_limit`].
#[must_use]
pub(super) fn connections_by_descriptors() -> usize {
    let limit = DescriptorLimit::of_this_process().map_or(0, |limit| limit.soft);
    let left = usize::try_from(limit.saturating_sub(RESERVED)).unwrap_or(usize::MAX);
    left.clamp(CONNECTIONS_MIN, CONNECTIONS_MAX)
}
