//! What outlives a process: identities, and who may use a directory.
//!
//! [`StateDir`] keeps for each node its UUID, the number of its starts and its last slot.
//! [`DirLock`] gives a directory to one supervisor; an identity has a lock of its own, so
//! that no two processes show the same one even if a stand-alone node shares the directory
//! with a supervisor.
//!
//! The directory may lie in `/tmp`, where others may prepare traps. It is therefore used
//! only if it belongs to us and nobody else can write to it, it is held open, and names in
//! it are looked up relative to the open directory and never through symbolic links.

mod directory;
mod identity;
mod lock;
mod record;
mod store;

pub use directory::DirectoryError;
pub(crate) use directory::{Directory, read_bounded};
pub use identity::Identity;
pub use lock::{DirLock, LOCK_FILE, StateDirError};
pub use record::STARTS_RESERVED;
pub use store::StateDir;
