//! Start-up, worker threads, stop.
//!
//! [`main`] reads the command line and the settings; [`start`] assembles a [`start::Node`]
//! from them, in the order that the crate's documentation gives; [`node`] runs it until it
//! is asked to stop; [`stop`] ends it within its grace.

mod address;
mod arguments;
mod chain;
mod entry;
mod failure;
mod identity;
mod keys;
mod logging;
mod node;
mod sockets;
mod start;
mod stop;
mod workers;

pub use entry::main;
