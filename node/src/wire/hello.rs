//! The greeting of a stream: who is there, on which clock, under which secret.
//!
//! ```text
//! client                                      server
//!   hello {client nonce, identity} MAC  ──►
//!                                       ◄──  hello {server nonce, identity} MAC over both
//!   records under the keys of both nonces  ◄─►
//! ```
//!
//! The client's hello may be a replay, so nothing is believed of it until its first record
//! verifies: that needs the server's nonce. The server's hello covers the client's.
//!
//! ```text
//! offset  0  4 bytes  "RPRM"
//!         4  1        version of the protocol
//!         5  1        flags, bit 0: signed
//!         6  8        network tag
//!        14  2        length of the body
//!        16  16       nonce
//!        32  16       clock: equal for nodes that read the same CLOCK_BOOTTIME
//!        48  8        that clock now, microseconds
//!        56  16       address at which the other side is seen, IPv4 mapped into IPv6
//!        72  ...      identity
//!         -  32       HMAC-SHA256 over all of the above, when signed; the server's also
//!                     over the client's nonce, put before it
//! ```

use std::net::IpAddr;

use bytes::{BufMut, Bytes, BytesMut};
use repram_discovery::auth::MAC_LENGTH;

use super::protocol::PROTOCOL_VERSION;
use super::reader::{Malformed, Reader};
use super::seal::{Purpose, Seal, Signer};
use crate::membership::{Identity, MAX_IDENTITY, put_ip, take_ip};

const MAGIC: [u8; 4] = *b"RPRM";
const SIGNED: u8 = 1;

/// Bytes up to and including the length of the body.
pub const PREFIX_LENGTH: usize = 16;

/// Bytes of the longest body.
const MAX_BODY: usize = 16 + 16 + 8 + 16 + MAX_IDENTITY;

/// Bytes of the longest hello.
pub const MAX_HELLO: usize = PREFIX_LENGTH + MAX_BODY + MAC_LENGTH;

/// Random bytes of each side that make every session's keys its own.
pub type Nonce = [u8; 16];

/// Equal for two nodes exactly when they read the same CLOCK_BOOTTIME.
pub type ClockId = [u8; 16];

/// What one side says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Fresh randomness.
    pub nonce: Nonce,
    /// Which boot clock it reads.
    pub clock: ClockId,
    /// What that clock says, in microseconds.
    pub boot_us: u64,
    /// Where it sees the one whom it greets.
    pub sees_at: IpAddr,
    /// Who it is.
    pub identity: Identity,
}

/// Why a greeting was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is not a greeting of this protocol.
    #[error("peer does not speak this protocol")]
    Protocol,
    /// It is one of another version.
    #[error(
        "peer speaks version {found} of the protocol and this node version {PROTOCOL_VERSION}; \
         nodes of different versions form networks of their own"
    )]
    Version {
        /// The peer's version.
        found: u8,
    },
    /// Its body is broken.
    #[error("peer's greeting {0}")]
    Malformed(#[from] Malformed),
    /// It belongs to another domain or network.
    #[error("peer belongs to another domain or network")]
    OtherNetwork,
    /// It signs and we do not, or the other way round.
    #[error("{}", if *.peer_signs {
        "peer has a cluster secret and this node has none"
    } else {
        "peer has no cluster secret and this node has one"
    })]
    Unsigned {
        /// Whether the peer is the one that signs.
        peer_signs: bool,
    },
    /// Its MAC is wrong.
    #[error("peer has another cluster secret")]
    Forged,
}

/// The signers of one session's records.
#[derive(Clone, Debug)]
pub struct SessionKeys {
    /// Of the side that connected.
    pub client: Signer,
    /// Of the side that accepted.
    pub server: Signer,
}

impl SessionKeys {
    /// The keys that belong to a pair of nonces.
    #[must_use]
    pub fn new(seal: &Seal, client: &Nonce, server: &Nonce) -> Self {
        Self {
            client: seal.signer(Purpose::ClientRecord, &[client, server]),
            server: seal.signer(Purpose::ServerRecord, &[client, server]),
        }
    }
}

