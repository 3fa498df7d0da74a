//! `logs`: what becomes of the lines of a program that writes as fast as it can.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use clap::Args;
use repram_tests::{PATIENCE, poll_until, wait_until};

use crate::child::{Child, signal_to_begin};
use crate::contest::{Contestant, compete};
use crate::found::{Found, LogFiles};
use crate::keeper::{Keeper, Kept};
use crate::line;
use crate::moment::Moment;
use crate::report::Report;
use crate::table::Table;
use crate::usage::Usage;

/// What can be chosen.
#[derive(Args)]
pub(crate) struct Options {
    /// Measured runs of each contestant.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// MiB that are written in each run.
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u16).range(1..))]
    mib: u16,
}

/// Speed, processor time, and four ways to fail a line.
const FIGURES: usize = 6;

/// The pause between two looks: less than a hundredth of what is measured.
const PAUSE: Duration = Duration::from_millis(5);

/// The end of a file that is looked at: the last line with what its keeper put in front.
const TAIL: u64 = 512;

/// Measures all keepers and reports.
pub(crate) fn measure(options: &Options) -> Report {
    let mut contestants = Vec::new();
    let mut enter = |name: &str, keeper: Keeper, shown: &'static str| {
        contestants.push(Contestant {
            name: name.to_owned(),
            run: Box::new(move || flood(keeper, shown, options)),
        });
    };
    let keepers = Keeper::here();
    for keeper in keepers.iter().copied() {
        if keeper == Keeper::Ours {
            enter("supervisor, LOG_STDOUT=events", keeper, "events");
            enter("supervisor, LOG_STDOUT=all", keeper, "all");
        } else {
            enter(keeper.name(), keeper, "");
        }
    }
    let standings = compete(&contestants, options.runs.into());
    let columns = [
        "",
        "MB/s",
        "CPU, s per GiB",
        "lost in silence",
        "dropped and told",
        "torn or twice",
        "split by rotation",
    ];
    let mut table = Table::new(&columns);
    table.standings(standings);
    Report {
        title: "A program that floods its log",
        how: format!(
            "{} MiB in lines of {} bytes, written 64 KiB at once, wherever lines end, into files \
             that are rotated at 10 MiB (by the shell: never). From the first write to the last line in its file; \
             processor time of everything that is not the program, without the compression of \
             rotated files, which only ours does, later. Then every number is looked for in the \
             files. Median (smallest - largest) of {} runs, taken in turns.",
            options.mib,
            line::LENGTH,
            options.runs
        ),
        beside: Keeper::versions(&keepers),
        table,
    }
}

fn flood(keeper: Keeper, shown: &str, options: &Options) -> [f64; FIGURES] {
    let lines = (u64::from(options.mib) << 20) / line::LENGTH as u64;
    // Means something to ours only.
    let sandbox = keeper.sandbox(1).set("LOG_STDOUT", shown);
    let record = sandbox.path("begun");
    let child = Child::Flood {
        record: record.clone(),
        lines,
    };
    let files = LogFiles {
        folder: sandbox.path("logs"),
        numbering: keeper.numbering(),
    };
    let mut kept = keeper.keep(sandbox, child.command(), 1);
    let (took, cpu) = until_written(&kept, &record, &files, lines);
    // Files that are compressed meanwhile would be missed or found twice.
    kept.end();
    let found = Found::in_files(&files).expect("the logs are readable");
    let bytes = (lines * line::LENGTH as u64) as f64;
    let gib = bytes / (1u64 << 30) as f64;
    [
        bytes / 1e6 / took.as_secs_f64(),
        cpu.as_secs_f64() / gib,
        found.lost(lines) as f64,
        found.told as f64,
        (found.torn + found.misplaced) as f64,
        found.split as f64,
    ]
}

/// Lets the program begin and waits until its last line is in its file: how long it took,
/// and the processor time.
fn until_written(kept: &Kept, record: &Path, logs: &LogFiles, lines: u64) -> (Duration, Duration) {
    wait_until("the program", PATIENCE, || match kept.programs().len() {
        0 => Err("it does not run".to_owned()),
        _ => Ok(()),
    });
    let keepers = kept.keepers();
    let before = Usage::of(&keepers);
    fs::write(signal_to_begin(record), "").expect("the sandbox is ours");
    let patience = PATIENCE * 10;
    poll_until(
        "the last line in its file",
        PAUSE,
        patience,
        || match last_number(logs) {
            Ok(Some(number)) if number + 1 == lines => Ok(()),
            Ok(number) => Err(format!("line {number:?} of {lines}")),
            Err(error) => Err(error.to_string()),
        },
    );
    let written = Moment::now();
    let used = Usage::of(&keepers) - before;
    let begun = fs::read_to_string(record).expect("it was written");
    let begun = Moment::from_text(&begun).expect("it was written whole");
    (written.since(begun), used.cpu)
}

/// The number of the last line in the file that is written.
fn last_number(logs: &LogFiles) -> io::Result<Option<u64>> {
    let Some(current) = logs.in_order()?.pop() else {
        return Ok(None);
    };
    let file = File::open(current)?;
    let length = file.metadata()?.len();
    let mut tail = vec![0; usize::try_from(length.min(TAIL)).expect("it is small")];
    file.read_exact_at(&mut tail, length.saturating_sub(TAIL))?;
    let mut lines = tail.rsplit(|byte| *byte == b'\n');
    // Behind the last newline, where there is nothing but a line that is being written.
    lines.next();
    Ok(lines.next().and_then(line::number))
}
