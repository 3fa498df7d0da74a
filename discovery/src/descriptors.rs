//! Room for sockets.

use std::io;
use std::os::fd::{AsFd, RawFd};

use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::resource::{Resource, getrlimit};
use nix::unistd::close;

/// Descriptors for which there is room from the start: 16 KiB of the kernel's memory, enough for
/// the largest fleet, and for all but the busiest node.
const ROOM: RawFd = 2048;

/// Makes the kernel's table of this process's descriptors large, as far as the soft limit
/// (RLIMIT_NOFILE) allows. Call it before there is a second thread.
///
/// Linux makes the table larger when it is full: at 64 descriptors, and at each power of two
/// after that. While threads share the table, whoever opened the descriptor that did not fit
/// waits for all processors then (`synchronize_rcu` in `expand_fdtable`, fs/file.c): some
/// milliseconds, in the middle of claiming ports or of accepting connections. With one thread
/// nobody waits.
pub fn make_room() {
    let soft = getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft);
    let room = RawFd::try_from(soft).unwrap_or(RawFd::MAX).min(ROOM);
    // Without it some descriptors come a little later, and that is all.
    let _not_vital = touch(io::stdin(), room - 1);
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
        let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        let wanted = RawFd::try_from(soft).unwrap_or(RawFd::MAX).min(ROOM);
        let last = format!("/proc/self/fd/{}", wanted - 1);
        let is_open = || fs::symlink_metadata(&last).is_ok();
        let before = is_open();
        make_room();
        assert!(room() >= wanted, "{} of {wanted}", room());
        assert_eq!(is_open(), before);
    }

    #[test]
    fn a_limit_is_a_limit() {
        assert!(touch(io::stdin(), RawFd::MAX).is_err());
        assert!(touch(io::stdin(), -1).is_err());
    }
}
