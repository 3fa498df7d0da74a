use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat, renameat};
use nix::sys::stat::Mode;
use nix::unistd::{AccessFlags, UnlinkatFlags, faccessat, geteuid, linkat, unlinkat};

/// A directory that is held open, and whose files are read and written through it.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    fd: OwnedFd,
}

/// Why a directory is not used.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// It could not be created.
    #[error("{} could not be created", path.display())]
    Create {
        /// The directory.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// It could not be opened, or is a symbolic link or no directory.
    #[error("{} could not be opened as a directory", path.display())]
    Open {
        /// The directory.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// It is a symbolic link: whoever can exchange it leads us elsewhere.
    #[error(
        "{} is a symbolic link, which is not followed; name {} itself",
        path.display(),
        target.display()
    )]
    Link {
        /// The link.
        path: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },
    /// It belongs to another user, who could exchange what is in it.
    #[error("{} belongs to uid {owner}, not to uid {uid}", path.display())]
    NotOurs {
        /// The directory.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who we are.
        uid: u32,
    },
    /// Other users may write to it.
    #[error("{} has mode {mode:04o}, so that other users can write to it", path.display())]
    WritableByOthers {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// We may not write to it ourselves.
    #[error("{} is not writable", path.display())]
    NotWritable {
        /// The directory.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

/// Whether a change must survive the machine's end, not only that of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// The kernel has it. It is lost when the machine loses power within half a minute.
    Cached,
    /// The disk has it.
    Synced,
}

/// Flags of every file that is opened: a name that somebody has prepared as a symbolic link
/// or a pipe neither leads elsewhere nor blocks.
const WARY: OFlag = OFlag::O_NOFOLLOW
    .union(OFlag::O_NONBLOCK)
    .union(OFlag::O_CLOEXEC);

/// Files are for us alone.
const PRIVATE: Mode = Mode::S_IRUSR.union(Mode::S_IWUSR);

impl Directory {
    /// Opens `path`, whoever owns it.
    pub(super) fn open(path: &Path) -> Result<Self, DirectoryError> {
        Self::open_with(path, OFlag::O_PATH)
    }

    /// Opens `path`, with missing directories created for us alone (0700), if it belongs to
    /// us and nobody else can write to it.
    pub(crate) fn open_private(path: &Path) -> Result<Self, DirectoryError> {
        let owned_path = || path.to_owned();
        // Asked for the sake of the message alone: it is not opened through a link anyway.
        if let Ok(target) = fs::read_link(path) {
            return Err(DirectoryError::Link {
                path: owned_path(),
                target: fs::canonicalize(path).unwrap_or(target),
            });
        }
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|source| DirectoryError::Create {
                path: owned_path(),
                source,
            })?;
        let directory = Self::open_with(path, OFlag::O_RDONLY | OFlag::O_NOFOLLOW)?;
        let metadata = directory
            .metadata()
            .map_err(|source| DirectoryError::Open {
                path: owned_path(),
                source,
            })?;
        let (owner, uid) = (metadata.uid(), geteuid().as_raw());
        if owner != uid {
            return Err(DirectoryError::NotOurs {
                path: owned_path(),
                owner,
                uid,
            });
        }
        let mode = metadata.mode() & 0o7777;
        if mode & 0o022 != 0 {
            return Err(DirectoryError::WritableByOthers {
                path: owned_path(),
                mode,
            });
        }
        Ok(directory)
    }

    /// The same directory, if files can be made in it.
    pub(super) fn writable(self) -> Result<Self, DirectoryError> {
        let needed = AccessFlags::W_OK | AccessFlags::X_OK;
        match faccessat(&self.fd, ".", needed, AtFlags::AT_EACCESS) {
            Ok(()) => Ok(self),
            Err(errno) => Err(DirectoryError::NotWritable {
                path: self.path,
                source: errno.into(),
            }),
        }
    }

    fn open_with(path: &Path, flags: OFlag) -> Result<Self, DirectoryError> {
        let flags = flags | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let fd =
            openat(AT_FDCWD, path, flags, Mode::empty()).map_err(|errno| DirectoryError::Open {
                path: path.to_owned(),
                source: errno.into(),
            })?;
        Ok(Self {
            path: path.to_owned(),
            fd,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Device and inode, which tell whether two paths lead to one directory.
    pub(super) fn id(&self) -> io::Result<(u64, u64)> {
        self.metadata()
            .map(|metadata| (metadata.dev(), metadata.ino()))
    }

    fn metadata(&self) -> io::Result<fs::Metadata> {
        File::from(self.fd.try_clone()?).metadata()
    }

    /// Opens the file `name` if it is a regular one.
    pub(super) fn open_file(&self, name: &str, flags: OFlag, mode: Mode) -> io::Result<File> {
        let file = File::from(openat(&self.fd, name, flags | WARY, mode)?);
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        Ok(file)
    }

    /// The file `name` for reading, or nothing if there is none.
    pub(crate) fn open_existing(&self, name: &str) -> io::Result<Option<File>> {
        match self.open_file(name, OFlag::O_RDONLY, Mode::empty()) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Replaces the file `name` as a whole: whoever reads it sees the old bytes or the new
    /// ones. Only one process at a time may do so for one name.
    pub(super) fn replace(&self, name: &str, bytes: &[u8], how: Durability) -> io::Result<()> {
        let new = format!(".{name}.new");
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_TRUNC;
        let mut file = self.open_file(&new, flags, PRIVATE)?;
        file.write_all(bytes)?;
        if how == Durability::Synced {
            file.sync_all()?;
        }
        renameat(&self.fd, new.as_str(), &self.fd, name)?;
        if how == Durability::Synced {
            nix::unistd::fsync(&self.fd)?;
        }
        Ok(())
    }

    /// Writes `bytes` over those of the file `name` if it has exactly as many, and says
    /// whether it had. Unlike with [`Directory::replace`] the file system has nothing to do:
    /// ext4 begins to write to the disk when a file is renamed over another (`auto_da_alloc`
    /// in ext4(5)), which takes milliseconds. A process that is killed leaves the old bytes
    /// or the new ones, because the kernel copies up to a page at once; so does a machine
    /// that ends, when they are no more than a sector. Nobody else may read meanwhile.
    pub(super) fn overwrite(&self, name: &str, bytes: &[u8]) -> io::Result<bool> {
        let file = match self.open_file(name, OFlag::O_WRONLY, Mode::empty()) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        if usize::try_from(file.metadata()?.len()) != Ok(bytes.len()) {
            return Ok(false);
        }
        match file.write_at(bytes, 0)? {
            written if written == bytes.len() => Ok(true),
            _ => Err(io::ErrorKind::WriteZero.into()),
        }
    }

    /// Makes the file `name` with `bytes` unless there is one already; of several that try
    /// at the same time one succeeds, and nobody ever sees it half written. Returns whether
    /// it was us.
    pub(crate) fn create_whole(&self, name: &str, bytes: &[u8]) -> io::Result<bool> {
        let new = format!(".{name}.{}", uuid::Uuid::new_v4().simple());
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL;
        let mut file = self.open_file(&new, flags, PRIVATE)?;
        let linked = file
            .write_all(bytes)
            .and_then(|()| file.sync_all())
            .and_then(|()| {
                // Unlike a rename, a link fails if the name exists.
                match linkat(&self.fd, new.as_str(), &self.fd, name, AtFlags::empty()) {
                    Ok(()) => Ok(true),
                    Err(nix::errno::Errno::EEXIST) => Ok(false),
                    Err(errno) => Err(errno.into()),
                }
            });
        let removed = self.remove(&new);
        linked.and_then(|made| removed.map(|()| made))
    }

    /// Gives the file `from` another name, in place of what had that name.
    pub(super) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(renameat(&self.fd, from, &self.fd, to)?)
    }

    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        Ok(unlinkat(&self.fd, name, UnlinkatFlags::NoRemoveDir)?)
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Everything in `file`, or an error of the kind [`io::ErrorKind::FileTooLarge`] if that is
/// more than `max` bytes.
pub(crate) fn read_bounded(file: &File, max: usize) -> io::Result<Vec<u8>> {
    let limit = u64::try_from(max).map_or(u64::MAX, |max| max.saturating_add(1));
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes)?;
    if bytes.len() > max {
        let problem = format!("longer than {max} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, problem));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::thread;

    use super::*;

    fn temporary() -> (tempfile::TempDir, Directory) {
        let root = tempfile::tempdir().unwrap();
        let directory = Directory::open_private(&root.path().join("a/b")).unwrap();
        (root, directory)
    }

    #[test]
    fn what_is_made_is_for_us_alone() {
        let (root, directory) = temporary();
        directory
            .replace("file", b"bytes", Durability::Synced)
            .unwrap();
        directory.create_whole("other", b"bytes").unwrap();
        for (name, mode) in [
            ("a", 0o700),
            ("a/b", 0o700),
            ("a/b/file", 0o600),
            ("a/b/other", 0o600),
        ] {
            let found = fs::metadata(root.path().join(name))
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(found & 0o777, mode, "{name}");
        }
    }

    #[test]
    fn only_a_file_of_the_same_length_is_written_over() {
        let (_root, directory) = temporary();
        let check = |bytes: &[u8], expect: bool| {
            assert_eq!(directory.overwrite("file", bytes).unwrap(), expect);
        };
        check(b"12345", false);
        assert!(directory.open_existing("file").unwrap().is_none());
        directory
            .replace("file", b"12345", Durability::Cached)
            .unwrap();
        check(b"1234", false);
        check(b"123456", false);
        check(b"54321", true);
        let file = directory.open_existing("file").unwrap().unwrap();
        assert_eq!(read_bounded(&file, 10).unwrap(), b"54321");

        symlink("file", directory.path().join("link")).unwrap();
        assert!(directory.overwrite("link", b"abcde").is_err());
    }

    #[test]
    fn directories_that_others_control_are_refused() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("dir");
        let open = |path: &Path| Directory::open_private(path).map(drop);
        open(&directory).unwrap();

        for (mode, fine) in [
            (0o755, true),
            (0o720, false),
            (0o702, false),
            (0o1777, false),
        ] {
            fs::set_permissions(&directory, fs::Permissions::from_mode(mode)).unwrap();
            let refused = matches!(
                open(&directory),
                Err(DirectoryError::WritableByOthers { mode: found, .. }) if found == mode
            );
            assert_eq!(refused, !fine, "{mode:o}");
        }
        let link = root.path().join("link");
        symlink(&directory, &link).unwrap();
        let problem = open(&link).unwrap_err().to_string();
        let target = format!("name {} itself", directory.display());
        assert!(problem.ends_with(&target), "{problem}");
        let file = root.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(matches!(open(&file), Err(DirectoryError::Create { .. })));
    }

    #[test]
    fn prepared_names_lead_nowhere() {
        let (root, directory) = temporary();
        let victim = root.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        let inside = directory.path().to_owned();

        symlink(&victim, inside.join("file")).unwrap();
        symlink(&victim, inside.join(".file.new")).unwrap();
        assert!(directory.open_existing("file").is_err());
        assert!(directory.replace("file", b"x", Durability::Cached).is_err());
        assert!(!directory.create_whole("file", b"x").unwrap());
        nix::unistd::mkfifo(&inside.join("pipe"), PRIVATE).unwrap();
        assert!(
            directory.open_existing("pipe").is_err(),
            "and it does not block"
        );
        assert_eq!(fs::read(&victim).unwrap(), b"precious");
    }

    #[test]
    fn reading_has_a_bound() {
        let (_root, directory) = temporary();
        directory
            .replace("file", b"12345", Durability::Cached)
            .unwrap();
        let file = || directory.open_existing("file").unwrap().unwrap();
        assert_eq!(read_bounded(&file(), 5).unwrap(), b"12345");
        assert!(read_bounded(&file(), 4).is_err());
        assert!(directory.open_existing("none").unwrap().is_none());
    }

    #[test]
    fn of_many_creators_one_wins_and_nobody_sees_half_a_file() {
        let (_root, directory) = temporary();
        let texts: Vec<String> = (0..8)
            .map(|number| number.to_string().repeat(10_000))
            .collect();
        let won: Vec<bool> = thread::scope(|scope| {
            let race = |text: &String| {
                let won = directory.create_whole("file", text.as_bytes()).unwrap();
                let file = directory.open_existing("file").unwrap().unwrap();
                let seen = String::from_utf8(read_bounded(&file, 10_000).unwrap()).unwrap();
                assert!(texts.contains(&seen));
                assert!(!won || seen == *text);
                won
            };
            let running: Vec<_> = texts
                .iter()
                .map(|text| scope.spawn(move || race(text)))
                .collect();
            running
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        assert_eq!(won.iter().filter(|won| **won).count(), 1);
        assert_eq!(
            fs::read_dir(directory.path()).unwrap().count(),
            1,
            "nothing is left over"
        );
    }
}
