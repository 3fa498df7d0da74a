//! The supervisor's messages.

use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};
use repram_discovery::supervised::{DecodeError, Hello, MESSAGE_MAX, SupervisorMessage};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tracing::{debug, warn};

/// The variable that names the descriptor.
const SUPERVISOR_FD: &str = "REPRAM_SUPERVISOR_FD";

/// How long the first message may take; the supervisor sends it before it starts the node.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);

/// Messages that were read and not looked at yet. Beyond it they stay in the socket, and
/// the supervisor, which sends all siblings in every message, sends fewer.
const QUEUE: usize = 4;

/// Why the supervisor cannot be heard.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// The variable does not hold a descriptor's number.
    #[error("{SUPERVISOR_FD}={value:?} is not the number of a descriptor")]
    NotANumber {
        /// What it holds.
        value: String,
    },
    /// The descriptor is not a socket.
    #[error("{SUPERVISOR_FD}={fd} is not a socket")]
    NotASocket {
        /// Its number.
        fd: RawFd,
        /// What the kernel says.
        #[source]
        source: io::Error,
    },
    /// There is no thread to read from it.
    #[error("the supervisor's messages need a thread")]
    NoThread(#[source] io::Error),
    /// The first message did not come, or was another.
    #[error("the supervisor did not say who this node is within {} s", HELLO_TIMEOUT.as_secs())]
    NoHello,
}

/// The supervisor's messages.
#[derive(Debug)]
pub struct Supervisor {
    messages: mpsc::Receiver<SupervisorMessage>,
}

impl Supervisor {
    /// The supervisor that the environment names, if it does.
    ///
    /// # Errors
    /// When what it names is no socket, or there is no thread to read from it.
    pub fn of_this_process() -> Result<Option<Self>, ChannelError> {
        let Some(value) = std::env::var_os(SUPERVISOR_FD).filter(|value| !value.is_empty()) else {
            return Ok(None);
        };
        let value = value.to_string_lossy();
        let fd = value.parse().ok().filter(|fd: &RawFd| *fd > 2);
        let fd = fd.ok_or_else(|| ChannelError::NotANumber {
            value: value.into_owned(),
        })?;
        Self::new(fd).map(Some)
    }

    /// Reads from `fd` on a thread of its own: an inherited number cannot be turned into
    /// something that a runtime can wait for without `unsafe`, and this thread sleeps until
    /// a sibling changes.
    fn new(fd: RawFd) -> Result<Self, ChannelError> {
        // What is no socket would else be found out on the thread.
        match recv(fd, &mut [0], MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT) {
            Ok(_) | Err(Errno::EAGAIN) => {}
            Err(error) => {
                return Err(ChannelError::NotASocket {
                    fd,
                    source: error.into(),
                });
            }
        }
        let (sender, messages) = mpsc::channel(QUEUE);
        std::thread::Builder::new()
            .name("supervisor".to_owned())
            .spawn(move || forward(fd, &sender))
            .map_err(ChannelError::NoThread)?;
        Ok(Self { messages })
    }

    /// The first message.
    ///
    /// # Errors
    /// When it is another, or does not come.
    pub async fn hello(&mut self) -> Result<Hello, ChannelError> {
        match timeout(HELLO_TIMEOUT, self.next()).await {
            Ok(Some(SupervisorMessage::Hello(hello))) => Ok(hello),
            Ok(
                Some(SupervisorMessage::Siblings(_) | SupervisorMessage::StopTogether(_)) | None,
            )
            | Err(_) => Err(ChannelError::NoHello),
        }
    }

    /// The next message; `None` when the supervisor is gone. Dropping the future loses
    /// nothing.
    pub async fn next(&mut self) -> Option<SupervisorMessage> {
        self.messages.recv().await
    }
}

/// Passes messages on until the supervisor or the receiver is gone. What cannot be read is
/// told of and left out.
fn forward(fd: RawFd, to: &mpsc::Sender<SupervisorMessage>) {
    // One byte more than a message may have, so that a longer one is recognised.
    let mut buffer = vec![0; MESSAGE_MAX + 1];
    loop {
        let length = match recv(fd, &mut buffer, MsgFlags::empty()) {
            Ok(0) => return,
            Ok(length) => length,
            Err(Errno::EINTR) => continue,
            Err(error) => return debug!(%error, "the supervisor's socket failed"),
        };
        match SupervisorMessage::decode(&buffer[..length]) {
            Ok(message) => {
                if to.blocking_send(message).is_err() {
                    return;
                }
            }
            Err(DecodeError::UnknownKind) => {}
            Err(error) => warn!(%error, "a message of the supervisor cannot be read"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsRawFd, OwnedFd};

    use nix::sys::socket::{AddressFamily, SockFlag, SockType, send, socketpair};

    use super::*;

    struct Pair {
        /// Dropped first, which ends the reading thread.
        theirs: OwnedFd,
        supervisor: Supervisor,
        /// Kept open for as long as the thread reads from it.
        ours: OwnedFd,
    }

    fn pair() -> Pair {
        let flags = SockFlag::SOCK_CLOEXEC;
        let (theirs, ours) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags).expect("a pair");
        let supervisor = Supervisor::new(ours.as_raw_fd()).expect("a socket");
        Pair {
            theirs,
            supervisor,
            ours,
        }
    }

    impl Pair {
        fn send(&self, message: &[u8]) {
            send(self.theirs.as_raw_fd(), message, MsgFlags::empty()).expect("there is room");
        }
    }

    fn hello() -> Hello {
        Hello {
            secret: None,
            secret_previous: None,
            generation: 7,
            claim: None,
            siblings: Vec::new(),
        }
    }

    #[tokio::test]
    async fn messages_come_in_order_and_the_end_is_the_supervisors() {
        let mut pair = pair();
        pair.send(
            &SupervisorMessage::Hello(hello())
                .encode()
                .expect("is short"),
        );
        pair.send(b"not JSON");
        pair.send(br#"{"something":"newer"}"#);
        pair.send(br#"{"stop_together":[]}"#);
        assert_eq!(pair.supervisor.hello().await.expect("it was sent"), hello());
        let next = pair.supervisor.next().await;
        assert_eq!(next, Some(SupervisorMessage::StopTogether(Vec::new())));
        drop(pair.theirs);
        assert_eq!(pair.supervisor.next().await, None);
        drop(pair.ours);
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_message_must_be_the_right_one() {
        let mut pair = pair();
        assert!(matches!(
            pair.supervisor.hello().await,
            Err(ChannelError::NoHello)
        ));
        pair.send(br#"{"siblings":[]}"#);
        assert!(matches!(
            pair.supervisor.hello().await,
            Err(ChannelError::NoHello)
        ));
    }

    #[tokio::test]
    async fn only_a_socket_will_do() {
        let file = std::fs::File::open("/dev/null").expect("is there");
        let error = Supervisor::new(file.as_raw_fd()).expect_err("is no socket");
        assert!(matches!(error, ChannelError::NotASocket { .. }), "{error}");
        let error = Supervisor::new(1_000_000).expect_err("is not open");
        assert!(matches!(error, ChannelError::NotASocket { .. }), "{error}");
    }
}
