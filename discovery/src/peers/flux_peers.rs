use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::sources::join_all;
use super::{Asked, Candidate, Found, FoundFuture, NewsFuture, PeerSource, SourceError};
use crate::fetch::{Fetch, FetchError};
use crate::flux::{AnswerError, Instances, parse_instances};
use crate::own_address::OwnAddress;
use crate::pace::{Ended, Pace};

/// Answers that are put together in one round. Each comes from another machine, perhaps,
/// and they disagree.
const ANSWERS: usize = 2;

/// How long a round of discovery waits for the first answer: as long as for any candidate.
const FIRST_WAIT: Duration = Duration::from_secs(2);

const NAME: &str = "flux";

/// What is asked for.
#[derive(Debug)]
pub struct FluxPeersConfig {
    /// The name of the app.
    pub app: String,
    /// The location service, with the name of the app in it.
    pub location: Fetch,
    /// How often it is asked when all is well.
    pub refresh: Duration,
    /// The ports on which an instance may be reached: HTTP and gossip, as they are called
    /// outside.
    pub ports: Vec<(u16, u16)>,
    /// Our own address, which is no peer's.
    pub own: OwnAddress,
}

/// Why the location service said nothing of use.
#[derive(Debug, thiserror::Error)]
pub enum LocationError {
    /// It gave no answer.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// Its answer is of no use.
    #[error(transparent)]
    Answer(#[from] AnswerError),
}

/// The other instances of an app on Flux, by the location service of the platform.
///
/// The service is asked at its own pace, for ever, by a task that ends with this value; a
/// round of discovery gets what is known then. Hosts stay known while the service fails and
/// until they were absent again and again (see [`Instances`]); none of it says who lives.
#[derive(Debug)]
pub struct FluxPeers {
    shared: Arc<Shared>,
    ports: Vec<(u16, u16)>,
    own: OwnAddress,
    _asking: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    asked: watch::Sender<bool>,
    news: Notify,
}

#[derive(Debug, Default)]
struct State {
    instances: Instances,
    last: Option<Asked>,
    error: Option<Arc<LocationError>>,
}

impl FluxPeers {
    /// Begins to ask, on the current runtime.
    #[must_use]
    pub fn start(config: FluxPeersConfig) -> Self {
        let FluxPeersConfig {
            app,
            location,
            refresh,
            ports,
            own,
        } = config;
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            asked: watch::Sender::new(false),
            news: Notify::new(),
        });
        let mut asking = JoinSet::new();
        let (asker, ours) = (Arc::clone(&shared), own.clone());
        asking.spawn(async move { asker.keep_asking(&app, &location, refresh, &ours).await });
        Self {
            shared,
            ports,
            own,
            _asking: asking,
        }
    }

    /// Who is known, without ourselves: first one port of every host, then the next.
    fn found(&self) -> Found {
        let state = self.shared.state();
        let others = || {
            state
                .instances
                .hosts()
                .filter(|host| !self.own.is_own(*host))
        };
        let at = |&(http, gossip): &(u16, u16)| {
            others().map(move |host: IpAddr| Candidate {
                uuid: None,
                node_id: None,
                http: SocketAddr::new(host, http),
                gossip: SocketAddr::new(host, gossip),
                source: NAME,
            })
        };
        let error = match (&state.error, &state.last) {
            (Some(error), _) => Some(SourceError::Location(Arc::clone(error))),
            (None, None) => Some(SourceError::NoAnswerYet),
            (None, Some(_)) => None,
        };
        Found {
            candidates: self.ports.iter().flat_map(at).collect(),
            error,
            asked: state.last,
        }
    }
}

impl PeerSource for FluxPeers {
    fn name(&self) -> &'static str {
        NAME
    }

    fn candidates(&self) -> FoundFuture<'_> {
        Box::pin(async {
            let mut asked = self.shared.asked.subscribe();
            // Either way what is known is what there is.
            let _ = timeout(FIRST_WAIT, asked.wait_for(|asked| *asked)).await;
            self.found()
        })
    }

    fn known(&self) -> Option<Found> {
        Some(self.found())
    }

    fn news(&self) -> NewsFuture<'_> {
        Box::pin(self.shared.news.notified())
    }
}

impl Shared {
    async fn keep_asking(&self, app: &str, location: &Fetch, refresh: Duration, own: &OwnAddress) {
        let mut pace = Pace::new(refresh);
        loop {
            let started = Instant::now();
            let answer = ask(app, location).await;
            let ended = self.note(answer, started, own);
            self.asked.send_replace(true);
            sleep(pace.after(ended, fastrand::f64())).await;
        }
    }