/// A hello as bytes. A server passes the client's nonce, so that its answer is to that
/// client; a client passes `None`.
#[must_use]
pub fn encode(seal: &Seal, hello: &Hello, answered: Option<&Nonce>) -> Bytes {
    let signer = signer(seal, answered);
    let mut out = BytesMut::with_capacity(MAX_HELLO);
    out.put_slice(&MAGIC);
    out.put_u8(PROTOCOL_VERSION);
    out.put_u8(if signer.is_signing() { SIGNED } else { 0 });
    out.put_slice(&seal.network());
    out.put_u16(0);
    out.put_slice(&hello.nonce);
    out.put_slice(&hello.clock);
    out.put_u64(hello.boot_us);
    put_ip(&mut out, hello.sees_at);
    hello.identity.encode(&mut out);
    let body = u16::try_from(out.len() - PREFIX_LENGTH).unwrap_or(u16::MAX);
    out[PREFIX_LENGTH - 2..PREFIX_LENGTH].copy_from_slice(&body.to_be_bytes());
    let mac = signer.sign(&[&out]);
    out.put_slice(&mac);
    out.freeze()
}

/// How many bytes follow the first [`PREFIX_LENGTH`] of a hello.
///
/// # Errors
/// When this is no greeting that we could accept.
pub fn rest_length(seal: &Seal, prefix: &[u8; PREFIX_LENGTH]) -> Result<usize, Refused> {
    let mut reader = Reader::new(Bytes::copy_from_slice(prefix));
    let magic: [u8; 4] = reader.array()?;
    let version = reader.u8()?;
    let flags = reader.u8()?;
    if magic != MAGIC {
        return Err(Refused::Protocol);
    }
    if version != PROTOCOL_VERSION {
        return Err(Refused::Version { found: version });
    }
    if flags & !SIGNED != 0 {
        return Err(Refused::Protocol);
    }
    let network: [u8; 8] = reader.array()?;
    if network != seal.network() {
        return Err(Refused::OtherNetwork);
    }
    let signer = signer(seal, None);
    let peer_signs = flags & SIGNED != 0;
    if peer_signs != signer.is_signing() {
        return Err(Refused::Unsigned { peer_signs });
    }
    let body = usize::from(reader.u16()?);
    if body > MAX_BODY {
        return Err(Malformed::TooLong {
            what: "greeting",
            found: body,
            limit: MAX_BODY,
        }
        .into());
    }
    Ok(body + signer.mac_length())
}

/// Reads a whole hello, prefix included. A client passes its own nonce, which the server's
/// answer must cover; a server passes `None`.
///
/// # Errors
/// When it is broken or was not made under our secret.
pub fn decode(seal: &Seal, hello: &Bytes, answered: Option<&Nonce>) -> Result<Hello, Refused> {
    let signer = signer(seal, answered);
    let end = hello
        .len()
        .saturating_sub(signer.mac_length())
        .max(PREFIX_LENGTH);
    if hello.len() < end {
        return Err(Malformed::Truncated.into());
    }
    let (covered, mac) = hello.split_at(end);
    if !signer.verify(&[covered], mac) {
        return Err(Refused::Forged);
    }
    let mut reader = Reader::new(hello.slice(PREFIX_LENGTH..end));
    let decoded = Hello {
        nonce: reader.array()?,
        clock: reader.array()?,
        boot_us: reader.u64()?,
        sees_at: take_ip(&mut reader)?,
        identity: Identity::decode(&mut reader)?,
    };
    reader.finish()?;
    Ok(decoded)
}

