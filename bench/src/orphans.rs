//! `orphans`: processes whose parent has ended, reaped by process 1.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use repram_tests::{Container, PATIENCE, wait_until};

use crate::child::Child;
use crate::contest::{Contestant, compete};
use crate::keeper::Keeper;
use crate::report::Report;
use crate::sample::in_ms;
use crate::table::{Cell, Table};

/// What can be chosen.
#[derive(Args)]
pub(crate) struct Options {
    /// Measured runs of each contestant.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// Number of orphans.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    orphans: u16,
}

/// Milliseconds until all are reaped, and how many are not.
const FIGURES: usize = 2;

/// The pause between two looks: short beside what is measured, and the processor is left
/// to those who work.
const PAUSE: Duration = Duration::from_micros(200);

/// How long is waited for the last of them.
const LONGEST: Duration = Duration::from_secs(15);

/// Starts processes that end when standard input does, prints their ids, and ends before them.
const PARENT: &str = r#"
exec 3<&0
number=0
while [ "$number" -lt "$1" ]; do
    (read -r line <&3) >&- &
    echo "$!"
    number=$((number + 1))
done
"#;

/// Measures all keepers and reports; nothing where no process can be the first one.
pub(crate) fn measure(options: &Options) -> Option<Report> {
    let container = Container::with_process_1("the benchmark")?;
    let keepers = Keeper::all();
    let contestants: Vec<_> = keepers
        .iter()
        .map(|keeper| Contestant {
            name: keeper.name().to_owned(),
            run: Box::new(|| reaped(*keeper, &container, options)),
        })
        .collect();
    let mut table = Table::new(&["process 1", "all reaped after, ms", "never reaped"]);
    for standing in compete(&contestants, options.runs.into()) {
        let [after, left] = standing.figures;
        let after = match left.median() {
            0.0 => Cell::Measured(after),
            _ => Cell::Text("never".to_owned()),
        };
        table.row(vec![Cell::Text(standing.name), after, Cell::Measured(left)]);
    }
    Some(Report {
        title: "Orphans",
        how: format!(
            "{} processes whose parent has ended, in a container whose process 1 is the keeper. \
             From the moment at which all are let go until none is left, ended or not; after {} s \
             those that are left are counted. Median (smallest - largest) of {} runs, taken in \
             turns.",
            options.orphans,
            LONGEST.as_secs(),
            options.runs
        ),
        beside: Keeper::versions(&keepers),
        table,
    })
}

fn reaped(keeper: Keeper, container: &Container, options: &Options) -> [f64; FIGURES] {
    let sandbox = keeper.sandbox(1);
    let record = sandbox.path("orphans");
    let child = Child::Orphans {
        record: record.clone(),
        count: options.orphans.into(),
    };
    let _kept = keeper.keep_as_process_1(container, sandbox, child.command());
    wait_until("the end of all orphans", PATIENCE, || {
        let text = fs::read_to_string(&record).map_err(|error| error.to_string())?;
        figures(&text).ok_or_else(|| format!("{text:?} in {}", record.display()))
    })
}

/// What [`make`] wrote.
fn figures(text: &str) -> Option<[f64; FIGURES]> {
    let (after, left) = text.strip_suffix('\n')?.split_once(' ')?;
    Some([after.parse().ok()?, left.parse().ok()?])
}

/// Makes so many orphans, lets all of them end at once, and writes down how many milliseconds
/// it took until all were reaped, and how many were not.
pub(crate) fn make(record: &Path, count: u64) -> io::Result<()> {
    let mut parent = Command::new("sh");
    parent.args(["-c", PARENT, "sh", &count.to_string()]);
    let mut parent = parent
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let (input, output) = (parent.stdin.take(), parent.stdout.take());
    let printed = BufReader::new(output.expect("it is piped")).lines();
    let mut orphans = printed
        .map(|line| line?.parse().map(Pid::from_raw).map_err(io::Error::other))
        .collect::<io::Result<Vec<Pid>>>()?;
    // `wait` would close its input, which has to stay open until they are orphans.
    while parent.try_wait()?.is_none() {
        thread::sleep(PAUSE);
    }
    let start = Instant::now();
    drop(input);
    loop {
        // A process that has ended can be sent nothing to, but only once it is reaped.
        orphans.retain(|orphan| kill(*orphan, None).is_ok());
        if orphans.is_empty() || start.elapsed() > LONGEST {
            break;
        }
        thread::sleep(PAUSE);
    }
    let after = in_ms(start.elapsed());
    fs::write(record, format!("{after} {}\n", orphans.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(figures("12.5 3\n"), Some([12.5, 3.0]));
        assert_eq!(figures("12.5 3"), None);
        assert_eq!(figures(""), None);
    }
}
