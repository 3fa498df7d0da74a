//! Carries requests to the other hosts.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::fronts::Incoming;
use crate::chain::chain;
use crate::claim::conversation::{Kind, Request, SpeakError, Speaker};

/// Hosts whose refusals are counted; beyond it counting starts again.
const REFUSALS_MAX: usize = 1024;

/// Refusals in a row after which a person is told. A node refuses what was signed before it
/// started, which happens once or twice when it takes over from a claimant.
const REFUSALS_TOLD: u32 = 5;

/// Sends at most one request at a time to each place.
///
/// While one is under way only the latest of those that follow it is kept: every statement
/// replaces those before it. So what is under way is bounded by the places, which are the
/// addresses of the domain times the slots that are held here.
pub(super) struct Courier {
    speaker: Speaker,
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
        self.tasks.spawn(async move {
            let Letter { kind, request } = letter;
            let outcome = speaker.say(kind, &request, place).await;
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
