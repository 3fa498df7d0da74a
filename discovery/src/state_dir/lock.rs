use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, major, minor};
use nix::unistd::geteuid;
use tracing::debug;

use super::directory::{Directory, DirectoryError, read_bounded};

/// The file in a directory whose lock says that a supervisor uses the directory. It holds
/// the supervisor's process id, and stays when the supervisor ends.
pub const LOCK_FILE: &str = ".supervisor.lock";

/// A directory that belongs to this process, until the last clone of this value is dropped
/// or the process ends in whatever way.
///
/// The lock is a flock(2) on [`LOCK_FILE`]: the kernel releases it, so it is never stale.
/// The file is close-on-exec, so no child keeps the directory.
#[derive(Clone, Debug)]
pub struct DirLock {
    held: Arc<Held>,
}

#[derive(Debug)]
struct Held {
    directory: (u64, u64),
    _file: File,
}

/// Why a directory is not ours to use.
#[derive(Debug, thiserror::Error)]
pub enum StateDirError {
    /// Another process has it. To go on without it would be a second supervisor where one
    /// was meant.
    #[error("{} is in use by {}", path.display(), holder(*pid))]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The process that has it, where it can be found out.
        pid: Option<u32>,
    },
    /// There is no such directory, it is not ours alone, or it is not writable. State can be
    /// kept in memory instead.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The lock file could not be used. State can be kept in memory instead.
    #[error("lock file {} could not be used", path.display())]
    LockFile {
        /// The lock file.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

impl DirLock {
    /// Takes the directory `path`, which exists, whoever owns it.
    ///
    /// Two locks of one directory exclude each other within a process too. So name in
    /// `beside` the lock that is held already: if both are one directory, whatever the
    /// paths, the new lock is a clone of that.
    ///
    /// # Errors
    /// [`StateDirError`]
    pub fn acquire(path: &Path, beside: Option<&Self>) -> Result<Self, StateDirError> {
        Self::of(&Directory::open(path)?, beside)
    }

    pub(super) fn of(directory: &Directory, beside: Option<&Self>) -> Result<Self, StateDirError> {
        let path = directory.path().join(LOCK_FILE);
        let id = directory
            .id()
            .map_err(|source| StateDirError::LockFile { path, source })?;
        if let Some(same) = beside.filter(|other| other.held.directory == id) {
            return Ok(same.clone());
        }
        let file = lock_file(directory, LOCK_FILE)?;
        Ok(Self {
            held: Arc::new(Held {
                directory: id,
                _file: file,
            }),
        })
    }
}

/// Locks the file `name`, made if missing, and writes our process id to it if that is
/// possible.
pub(super) fn lock_file(directory: &Directory, name: &str) -> Result<File, StateDirError> {
    let failed = |source| StateDirError::LockFile {
        path: directory.path().join(name),
        source,
    };
    // Readable for others, who may want to know who has the directory.
    let readable = Mode::from_bits_truncate(0o644);
    let file = directory
        .open_file(name, OFlag::O_RDWR | OFlag::O_CREAT, readable)
        .or_else(|error| match error.kind() {
            // In a shared directory such as /tmp the file may be left over from another
            // user. It can be locked all the same, only not written.
            io::ErrorKind::PermissionDenied => {
                directory.open_file(name, OFlag::O_RDONLY, Mode::empty())
            }
            _ => Err(error),
        })
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(StateDirError::InUse {
                path: directory.path().to_owned(),
                pid: holder_of(&file),
            });
        }
        Err(TryLockError::Error(source)) => return Err(failed(source)),
    }
    // The lock is what counts, and it is held. The process id only helps whoever finds it
    // taken, so a full disk is no reason to go without.
    if let Err(error) = write_pid(&file) {
        debug!(%error, file = name, "process id could not be written to the lock file");
    }
    Ok(file)
}

/// Leaves our process id in the file if it is ours, under this name only: another user may
/// have linked it from elsewhere.
fn write_pid(mut file: &File) -> io::Result<()> {
    let metadata = file.metadata()?;
    if metadata.uid() != geteuid().as_raw() || metadata.nlink() != 1 {
        return Ok(());
    }
    file.set_len(0)?;
    file.write_all(format!("{}\n", std::process::id()).as_bytes())
}

/// Who has the lock: what the kernel says, or else what the holder wrote, which may be
/// older than the present holder.
fn holder_of(file: &File) -> Option<u32> {
    let metadata = file.metadata().ok()?;
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    locking_process(&locks, metadata.dev(), metadata.ino()).or_else(|| {
        // A process id has at most 10 digits.
        let bytes = read_bounded(file, 16).ok()?;
        str::from_utf8(&bytes).ok()?.trim().parse().ok()
    })
}

