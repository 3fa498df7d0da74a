//! Where the settings are read, at the start and again.

use std::io;
use std::sync::Arc;

use repram_config::{Environment, Loaded, Problems, Role, load};
use tokio::sync::oneshot;

use crate::cli::RunOptions;

/// Where the settings are read. Environment and flags are those of the start; files are read
/// every time.
#[derive(Clone, Debug)]
pub(super) struct Source {
    environment: Arc<Environment>,
    options: Arc<RunOptions>,
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    /// They have problems.
    #[error(transparent)]
    Settings(#[from] Problems),
    /// The system has no thread left, or it ended without a word.
    #[error("a thread for the settings")]
    Thread(#[source] io::Error),
}

/// Settings that are being read.
#[derive(Debug)]
pub(super) struct Reading(io::Result<oneshot::Receiver<Result<Loaded, Problems>>>);

impl Reading {
    /// The settings, once they are read.
    pub(super) async fn loaded(self) -> Result<Loaded, ReadError> {
        let answer = self.0.map_err(ReadError::Thread)?.await;
        Ok(answer.map_err(|error| ReadError::Thread(io::Error::other(error)))??)
    }
}

impl Source {
    /// What this process was started with.
    pub(super) fn of_this_process(options: RunOptions) -> Self {
        Self {
            environment: Arc::new(Environment::of_this_process(Role::Supervisor)),
            options: Arc::new(options),
        }
    }

    /// Reads the settings.
    pub(super) async fn load(&self) -> Result<Loaded, ReadError> {
        self.begin().loaded().await
    }

    /// Begins to read the settings, on a thread of their own: a configuration file may be a
    /// pipe, or lie on a file system that hangs.
    pub(super) fn begin(&self) -> Reading {
        let (send, receive) = oneshot::channel();
        let thread = std::thread::Builder::new().name("settings".to_owned());
        let Self {
            environment,
            options,
        } = self.clone();
        let reading = thread.spawn(move || {
            // Nobody listens any more when a stop was asked for meanwhile.
            let _ = send.send(load(
                &environment,
                options.config.as_deref(),
                &options.flags,
            ));
        });
        Reading(reading.map(|_| receive))
    }
}
