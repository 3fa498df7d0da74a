//! The HTTP sockets on which the claimer itself answers.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
use crate::rate::{RateLimiter, subscriber};

/// Connections at the same time, over all slots. The next ones wait in the kernel's queues.
const VISITS_MAX: usize = 256;

/// Of these, those of one client address: an honest one has one or two. Whoever has more is
/// turned away, so that nobody can keep the others from being heard.
const VISITS_OF_ONE_MAX: usize = 32;

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
    visitors: Visitors,
    /// The slot on which a connection was accepted last: the others come first now.
    last: u16,
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
            visitors: Visitors::default(),
            last: 0,
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
        self.last = slot;
        match accepted {
            Ok((stream, client)) => {
                let Some(visitor) = self.visitors.enter(client.ip()) else {
                    return;
                };
                let counter = Counter {
                    slot,
                    desk: Arc::clone(&self.desk),
                    limiter: Arc::clone(&self.open[&slot].limiter),
                    inbox: self.inbox.clone(),
                    about: Arc::clone(&self.about),
                    began: self.began,
                };
                let visit = serve(stream, client.ip(), counter);
                self.visits.spawn(async move {
                    visit.await;
                    drop((visitor, place));
                });
            }
            Err(error) => {
                tracing::debug!(slot, %error, "could not accept a connection, trying again");
                self.resume = Instant::now() + ACCEPT_PAUSE;
            }
        }
    }

    async fn accept(&self) -> (u16, io::Result<(TcpStream, SocketAddr)>) {
        poll_fn(|context| {
            let next = self.last.saturating_add(1);
            for (&slot, front) in self.open.range(next..).chain(self.open.range(..next)) {
                if let Poll::Ready(accepted) = front.listener.poll_accept(context) {
                    return Poll::Ready((slot, accepted));
                }
            }
            Poll::Pending
        })
        .await
    }
}

/// How many visits each client pays. One is in no map when it pays none, so there are at
/// most [`VISITS_MAX`].
#[derive(Clone, Default)]
struct Visitors(Arc<Mutex<BTreeMap<IpAddr, usize>>>);

/// One visit of a client, for as long as it lasts.
struct Visitor {
    client: IpAddr,
    all: Visitors,
}

impl Visitors {
    /// Lets a client in unless it is here too often already.
    fn enter(&self, client: IpAddr) -> Option<Visitor> {
        let client = subscriber(client);
        let mut counts = self.counts();
        let count = counts.entry(client).or_default();
        if *count >= VISITS_OF_ONE_MAX {
            return None;
        }
        *count += 1;
        let all = self.clone();
        Some(Visitor { client, all })
    }

    fn counts(&self) -> MutexGuard<'_, BTreeMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        let mut counts = self.all.counts();
        if let Some(count) = counts.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_client_leaves_room_for_the_others() {
        let visitors = Visitors::default();
        let enter = |client: &str| visitors.enter(client.parse().unwrap());
        let mut inside: Vec<_> = (0..VISITS_OF_ONE_MAX)
            .map(|_| enter("192.0.2.1").expect("there is room"))
            .collect();
        assert!(enter("::ffff:192.0.2.1").is_none());
        let other = enter("192.0.2.2").expect("it is another");
        inside.pop();
        assert!(enter("192.0.2.1").is_some());
        drop((inside, other));
        assert!(visitors.counts().is_empty());
    }
}
