//! The tests of the image: an engine, the image, and the tests in it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::workspace::Workspace;

/// What the image under test is called.
pub(crate) const IMAGE: &str = "repram-fleet:test";

/// How long an engine of our own may take to answer, and to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(200);

/// A Docker engine: the machine's own, or one that is started for these tests and ended
/// after them.
pub(crate) struct Engine {
    /// Where it is reached; none for the machine's own.
    host: Option<String>,
    own: Option<Child>,
}

impl Engine {
    /// Looks for an engine that answers; starts one otherwise, which takes root.
    ///
    /// # Errors
    /// Why this machine cannot run containers.
    pub(crate) fn find_or_start(workspace: &Workspace) -> Result<Self, String> {
        let found = Self {
            host: None,
            own: None,
        };
        if found.answers() {
            return Ok(found);
        }
        Self::start(&workspace.target().join("docker"))
    }

    /// Images are kept below `folder`, so that the next run has them already.
    fn start(folder: &Path) -> Result<Self, String> {
        // The path of a socket has at most 107 bytes.
        let run = std::env::temp_dir().join(format!("repram-docker-{}", std::process::id()));
        let log = folder.join("dockerd.log");
        std::fs::create_dir_all(&run)
            .and_then(|()| std::fs::create_dir_all(folder))
            .map_err(|error| format!("no folder for an engine: {error}"))?;
        let output = File::create(&log).and_then(|file| Ok((file.try_clone()?, file)));
        let output = output.map_err(|error| format!("{}: {error}", log.display()))?;
        let host = format!("unix://{}", run.join("docker.sock").display());
        let mut command = Command::new("dockerd");
        command.args(["--host", &host, "--data-root"]);
        command.arg(folder.join("data")).arg("--exec-root");
        command.arg(run.join("exec")).arg("--pidfile");
        command.arg(run.join("pid")).stdin(Stdio::null());
        let child = command.stdout(output.0).stderr(output.1).spawn();
        let child = child.map_err(|error| format!("no engine answers, and dockerd: {error}"))?;
        let mut engine = Self {
            host: Some(host),
            own: Some(child),
        };
        let deadline = Instant::now() + PATIENCE;
        while !engine.answers() {
            if engine.has_ended() || Instant::now() > deadline {
                let said = std::fs::read_to_string(&log).unwrap_or_default();
                let lines: Vec<&str> = said.lines().rev().take(5).collect();
                let last: Vec<&str> = lines.into_iter().rev().collect();
                return Err(format!("dockerd did not start: {}", last.join("; ")));
            }
            std::thread::sleep(PAUSE);
        }
        Ok(engine)
    }

    /// A command that uses this engine.
    pub(crate) fn command(&self, program: impl Into<PathBuf>) -> Command {
        let mut command = Command::new(program.into());
        self.tell(&mut command);
        command
    }

    /// Lets a command use this engine.
    pub(crate) fn tell(&self, command: &mut Command) {
        if let Some(host) = &self.host {
            command.env("DOCKER_HOST", host);
        }
    }

    fn answers(&self) -> bool {
        let mut command = self.command("docker");
        command.args(["version", "--format", "{{.Server.Version}}"]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let status = command.stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    }

    fn has_ended(&mut self) -> bool {
        let own = self.own.as_mut();
        own.is_some_and(|child| !matches!(child.try_wait(), Ok(None)))
    }
}

impl Drop for Engine {
    /// Asked to end, it ends its containers and unmounts what it mounted; killed, it would
    /// not.
    fn drop(&mut self) {
        let Some(pid) = self.own.as_ref().map(Child::id) else {
            return;
        };
        let _already_gone = Command::new("kill").arg(pid.to_string()).status();
        let deadline = Instant::now() + PATIENCE;
        while !self.has_ended() && Instant::now() < deadline {
            std::thread::sleep(PAUSE);
        }
        if let Some(child) = &mut self.own {
            let _already_gone = child.kill();
            let _reaped = child.wait();
        }
        let run = std::env::temp_dir().join(format!("repram-docker-{}", std::process::id()));
        let _only_tidying = std::fs::remove_dir_all(run);
    }
}
