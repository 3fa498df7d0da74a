//! One long-lived TCP stream per peer, on its gossip port.
//!
//! A node opens a stream to each member and asks over it; the member answers on the same
//! stream. So between two nodes there are two, one for each direction of asking, and none
//! of them needs to wait for the other. Questions are numbered, answers may overtake each
//! other, and many travel in one record: whatever waits when the writer gets its turn.
//!
//! A stream that breaks is opened again, with pauses that grow, for as long as the peer is
//! a member. Its questions are lost, and the node is told so. Deadlines cross a stream in
//! the clock of the side that accepted it; the other side knows the difference
//! ([`ClockOffset`]) and converts.

mod channel;
mod greet;
mod host;
mod lobby;
mod offset;
mod outbox;
mod peer;
mod quiet;
mod server;
mod streams;
#[cfg(test)]
mod tests;

pub use channel::{Receiver, Sender, StreamError};
pub use greet::{Channel, GreetError, Greeter, boot_now_us};
pub use host::{Host, Incoming, Shared, StreamCounters};
pub use offset::ClockOffset;
pub use outbox::{MAX_QUEUED, MAX_QUEUED_BYTES, NotSent, Outbox};
pub use peer::{Link, Peer};
pub use quiet::Quiet;
pub use server::{STRANGERS_EVERY, serve};
pub use streams::Streams;
