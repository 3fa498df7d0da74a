//! What a node's lines are appended to.

use std::fs::{self, File, OpenOptions};
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
    /// What somebody else did to the file that was opened at `path`.
    fn place(&self, path: &Path) -> Place;
}

/// Where an open file is by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Under the name by which it was opened, as far as can be told.
    Here,
    /// It lives on under another name, as after logrotate(8).
    Moved,
    /// It has no name any more: what is written to it goes when it is closed.
    Removed,
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

    fn place(&self, path: &Path) -> Place {
        let Ok(ours) = self.metadata() else {
            return Place::Here;
        };
        if ours.nlink() == 0 {
            return Place::Removed;
        }
        match fs::symlink_metadata(path) {
            Ok(there) if (there.dev(), there.ino()) == (ours.dev(), ours.ino()) => Place::Here,
            Ok(_) => Place::Moved,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Place::Moved,
            Err(_) => Place::Here,
        }
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
        .open(path)
        .map_err(|error| match error.raw_os_error() {
            // O_NOFOLLOW says it in words that nobody understands (open(2)).
            Some(libc::ELOOP) => in_the_way("a symbolic link"),
            _ => error,
        })?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(in_the_way("no regular file"));
    }
    if metadata.nlink() > 1 {
        return Err(in_the_way("a file with other names (hard links)"));
    }
    Ok(file)
}

fn in_the_way(what: &str) -> io::Error {
    io::Error::other(format!("it is {what}; remove it"))
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

    /// A directory that somebody removed is made again, but not those above it, which may
    /// be where a disk was mounted.
    fn open(&self, path: &Path) -> io::Result<File> {
        match (open(path), path.parent()) {
            (Err(error), Some(dir)) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir(dir)?;
                open(path)
            }
            (opened, _) => opened,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_are_opened() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let target = dir.path().join("target");
        fs::write(&target, b"precious").expect("write");
        let check = |name: &str, make: &dyn Fn(&Path)| {
            let path = dir.path().join(name);
            make(&path);
            assert!(open(&path).is_err(), "{name}");
        };
        check("link", &|path| {
            std::os::unix::fs::symlink(&target, path).expect("symlink");
        });
        check("hard", &|path| {
            fs::hard_link(&target, path).expect("link");
        });
        check("fifo", &|path| {
            nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRUSR).expect("fifo");
        });
        check("dir", &|path| fs::create_dir(path).expect("dir"));
        assert_eq!(fs::read(&target).expect("read"), b"precious");

        let mut file = open(&dir.path().join("log")).expect("opens");
        assert!(!file.ends_within_line().expect("reads"));
        Sink::write(&mut file, b"line\npiece").expect("writes");
        assert!(file.ends_within_line().expect("reads"));
        file.truncate(5).expect("cuts");
        assert!(!file.ends_within_line().expect("reads"));
        assert_eq!(file.metadata().expect("metadata").mode() & 0o137, 0);
    }

    #[test]
    fn a_file_knows_where_it_is() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let (path, other) = (dir.path().join("log"), dir.path().join("other"));
        let file = open(&path).expect("opens");
        assert_eq!(file.place(&path), Place::Here);
        fs::rename(&path, &other).expect("renames");
        assert_eq!(file.place(&path), Place::Moved);
        fs::write(&path, "a new one").expect("writes");
        assert_eq!(file.place(&path), Place::Moved);
        fs::remove_file(&other).expect("removes");
        assert_eq!(file.place(&path), Place::Removed);
    }

    #[test]
    fn a_directory_that_is_gone_is_made_again_and_nothing_above_it() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let logs = dir.path().join("logs");
        assert!(FileSystem.open(&logs.join("log")).is_ok());
        fs::remove_dir_all(&logs).expect("removes");
        assert!(FileSystem.open(&logs.join("log")).is_ok());
        assert!(FileSystem.open(&logs.join("gone/too/log")).is_err());
    }
}
