use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::Poll;
use std::time::Instant;

use super::report::History;
use super::{Candidate, NewsFuture, PeerSource, Report};
use crate::chain::chain;

/// All sources of a node, asked together.
#[derive(Debug, Default)]
pub struct Sources {
    sources: Vec<Watched>,
}

#[derive(Debug)]
struct Watched {
    source: Box<dyn PeerSource>,
    history: Mutex<History>,
}

impl Sources {
    /// Puts `sources` together. Earlier ones win where two find the same place.
    #[must_use]
    pub fn new(sources: Vec<Box<dyn PeerSource>>) -> Self {
        let watched = |source| Watched {
            source,
            history: Mutex::default(),
        };
        Self {
            sources: sources.into_iter().map(watched).collect(),
        }
    }

    /// Asks every source once, all at the same time, and returns when the last has
    /// answered: each place once, in the order of the sources.
    pub async fn round(&self) -> Vec<Candidate> {
        let rounds = self.sources.iter().map(Watched::round).collect();
        let mut candidates: Vec<Candidate> = Vec::new();
        for candidate in join_all(rounds).await.into_iter().flatten() {
            if candidates
                .iter()
                .all(|known| known.gossip != candidate.gossip)
            {
                candidates.push(candidate);
            }
        }
        candidates
    }

    /// Waits until a source has news, and returns what it knows then.
    pub async fn news(&self) -> Vec<Candidate> {
        let mut waits: Vec<_> = self.sources.iter().map(|it| it.source.news()).collect();
        let ready = poll_fn(|context| {
            let ready = |wait: &mut NewsFuture<'_>| wait.as_mut().poll(context).is_ready();
            match waits.iter_mut().position(ready) {
                Some(index) => Poll::Ready(index),
                None => Poll::Pending,
            }
        });
        let index = ready.await;
        self.sources[index].source.candidates().await.candidates
    }

    /// How each source does.
    #[must_use]
    pub fn reports(&self) -> Vec<Report> {
        let now = Instant::now();
        self.sources
            .iter()
            .map(|watched| watched.report(now))
            .collect()
    }
}

impl Watched {
    fn report(&self, now: Instant) -> Report {
        let name = self.source.name();
        if let Some(found) = self.source.known() {
            let mut history = History::default();
            history.record(&found, now, now);
            return history.report(name, now);
        }
        let history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        history.report(name, now)
    }

    fn round(&self) -> Pin<Box<dyn Future<Output = Vec<Candidate>> + Send + '_>> {
        Box::pin(async {
            let started = Instant::now();
            let found = self.source.candidates().await;
            if let Some(error) = &found.error {
                let method = self.source.name();
                tracing::debug!(method, error = chain(error), "discovery round");
            }
            let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
            history.record(&found, started, Instant::now());
            found.candidates
        })
    }
}

/// Runs few futures at the same time, within the calling task; results in their order.
pub(super) async fn join_all<T>(
    futures: Vec<Pin<Box<dyn Future<Output = T> + Send + '_>>>,
) -> Vec<T> {
    let mut results: Vec<Option<T>> = futures.iter().map(|_| None).collect();
    let mut futures: Vec<_> = futures.into_iter().map(Some).collect();
    poll_fn(|context| {
        for (future, result) in futures.iter_mut().zip(&mut results) {
            if let Some(running) = future
                && let Poll::Ready(value) = running.as_mut().poll(context)
            {
                *result = Some(value);
                *future = None;
            }
        }
        if futures.iter().all(Option::is_none) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    results.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;

    use tokio::sync::Barrier;

    use super::*;
    use crate::peers::{Found, FoundFuture, Outcome};

    /// Answers when all sources of the round are being asked.
    #[derive(Debug)]
    struct Fixed {
        name: &'static str,
        ports: Vec<u16>,
        together: Arc<Barrier>,
    }

    impl PeerSource for Fixed {
        fn name(&self) -> &'static str {
            self.name
        }

        fn candidates(&self) -> FoundFuture<'_> {
            Box::pin(async {
                self.together.wait().await;
                let candidates = self.ports.iter().map(|&port| Candidate {
                    uuid: None,
                    node_id: None,
                    http: SocketAddr::from(([127, 0, 0, 1], port)),
                    gossip: SocketAddr::from(([127, 0, 0, 1], port + 1000)),
                    source: self.name,
                });
                Found {
                    candidates: candidates.collect(),
                    ..Found::default()
                }
            })
        }
    }

    #[tokio::test]
    async fn sources_are_asked_together_and_places_found_once() {
        let together = Arc::new(Barrier::new(2));
        let source = |name, ports: &[u16]| -> Box<dyn PeerSource> {
            Box::new(Fixed {
                name,
                ports: ports.to_vec(),
                together: Arc::clone(&together),
            })
        };
        let sources = Sources::new(vec![source("first", &[1, 2]), source("second", &[3, 2])]);
        let found: Vec<_> = sources
            .round()
            .await
            .iter()
            .map(|it| (it.source, it.http.port()))
            .collect();
        assert_eq!(found, [("first", 1), ("first", 2), ("second", 3)]);

        let reports = sources.reports();
        assert_eq!(
            reports.iter().map(|it| it.method).collect::<Vec<_>>(),
            ["first", "second"]
        );
        for report in reports {
            assert_eq!(
                (report.tried, report.result, report.peers),
                (1, Some(Outcome::Ok), 2)
            );
        }
    }

    #[tokio::test]
    async fn no_source_is_a_round_too() {
        assert_eq!(Sources::default().round().await, []);
    }
}
