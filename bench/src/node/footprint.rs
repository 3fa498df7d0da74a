//! `footprint`: what a store takes before it is asked for anything, and for each value.

use std::thread;
use std::time::Duration;

use clap::Args;

use super::keeping::{fill, resident_kib};
use super::rival::Rival;
use crate::contest::{Contestant, compete};
use crate::report::Report;
use crate::sample::in_ms;
use crate::table::Table;

/// What can be chosen.
#[derive(Args)]
pub(crate) struct Options {
    /// Measured runs of each contestant.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// Values that are written.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1000..=10_000_000))]
    keys: u32,
    /// Bytes of a value.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1 << 16))]
    size: u32,
}

/// Milliseconds, MiB and bytes.
const FIGURES: usize = 3;

/// From the first answer until what the start needed is given back.
const SETTLE: Duration = Duration::from_secs(2);

/// Measures and reports.
pub(crate) fn measure(options: &Options) -> Report {
    let rivals = [Rival::Node, Rival::Redis, Rival::Memcached];
    let present = rivals.iter().filter(|rival| rival.is_here());
    let contestants: Vec<_> = present
        .map(|rival| Contestant {
            name: rival.name().to_owned(),
            run: Box::new(|| run(*rival, options)),
        })
        .collect();
    let mut table = Table::new(&[
        "",
        "first answer, ms",
        "idle, MiB",
        "bytes over key and value",
    ]);
    table.standings(compete(&contestants, options.runs.into()));
    let Options { runs, keys, size } = options;
    Report {
        title: "Footprint of a store",
        how: format!(
            "From the start of the program to its first answer; memory of the program (resident \
             set) {} s later; and how much that grew by {keys} values of {size} bytes, per value \
             and without key and value themselves. Median (smallest - largest) of {runs} runs, \
             taken in turns.",
            SETTLE.as_secs()
        ),
        beside: Rival::versions(&rivals),
        table,
    }
}

fn run(rival: Rival, options: &Options) -> [f64; FIGURES] {
    let size = options.size as usize;
    let running = rival.start(size);
    thread::sleep(SETTLE);
    let idle = resident_kib(&running);
    let overhead = fill(&running, options.keys, size);
    [in_ms(running.first_answer), idle / 1024.0, overhead]
}
