//! What one test owns.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;

use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::binaries::Binaries;
use crate::fleet::Fleet;
use crate::ports::PortBlock;
use crate::process::Process;
use crate::wait::{PATIENCE, POLL, look_until, wait_until};

/// The variable by which every process that a test caused is found: nodes inherit
/// the supervisor's environment, and what they start inherits theirs.
const MARK: &str = "FLEET_TEST_MARK";

/// Lines of each file that a failed test shows.
const SHOWN_LINES: usize = 80;

/// A directory, a block of ports, a secret, settings; and the processes that were
/// started with them.
pub struct Sandbox {
    directory: TempDir,
    ports: PortBlock,
    settings: BTreeMap<String, String>,
}

/// A command that ran to its end.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

impl Finished {
    /// The exit code; `None` when a signal ended it.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// What it printed, as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {}", self.said()))
    }

    /// Everything it said.
    pub fn said(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

impl Sandbox {
    /// A fresh one, for a fleet of three that starts at once.
    ///
    /// # Panics
    /// When the temporary directory cannot be written.
    pub fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("repram-test-").tempdir();
        let directory = directory.expect("the temporary directory can be written");
        let ports = PortBlock::take();
        let secret = directory.path().join("secret");
        let token = directory.path().file_name().expect("it was given a name");
        fs::write(&secret, token.as_encoded_bytes()).expect("the directory is ours");
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).expect("it is ours");
        let path_of = |name: &str| directory.path().join(name).display().to_string();
        let settings = [
            ("BASE_PORT", ports.base().to_string()),
            ("GOSSIP_PORT_OFFSET", ports.gossip_offset().to_string()),
            ("LOG_DIR", path_of("logs")),
            ("STATE_DIR", path_of("state")),
            ("REPRAM_CLUSTER_SECRET_FILE", path_of("secret")),
            ("START_STAGGER", "0".to_owned()),
        ];
        for name in ["logs", "state"] {
            let path = directory.path().join(name);
            fs::create_dir(&path).expect("the directory is ours");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("it is ours");
        }
        let settings = settings
            .map(|(name, value)| (name.to_owned(), value))
            .into();
        Self {
            directory,
            ports,
            settings,
        }
    }

    /// A fleet of web servers that bind their ports themselves and are asked often.
    #[must_use]
    pub fn web(node_count: u16) -> Self {
        let sandbox = Self::new();
        let program = sandbox.write("web.py", include_str!("../programs/web.py"));
        sandbox
            .set("NODE_COUNT", node_count)
            .set("NODE_COMMAND", format!("python3 {}", program.display()))
            .set("NODE_SOCKETS", "off")
            .set("BIND_ADDRESS", "127.0.0.1")
            // Only what answers wrongly is to fail, not what answers late on a busy machine.
            .set("STARTUP_TIMEOUT", "20s")
            .set("READINESS_TIMEOUT", "20s")
            .set("LIVENESS_TIMEOUT", "20s")
            .set("STARTUP_PERIOD", "100ms")
            .set("READINESS_PERIOD", "100ms")
            .set("LIVENESS_PERIOD", "100ms")
            .set("STARTUP_PROBE", "off")
            .set("STOP_TIMEOUT", "2s")
    }

    /// Sets a variable for everything that is started from here.
    #[must_use]
    pub fn set(mut self, name: &str, value: impl ToString) -> Self {
        self.settings.insert(name.to_owned(), value.to_string());
        self
    }

    /// Takes a variable away.
    #[must_use]
    pub fn unset(mut self, name: &str) -> Self {
        self.settings.remove(name);
        self
    }

    /// The ports of this test.
    pub fn ports(&self) -> &PortBlock {
        &self.ports
    }

    /// The HTTP port of a slot, counted from 0.
    pub fn http_port(&self, slot: u16) -> u16 {
        self.ports.base() + slot
    }

    /// A path inside the directory of this test.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file into the directory of this test.
    ///
    /// # Panics
    /// When that is not possible.
    pub fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).expect("the directory is ours");
        path
    }

    /// Where the nodes' logs are.
    pub fn log_file(&self, node: &str) -> PathBuf {
        self.path("logs").join(format!("{node}.log"))
    }

    /// A command line of the supervisor, with the settings and nothing else of the
    /// environment but PATH.
    pub fn supervisor(&self, arguments: &[&str]) -> Command {
        let mut command = self.program(&Binaries::built().supervisor);
        command.args(arguments);
        command
    }

    /// A node without a supervisor.
    pub fn node(&self) -> Command {
        self.program(&Binaries::built().node)
    }

    /// Any program, marked as ours.
    pub fn program(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .envs(&self.settings)
            .env(MARK, self.mark());
        command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command
            .env("HOME", self.directory.path())
            .current_dir(self.directory.path());
        command.stdin(Stdio::null());
        command
    }

    /// Runs a command of the supervisor to its end.
    ///
    /// # Panics
    /// When it does not end.
    #[track_caller]
    pub fn finish(&self, arguments: &[&str]) -> Finished {
        let what = format!("finished: supervisor {}", arguments.join(" "));
        let (mut child, output) = self.spawn(&mut self.supervisor(arguments), "command");
        let status = wait_until(&what, PATIENCE, || ended(&mut child));
        output.finished(status)
    }

    /// Starts the supervisor in the foreground.
    #[track_caller]
    pub fn start(self) -> Fleet {
        let command = self.supervisor(&["run"]);
        self.start_as(command)
    }

    /// Starts a supervisor in the foreground by a command that comes to be one.
    #[track_caller]
    pub fn start_as(self, mut command: Command) -> Fleet {
        let (child, output) = self.spawn(&mut command, "supervisor");
        Fleet::new(self, child, output)
    }

    /// Waits for the end of a program that was started here.
    ///
    /// # Panics
    /// When it does not end.
    #[track_caller]
    pub fn wait_for_end(&self, child: &mut Child, output: &Output) -> Finished {
        let status = wait_until("the end of a program", PATIENCE, || ended(child));
        output.finished(status)
    }

    /// Starts a program whose output goes to files of this directory that begin
    /// with `name`.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn spawn(&self, command: &mut Command, name: &str) -> (Child, Output) {
        let output = Output {
            stdout: self.path(name).with_extension("out"),
            stderr: self.path(name).with_extension("err"),
        };
        let create = |path: &Path| File::create(path).expect("the directory is ours");
        command
            .stdout(create(&output.stdout))
            .stderr(create(&output.stderr));
        let child = command.spawn();
        (
            child.unwrap_or_else(|error| panic!("could not start {command:?}: {error}")),
            output,
        )
    }

    /// Every process that runs and was caused by this test.
    pub fn processes(&self) -> Vec<Process> {
        let mark = self.mark();
        let ours = |process: &Process| {
            process.alive() && process.variable(MARK).is_some_and(|found| found == mark)
        };
        Process::all().filter(ours).collect()
    }

    /// Kills every process of this test, each by its id, and waits until they are
    /// gone; children of this process are then left to be reaped.
    pub fn end_all(&self) {
        let mut kill_all = || {
            let mut processes = self.processes();
            // Supervisors first: they cannot start other nodes then.
            processes.sort_by_key(|process| process.variable("REPRAM_NODE_ID").is_some());
            for process in &processes {
                process.signal(Signal::SIGKILL);
            }
            if processes.is_empty() {
                Ok(())
            } else {
                Err(format!("{processes:?} run"))
            }
        };
        if let Err(problem) = look_until(POLL, PATIENCE, &mut kill_all) {
            eprintln!("after a kill and {PATIENCE:?}: {problem}");
        }
    }

    /// Moves what was written into `folder`, on the same file system, under a name of its own:
    /// there it is not deleted with this test.
    ///
    /// # Panics
    /// When it cannot be moved.
    pub fn set_aside(&self, folder: &Path) {
        let from = self.directory.path();
        let name = from.file_name().expect("it was given a name");
        fs::rename(from, folder.join(name)).expect("it is on the same file system");
    }

    /// Fails unless every process of this test has ended and every port is free.
    #[track_caller]
    pub fn assert_nothing_left(&self) {
        let left: Vec<_> = self
            .processes()
            .iter()
            .map(|process| process.command_line().join(" "))
            .collect();
        assert!(left.is_empty(), "still running: {left:#?}");
        if let Err(problem) = self.ports.all_free() {
            panic!("{problem}");
        }
    }

    fn mark(&self) -> String {
        self.directory.path().display().to_string()
    }

    /// Prints what was written into this directory: the end of each text.
    fn show(&self) {
        let files = [self.path(""), self.path("logs")]
            .into_iter()
            .filter_map(|directory| {
                Some(
                    fs::read_dir(directory)
                        .ok()?
                        .flatten()
                        .map(|entry| entry.path()),
                )
            });
        let shown = |path: &PathBuf| {
            path.extension()
                .is_some_and(|end| end == "out" || end == "err" || end == "log")
        };
        for path in files.flatten().filter(shown) {
            let text = fs::read(&path).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            let lines: Vec<_> = text.lines().collect();
            let end = &lines[lines.len().saturating_sub(SHOWN_LINES)..];
            eprintln!("--- {}\n{}", path.display(), end.join("\n"));
        }
    }
}

impl Default for Sandbox {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.end_all();
        if thread::panicking() {
            self.show();
        }
    }
}

/// Where a program's output goes.
#[derive(Clone, Debug)]
pub struct Output {
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Output {
    /// What was printed so far.
    pub fn stdout(&self) -> String {
        read(&self.stdout)
    }

    /// What was complained about so far.
    pub fn stderr(&self) -> String {
        read(&self.stderr)
    }

    /// Both, with how the program ended.
    pub(crate) fn finished(&self, status: ExitStatus) -> Finished {
        Finished {
            status,
            stdout: self.stdout(),
            stderr: self.stderr(),
        }
    }
}

/// The exit status of a child, once there is one.
pub(crate) fn ended(child: &mut Child) -> Result<ExitStatus, String> {
    let status = child.try_wait().expect("it is our child");
    status.ok_or_else(|| format!("pid {} still runs", child.id()))
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}
