//! Finding peers: rounds over the sources, siblings, and becoming ready.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use repram_discovery::peers::{Candidate, SiblingPorts, Sources};
use repram_discovery::supervised::{Sibling, SiblingState, SupervisorMessage};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use super::Life;
use super::node::{Node, lock};
use super::sockets::Sockets;
use crate::membership::{Fate, Input, Liveness, Member};
use crate::reach::Reach;
use crate::stream::GreetError;
use crate::wire::frame::{Reply, Request};

/// How long a candidate may take to answer: so long does readiness wait for it.
const CANDIDATE_WITHIN: Duration = Duration::from_secs(2);

/// How long a sibling may take whose process is starting. Its socket is there before it,
/// and the connection waits in the queue until the process accepts.
const STARTING_WITHIN: Duration = Duration::from_secs(60);

/// Candidates asked at the same time. Most of a list of candidates may be dead and take
/// their whole time, and the first round makes the node ready; so many connections are an
/// eighth of the usual limit on descriptors.
const INTRODUCTIONS: usize = 128;

/// The first pause between two rounds as long as there is nobody; each is twice the one before.
/// Of several nodes that start at once one may be looked for before it listens. Sources that ask a
/// service have a pace of their own; a scan of ports is at most about seven rounds in the first
/// six seconds, and none begins sooner than the one before took.
const ROUND_ALONE_FIRST: Duration = Duration::from_millis(100);

/// The longest such pause.
const ROUND_ALONE: Duration = Duration::from_secs(5);

/// Pause between two rounds otherwise: the members know each other without them, but two
/// networks that were apart for long may only find each other this way.
const ROUND: Duration = Duration::from_secs(60);

/// Pause between two push-pulls with some member. Gossip reaches nearly all at once; this
/// reaches the rest.
const PUSH_PULL: Duration = Duration::from_secs(30);

/// Pauses between rounds.
struct Pauses {
    /// The next one if there is nobody.
    alone: Duration,
}

impl Default for Pauses {
    fn default() -> Self {
        Self {
            alone: ROUND_ALONE_FIRST,
        }
    }
}

impl Pauses {
    fn next(&mut self, is_alone: bool) -> Duration {
        if !is_alone {
            *self = Self::default();
            return ROUND;
        }
        let pause = self.alone;
        self.alone = (pause * 2).min(ROUND_ALONE);
        pause
    }
}

/// Looks for peers for as long as the node lives.
pub(super) struct Joining {
    pub(super) node: Arc<Node<Sockets>>,
    pub(super) sources: Arc<Sources>,
    /// Ports that need not be asked, because the supervisor says more.
    pub(super) sibling_ports: SiblingPorts,
    /// Where peers are reached.
    pub(super) reach: Arc<Reach>,
}

impl Joining {
    /// Rounds, siblings and push-pulls, each at its own pace.
    pub(super) async fn run(self, siblings: Option<mpsc::Receiver<SupervisorMessage>>) {
        let mut siblings = siblings.map(|channel| Siblings {
            channel,
            meetings: Meetings::default(),
        });
        // What the supervisor said already is part of the beginning.
        let mut ready = Vec::new();
        if let Some(siblings) = &mut siblings
            && let Ok(message) = siblings.channel.try_recv()
        {
            ready = self.follow(message, &mut siblings.meetings);
        }
        tokio::join!(
            self.rounds(ready),
            self.siblings(siblings),
            self.introductions(),
            self.push_pulls()
        );
    }

    /// The first round, which makes the node ready, and all that follow.
    async fn rounds(&self, ready_siblings: Vec<Life>) {
        let siblings = timeout(CANDIDATE_WITHIN, self.met(ready_siblings));
        let _ = tokio::join!(self.round(), siblings);
        // Everyone who was found is to be joined, not only heard of.
        let _ = timeout(CANDIDATE_WITHIN, self.node.world.streams().tried()).await;
        self.node.note_joined();
        let mut pauses = Pauses::default();
        let mut took = Duration::ZERO;
        loop {
            let pause = pauses.next(self.alive().is_empty());
            sleep(jittered(pause).max(took)).await;
            let begun = Instant::now();
            self.round().await;
            took = begun.elapsed();
        }
    }

    /// Follows the supervisor's words about siblings.
    async fn siblings(&self, siblings: Option<Siblings>) {
        let Some(mut siblings) = siblings else { return };
        loop {
            tokio::select! {
                message = siblings.channel.recv() => match message {
                    Some(message) => {
                        self.follow(message, &mut siblings.meetings);
                    }
                    None => return,
                },
                Some(met) = siblings.meetings.tasks.join_next() => {
                    // A meeting that panicked has said so itself.
                    if let Ok(life) = met {
                        siblings.meetings.lives.remove(&life);
                    }
                }
            }
        }
    }

    /// Meets those of whom a source has heard just now. Two parts of a domain that were
    /// apart find together by this before a round would bring them together.
    async fn introductions(&self) {
        loop {
            let candidates = self.sources.news().await;
            self.meet_new(candidates).await;
        }
    }

    async fn push_pulls(&self) {
        loop {
            sleep(jittered(PUSH_PULL)).await;
            let up = self.node.world.streams().up();
            if let Some(peer) = fastrand::choice(&up) {
                self.node.push_pull(*peer);
            }
        }
    }

    /// Asks all sources, and everyone they name that is not known.
    async fn round(&self) {
        self.meet_new(self.sources.round().await).await;
    }

