//! Wakes the thread that reads the pipes.

use nix::sys::eventfd::{EfdFlags, EventFd};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

/// A descriptor that becomes readable when somebody wants the thread's attention.
#[derive(Debug)]
pub(crate) struct Waker(EventFd);

impl Waker {
    /// A waker that nobody has used yet.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(EventFd::from_flags(
            EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK,
        )?))
    }

    /// Wakes the thread, now or as soon as it waits.
    pub(crate) fn wake(&self) {
        // The only error is a counter at its end, and then the thread is awake anyway.
        let _ = self.0.write(1);
    }

    /// Forgets the calls until now.
    pub(crate) fn rest(&self) {
        let _ = self.0.read();
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