fn signer(seal: &Seal, answered: Option<&Nonce>) -> Signer {
    match answered {
        None => seal.signer(Purpose::ClientHello, &[]),
        Some(nonce) => seal.signer(Purpose::ServerHello, &[nonce]),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::seal::tests::seal;
    use super::*;
    use crate::membership::testing::identity;

    fn hello(number: u16) -> Hello {
        let nonce = [number.to_be_bytes()[1]; 16];
        Hello {
            nonce,
            clock: [3; 16],
            boot_us: 55,
            sees_at: [192, 0, 2, 1].into(),
            identity: identity(number, 2),
        }
    }

    /// What a receiver makes of a whole hello.
    fn received(seal: &Seal, bytes: &Bytes, answered: Option<&Nonce>) -> Result<Hello, Refused> {
        let prefix = bytes.first_chunk().ok_or(Malformed::Truncated)?;
        let rest = rest_length(seal, prefix)?;
        if bytes.len() != PREFIX_LENGTH + rest {
            return Err(Malformed::Truncated.into());
        }
        decode(seal, bytes, answered)
    }

    #[test]
    fn a_greeting_is_understood() {
        for secret in [None, Some("a")] {
            let seal = seal(secret);
            let bytes = encode(&seal, &hello(1), None);
            assert!(bytes.len() <= MAX_HELLO);
            assert_eq!(received(&seal, &bytes, None), Ok(hello(1)));
            let answer = encode(&seal, &hello(2), Some(&hello(1).nonce));
            assert_eq!(
                received(&seal, &answer, Some(&hello(1).nonce)),
                Ok(hello(2))
            );
        }
    }

    #[test]
    fn an_answer_is_to_one_client_only() {
        let seal = seal(Some("a"));
        let answer = encode(&seal, &hello(2), Some(&[1; 16]));
        assert_eq!(
            received(&seal, &answer, Some(&[9; 16])),
            Err(Refused::Forged)
        );
        assert_eq!(received(&seal, &answer, None), Err(Refused::Forged));
    }

    #[test]
    fn a_stranger_is_told_apart() {
        let check = |from: &Seal, to: &Seal, expect: Refused| {
            assert_eq!(
                received(to, &encode(from, &hello(1), None), None),
                Err(expect)
            );
        };
        check(&seal(Some("a")), &seal(Some("b")), Refused::Forged);
        check(
            &seal(None),
            &seal(Some("b")),
            Refused::Unsigned { peer_signs: false },
        );
        check(
            &seal(Some("a")),
            &seal(None),
            Refused::Unsigned { peer_signs: true },
        );
        check(
            &Seal::new(None, "x", "public"),
            &seal(None),
            Refused::OtherNetwork,
        );
        let http = Bytes::from_static(b"GET / HTTP/1.1\r\nHost: localhost\r\n");
        assert_eq!(received(&seal(None), &http, None), Err(Refused::Protocol));
    }

    #[test]
    fn another_version_is_told_from_noise() {
        let check = |at: usize, expect: Refused| {
            let mut bytes = encode(&seal(None), &hello(1), None).to_vec();
            bytes[at] = 77;
            assert_eq!(received(&seal(None), &bytes.into(), None), Err(expect));
        };
        check(0, Refused::Protocol);
        check(4, Refused::Version { found: 77 });
        check(5, Refused::Protocol);
    }

    #[test]
    fn sessions_have_keys_of_their_own() {
        let seal = seal(Some("a"));
        let keys = SessionKeys::new(&seal, &[1; 16], &[2; 16]);
        let mac = keys.client.sign(&[b"record"]);
        assert!(
            SessionKeys::new(&seal, &[1; 16], &[2; 16])
                .client
                .verify(&[b"record"], &mac)
        );
        assert!(!keys.server.verify(&[b"record"], &mac));
        let other = SessionKeys::new(&seal, &[1; 16], &[3; 16]);
        assert!(!other.client.verify(&[b"record"], &mac));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(
            bytes in prop::collection::vec(any::<u8>(), 0..400),
            keep in 0usize..80,
        ) {
            let open = seal(None);
            // The start of a real one, so that the fields behind it are reached.
            let mut mixed = encode(&open, &hello(1), None)[..keep].to_vec();
            mixed.extend(bytes);
            let _ = received(&open, &mixed.clone().into(), None);
            let _ = decode(&open, &mixed.into(), None);
        }

        #[test]
        fn a_changed_bit_is_noticed(at in any::<prop::sample::Index>(), bit in 0u8..8) {
            let seal = seal(Some("a"));
            let mut bytes = encode(&seal, &hello(1), None).to_vec();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(received(&seal, &bytes.into(), None).is_err());
        }
    }
}
