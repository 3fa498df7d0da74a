use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use uuid::Uuid;

use super::{Candidate, Found, FoundFuture, NewsFuture, PeerSource};
use crate::claim::core::{Claim, Standing};
use crate::slot::Slot;

/// Announced peers that are remembered, at most: as many as a domain has addresses. Beyond
/// it news are dropped; the other sources find whom this one does not.
pub const ANNOUNCED_MAX: usize = crate::domain::ADDRESSES_MAX;

/// How long an announcement counts. Who stays repeats it sooner.
pub const ANNOUNCED_AGE_MAX: Duration = Duration::from_secs(60);

/// The peers that announced themselves and were asked back. Clones share what they know.
#[derive(Clone, Debug, Default)]
pub struct AnnouncedPeers {
    known: Arc<Mutex<BTreeMap<Uuid, Announced>>>,
    news: Arc<Notify>,
}

#[derive(Clone, Copy, Debug)]
struct Announced {
    slot: u16,
    http: SocketAddr,
    gossip: SocketAddr,
    heard: Instant,
}

const NAME: &str = "announced";

impl AnnouncedPeers {
    /// Takes note of a believed claim to a slot, held on the host `at`, from where its ports
    /// are called as in `slot`. Only where it is settled does a node run.
    pub fn note(&self, claim: &Claim, slot: Slot, at: IpAddr) {
        let mut known = self.current();
        match claim.standing {
            Standing::Tentative => drop(known.remove(&claim.uuid)),
            Standing::Settled if known.len() < ANNOUNCED_MAX || known.contains_key(&claim.uuid) => {
                let announced = Announced {
                    slot: slot.index,
                    http: SocketAddr::new(at, slot.http),
                    gossip: SocketAddr::new(at, slot.gossip),
                    heard: Instant::now(),
                };
                known.insert(claim.uuid, announced);
                self.news.notify_one();
            }
            Standing::Settled => {}
        }
    }

    /// Takes note that somebody left the slot of this index. Who is known to be in another one stays known.
    pub fn forget(&self, uuid: Uuid, slot: u16) {
        let mut known = self.current();
        let left = |announced: &Announced| announced.slot == slot;
        if known.get(&uuid).is_some_and(left) {
            known.remove(&uuid);
        }
    }

    /// What is known and not too old.
    fn current(&self) -> MutexGuard<'_, BTreeMap<Uuid, Announced>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, announced| announced.heard.elapsed() < ANNOUNCED_AGE_MAX);
        known
    }
}

impl PeerSource for AnnouncedPeers {
    fn name(&self) -> &'static str {
        NAME
    }

    fn candidates(&self) -> FoundFuture<'_> {
        let known = self.current();
        let candidates = known.iter().map(|(&uuid, announced)| Candidate {
            uuid: Some(uuid),
            node_id: None,
            http: announced.http,
            gossip: announced.gossip,
            source: NAME,
        });
        let found = Found {
            candidates: candidates.collect(),
            ..Found::default()
        };
        Box::pin(std::future::ready(found))
    }

    fn news(&self) -> NewsFuture<'_> {
        Box::pin(self.news.notified())
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::claim::core::Stamp;

    const AT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    const SLOT: Slot = Slot {
        index: 1,
        http: 8082,
        gossip: 9082,
    };

    fn claim(uuid: u128, standing: Standing) -> Claim {
        Claim {
            uuid: Uuid::from_u128(uuid),
            slot: 1,
            standing,
            stamp: Stamp::default(),
        }
    }

    async fn found(peers: &AnnouncedPeers) -> Vec<(u128, String)> {
        let found = peers.candidates().await.candidates;
        let uuid = |candidate: &Candidate| candidate.uuid.unwrap().as_u128();
        found
            .iter()
            .map(|candidate| (uuid(candidate), candidate.gossip.to_string()))
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn who_was_announced_is_a_candidate_for_a_while() {
        let peers = AnnouncedPeers::default();
        peers.note(&claim(1, Standing::Settled), SLOT, AT);
        peers.note(&claim(2, Standing::Tentative), SLOT, AT);
        peers.news().await;
        let expect = [(1, "192.0.2.1:9082".to_owned())];
        assert_eq!(found(&peers).await, expect);
        peers.clone().note(&claim(3, Standing::Settled), SLOT, AT);
        assert_eq!(found(&peers).await.len(), 2);
        peers.forget(Uuid::from_u128(3), SLOT.index + 1);
        assert_eq!(found(&peers).await.len(), 2);
        peers.forget(Uuid::from_u128(3), SLOT.index);
        assert_eq!(found(&peers).await, expect);
        tokio::time::advance(ANNOUNCED_AGE_MAX).await;
        assert_eq!(found(&peers).await, []);
    }

    #[tokio::test(start_paused = true)]
    async fn they_are_bounded() {
        let peers = AnnouncedPeers::default();
        for uuid in 0..2 * ANNOUNCED_MAX as u128 {
            peers.note(&claim(uuid, Standing::Settled), SLOT, AT);
        }
        assert_eq!(found(&peers).await.len(), ANNOUNCED_MAX);
    }
}
