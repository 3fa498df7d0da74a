//! Room for sockets.

use std::io;
use std::os::fd::{AsFd, RawFd};

use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::resource::{Resource, getrlimit};
use nix::unistd::close;
use tracing::debug;

/// Descriptors for which there is room from the start: 16 KiB of the kernel's memory.
const ROOM: RawFd = 2048;

/// Makes the kernel's table of this process's descriptors as large as it will need, or as the
/// soft limit (RLIMIT_NOFILE) allows. Call it before there is a second thread.
///
/// Linux makes the table larger when it is full, at 64 descriptors and at each power of two
/// from 256 on. While threads share the table, whoever opened the descriptor that did not fit
/// waits for all processors then (`synchronize_rcu` in `expand_fdtable`, fs/file.c): some
/// milliseconds, in the middle of claiming ports or of accepting connections. With one thread
/// nobody waits. That it is not done, for want of memory perhaps, costs only that.
pub fn make_room() {
    let soft = getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft);
    let last = RawFd::try_from(soft).unwrap_or(RawFd::MAX).min(ROOM) - 1;
    if let Err(error) = touch(io::stdin(), last) {
        debug!(%error, last, "no room was made for descriptors");
    }
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
        make_room();
        let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        let wanted = RawFd::try_from(soft).unwrap_or(RawFd::MAX).min(ROOM);
        assert!(room() >= wanted, "{} of {wanted}", room());
        let last = format!("/proc/self/fd/{}", wanted - 1);
        assert!(fs::symlink_metadata(last).is_err());
    }

    #[test]
    fn no_room_is_no_failure() {
        assert!(touch(io::stdin(), RawFd::MAX).is_err());
    }
}
