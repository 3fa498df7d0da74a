//! What a node has from its supervisor: sockets, messages from it, notifications to it.

mod channel;
mod notify;
mod sockets;

pub use channel::{ChannelError, Supervisor};
pub use notify::{notify, watchdog_period};
pub use sockets::{InheritError, InheritedSockets, inherit_sockets};
