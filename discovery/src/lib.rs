//! How a process gets its ports and finds its peers.
//!
//! **Ports.** A node's place in the range is a [`slot::Slot`]: one HTTP port and one
//! gossip port. [`sockets::SlotSockets::bind`] takes all sockets of a slot or none, and
//! whoever holds the value holds the ports: nothing is looked up first and bound later.
//! [`claim`] decides which slot a node gets; [`holder`] names the stranger who has one.
//! [`front::FrontPort`] is one more port, which all nodes share.
//!
//! **Identity.** [`state_dir::StateDir`] keeps, under an exclusive lock, the UUID of each
//! node, the number of its starts and its last slot. A generation is written down before
//! the node starts with it, so no two lives of a node ever show the same one.
//!
//! **Trust.** [`secret::user_secret`] makes the secret that all processes of one user
//! share; [`auth::ClusterKeys`] signs and verifies with it.
//!
//! **Peers.** [`peers`] asks each source for candidates. Candidates are places where a
//! peer may be, never a statement that it lives.
//!
//! **Addresses.** [`own_address`] knows under which address other hosts reach this one, and
//! [`public_ports`] under which ports; [`flux`] reads what the platform of that name says.
//!
//! **Supervisor to node.** [`supervised`] has the messages that tell a node its secret
//! and what its siblings do.
//!
//! The package knows neither nodes nor stores nor processes: it hands out sockets, names
//! and candidates, and its users decide what to do with them.

#![forbid(unsafe_code)]

pub mod addresses;
pub mod auth;
pub mod chain;
pub mod claim;
pub mod descriptors;
pub mod domain;
pub mod fetch;
pub mod flux;
pub mod front;
pub mod held;
mod hex;
pub mod holder;
pub mod look;
pub mod notify;
pub mod own_address;
mod pace;
pub mod peers;
pub mod public_ports;
pub mod rate;
pub mod secret;
pub mod slot;
pub mod sockets;
pub mod state_dir;
pub mod supervised;
