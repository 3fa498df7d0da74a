//! Reaping a child together with what it used.
//!
//! The safe wrappers of wait(2) that there are leave the usage out, and once a child is reaped
//! nobody can tell it any more.

use std::mem::MaybeUninit;
use std::time::Duration;

use nix::errno::Errno;
use nix::unistd::Pid;

use crate::exit::{ExitReason, Usage};

/// What became of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It ended, and is reaped.
    Ended(ExitReason, Usage),
    /// This signal stopped it.
    Stopped(i32),
}

/// Of which changes wait4(2) tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changes {
    /// Of ends.
    Ended,
    /// Of ends, and of stops.
    EndedOrStopped,
}

/// The next child of which there is news, without waiting for any; a child that has ended is
/// reaped. None when there is no news, or no child.
#[must_use]
pub fn next_change(changes: Changes) -> Option<(Pid, Change)> {
    let options = match changes {
        Changes::Ended => libc::WNOHANG,
        Changes::EndedOrStopped => libc::WNOHANG | libc::WUNTRACED,
    };
    loop {
        let mut status = 0;
        let mut usage = MaybeUninit::<libc::rusage>::zeroed();
        // SAFETY: both pointers are to locals that live longer than the call.
        let pid = unsafe { libc::wait4(-1, &raw mut status, options, usage.as_mut_ptr()) };
        if pid < 0 && Errno::last() == Errno::EINTR {
            continue;
        }
        // 0 is no news. The only error that is left is that there is no child.
        if pid <= 0 {
            return None;
        }
        // SAFETY: a rusage is plain numbers, for which zeroes are as good as what the kernel
        // has put over them.
        let usage = unsafe { usage.assume_init() };
        if let Some(change) = change_of(status, &usage) {
            return Some((Pid::from_raw(pid), change));
        }
    }
}

/// A wait status, read as wait(2) says; none for a child that goes on.
fn change_of(status: i32, usage: &libc::rusage) -> Option<Change> {
    if libc::WIFEXITED(status) {
        let reason = ExitReason::Code(libc::WEXITSTATUS(status));
        return Some(Change::Ended(reason, usage_of(usage)));
    }
    if libc::WIFSIGNALED(status) {
        let reason = ExitReason::Signal(libc::WTERMSIG(status));
        return Some(Change::Ended(reason, usage_of(usage)));
    }
    libc::WIFSTOPPED(status).then(|| Change::Stopped(libc::WSTOPSIG(status)))
}

fn usage_of(usage: &libc::rusage) -> Usage {
    Usage {
        user: span(usage.ru_utime),
        system: span(usage.ru_stime),
        // In kilobytes, getrusage(2).
        max_rss: u64::try_from(usage.ru_maxrss).unwrap_or(0) << 10,
    }
}

fn span(time: libc::timeval) -> Duration {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let micros = u64::try_from(time.tv_usec).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_micros(micros)
}
