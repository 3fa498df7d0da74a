//! Writes, reads, listings and the refill over the holders of keys.
//!
//! Four cores without I/O. [`Writes`] owns all writes under way on this node, from the
//! moment a client's value gets its version until every holder has it. [`Reads`] owns all
//! reads that have to ask others, each a [`Read`]; a [`Listing`] is one question, owned by
//! whoever asks it. [`Refill`] pulls what this
//! node should hold from every other member, and knows when that is complete.
//!
//! They keep these promises together: a write is acknowledged when W of the holders that
//! count have it; a key is missing only when so many holders say so that one of them would
//! have to know of an acknowledged write; and a holder says so only when it has heard from
//! every member, for exactly the set of members that counts now, what it should hold.

mod agreement;
mod listing;
mod operation;
mod outcome;
mod read;
mod reads;
mod refill;
mod writes;

pub use listing::Listing;
pub use outcome::{GetOutcome, PutOutcome};
pub use read::{Read, Step};
pub use reads::{READ_WITHIN, ReadEffect, Reads};
pub use refill::{Page, Pull, Refill, RefillProgress, Value};
pub use writes::{Effect, MAX_PENDING_BYTES, NewWrite, RETRY, Unsent, WriteCounters, Writes};
