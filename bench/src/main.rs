//! Numbers anyone can repeat.
//!
//! `cargo run --release -p repram-bench -- supervisor` measures the programs that are
//! built from this repository, in the profile of this program, next to what one
//! would use instead. Contestants take turns, so that whatever else the machine
//! does meets all of them; a result is a median with its range. The report is
//! Markdown or JSON on standard output; progress goes to standard error.
//!
//! s6, runit, supervisord, circus, pm2, horust, tini, nginx, redis, memcached and etcd take part
//! where they are installed.

mod chart;
mod child;
mod cluster;
mod contest;
mod cores;
mod count;
mod flame;
mod found;
mod keeper;
mod line;
mod logs;
mod machine;
mod mapped;
mod membership;
mod micro;
mod moment;
mod node;
mod orphans;
mod progress;
mod recipe;
mod report;
mod rest;
mod restart;
mod sample;
mod scale;
mod served;
mod start;
mod stop;
mod suite;
mod table;
mod usage;
mod version;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use child::Child;
use machine::Machine;
use moment::Moment;
use report::Report;
use suite::Suite;

/// Measures this repository's programs.
#[derive(Parser)]
#[command(name = "repram-bench")]
struct Arguments {
    #[command(subcommand)]
    benchmark: Benchmark,
    /// Print JSON instead of Markdown.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Benchmark {
    /// The supervisor beside others: start, cluster, restart, stop, rest, logs and orphans.
    Supervisor(suite::Options),
    /// The node beside other stores: throughput, footprint, lag, expiry and membership.
    Node(suite::Options),
    /// From the command of a keeper to the last program that it starts.
    Start(start::Options),
    /// From the command to all nodes answering and knowing each other.
    Cluster(cluster::Options),
    /// Memory, processor time and wake-ups while nothing happens.
    Rest(rest::Options),
    /// From the kill of a program to its successor.
    Restart(restart::Options),
    /// From the wish to stop until nothing is left, and what is left after a kill -9.
    Stop(stop::Options),
    /// Processes without a parent, reaped by process 1.
    Orphans(orphans::Options),
    /// Speed and accuracy of logs that are flooded.
    Logs(logs::Options),
    /// Values written and read, beside other stores and what hyper can do.
    Throughput(node::throughput::Options),
    /// Start and memory of a store.
    Footprint(node::footprint::Options),
    /// How far from its time a value ends.
    Expiry(node::expiry::Options),
    /// How soon a write is seen at another copy.
    Lag(node::lag::Options),
    /// Instructions of the hot paths, counted by valgrind.
    Count(count::Options),
    /// Time of the hot paths, by criterion.
    Cores(micro::Options),
    /// A flame graph of a request, by perf and inferno.
    Flame(flame::Options),
    /// How cost grows with nodes, keys and the size of values.
    Scale(scale::Options),
    /// How soon all nodes know that one has come, or has died.
    Membership(membership::Options),
}

fn main() -> ExitCode {
    // First of all: a child tells when it began.
    let started = Moment::now();
    if let Some(child) = Child::of_this_process() {
        return match child.run(started) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        };
    }
    let Arguments { benchmark, json } = Arguments::parse();
    let tell = |report: &Report, machine: &Machine| {
        let text = if json {
            report.json(machine)
        } else {
            report.markdown(machine)
        };
        // One report after the other: the next one may take long.
        print!("{text}");
    };
    let machine = Machine::here();
    match benchmark.measure(&tell) {
        Ok(Some(report)) => tell(&report, &machine),
        Ok(None) => {}
        Err(problem) => {
            eprintln!("{problem}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

impl Benchmark {
    /// Measures. What is more than one report is told at once.
    ///
    /// # Errors
    /// When it cannot be measured here.
    fn measure(self, tell: &dyn Fn(&Report, &Machine)) -> Result<Option<Report>, String> {
        let report = match self {
            Self::Supervisor(options) => {
                Suite::Supervisor.measure(&options, tell)?;
                return Ok(None);
            }
            Self::Node(options) => {
                Suite::Node.measure(&options, tell)?;
                return Ok(None);
            }
            Self::Start(options) => start::measure(&options),
            Self::Cluster(options) => cluster::measure(&options),
            Self::Rest(options) => rest::measure(&options),
            Self::Restart(options) => restart::measure(&options),
            Self::Stop(options) => stop::measure(&options),
            Self::Orphans(options) => {
                orphans::measure(&options).ok_or("no process can be the first one here")?
            }
            Self::Logs(options) => logs::measure(&options),
            Self::Throughput(options) => node::throughput::measure(&options),
            Self::Footprint(options) => node::footprint::measure(&options),
            Self::Expiry(options) => node::expiry::measure(&options),
            Self::Lag(options) => node::lag::measure(&options),
            Self::Count(options) => count::measure(&options)?,
            Self::Cores(options) => {
                micro::measure(&options);
                return Ok(None);
            }
            Self::Flame(options) => {
                flame::draw(&options)?;
                return Ok(None);
            }
            Self::Scale(options) => scale::measure(&options)?,
            Self::Membership(options) => membership::measure(&options),
        };
        Ok(Some(report))
    }
}
