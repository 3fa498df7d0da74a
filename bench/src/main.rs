//! Numbers anyone can repeat.
//!
//! `cargo run --release -p repram-bench -- start` measures the programs that are
//! built from this repository, in the profile of this program, next to what one
//! would use instead. Contestants take turns, so that whatever else the machine
//! does meets all of them; a result is a median with its range. The report is
//! Markdown or JSON on standard output; progress goes to standard error.
//!
//! s6, runit, supervisord, circus, pm2, horust, tini, nginx, redis, memcached and etcd take part
//! where they are installed.

mod chart;
mod child;
mod contest;
mod cores;
mod count;
mod found;
mod keeper;
mod line;
mod logs;
mod machine;
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
mod table;
mod usage;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use child::Child;
use machine::Machine;
use moment::Moment;

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
    /// From the command to all nodes answering and knowing each other.
    Start(start::Options),
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
    Node(node::throughput::Options),
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
    let arguments = Arguments::parse();
    let machine = Machine::here();
    let report = match arguments.benchmark {
        Benchmark::Start(options) => start::measure(&options),
        Benchmark::Rest(options) => rest::measure(&options),
        Benchmark::Restart(options) => restart::measure(&options),
        Benchmark::Stop(options) => stop::measure(&options),
        Benchmark::Orphans(options) => match orphans::measure(&options) {
            Some(report) => report,
            None => return ExitCode::FAILURE,
        },
        Benchmark::Logs(options) => logs::measure(&options),
        Benchmark::Node(options) => node::throughput::measure(&options),
        Benchmark::Footprint(options) => node::footprint::measure(&options),
        Benchmark::Expiry(options) => node::expiry::measure(&options),
        Benchmark::Lag(options) => node::lag::measure(&options),
        Benchmark::Count(options) => match count::measure(&options) {
            Ok(report) => report,
            Err(problem) => {
                eprintln!("{problem}");
                return ExitCode::FAILURE;
            }
        },
        Benchmark::Cores(options) => {
            micro::measure(&options);
            return ExitCode::SUCCESS;
        }
        Benchmark::Scale(options) => scale::measure(&options),
        Benchmark::Membership(options) => membership::measure(&options),
    };
    if arguments.json {
        print!("{}", report.json(&machine));
    } else {
        print!("{}", report.markdown(&machine));
    }
    ExitCode::SUCCESS
}
