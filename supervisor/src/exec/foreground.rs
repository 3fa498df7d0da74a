//! The foreground of the terminal: the process group that is read and that Ctrl-C reaches.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::unistd::{Pid, getpgrp, tcgetpgrp, tcsetpgrp};

/// Lends our place in the foreground to the child's process group, when we have it. All
/// signals are blocked in this process, so that the kernel lets us do it from the background.
#[derive(Debug)]
pub(super) struct Foreground {
    terminal: Option<OwnedFd>,
    own: Pid,
}

impl Foreground {
    /// The terminal that standard input is, if it is one and this session's.
    pub(super) fn of_stdin() -> Self {
        let stdin = io::stdin();
        let ours = stdin.is_terminal() && tcgetpgrp(&stdin).is_ok();
        Self {
            // Without a descriptor to spare the child does without the foreground.
            terminal: ours
                .then(|| stdin.as_fd().try_clone_to_owned().ok())
                .flatten(),
            own: getpgrp(),
        }
    }

    /// The terminal, if the foreground is ours to give.
    pub(super) fn to_give(&self) -> Option<BorrowedFd<'_>> {
        let terminal = self.terminal.as_ref()?;
        let ours = tcgetpgrp(terminal) == Ok(self.own);
        ours.then_some(terminal.as_fd())
    }

    /// The child's group wanted the terminal and was stopped for it: from now on it gets
    /// that, whatever standard input is.
    pub(super) fn is_wanted(&mut self) {
        if self.terminal.is_none() {
            self.terminal = File::open("/dev/tty").ok().map(OwnedFd::from);
        }
    }

    /// Puts the child's group into the foreground. False when that is not ours to give.
    pub(super) fn give(&self, child: Pid) -> bool {
        self.to_give()
            .is_some_and(|terminal| tcsetpgrp(terminal, child).is_ok())
    }

    /// Puts our own group back. False when the child's had it no more.
    pub(super) fn take_back(&self, child: Pid) -> bool {
        self.terminal.as_ref().is_some_and(|terminal| {
            tcgetpgrp(terminal) == Ok(child) && tcsetpgrp(terminal, self.own).is_ok()
        })
    }
}
