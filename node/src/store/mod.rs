//! The store: a sharded map whose entries end by the clock.

mod entry;
mod store;

pub use entry::{Entry, Full, Stored};
pub use store::{Store, StoreConfig, StoreStats};
