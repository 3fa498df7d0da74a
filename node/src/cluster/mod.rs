//! The cluster as the HTTP layer sees it: one handle that writes, reads and lists keys over
//! all members.
//!
//! **A write's way.** [`Cluster::put`] gives the value to the core of writing, which stamps
//! a version, picks the holders and asks for effects: put it into the own store, send it to
//! the others. Streams carry it there and bring the acknowledgements back, which go into
//! the core again, until it says how to answer. Every other operation goes the same way:
//! a core decides, the node performs, and nothing but the cores decides.
//!
//! **Who is told of changes.** Datagrams, push-pulls and the supervisor's words go into
//! membership. When it says that others count now than before, writes, refill and placement
//! are told in one turn: first nobody may say "do not have" any more, then the placement
//! changes, then pending writes go to their new holders and the refill starts. The refill's
//! end, for exactly these members, allows "do not have" again.
//!
//! **Who leaves** says so first. From then on it does not count, and those who stay take
//! over what they are to hold without it, as after any change; it goes when all have said
//! that they did, or when its time is up.
//!
//! **Threads.** Any thread may call the handle; a step of a core is microseconds under its
//! lock. Sockets and timers live on the runtime that started the cluster; a worker that is
//! [at home](Cluster::at_home) is told in one go what ended together.

mod alarm;
mod asks;
mod boot;
mod caller;
mod comparison;
mod config;
mod confirming;
mod counters;
mod counting;
mod departure;
mod handle;
mod home;
mod joining;
mod leaving;
mod node;
mod outcome;
mod reading;
mod refilling;
mod scan;
mod serving;
#[cfg(test)]
mod simulation;
mod sockets;
mod standing;
#[cfg(test)]
mod tests;
mod view;
mod world;
mod writing;

pub use crate::coordinator::{GetOutcome, PutOutcome};
pub use caller::Caller;
pub use config::{AddressConfig, ClusterConfig, Me};
pub use handle::{Cluster, StartError};
pub use leaving::Life;
pub use outcome::KeysOutcome;
pub use view::{ClusterCounters, HandOver, PeerState, PeerView, RefillView};
