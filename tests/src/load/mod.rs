//! Steady load on a fleet, by a client that believes nothing.
//!
//! [`Load`] runs on a thread of its own: sessions that keep their connections and send
//! requests with short pauses, and beside them new connections at a steady rate for one
//! request each. Half of the requests write a key of their own, the others read a key whose
//! write was acknowledged before, on any node, and compare every byte. Whatever is not
//! answered as it should be is a [`Failure`]. In the end every acknowledged key is read once
//! more.
//!
//! A connection that the server closes while no request is on it is no failure: that is what
//! HTTP allows, and the client connects again.

mod connection;
mod generator;
mod ledger;

pub use generator::{Load, LoadConfig};
pub use ledger::{Failure, Tally};
