//! What a node's lines are appended to.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::OFlag;

use crate::logs::stamp::{STAMP_LEN, Stamp};

/// What a node's lines are appended to: a file, or in tests one that fails on demand.
pub(crate) trait Sink {
    /// Appends some of the bytes.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;
    /// Bytes in it now.
    fn len(&self) -> io::Result<u64>;
    /// Whether its last line has no end.
    fn ends_within_line(&self) -> io::Result<bool>;
    /// The time of its first line, when that has one.
    fn first_stamp(&self) -> io::Result<Option<Stamp>>;
    /// Cuts it to `len` bytes.
    fn truncate(&mut self, len: u64) -> io::Result<()>;
}

impl Sink for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Write::write(self, bytes)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn ends_within_line(&self) -> io::Result<bool> {
        let Some(last) = Sink::len(self)?.checked_sub(1) else {
            return Ok(false);
        };
        let mut byte = [0];
        self.read_exact_at(&mut byte, last)?;
        Ok(byte != *b"\n")
    }

    fn first_stamp(&self) -> io::Result<Option<Stamp>> {
        let mut head = [0; STAMP_LEN];
        match self.read_exact_at(&mut head, 0) {
            Ok(()) => Ok(Stamp::parse(&head)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }
}

/// Permissions of log files: the owner writes, the group may read.
pub(crate) const LOG_MODE: u32 = 0o640;

/// Opens a log file for appending and makes it where there is none. In a directory that
/// everyone may write to, neither a link nor another kind of file that waits there leads us
/// elsewhere.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
    let file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(LOG_MODE)
        .custom_flags(flags)
        .open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.nlink() > 1 {
        return Err(io::Error::other("is not a regular file of its own"));
    }
    Ok(file)
}

/// Where files are opened: the file system, or in tests a disk that fails on demand.
pub(crate) trait Disk {
    /// An open file.
    type Sink: Sink;
    /// Opens for appending.
    fn open(&self, path: &Path) -> io::Result<Self::Sink>;
}

/// The real file system.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FileSystem;

impl Disk for FileSystem {
    type Sink = File;

    fn open(&self, path: &Path) -> io::Result<File> {
        open(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_are_opened() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let target = dir.path().join("target");
        std::fs::write(&target, b"precious").expect("write");
        let check = |name: &str, make: &dyn Fn(&Path)| {
            let path = dir.path().join(name);
            make(&path);
            assert!(open(&path).is_err(), "{name}");
        };
        check("link", &|path| {
            std::os::unix::fs::symlink(&target, path).expect("symlink");
        });
        check("hard", &|path| {
            std::fs::hard_link(&target, path).expect("link");
        });
        check("fifo", &|path| {
            nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRUSR).expect("fifo");
        });
        check("dir", &|path| std::fs::create_dir(path).expect("dir"));
        assert_eq!(std::fs::read(&target).expect("read"), b"precious");

        let mut file = open(&dir.path().join("log")).expect("opens");
        assert!(!file.ends_within_line().expect("reads"));
        Sink::write(&mut file, b"line\npiece").expect("writes");
        assert!(file.ends_within_line().expect("reads"));
        file.truncate(5).expect("cuts");
        assert!(!file.ends_within_line().expect("reads"));
        assert_eq!(file.metadata().expect("metadata").mode() & 0o137, 0);
    }
}
