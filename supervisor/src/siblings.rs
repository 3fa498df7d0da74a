//! The supervisor's end of the channel by which our own nodes learn of each other.
//!
//! Messages go out at once while the node reads them. A node that does not read (it is
//! stopped, or hangs) costs no memory: of what it misses only the latest state is kept,
//! and sent when it reads again.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixDatagram as StdDatagram;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, send, socketpair};
use repram_discovery::supervised::{EncodeError, SupervisorMessage};
use tokio::io::Interest;
use tokio::net::UnixDatagram;

/// The channel to one process of a node.
#[derive(Debug)]
pub struct SiblingLink {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Of type SOCK_SEQPACKET, which keeps the borders of messages as datagrams do and
    /// says when the other end is closed. The runtime has no name for it, and what it
    /// does with a datagram socket is the same: wait, and send(2).
    socket: UnixDatagram,
    outbox: Mutex<Outbox>,
}

/// What could not be sent yet: the latest message of each kind, and the siblings as they were
/// when those that stop were named, because a name means the life that its bearer had then.
#[derive(Debug, Default)]
struct Outbox {
    siblings: Option<Vec<u8>>,
    stop_together: Option<Vec<u8>>,
    siblings_since: Option<Vec<u8>>,
    /// Whether a task waits for the node to read.
    waiting: bool,
}

impl SiblingLink {
    /// A new channel: ours, and the node's end, which is closed here once the node has it.
    ///
    /// # Errors
    /// When the system has no descriptors left.
    pub fn open() -> io::Result<(Self, OwnedFd)> {
        let kind = SockType::SeqPacket;
        let (ours, theirs) = socketpair(AddressFamily::Unix, kind, None, SockFlag::SOCK_CLOEXEC)?;
        let ours = StdDatagram::from(ours);
        // Only our end: the flag belongs to the end, not to the pair.
        ours.set_nonblocking(true)?;
        let socket = UnixDatagram::from_std(ours)?;
        let outbox = Mutex::default();
        Ok((
            Self {
                shared: Arc::new(Shared { socket, outbox }),
            },
            theirs,
        ))
    }

    /// Sends a message now if the node reads, else when it does; then only the latest of
    /// its kind. A node that is gone is no error: its exit is seen elsewhere.
    ///
    /// # Errors
    /// [`EncodeError`] when there are more siblings than fit a message.
    pub fn send(&self, message: &SupervisorMessage) -> Result<(), EncodeError> {
        let bytes = message.encode()?;
        let mut outbox = self.shared.outbox();
        match message {
            // The first message always finds an empty channel.
            SupervisorMessage::Hello(_) => {
                let _ = self.shared.send_now(&bytes);
                return Ok(());
            }
            SupervisorMessage::Siblings(_)
                if outbox.stop_together.is_some() || outbox.siblings_since.is_some() =>
            {
                outbox.siblings_since = Some(bytes);
            }
            SupervisorMessage::Siblings(_) => outbox.siblings = Some(bytes),
            SupervisorMessage::StopTogether(_) => {
                outbox.stop_together = Some(bytes);
                if let Some(since) = outbox.siblings_since.take() {
                    outbox.siblings = Some(since);
                }
            }
        }
        if !outbox.waiting && !self.shared.flush(&mut outbox) {
            outbox.waiting = true;
            drop(outbox);
            tokio::spawn(Arc::clone(&self.shared).flush_when_read());
        }
        Ok(())
    }
}

