//! The receiving end of sd_notify(3): one socket for each process of a node.
//!
//! The socket has an abstract name, which needs no folder that can be written and leaves
//! nothing behind. A new process of a node gets a new socket, so that a late message of
//! the old one cannot be taken for the new one's.

use std::io::{self, IoSliceMut};
use std::os::fd::{AsRawFd, RawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram as StdDatagram};

use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::sockopt::PassCred;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, UnixCredentials, recvmsg, setsockopt};
use tokio::io::Interest;
use tokio::net::UnixDatagram;

use crate::fleet::Notice;

/// Largest message that is read; longer ones are ignored as a whole. systemd's own limit.
const MESSAGE_MAX: usize = 4096;

/// Descriptors in one message that are closed properly; the kernel drops the rest.
const DESCRIPTORS_MAX: usize = 8;

/// The socket by which one process of a node notifies.
#[derive(Debug)]
pub struct NotifySocket {
    socket: UnixDatagram,
    name: String,
    uid: u32,
}

impl NotifySocket {
    /// A new socket with a name that nobody can guess.
    ///
    /// # Errors
    /// When the system has no descriptors left.
    pub fn open() -> io::Result<Self> {
        let name = format!("repram-notify/{}", uuid::Uuid::new_v4());
        let socket = StdDatagram::bind_addr(&SocketAddr::from_abstract_name(&name)?)?;
        socket.set_nonblocking(true)?;
        setsockopt(&socket, PassCred, &true)?;
        let uid = nix::unistd::geteuid().as_raw();
        Ok(Self {
            socket: UnixDatagram::from_std(socket)?,
            name,
            uid,
        })
    }

    /// The value of NOTIFY_SOCKET; `@` stands for the zero byte of an abstract name.
    #[must_use]
    pub fn address(&self) -> String {
        format!("@{}", self.name)
    }

    /// The next message of a sender who may speak for the node: our user or root.
    ///
    /// # Errors
    /// When the socket is broken; it is of no more use then.
    pub async fn next(&self) -> io::Result<Vec<Notice>> {
        loop {
            let received = self
                .socket
                .async_io(Interest::READABLE, || self.receive())
                .await?;
            if let Some(text) = received {
                return Ok(parse(&text));
            }
        }
    }

    /// One message; none when the sender may not speak or the message is too long.
    fn receive(&self) -> io::Result<Option<String>> {
        let mut buffer = [0; MESSAGE_MAX];
        let mut control = cmsg_space!(UnixCredentials, [i32; DESCRIPTORS_MAX]);
        let mut parts = [IoSliceMut::new(&mut buffer)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC | MsgFlags::MSG_DONTWAIT;
        let message = recvmsg::<()>(
            self.socket.as_raw_fd(),
            &mut parts,
            Some(&mut control),
            flags,
        );
        let message = match message {
            Err(Errno::EINTR) => return Ok(None),
            other => other?,
        };
        let (length, truncated) = (message.bytes, message.flags.contains(MsgFlags::MSG_TRUNC));
        let mut allowed = false;
        for part in message.cmsgs()? {
            match part {
                ControlMessageOwned::ScmCredentials(sender) => {
                    allowed = sender.uid() == self.uid || sender.uid() == 0;
                }
                ControlMessageOwned::ScmRights(descriptors) => close_all(descriptors),
                _ => {}
            }
        }
        let text = std::str::from_utf8(&buffer[..length]).ok();
        Ok(text.filter(|_| allowed && !truncated).map(str::to_owned))
    }
}

/// Closes what came with a message. Nothing is stored for anybody; and whoever waits on a
/// `BARRIER=1` learns by this that all its messages before were received.
fn close_all(descriptors: Vec<RawFd>) {
    for fd in descriptors {
        let _ = nix::unistd::close(fd);
    }
}

/// The assignments of one message that mean something to us, in their order.
fn parse(text: &str) -> Vec<Notice> {
    text.lines()
        .filter_map(|line| match line.split_once('=')? {
            ("READY", "1") => Some(Notice::Ready),
            ("STOPPING", "1") => Some(Notice::Stopping),
            ("WATCHDOG", "1") => Some(Notice::Watchdog),
            ("WATCHDOG", "trigger") => Some(Notice::WatchdogTrigger),
            ("STATUS", status) => Some(Notice::Status(status.to_owned())),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use nix::sys::socket::{ControlMessage, sendmsg};

    use super::*;

    #[test]
    fn assignments_are_read_line_by_line_and_unknown_ones_ignored() {
        let check = |text: &str, expect: &[Notice]| assert_eq!(parse(text), expect, "{text:?}");
        check("READY=1", &[Notice::Ready]);
        check("READY=0\nMAINPID=7\n\nX", &[]);
        check(
            "STATUS=a=b\nREADY=1\n",
            &[Notice::Status("a=b".into()), Notice::Ready],
        );
        check(
            "STOPPING=1\nWATCHDOG=1\nWATCHDOG=trigger",
            &[Notice::Stopping, Notice::Watchdog, Notice::WatchdogTrigger],
        );
    }

    fn sender(to: &NotifySocket) -> StdDatagram {
        let socket = StdDatagram::unbound().expect("a socket");
        let address = SocketAddr::from_abstract_name(&to.name).expect("a good name");
        socket.connect_addr(&address).expect("connects");
        socket
    }

    #[tokio::test]
    async fn messages_come_in_their_order() {
        let socket = NotifySocket::open().expect("opens");
        let sender = sender(&socket);
        sender.send(b"STATUS=warming up").expect("sent");
        sender.send(b"READY=1").expect("sent");
        assert_eq!(
            socket.next().await.expect("read"),
            [Notice::Status("warming up".into())]
        );
        assert_eq!(socket.next().await.expect("read"), [Notice::Ready]);
    }

    #[tokio::test]
    async fn what_is_too_long_or_no_text_is_skipped() {
        let socket = NotifySocket::open().expect("opens");
        let sender = sender(&socket);
        sender.send(&[b'x'; MESSAGE_MAX + 1]).expect("sent");
        sender.send(b"READY=1\n\xff").expect("sent");
        sender.send(b"WATCHDOG=1").expect("sent");
        assert_eq!(socket.next().await.expect("read"), [Notice::Watchdog]);
    }

    #[tokio::test]
    async fn a_barrier_is_lifted_by_closing_its_descriptor() {
        let socket = NotifySocket::open().expect("opens");
        let sender = sender(&socket);
        let (ours, theirs) = StdDatagram::pair().expect("a pair");
        let rights = [theirs.as_raw_fd()];
        let text = [io::IoSlice::new(b"BARRIER=1")];
        let control = [ControlMessage::ScmRights(&rights)];
        sendmsg::<()>(
            sender.as_fd().as_raw_fd(),
            &text,
            &control,
            MsgFlags::empty(),
            None,
        )
        .expect("sent");
        drop(theirs);
        assert_eq!(socket.next().await.expect("read"), []);
        // Nobody holds the other end any more.
        let error = ours.send(b"x").expect_err("the peer is gone");
        assert!(
            matches!(
                error.kind(),
                io::ErrorKind::ConnectionRefused | io::ErrorKind::NotConnected
            ),
            "{error}"
        );
    }
}
