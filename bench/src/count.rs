//! `count`: instructions of the hot paths, which are the same on a noisy machine.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::child::Child;
use crate::cores::CORES;
use crate::machine::compiler;
use crate::progress::Progress;
use crate::report::Report;
use crate::served::{SERVED, Served, in_valgrind};
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

/// What was counted once.
#[derive(Default, Deserialize, Serialize)]
struct Counted {
    /// The compiler whose code was counted.
    compiler: String,
    /// Instructions per round, by the name of the path.
    instructions: BTreeMap<String, u64>,
}

/// Counts and reports.
///
/// # Errors
/// Without valgrind, or when one of the files is none of ours.
pub(crate) fn measure(options: &Options) -> Result<Report, String> {
    let before = match &options.against {
        Some(path) => read(path)?,
        None => Counted::default(),
    };
    let mut now = Counted {
        compiler: compiler(),
        ..Counted::default()
    };
    let columns = ["", "instructions", "before", "times", ""];
    let mut table = Table::new(&columns);
    let progress = Progress::of(paths().count());
    for path in paths() {
        let count = progress.step(path.name(), || path.instructions_of_one())?;
        let before = before.instructions.get(path.name()).copied();
        table.row(row(path.name(), count, before));
        now.instructions.insert(path.name().to_owned(), count);
    }
    if let Some(path) = &options.write {
        let text = serde_json::to_string_pretty(&now).expect("names and numbers");
        let written = std::fs::write(path, text + "\n");
        written.map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(Report {
        title: "Instructions of the hot paths",
        how: format!(
            "Counted by valgrind's callgrind, for each time that a path is gone down; mean of {}. \
             What the kernel does is not in it. Another compiler or processor counts differently; \
             before it was {}. `GREW` stands where it is more than {GROWTH} times what it was.",
            ROUNDS / 2,
            match before.compiler.as_str() {
                "" => "not counted",
                compiler => compiler,
            },
        ),
        beside: Vec::new(),
        table,
    })
}

/// Something that is done again and again in a process of its own.
enum Hot {
    /// The core of this number.
    Core(usize),
    /// A request to a whole node.
    Served(&'static Served),
}

fn paths() -> impl Iterator<Item = Hot> {
    let cores = (0..CORES.len()).map(Hot::Core);
    cores.chain(SERVED.iter().map(Hot::Served))
}

impl Hot {
    fn name(&self) -> &'static str {
        match self {
            Self::Core(number) => CORES[*number].name,
            Self::Served(served) => served.name,
        }
    }

    /// Instructions for each time.
    fn instructions_of_one(&self) -> Result<u64, String> {
        let (many, few) = (self.instructions(ROUNDS)?, self.instructions(ROUNDS / 2)?);
        Ok(many.saturating_sub(few) / (ROUNDS - ROUNDS / 2))
    }

    /// Instructions of the whole process that does it so many times.
    fn instructions(&self, rounds: u64) -> Result<u64, String> {
        match self {
            Self::Core(number) => {
                let number = *number;
                let words = Child::Core { number, rounds }.command();
                let mut command = in_valgrind(Command::new("valgrind"), words[0].as_ref());
                let done = command.args(&words[1..]).output();
                let done = done.map_err(|error| format!("valgrind cannot be started: {error}"))?;
                collected(&String::from_utf8_lossy(&done.stderr))
            }
            Self::Served(served) => served.instructions(rounds),
        }
    }
}

fn row(name: &str, count: u64, before: Option<u64>) -> Vec<Cell> {
    let times = before.map(|before| count as f64 / before as f64);
    let word = match times {
        Some(times) if times > GROWTH => "**GREW**",
        Some(_) | None => "",
    };
    vec![
        Cell::Text(name.to_owned()),
        Cell::Text(count.to_string()),
        Cell::Text(before.map_or("-".to_owned(), |count| count.to_string())),
        Cell::Times(times),
        Cell::Text(word.to_owned()),
    ]
}

/// The number in `==123== Collected : 4567`.
///
/// # Errors
/// When there is none, with what there is.
pub(crate) fn collected(said: &str) -> Result<u64, String> {
    let mut lines = said.lines();
    let number = lines.find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
    number.ok_or_else(|| format!("valgrind counted nothing: {said}"))
}

fn read(path: &Path) -> Result<Counted, String> {
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
        assert_eq!(collected(said), Ok(123_456));
        let nothing = collected("Illegal instruction").expect_err("there is no number");
        assert!(nothing.ends_with(": Illegal instruction"), "{nothing}");
    }

    #[test]
    fn every_path_can_be_gone_down() {
        (0..CORES.len()).for_each(|number| go(number, 10));
    }
}
