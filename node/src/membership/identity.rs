//! Who a member is, and how that is written on the wire.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use bytes::BufMut;
use uuid::Uuid;

use crate::wire::{Malformed, Reader};

/// Bytes of a node's name or enclave: what leaves room for four members in a datagram even
/// when all of them use it up.
pub const MAX_NAME: usize = 64;

/// Bytes of the longest [`Identity`]: the fixed part and two names with their lengths.
pub const MAX_IDENTITY: usize = REFERENCE_LENGTH + 8 + 2 + 2 * (1 + MAX_NAME);

/// Bytes of an identity without its names: what suffices to address a member.
pub(super) const REFERENCE_LENGTH: usize = 16 + 8 + 2 + 16 + 2;

/// One life of a node, as the members of the cluster know it.
///
/// Two identities are equal when they are the same life: UUID, generation and renewal. The
/// rest describes it, and may be known to one member better than to another: where a node
/// is, for one, depends on who asks.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The node.
    pub uuid: Uuid,
    /// Count of its starts: the higher one replaces the lower one.
    pub generation: u64,
    /// How often it came back within this generation after it had been declared down, as
    /// after a freeze or a partition.
    pub renewal: u16,
    /// The host it lives on: equal for nodes on one kernel.
    pub host: u64,
    /// Its gossip address, TCP and UDP.
    pub gossip: SocketAddr,
    /// Its HTTP port, on the same address.
    pub http_port: u16,
    /// Name and enclave.
    pub names: Arc<Names>,
    /// How this life ended, when that is known. It travels with the news that the member is
    /// down.
    pub fate: Option<Fate>,
}

/// What a member is called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Human name, at most [`MAX_NAME`] bytes.
    pub node_id: String,
    /// Enclave, at most [`MAX_NAME`] bytes.
    pub enclave: String,
}

/// How a life ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// The process is gone: its supervisor says so.
    Died,
    /// It said that it leaves.
    Left,
}

/// What one member says of another: identity, incarnation and SWIM state.
pub type Update = foca::Member<Identity>;

impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        self.life() == other.life()
    }
}

impl Eq for Identity {}

impl Names {
    /// Names of at most [`MAX_NAME`] bytes, cut between characters.
    #[must_use]
    pub fn new(node_id: &str, enclave: &str) -> Self {
        Self {
            node_id: cut(node_id).to_owned(),
            enclave: cut(enclave).to_owned(),
        }
    }
}

fn cut(name: &str) -> &str {
    let mut end = name.len().min(MAX_NAME);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}

impl Identity {
    /// What makes two identities equal.
    #[must_use]
    pub const fn life(&self) -> (Uuid, u64, u16) {
        (self.uuid, self.generation, self.renewal)
    }

    /// Where its HTTP API is.
    #[must_use]
    pub const fn http(&self) -> SocketAddr {
        SocketAddr::new(self.gossip.ip(), self.http_port)
    }

    /// The same identity as heard from `source`: a loopback address means the host of who
    /// says it, so for a listener elsewhere it is replaced by the source's own.
    #[must_use]
    pub fn heard_from(mut self, source: IpAddr) -> Self {
        if self.gossip.ip().is_loopback() && !source.is_loopback() {
            self.gossip.set_ip(source);
        }
        self
    }

    /// Writes the whole identity.
    pub fn encode(&self, out: &mut impl BufMut) {
        self.encode_reference(out);
        out.put_u64(self.host);
        out.put_u16(self.http_port);
        for name in [&self.names.node_id, &self.names.enclave] {
            // At most MAX_NAME bytes, see `Names::new` and `decode`.
            out.put_u8(u8::try_from(name.len()).unwrap_or(0));
            out.put_slice(name.as_bytes());
        }
    }

    /// Reads what [`Identity::encode`] wrote.
    ///
    /// # Errors
    /// When the bytes are not an identity.
    pub fn decode(reader: &mut Reader) -> Result<Self, Malformed> {
        let mut identity = Self::decode_reference(reader)?;
        identity.host = reader.u64()?;
        identity.http_port = reader.u16()?;
        identity.names = Arc::new(Names {
            node_id: reader.text("node name", MAX_NAME)?,
            enclave: reader.text("enclave", MAX_NAME)?,
        });
        Ok(identity)
    }

    /// Writes what makes it equal to others and where it is, without its names.
    pub fn encode_reference(&self, out: &mut impl BufMut) {
        out.put_slice(self.uuid.as_bytes());
        out.put_u64(self.generation);
        out.put_u16(self.renewal);
        put_address(out, self.gossip);
    }

    /// Reads what [`Identity::encode_reference`] wrote.
    ///
    /// # Errors
    /// When there are too few bytes.
    pub fn decode_reference(reader: &mut Reader) -> Result<Self, Malformed> {
        Ok(Self {
            uuid: reader.uuid()?,
            generation: reader.u64()?,
            renewal: reader.u16()?,
            gossip: take_address(reader)?,
            host: 0,
            http_port: 0,
            names: Arc::default(),
            fate: None,
        })
    }
}

