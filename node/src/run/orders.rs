//! What the supervisor says while the node runs and stops.

use std::future::pending;

use repram_discovery::supervised::{Sibling, SiblingState, SupervisorMessage};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use uuid::Uuid;

use crate::cluster::Life;
use crate::supervised::Supervisor;

/// Who stops at the same time as this node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Together {
    /// The others, each in the life that it had when that was said: whoever starts in its
    /// place stays.
    pub(super) lives: Vec<Life>,
    /// Whether no sibling stays.
    pub(super) everyone: bool,
}

/// The supervisor's line to the cluster.
pub(super) struct Line {
    pub(super) supervisor: Supervisor,
    pub(super) cluster: mpsc::Sender<SupervisorMessage>,
    /// As the first message had them.
    pub(super) siblings: Vec<Sibling>,
}

/// The supervisor's words, followed until this is dropped: while the node drains it still
/// answers requests, and has to know how its siblings are.
pub(super) struct Orders {
    together: Option<watch::Receiver<Together>>,
    following: Option<AbortHandle>,
}

impl Orders {
    /// There is no supervisor.
    pub(super) fn none() -> Self {
        Self {
            together: None,
            following: None,
        }
    }

    /// Passes all messages on to the cluster.
    pub(super) fn follow(line: Line) -> Self {
        let (sender, together) = watch::channel(Together::default());
        let following = tokio::spawn(follow(line, sender));
        Self {
            together: Some(together),
            following: Some(following.abort_handle()),
        }
    }

    /// Waits until the supervisor is gone; for ever without one.
    pub(super) async fn ended(&self) {
        let Some(mut together) = self.together.clone() else {
            return pending().await;
        };
        while together.changed().await.is_ok() {}
    }

    /// Waits until nobody stays: the supervisor said so, or is gone. For ever without one.
    pub(super) async fn nobody_stays(&self) {
        let Some(mut together) = self.together.clone() else {
            return pending().await;
        };
        // An error means that the supervisor is gone, and with it all its nodes.
        let _ = together.wait_for(|together| together.everyone).await;
    }

    /// Waits until something else is said of who stops at the same time; for ever when nothing
    /// more can be said.
    pub(super) async fn others_than(&self, known: &[Life]) {
        let Some(mut together) = self.together.clone() else {
            return pending().await;
        };
        if together.wait_for(|now| now.lives != known).await.is_err() {
            pending::<()>().await;
        }
    }

    /// Who else stops at the same time, as far as was said.
    pub(super) fn together(&self) -> Vec<Life> {
        let together = self.together.as_ref();
        together.map_or_else(Vec::new, |together| together.borrow().lives.clone())
    }
}

impl Drop for Orders {
    fn drop(&mut self) {
        if let Some(following) = &self.following {
            following.abort();
        }
    }
}

async fn follow(line: Line, together: watch::Sender<Together>) {
    let Line {
        mut supervisor,
        cluster,
        mut siblings,
    } = line;
    while let Some(message) = supervisor.next().await {
        match &message {
            SupervisorMessage::Hello(hello) => siblings.clone_from(&hello.siblings),
            SupervisorMessage::Siblings(now) => siblings.clone_from(now),
            SupervisorMessage::StopTogether(uuids) => {
                together.send_replace(Together {
                    lives: lives_of(uuids, &siblings),
                    everyone: is_everyone(uuids, &siblings),
                });
            }
        }
        // The cluster's end is open for as long as the node runs.
        let _ = cluster.send(message).await;
    }
}

/// The lives that the siblings among `uuids` have.
fn lives_of(uuids: &[Uuid], siblings: &[Sibling]) -> Vec<Life> {
    let named = siblings.iter().filter(|it| uuids.contains(&it.uuid));
    named.map(|it| (it.uuid, it.generation)).collect()
}

/// Whether `uuids` are all siblings that have a process.
fn is_everyone(uuids: &[Uuid], siblings: &[Sibling]) -> bool {
    let mut living = siblings.iter().filter(|it| it.state != SiblingState::Dead);
    living.all(|sibling| uuids.contains(&sibling.uuid))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sibling(number: u128, state: SiblingState) -> Sibling {
        Sibling {
            node_id: format!("flux-node-{number}"),
            uuid: Uuid::from_u128(number),
            generation: 1,
            port: 1,
            gossip_port: 2,
            state,
        }
    }

    #[test]
    fn whoever_stops_is_meant_in_the_life_that_it_has() {
        let mut second = sibling(2, SiblingState::Ready);
        second.generation = 5;
        let siblings = [second, sibling(3, SiblingState::Starting)];
        // This node itself, one of another life, and one that is not known.
        let named = [1, 2, 9].map(Uuid::from_u128);
        assert_eq!(lives_of(&named, &siblings), [(Uuid::from_u128(2), 5)]);
    }

    #[test]
    fn everyone_is_whoever_has_a_process() {
        let siblings = [
            sibling(2, SiblingState::Ready),
            sibling(3, SiblingState::Dead),
            sibling(4, SiblingState::Stopping),
        ];
        let check = |uuids: &[u128], expect| {
            let uuids: Vec<_> = uuids.iter().copied().map(Uuid::from_u128).collect();
            assert_eq!(is_everyone(&uuids, &siblings), expect, "{uuids:?}");
        };
        check(&[], false);
        check(&[1, 2], false);
        check(&[1, 2, 4], true);
        check(&[1, 2, 3, 4], true);
        assert!(is_everyone(&[], &[]), "a node alone");
    }
}
