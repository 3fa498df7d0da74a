//! `rest`: what it costs to keep programs running that need nothing.

use std::thread;
use std::time::Duration;

use clap::Args;
use repram_tests::{PATIENCE, wait_until};

use crate::child::Child;
use crate::contest::{Contestant, compete};
use crate::keeper::{Keeper, Kept};
use crate::mapped;
use crate::report::Report;
use crate::sample::in_ms;
use crate::table::Table;
use crate::usage::{Usage, pss_kib};

/// What can be chosen.
#[derive(Args)]
pub(crate) struct Options {
    /// Measured runs of each contestant.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// Number of programs that are kept.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=64))]
    children: u16,
    /// Seconds that are measured. Nodes say that they live every ten.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
    seconds: u16,
    /// Seconds from the start of the last child until it counts as rest.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(0..))]
    settle: u16,
}

/// Memory, threads, processor time and wake-ups.
const FIGURES: usize = 4;

/// Measures all keepers and reports.
pub(crate) fn measure(options: &Options) -> Report {
    let count = options.children;
    let mut contestants = Vec::new();
    let mut enter = |name: &str, keep: Box<dyn Fn() -> Kept>| {
        contestants.push(Contestant {
            name: name.to_owned(),
            run: Box::new(move || at_rest(keep(), options)),
        });
    };
    let keepers = Keeper::here();
    for keeper in keepers.iter().copied() {
        let command = Child::Rest.command();
        if keeper != Keeper::Ours {
            let keep = move || keeper.keep(keeper.sandbox(count), command.clone(), count);
            enter(keeper.name(), Box::new(keep));
            continue;
        }
        for liveness in ["off", "on"] {
            let command = command.clone();
            let keep = move || {
                let sandbox = keeper.sandbox(count).set("LIVENESS", liveness);
                keeper.keep(sandbox, command.clone(), count)
            };
            enter(&format!("supervisor, LIVENESS={liveness}"), Box::new(keep));
        }
        let nodes = move || Keeper::keep_nodes(keeper.sandbox(count));
        enter("supervisor of repram-node", Box::new(nodes));
    }
    let standings = compete(&contestants, options.runs.into());
    let mut table = Table::new(&["", "PSS, KiB", "threads", "CPU, ms", "wake-ups"]);
    table.standings(standings);
    Report {
        title: "At rest",
        how: format!(
            "{count} children that do nothing, {} s after the last was started. Memory, threads, \
             processor time and wake-ups of everything that is not a child, the last two in {} s; \
             logs are captured. Programs that nobody else runs are read from the disk in each run. \
             Ours notifies as often as WATCHDOG_USEC asks for, where it is asked. Median (smallest - largest) of {} runs, taken in turns.",
            options.settle, options.seconds, options.runs
        ),
        beside: Keeper::versions(&keepers),
        table,
    }
}

fn at_rest(kept: Kept, options: &Options) -> [f64; FIGURES] {
    wait_until("all children", PATIENCE, || {
        let found = kept.programs().len();
        if found == usize::from(options.children) {
            Ok(())
        } else {
            Err(format!("{found} of {}", options.children))
        }
    });
    thread::sleep(Duration::from_secs(options.settle.into()));
    let keepers = kept.keepers();
    let before = Usage::of(&keepers);
    thread::sleep(Duration::from_secs(options.seconds.into()));
    let used = Usage::of(&keepers) - before;
    // Last, because it is looked at closely: what had to be touched in between counts.
    let memory = pss_kib(&keepers);
    let files = mapped::files_of(&keepers);
    drop(kept);
    for file in files {
        // What is no file, such as shared memory, stays as it is.
        let _not_there = mapped::forget(&file);
    }
    [
        memory as f64,
        used.threads as f64,
        in_ms(used.cpu),
        used.wakes as f64,
    ]
}