impl foca::Identity for Identity {
    /// A node has one place in the cluster, whatever address it has now: a UUID.
    type Addr = Uuid;

    fn renew(&self) -> Option<Self> {
        let renewal = self.renewal.checked_add(1)?;
        Some(Self {
            renewal,
            fate: None,
            ..self.clone()
        })
    }

    fn addr(&self) -> Uuid {
        self.uuid
    }

    fn win_addr_conflict(&self, adversary: &Self) -> bool {
        (self.generation, self.renewal) > (adversary.generation, adversary.renewal)
    }
}

/// The address as sixteen bytes, and the port.
fn put_address(out: &mut impl BufMut, address: SocketAddr) {
    put_ip(out, address.ip());
    out.put_u16(address.port());
}

fn take_address(reader: &mut Reader) -> Result<SocketAddr, Malformed> {
    Ok(SocketAddr::new(take_ip(reader)?, reader.u16()?))
}

/// Writes an address as sixteen bytes, IPv4 mapped into IPv6.
pub fn put_ip(out: &mut impl BufMut, ip: IpAddr) {
    let ip = match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    out.put_slice(&ip.octets());
}

/// Reads what [`put_ip`] wrote.
///
/// # Errors
/// When there are too few bytes.
pub fn take_ip(reader: &mut Reader) -> Result<IpAddr, Malformed> {
    let ip = Ipv6Addr::from(reader.array::<16>()?);
    Ok(IpAddr::V6(ip).to_canonical())
}

#[cfg(test)]
pub(crate) mod tests {
    use bytes::{Bytes, BytesMut};
    use foca::Identity as _;
    use proptest::prelude::*;

    use super::*;

    /// The identity of test node `number`.
    pub(crate) fn identity(number: u16, generation: u64) -> Identity {
        Identity {
            uuid: Uuid::from_u128(0x1000 + u128::from(number)),
            generation,
            renewal: 0,
            host: 7,
            gossip: SocketAddr::from(([127, 0, 0, 1], 9000 + number)),
            http_port: 8000 + number,
            names: Arc::new(Names::new(&format!("flux-node-{number}"), "default")),
            fate: None,
        }
    }

    fn encoded(identity: &Identity) -> Bytes {
        let mut out = BytesMut::new();
        identity.encode(&mut out);
        out.freeze()
    }

    #[test]
    fn names_are_cut_between_characters() {
        let names = Names::new(&"é".repeat(40), &"x".repeat(64));
        assert_eq!((names.node_id.len(), names.enclave.len()), (64, 64));
        let names = Names::new(&format!("x{}", "é".repeat(40)), "");
        assert_eq!(names.node_id.len(), 63);
    }

    #[test]
    fn a_higher_life_wins() {
        let (old, new) = (identity(1, 4), identity(1, 5));
        assert!(new.win_addr_conflict(&old) && !old.win_addr_conflict(&new));
        let renewed = old.renew().expect("a renewal");
        assert!(renewed.win_addr_conflict(&old) && new.win_addr_conflict(&renewed));
        assert_ne!(renewed, old);
        assert_eq!(
            Identity {
                renewal: u16::MAX,
                ..old
            }
            .renew(),
            None
        );
    }

    #[test]
    fn loopback_is_taken_for_the_speaker() {
        let far: IpAddr = "10.1.2.3".parse().expect("an address");
        let near: IpAddr = "127.0.0.1".parse().expect("an address");
        let heard = |identity: Identity, source| identity.heard_from(source).gossip.ip();
        assert_eq!(heard(identity(1, 1), far), far);
        assert_eq!(heard(identity(1, 1), near), near);
        let public = Identity {
            gossip: "192.0.2.9:9".parse().expect("one"),
            ..identity(1, 1)
        };
        assert_eq!(heard(public.clone(), far), public.gossip.ip());
    }

    proptest! {
        #[test]
        fn survives_the_wire(
            (uuid, generation, renewal) in any::<(u128, u64, u16)>(),
            (host, http_port, gossip) in any::<(u64, u16, SocketAddr)>(),
            (node_id, enclave) in any::<(String, String)>(),
        ) {
            let gossip = SocketAddr::new(gossip.ip().to_canonical(), gossip.port());
            let names = Arc::new(Names::new(&node_id, &enclave));
            let uuid = Uuid::from_u128(uuid);
            let identity =
                Identity { uuid, generation, renewal, host, gossip, http_port, names, fate: None };
            let bytes = encoded(&identity);
            prop_assert!(bytes.len() <= MAX_IDENTITY);
            let mut reader = Reader::new(bytes);
            let decoded = Identity::decode(&mut reader).expect("an identity");
            prop_assert_eq!(reader.finish(), Ok(()));
            prop_assert_eq!(&decoded, &identity);
            prop_assert_eq!(decoded.gossip, identity.gossip);
            prop_assert_eq!((decoded.host, decoded.http_port), (host, http_port));
            prop_assert_eq!(decoded.names, identity.names);
        }

        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut reader = Reader::new(Bytes::from(bytes));
            let _ = Identity::decode(&mut reader);
        }
    }
}
