//! Where a supervisor is reached.

use std::path::PathBuf;

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
    pub fn in_directory(state_dir: &std::path::Path) -> Self {
        Self::Path(state_dir.join("supervisor.sock"))
    }

    /// The name for a supervisor of user `uid` whose range begins at `base_port`.
    #[must_use]
    pub fn abstract_name(uid: u32, base_port: u16) -> Self {
        Self::Abstract(format!("repram-supervisor/{uid}/{base_port}"))
    }
}