    fn note(
        &self,
        answer: Result<Vec<IpAddr>, LocationError>,
        started: Instant,
        own: &OwnAddress,
    ) -> Ended {
        let mut state = self.state();
        let times = state.last.map_or(0, |last| last.times) + 1;
        state.last = Some(Asked {
            times,
            ended: Instant::now().into_std(),
            duration: started.elapsed(),
        });
        match answer {
            Err(error) => {
                if state.error.is_none() {
                    let known = state.instances.hosts().count();
                    let error = crate::chain::chain(&error);
                    tracing::warn!(
                        error,
                        known,
                        "the location service does not tell of instances, trying again"
                    );
                }
                state.error = Some(Arc::new(error));
                Ended::Failed
            }
            Ok(hosts) => {
                state.error = None;
                let new = state.instances.answered(hosts);
                let others = state.instances.hosts().any(|host| !own.is_own(host));
                drop(state);
                if new.iter().any(|host| !own.is_own(*host)) {
                    self.news.notify_one();
                }
                if others { Ended::Good } else { Ended::Empty }
            }
        }
    }

    /// What is behind the lock stays consistent whoever panicked.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Everyone who is named by one of several answers; an error when there is no good one.
async fn ask(app: &str, location: &Fetch) -> Result<Vec<IpAddr>, LocationError> {
    let one = || -> OneAnswer<'_> {
        Box::pin(async { Ok(parse_instances(&location.get().await?, app)?) })
    };
    let mut named = None;
    let mut first_error = None;
    for answer in join_all((0..ANSWERS).map(|_| one()).collect()).await {
        match answer {
            Ok(hosts) => named.get_or_insert_with(Vec::new).extend(hosts),
            Err(error) => drop(first_error.get_or_insert(error)),
        }
    }
    match (named, first_error) {
        (Some(named), _) => Ok(named),
        (None, Some(error)) => Err(error),
        (None, None) => unreachable!("one answer at least is asked for"),
    }
}

type OneAnswer<'a> =
    std::pin::Pin<Box<dyn Future<Output = Result<Vec<IpAddr>, LocationError>> + Send + 'a>>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flux::ABSENCES_MAX;
    use crate::own_address::AddressOrigin;

    /// A source that is told what the service would answer.
    fn source(own: &OwnAddress) -> FluxPeers {
        FluxPeers {
            shared: Arc::new(Shared {
                state: Mutex::default(),
                asked: watch::Sender::new(true),
                news: Notify::new(),
            }),
            ports: vec![(8081, 31911), (8082, 31912)],
            own: own.clone(),
            _asking: JoinSet::new(),
        }
    }

    fn answer(source: &FluxPeers, hosts: Option<&[&str]>) -> Ended {
        let parsed = hosts.map(|hosts| hosts.iter().map(|host| host.parse().unwrap()).collect());
        let answer = parsed.ok_or(LocationError::Answer(AnswerError::NotJson));
        source.shared.note(answer, Instant::now(), &source.own)
    }

    async fn check(source: &FluxPeers, places: &[&str], error: Option<&str>) {
        let found = source.candidates().await;
        let gossip: Vec<_> = found
            .candidates
            .iter()
            .map(|it| it.gossip.to_string())
            .collect();
        assert_eq!(gossip, places);
        let said = found.error.map(|error| error.to_string());
        assert_eq!(said.as_deref(), error);
    }

    #[tokio::test]
    async fn hosts_stay_through_bad_answers_and_we_are_none_of_them() {
        let own = OwnAddress::fixed([192, 0, 2, 9].into(), AddressOrigin::NodeAddress);
        let source = source(&own);
        check(&source, &[], Some("the service has not answered yet")).await;
        assert_eq!(answer(&source, Some(&["192.0.2.9"])), Ended::Empty);
        check(&source, &[], None).await;
        let both = ["192.0.2.1", "192.0.2.2", "192.0.2.9"];
        assert_eq!(answer(&source, Some(&both)), Ended::Good);
        source.news().await;
        let places = [
            "192.0.2.1:31911",
            "192.0.2.2:31911",
            "192.0.2.1:31912",
            "192.0.2.2:31912",
        ];
        check(&source, &places, None).await;
        assert_eq!(answer(&source, None), Ended::Failed);
        check(&source, &places, Some("the answer is not a JSON object")).await;
        // Failures do not make anybody absent.
        for _ in 0..2 * ABSENCES_MAX {
            answer(&source, None);
        }
        answer(&source, Some(&["192.0.2.2"]));
        check(&source, &places, None).await;
        for _ in 0..ABSENCES_MAX {
            answer(&source, Some(&["192.0.2.2"]));
        }
        check(&source, &["192.0.2.2:31911", "192.0.2.2:31912"], None).await;
        let asked = source.candidates().await.asked.unwrap();
        assert_eq!(asked.times, u64::from(3 * ABSENCES_MAX) + 4);
        // An address that turns out to be ours is not dialled any more.
        own.found_at([192, 0, 2, 2].into());
        check(&source, &[], None).await;
    }
}
