//! The server of the control API.

use std::io;
use std::time::Duration;

use tokio::sync::mpsc;

use super::{ControlAddress, Request};
use crate::logs::Logs;

/// What a server needs.
pub struct ControlConfig {
    /// Where it listens.
    pub address: ControlAddress,
    /// Lines, events and rotation.
    pub logs: Logs,
    /// The event loop; bounded by [`super::REQUESTS_MAX`].
    pub requests: mpsc::Sender<Request>,
}

impl ControlConfig {
    /// Listens and serves in the background of the current tokio runtime.
    ///
    /// # Errors
    /// When the socket cannot be had: somebody answers there, or the system refuses.
    pub fn build(self) -> Result<Control, ControlError> {
        let _ = (self.address, self.logs, self.requests);
        todo!()
    }
}

/// A running server.
pub struct Control {}

impl Control {
    /// Ends it: takes no new connection, gives answers under way until `limit` (a stop that
    /// is waited for is answered by the event `FleetStopped`), removes the socket.
    pub async fn finish(self, limit: Duration) {
        let _ = limit;
        todo!()
    }
}

/// Why the control API is not served.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Another supervisor answers at this address.
    #[error("listen on {address:?}: somebody answers there already")]
    InUse {
        /// The address.
        address: ControlAddress,
    },
    /// The system refused the socket.
    #[error("listen on {address:?}")]
    Listen {
        /// The address.
        address: ControlAddress,
        /// What the system said.
        source: io::Error,
    },
}
