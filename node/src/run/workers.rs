//! Worker threads: a single-threaded runtime each.

use std::io;
use std::net::TcpListener;
use std::thread::JoinHandle;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::watch;

use super::failure::Failure;
use crate::cluster::Cluster;
use crate::door::Door;
use crate::http::{Doorman, Drain};

/// A runtime as every thread of a node has it.
pub(super) fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// A worker beside the main thread.
pub(super) struct Worker {
    pub(super) handle: Handle,
    thread: JoinHandle<()>,
}

impl Worker {
    /// Starts a thread that accepts on `listener` and serves until draining ends.
    ///
    /// # Errors
    /// When the system has no thread or event queue left.
    pub(super) fn start(doorman: Doorman, listener: TcpListener) -> Result<Self, Failure> {
        let system = |source| Failure::System {
            what: "a worker could not be started",
            source,
        };
        let runtime = runtime().map_err(system)?;
        let handle = runtime.handle().clone();
        let door = {
            let _inside = runtime.enter();
            Door::new(listener).map_err(system)?
        };
        let drain = doorman.drain.clone();
        let thread = std::thread::Builder::new()
            .name(format!("worker-{}", doorman.worker))
            .spawn(move || {
                runtime.spawn(async { match Cluster::at_home().await {} });
                runtime.spawn(doorman.run(door));
                runtime.block_on(ended(drain));
            })
            .map_err(system)?;
        Ok(Self { handle, thread })
    }

    /// Waits for the thread, which ends when draining does.
    pub(super) fn join(self) {
        // It does not panic: what runs on it is caught by the runtime.
        let _ = self.thread.join();
    }

    /// Waits until the worker's event loop has come round once.
    pub(super) async fn is_turning(&self) {
        // Cancelled means that it has ended.
        let _ = self.handle.spawn(async {}).await;
    }
}

async fn ended(mut drain: watch::Receiver<Drain>) {
    // No sender means that the main thread is gone.
    let _ = drain.wait_for(|drain| *drain == Drain::End).await;
}
