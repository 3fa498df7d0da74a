//! What the control API asks of the event loop.

use tokio::sync::oneshot;

use crate::status::FleetStatus;

/// Requests that wait for the event loop; a client beyond it gets 503.
pub const REQUESTS_MAX: usize = 16;

/// One question or order for the event loop. A dropped `reply` tells the client 503.
#[derive(Debug)]
pub enum Request {
    /// What is the fleet doing?
    Status {
        /// Where the answer goes.
        reply: oneshot::Sender<FleetStatus>,
    },
    /// Stop the fleet and end the supervisor.
    Stop {
        /// Kill at once instead of asking first.
        now: bool,
        /// Who asks, as an event shows it, such as `supervisor stop (pid 4711)`.
        by: String,
        /// Answered at once: the stop itself is followed by events.
        reply: oneshot::Sender<StopReply>,
    },
}

/// What became of the order to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReply {
    /// The stop begins now.
    Started,
    /// It was under way already (and was made a kill when `now` was asked for).
    UnderWay,
}
