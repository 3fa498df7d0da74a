//! Questions that were asked, and who waits for their answers.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::mpsc::UnboundedSender;
use uuid::Uuid;

use crate::wire::frame::KeysPage;

/// What a question was asked for. The channels are as long as one operation has questions.
#[derive(Debug)]
pub(super) enum Asked {
    /// A read, with its number.
    Read(u64),
    /// A listing.
    Listing(UnboundedSender<Option<KeysPage>>),
    /// A page of the refill, with its ticket.
    Page(u64),
    /// A value of the refill, with its ticket and key.
    Value(u64, Bytes),
    /// What the peer knows of the members.
    PushPull,
    /// What the peer says to a datagram.
    Carried,
    /// Which members the peer sees.
    View,
    /// Whether the peer has taken over what this node has for it.
    TakenOver,
    /// Whether the peer has understood that this node leaves; dropped when it has.
    Farewell(#[expect(dead_code, reason = "its end is the message")] UnboundedSender<()>),
}

/// All questions without an answer, but writes, whose numbers are the writes' own.
#[derive(Debug, Default)]
pub(super) struct Asks {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    last: u64,
    waiting: BTreeMap<u64, (Uuid, Asked)>,
}

impl Asks {
    /// Notes a question to `peer`; its number.
    pub(super) fn note(&self, peer: Uuid, asked: Asked) -> u64 {
        let mut table = self.table();
        table.last += 1;
        let id = table.last;
        table.waiting.insert(id, (peer, asked));
        id
    }

    /// The question with this number, if `peer` was asked and has not answered yet.
    pub(super) fn answered(&self, peer: Uuid, id: u64) -> Option<Asked> {
        let mut table = self.table();
        if table.waiting.get(&id)?.0 != peer {
            return None;
        }
        table.waiting.remove(&id).map(|(_, asked)| asked)
    }

    /// Nobody waits for this one any more.
    pub(super) fn forget(&self, id: u64) {
        self.table().waiting.remove(&id);
    }

    /// All questions to `peer`: it will not answer them.
    pub(super) fn lost(&self, peer: Uuid) -> Vec<Asked> {
        let mut table = self.table();
        let ids: Vec<u64> = table
            .waiting
            .iter()
            .filter(|(_, (asked, _))| *asked == peer)
            .map(|(id, _)| *id)
            .collect();
        ids.into_iter()
            .filter_map(|id| table.waiting.remove(&id))
            .map(|(_, asked)| asked)
            .collect()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_question_is_answered_once_and_by_who_was_asked() {
        let (asks, here, there) = (Asks::default(), Uuid::from_u128(1), Uuid::from_u128(2));
        let id = asks.note(here, Asked::PushPull);
        assert!(asks.answered(there, id).is_none());
        assert!(matches!(asks.answered(here, id), Some(Asked::PushPull)));
        assert!(asks.answered(here, id).is_none());
        let id = asks.note(here, Asked::Page(7));
        asks.note(there, Asked::PushPull);
        assert!(matches!(asks.lost(here)[..], [Asked::Page(7)]));
        assert!(asks.answered(here, id).is_none());
        let id = asks.note(there, Asked::PushPull);
        asks.forget(id);
        assert_eq!(asks.lost(there).len(), 1);
    }
}
