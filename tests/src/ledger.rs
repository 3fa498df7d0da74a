//! The checker of logs: which of the lines that a [`Scribe`](crate::Scribe) wrote are there,
//! and whether a line says so where some are not.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

/// Digits of a line's number.
const DIGITS: usize = 12;

/// What a line of a file has in front of the node's bytes.
const STAMP: &str = "0000-00-00T00:00:00.000Z ";

/// The account of one node's numbered lines at one place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Whose lines, and where: the headline of what is printed.
    pub name: String,
    /// Lines that the node wrote.
    pub written: u64,
    /// Lines that are there, each whole, once, and in order.
    pub kept: u64,
    /// Lines of which a line says, where they would be, that they were dropped.
    pub dropped: u64,
    /// The number of the first line that is there, or is told to be missing: those before
    /// it went with files that were deleted.
    pub first: u64,
    /// Files that were read.
    pub files: usize,
    /// Lines that are there and have no number.
    pub others: Vec<String>,
    /// The number that comes next, when nothing is missing.
    next: u64,
    /// Lines that were told to be missing, since the last numbered one.
    gap: u64,
    /// What is wrong, as far as it was seen.
    wrong: Vec<String>,
}

/// A line of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry<'a> {
    /// One with a number.
    Numbered(u64),
    /// One that says how many are missing.
    Gap(u64),
    /// Another.
    Other(&'a str),
}

impl Ledger {
    /// Reads all files of a node in `dir`, the oldest first. They must be at rest.
    ///
    /// # Panics
    /// When they cannot be read.
    #[track_caller]
    pub fn of_files(dir: &Path, node: &str, written: u64) -> Self {
        let files = log_files(dir, node);
        let mut ledger = Self::new(&format!("{node} in its files"), written);
        ledger.files = files.len();
        for path in files {
            let read = ledger.read(open_log(&path).expect("it was listed"), |line| {
                line.split_at_checked(STAMP.len())
                    .filter(|(stamp, _)| is_stamp(stamp))
                    .map(|(_, text)| text)
            });
            read.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
        ledger.close()
    }

    /// Reads what the container's stdout showed, lines of one node and events about it.
    ///
    /// # Panics
    /// When it cannot be read.
    #[track_caller]
    pub fn of_stdout(stdout: impl Read, node: &str, written: u64) -> Self {
        let mut ledger = Self::new(&format!("{node} on stdout"), written);
        let head = format!("{node} ");
        let read = ledger.read(stdout, |line| {
            if let Some(line) = line.strip_prefix(&head) {
                return line.split_at_checked(STAMP.len()).map(|(_, text)| text);
            }
            // An event: time, name, two blanks, text.
            let (_, event) = line.split_once(' ')?;
            event.strip_prefix(&head)?.strip_prefix(' ')
        });
        read.expect("stdout can be read");
        ledger.close()
    }

    fn new(name: &str, written: u64) -> Self {
        Self {
            name: name.to_owned(),
            written,
            ..Self::default()
        }
    }

    /// Reads lines; `text` takes away what stands in front, or the whole line when it is
    /// another's.
    fn read(&mut self, from: impl Read, text: impl Fn(&str) -> Option<&str>) -> io::Result<()> {
        let mut from = BufReader::with_capacity(1 << 16, from);
        let mut line = Vec::new();
        loop {
            line.clear();
            if from.read_until(b'\n', &mut line)? == 0 {
                return Ok(());
            }
            let whole = String::from_utf8_lossy(&line);
            let Some(whole) = whole.strip_suffix('\n') else {
                self.wrong.push(format!("no end: {whole:?}"));
                continue;
            };
            match text(whole) {
                Some(text) => self.enter(text),
                None => self.others.push(whole.to_owned()),
            }
        }
    }

    fn enter(&mut self, text: &str) {
        match entry(text) {
            Entry::Numbered(number) => self.keep(number, text),
            Entry::Gap(lines) => {
                self.dropped += lines;
                self.gap += lines;
            }
            Entry::Other(text) => self.others.push(text.to_owned()),
        }
    }

    fn keep(&mut self, number: u64, text: &str) {
        if self.kept == 0 {
            self.first = number.saturating_sub(self.gap);
            self.next = self.first;
        }
        let expected = self.next + std::mem::take(&mut self.gap);
        if number != expected {
            self.wrong
                .push(format!("line {number} stands where {expected} should"));
        }
        if text[DIGITS + 1..].bytes().any(|byte| byte != b'x') {
            self.wrong.push(format!("not whole: {text:?}"));
        }
        self.kept += 1;
        self.next = number + 1;
    }

    /// Looks whether the end is there, and prints the account.
    fn close(mut self) -> Self {
        let end = self.next + self.gap;
        if end != self.written {
            self.wrong
                .push(format!("it ends with line {end} of {}", self.written));
        }
        // Not by `println!`, which only failed tests show.
        let _nobody_listens = io::stderr().write_all(format!("{self}\n").as_bytes());
        self
    }

    /// Lines of which there is neither the line nor another that says so.
    pub fn missing(&self) -> u64 {
        (self.written - self.first).saturating_sub(self.kept + self.dropped)
    }

    /// Fails unless every line since the first one is there whole, once and in order, or told
    /// to be missing exactly where it is.
    #[track_caller]
    pub fn assert_balanced(&self) {
        let wrong = &self.wrong[..self.wrong.len().min(10)];
        assert!(
            wrong.is_empty() && self.missing() == 0,
            "{self}\n{wrong:#?}"
        );
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} lines written, {} kept in {} files, {} counted as dropped, {} deleted, {} missing",
            self.name,
            self.written,
            self.kept,
            self.files,
            self.dropped,
            self.first,
            self.missing(),
        )
    }
}

