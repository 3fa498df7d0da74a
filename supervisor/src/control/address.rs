//! Where a supervisor is reached.

use std::fmt;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::PeerCredentials;
use nix::unistd::geteuid;

/// Bytes that fit into the kernel's `sun_path`, with the NUL at its end (unix(7)).
const SUN_PATH: usize = 108;

/// Where a supervisor is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControlAddress {
    /// A socket in the file system.
    Path(PathBuf),
    /// A name in the kernel's abstract namespace, without the leading NUL: used when no
    /// directory can be written. The peer's uid is checked instead of file permissions.
    Abstract(String),
}

impl ControlAddress {
    /// The socket in a supervisor's own directory.
    #[must_use]
    pub fn in_directory(state_dir: &Path) -> Self {
        Self::Path(state_dir.join("supervisor.sock"))
    }

    /// The name for a supervisor of user `uid` whose range begins at `base_port`.
    #[must_use]
    pub fn abstract_name(uid: u32, base_port: u16) -> Self {
        Self::Abstract(format!("repram-supervisor/{uid}/{base_port}"))
    }

    /// Connects.
    pub(crate) fn connect(&self) -> io::Result<UnixStream> {
        match self {
            Self::Path(path) => {
                let short = ShortPath::new(path)?;
                UnixStream::connect(short.path())
            }
            Self::Abstract(name) => {
                let stream = UnixStream::connect_addr(&SocketAddr::from_abstract_name(name)?)?;
                // Anybody may take such a name.
                match getsockopt(&stream, PeerCredentials)?.uid() {
                    uid if uid == 0 || uid == geteuid().as_raw() => Ok(stream),
                    uid => Err(io::Error::other(format!(
                        "belongs to another user, uid {uid}"
                    ))),
                }
            }
        }
    }

    /// Listens. A socket that a dead supervisor left in the file system is replaced; only the
    /// owner may connect to ours.
    pub(crate) fn listen(&self) -> io::Result<UnixListener> {
        match self {
            Self::Path(path) => {
                let listener = match bind(path) {
                    Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                        self.remove_stale(path)?;
                        bind(path)?
                    }
                    result => result?,
                };
                fs::set_permissions(path, Permissions::from_mode(0o600))?;
                Ok(listener)
            }
            Self::Abstract(name) => UnixListener::bind_addr(&SocketAddr::from_abstract_name(name)?),
        }
    }

    /// Removes a socket behind which nobody is.
    fn remove_stale(&self, path: &Path) -> io::Result<()> {
        if !fs::symlink_metadata(path)?.file_type().is_socket() {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "is not a socket",
            ));
        }
        match self.connect() {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
            _ => Err(io::ErrorKind::AddrInUse.into()),
        }
    }

    /// Removes our own socket.
    pub(crate) fn remove(&self) {
        if let Self::Path(path) = self {
            // The next start replaces it anyway.
            let _ = fs::remove_file(path);
        }
    }
}

impl fmt::Display for ControlAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.display().fmt(f),
            Self::Abstract(name) => write!(f, "@{name}"),
        }
    }
}

fn bind(path: &Path) -> io::Result<UnixListener> {
    let short = ShortPath::new(path)?;
    UnixListener::bind(short.path())
}

/// A path that the kernel takes for a socket though the real one is too long: it goes
/// through an open descriptor of the directory.
#[derive(Debug)]
struct ShortPath {
    path: PathBuf,
    _directory: Option<File>,
}

impl ShortPath {
    fn new(path: &Path) -> io::Result<Self> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(Self {
                path: path.to_owned(),
                _directory: None,
            });
        };
        if path.as_os_str().len() < SUN_PATH {
            return Ok(Self {
                path: path.to_owned(),
                _directory: None,
            });
        }
        let flags = (OFlag::O_PATH | OFlag::O_DIRECTORY).bits();
        let directory = OpenOptions::new()
            .read(true)
            .custom_flags(flags)
            .open(parent)?;
        let path = Path::new("/proc/self/fd")
            .join(directory.as_raw_fd().to_string())
            .join(name);
        Ok(Self {
            path,
            _directory: Some(directory),
        })
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory() -> tempfile::TempDir {
        tempfile::tempdir().expect("directory")
    }

    #[test]
    fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
        let dir = directory();
        let address = ControlAddress::in_directory(dir.path());
        let listener = address.listen().expect("listens");
        let error = address.listen().expect_err("somebody listens");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        drop(listener);
        let listener = address.listen().expect("replaces");
        address.connect().expect("connects");
        let ControlAddress::Path(path) = &address else {
            panic!("a path")
        };
        assert_eq!(
            fs::metadata(path).expect("metadata").permissions().mode() & 0o777,
            0o600
        );
        drop(listener);
        address.remove();
        assert!(!path.exists());
    }

    #[test]
    fn another_file_is_not_touched() {
        let dir = directory();
        let path = dir.path().join("supervisor.sock");
        fs::write(&path, "precious").expect("write");
        assert!(ControlAddress::in_directory(dir.path()).listen().is_err());
        assert_eq!(fs::read(&path).expect("read"), b"precious");
    }

    #[test]
    fn a_long_path_works() {
        let dir = directory();
        let deep = dir.path().join("d".repeat(100)).join("e".repeat(100));
        fs::create_dir_all(&deep).expect("create");
        let address = ControlAddress::in_directory(&deep);
        let _listener = address.listen().expect("listens");
        address.connect().expect("connects");
        assert!(deep.join("supervisor.sock").exists());
    }

    #[test]
    fn an_abstract_name_works_once() {
        let unique = directory().path().display().to_string();
        let address = ControlAddress::Abstract(unique);
        let listener = address.listen().expect("listens");
        address.connect().expect("connects");
        assert!(address.listen().is_err());
        drop(listener);
        assert!(address.connect().is_err());
    }

    #[test]
    fn addresses_are_shown_as_people_write_them() {
        let check = |address: ControlAddress, expect: &str| assert_eq!(address.to_string(), expect);
        check(
            ControlAddress::in_directory(Path::new("/run/x")),
            "/run/x/supervisor.sock",
        );
        check(
            ControlAddress::abstract_name(1000, 8081),
            "@repram-supervisor/1000/8081",
        );
    }
}
