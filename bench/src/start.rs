//! `start`: from the command of a keeper to the last of the programs that it starts.

use std::fs;
use std::path::Path;
use std::time::Duration;

use clap::Args;
use repram_tests::{PATIENCE, poll_until};

use crate::child::{self, Child};
use crate::contest::{Contestant, compete};
use crate::keeper::Keeper;
use crate::report::Report;
use crate::sample::in_ms;
use crate::table::{Cell, Table};

/// What can be chosen.
#[derive(Args)]
pub(crate) struct Options {
    /// Measured runs of each contestant.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// Numbers of programs.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 3, 10, 50],
          value_parser = clap::value_parser!(u16).range(1..=64))]
    children: Vec<u16>,
}

/// The pause between two looks: nothing that is measured depends on it, so that it leaves the
/// processor to those who start.
const PAUSE: Duration = Duration::from_millis(5);

/// Measures all keepers and reports.
pub(crate) fn measure(options: &Options) -> Report {
    // A file system may take longer for a new file when others were deleted lately: ext4 without
    // a journal looks at the inodes of those. So nothing is deleted before the end.
    let aside = tempfile::tempdir().expect("the temporary directory can be written");
    let aside = aside.path();
    let mut table = Table::new(&[
        "programs",
        "started by",
        "the last has begun after, ms",
        "times the shell loop",
    ]);
    for &count in &options.children {
        eprintln!("{count} programs ...");
        let keepers = keepers_of(count == 1);
        let contestants: Vec<_> = keepers
            .iter()
            .map(|keeper| Contestant {
                name: keeper.name().to_owned(),
                run: Box::new(move || [start(*keeper, count, aside)]),
            })
            .collect();
        let standings = compete(&contestants, options.runs.into());
        let of_shell = keepers.iter().position(|it| *it == Keeper::Shell);
        let [reference] = standings[of_shell.expect("every machine has a shell")]
            .figures
            .clone();
        for standing in standings {
            let [after] = standing.figures;
            let times = after.ratio_to(&reference);
            table.row(vec![
                Cell::Text(count.to_string()),
                Cell::Text(standing.name),
                Cell::Measured(after),
                Cell::Times(times),
            ]);
        }
    }
    Report {
        title: "Start of programs that do nothing",
        how: format!(
            "From the command to the first instruction of the last program's `main`. \
             START_STAGGER=0; runsvdir is spared the second that it waits after a change of its folder. \
             No file is deleted before all runs are over. Median (smallest - largest) of {} runs, taken in turns.",
            options.runs
        ),
        beside: Keeper::versions(&keepers_of(options.children.contains(&1))),
        table,
    }
}

/// Those that keep many programs, and those that keep one.
fn keepers_of(single: bool) -> Vec<Keeper> {
    if single {
        Keeper::all()
    } else {
        Keeper::here()
    }
}

/// One start; milliseconds.
fn start(keeper: Keeper, count: u16, aside: &Path) -> f64 {
    let sandbox = keeper.sandbox(count);
    let record = sandbox.path("starts");
    let child = Child::Begin {
        record: record.clone(),
    };
    let kept = keeper.keep(sandbox, child.command(), count);
    let last = poll_until("all programs", PAUSE, PATIENCE, || {
        let text = fs::read_to_string(&record).unwrap_or_default();
        let begun: Vec<_> = child::starts(&text).map(|(moment, _)| moment).collect();
        match begun.iter().max() {
            Some(last) if begun.len() >= count.into() => Ok(*last),
            _ => Err(format!("{} of {count}", begun.len())),
        }
    });
    let took = in_ms(last.since(kept.started()));
    kept.set_aside(aside);
    took
}
