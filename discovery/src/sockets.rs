//! The sockets of a slot, held together.
//!
//! A slot is ours when all its sockets are: HTTP (TCP), gossip (TCP) and gossip (UDP), in
//! this order, and the TCP ones listen. If one cannot be had, those before it are let go.
//!
//! On `127.0.0.1` the two TCP ports of `[::1]` are taken as well, with closed doors:
//! `localhost` may resolve to either, and nobody else is to answer there.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::held::{HeldListener, is, set_stack};
use crate::slot::Slot;

/// Which socket of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SocketKind {
    /// HTTP, TCP.
    Http,
    /// Gossip streams, TCP.
    Gossip,
    /// Gossip datagrams, UDP.
    GossipUdp,
}

impl fmt::Display for SocketKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "HTTP",
            Self::Gossip => "gossip TCP",
            Self::GossipUdp => "gossip UDP",
        })
    }
}

/// A slot that could not be had, and the first of its sockets that failed.
#[derive(Debug, thiserror::Error)]
#[error("slot {}: {socket} on {address}", slot.index)]
pub struct SlotTaken {
    /// The slot that was tried.
    pub slot: Slot,
    /// The socket that failed.
    pub socket: SocketKind,
    /// The address that it was to be bound to. `[::1]` when a stranger sits behind
    /// `localhost` of a slot on `127.0.0.1`.
    pub address: SocketAddr,
    /// What the kernel said.
    #[source]
    pub source: io::Error,
}

impl SlotTaken {
    /// The port that could not be had.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Whether somebody holds the port, in contrast to a port that this process may not
    /// use or an address that this machine does not have.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        self.source.kind() == io::ErrorKind::AddrInUse
    }
}

/// All sockets of a slot. The ports are ours for as long as this value lives, over any
/// number of processes that inherit the sockets.
#[derive(Debug)]
pub struct SlotSockets {
    slot: Slot,
    http: HeldListener,
    gossip: HeldListener,
    gossip_udp: Socket,
    guard: LoopbackGuard,
}

/// The ports of `[::1]` beside a slot on `127.0.0.1`; empty for any other address.
/// Keep it as long as the slot.
#[derive(Debug, Default)]
#[must_use = "dropping it lets strangers behind localhost"]
pub struct LoopbackGuard {
    _held: Vec<HeldListener>,
}

/// The sockets of a slot, for a process that uses them itself.
#[derive(Debug)]
pub struct SlotParts {
    /// The slot they belong to.
    pub slot: Slot,
    /// HTTP; blocking, listening.
    pub http: TcpListener,
    /// Gossip streams; blocking, listening.
    pub gossip: TcpListener,
    /// Gossip datagrams; blocking.
    pub gossip_udp: UdpSocket,
    /// To be kept as long as the sockets.
    pub guard: LoopbackGuard,
}

impl SlotSockets {
    /// Binds and listens on all sockets of `slot` at the address `bind`, or on none.
    ///
    /// With `::` each is one dual-stack socket; where the kernel has no IPv6 it is
    /// `0.0.0.0` instead. All descriptors are close-on-exec and blocking (see
    /// [`crate::held`]).
    ///
    /// # Errors
    /// [`SlotTaken`] names the first socket that could not be had. Nothing stays bound.
    pub fn bind(bind: IpAddr, slot: Slot) -> Result<Self, SlotTaken> {
        let bind = reachable_wildcard(bind);
        let taken = |socket, address| {
            move |source| SlotTaken {
                slot,
                socket,
                address,
                source,
            }
        };

        let address = SocketAddr::new(bind, slot.http);
        let http = HeldListener::bind(address).map_err(taken(SocketKind::Http, address))?;
        let address = SocketAddr::new(bind, slot.gossip);
        let gossip = HeldListener::bind(address).map_err(taken(SocketKind::Gossip, address))?;
        let gossip_udp = bind_udp(address).map_err(taken(SocketKind::GossipUdp, address))?;
        let guard = LoopbackGuard::bind(bind, slot)?;
        Ok(Self {
            slot,
            http,
            gossip,
            gossip_udp,
            guard,
        })
    }

    /// The slot that is held.
    #[must_use]
    pub fn slot(&self) -> Slot {
        self.slot
    }

