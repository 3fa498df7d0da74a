//! Containers of a real engine, by its command line.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

use crate::wait::{PATIENCE, wait_until};

/// The image under test, by the name that `cargo xtask containers` gave it.
///
/// # Panics
/// When there is none: these tests are started by that command only.
pub fn image() -> String {
    std::env::var("REPRAM_IMAGE").expect("REPRAM_IMAGE, which `cargo xtask containers` sets")
}

/// Runs `docker ARGUMENTS` and gives back what it wrote to standard output, or everything it
/// said when it failed.
pub fn docker<A: AsRef<str>>(arguments: &[A]) -> Result<String, String> {
    let mut command = Command::new("docker");
    command.args(arguments.iter().map(AsRef::as_ref));
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("docker could not be started: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    let said = text(&output.stdout) + &text(&output.stderr);
    Err(format!("{command:?}: {}: {said}", output.status))
}

/// The same where a failure is the test's.
///
/// # Panics
/// When docker failed.
#[track_caller]
pub fn docker_ok<A: AsRef<str>>(arguments: &[A]) -> String {
    docker(arguments).unwrap_or_else(|problem| panic!("{problem}"))
}

/// A name that nothing else of this machine has.
fn unique_name() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    format!("repram-test-{}-{number}", std::process::id())
}

/// A network of the engine's, in which containers find each other by name. Removed when it
/// is dropped, after the containers in it.
#[derive(Debug)]
pub struct DockerNetwork {
    /// Its name.
    pub name: String,
}

impl DockerNetwork {
    /// A new one.
    #[track_caller]
    pub fn new() -> Self {
        let name = unique_name();
        docker_ok(&["network", "create", &name]);
        Self { name }
    }
}

impl Default for DockerNetwork {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for DockerNetwork {
    fn drop(&mut self) {
        if let Err(problem) = docker(&["network", "rm", &self.name]) {
            eprintln!("{problem}");
        }
    }
}

/// A container of the image under test. Removed when it is dropped; its log is shown when
/// the test failed.
#[derive(Debug)]
pub struct DockerContainer {
    name: String,
}

impl DockerContainer {
    /// Starts one: `docker run OPTIONS IMAGE`.
    #[track_caller]
    pub fn start(options: &[&str]) -> Self {
        let name = unique_name();
        let image = image();
        let mut arguments = vec!["run", "--detach", "--name", &name];
        arguments.extend(options);
        arguments.push(&image);
        docker_ok(&arguments);
        Self { name }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs a command inside, as the image's user.
    pub fn exec(&self, command: &[&str]) -> Result<String, String> {
        let mut arguments = vec!["exec", &self.name];
        arguments.extend(command);
        docker(&arguments)
    }

    /// What the engine says of it, by a template such as `{{.State.Status}}`.
    #[track_caller]
    pub fn inspect(&self, template: &str) -> String {
        let found = docker_ok(&["inspect", "--format", template, &self.name]);
        found.trim().to_owned()
    }

    /// Everything that it has written.
    #[track_caller]
    pub fn logs(&self) -> String {
        let mut command = Command::new("docker");
        let output = command.args(["logs", &self.name]).output();
        let output = output.expect("docker can be started");
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }

    /// What the supervisor says of the fleet.
    pub fn status(&self) -> Result<Value, String> {
        let status = self.exec(&["supervisor", "status", "--json"])?;
        serde_json::from_str(&status).map_err(|error| format!("{error}: {status}"))
    }

    /// Waits until so many nodes are ready, and gives back their status.
    #[track_caller]
    pub fn wait_for_nodes(&self, count: usize) -> Vec<Value> {
        wait_until(&format!("{count} ready nodes"), PATIENCE, || {
            let status = self.status()?;
            let nodes = status["nodes"].as_array().ok_or("no list of nodes")?;
            let ready = nodes.iter().filter(|node| node["state"] == "ready").count();
            match nodes.len() == count && ready == count {
                true => Ok(nodes.clone()),
                false => Err(status.to_string()),
            }
        })
    }

    /// A request to a node, from inside: what curl prints, which fails for a status of 400
    /// and above.
    pub fn curl(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = vec!["curl", "--silent", "--show-error", "--fail"];
        command.extend(["--max-time", "10"]);
        command.extend(arguments);
        self.exec(&command)
    }

    /// The address at which a published port is reached from here.
    #[track_caller]
    pub fn published(&self, port: &str) -> String {
        let found = docker_ok(&["port", &self.name, port]);
        found.lines().next().expect("it is published").to_owned()
    }

    /// Waits until it has ended, and gives back its exit code.
    #[track_caller]
    pub fn wait_for_end(&self) -> i32 {
        wait_until("the end of a container", PATIENCE, || {
            let state = self.inspect("{{.State.Status}} {{.State.ExitCode}}");
            let code = state.strip_prefix("exited ").and_then(|it| it.parse().ok());
            code.ok_or(state)
        })
    }
}

impl Drop for DockerContainer {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- docker logs {}\n{}", self.name, self.logs());
        }
        if let Err(problem) = docker(&["rm", "--force", "--volumes", &self.name]) {
            eprintln!("{problem}");
        }
    }
}
