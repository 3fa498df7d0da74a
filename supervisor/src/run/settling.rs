//! Coming to rest.

use std::cell::Cell;
use std::time::Duration;

use tokio::task::AbortHandle;

use crate::spawn::give_back_memory;

/// How long nothing out of the ordinary has to happen before memory is given back: events are
/// shown and answers are written by then, and it is over before anybody could call this rest.
const QUIET: Duration = Duration::from_secs(1);

/// Gives memory back a moment after something out of the ordinary: the fleet became complete,
/// after the start or after anything that took a node away, or somebody asked for something.
/// What happens all the time, a node that says it lives or is asked whether it does, does not
/// count: what it needs is needed again and again.
#[derive(Default)]
pub(super) struct Settling(Cell<Option<AbortHandle>>);

impl Settling {
    /// Something out of the ordinary has just happened.
    pub(super) fn begin(&self) {
        let settle = tokio::spawn(async {
            tokio::time::sleep(QUIET).await;
            // It costs memory and nothing else where the system does not let us.
            let _ = give_back_memory();
        });
        if let Some(earlier) = self.0.replace(Some(settle.abort_handle())) {
            earlier.abort();
        }
    }
}
