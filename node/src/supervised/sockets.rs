//! Sockets that somebody else bound, as systemd passes them (sd_listen_fds(3)).

use std::io;
use std::net::{TcpListener, UdpSocket};

use listenfd::ListenFd;
use tracing::warn;

/// Names of the sockets, in the order in which they come when LISTEN_FDNAMES is absent.
const NAMES: [&str; 4] = ["http", "gossip", "gossip-udp", "ingress"];

/// Sockets that somebody else bound and may share with us.
#[derive(Debug)]
pub struct InheritedSockets {
    /// HTTP, listening unless its door is closed.
    pub http: TcpListener,
    /// Gossip streams.
    pub gossip: TcpListener,
    /// Gossip datagrams, on the port of `gossip`.
    pub gossip_udp: UdpSocket,
    /// The port that all nodes of the supervisor share.
    pub ingress: Option<TcpListener>,
}

/// Why inherited sockets cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InheritError {
    /// A socket is not among them.
    #[error("no socket named {name} was passed; LISTEN_FDNAMES is {names:?}")]
    Missing {
        /// The socket's name.
        name: &'static str,
        /// The names that were passed.
        names: String,
    },
    /// A socket is of another kind.
    #[error("the socket named {name} is not of the right kind")]
    Kind {
        /// The socket's name.
        name: &'static str,
        /// What it is instead.
        #[source]
        source: io::Error,
    },
    /// No socket for datagrams was passed, and it cannot be had.
    #[error("no socket named gossip-udp was passed, and the UDP port of gossip cannot be bound")]
    Datagrams(#[source] io::Error),
}

/// Takes the sockets that LISTEN_FDS and LISTEN_FDNAMES name; `None` when there are none
/// for this process. To be called once, before any thread is started.
///
/// # Errors
/// When some were passed, but not those that a node needs.
pub fn inherit_sockets() -> Result<Option<InheritedSockets>, InheritError> {
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut passed = ListenFd::from_env();
    if passed.len() == 0 {
        return Ok(None);
    }
    let position = |name: &str| position(&names, name);
    for name in names.split(':').filter(|name| !names_one(name)) {
        warn!(name, "a socket was passed that a node has no use for");
    }
    let mut listener = |name: &'static str| match position(name) {
        Some(index) => passed
            .take_tcp_listener(index)
            .map_err(|source| InheritError::Kind { name, source }),
        None => Ok(None),
    };
    let missing = |name: &'static str| InheritError::Missing {
        name,
        names: names.clone(),
    };
    let http = listener("http")?.ok_or_else(|| missing("http"))?;
    let gossip = listener("gossip")?.ok_or_else(|| missing("gossip"))?;
    let ingress = listener("ingress")?;
    let gossip_udp = match position("gossip-udp") {
        Some(index) => passed
            .take_udp_socket(index)
            .map_err(|source| InheritError::Kind {
                name: "gossip-udp",
                source,
            })?,
        None => None,
    };
    let gossip_udp = match gossip_udp {
        Some(socket) => socket,
        // systemd-socket-activate(1) passes either streams or datagrams.
        None => datagrams_beside(&gossip).map_err(InheritError::Datagrams)?,
    };
    Ok(Some(InheritedSockets {
        http,
        gossip,
        gossip_udp,
        ingress,
    }))
}

/// A socket for datagrams on the address of one for streams.
fn datagrams_beside(streams: &TcpListener) -> io::Result<UdpSocket> {
    UdpSocket::bind(streams.local_addr()?)
}

/// The place of a name in LISTEN_FDNAMES, or in [`NAMES`] when that says nothing.
fn position(names: &str, name: &str) -> Option<usize> {
    if names.is_empty() {
        NAMES.iter().position(|known| *known == name)
    } else {
        names.split(':').position(|given| given == name)
    }
}

fn names_one(name: &str) -> bool {
    name.is_empty() || NAMES.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_found_by_name_or_else_by_order() {
        let check = |names, expect: [Option<usize>; 4]| {
            assert_eq!(NAMES.map(|name| position(names, name)), expect, "{names}");
        };
        check("", [Some(0), Some(1), Some(2), Some(3)]);
        check("http:gossip:gossip-udp", [Some(0), Some(1), Some(2), None]);
        check(
            "x:gossip-udp:gossip:http:ingress",
            [Some(3), Some(2), Some(1), Some(4)],
        );
    }
}
