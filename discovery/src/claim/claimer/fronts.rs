//! The HTTP sockets on which the claimer itself answers.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::config::About;
use super::front::{Counter, serve};
use super::view::SlotView;
use crate::claim::conversation::{Answer, Desk, Heard, Kind, POST_RATE, SpeakError};
use crate::claim::core::Claim;
use crate::rate::RateLimiter;

/// Connections at the same time, over all slots. The next ones wait in the kernel's queues.
const VISITS_MAX: usize = 256;

/// Pause after a failed accept, which means that descriptors are short, or a door closed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What comes in from the outside, and from the tasks that talk to it.
pub(super) enum Incoming {
    /// A request came in on the slot `at`. Without a reply the slot is ours no more.
    Heard {
        at: u16,
        kind: Kind,
        heard: Heard,
        reply: oneshot::Sender<Answer>,
    },
    /// Somebody wants to know who claims the slot `at`.
    Asked {
        at: u16,
        reply: oneshot::Sender<SlotView>,
    },
    /// A request of ours was answered, or not.
    Returned {
        place: SocketAddr,
        kind: Kind,
        outcome: Result<Option<Claim>, SpeakError>,
    },
}

/// The sockets on which the claimer answers, by the index of their slot.
///
/// The listeners are polled by their owner and not by tasks, so that closing one takes
/// effect at once: the slot may be bound anew in the same moment.
pub(super) struct Fronts {
    open: BTreeMap<u16, Front>,
    desk: Arc<Desk>,
    inbox: mpsc::Sender<Incoming>,
    about: Arc<About>,
    began: Instant,
    visits: JoinSet<()>,
    places: Arc<Semaphore>,
    resume: Instant,
}

struct Front {
    listener: TcpListener,
    limiter: Arc<Mutex<RateLimiter>>,
}

impl Fronts {
    pub(super) fn new(desk: Arc<Desk>, inbox: mpsc::Sender<Incoming>, about: About) -> Self {
        let began = Instant::now();
        Self {
            open: BTreeMap::new(),
            desk,
            inbox,
            about: Arc::new(about),
            began,
            visits: JoinSet::new(),
            places: Arc::new(Semaphore::new(VISITS_MAX)),
            resume: began,
        }
    }

    /// Answers on `http`, the HTTP socket of a slot, from now on.
    ///
    /// # Errors
    /// When the socket cannot be shared.
    pub(super) fn open(&mut self, slot: u16, http: BorrowedFd<'_>) -> io::Result<()> {
        let listener = std::net::TcpListener::from(http.try_clone_to_owned()?);
        listener.set_nonblocking(true)?;
        let front = Front {
            listener: TcpListener::from_std(listener)?,
            limiter: Arc::new(Mutex::new(RateLimiter::new(POST_RATE))),
        };
        self.open.insert(slot, front);
        Ok(())
    }

    /// Answers no more on a slot. What was accepted before is answered to its end.
    pub(super) fn close(&mut self, slot: u16) {
        self.open.remove(&slot);
    }

    /// Waits for the next connection and serves it in the background. May be dropped at any
    /// time.
    pub(super) async fn serve_next(&mut self) {
        while self.visits.try_join_next().is_some() {}
        let place = Arc::clone(&self.places).acquire_owned().await;
        let place = place.expect("it is never closed");
        sleep_until(self.resume).await;
        let (slot, accepted) = self.accept().await;
        match accepted {
            Ok((stream, client)) => {
                let counter = Counter {
                    slot,
                    desk: Arc::clone(&self.desk),
                    limiter: Arc::clone(&self.open[&slot].limiter),
                    inbox: self.inbox.clone(),
                    about: Arc::clone(&self.about),
                    began: self.began,
                };
                self.visits
                    .spawn(serve(stream, client.ip(), counter, place));
            }
            Err(error) => {
                tracing::debug!(slot, %error, "could not accept a connection, trying again");
                self.resume = Instant::now() + ACCEPT_PAUSE;
            }
        }
    }

    async fn accept(&self) -> (u16, io::Result<(TcpStream, SocketAddr)>) {
        poll_fn(|context| {
            for (&slot, front) in &self.open {
                if let Poll::Ready(accepted) = front.listener.poll_accept(context) {
                    return Poll::Ready((slot, accepted));
                }
            }
            Poll::Pending
        })
        .await
    }
}
