//! Addresses, and ports as the outside sees them.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::text::is_host;
use super::{Kind, Port, Rejected, TomlType};

/// An IP address.
pub(crate) struct Address;

impl Kind for Address {
    type Value = IpAddr;

    fn parse(&self, text: &str) -> Result<IpAddr, Rejected> {
        text.trim().parse().map_err(|_| Rejected::WHOLE)
    }

    fn write(&self, value: &IpAddr) -> Option<String> {
        Some(value.to_string())
    }

    fn allowed(&self) -> String {
        "an IP address, such as 127.0.0.1, or :: for all".to_owned()
    }

    fn toml_types(&self) -> &'static [TomlType] {
        &[TomlType::String]
    }
}

/// An IP address with a port.
pub(crate) struct Socket;

impl Kind for Socket {
    type Value = SocketAddr;

    fn parse(&self, text: &str) -> Result<SocketAddr, Rejected> {
        match text.trim().parse::<SocketAddr>() {
            Ok(address) if address.port() != 0 => Ok(address),
            Ok(_) | Err(_) => Err(Rejected::WHOLE),
        }
    }

    fn write(&self, value: &SocketAddr) -> Option<String> {
        Some(value.to_string())
    }

    fn allowed(&self) -> String {
        "an IP address with a port, such as 127.0.0.1:9000 or [::]:9000".to_owned()
    }

    fn toml_types(&self) -> &'static [TomlType] {
        &[TomlType::String]
    }
}

/// Where a peer answers HTTP.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerAddress {
    /// A name or an IP address, IPv6 without brackets.
    pub host: String,
    /// The HTTP port; never 0.
    pub port: u16,
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// The kind of [`PeerAddress`].
pub(crate) struct Peer;

impl Kind for Peer {
    type Value = PeerAddress;

    fn parse(&self, text: &str) -> Result<PeerAddress, Rejected> {
        let (host, port) = text.trim().rsplit_once(':').ok_or(Rejected::WHOLE)?;
        let port = Port.parse(port)?;
        let bracketed = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let well = match bracketed {
            Some(host) => host.parse::<Ipv6Addr>().is_ok(),
            None => !host.contains(':') && is_host(host),
        };
        let host = bracketed.unwrap_or(host).to_owned();
        if well {
            Ok(PeerAddress { host, port })
        } else {
            Err(Rejected::WHOLE)
        }
    }

    fn write(&self, value: &PeerAddress) -> Option<String> {
        Some(value.to_string())
    }

    fn allowed(&self) -> String {
        "host:port, such as peer.example:8081 or [::1]:8081".to_owned()
    }

    fn toml_types(&self) -> &'static [TomlType] {
        &[TomlType::String]
    }
}

/// A port that outsiders reach under another number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AdvertisedPort {
    /// The port on which a node listens; never 0.
    pub container: u16,
    /// The port that a peer elsewhere must use; never 0.
    pub public: u16,
}

impl fmt::Display for AdvertisedPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.container, self.public)
    }
}

/// The kind of [`AdvertisedPort`].
pub(crate) struct Advertised;

impl Kind for Advertised {
    type Value = AdvertisedPort;

    fn parse(&self, text: &str) -> Result<AdvertisedPort, Rejected> {
        let (container, public) = text.split_once(':').ok_or(Rejected::WHOLE)?;
        Ok(AdvertisedPort {
            container: Port.parse(container)?,
            public: Port.parse(public)?,
        })
    }

    fn write(&self, value: &AdvertisedPort) -> Option<String> {
        Some(value.to_string())
    }

    fn allowed(&self) -> String {
        "container:public port numbers, such as 8081:30081".to_owned()
    }

    fn toml_types(&self) -> &'static [TomlType] {
        &[TomlType::String]
    }
}

#[cfg(test)]
mod tests {
    use super::super::List;
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Option<&str>) {
        let read = Peer.parse(text).ok().map(|peer| peer.to_string());
        assert_eq!(read.as_deref(), expect, "{text:?}");
    }

    #[test]
    fn peers() {
        check("localhost:8081", Some("localhost:8081"));
        check("10.0.0.1:8081", Some("10.0.0.1:8081"));
        check("[::1]:8081", Some("[::1]:8081"));
        check("localhost", None);
        check("localhost:0", None);
        check("localhost:http", None);
        check("::1:8081", None);
        check("[localhost]:8081", None);
        check("http://localhost:8081", None);
        check(":8081", None);
    }

    #[test]
    fn lists_name_the_item_that_is_wrong() {
        let read = |text| List(Advertised).parse(text);
        let pair = |container, public| AdvertisedPort { container, public };
        assert_eq!(
            read("8081:30081, 9081:30082,"),
            Ok(vec![pair(8081, 30081), pair(9081, 30082)])
        );
        assert_eq!(read(""), Ok(vec![]));
        let rejected = Rejected {
            part: Some("9081".to_owned()),
        };
        assert_eq!(read("8081:30081,9081"), Err(rejected));
    }

    #[test]
    fn sockets_have_a_port() {
        assert!(Socket.parse("127.0.0.1:9000").is_ok());
        assert!(Socket.parse("127.0.0.1:0").is_err());
        assert!(Socket.parse("127.0.0.1").is_err());
        assert!(Socket.parse("localhost:9000").is_err());
    }
}
