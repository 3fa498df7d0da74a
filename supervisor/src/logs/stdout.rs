//! The stdout that the supervisor was started with.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// A descriptor of our own for stdout. Its O_NONBLOCK is never changed, because whoever
/// started us may share it: when somebody else has set it, a full pipe is waited for.
#[derive(Debug)]
pub(crate) struct Stdout(File);

impl Stdout {
    /// Duplicates the descriptor, so that neither the buffer nor the lock of
    /// [`std::io::stdout`] is in the way.
    pub(crate) fn open() -> io::Result<Self> {
        Ok(Self(File::from(io::stdout().as_fd().try_clone_to_owned()?)))
    }

    #[cfg(test)]
    pub(crate) fn from_file(file: File) -> Self {
        Self(file)
    }

    fn wait(&self) -> io::Result<()> {
        let mut descriptors = [PollFd::new(self.0.as_fd(), PollFlags::POLLOUT)];
        loop {
            match poll(&mut descriptors, PollTimeout::NONE) {
                Err(Errno::EINTR) => {}
                result => return Ok(result.map(drop)?),
            }
        }
    }
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.0.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait()?,
                result => return result,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
