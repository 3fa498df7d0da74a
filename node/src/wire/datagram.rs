//! The frame around a membership datagram.
//!
//! ```text
//! offset  0  2 bytes  "rp"
//!         2  1        version of the protocol
//!         3  1        flags, bit 0: signed
//!         4  8        network tag
//!        12 16        sender's UUID
//!        28  8        its generation
//!        36  8        sequence number within that life, from 1
//!        44  8        its wall clock, milliseconds since the Unix epoch
//!        52  ...      payload
//!         -  32       HMAC-SHA256 over all of the above, when signed
//! ```
//!
//! Numbers are big-endian. A node that has a secret drops what is not signed; one without
//! takes only what is unsigned, so that a mixture shows in the counters of both sides.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use bytes::{BufMut, Bytes, BytesMut};
use repram_discovery::auth::MAC_LENGTH;
use uuid::Uuid;

use super::protocol::PROTOCOL_VERSION;
use super::reader::{Malformed, Reader};
use super::replay::{ReplayGuard, Stale, Stamp};
use super::seal::{NetworkTag, Purpose, Seal, Signer};

const MAGIC: [u8; 2] = *b"rp";
const SIGNED: u8 = 1;
const HEADER_LENGTH: usize = 52;

/// Bytes of a whole datagram: the smallest MTU of IPv6, 1280, less 40 bytes of IP and 8 of
/// UDP. So none is ever fragmented, through tunnels neither.
pub const MAX_DATAGRAM: usize = 1232;

/// Bytes of a payload that fit, signed or not.
pub const MAX_PAYLOAD: usize = MAX_DATAGRAM - HEADER_LENGTH - MAC_LENGTH;

/// Why a datagram was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// Not a datagram of this protocol.
    Malformed,
    /// Of this version of the protocol, which is not ours.
    Version(u8),
    /// Of another network.
    OtherNetwork,
    /// Signed where we have no secret, or not signed where we have one.
    Unsigned,
    /// The MAC is wrong.
    Forged,
    /// Our own, come back.
    Own,
    /// Authentic, but it does not count.
    Stale(Stale),
}

/// Frames what one life of a node sends, and unframes what it receives.
#[derive(Debug)]
pub struct Datagrams {
    signer: Signer,
    network: NetworkTag,
    own: Uuid,
    generation: u64,
    sequence: u64,
    guard: ReplayGuard,
}

struct Header {
    signed: bool,
    network: NetworkTag,
    stamp: Stamp,
}

impl Datagrams {
    /// For one life of a node.
    #[must_use]
    pub fn new(seal: &Seal, own: Uuid, generation: u64) -> Self {
        Self {
            signer: seal.signer(Purpose::Datagram, &[]),
            network: seal.network(),
            own,
            generation,
            sequence: 0,
            guard: ReplayGuard::default(),
        }
    }

    /// The datagram around `payload`.
    ///
    /// # Panics
    /// When the payload is longer than [`MAX_PAYLOAD`]; membership never makes one.
    pub fn frame(&mut self, payload: &[u8], now_unix_ms: u64) -> Bytes {
        assert!(
            payload.len() <= MAX_PAYLOAD,
            "a payload of {} bytes",
            payload.len()
        );
        self.sequence += 1;
        let mut datagram = BytesMut::with_capacity(HEADER_LENGTH + payload.len() + MAC_LENGTH);
        datagram.put_slice(&MAGIC);
        datagram.put_u8(PROTOCOL_VERSION);
        datagram.put_u8(if self.signer.is_signing() { SIGNED } else { 0 });
        datagram.put_slice(&self.network);
        datagram.put_slice(self.own.as_bytes());
        datagram.put_u64(self.generation);
        datagram.put_u64(self.sequence);
        datagram.put_u64(now_unix_ms);
        datagram.put_slice(payload);
        let mac = self.signer.sign(&[&datagram]);
        datagram.put_slice(&mac);
        datagram.freeze()
    }

    /// The payload of a received datagram that is authentic and new.
    ///
    /// # Errors
    /// Why it was dropped.
    pub fn unframe(&mut self, datagram: Bytes, now_unix_ms: u64) -> Result<Bytes, Dropped> {
        if datagram.len() > MAX_DATAGRAM {
            return Err(Dropped::Malformed);
        }
        if let [magic @ .., version] = *datagram.first_chunk::<3>().ok_or(Dropped::Malformed)?
            && magic == MAGIC
            && version != PROTOCOL_VERSION
        {
            return Err(Dropped::Version(version));
        }
        let header = header(datagram.clone()).map_err(|_| Dropped::Malformed)?;
        if header.network != self.network {
            return Err(Dropped::OtherNetwork);
        }
        if header.signed != self.signer.is_signing() {
            return Err(Dropped::Unsigned);
        }
        let end = datagram.len().saturating_sub(self.signer.mac_length());
        if end < HEADER_LENGTH {
            return Err(Dropped::Malformed);
        }
        let (covered, mac) = datagram.split_at(end);
        if !self.signer.verify(&[covered], mac) {
            return Err(Dropped::Forged);
        }
        if header.stamp.sender == self.own {
            return Err(Dropped::Own);
        }
        // Without a secret anyone could make a stamp that shuts the true sender out.
        if header.signed {
            self.guard
                .admit(header.stamp, now_unix_ms)
                .map_err(Dropped::Stale)?;
        }
        Ok(datagram.slice(HEADER_LENGTH..end))
    }
}