/// The process that holds a flock(2) on an inode, in the text of /proc/locks (proc_locks(5)).
fn locking_process(locks: &str, device: u64, inode: u64) -> Option<u32> {
    let place = format!("{:02x}:{:02x}:{inode}", major(device), minor(device));
    locks.lines().find_map(|line| {
        let mut words = line.split_ascii_whitespace().skip(1);
        let kind = words.next()?;
        let (pid, found) = (words.nth(2)?, words.next()?);
        // A process of another pid namespace shows as 0.
        (kind == "FLOCK" && found == place)
            .then(|| pid.parse().ok())
            .flatten()
            .filter(|pid| *pid != 0)
    })
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(
        || "another process".to_owned(),
        |pid| format!("process {pid}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_use_by(result: Result<DirLock, StateDirError>) -> Option<u32> {
        match result {
            Err(StateDirError::InUse { pid, .. }) => pid,
            other => panic!("not in use: {other:?}"),
        }
    }

    #[test]
    fn a_directory_has_one_holder_at_a_time() {
        let root = tempfile::tempdir().unwrap();
        let first = DirLock::acquire(root.path(), None).unwrap();
        let second = first.clone();
        let written = fs::read_to_string(root.path().join(LOCK_FILE)).unwrap();
        assert_eq!(written, format!("{}\n", std::process::id()));

        assert_eq!(
            in_use_by(DirLock::acquire(root.path(), None)),
            Some(std::process::id())
        );
        drop(first);
        assert_eq!(
            in_use_by(DirLock::acquire(root.path(), None)),
            Some(std::process::id())
        );
        drop(second);
        DirLock::acquire(root.path(), None).unwrap();
    }

    #[test]
    fn one_directory_under_two_names_is_locked_once() {
        let root = tempfile::tempdir().unwrap();
        let (directory, other) = (root.path().join("a"), root.path().join("b"));
        fs::create_dir(&directory).unwrap();
        fs::create_dir(&other).unwrap();
        let link = root.path().join("link");
        std::os::unix::fs::symlink(&directory, &link).unwrap();

        let lock = DirLock::acquire(&directory, None).unwrap();
        let same = DirLock::acquire(&link, Some(&lock)).unwrap();
        let apart = DirLock::acquire(&other, Some(&lock)).unwrap();
        drop(lock);
        in_use_by(DirLock::acquire(&directory, Some(&apart)));
        drop(same);
        DirLock::acquire(&directory, Some(&apart)).unwrap();
    }

    #[test]
    fn only_a_file_of_our_own_is_written() {
        let root = tempfile::tempdir().unwrap();
        let precious = root.path().join("precious");
        fs::write(&precious, "text").unwrap();
        fs::hard_link(&precious, root.path().join(LOCK_FILE)).unwrap();
        let _lock = DirLock::acquire(root.path(), None).unwrap();
        assert_eq!(fs::read(&precious).unwrap(), b"text");
    }

    #[test]
    fn a_lock_without_a_process_id_is_a_lock() {
        use std::os::unix::fs::PermissionsExt;

        let root = tempfile::tempdir().unwrap();
        let path = root.path().join(LOCK_FILE);
        fs::write(&path, "").unwrap();
        // It can only be opened for reading, unless the tests run as root.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
        let _lock = DirLock::acquire(root.path(), None).unwrap();
        in_use_by(DirLock::acquire(root.path(), None));
        assert!(write_pid(&File::open(&path).unwrap()).is_err());
    }

    #[test]
    fn a_missing_directory_is_said() {
        let root = tempfile::tempdir().unwrap();
        let error = DirLock::acquire(&root.path().join("none"), None).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("/none could not be opened as a directory")
        );
    }

    #[test]
    fn lines_of_the_kernel() {
        fn check(locks: &str, expect: Option<u32>) {
            assert_eq!(
                locking_process(locks, nix::sys::stat::makedev(0xfe, 1), 4711),
                expect
            );
        }
        check(
            "1: FLOCK  ADVISORY  WRITE 815 fe:01:4711 0 EOF\n",
            Some(815),
        );
        check(
            "1: POSIX  ADVISORY  READ  7 fe:01:4711 128 128\n\
             1: -> FLOCK  ADVISORY  WRITE 9 fe:01:4711 0 EOF\n\
             2: FLOCK  ADVISORY  WRITE 8 fe:01:47110 0 EOF\n\
             3: FLOCK  ADVISORY  WRITE 9 fe:02:4711 0 EOF\n\
             4: FLOCK  ADVISORY  WRITE 10 fe:01:4711 0 EOF\n",
            Some(10),
        );
        check("1: FLOCK  ADVISORY  WRITE 0 fe:01:4711 0 EOF\n", None);
        check("1: FLOCK  ADVISORY  WRITE -1 fe:01:4711 0 EOF\n", None);
        check("1: FLOCK\n\n", None);
        check("", None);
    }
}
