//! What goes into the core and what comes out.

use std::time::Duration;

use uuid::Uuid;

use super::message::{Message, Recipient};

/// Somebody who wants a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Newcomer {
    /// Whose identity the slot is for.
    pub uuid: Uuid,
    /// The slot that it had before, which is its first choice.
    pub last_slot: Option<u16>,
    /// The slot from which it looks upwards otherwise. 0 makes claimants fill a range from
    /// the bottom, in the order in which they joined; N-1 gives `flux-node-N` its own slot
    /// of a free range even where UUIDs decide.
    pub start: u16,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// These want slots, and choose in this order.
    Join(Vec<Newcomer>),
    /// This one needs no slot any more; its node is gone.
    Leave(Uuid),
    /// The answer to [`Output::Bind`]: all sockets of the slot are held.
    Bound(u16),
    /// The answer to [`Output::Bind`]: some socket of the slot could not be had, and the
    /// rest was let go.
    Taken(u16),
    /// The answer to [`Output::Yield`]: nothing of the claimant runs in the slot any more.
    Vacated {
        /// Who was to leave.
        uuid: Uuid,
        /// The slot that it left.
        slot: u16,
    },
    /// Another claimant of the domain spoke. The shell has checked that it is who it says.
    Received(Message),
    /// A deadline may have come.
    Tick,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Output {
    /// Bind and listen on all sockets of the slot, or on none, and answer with
    /// [`Input::Bound`] or [`Input::Taken`]. At most one is unanswered at any time.
    Bind {
        /// For whom.
        uuid: Uuid,
        /// The slot to take.
        slot: u16,
    },
    /// Let go of all sockets of the slot, whoever still uses them.
    Release {
        /// The slot to let go of.
        slot: u16,
    },
    /// The claimant holds the slot for the time being: answer on it.
    Tentative {
        /// Who holds it.
        uuid: Uuid,
        /// What it holds.
        slot: u16,
    },
    /// The slot is the claimant's: run its node there. When the node runs in a slot that
    /// it has to leave, it moves now.
    Settled {
        /// Who holds it.
        uuid: Uuid,
        /// What it holds.
        slot: u16,
    },
    /// A stronger claim to a settled slot is known. The node is to leave it, as soon as
    /// another slot is settled or there is none ([`Output::NoPort`]), and must be gone at
    /// `until`, when the slot is released in any case.
    Yield {
        /// Who must leave.
        uuid: Uuid,
        /// The slot to leave.
        slot: u16,
        /// The last moment for it.
        until: Duration,
    },
    /// There is no slot for the claimant now. It tries again by itself.
    NoPort {
        /// Who has none.
        uuid: Uuid,
    },
    /// Tell others.
    Send {
        /// Whom.
        to: Recipient,
        /// What.
        message: Message,
    },
}
