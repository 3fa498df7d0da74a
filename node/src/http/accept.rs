//! Accepting connections.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use super::api::{Api, Session};
use super::bounds::{ACCEPT_PAUSE, LINGER, REFUSALS_MAX};
use super::connection::{self, Drain};
use super::problem::Problem;
use crate::door::Door;

/// Pause of a worker that has more connections than another: long enough for the other to
/// wake up and accept the next, too short to matter when the other is busy.
const YIELD_PAUSE: Duration = Duration::from_millis(1);

/// The connections of all workers.
#[derive(Debug)]
pub struct Connections {
    max: usize,
    workers: Box<[AtomicUsize]>,
    refusing: AtomicUsize,
    /// Who may still accept one.
    doormen: AtomicUsize,
    all_closed: Notify,
}

impl Connections {
    /// At most `max` connections on so many workers.
    #[must_use]
    pub fn new(max: usize, workers: usize) -> Self {
        Self {
            max,
            workers: (0..workers).map(|_| AtomicUsize::new(0)).collect(),
            refusing: AtomicUsize::new(0),
            doormen: AtomicUsize::new(0),
            all_closed: Notify::new(),
        }
    }

    fn open(&self) -> usize {
        self.workers
            .iter()
            .map(|count| count.load(Ordering::Relaxed))
            .sum()
    }

    /// Whether `worker` has at least two connections more than another.
    fn is_ahead(&self, worker: usize) -> bool {
        let count = |worker: &AtomicUsize| worker.load(Ordering::Relaxed);
        let fewest = self.workers.iter().map(count).min().unwrap_or(0);
        count(&self.workers[worker]) > fewest + 1
    }

    /// Waits until no connection is open and nobody accepts another, which draining makes
    /// happen.
    pub async fn closed(&self) {
        // In this order: who accepts counts the connection before it leaves its door.
        while self.doormen.load(Ordering::Acquire) > 0 || self.open() > 0 {
            self.all_closed.notified().await;
        }
    }
}

/// Counts one who accepts, for as long as that goes on.
struct OnDuty(Arc<Connections>);

impl OnDuty {
    fn begin(connections: &Arc<Connections>) -> Self {
        connections.doormen.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(connections))
    }
}

impl Drop for OnDuty {
    fn drop(&mut self) {
        self.0.doormen.fetch_sub(1, Ordering::Release);
        self.0.all_closed.notify_one();
    }
}

/// Counts one connection for as long as it lives.
struct Place {
    connections: Arc<Connections>,
    api: Arc<Api>,
    worker: usize,
}

impl Place {
    fn take(doorman: &Doorman) -> Option<Self> {
        let connections = &doorman.connections;
        if connections.open() >= connections.max {
            return None;
        }
        connections.workers[doorman.worker].fetch_add(1, Ordering::Relaxed);
        let metrics = &doorman.api.metrics;
        metrics.connections_accepted.fetch_add(1, Ordering::Relaxed);
        metrics.connections_open.fetch_add(1, Ordering::Relaxed);
        Some(Self {
            connections: Arc::clone(connections),
            api: Arc::clone(&doorman.api),
            worker: doorman.worker,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.api
            .metrics
            .connections_open
            .fetch_sub(1, Ordering::Relaxed);
        self.connections.workers[self.worker].fetch_sub(1, Ordering::Relaxed);
        // One permit is kept for a waiter that has not looked yet.
        self.connections.all_closed.notify_one();
    }
}

/// Accepts connections for one worker and serves them on its runtime.
#[derive(Clone)]
pub struct Doorman {
    /// What answers.
    pub api: Arc<Api>,
    /// The connections of all workers.
    pub connections: Arc<Connections>,
    /// How far draining is.
    pub drain: watch::Receiver<Drain>,
    /// Number of this worker.
    pub worker: usize,
}

impl Doorman {
    /// Accepts on `door` until draining begins.
    pub async fn run(self, mut door: Door) {
        // Before the look at how far draining is: who asks after that knows of us.
        let _on_duty = OnDuty::begin(&self.connections);
        let mut drain = self.drain.clone();
        let mut troubled = false;
        while *drain.borrow_and_update() == Drain::Open {
            let accepted = tokio::select! {
                biased;
                _ = drain.changed() => continue,
                accepted = door.accept() => accepted,
            };
            let pause = match accepted {
                Ok((stream, client)) => {
                    troubled = false;
                    self.admit(stream, client);
                    self.connections
                        .is_ahead(self.worker)
                        .then_some(YIELD_PAUSE)
                }
                Err(error) => after(&error, &mut troubled),
            };
            if let Some(pause) = pause {
                tokio::select! {
                    _ = drain.changed() => {}
                    () = sleep(pause) => {}
                }
            }
        }
    }

    fn admit(&self, stream: TcpStream, client: SocketAddr) {
        let Some(place) = Place::take(self) else {
            return self.refuse(stream);
        };
        if let Err(error) = stream.set_nodelay(true) {
            // The client is gone already; serving finds that out.
            debug!(%error, "could not switch delayed sending off");
        }
        let session = Session {
            api: Arc::clone(&self.api),
            worker: self.worker,
            client: client.ip(),
        };
        let drain = self.drain.clone();
        tokio::spawn(async move {
            connection::serve(stream, session, drain).await;
            drop(place);
        });
    }

    fn refuse(&self, mut stream: TcpStream) {
        self.api
            .metrics
            .connections_refused
            .fetch_add(1, Ordering::Relaxed);
        if self.connections.refusing.load(Ordering::Relaxed) >= REFUSALS_MAX {
            return;
        }
        let connections = Arc::clone(&self.connections);
        connections.refusing.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(async move {
            let answer = Problem::TooManyConnections.raw_response();
            let tell = async {
                stream.write_all(&answer).await?;
                stream.shutdown().await?;
                // What the client sent is taken off the socket, so that closing it does not
                // reset the connection before the client has read the answer.
                let mut rest = [0; 1024];
                while tokio::io::AsyncReadExt::read(&mut stream, &mut rest).await? > 0 {}
                io::Result::Ok(())
            };
            // The client had its chance; how it went makes no difference.
            let _ = timeout(LINGER, tell).await;
            connections.refusing.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

/// What a failed accept means: how long to wait before the next. It is told of once, until
/// accepting has succeeded again.
fn after(error: &io::Error, troubled: &mut bool) -> Option<Duration> {
    // accept(2): the client went away between its connect and now.
    if matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted
    ) {
        return None;
    }
    if !std::mem::replace(troubled, true) {
        warn!(%error, "could not accept a connection; trying again");
    }
    Some(ACCEPT_PAUSE)
}
