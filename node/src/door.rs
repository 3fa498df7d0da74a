//! Accepting on a socket that somebody else may close and open again.
//!
//! The holder of a listening socket can stop it from listening while others have it too, and
//! start it again (its door, see `repram_discovery::held`). A listener of tokio does not
//! survive that: the kernel reports a hang-up, tokio remembers it for as long as the socket
//! is registered, and after the door has opened again its `accept` asks the kernel for ever
//! within one poll, so that the whole thread hangs. [`Door`] therefore takes the socket off
//! the runtime when its door closes, and registers it anew.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::sleep;

/// How often a closed door is looked at: who closes one means to keep it closed for longer,
/// and a client that comes back does not notice this.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A listening socket whose door may close and open.
#[derive(Debug)]
pub struct Door {
    listener: TcpListener,
    /// The same socket as the runtime waits for it, while its door is open. It is a stream
    /// by type only, because that type tells of hang-ups and a listener's does not.
    registered: Option<TcpStream>,
    /// Whether other processes accept on the same socket at the same time.
    is_shared: bool,
}

impl Door {
    /// The door of `listener`, which becomes non-blocking for all who share it. Must be
    /// called on the runtime that waits.
    ///
    /// # Errors
    /// When the socket cannot be copied or registered.
    pub fn new(listener: TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let registered = Some(register(&listener)?);
        Ok(Self {
            listener,
            registered,
            is_shared: false,
        })
    }

    /// The same where other processes accept, too. All that wait are woken by a connection;
    /// this takes one of them per turn of the event loop, so that of several that came at
    /// once whoever has nothing else to do gets its part.
    ///
    /// # Errors
    /// As [`Door::new`].
    pub fn shared(listener: TcpListener) -> io::Result<Self> {
        Ok(Self {
            is_shared: true,
            ..Self::new(listener)?
        })
    }

    /// The next connection. While the door is closed this waits. Dropping the future loses
    /// nothing.
    ///
    /// # Errors
    /// What accept(2) says of a connection that went away, or of a process or machine that
    /// has no room for another; the door itself is as good as before.
    pub async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        if self.is_shared {
            tokio::task::yield_now().await;
        }
        loop {
            let Some(registered) = &self.registered else {
                let registered = self.opened().await?;
                self.registered = Some(registered);
                continue;
            };
            let ready = registered.ready(Interest::READABLE).await?;
            match registered.try_io(Interest::READABLE, || self.listener.accept()) {
                Ok((stream, client)) => {
                    stream.set_nonblocking(true)?;
                    return Ok((TcpStream::from_std(stream)?, client));
                }
                Err(error) if is_closed(&error) => self.registered = None,
                // The door was closed, if only for a moment.
                Err(error) if is_empty(&error) && ready.is_read_closed() => {
                    self.registered = None;
                }
                Err(error) if is_empty(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn opened(&self) -> io::Result<TcpStream> {
        while !SockRef::from(&self.listener).is_listener()? {
            sleep(LOOK_EVERY).await;
        }
        register(&self.listener)
    }
}

fn register(listener: &TcpListener) -> io::Result<TcpStream> {
    let socket = OwnedFd::from(listener.try_clone()?);
    TcpStream::from_std(std::net::TcpStream::from(socket))
}

/// A socket that was shut down answers EINVAL.
fn is_closed(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidInput | io::ErrorKind::NotConnected
    )
}

fn is_empty(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use repram_discovery::held::HeldListener;
    use tokio::time::timeout;

    use super::*;

    /// A held listener, our copy of it, and its address.
    fn held() -> (HeldListener, TcpListener, SocketAddr) {
        // By number, because a socket that was bound to port 0 loses its port when its door
        // is closed. Somebody may be faster.
        let held = (0..100).find_map(|_| {
            let free = TcpListener::bind("127.0.0.1:0").ok()?.local_addr().ok()?;
            HeldListener::bind(free).ok()
        });
        let held = held.expect("one of a hundred ports is free");
        let copy = TcpListener::from(held.as_fd().try_clone_to_owned().expect("can be copied"));
        let address = copy.local_addr().expect("is bound");
        (held, copy, address)
    }

    async fn connects(door: &mut Door, address: SocketAddr) {
        let client = TcpStream::connect(address).await.expect("the door is open");
        let (_, from) = door.accept().await.expect("a connection is there");
        assert_eq!(from, client.local_addr().expect("is connected"));
    }

    #[tokio::test]
    async fn a_door_closes_and_opens_under_the_one_who_waits() {
        let (held, copy, address) = held();
        let mut door = Door::new(copy).expect("can be registered");
        connects(&mut door, address).await;
        for _ in 0..3 {
            held.close_door().expect("is open");
            let waiting = timeout(LOOK_EVERY * 2, door.accept()).await;
            assert!(waiting.is_err(), "waits and does not fail");
            held.open_door().expect("is closed");
            connects(&mut door, address).await;
            connects(&mut door, address).await;
        }
    }

    #[tokio::test]
    async fn a_door_that_opens_before_anyone_looked_is_found_open() {
        let (held, copy, address) = held();
        let mut door = Door::new(copy).expect("can be registered");
        // The hang-up is seen by the runtime while nobody accepts.
        let waiting = timeout(LOOK_EVERY, door.accept()).await;
        assert!(waiting.is_err());
        held.close_door().expect("is open");
        sleep(LOOK_EVERY).await;
        held.open_door().expect("is closed");
        connects(&mut door, address).await;
        let waiting = timeout(LOOK_EVERY, door.accept()).await;
        assert!(waiting.is_err(), "nobody else comes, and nothing hangs");
        connects(&mut door, address).await;
    }
}
