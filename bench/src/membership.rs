//! `membership`: how soon all nodes know that one has come, or has died.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use nix::sys::signal::Signal;
use repram_tests::{Node, PATIENCE, Process, Sandbox, poll_until};

use crate::cluster::PAUSE;
use crate::contest::{Contestant, compete};
use crate::report::Report;
use crate::table::{Cell, Table};

/// What can be chosen.
#[derive(Args)]
pub(crate) struct Options {
    /// Measured runs.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// Numbers of nodes, the one that comes and dies included.
    #[arg(long, value_delimiter = ',', default_values_t = [3, 10, 30],
          value_parser = clap::value_parser!(u16).range(2..=64))]
    nodes: Vec<u16>,
}

/// A join and a death, in milliseconds.
const FIGURES: usize = 2;

/// What a node writes of one that has come.
const JOINED: &[&str] = &["joined"];

/// What it writes of one that has gone, without and with a supervisor's word.
const GONE: &[&str] = &["does not answer", "died"];

/// The pause between two looks into logs: nothing that is measured depends on it.
const LOOK: Duration = Duration::from_millis(5);

/// Measures and reports.
pub(crate) fn measure(options: &Options) -> Report {
    let mut table = Table::new(&["nodes", "", "a join, ms", "a death, ms"]);
    for count in &options.nodes {
        eprintln!("{count} nodes ...");
        let contestants: [Contestant<'_, FIGURES>; 2] = [
            Contestant {
                name: "under one supervisor".to_owned(),
                run: Box::new(|| under_a_supervisor(*count)),
            },
            Contestant {
                name: "each by itself".to_owned(),
                run: Box::new(|| each_by_itself(*count)),
            },
        ];
        for standing in compete(&contestants, options.runs.into()) {
            let mut row = vec![Cell::Text(count.to_string()), Cell::Text(standing.name)];
            row.extend(standing.figures.map(Cell::Measured));
            table.row(row);
        }
    }
    Report {
        title: "What nodes know of each other",
        how: format!(
            "From the start of one more node until the last of the others has written that it has \
             joined, and from its kill -9 until the last has written that it is gone; under a \
             supervisor with its time of reading that, in milliseconds rounded up. \
             Each by itself is what nodes on different hosts are to each other. Median (smallest \
             - largest) of {} runs, taken in turns.",
            options.runs
        ),
        beside: Vec::new(),
        table,
    }
}

fn under_a_supervisor(count: u16) -> [f64; FIGURES] {
    // What is killed stays dead, or it would be back before anybody is asked.
    let fleet = Sandbox::new()
        .set("NODE_COUNT", count - 1)
        .set("MAX_PORTS", count)
        .set("RESTART_BUDGET", 1)
        .set("ON_FAILED", "keep")
        .start();
    let port = fleet.http_port(count - 1);
    acquainted(fleet.http_port(0)..port, count - 1);
    let name = |slot: u16| format!("flux-node-{}", slot + 1);
    let logs: Vec<_> = (0..count - 1)
        .map(|slot| fleet.log_file(&name(slot)))
        .collect();
    let start = Timestamp::now();
    let scaled = fleet.finish(&["scale", &count.to_string(), "--no-wait"]);
    assert_eq!(scaled.code(), Some(0), "{}", scaled.said());
    let newcomer = name(count - 1);
    let join = known_after(start, &logs, &newcomer, JOINED);
    acquainted(fleet.http_port(0)..port + 1, count);
    let death = death_of(fleet.process_of(&newcomer), &logs, &newcomer);
    fleet.stop();
    [join, death]
}

fn each_by_itself(count: u16) -> [f64; FIGURES] {
    let sandbox = Sandbox::new();
    let first = sandbox.http_port(0);
    let name = |slot: u16| format!("node-{slot}");
    let start_one = |slot: u16| {
        let (http, state) = (
            sandbox.http_port(slot),
            sandbox.path(&format!("state-{slot}")),
        );
        let mut node = sandbox.node();
        node.env("REPRAM_NODE_ID", name(slot))
            .env("REPRAM_HTTP_PORT", http.to_string())
            .env(
                "REPRAM_GOSSIP_PORT",
                (http + sandbox.ports().gossip_offset()).to_string(),
            )
            .env("REPRAM_PEERS", format!("127.0.0.1:{first}"))
            .env("STATE_DIR", state);
        sandbox.spawn(&mut node, &name(slot)).0
    };
    let mut children: Vec<_> = (0..count - 1).map(start_one).collect();
    let port = sandbox.http_port(count - 1);
    acquainted(first..port, count - 1);
    let log = |slot| sandbox.path(&name(slot)).with_extension("out");
    let logs: Vec<_> = (0..count - 1).map(log).collect();
    let start = Timestamp::now();
    let last = start_one(count - 1);
    let process = Process {
        pid: last.id().cast_signed(),
    };
    children.push(last);
    let newcomer = name(count - 1);
    let join = known_after(start, &logs, &newcomer, JOINED);
    acquainted(first..port + 1, count);
    let death = death_of(process, &logs, &newcomer);
    sandbox.end_all();
    for mut child in children {
        // They are our children, so they are ours to reap as well.
        let _reaped = child.wait();
    }
    [join, death]
}

