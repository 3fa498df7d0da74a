//! One listening TCP socket whose port stays ours while its door is closed.
//!
//! # Why SO_REUSEADDR comes and goes
//! Without SO_REUSEADDR, connections of an earlier run that are still in TIME_WAIT block
//! the bind for a minute. With it, a socket that is bound but does not listen can be
//! robbed: another process with SO_REUSEADDR may bind and listen on the same port. So the
//! option is set whenever the socket listens or is about to (a second bind on a listening
//! port fails whatever its options, see socket(7) and tcp(7)) and cleared before it stops.
//! SO_REUSEPORT, which would let two sockets listen, is never set.
//!
//! # Why O_NONBLOCK stays off
//! The flag belongs to the open file description, which supervisor and child share: what
//! one sets, the other sees. Programs that take sockets by `LISTEN_FDS` expect them
//! blocking, as systemd passes them by default, and a runtime that wants the flag sets it
//! for itself, as our own node does. Therefore sockets are created blocking, and
//! [`HeldListener::prepare_handover`] clears the flag that an earlier holder (the previous
//! process, or a claimant that answered on the socket itself) may have left.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// Connections that wait while nobody accepts, per listening socket.
///
/// A node restarts within tens of milliseconds; 1024 covers 50 ms at 20,000 new
/// connections per second, and a full queue holds about 3 MiB of kernel memory, which a
/// container of 64 MiB survives. The kernel lowers it to `net.core.somaxconn`.
pub const BACKLOG: i32 = 1024;

/// A TCP socket that is bound for as long as this value lives.
///
/// It listens while its *door* is open. A closed door refuses new connections at once,
/// resets those that waited in the queue, and keeps the port. Every other holder of the
/// same socket then gets EINVAL from `accept` until the door opens again.
#[derive(Debug)]
pub struct HeldListener {
    socket: Socket,
}

impl HeldListener {
    /// Binds `address`, whose port is not 0, and listens: the door is open.
    ///
    /// An IPv6 wildcard also takes all IPv4 addresses of the port; other IPv6 addresses
    /// stay apart from IPv4. The descriptor is close-on-exec.
    ///
    /// # Errors
    /// What the kernel says. The port is ours only after success, because two sockets
    /// with SO_REUSEADDR can both be bound; only one of them can listen.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        set_stack(&socket, address)?;
        socket.set_reuse_address(true)?;
        socket.bind(&SockAddr::from(address))?;
        socket.listen(BACKLOG)?;
        Ok(Self { socket })
    }

    /// Refuses connections from now on, and keeps the port. Closing twice is harmless.
    ///
    /// # Errors
    /// What the kernel says; the door may then still be open.
    pub fn close_door(&self) -> io::Result<()> {
        self.socket.set_reuse_address(false)?;
        match self.socket.shutdown(Shutdown::Both) {
            // It did not listen: the door was closed already.
            Err(error) if is(&error, Errno::ENOTCONN) => Ok(()),
            other => other,
        }
    }

    /// Accepts connections into the queue again. Opening twice is harmless.
    ///
    /// # Errors
    /// What the kernel says; EADDRINUSE when another process took the port in the moment
    /// between setting SO_REUSEADDR and `listen`. The door is then as closed as before.
    pub fn open_door(&self) -> io::Result<()> {
        // Needed again: connections of the time before the door closed may be alive or in
        // TIME_WAIT, and `listen` checks the port against them.
        self.socket.set_reuse_address(true)?;
        self.socket.listen(BACKLOG).inspect_err(|_| {
            // The first error is the one that matters; a second cannot add to it.
            let _ = self.socket.set_reuse_address(false);
        })
    }

    /// Whether the socket listens, as the kernel sees it.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn is_open(&self) -> io::Result<bool> {
        self.socket.is_listener()
    }

    /// Clears O_NONBLOCK, for the process that inherits the socket next.
    ///
    /// Call it when no other process uses the socket: the flag is shared.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn prepare_handover(&self) -> io::Result<()> {
        self.socket.set_nonblocking(false)
    }

    /// Sets O_NONBLOCK, for a socket that several processes accept on at the same time: a
    /// connection that woke all of them is there for one only.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn set_nonblocking(&self) -> io::Result<()> {
        self.socket.set_nonblocking(true)
    }

    /// The listener, for a process that accepts on it itself.
    #[must_use]
    pub fn into_std(self) -> TcpListener {
        self.socket.into()
    }
}

impl AsFd for HeldListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Says whether an IPv6 socket serves IPv4 too; the default depends on the machine's
/// `net.ipv6.bindv6only`.
pub(crate) fn set_stack(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    match address {
        SocketAddr::V4(_) => Ok(()),
        SocketAddr::V6(address) => socket.set_only_v6(!address.ip().is_unspecified()),
    }
}

pub(crate) fn is(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno as i32)
}
