//! What the store keeps, and how a put ends.

use bytes::Bytes;

use crate::clock::BootMillis;
use crate::version::Version;

/// A value with everything that travels with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The bytes as the client sent them.
    pub value: Bytes,
    /// Which write this is.
    pub version: Version,
    /// When the receiver took the write, in milliseconds since the Unix epoch.
    pub created_unix_ms: u64,
    /// The time to live it was written with, in seconds.
    pub ttl_s: u32,
    /// The first moment at which the value is no longer served.
    pub deadline: BootMillis,
    /// Until when the version is remembered, at least `deadline`: until then a value that it
    /// replaced would still have lived, and must not come back from a node that was away.
    pub kept_until: BootMillis,
}

/// What is kept under a key, without the value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    /// The key.
    pub key: Bytes,
    /// Which write this is.
    pub version: Version,
    /// Bytes of its value.
    pub length: u32,
    /// Whether the value has ended and only its version is remembered.
    pub ended: bool,
}

/// How a put ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// The entry was newer than what was there, and is kept until its deadline.
    Newer,
    /// The version that is kept is this one, equal to or higher than the entry's: nothing
    /// was changed.
    Older(Version),
}

/// The byte limit leaves no room for the entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{needed} more bytes do not fit: {used} of {limit} are in use")]
pub struct Full {
    /// Bytes that the operation would have added.
    pub needed: u64,
    /// Bytes in use.
    pub used: u64,
    /// The limit.
    pub limit: u64,
}
