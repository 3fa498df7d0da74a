//! The terminal that a process was started from.

use std::fs::File;

/// The terminal that this process was started from, if it was.
#[derive(Clone, Copy, Debug)]
pub struct Terminal {
    /// Whether there was one at the start.
    had: bool,
}

impl Terminal {
    /// Looks whether there is a terminal. To be called at the start.
    #[must_use]
    pub fn of_this_process() -> Self {
        Self { had: is_there() }
    }

    /// Whether there was a terminal and is none any more. A SIGHUP then means that, and
    /// else that somebody wants something; who sent it does not tell them apart, because
    /// the kernel, a shell and a terminal multiplexer all pass on the end of a terminal.
    #[must_use]
    pub fn went_away(self) -> bool {
        self.had && !is_there()
    }
}

/// Opening a process's controlling terminal fails when there is none (ENXIO), and when it
/// was hung up (EIO).
fn is_there() -> bool {
    File::options().read(true).open("/dev/tty").is_ok()
}
