//! cargo-deny: the machine's own, or one that is installed for this workspace only.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::command::{cannot_start, cargo, shown};
use crate::workspace::Workspace;

/// The version that is installed where the machine has none.
const VERSION: &str = "0.20.2";

/// A cargo-deny that is there, or is being built while other gates run:
/// the build takes minutes.
pub(crate) enum Deny {
    /// Ready to use.
    Program(PathBuf),
    /// `cargo install` at work.
    Installing {
        /// The running cargo.
        child: Child,
        /// Where the program will be.
        program: PathBuf,
        /// What cargo says meanwhile.
        log: PathBuf,
    },
    /// It could not even be started; says why.
    Missing(String),
}

impl Deny {
    /// Looks for cargo-deny on the PATH and among the workspace's tools;
    /// starts to install it there otherwise.
    pub(crate) fn find_or_install(workspace: &Workspace) -> Self {
        let tools = workspace.tools();
        let own = tools.join("bin/cargo-deny");
        let candidates = [PathBuf::from("cargo-deny"), own.clone()];
        match candidates.into_iter().find(|program| answers(program)) {
            Some(program) => Self::Program(program),
            None => Self::install(&tools, own).unwrap_or_else(Self::Missing),
        }
    }

    fn install(tools: &Path, program: PathBuf) -> Result<Self, String> {
        let log = tools.join("install-cargo-deny.log");
        let output = std::fs::create_dir_all(tools)
            .and_then(|()| File::create(&log))
            .and_then(|file| Ok((file.try_clone()?, file)))
            .map_err(|error| format!("could not write {}: {error}", log.display()))?;
        let mut command = cargo(["install", "--locked", "cargo-deny", "--version", VERSION]);
        command.arg("--root").arg(tools);
        // A target directory of its own: a shared one would make the other
        // gates wait for the lock.
        command.env("CARGO_TARGET_DIR", tools.join("build"));
        // It runs for seconds once it is there.
        command
            .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0")
            .env("CARGO_PROFILE_RELEASE_LTO", "off")
            .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "256");
        command
            .stdin(Stdio::null())
            .stdout(output.0)
            .stderr(output.1);
        let child = command
            .spawn()
            .map_err(|error| cannot_start(&command, &error))?;
        println!(
            "cargo-deny {VERSION} is being installed into {} meanwhile",
            tools.display()
        );
        Ok(Self::Installing {
            child,
            program,
            log,
        })
    }

    /// The program, once it is there. Waits for an installation under way.
    pub(crate) fn program(&mut self) -> Result<PathBuf, String> {
        let found = match self {
            Self::Program(program) => return Ok(program.clone()),
            Self::Missing(why) => return Err(why.clone()),
            Self::Installing {
                child,
                program,
                log,
            } => installed(child, program, log),
        };
        *self = match &found {
            Ok(program) => Self::Program(program.clone()),
            Err(why) => Self::Missing(why.clone()),
        };
        found
    }
}

impl Drop for Deny {
    /// An installation that nobody waited for would go on without us.
    fn drop(&mut self) {
        if let Self::Installing { child, .. } = self {
            let _already_gone = child.kill();
            let _reaped = child.wait();
        }
    }
}

fn answers(program: &Path) -> bool {
    let mut command = Command::new(program);
    command
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn installed(child: &mut Child, program: &Path, log: &Path) -> Result<PathBuf, String> {
    let status = child
        .wait()
        .map_err(|error| format!("could not wait for cargo: {error}"))?;
    if status.success() && answers(program) {
        return Ok(program.to_owned());
    }
    let said = std::fs::read_to_string(log).unwrap_or_default();
    let what = shown(&cargo(["install", "cargo-deny"]));
    Err(format!("{what} ended with {status}\n{said}"))
}
