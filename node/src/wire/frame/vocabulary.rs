//! What questions and answers speak of, and how long they may be.

use bytes::Bytes;

use crate::store::Entry;
use crate::version::Version;

/// Bytes of a key, as the HTTP API bounds it.
pub const MAX_KEY: usize = 1024;

/// Bytes of a value, as the HTTP API bounds it.
pub const MAX_VALUE: usize = 10 * 1024 * 1024;

/// Bytes of the longest frame: a value with its key and fixed fields. Pages and lists are
/// far shorter.
pub const MAX_FRAME: usize = MAX_VALUE + MAX_KEY + 256;

/// Bytes of keys or entries after which a page is closed: one page is read and answered
/// without a pause, and this takes about a millisecond.
pub const PAGE_BYTES: usize = 1024 * 1024;

/// Items of a page. As [`PAGE_BYTES`], for small keys.
pub const PAGE_ITEMS: usize = 10_000;

/// Ranges that are compared at once: of some tens of keys each, they cover what is looked at
/// for one page.
pub const MAX_RANGES: usize = 1024;

/// A value up to this long stands in a digest page when values are wanted; longer ones are
/// asked for one by one.
pub const INLINE_VALUE: usize = 64 * 1024;

/// Datagrams that are carried back in one answer. To a ping there is one; one more is room
/// for the news that its sender is thought to be down.
pub const MAX_CARRIED: usize = 2;

/// Why a value is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A client wrote it just now.
    Client,
    /// It had been acknowledged before: refill, repair or hand-over.
    Repair,
}

/// What a holder made of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ack {
    /// It holds this version now.
    Stored,
    /// It holds this higher version.
    Older(Version),
    /// It has no room.
    Full,
    /// The version is further ahead of its clock than it accepts from a client's write.
    Ahead,
}

/// What a holder says of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// This is the value.
    Have(Entry),
    /// This is the value that it has. It has lost nothing that was acknowledged because of
    /// it, but others may have acknowledged something newer without it just now: so many
    /// holders have to say what they have before the newest of it is known to be the answer.
    Vote(Entry, u16),
    /// This is the value that it has, but it may have missed a newer one.
    Perhaps(Entry),
    /// It would have to have it, and does not.
    DoNotHave,
    /// It had this version, which has ended, and has nothing newer.
    Over(Version),
    /// It does not have it, but has not yet heard of all that it should hold.
    DoNotKnow,
}

/// One node's part of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeysPage {
    /// Live keys in byte order.
    pub keys: Vec<Bytes>,
    /// Whether keys may follow after the last.
    pub more: bool,
    /// Whether the node knows of all keys that it should hold.
    pub complete: bool,
}

/// What a node has in one range of keys, summed up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeSum {
    /// The last key of the range, which begins after the last key of the one before.
    pub last: Bytes,
    /// Sum over the keys that both hold, with their versions.
    pub sum: u64,
}

/// What a node has, range by range, to be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sums {
    /// Whether the last range goes on to the end of all keys, whatever its last key is.
    pub to_the_end: bool,
    /// Neighbouring ranges in byte order.
    pub ranges: Vec<RangeSum>,
}

/// What a holder has for another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DigestItem {
    /// The key.
    pub key: Bytes,
    /// Its version there.
    pub version: Version,
    /// Bytes of its value.
    pub length: u32,
    /// All of it, when values were wanted and it is short.
    pub entry: Option<Entry>,
}

/// A part of what a node has for the one that asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DigestPage {
    /// The two see different members, so they disagree about who holds what.
    OtherView,
    /// Some of it, in byte order of the keys.
    Items {
        /// Keys and versions.
        items: Vec<DigestItem>,
        /// Where to go on, unless this was the last page.
        next: Option<Bytes>,
    },
}