fn header(datagram: Bytes) -> Result<Header, Malformed> {
    let mut reader = Reader::new(datagram);
    let magic: [u8; 2] = reader.array()?;
    let version = reader.u8()?;
    if magic != MAGIC || version != PROTOCOL_VERSION {
        return Err(Malformed::UnknownTag {
            what: "version",
            tag: version,
        });
    }
    let signed = match reader.u8()? {
        0 => false,
        SIGNED => true,
        tag => return Err(Malformed::UnknownTag { what: "flags", tag }),
    };
    let network = reader.array()?;
    let stamp = Stamp {
        sender: reader.uuid()?,
        generation: reader.u64()?,
        sequence: reader.u64()?,
        unix_ms: reader.u64()?,
    };
    Ok(Header {
        signed,
        network,
        stamp,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::seal::tests::seal;
    use super::*;

    const NOW: u64 = 1_800_000_000_000;

    fn node(secret: Option<&str>, number: u128) -> Datagrams {
        Datagrams::new(&seal(secret), Uuid::from_u128(number), 1)
    }

    #[test]
    fn what_is_framed_is_unframed_once() {
        let (mut from, mut to) = (node(Some("a"), 1), node(Some("a"), 2));
        let datagram = from.frame(b"payload", NOW);
        assert_eq!(from.unframe(datagram.clone(), NOW), Err(Dropped::Own));
        assert_eq!(
            to.unframe(datagram.clone(), NOW),
            Ok(Bytes::from_static(b"payload"))
        );
        assert_eq!(
            to.unframe(datagram, NOW),
            Err(Dropped::Stale(Stale::Replayed))
        );
        let full = from.frame(&[7; MAX_PAYLOAD], NOW);
        assert_eq!(full.len(), MAX_DATAGRAM);
        assert_eq!(
            to.unframe(full, NOW).map(|payload| payload.len()),
            Ok(MAX_PAYLOAD)
        );
    }

    #[test]
    fn another_version_is_told_from_noise() {
        let check = |at: usize, expect: Dropped| {
            let mut datagram = node(None, 1).frame(b"", NOW).to_vec();
            datagram[at] = 77;
            assert_eq!(node(None, 2).unframe(datagram.into(), NOW), Err(expect));
        };
        check(0, Dropped::Malformed);
        check(2, Dropped::Version(77));
        let short = Bytes::from_static(b"rp");
        assert_eq!(node(None, 2).unframe(short, NOW), Err(Dropped::Malformed));
    }

    #[test]
    fn secrets_must_match() {
        let check = |from: Option<&str>, to: Option<&str>, expect: Result<(), Dropped>| {
            let datagram = node(from, 1).frame(b"", NOW);
            assert_eq!(node(to, 2).unframe(datagram, NOW).map(|_| ()), expect);
        };
        check(Some("a"), Some("a"), Ok(()));
        check(None, None, Ok(()));
        check(Some("a"), Some("b"), Err(Dropped::Forged));
        check(None, Some("a"), Err(Dropped::Unsigned));
        check(Some("a"), None, Err(Dropped::Unsigned));
        let other = Seal::new(None, "localhost", "private");
        let datagram = Datagrams::new(&other, Uuid::from_u128(1), 1).frame(b"", NOW);
        assert_eq!(
            node(None, 2).unframe(datagram, NOW),
            Err(Dropped::OtherNetwork)
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..1300)) {
            prop_assert!(node(None, 1).unframe(bytes.into(), NOW).is_err());
        }

        #[test]
        fn a_changed_bit_is_noticed(
            payload in prop::collection::vec(any::<u8>(), 0..100),
            at in any::<prop::sample::Index>(),
            bit in 0u8..8,
        ) {
            let mut datagram = node(Some("a"), 1).frame(&payload, NOW).to_vec();
            let at = at.index(datagram.len());
            datagram[at] ^= 1 << bit;
            prop_assert!(node(Some("a"), 2).unframe(datagram.into(), NOW).is_err());
        }

        #[test]
        fn a_cut_is_noticed(end in any::<prop::sample::Index>()) {
            let datagram = node(Some("a"), 1).frame(b"payload", NOW);
            let cut = datagram.slice(..end.index(datagram.len()));
            prop_assert!(node(Some("a"), 2).unframe(cut, NOW).is_err());
        }
    }
}
