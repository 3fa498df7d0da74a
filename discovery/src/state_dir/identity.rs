use uuid::Uuid;

/// Who a node is, over all its lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Made once.
    pub uuid: Uuid,
    /// Number of its latest start; 0 before the first.
    pub generation: u64,
    /// Index of the slot that it had last.
    pub last_slot: Option<u16>,
}