/// Waits until each of these answers and knows so many, itself included.
pub(crate) fn acquainted(ports: Range<u16>, count: u16) -> Vec<Node> {
    let nodes = ports.map(|port| poll_until("a ready node", PAUSE, PATIENCE, || Node::at(port)));
    let nodes: Vec<_> = nodes.collect();
    for node in &nodes {
        poll_until("a node that knows the others", PAUSE, PATIENCE, || {
            let known = node.peers()?.len() + 1;
            let all = known == usize::from(count);
            all.then_some(())
                .ok_or_else(|| format!("{known} of {count}"))
        });
    }
    nodes
}

/// Milliseconds from the kill of a node until all others have written that it is gone.
fn death_of(process: Process, logs: &[PathBuf], name: &str) -> f64 {
    let start = Timestamp::now();
    process.signal(Signal::SIGKILL);
    known_after(start, logs, name, GONE)
}

/// Milliseconds from `start` until the last of these logs said one of `words` of the node
/// `name`.
fn known_after(start: Timestamp, logs: &[PathBuf], name: &str, words: &[&str]) -> f64 {
    let said = |log: &PathBuf| {
        poll_until(&format!("{name} in a log"), LOOK, PATIENCE, || {
            said_at(log, start, name, words)
        })
    };
    let last = logs.iter().map(said).max().expect("there are others");
    last.duration_since(start).as_secs_f64() * 1e3
}

/// When a log said one of `words` of the node `name`, for the first time after `start`: each line
/// begins with its time.
fn said_at(log: &Path, start: Timestamp, name: &str, words: &[&str]) -> Result<Timestamp, String> {
    let text = fs::read_to_string(log).map_err(|error| error.to_string())?;
    let sayings: Vec<_> = words
        .iter()
        .map(|word| format!(" {name} {word} "))
        .collect();
    let said = text
        .lines()
        .filter(|line| sayings.iter().any(|it| line.contains(it)));
    for line in said {
        let time = end_of(line.split(' ').next().unwrap_or_default());
        let time = time.map_err(|error| format!("{line}: {error}"))?;
        if time > start {
            return Ok(time);
        }
    }
    Err("nothing of it yet".to_owned())
}

/// The end of what a time stands for, whose last digits were cut off: of a millisecond when it
/// has three.
fn end_of(time: &str) -> Result<Timestamp, jiff::Error> {
    let digits = time.rsplit('.').next().unwrap_or_default();
    let digits = digits.trim_end_matches('Z').len().min(9);
    let unit = SignedDuration::from_nanos(10_i64.pow(9 - digits as u32));
    time.parse::<Timestamp>()?.checked_add(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_after_the_start_counts() {
        let sandbox = tempfile::tempdir().unwrap();
        let log = sandbox.path().join("log");
        fs::write(
            &log,
            "2026-11-22T03:02:52.439Z  INFO node-1 joined uuid=0\n\
             2026-11-22T03:02:53.440Z  INFO node-12 joined uuid=1\n\
             2026-11-22T03:02:53.440Z  INFO node-1 joined uuid=2\n\
             2026-11-22T03:02:54.440Z  INFO node-1 joined uuid=3\n\
             2026-11-22T03:02:55.440123Z  WARN node-1 does not answer uuid=3\n",
        )
        .unwrap();
        let check = |name, words, expect: Option<&str>| {
            let start = "2026-11-22T03:02:53.440Z".parse().unwrap();
            let found = said_at(&log, start, name, words).ok();
            assert_eq!(found, expect.map(|time| time.parse().unwrap()));
        };
        check("node-1", JOINED, Some("2026-11-22T03:02:53.441Z"));
        check("node-1", GONE, Some("2026-11-22T03:02:55.440124Z"));
        check("node-12", GONE, None);
        check("node-3", JOINED, None);
    }
}