impl Shared {
    fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends what waits; false when the node does not read.
    fn flush(&self, outbox: &mut Outbox) -> bool {
        let Outbox {
            siblings,
            stop_together,
            siblings_since,
            ..
        } = outbox;
        for waiting in [siblings, stop_together, siblings_since] {
            if let Some(bytes) = waiting {
                match self.send_now(bytes) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                    // An error means that the node is gone.
                    Ok(_) | Err(_) => *waiting = None,
                }
            }
        }
        true
    }

    fn send_now(&self, bytes: &[u8]) -> io::Result<usize> {
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        // Not asking the runtime first, which knows nothing of a fresh socket yet.
        send(self.socket.as_raw_fd(), bytes, flags).map_err(io::Error::from)
    }

    async fn flush_when_read(self: Arc<Self>) {
        while self.socket.writable().await.is_ok() {
            // Tells the runtime to wait again when the node did not read enough.
            let flushed = self.socket.try_io(Interest::WRITABLE, || {
                let mut outbox = self.outbox();
                outbox.waiting = !self.flush(&mut outbox);
                if outbox.waiting {
                    Err(io::ErrorKind::WouldBlock.into())
                } else {
                    Ok(())
                }
            });
            if flushed.is_ok() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::socket::recv;
    use repram_discovery::supervised::{Hello, MESSAGE_MAX, Sibling, SiblingState};
    use uuid::Uuid;

    use super::*;

    fn receive(fd: &OwnedFd) -> SupervisorMessage {
        let mut buffer = vec![0; MESSAGE_MAX];
        let length = recv(fd.as_raw_fd(), &mut buffer, MsgFlags::empty()).expect("a message");
        SupervisorMessage::decode(&buffer[..length]).expect("a known message")
    }

    #[tokio::test]
    async fn a_node_that_does_not_read_gets_the_latest_in_the_end() {
        let (link, node) = SiblingLink::open().expect("opens");
        let hello = Hello {
            secret: None,
            secret_previous: None,
            generation: 1,
            claim: None,
            siblings: Vec::new(),
        };
        link.send(&SupervisorMessage::Hello(hello.clone()))
            .expect("fits");
        let uuids: Vec<Uuid> = (0..1_000).map(Uuid::from_u128).collect();
        for last in 1..=1_000 {
            link.send(&SupervisorMessage::StopTogether(uuids[..last].to_vec()))
                .expect("fits");
        }
        assert_eq!(receive(&node), SupervisorMessage::Hello(hello));
        let all = SupervisorMessage::StopTogether(uuids);
        while receive(&node) != all {
            // Lets the task that waits for room go on.
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn those_that_stop_are_named_among_the_siblings_of_that_time() {
        let (link, node) = SiblingLink::open().expect("opens");
        let siblings = |generation| {
            SupervisorMessage::Siblings(vec![Sibling {
                node_id: "flux-node-1".to_owned(),
                uuid: Uuid::from_u128(1),
                generation,
                port: 8080,
                gossip_port: 9090,
                state: SiblingState::Ready,
            }])
        };
        let stop = |number| SupervisorMessage::StopTogether(vec![Uuid::from_u128(number)]);
        // Until nothing fits any more.
        while !link.shared.outbox().waiting {
            link.send(&siblings(0)).expect("fits");
        }
        for message in [1, 2].map(siblings) {
            link.send(&message).expect("fits");
        }
        link.send(&stop(7)).expect("fits");
        for message in [3, 4].map(siblings) {
            link.send(&message).expect("fits");
        }
        link.send(&stop(1)).expect("fits");
        for message in [5, 6].map(siblings) {
            link.send(&message).expect("fits");
        }
        let mut read = Vec::new();
        while read.last() != Some(&siblings(6)) {
            read.push(receive(&node));
            tokio::task::yield_now().await;
        }
        read.retain(|message| *message != siblings(0));
        assert_eq!(read, [siblings(4), stop(1), siblings(6)]);
    }

    #[tokio::test]
    async fn siblings_of_later_never_overtake_those_of_before() {
        let (link, _node) = SiblingLink::open().expect("opens");
        let siblings = || SupervisorMessage::Siblings(Vec::new());
        {
            // Those that stop were told, and there was no more room.
            let mut outbox = link.shared.outbox();
            outbox.siblings_since = Some(b"old".to_vec());
            outbox.waiting = true;
        }
        link.send(&siblings()).expect("fits");
        let outbox = link.shared.outbox();
        assert_eq!(outbox.siblings, None);
        assert_eq!(outbox.siblings_since, siblings().encode().ok());
    }

    #[tokio::test]
    async fn a_node_that_is_gone_is_no_error() {
        let (link, node) = SiblingLink::open().expect("opens");
        drop(node);
        link.send(&SupervisorMessage::StopTogether(Vec::new()))
            .expect("nothing happens");
    }
}
