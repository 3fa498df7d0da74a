//! Where things are.

use std::path::{Path, PathBuf};

/// The workspace that this binary was built from, and where its builds go.
pub(crate) struct Workspace {
    root: PathBuf,
    target: PathBuf,
}

impl Workspace {
    /// Finds the target directory by where cargo put this binary,
    /// `TARGET/PROFILE/xtask`: this honours `CARGO_TARGET_DIR`, `--target-dir`
    /// and cargo's configuration alike, without asking cargo again.
    pub(crate) fn of_this_build() -> Self {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = manifest
            .parent()
            .expect("xtask is a folder of the workspace");
        let this = std::env::current_exe().expect("Linux names the running binary");
        let target = this
            .ancestors()
            .nth(2)
            .expect("cargo puts binaries in TARGET/PROFILE");
        Self {
            root: root.to_owned(),
            target: target.to_owned(),
        }
    }

    /// A path inside the repository.
    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        self.root.join(inside)
    }

    /// The directory of everything that is built.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// The directory of helper programs that are installed for this workspace only.
    pub(crate) fn tools(&self) -> PathBuf {
        self.target.join("tools")
    }
}
