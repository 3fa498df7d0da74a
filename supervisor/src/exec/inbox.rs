//! The signals that came, one after the other.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::SigSet;
use nix::sys::signalfd::{SfdFlags, SignalFd};
use signal_hook::consts::SIGCHLD;
use signal_hook::flag;

/// Every signal that can be caught, in the order in which the kernel keeps them: standard
/// signals coalesce, and the lower number comes first.
#[derive(Debug)]
pub(super) struct Inbox {
    signals: SignalFd,
}

impl Inbox {
    /// Reads from now on what is blocked in this thread, which is to be everything.
    ///
    /// # Errors
    /// When the system has no descriptors left.
    pub(super) fn open() -> io::Result<Self> {
        // For a process that ignores SIGCHLD, as it may have been told to by whoever
        // executed it, the kernel reaps by itself. The handler never runs: it is blocked.
        flag::register(SIGCHLD, Arc::new(AtomicBool::new(false)))?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let signals = SignalFd::with_flags(&SigSet::all(), flags)?;
        Ok(Self { signals })
    }

    /// The next signal, by its number; none when `until` has passed.
    pub(super) fn next(&self, until: Option<Instant>) -> Option<i32> {
        loop {
            // An error means that there is none yet: it is waited for below.
            if let Ok(Some(info)) = self.signals.read_signal() {
                return i32::try_from(info.ssi_signo).ok();
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            // Rounded up, so that nobody spins through the last part of a millisecond.
            let timeout = left.map_or(PollTimeout::NONE, |left| {
                let millis = left.as_micros().div_ceil(1_000);
                PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX)
            });
            let mut readable = [PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
            match poll(&mut readable, timeout) {
                Ok(0) if left.is_some_and(|left| left.is_zero()) => return None,
                Ok(_) | Err(Errno::EINTR) => {}
                // Only for want of memory. The next try is as good as any.
                Err(_) => std::thread::yield_now(),
            }
        }
    }
}
