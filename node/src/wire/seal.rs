//! Message authentication codes over datagrams, greetings and records.

use repram_discovery::auth::{ClusterKeys, MAC_LENGTH};
use sha2::{Digest, Sha256};

/// Tells networks apart that share addresses: a hash of the domain and the network name.
/// It stands in the open; with a secret the keys differ as well.
pub type NetworkTag = [u8; 8];

/// What a MAC is for. A MAC that was made for one purpose is worth nothing for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A membership datagram.
    Datagram,
    /// The first message of the side that connected.
    ClientHello,
    /// The answer to it.
    ServerHello,
    /// A record of the side that connected, for one pair of nonces.
    ClientRecord,
    /// A record of the side that accepted.
    ServerRecord,
}

impl Purpose {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Datagram => b"repram gossip v1 datagram",
            Self::ClientHello => b"repram gossip v1 client hello",
            Self::ServerHello => b"repram gossip v1 server hello",
            Self::ClientRecord => b"repram gossip v1 client record",
            Self::ServerRecord => b"repram gossip v1 server record",
        }
    }
}

/// The network that a node belongs to, and its secret if there is one.
#[derive(Clone, Debug)]
pub struct Seal {
    keys: Option<ClusterKeys>,
    network: NetworkTag,
}

impl Seal {
    /// The seal of the network `(domain, network)` under `keys`.
    #[must_use]
    pub fn new(keys: Option<ClusterKeys>, domain: &str, network: &str) -> Self {
        let digest = Sha256::new()
            .chain_update(b"repram gossip v1 network\0")
            .chain_update(domain.len().to_be_bytes())
            .chain_update(domain.as_bytes())
            .chain_update(network.as_bytes())
            .finalize();
        let mut tag = NetworkTag::default();
        tag.copy_from_slice(&digest[..8]);
        Self { keys, network: tag }
    }

    /// The tag that every datagram and greeting carries.
    #[must_use]
    pub const fn network(&self) -> NetworkTag {
        self.network
    }

    /// What signs and checks messages of one purpose, bound to `context` besides the
    /// network: a session's nonces.
    #[must_use]
    pub fn signer(&self, purpose: Purpose, context: &[&[u8]]) -> Signer {
        let parts: Vec<&[u8]> = [purpose.label(), &self.network]
            .into_iter()
            .chain(context.iter().copied())
            .collect();
        Signer {
            keys: self.keys.as_ref().map(|keys| keys.derive(&parts)),
        }
    }
}

/// Signs and checks messages of one purpose; without a secret it adds nothing and takes
/// what carries nothing.
#[derive(Clone, Debug)]
pub struct Signer {
    keys: Option<ClusterKeys>,
}

impl Signer {
    /// Whether messages are signed.
    #[must_use]
    pub const fn is_signing(&self) -> bool {
        self.keys.is_some()
    }

    /// Bytes of a MAC: all of HMAC-SHA256, or none. One MAC covers a whole batch of frames,
    /// so cutting it short would save nothing that could be measured.
    #[must_use]
    pub const fn mac_length(&self) -> usize {
        if self.is_signing() { MAC_LENGTH } else { 0 }
    }

    /// The MAC over `parts`, one after the other; empty without a secret.
    #[must_use]
    pub fn sign(&self, parts: &[&[u8]]) -> Vec<u8> {
        self.keys
            .as_ref()
            .map(|keys| keys.sign(parts).to_vec())
            .unwrap_or_default()
    }

    /// Whether `mac` is right for `parts`: made under either secret or, without one, empty.
    #[must_use]
    pub fn verify(&self, parts: &[&[u8]], mac: &[u8]) -> bool {
        match (&self.keys, mac.try_into()) {
            (Some(keys), Ok(mac)) => keys.verify(parts, mac),
            (Some(_), Err(_)) => false,
            (None, _) => mac.is_empty(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use repram_discovery::secret::Secret;

    use super::*;

    /// A seal under `secret`, or an open one.
    pub(crate) fn seal(secret: Option<&str>) -> Seal {
        let keys = secret.map(|text| ClusterKeys::new(&Secret::new(text.as_bytes()), None));
        Seal::new(keys, "localhost", "public")
    }

    #[test]
    fn purposes_networks_and_contexts_are_apart() {
        let seal = seal(Some("a"));
        let other = Seal {
            network: [9; 8],
            ..seal.clone()
        };
        let signer = seal.signer(Purpose::Datagram, &[b"context"]);
        let mac = signer.sign(&[b"mes", b"sage"]);
        assert!(signer.verify(&[b"message"], &mac));
        assert!(!signer.verify(&[b"massage"], &mac));
        assert!(!signer.verify(&[b"message"], &mac[..31]));
        assert!(!signer.verify(&[b"message"], b""));
        for apart in [
            seal.signer(Purpose::ClientHello, &[b"context"]),
            seal.signer(Purpose::Datagram, &[b"con", b"text"]),
            other.signer(Purpose::Datagram, &[b"context"]),
        ] {
            assert!(!apart.verify(&[b"message"], &mac));
        }
    }

    #[test]
    fn without_a_secret_nothing_is_signed() {
        let signer = seal(None).signer(Purpose::Datagram, &[]);
        assert!(!signer.is_signing() && signer.mac_length() == 0);
        assert_eq!(signer.sign(&[b"message"]), b"");
        assert!(signer.verify(&[b"message"], b""));
        assert!(!signer.verify(&[b"message"], &[0; 32]));
    }

    #[test]
    fn networks_have_tags_of_their_own() {
        let tag = |domain, network| Seal::new(None, domain, network).network();
        assert_ne!(tag("localhost", "public"), tag("localhost", "private"));
        assert_ne!(tag("a", "b"), tag("b", "a"));
        assert_ne!(tag("ab", "c"), tag("a", "bc"));
    }
}
