//! The store: a sharded map whose entries end by the clock.
//!
//! **Shape.** Each shard is one core (`shard`) behind one lock: a hash table of 32-bit
//! indices into a slab of 56-byte records, a hierarchical timer wheel whose lists run
//! through those records, and an ordered index of the same 32-bit numbers for listing keys
//! in byte order. Key and small value share one allocation, large values stay in the
//! buffer they came in; reading clones a reference, never the bytes.
//!
//! **Time.** An entry is served while `now < deadline`, whatever the wheel did so far: the
//! wheel only gives memory back. It looks at ticks of 128 ms, so whoever calls
//! `Store::reclaim` twice a second frees memory within a second of expiry.
//!
//! **Order of versions.** A version that ends before what it replaced is remembered without
//! its value until the latest end of what it replaced, so that a copy of that which comes
//! from a node that was away finds something newer. That is rare, so those moments stand
//! beside the records, not in them.
//!
//! **Bytes.** All shards and everything else that holds data for a while (bodies in
//! flight, hints) draw on one `Budget`. What does not fit is refused before anything
//! changes. A large value is one buffer, however many have it: the body that came in, the
//! store, the queues to peers, answers to slow readers. It is accounted once, from its first
//! byte until the last of them lets go.
//!
//! **Order.** Within a shard operations are serialised by its lock. A listing takes each
//! shard's lock for one short batch at a time: a key that is live during the whole listing
//! is in it exactly once, one that comes or goes meanwhile may be.

mod budget;
mod buffer;
mod entry;
mod origins;
mod page;
mod record;
mod shard;
mod shards;
mod slab;
mod sorted;
mod wheel;

pub use budget::{Budget, Reservation};
pub use buffer::ValueBuffer;
pub use entry::{Entry, Full, Listed, Stored};
pub use record::PACKED_MAX;
pub use shards::{ENTRY_OVERHEAD, Store, StoreConfig, StoreStats};
