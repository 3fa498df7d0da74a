//! Why a request gets no answer of substance.

use crate::auth::SignatureError;
use crate::rate::TooMany;

use super::request::{REQUEST_MAX, RequestError};

/// Why a request is refused. Its text is the `detail` of the problem that is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The client sends too many.
    #[error(transparent)]
    TooMany(#[from] TooMany),
    /// It is not signed as the network's secret demands.
    #[error("{0}; sign the request with the cluster secret")]
    Unsigned(SignatureError),
    /// The body is too long.
    #[error("a request has at most {REQUEST_MAX} bytes")]
    TooLong,
    /// The body is no request.
    #[error(transparent)]
    Malformed(#[from] RequestError),
    /// The port is none of the range.
    #[error("port {port} is not an HTTP port of the range {first} to {last}")]
    OutOfRange {
        /// The port that was named.
        port: u16,
        /// The first one of the range.
        first: u16,
        /// The last one.
        last: u16,
    },
    /// So many peers are being asked back that this one has to wait.
    #[error("too many peers are being asked back; try again in a moment")]
    Busy,
}

impl Refusal {
    /// The status code.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::TooMany(_) => 429,
            Self::Unsigned(_) => 401,
            Self::TooLong => 413,
            Self::Malformed(_) | Self::OutOfRange { .. } => 400,
            Self::Busy => 503,
        }
    }

    /// The value of Retry-After in seconds, where waiting helps.
    #[must_use]
    pub const fn retry_after_s(&self) -> Option<u32> {
        match self {
            Self::TooMany(too_many) => Some(too_many.retry_after_s),
            Self::Busy => Some(1),
            Self::Unsigned(_) | Self::TooLong | Self::Malformed(_) | Self::OutOfRange { .. } => {
                None
            }
        }
    }
}
