//! The limit on descriptors, and room for them.

use std::io;
use std::os::fd::{AsFd, RawFd};

use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::close;

/// How many descriptors a process may have open (RLIMIT_NOFILE).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DescriptorLimit {
    /// Where the kernel refuses. The process may raise it.
    pub soft: u64,
    /// As far as it may.
    pub hard: u64,
}

impl DescriptorLimit {
    /// That of this process.
    ///
    /// # Errors
    /// Where a filter of system calls forbids to ask.
    pub fn of_this_process() -> io::Result<Self> {
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
        Ok(Self { soft, hard })
    }

    /// Raises the soft limit of this process to `wanted`, or to the hard one where that is
    /// lower, and gives what holds now. A soft limit that is higher already stays.
    ///
    /// # Errors
    /// Where a filter of system calls forbids it, or somebody has lowered the hard limit or
    /// `fs.nr_open` meanwhile.
    pub fn raise(self, wanted: u64) -> io::Result<Self> {
        let raised = Self {
            soft: wanted.min(self.hard).max(self.soft),
            ..self
        };
        if raised != self {
            setrlimit(Resource::RLIMIT_NOFILE, raised.soft, raised.hard)?;
        }
        Ok(raised)
    }
}

/// Makes the kernel's table of this process's descriptors large enough for `room` of them, or as
/// the soft limit allows; each takes 8 bytes of the kernel's memory. Call it before there is a
/// second thread.
///
/// Linux makes the table larger when it is full: at 64 descriptors, and at each power of two
/// after that. While threads share the table, whoever opened the descriptor that did not fit
/// waits for all processors then (`synchronize_rcu` in `expand_fdtable`, fs/file.c): some
/// milliseconds, in the middle of claiming ports or of accepting connections. With one thread
/// nobody waits.
pub fn make_room(room: u16) {
    // Without it some descriptors come a little later, and that is all.
    let _not_vital = touch(io::stdin(), allowed(room) - 1);
}

fn allowed(room: u16) -> RawFd {
    let soft = DescriptorLimit::of_this_process().map_or(u64::MAX, |limit| limit.soft);
    u16::try_from(soft)
        .map_or(room, |soft| soft.min(room))
        .into()
}

/// Opens and closes the descriptor `last`, or the first behind it that is free.
fn touch(some: impl AsFd, last: RawFd) -> nix::Result<()> {
    close(fcntl(some, FcntlArg::F_DUPFD_CLOEXEC(last))?)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// As many as the kernel has room for (`FDSize` of proc_pid_status(5)).
    fn room() -> RawFd {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("FDSize:"));
        line.unwrap().trim().parse().unwrap()
    }

    #[test]
    fn there_is_room_and_nothing_stays_open() {
        let wanted = allowed(2048);
        let last = format!("/proc/self/fd/{}", wanted - 1);
        let is_open = || fs::symlink_metadata(&last).is_ok();
        let before = is_open();
        make_room(2048);
        assert!(room() >= wanted, "{} of {wanted}", room());
        assert_eq!(is_open(), before);
    }

    #[test]
    fn a_limit_is_a_limit() {
        assert!(touch(io::stdin(), RawFd::MAX).is_err());
        assert!(touch(io::stdin(), -1).is_err());
    }

    #[test]
    fn a_soft_limit_is_raised_and_never_lowered() {
        let before = DescriptorLimit::of_this_process().unwrap();
        assert_eq!(before.raise(0).unwrap(), before);
        assert_eq!(before.raise(before.soft).unwrap(), before);
        let raised = before.raise(u64::MAX).unwrap();
        assert_eq!(raised.soft, before.hard);
        assert_eq!(DescriptorLimit::of_this_process().unwrap(), raised);
    }
}
