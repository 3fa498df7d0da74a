//! Accepting connections, a bounded number at one time.

use std::fmt;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::sleep;

/// Connections at one time on one way in, those of followers included. Further ones wait in
/// the kernel's queue.
pub(super) const CONNECTIONS_MAX: u32 = 32;

/// Pause after a connection could not be accepted, because descriptors or memory are short.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A socket on which connections come.
pub(super) trait Listen: fmt::Debug + Send + 'static {
    /// A connection.
    type Stream: Send + 'static;

    /// The next one.
    fn next(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

impl Listen for UnixListener {
    type Stream = UnixStream;

    async fn next(&self) -> io::Result<UnixStream> {
        Ok(self.accept().await?.0)
    }
}

impl Listen for TcpListener {
    type Stream = TcpStream;

    async fn next(&self) -> io::Result<TcpStream> {
        Ok(self.accept().await?.0)
    }
}

/// Serves every connection in a task of its own until `stopped`; then those that are there
/// have as long as this is polled.
pub(super) async fn accept<L, S>(
    listener: L,
    mut stopped: watch::Receiver<bool>,
    serve: impl Fn(L::Stream) -> S + Send,
) where
    L: Listen,
    S: Future<Output = ()> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX as usize));
    let accepting = async {
        loop {
            let place = Arc::clone(&places).acquire_owned().await;
            match listener.next().await {
                Ok(stream) => {
                    let serving = serve(stream);
                    tokio::spawn(async move {
                        serving.await;
                        drop(place);
                    });
                }
                Err(_) => sleep(ACCEPT_PAUSE).await,
            }
        }
    };
    tokio::select! {
        () = accepting => {}
        _ = stopped.wait_for(|stopped| *stopped) => {}
    }
    // Nobody connects any more.
    drop(listener);
    drop(places.acquire_many(CONNECTIONS_MAX).await);
}