/// The files of a node, the oldest first.
///
/// # Panics
/// When the directory cannot be read.
pub fn log_files(dir: &Path, node: &str) -> Vec<PathBuf> {
    let current = format!("{node}.log");
    let entries = fs::read_dir(dir).expect("the directory of the logs is there");
    let mut files: Vec<(u32, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let rest = name.strip_prefix(&current)?.trim_end_matches(".gz");
            let number = match rest.strip_prefix('.') {
                Some(number) => number.parse().ok()?,
                None if rest.is_empty() => 0,
                None => return None,
            };
            Some((number, entry.path()))
        })
        .collect();
    files.sort_by(|one, other| other.cmp(one));
    files.into_iter().map(|(_, path)| path).collect()
}

/// A log file as text, whether or not it is compressed.
///
/// # Errors
/// When it cannot be opened.
pub fn open_log(path: &Path) -> io::Result<Box<dyn Read>> {
    let file = File::open(path)?;
    Ok(match path.extension() {
        Some(end) if end == "gz" => Box::new(MultiGzDecoder::new(file)),
        _ => Box::new(file),
    })
}

fn is_stamp(text: &str) -> bool {
    text.bytes()
        .zip(STAMP.bytes())
        .all(|(byte, form)| match form {
            b'0' => byte.is_ascii_digit(),
            form => byte == form,
        })
}

fn entry(text: &str) -> Entry<'_> {
    let number = text
        .split_at_checked(DIGITS)
        .filter(|(_, rest)| rest.starts_with(' '))
        .and_then(|(number, _)| number.parse().ok());
    // `[supervisor] 7 lines (700 bytes) dropped: why` in a file, and on stdout the event
    // `7 log lines dropped on the way to the stdout: why`.
    let gap = || {
        let words = text.strip_prefix("[supervisor] ").unwrap_or(text);
        let (number, rest) = words.split_once(' ')?;
        let told = rest.starts_with("line") || rest.starts_with("log line");
        number
            .parse()
            .ok()
            .filter(|_| told && rest.contains("dropped"))
    };
    match (number, gap) {
        (Some(number), _) => Entry::Numbered(number),
        (None, gap) => gap().map_or(Entry::Other(text), Entry::Gap),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(lines: &[&str], written: u64) -> Ledger {
        let stamp = "2026-11-20T12:00:00.123Z";
        let text: String = lines
            .iter()
            .map(|line| format!("{stamp} {line}\n"))
            .collect();
        let dir = tempfile::tempdir().expect("a directory");
        let half = text.match_indices('\n').nth(lines.len() / 2);
        let (old, new) = text.split_at(half.map_or(0, |(at, _)| at + 1));
        fs::write(dir.path().join("flux-node-1.log.1"), old).expect("ours");
        fs::write(dir.path().join("flux-node-1.log"), new).expect("ours");
        Ledger::of_files(dir.path(), "flux-node-1", written)
    }

    const GAP: &str = "[supervisor] 2 lines (30 bytes) dropped: the disk was too slow";

    #[test]
    fn the_checker_sees_what_is_wrong() {
        let check = |lines: &[&str], written: u64, missing: u64, right: bool| {
            let ledger = account(lines, written);
            assert_eq!(ledger.missing(), missing, "{ledger}");
            assert_eq!(ledger.wrong.is_empty(), right, "{:?}", ledger.wrong);
        };
        let [a, b, c, d] = [
            "000000000000 xx",
            "000000000001 xx",
            "000000000002 xx",
            "000000000003 xx",
        ];
        check(&[], 0, 0, true);
        check(&[a, b, c], 3, 0, true);
        check(&["hello", a, b, "x"], 2, 0, true);
        check(&[a, GAP, d], 4, 0, true);
        check(&[GAP, c, d], 4, 0, true);
        check(&[c, d, GAP], 6, 0, true);
        check(&[a, c], 3, 1, false);
        check(&[a, b], 3, 1, false);
        check(&[a, GAP, GAP, d], 4, 0, false);
        check(&[a, d, GAP], 4, 0, false);
        check(&[a, c, b, d], 4, 0, false);
        check(&[a, a, b], 2, 0, false);
        check(&[a, "000000000001 x\u{fffd}"], 2, 0, false);
    }

    #[test]
    fn stdout_is_read_as_well() {
        let shown = "\
2026-11-20T12:00:00.123Z flux-node-1  ready after 12 ms
flux-node-1 2026-11-20T12:00:00.123Z 000000000000 xx
flux-node-10 2026-11-20T12:00:00.123Z 000000000000 xx
2026-11-20T12:00:00.123Z flux-node-1  3 log lines dropped on the way to the stdout: slow
flux-node-1 2026-11-20T12:00:00.123Z 000000000004 xx
";
        let ledger = Ledger::of_stdout(shown.as_bytes(), "flux-node-1", 5);
        ledger.assert_balanced();
        assert_eq!((ledger.kept, ledger.dropped), (2, 3));
    }
}
