//! Numbers anyone can repeat.
//!
//! `cargo run --release -p repram-bench -- start` measures the programs that are
//! built from this repository, in the profile of this program, next to what one
//! would use instead. Contestants take turns, so that whatever else the machine
//! does meets all of them; a result is a median with its range. The report is
//! Markdown on standard output; progress goes to standard error.

mod contest;
mod machine;
mod sample;
mod start;
mod table;

use clap::{Parser, Subcommand};

use machine::Machine;

/// Measures this repository's programs.
#[derive(Parser)]
#[command(name = "repram-bench")]
struct Arguments {
    #[command(subcommand)]
    benchmark: Benchmark,
}

#[derive(Subcommand)]
enum Benchmark {
    /// From the command to all nodes answering and knowing each other.
    Start(start::Options),
}

fn main() {
    let arguments = Arguments::parse();
    let machine = Machine::here();
    let report = match arguments.benchmark {
        Benchmark::Start(options) => start::measure(&options),
    };
    println!("{report}\n{}", machine.described());
}
