//! The receiving end of sd_notify(3): one socket for each process of a node.
//!
//! A socket is a file in a folder of the supervisor's own, because not every library that
//! notifies knows more than paths. Where no folder can be written, or its path is too long
//! for a socket, it has a name in the abstract namespace, with an `@` in front. A new process of a
//! node gets a new socket, so that a late message of the old one cannot be taken for the
//! new one's.

use std::ffi::OsString;
use std::fs;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram as StdDatagram};

use std::path::{Path, PathBuf};

use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::PassCred;
use repram_discovery::claim::conversation::CONFLICT_VARIABLE;
use repram_discovery::supervised::REFILLED_VARIABLE;
use rustix::cmsg_space;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, recvmsg};
use tokio::io::Interest;
use tokio::net::UnixDatagram;
use uuid::Uuid;

use crate::fleet::Notice;

/// Largest message that is read; longer ones are ignored as a whole. systemd's own limit.
const MESSAGE_MAX: usize = 4096;

/// Descriptors in one message, at most: the kernel's SCM_MAX_FD.
const DESCRIPTORS_MAX: usize = 253;

/// Bytes in a socket's path: `sun_path` in unix(7), less the zero at its end.
const PATH_MAX: usize = 107;

/// Where sockets are made.
#[derive(Debug)]
pub struct NotifySockets {
    folder: Option<PathBuf>,
    opened: u64,
}

impl NotifySockets {
    /// Makes sockets in `notify` below `state_dir`, which belongs to this process alone:
    /// what an earlier one left there is removed. Without a folder they get abstract names.
    #[must_use]
    pub fn below(state_dir: Option<&Path>) -> Self {
        let folder = state_dir.map(|dir| dir.join("notify")).filter(|folder| {
            let _ = fs::remove_dir_all(folder);
            fs::create_dir(folder).is_ok()
        });
        Self { folder, opened: 0 }
    }

    /// A new socket for a process of the node with this name.
    ///
    /// # Errors
    /// When the system has no descriptors left.
    pub fn open(&mut self, node: &str) -> io::Result<NotifySocket> {
        self.opened += 1;
        let path = self
            .folder
            .as_ref()
            .map(|folder| folder.join(format!("{node}.{}", self.opened)));
        let in_folder = path.filter(|path| path.as_os_str().len() <= PATH_MAX);
        match in_folder.map(NotifySocket::in_folder) {
            Some(Ok(socket)) => Ok(socket),
            Some(Err(_)) | None => NotifySocket::without_folder(),
        }
    }
}

/// The socket by which one process of a node notifies.
#[derive(Debug)]
pub struct NotifySocket {
    socket: UnixDatagram,
    name: Name,
    uid: u32,
}

#[derive(Debug)]
enum Name {
    Path(PathBuf),
    Abstract(String),
}

impl NotifySocket {
    fn in_folder(path: PathBuf) -> io::Result<Self> {
        let address = SocketAddr::from_pathname(&path)?;
        Self::bind(&address, Name::Path(path))
    }

    fn without_folder() -> io::Result<Self> {
        // A name that nobody can guess, and so take before us.
        let name = format!("repram-notify/{}", Uuid::new_v4());
        let address = SocketAddr::from_abstract_name(&name)?;
        Self::bind(&address, Name::Abstract(name))
    }

    fn bind(address: &SocketAddr, name: Name) -> io::Result<Self> {
        let socket = StdDatagram::bind_addr(address)?;
        socket.set_nonblocking(true)?;
        setsockopt(&socket, PassCred, &true)?;
        let uid = nix::unistd::geteuid().as_raw();
        Ok(Self {
            socket: UnixDatagram::from_std(socket)?,
            name,
            uid,
        })
    }

