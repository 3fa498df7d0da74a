//! `flame`: where the time of a request goes, as a flame graph.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use clap::Args;

use crate::node::rival::Rival;
use crate::node::throughput::{KEYS, Workload, load};

/// What can be chosen.
#[derive(Args)]
pub(crate) struct Options {
    /// What is asked: `quorum` shows all three nodes.
    workload: Workload,
    /// The file to write.
    #[arg(long, default_value = "flame.svg")]
    svg: PathBuf,
    /// Seconds that are looked at.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=60))]
    seconds: u16,
    /// Bytes of a value.
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    size: u32,
}

/// Samples a second; not a round number, so that nothing periodic always falls between two.
const FREQUENCY: &str = "1999";

/// What is kept of a stack for each sample: deeper ones are cut off at their root.
const STACKS: &str = "dwarf,16384";

/// Connections and threads of the clients.
const CONNECTIONS: usize = 64;
const THREADS: usize = 2;

/// Longer than a look takes to begin.
const BEFORE: Duration = Duration::from_secs(1);

/// Draws it.
///
/// # Errors
/// Without perf or inferno, or when the programs have no names for their functions.
pub(crate) fn draw(options: &Options) -> Result<(), String> {
    let size = options.size as usize;
    let rival = match options.workload {
        Workload::Quorum => Rival::Nodes,
        Workload::Get | Workload::Put => Rival::Node,
    };
    let running = rival.start(size);
    let load = load(
        &running,
        rival,
        options.workload,
        (KEYS.into(), size),
        CONNECTIONS,
        THREADS,
    );
    let seconds = Duration::from_secs(options.seconds.into());
    let processes = running.processes();
    let pids: Vec<_> = processes.iter().map(|one| one.pid.to_string()).collect();
    let samples = options.svg.with_extension("perf");
    let looked = thread::scope(|scope| {
        let clients = scope.spawn(|| load.run(BEFORE + seconds + BEFORE, &processes));
        thread::sleep(BEFORE);
        let looked = look(&pids.join(","), seconds, &samples);
        // It panics when an answer was wrong.
        clients
            .join()
            .map(|_score| ())
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        looked
    });
    drop(running);
    let drawn = looked.and_then(|()| render(&samples, options));
    let _there_may_be_none = fs::remove_file(&samples);
    drawn
}

/// Takes samples of these processes.
fn look(pids: &str, length: Duration, samples: &Path) -> Result<(), String> {
    let mut perf = Command::new("perf");
    perf.args(["record", "-q", "-e", "cpu-clock", "-F", FREQUENCY])
        .args(["--call-graph", STACKS, "-p", pids, "-o"])
        .arg(samples)
        .args(["--", "sleep", &length.as_secs().to_string()]);
    succeed(&mut perf, "apt-get install linux-perf")
}

/// Samples to stacks to a picture.
fn render(samples: &Path, options: &Options) -> Result<(), String> {
    let folded = options.svg.with_extension("folded");
    let inferno = "cargo install inferno";
    let script = Command::new("perf")
        .args(["script", "--no-inline", "-i"])
        .arg(samples)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut script = script.map_err(|error| format!("perf cannot be started: {error}"))?;
    let stacks = script.stdout.take().expect("it is piped");
    let mut collapse = Command::new("inferno-collapse-perf");
    collapse.stdin(stacks).stdout(create(&folded)?);
    let collapsed = succeed(&mut collapse, inferno);
    // With it goes the end of the pipe that is read: perf does not wait when nobody reads.
    drop(collapse);
    let _reaped = script.wait();
    collapsed?;
    let text = fs::read_to_string(&folded).map_err(|error| of(&folded, &error))?;
    if !text.contains("repram_node::") {
        return Err(
            "the node has no names of functions: build with --profile profiling".to_owned(),
        );
    }
    let title = format!("{} of {} bytes", options.workload, options.size);
    let mut graph = Command::new("inferno-flamegraph");
    graph
        .args(["--minwidth", "1", "--title", &title])
        .arg(&folded)
        .stdout(create(&options.svg)?);
    succeed(&mut graph, inferno)?;
    fs::remove_file(&folded).map_err(|error| of(&folded, &error))
}

fn create(path: &Path) -> Result<File, String> {
    File::create(path).map_err(|error| of(path, &error))
}

fn of(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}

/// Runs a program, of which is said how one gets it.
fn succeed(command: &mut Command, install: &str) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let ended = command.output();
    let ended = ended.map_err(|error| format!("{name} cannot be started ({install}): {error}"))?;
    if ended.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&ended.stderr);
    Err(format!("{name} failed: {}", said.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said_with_how_one_gets_it() {
        let problem = succeed(&mut Command::new("no-such-program"), "apt-get install it");
        let problem = problem.expect_err("there is none");
        let expect = "no-such-program cannot be started (apt-get install it): ";
        assert!(problem.starts_with(expect), "{problem}");
        let failed = succeed(Command::new("sh").args(["-c", "echo no >&2; exit 3"]), "");
        assert_eq!(failed, Err("sh failed: no".to_owned()));
    }
}
