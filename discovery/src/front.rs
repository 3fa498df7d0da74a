//! The front port: one listening socket that several processes accept on.
//!
//! Who holds it decides whether its door is open; the processes that inherit it only accept.
//! The socket is non-blocking for all of them from the beginning, unlike that of a slot: the
//! flag is shared, and one of them that made it blocking would make the others hang, because
//! a connection that woke them all is there for one only.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};

use crate::held::HeldListener;
use crate::sockets::{no_such_address, reachable_wildcard};

/// A port that could not be had.
#[derive(Debug, thiserror::Error)]
#[error("front port on {address}")]
pub struct FrontPortTaken {
    /// The address that was tried. `[::1]` when a stranger sits behind `localhost` of a port
    /// on `127.0.0.1`.
    pub address: SocketAddr,
    /// What the kernel said.
    #[source]
    pub source: io::Error,
}

/// The port is ours for as long as this value lives.
#[derive(Debug)]
pub struct FrontPort {
    listener: HeldListener,
    port: u16,
    /// `[::1]` beside `127.0.0.1`, so that nobody else answers at `localhost`.
    _guard: Option<HeldListener>,
}

impl FrontPort {
    /// Binds `port` at the address `bind`, with a closed door: nobody accepts yet.
    ///
    /// With `::` it is one dual-stack socket; where the kernel has no IPv6 it is `0.0.0.0`
    /// instead.
    ///
    /// # Errors
    /// [`FrontPortTaken`]. Nothing stays bound.
    pub fn bind(bind: IpAddr, port: u16) -> Result<Self, FrontPortTaken> {
        let bind = reachable_wildcard(bind);
        let take = |ip: IpAddr| {
            let address = SocketAddr::new(ip, port);
            let taken = HeldListener::bind(address).and_then(|listener| {
                listener.close_door()?;
                listener.set_nonblocking()?;
                Ok(listener)
            });
            taken.map_err(|source| FrontPortTaken { address, source })
        };
        let listener = take(bind)?;
        let guard = match bind {
            IpAddr::V4(Ipv4Addr::LOCALHOST) => match take(Ipv6Addr::LOCALHOST.into()) {
                Err(taken) if no_such_address(&taken.source) => None,
                other => Some(other?),
            },
            _ => None,
        };
        Ok(Self {
            listener,
            port,
            _guard: guard,
        })
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Accepts connections into the queue, or refuses them and keeps the port. Saying it
    /// twice is harmless.
    ///
    /// # Errors
    /// What the kernel says. EADDRINUSE on opening means that the port was lost.
    pub fn set_open(&self, open: bool) -> io::Result<()> {
        if open {
            self.listener.open_door()
        } else {
            self.listener.close_door()
        }
    }
}

impl AsFd for FrontPort {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// A front port on 127.0.0.1. Somebody may be faster to take a port that was free.
    fn front() -> FrontPort {
        let taken = (0..100).find_map(|_| {
            let free = TcpListener::bind("127.0.0.1:0").ok()?.local_addr().ok()?;
            FrontPort::bind(free.ip(), free.port()).ok()
        });
        taken.expect("one of a hundred ports is free")
    }

    fn connect(front: &FrontPort) -> io::Result<TcpStream> {
        TcpStream::connect((Ipv4Addr::LOCALHOST, front.port()))
    }

    #[test]
    fn the_door_is_closed_until_it_is_opened_and_the_port_is_held_all_the_time() {
        let front = front();
        for _ in 0..3 {
            assert!(connect(&front).is_err());
            let stolen = FrontPort::bind(Ipv4Addr::LOCALHOST.into(), front.port());
            let stolen = stolen.expect_err("it is ours");
            assert_eq!(stolen.source.kind(), io::ErrorKind::AddrInUse);
            front.set_open(true).expect("nobody came between");
            front.set_open(true).expect("twice is harmless");
            connect(&front).expect("the door is open");
            front.set_open(false).expect("it can be closed");
            front.set_open(false).expect("twice is harmless");
        }
    }

    #[test]
    fn accepting_never_blocks() {
        let front = front();
        front.set_open(true).expect("nobody came between");
        let copy = front.as_fd().try_clone_to_owned().expect("can be copied");
        let error = TcpListener::from(copy).accept().expect_err("nobody came");
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn nobody_sits_behind_localhost() {
        let front = front();
        let other = TcpListener::bind((Ipv6Addr::LOCALHOST, front.port()));
        // Without IPv6 the address does not exist.
        assert!(other.is_err());
    }
}
