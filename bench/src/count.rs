//! `count`: instructions of the hot paths, which are the same on a noisy machine.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;

use crate::child::Child;
use crate::cores::CORES;
use crate::report::Report;
use crate::table::{Cell, Table};

/// What can be chosen.
#[derive(Args)]
pub(crate) struct Options {
    /// Compare with the counts in this file, which `--write` made.
    #[arg(long)]
    against: Option<PathBuf>,
    /// Write the counts into this file.
    #[arg(long)]
    write: Option<PathBuf>,
}

/// Times that a path is gone down; the half is taken off, so that neither the start of the
/// program nor the preparations count.
const ROUNDS: u64 = 8192;

/// Growth that is worth a word.
const GROWTH: f64 = 1.05;

/// Instructions per round, by the name of the path.
type Counts = BTreeMap<String, u64>;

/// Counts and reports.
///
/// # Errors
/// Without valgrind, or when one of the files is none of ours.
pub(crate) fn measure(options: &Options) -> Result<Report, String> {
    let before = match &options.against {
        Some(path) => read(path)?,
        None => Counts::new(),
    };
    let mut counts = Counts::new();
    let columns = ["", "instructions", "before", "times", ""];
    let mut table = Table::new(&columns);
    for (number, core) in CORES.iter().enumerate() {
        eprintln!("{} ...", core.name);
        let count = (run(number, ROUNDS)? - run(number, ROUNDS / 2)?) / (ROUNDS / 2);
        counts.insert(core.name.to_owned(), count);
        let before = before.get(core.name).copied();
        let times = before.map(|before| count as f64 / before as f64);
        let word = match times {
            Some(times) if times > GROWTH => "**GREW**",
            Some(_) | None => "",
        };
        table.row(vec![
            Cell::Text(core.name.to_owned()),
            Cell::Text(count.to_string()),
            Cell::Text(before.map_or("-".to_owned(), |count| count.to_string())),
            Cell::Times(times),
            Cell::Text(word.to_owned()),
        ]);
    }
    if let Some(path) = &options.write {
        let text = serde_json::to_string_pretty(&counts).expect("names and numbers");
        let written = std::fs::write(path, text + "\n");
        written.map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(Report {
        title: "Instructions of the hot paths",
        how: format!(
            "Counted by valgrind's callgrind, for each time that a path is gone down; mean of {}. \
             Another compiler or processor counts differently. `GREW` stands where it is more \
             than {GROWTH} times what it was.",
            ROUNDS / 2
        ),
        table,
    })
}

/// Instructions of a process that goes down a path so many times.
fn run(number: usize, rounds: u64) -> Result<u64, String> {
    let child = Child::Core { number, rounds };
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    command.args(child.command());
    let done = command.output();
    let done = done.map_err(|error| format!("valgrind cannot be started: {error}"))?;
    let said = String::from_utf8_lossy(&done.stderr);
    collected(&said).ok_or_else(|| format!("valgrind counted nothing: {said}"))
}

/// The number in `==123== Collected : 4567`.
fn collected(said: &str) -> Option<u64> {
    let line = said
        .lines()
        .find_map(|line| line.split_once("Collected : "))?;
    line.1.trim().parse().ok()
}

fn read(path: &Path) -> Result<Counts, String> {
    let text = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", path.display()))
}

/// Goes down a path so many times.
pub(crate) fn go(number: usize, rounds: u64) {
    if let Some(core) = CORES.get(number) {
        let mut path = (core.prepare)();
        (0..rounds).for_each(|_| path());
    }
}

/// The arguments of a child that does.
pub(crate) fn words(number: usize, rounds: u64) -> [OsString; 2] {
    [number.to_string().into(), rounds.to_string().into()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_valgrind_says_is_understood() {
        let said = "==7== Callgrind\n==7== \n==7== Collected : 123456\n==7== \n";
        assert_eq!(collected(said), Some(123_456));
        assert_eq!(collected("Illegal instruction"), None);
    }

    #[test]
    fn every_path_can_be_gone_down() {
        (0..CORES.len()).for_each(|number| go(number, 10));
    }
}