    /// The HTTP socket.
    #[must_use]
    pub fn http(&self) -> BorrowedFd<'_> {
        self.http.as_fd()
    }

    /// The gossip TCP socket.
    #[must_use]
    pub fn gossip(&self) -> BorrowedFd<'_> {
        self.gossip.as_fd()
    }

    /// The gossip UDP socket. It has no door: datagrams queue, bounded by its receive
    /// buffer, until somebody reads and drops what is stale.
    #[must_use]
    pub fn gossip_udp(&self) -> BorrowedFd<'_> {
        self.gossip_udp.as_fd()
    }

    /// Refuses connections on both TCP ports from now on, and keeps the ports.
    ///
    /// # Errors
    /// The first failure; both ports were tried.
    pub fn close_door(&self) -> io::Result<()> {
        self.http.close_door().and(self.gossip.close_door())
    }

    /// Refuses connections on the gossip port alone from now on, and keeps the port. For a
    /// slot without a node, on whose HTTP port somebody else answers meanwhile.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn close_gossip_door(&self) -> io::Result<()> {
        self.gossip.close_door()
    }

    /// Accepts connections into the queues again.
    ///
    /// # Errors
    /// The first failure, after which the doors of both ports are closed: a node is
    /// reachable with both or with none. EADDRINUSE means that the port was lost.
    pub fn open_door(&self) -> io::Result<()> {
        self.http
            .open_door()
            .and_then(|()| self.gossip.open_door())
            .inspect_err(|_| {
                // The caller learns the error that matters; closing is only tidying up.
                let _ = self.close_door();
            })
    }

    /// Whether both TCP ports accept connections into their queues.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn is_open(&self) -> io::Result<bool> {
        Ok(self.http.is_open()? && self.gossip.is_open()?)
    }

    /// Makes all sockets blocking, as the program that inherits them next expects.
    /// To be called before each start, when the previous process is gone.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn prepare_handover(&self) -> io::Result<()> {
        self.http.prepare_handover()?;
        self.gossip.prepare_handover()?;
        self.gossip_udp.set_nonblocking(false)
    }

    /// The sockets themselves, for a process that claimed them for its own use.
    #[must_use]
    pub fn into_parts(self) -> SlotParts {
        SlotParts {
            slot: self.slot,
            http: self.http.into_std(),
            gossip: self.gossip.into_std(),
            gossip_udp: self.gossip_udp.into(),
            guard: self.guard,
        }
    }
}

impl LoopbackGuard {
    /// Takes `[::1]` of both TCP ports when `bind` is `127.0.0.1`.
    ///
    /// Binding by way of an open door looks roundabout, but it is what gets past
    /// connections in TIME_WAIT and proves that nobody else listens. What stays is a bound
    /// socket that neither listens nor has SO_REUSEADDR.
    fn bind(bind: IpAddr, slot: Slot) -> Result<Self, SlotTaken> {
        if bind != IpAddr::V4(Ipv4Addr::LOCALHOST) {
            return Ok(Self::default());
        }
        let mut held = Vec::with_capacity(2);
        for (socket, port) in [
            (SocketKind::Http, slot.http),
            (SocketKind::Gossip, slot.gossip),
        ] {
            let address = SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), port);
            let bound = HeldListener::bind(address).and_then(|listener| {
                listener.close_door()?;
                Ok(listener)
            });
            match bound {
                Ok(listener) => held.push(listener),
                Err(source) if no_such_address(&source) => {}
                Err(source) => {
                    return Err(SlotTaken {
                        slot,
                        socket,
                        address,
                        source,
                    });
                }
            }
        }
        Ok(Self { _held: held })
    }
}

/// `bind`, or `0.0.0.0` for `::` on a kernel without IPv6.
pub(crate) fn reachable_wildcard(bind: IpAddr) -> IpAddr {
    let wants_both = bind == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    if wants_both
        && Socket::new(Domain::IPV6, Type::DGRAM, None).is_err_and(|e| no_such_address(&e))
    {
        return IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    }
    bind
}

/// Without SO_REUSEADDR: two datagram sockets that both have it share a port silently.
fn bind_udp(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    set_stack(&socket, address)?;
    socket.bind(&SockAddr::from(address))?;
    Ok(socket)
}

/// Whether the machine lacks the address family or the address: IPv6 is switched off in
/// the kernel (EAFNOSUPPORT) or on the interface (EADDRNOTAVAIL).
pub(crate) fn no_such_address(error: &io::Error) -> bool {
    is(error, Errno::EAFNOSUPPORT) || is(error, Errno::EADDRNOTAVAIL)
}
