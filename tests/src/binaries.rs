//! The programs under test.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

/// The variable that names a folder in which both programs are already: they are not built then.
const PROGRAMS: &str = "REPRAM_PROGRAMS";

/// Where the built programs are.
#[derive(Debug)]
pub struct Binaries {
    /// The launcher.
    pub supervisor: PathBuf,
    /// The store.
    pub node: PathBuf,
}

impl Binaries {
    /// Both programs, built once per test process in the profile of the test itself:
    /// `cargo test --release` tests release builds. Or those in the folder that `REPRAM_PROGRAMS`
    /// names.
    ///
    /// # Panics
    /// When they do not build.
    pub fn built() -> &'static Self {
        static BUILT: OnceLock<Binaries> = OnceLock::new();
        BUILT.get_or_init(Self::build)
    }

    fn build() -> Self {
        if let Some(folder) = std::env::var_os(PROGRAMS).map(PathBuf::from) {
            return Self {
                supervisor: folder.join("supervisor"),
                node: folder.join("repram-node"),
            };
        }
        let packages = ["--package", "repram-node", "--package", "repram-supervisor"];
        let mut command = Command::new(env!("CARGO"));
        command.args([
            "build",
            "--bins",
            "--message-format=json-render-diagnostics",
        ]);
        command.args(packages).args(["--profile", &profile()]);
        command
            .current_dir(repository())
            .stdin(Stdio::null())
            .stderr(Stdio::inherit());
        let output = command
            .output()
            .expect("cargo started this test, so it can be started");
        assert!(
            output.status.success(),
            "the programs under test do not build"
        );
        let mut executables = executables(&String::from_utf8_lossy(&output.stdout));
        let mut take = |name: &str| {
            executables
                .remove(name)
                .unwrap_or_else(|| panic!("cargo built no program {name}"))
        };
        Self {
            supervisor: take("supervisor"),
            node: take("repram-node"),
        }
    }
}

/// The root of the repository.
pub fn repository() -> &'static Path {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest
        .parent()
        .expect("this package is a folder of the workspace")
}

/// The profile this code was built in, read from where cargo put it:
/// `PROFILE/deps/TEST` or `PROFILE/BINARY`.
fn profile() -> String {
    let this = std::env::current_exe().expect("Linux names the running binary");
    let mut folders = this.ancestors().skip(1).filter_map(Path::file_name);
    let folder = folders
        .find(|folder| *folder != "deps")
        .expect("cargo builds into a folder");
    match folder.to_string_lossy().as_ref() {
        // The one profile whose folder has another name.
        "debug" => "dev".to_owned(),
        name => name.to_owned(),
    }
}

/// Program name to path, from cargo's messages.
fn executables(messages: &str) -> BTreeMap<String, PathBuf> {
    let parsed = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    parsed
        .filter_map(|message| {
            let name = message["target"]["name"].as_str()?.to_owned();
            let path = message["executable"].as_str()?.into();
            Some((name, path))
        })
        .collect()
}
