//! Namespaces of one's own, as a container has them.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::process::Process;
use crate::sandbox::Sandbox;

/// How a program is started in namespaces of its own.
pub struct Container {
    arguments: Vec<String>,
}

impl Container {
    /// One in which the program is process 1. None where this process may not make such
    /// namespaces; a line on stderr, which is shown also when the test passes, says that
    /// `test` proves nothing then.
    pub fn with_process_1(test: &str) -> Option<Self> {
        let flags = ["--pid", "--fork", "--kill-child", "--mount-proc"];
        Self::of(&flags, test)
    }

    /// One with its own mounts and its own, empty network.
    pub fn with_mounts_and_network(test: &str) -> Option<Self> {
        Self::of(&["--mount", "--net"], test)
    }

    /// One with its own mounts.
    pub fn with_mounts(test: &str) -> Option<Self> {
        Self::of(&["--mount"], test)
    }

    fn of(flags: &[&str], test: &str) -> Option<Self> {
        // Who is not root may become so inside, on most machines.
        let user = match nix::unistd::geteuid().is_root() {
            true => &[][..],
            false => &["--user", "--map-root-user"],
        };
        let arguments: Vec<String> = user
            .iter()
            .chain(flags)
            .map(|flag| (*flag).to_owned())
            .collect();
        let mut probe = Command::new("unshare");
        probe.args(&arguments).arg("true").stdin(Stdio::null());
        match probe.output() {
            Ok(output) if output.status.success() => Some(Self { arguments }),
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                skip(test, &format!("no such namespaces here ({said})"));
                None
            }
            Err(error) => {
                skip(test, &format!("no unshare(1) here ({error})"));
                None
            }
        }
    }

    /// A program as it runs inside, with the environment of a sandbox.
    pub fn program(&self, sandbox: &Sandbox, program: &Path) -> Command {
        let mut command = sandbox.program("unshare".as_ref());
        command.args(&self.arguments).arg("--").arg(program);
        command
    }

    /// The program that runs inside, for a child of ours that was started so: it is the
    /// child itself, or that one's only child.
    pub fn inside(child: Process) -> Result<Process, String> {
        let is_unshare = |process: Process| {
            process
                .command_line()
                .first()
                .is_some_and(|program| program == "unshare")
        };
        if !is_unshare(child) {
            return Ok(child);
        }
        let mut inner = Process::all().filter(|process| process.parent() == Some(child.pid));
        match inner.next() {
            Some(process) if !is_unshare(process) => Ok(process),
            found => Err(format!("unshare has not executed it yet: {found:?}")),
        }
    }
}

/// Says loudly that a test proves nothing on this machine: not by `eprintln!`, which only
/// failed tests show.
pub fn skip(test: &str, why: &str) {
    let skipped = format!("SKIPPED {test}: {why}\n");
    let _nobody_listens = std::io::stderr().write_all(skipped.as_bytes());
}
