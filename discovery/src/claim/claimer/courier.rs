//! Carries requests to the other hosts.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use super::fronts::Incoming;
use crate::chain::chain;
use crate::claim::conversation::{Kind, Request, SpeakError, Speaker};

/// Hosts whose refusals are counted; beyond it counting starts again.
const REFUSALS_MAX: usize = 1024;

/// Refusals in a row after which a person is told. A node refuses what was signed before it
/// started, which happens once or twice when it takes over from a claimant.
const REFUSALS_TOLD: u32 = 5;

/// Requests at the same time, to all places together: a quarter of the usual soft limit on
/// descriptors, which the processes of the nodes need as well. Where most of a domain's
/// addresses are dead the others wait for their turn.
const CARRIED_MAX: usize = 256;

/// Sends at most one request at a time to each place.
///
/// While one is under way only the latest of those that follow it is kept: every statement
/// replaces those before it. So what is under way is bounded by the places, which are the
/// addresses of the domain times the slots that are held here; and of these only
/// [`CARRIED_MAX`] have a connection.
pub(super) struct Courier {
    speaker: Speaker,
    carriers: Arc<Semaphore>,
    inbox: mpsc::Sender<Incoming>,
    /// The places on the way to which a request is, and what follows it.
    under_way: BTreeMap<SocketAddr, Option<Letter>>,
    tasks: JoinSet<()>,
    /// Refusals in a row, by host.
    refusals: BTreeMap<IpAddr, u32>,
}

/// A request, and which.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    pub(super) kind: Kind,
    pub(super) request: Request,
}

impl Courier {
    pub(super) fn new(speaker: Speaker, inbox: mpsc::Sender<Incoming>) -> Self {
        Self {
            speaker,
            carriers: Arc::new(Semaphore::new(CARRIED_MAX)),
            inbox,
            under_way: BTreeMap::new(),
            tasks: JoinSet::new(),
            refusals: BTreeMap::new(),
        }
    }

    /// Sends a letter to whoever listens at `place`, now or after the one before it.
    pub(super) fn send(&mut self, place: SocketAddr, letter: Letter) {
        match self.under_way.get_mut(&place) {
            Some(next) => *next = Some(letter),
            None => {
                self.under_way.insert(place, None);
                self.carry(place, letter);
            }
        }
    }

    /// A letter has come back: the next one may go.
    pub(super) fn returned(&mut self, place: SocketAddr, error: Option<&SpeakError>) {
        while self.tasks.try_join_next().is_some() {}
        if let Some(next) = self.under_way.remove(&place).flatten() {
            self.send(place, next);
        }
        match error {
            None => drop(self.refusals.remove(&place.ip())),
            Some(error) => self.complain(place, error),
        }
    }

    /// Waits until everything is carried.
    pub(super) async fn finish(mut self, mut inbox: mpsc::Receiver<Incoming>) {
        while !self.under_way.is_empty()
            && let Some(incoming) = inbox.recv().await
        {
            if let Incoming::Returned { place, .. } = incoming {
                self.returned(place, None);
            }
        }
    }

    fn carry(&mut self, place: SocketAddr, letter: Letter) {
        let (speaker, inbox) = (self.speaker.clone(), self.inbox.clone());
        let carriers = Arc::clone(&self.carriers);
        self.tasks.spawn(async move {
            let Letter { kind, request } = letter;
            let carrier = carriers.acquire().await;
            let outcome = speaker.say(kind, &request, place).await;
            drop(carrier);
            let returned = Incoming::Returned {
                place,
                kind,
                outcome,
            };
            // Nobody listens any more when the claimer is gone, and this task with it.
            let _ = inbox.send(returned).await;
        });
    }

    /// Tells a person of a host that speaks our language and refuses us.
    fn complain(&mut self, place: SocketAddr, error: &SpeakError) {
        tracing::debug!(%place, error = chain(error), "a claim was not heard");
        if !matches!(error, SpeakError::Refused { status: 401 }) {
            return;
        }
        if self.refusals.len() >= REFUSALS_MAX {
            self.refusals.clear();
        }
        let refusals = self.refusals.entry(place.ip()).or_default();
        *refusals = refusals.saturating_add(1);
        if *refusals == REFUSALS_TOLD {
            tracing::warn!(
                %place,
                "a host of the domain refuses our claims: it has another cluster secret, or \
                 another time of day"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use tokio::net::TcpListener;
    use tokio::time::timeout;
    use uuid::Uuid;

    use super::*;
    use crate::claim::core::{Message, Stamp};
    use crate::slot::PortRange;

    /// What nobody waits for longer; a machine may be busy.
    const PATIENCE: Duration = Duration::from_secs(60);

    /// Hosts that take connections and never answer.
    #[tokio::test]
    async fn few_descriptors_are_used_for_many_dead_hosts() {
        let hosts = u32::try_from(2 * CARRIED_MAX).unwrap();
        let dead = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await.unwrap();
        let port = dead.local_addr().unwrap().port();
        let range = PortRange::new(8081, 1, 1000).unwrap();
        let speaker = Speaker::new(range, Ipv4Addr::LOCALHOST.into(), None).unwrap();
        let (inbox, mut returned) = mpsc::channel(hosts as usize);
        let mut courier = Courier::new(speaker, inbox);
        let leave = Message::Leave {
            uuid: Uuid::nil(),
            stamp: Stamp::default(),
        };
        let (kind, request) = Request::of_message(&leave, 0, "n", &range);
        for host in 1..=hosts {
            let host = Ipv4Addr::from_bits(Ipv4Addr::LOCALHOST.to_bits() + host);
            let request = request.clone();
            courier.send((host, port).into(), Letter { kind, request });
        }

        let mut open = Vec::new();
        for _ in 0..CARRIED_MAX {
            open.push(timeout(PATIENCE, dead.accept()).await.unwrap().unwrap());
        }
        // Everybody else gets ample opportunity to come, too.
        for _ in 0..1000 {
            tokio::task::yield_now().await;
            tokio::select! {
                biased;
                _ = dead.accept() => panic!("one too many"),
                () = std::future::ready(()) => {}
            }
        }
        for _ in CARRIED_MAX..hosts as usize {
            drop(open.remove(0));
            let back = timeout(PATIENCE, returned.recv()).await.unwrap();
            assert!(matches!(back, Some(Incoming::Returned { .. })));
            open.push(timeout(PATIENCE, dead.accept()).await.unwrap().unwrap());
        }
    }
}
