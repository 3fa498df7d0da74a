//! What claimants of a domain tell each other.
//!
//! Slots are indices of the range that all of them share; on the wire a slot is its HTTP
//! port. Every message is true of the moment at which it was sent, and its [`Stamp`] says
//! whether something newer is known, so messages may be lost, doubled and reordered.

use uuid::Uuid;

/// How firm a claim is. The firmer one is the smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// A node may run in the slot.
    Settled,
    /// The sockets are held and answered by the claimant itself, for the time being.
    Tentative,
}

/// Which of two claims to one slot keeps it: the smaller. Settled beats tentative, among
/// equals the lower UUID wins, so of two claimants exactly one yields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rank {
    /// How firm the claim is.
    pub standing: Standing,
    /// Whose claim it is.
    pub uuid: Uuid,
}

/// The age of a statement among all that were made under one UUID. The newer one is the
/// greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp {
    /// Grows with every start of the process that claims.
    pub incarnation: u64,
    /// Grows with every change of a claim of that process. Repeating a claim leaves it.
    pub sequence: u64,
}

/// A claimant's statement that it holds all sockets of a slot on its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Claim {
    /// Who holds it.
    pub uuid: Uuid,
    /// Index of the slot.
    pub slot: u16,
    /// How firm the claim is.
    pub standing: Standing,
    /// Its age.
    pub stamp: Stamp,
}

impl Claim {
    /// What decides between this claim and another one to the same slot.
    #[must_use]
    pub fn rank(&self) -> Rank {
        Rank {
            standing: self.standing,
            uuid: self.uuid,
        }
    }
}

/// One message between claimants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Message {
    /// To everyone, at every change of a claim and repeatedly after it. Carried by
    /// `POST /peer_announce`; `claimed_ports` of `GET /peers` is a list of them.
    Announce(Claim),
    /// To a claimant whose claim to the same slot is the weaker one. Carried by
    /// `POST /conflict_resolution`, or by the answer to one that says `should_yield`.
    Conflict(Claim),
    /// To everyone: the claimant holds no slot any more. Carried by `POST /peer_leaving`.
    Leave {
        /// Who leaves.
        uuid: Uuid,
        /// Newer than all claims that it takes back.
        stamp: Stamp,
    },
}

/// Who is to get a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Recipient {
    /// Whoever can be reached in the domain.
    Everyone,
    /// The process that claims under this UUID.
    Claimant(Uuid),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_claims_the_firmer_then_the_lower_uuid_wins() {
        fn check(winner: (Standing, u128), loser: (Standing, u128)) {
            let rank = |(standing, uuid)| Rank {
                standing,
                uuid: Uuid::from_u128(uuid),
            };
            assert!(rank(winner) < rank(loser));
        }
        check((Standing::Settled, 9), (Standing::Tentative, 1));
        check((Standing::Settled, 1), (Standing::Settled, 2));
        check((Standing::Tentative, 1), (Standing::Tentative, 2));
    }
}
