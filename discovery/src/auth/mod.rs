//! Proof that a message comes from somebody who knows the cluster secret.
//!
//! [`ClusterKeys`] makes and checks HMAC-SHA256 (RFC 2104, FIPS 198-1) under the secret,
//! for datagrams, frames and whatever else has a place for 32 bytes. [`HttpSignature`] puts one
//! on an HTTP request, with a time stamp and a nonce; [`ReplayWindow`] refuses to believe
//! the same one twice.

mod keys;
mod replay;
mod signature;

pub use keys::{ClusterKeys, MAC_LENGTH, Mac};
pub use replay::{NONCE_LENGTH, NONCES_MAX, Nonce, Replay, ReplayWindow, TOLERANCE_MS};
pub use signature::{HttpSignature, SIGNATURE_HEADER, SignatureError, SignedRequest};
