//! What the refill asks for, and what comes of it.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use bytes::Bytes;
use uuid::Uuid;

/// What to ask for. The ticket comes back with the answer, so that late ones can be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pull {
    /// A page of what this member has for us.
    Page {
        /// Whom to ask.
        from: Uuid,
        /// To be given back.
        ticket: u64,
        /// Fingerprint of the members that count.
        view: u64,
        /// Fingerprint for which it told all before; 0 for none.
        previous: u64,
        /// Keys after this one.
        after: Option<Bytes>,
        /// Whether short values are wanted with the keys.
        with_values: bool,
        /// Whether only what differs from what we have is wanted.
        compare: bool,
    },
    /// One value.
    Value {
        /// Whom to ask.
        from: Uuid,
        /// To be given back.
        ticket: u64,
        /// Its key.
        key: Bytes,
    },
}

/// A page as it was used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Page {
    /// The member sees other members.
    OtherView,
    /// What came with values is stored.
    Items {
        /// Keys that are missing here or older, with the lengths of their values.
        wanted: Vec<(Bytes, u32)>,
        /// Where to go on, unless this was the last page.
        next: Option<Bytes>,
        /// Entries that were stored.
        entries: u64,
        /// Bytes of keys and values that came.
        bytes: u64,
        /// Whether something did not fit the store.
        full: bool,
    },
}

/// A value as it was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// It is stored; so many bytes.
    Stored(u64),
    /// It ended meanwhile, or something newer is here.
    Gone,
    /// It did not fit the store.
    Full,
}

/// How far the refill is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RefillProgress {
    /// Members that have not told all yet.
    pub waiting_for: usize,
    /// Entries received since the start.
    pub entries: u64,
    /// Bytes of keys and values received since the start.
    pub bytes: u64,
}
