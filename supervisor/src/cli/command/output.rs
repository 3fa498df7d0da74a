//! Our stdout.

use std::io::{self, Write};
use std::os::fd::AsFd as _;
use std::thread;

use bytes::Bytes;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::Serialize;
use tokio::sync::oneshot;

use crate::control::{Answer, ClientError};

use crate::cli::execute::CommandError;
use crate::stderr::tell;

/// Writes to stdout at once.
pub(crate) fn print(text: impl AsRef<[u8]>) -> Result<(), CommandError> {
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(text.as_ref())
        .and_then(|()| stdout.flush())
        .map_err(CommandError::Output)
}

/// Writes an object for machines, indented so that people can read it, too.
pub(crate) fn print_json(value: &impl Serialize) -> Result<(), CommandError> {
    let text =
        serde_json::to_string_pretty(value).map_err(|error| CommandError::Output(error.into()))?;
    print(text + "\n")
}

/// Tells when nobody reads our stdout any more, as after `| head -1`.
pub(crate) struct Reader(oneshot::Receiver<()>);

impl Reader {
    /// Watches the other end of the pipe, socket or terminal that is our stdout.
    pub(crate) fn of_stdout() -> Self {
        let (gone, receiver) = oneshot::channel();
        // A thread that waits for ever ends with the process. Without it whoever follows
        // finds out with the next line.
        let _ = thread::Builder::new().spawn(move || {
            let stdout = io::stdout();
            // Asked for nothing, poll(2) still reports an error or hanging up.
            let mut ends = [PollFd::new(stdout.as_fd(), PollFlags::empty())];
            while poll(&mut ends, PollTimeout::NONE) == Err(Errno::EINTR) {}
            let _ = gone.send(());
        });
        Self(receiver)
    }

    /// The next piece of an answer that may take for ever; none at its end, and when nobody
    /// reads.
    pub(crate) async fn next_piece(
        &mut self,
        answer: &mut Answer,
    ) -> Result<Option<Bytes>, ClientError> {
        tokio::select! {
            piece = answer.piece() => piece,
            Ok(()) = &mut self.0 => Ok(None),
        }
    }
}

/// Tells the user something that is not the answer.
pub(crate) fn note(text: &str) {
    tell(format!("supervisor: {text}"));
}
