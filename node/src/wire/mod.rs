//! What travels between nodes: datagrams, greetings, records and frames.
//!
//! Membership travels as UDP datagrams ([`Datagrams`]). Everything else goes over TCP: after
//! a greeting ([`hello`]) each side sends records ([`record`]), and each record carries any
//! number of frames ([`frame`]), and behind them the large values that these speak of. A datagram, a greeting and a record are authenticated as a
//! whole, under a key derived from the cluster secret for its purpose, and a record moreover
//! for its connection, direction and place, so none can be forged, repeated or reordered.
//!
//! A datagram and a greeting carry the version of the protocol ([`PROTOCOL_VERSION`]), at the
//! same place in all versions.
//!
//! All numbers are big-endian. No decoder panics, whatever the bytes, and none reserves
//! memory for what has not arrived.

mod datagram;
mod digest;
pub mod frame;
pub mod hello;
mod protocol;
mod reader;
pub mod record;
mod replay;
mod rope;
mod seal;

pub use datagram::{Datagrams, Dropped, MAX_DATAGRAM, MAX_PAYLOAD};
pub use digest::SharedDigest;
pub use protocol::PROTOCOL_VERSION;
pub use reader::{Malformed, Reader};
pub use replay::{MAX_SKEW_MS, MAX_WINDOWS, ReplayGuard, Stale, Stamp};
pub use rope::{ATTACHED_OVER, Rope};
pub use seal::{NetworkTag, Purpose, Seal, Signer};

#[cfg(test)]
pub(crate) mod testing {
    pub(crate) use super::seal::tests::seal;
}