    /// Meets those among the candidates who are not known.
    async fn meet_new(&self, candidates: Vec<Candidate>) {
        let known = self.alive();
        let own = lock(&self.node.membership).identity().gossip;
        let is_new = |candidate: &Candidate| {
            candidate.gossip != own
                && !known.iter().any(|(uuid, gossip)| {
                    Some(*uuid) == candidate.uuid || *gossip == candidate.gossip
                })
        };
        let places = candidates
            .iter()
            .filter(|it| is_new(it))
            .map(|it| self.reach.candidate(it.gossip))
            .collect();
        self.meet_all(places).await;
    }

    /// Waits until all these lives are known.
    async fn met(&self, lives: Vec<Life>) {
        let mut members = self.node.members_told.subscribe();
        for (uuid, generation) in lives {
            // The node keeps the sender, so there is always something to wait for.
            let _ = members
                .wait_for(|()| self.node.knows_life(uuid, generation))
                .await;
        }
    }

    async fn meet_all(&self, places: BTreeSet<SocketAddr>) {
        let mut introductions = JoinSet::new();
        for place in places {
            while introductions.len() >= INTRODUCTIONS {
                introductions.join_next().await;
            }
            introductions.spawn(meet(Arc::clone(&self.node), place, CANDIDATE_WITHIN));
        }
        while introductions.join_next().await.is_some() {}
    }

    /// Follows one message. Returns where siblings are that are ready and not known.
    fn follow(&self, message: SupervisorMessage, meetings: &mut Meetings) -> Vec<Life> {
        let list = match message {
            SupervisorMessage::Siblings(list) => list,
            SupervisorMessage::Hello(hello) => hello.siblings,
            SupervisorMessage::StopTogether(_) => return Vec::new(),
        };
        self.sibling_ports
            .set(list.iter().map(|sibling| sibling.port));
        let place = |sibling: &Sibling| (sibling.uuid, sibling.gossip_port);
        self.reach.set_siblings(list.iter().map(place));
        let mut ready = Vec::new();
        for sibling in &list {
            self.bury(sibling);
            let life = (sibling.uuid, sibling.generation);
            let patience = match sibling.state {
                SiblingState::Ready => CANDIDATE_WITHIN,
                SiblingState::Starting => STARTING_WITHIN,
                SiblingState::Dead | SiblingState::Stopping => continue,
            };
            if self.node.knows_life(life.0, life.1) || !meetings.lives.insert(life) {
                continue;
            }
            if sibling.state == SiblingState::Ready {
                ready.push(life);
            }
            let place = SocketAddr::new(self.reach.siblings_at(), sibling.gossip_port);
            let node = Arc::clone(&self.node);
            meetings.tasks.spawn(async move {
                meet(node, place, patience).await;
                life
            });
        }
        ready
    }

    /// What the supervisor knows to be over, is over: a dead sibling's life, and every life
    /// before the one that it speaks of.
    fn bury(&self, sibling: &Sibling) {
        let ended = match sibling.state {
            SiblingState::Dead => Some(sibling.generation),
            SiblingState::Starting | SiblingState::Ready | SiblingState::Stopping => {
                sibling.generation.checked_sub(1)
            }
        };
        if let Some(generation) = ended {
            self.node.step(Input::Ended {
                uuid: sibling.uuid,
                generation,
                fate: Fate::Died,
            });
        }
    }

    /// Members that answer, and where.
    fn alive(&self) -> Vec<(Uuid, SocketAddr)> {
        let membership = lock(&self.node.membership);
        let alive = |member: &&Member| member.liveness == Liveness::Alive;
        let place = |member: &Member| (member.identity.uuid, member.identity.gossip);
        membership
            .members()
            .iter()
            .filter(alive)
            .map(place)
            .collect()
    }
}

/// What the supervisor says, and the siblings that are being met meanwhile.
struct Siblings {
    channel: mpsc::Receiver<SupervisorMessage>,
    meetings: Meetings,
}

/// Siblings that are being met, each life once: the supervisor repeats itself.
#[derive(Default)]
struct Meetings {
    lives: BTreeSet<Life>,
    tasks: JoinSet<Life>,
}

/// Meets whoever is at `place`: pushes what we know of the members and pulls what it knows.
/// From then on both are members to each other.
async fn meet(node: Arc<Node<Sockets>>, place: SocketAddr, patience: Duration) {
    let news = node.knowledge();
    let question = Request::PushPull { id: 0, news };
    match node
        .world
        .streams()
        .ask_once(place, &question, patience)
        .await
    {
        Ok((channel, Reply::PushPull { news, .. })) => {
            node.learn(channel.address.ip(), news);
        }
        Ok(_) => tracing::debug!(%place, "answered something else"),
        Err(GreetError::Own) => {}
        Err(error) => tracing::debug!(%place, %error, "not met"),
    }
}

/// A fifth more or less, so that nodes that started together do not stay in step.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(0.8 + 0.4 * fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_alone_asks_soon_and_then_less_often() {
        let mut pauses = Pauses::default();
        let mut alone = || pauses.next(true).as_millis();
        let first: Vec<_> = (0..8).map(|_| alone()).collect();
        assert_eq!(first, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(pauses.next(false), ROUND);
        assert_eq!(pauses.next(true), ROUND_ALONE_FIRST);
    }
}
