//! The server of the control API.

use std::convert::Infallible;
use std::io;
use std::os::unix::net::UnixListener as StdUnixListener;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::api::{Api, Caller};
use super::{ControlAddress, Request};
use crate::logs::Logs;

/// Connections at one time, those of followers included. Further ones wait in the kernel's
/// queue.
const CONNECTIONS_MAX: u32 = 32;

/// How long a client may take for the head of its request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes of the head of a request.
const HEAD_MAX: usize = 16 << 10;

/// Pause after a connection could not be accepted, because descriptors or memory are short.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a server needs.
#[derive(Debug)]
pub struct ControlConfig {
    /// Where it listens.
    pub address: ControlAddress,
    /// Lines, events and rotation.
    pub logs: Logs,
    /// The event loop; bounded by [`super::REQUESTS_MAX`].
    pub requests: mpsc::Sender<Request>,
}

impl ControlConfig {
    /// Listens and serves in the background of the current tokio runtime, which must be able
    /// to do I/O and to tell the time.
    ///
    /// # Errors
    /// When the socket cannot be had: somebody answers there, or the system refuses.
    pub fn build(self) -> Result<Control, ControlError> {
        let Self {
            address,
            logs,
            requests,
        } = self;
        let listener = address.listen().map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => ControlError::InUse {
                address: address.clone(),
            },
            _ => ControlError::Listen {
                address: address.clone(),
                source,
            },
        })?;
        let listener = into_tokio(listener).map_err(|source| ControlError::Listen {
            address: address.clone(),
            source,
        })?;
        let (stop, stopped) = watch::channel(false);
        let server = Server {
            listener,
            api: Api::new(logs, requests),
            places: Arc::new(Semaphore::new(CONNECTIONS_MAX as usize)),
            stopped,
        };
        let task = tokio::spawn(server.run());
        Ok(Control {
            address,
            stop,
            task,
        })
    }
}

fn into_tokio(listener: StdUnixListener) -> io::Result<UnixListener> {
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

/// A running server.
#[derive(Debug)]
pub struct Control {
    address: ControlAddress,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Control {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> &ControlAddress {
        &self.address
    }

    /// Ends it: takes no new connection, gives answers under way until `limit`, removes the
    /// socket. Followers are answered to the end when [`Logs::finish`] was called before; a
    /// client that waits for a stop has its answer after the event `FleetStopped`.
    pub async fn finish(mut self, limit: Duration) {
        self.address.remove();
        // Fails only when the task has ended already.
        let _ = self.stop.send(true);
        if timeout(limit, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

/// The task that accepts.
#[derive(Debug)]
struct Server {
    listener: UnixListener,
    api: Api,
    places: Arc<Semaphore>,
    stopped: watch::Receiver<bool>,
}

impl Server {
    async fn run(mut self) {
        let accepting = async {
            loop {
                let place = Arc::clone(&self.places).acquire_owned().await;
                match self.listener.accept().await {
                    Ok((stream, _)) => {
                        let api = self.api.clone();
                        tokio::spawn(async move {
                            serve(stream, api).await;
                            drop(place);
                        });
                    }
                    Err(_) => sleep(ACCEPT_PAUSE).await,
                }
            }
        };
        tokio::select! {
            () = accepting => {}
            _ = self.stopped.wait_for(|stopped| *stopped) => {}
        }
        // Nobody connects any more; those who are here have as long as `finish` waits.
        drop(self.listener);
        drop(self.places.acquire_many(CONNECTIONS_MAX).await);
    }
}

/// Serves the one request of a connection.
async fn serve(stream: UnixStream, api: Api) {
    // Root and our own user may ask. The file's permissions say the same; an abstract name
    // has none.
    let Ok(peer) = stream.peer_cred() else { return };
    if peer.uid() != 0 && peer.uid() != nix::unistd::geteuid().as_raw() {
        return;
    }
    let caller = Caller {
        pid: peer.pid().filter(|pid| *pid > 0),
    };
    let service = service_fn(|request| {
        let (api, caller) = (api.clone(), caller.clone());
        async move { Ok::<_, Infallible>(api.answer(&request, &caller).await) }
    });
    // An error is a client that went away or does not speak HTTP.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// Why the control API is not served.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Another supervisor answers at this address.
    #[error("listen on {address}: another supervisor answers there")]
    InUse {
        /// The address.
        address: ControlAddress,
    },
    /// The system refused the socket.
    #[error("listen on {address}")]
    Listen {
        /// The address.
        address: ControlAddress,
        /// What the system said.
        source: io::Error,
    },
}
