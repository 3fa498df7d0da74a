//! What happens in simulated time.

use std::net::IpAddr;

use bytes::Bytes;
use uuid::Uuid;

use super::super::Life;
use super::confirming::{Asking, Heard};
use super::story::Turn;
use crate::membership::News;

/// Something that happens to a process or on the network.
#[derive(Debug)]
pub(super) enum Event {
    /// The node wanted to be woken, or has something to read.
    Wake {
        slot: usize,
        life: u64,
    },
    Datagram {
        to: usize,
        source: IpAddr,
        payload: Bytes,
    },
    Connect {
        from: usize,
        to: usize,
    },
    Frames {
        from: usize,
        to: usize,
        session: u64,
    },
    Lost {
        slot: usize,
        life: u64,
        peer: Uuid,
    },
    /// A stream of another node has come.
    Opened {
        slot: usize,
        life: u64,
        from: usize,
        stream: u64,
    },
    /// It is gone.
    Closed {
        slot: usize,
        life: u64,
        from: usize,
        stream: u64,
    },
    /// The supervisor says that a sibling is there.
    Sibling {
        slot: usize,
        life: u64,
        to: usize,
    },
    Meet {
        from: usize,
        life: u64,
        to: usize,
        news: Vec<News>,
    },
    Met {
        slot: usize,
        life: u64,
        source: IpAddr,
        news: Vec<News>,
    },
    /// A node is asked over a connection of its own whether it lives.
    Ask(Asking),
    /// It has answered.
    Heard(Heard),
    Round {
        slot: usize,
        life: u64,
    },
    Joined {
        slot: usize,
        life: u64,
    },
    PushPull {
        slot: usize,
        life: u64,
    },
    /// The supervisor says that a life is over.
    Buried {
        slot: usize,
        life: u64,
        uuid: Uuid,
        generation: u64,
    },
    Put {
        slot: usize,
        life: u64,
        key: Bytes,
        ttl_s: u32,
    },
    Get {
        slot: usize,
        life: u64,
        key: Bytes,
        begun_us: u64,
    },
    /// The supervisor asks a node to stop, and says who else is.
    Leave {
        slot: usize,
        life: u64,
        together: Vec<Life>,
    },
    /// It stops waiting for others to take over.
    Go {
        slot: usize,
        life: u64,
    },
    /// Its process is over.
    Gone {
        slot: usize,
        life: u64,
    },
    /// Anything else, which the story knows.
    Story(Turn),
}

impl Event {
    /// The process that it happens to.
    pub(super) fn process(&self) -> Option<(usize, u64)> {
        match self {
            Self::Wake { slot, life }
            | Self::Lost { slot, life, .. }
            | Self::Opened { slot, life, .. }
            | Self::Closed { slot, life, .. }
            | Self::Met { slot, life, .. }
            | Self::Round { slot, life }
            | Self::Joined { slot, life }
            | Self::PushPull { slot, life }
            | Self::Sibling { slot, life, .. }
            | Self::Buried { slot, life, .. }
            | Self::Leave { slot, life, .. }
            | Self::Go { slot, life }
            | Self::Gone { slot, life }
            | Self::Put { slot, life, .. }
            | Self::Get { slot, life, .. }
            | Self::Heard(Heard { slot, life, .. }) => Some((*slot, *life)),
            Self::Datagram { .. }
            | Self::Connect { .. }
            | Self::Frames { .. }
            | Self::Meet { .. }
            | Self::Ask(_)
            | Self::Story(_) => None,
        }
    }
}
