//! How a listing ends.

use bytes::Bytes;

/// How a listing of keys ended, for its client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeysOutcome {
    /// One page of live keys.
    Page {
        /// In byte order, each once.
        keys: Vec<Bytes>,
        /// Whether keys may follow after the last one of this page.
        more: bool,
    },
    /// For some key range fewer holders answered than a 404 would need: 503
    /// with Retry-After.
    Unknown,
}