    /// The value of NOTIFY_SOCKET.
    #[must_use]
    pub fn address(&self) -> OsString {
        match &self.name {
            Name::Path(path) => path.clone().into(),
            Name::Abstract(name) => format!("@{name}").into(),
        }
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
        let mut parts = [IoSliceMut::new(&mut buffer)];
        let mut space =
            [MaybeUninit::uninit(); cmsg_space!(ScmRights(DESCRIPTORS_MAX), ScmCredentials(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        let message = match recvmsg(&self.socket, &mut parts, &mut control, flags) {
            Err(rustix::io::Errno::INTR) => return Ok(None),
            other => other?,
        };
        let (length, truncated) = (message.bytes, message.flags.contains(ReturnFlags::TRUNC));
        let mut allowed = false;
        for part in control.drain() {
            match part {
                RecvAncillaryMessage::ScmCredentials(sender) => {
                    allowed = sender.uid.as_raw() == self.uid || sender.uid.is_root();
                }
                // Nothing is stored for anybody; and whoever waits on a `BARRIER=1` learns
                // by the closing that all its messages before were received.
                RecvAncillaryMessage::ScmRights(descriptors) => drop(descriptors),
                _ => {}
            }
        }
        let text = std::str::from_utf8(&buffer[..length]).ok();
        Ok(text.filter(|_| allowed && !truncated).map(str::to_owned))
    }
}

impl Drop for NotifySocket {
    fn drop(&mut self) {
        if let Name::Path(path) = &self.name {
            let _ = fs::remove_file(path);
        }
    }
}

/// The assignments of one message that mean something to us, in their order.
#[must_use]
pub fn parse(text: &str) -> Vec<Notice> {
    text.lines()
        .filter_map(|line| match line.split_once('=')? {
            ("READY", "1") => Some(Notice::Ready),
            ("STOPPING", "1") => Some(Notice::Stopping),
            ("WATCHDOG", "1") => Some(Notice::Watchdog),
            ("WATCHDOG", "trigger") => Some(Notice::WatchdogTrigger),
            ("STATUS", status) => Some(Notice::Status(status.to_owned())),
            (REFILLED_VARIABLE, "1") => Some(Notice::Refilled),
            (CONFLICT_VARIABLE, conflict) => conflict.parse().ok().map(Notice::Conflict),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsFd, AsRawFd};

    use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};

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
            "X_REPRAM_CONFLICT=8081 00000000-0000-0000-0000-000000000007\nX_REPRAM_CONFLICT=8081",
            &[Notice::Conflict(
                "8081 00000000-0000-0000-0000-000000000007 settled 0 0"
                    .parse()
                    .expect("a whole notice"),
            )],
        );
        check(
            "STOPPING=1\nWATCHDOG=1\nWATCHDOG=trigger\nX_REPRAM_REFILLED=1",
            &[
                Notice::Stopping,
                Notice::Watchdog,
                Notice::WatchdogTrigger,
                Notice::Refilled,
            ],
        );
    }

    fn sender(to: &NotifySocket) -> StdDatagram {
        let socket = StdDatagram::unbound().expect("a socket");
        let address = match &to.name {
            Name::Path(path) => SocketAddr::from_pathname(path),
            Name::Abstract(name) => SocketAddr::from_abstract_name(name),
        };
        socket
            .connect_addr(&address.expect("a good name"))
            .expect("connects");
        socket
    }

    fn open() -> NotifySocket {
        NotifySockets::below(None)
            .open("flux-node-1")
            .expect("opens")
    }

    #[tokio::test]
    async fn sockets_are_files_where_there_is_a_folder_for_them() {
        let state = tempfile::tempdir().expect("a folder");
        let old = state.path().join("notify/flux-node-1.9");
        fs::create_dir(state.path().join("notify")).expect("made");
        fs::write(&old, "").expect("written");
        let mut sockets = NotifySockets::below(Some(state.path()));
        assert!(!old.exists(), "what an earlier supervisor left is gone");
        let socket = sockets.open("flux-node-1").expect("opens");
        let path = state.path().join("notify/flux-node-1.1");
        assert_eq!(socket.address(), path.as_os_str());
        sender(&socket).send(b"READY=1").expect("sent");
        assert_eq!(socket.next().await.expect("read"), [Notice::Ready]);
        drop(socket);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_path_that_is_too_long_for_a_socket_is_not_used() {
        let state = tempfile::tempdir().expect("a folder");
        let long = state.path().join("x".repeat(100));
        fs::create_dir(&long).expect("made");
        let socket = NotifySockets::below(Some(&long))
            .open("flux-node-1")
            .expect("opens");
        assert!(
            socket
                .address()
                .to_string_lossy()
                .starts_with("@repram-notify/")
        );
    }

    #[tokio::test]
    async fn messages_come_in_their_order() {
        let socket = open();
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
        let socket = open();
        let sender = sender(&socket);
        sender.send(&[b'x'; MESSAGE_MAX + 1]).expect("sent");
        sender.send(b"READY=1\n\xff").expect("sent");
        sender.send(b"WATCHDOG=1").expect("sent");
        assert_eq!(socket.next().await.expect("read"), [Notice::Watchdog]);
    }

    #[tokio::test]
    async fn a_barrier_is_lifted_by_closing_its_descriptor() {
        let socket = open();
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
