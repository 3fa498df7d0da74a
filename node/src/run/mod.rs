//! Start-up, worker threads, stop.
//!
//! `main` reads the command line and the settings; `beginning` finds out
//! who the node is and `start` assembles a `start::Node` from it, in the order that the crate's documentation gives; `node` runs it until it
//! is asked to stop; `stop` ends it within its grace.

mod address;
mod arguments;
mod beginning;
mod claims;
mod entry;
mod failure;
mod identity;
mod keys;
mod logging;
mod node;
mod orders;
mod panic;
mod sockets;
mod sources;
mod start;
mod stop;
mod workers;

pub use entry::main;
