//! What does not change while a core runs.

/// Who must not hold the same slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The processes of one network namespace: the kernel decides, the first bind wins,
    /// and a claim is settled as soon as its sockets are bound.
    Host,
    /// Hosts that are told apart by port only: the claimants decide by [`super::Rank`].
    Domain,
}

/// What a core needs to know from the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Config {
    /// Who must not hold the same slot.
    pub scope: Scope,
    /// Number of slots in the range, at least 1.
    pub slots: u16,
    /// A number that grows with every start of the process that holds these identities.
    /// If it ever goes back, others do not believe its claims until they have forgotten
    /// the older ones ([`super::Timing::expiry`]).
    pub incarnation: u64,
}
