//! What is in the log files of one program.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;

use crate::line;

/// What became of numbered lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Lines that are there, each once and whole.
    pub(crate) whole: u64,
    /// Lines that are there again, or behind one with a higher number.
    pub(crate) misplaced: u64,
    /// Pieces of lines, and what is none of the lines.
    pub(crate) torn: u64,
    /// Lines of which a part is in one file and the rest in the next.
    pub(crate) split: u64,
    /// Lines that the keeper says to have dropped.
    pub(crate) told: u64,
    next: u64,
}

/// How the files are numbered in which a rotation leaves a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Numbering {
    /// The one that is written has no number, and the oldest the highest.
    ByAge,
    /// The oldest has no number, and the one that is written the highest.
    InTurn,
}

impl Found {
    /// Reads all of them, the oldest first.
    pub(crate) fn in_files(files: &LogFiles) -> io::Result<Self> {
        let mut found = Self::default();
        // What the file before had begun.
        let mut rest = Vec::new();
        for path in files.in_order()? {
            let mut reader = open(&path)?;
            found.split += u64::from(!rest.is_empty());
            loop {
                reader.read_until(b'\n', &mut rest)?;
                if rest.pop_if(|byte| *byte == b'\n').is_none() {
                    break;
                }
                found.take(&rest);
                rest.clear();
            }
        }
        found.torn += u64::from(!rest.is_empty());
        Ok(found)
    }

    /// Lines that are neither there nor said to have been dropped, of so many.
    pub(crate) fn lost(&self, of: u64) -> u64 {
        of.saturating_sub(self.whole + self.told)
    }

    fn take(&mut self, line: &[u8]) {
        match line::number(line) {
            Some(number) if number >= self.next => {
                self.whole += 1;
                self.next = number + 1;
            }
            Some(_) => self.misplaced += 1,
            None => match dropped(line) {
                Some(lines) => self.told += lines,
                None => self.torn += 1,
            },
        }
    }
}

/// The number in `TIME [supervisor] N lines (M bytes) dropped: ...`.
fn dropped(line: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(line).ok()?;
    let (_, told) = text.split_once("[supervisor] ")?;
    let (lines, rest) = told.split_once(" lines (")?;
    rest.contains(" bytes) dropped").then_some(())?;
    lines.parse().ok()
}

/// The log files of one program.
#[derive(Clone, Debug)]
pub(crate) struct LogFiles {
    /// The folder below which they are.
    pub(crate) folder: PathBuf,
    /// How they are numbered.
    pub(crate) numbering: Numbering,
}

impl LogFiles {
    /// All of them, the oldest first and the one that is written last. Those of s6 and runit,
    /// `@TIME.s`, have their order in their names, and come before `current`.
    pub(crate) fn in_order(&self) -> io::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        collect(&self.folder, &mut files)?;
        files.sort_by_key(|path| {
            let name = name_of(path);
            let number = rotation(&name).map(i64::from);
            let place = match self.numbering {
                Numbering::ByAge => number.map_or(1, |number| -number),
                Numbering::InTurn => number.unwrap_or(-1),
            };
            (!name.starts_with('@'), place, name)
        });
        Ok(files)
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if is_log(&path) {
            files.push(path);
        }
    }
    Ok(())
}

fn name_of(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// Keepers have files of their own beside the logs, and compressions that did not get to
/// their end leave some.
fn is_log(path: &Path) -> bool {
    let name = name_of(path);
    let written = name.starts_with('@') || name == "current" || name.contains(".log");
    written && !name.ends_with(".tmp")
}

/// The N of `LOG.N` and `LOG.N.gz`; none of the current file.
fn rotation(name: &str) -> Option<u32> {
    let name = name.strip_suffix(".gz").unwrap_or(name);
    name.rsplit_once('.')?.1.parse().ok()
}

fn open(path: &Path) -> io::Result<Box<dyn BufRead>> {
    let file = File::open(path)?;
    let reader: Box<dyn Read> = if path.extension().is_some_and(|end| end == "gz") {
        Box::new(GzDecoder::new(file))
    } else {
        Box::new(file)
    };
    Ok(Box::new(BufReader::with_capacity(1 << 20, reader)))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn lines(numbers: std::ops::Range<u64>) -> Vec<u8> {
        line::Block::new().fill(numbers).to_owned()
    }

    fn of(folder: &tempfile::TempDir, numbering: Numbering) -> LogFiles {
        LogFiles {
            folder: folder.path().to_owned(),
            numbering,
        }
    }

    fn found(files: &[(&str, &[u8])]) -> Found {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, content) in files {
            fs::write(folder.path().join(name), content).expect("it is ours");
        }
        let mut found = Found::in_files(&of(&folder, Numbering::ByAge)).expect("it is readable");
        found.next = 0;
        found
    }

    #[test]
    fn rotated_files_come_in_order_and_compressed() {
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(&lines(0..3)).expect("memory takes it");
        let packed = packed.finish().expect("memory takes it");
        let expect = Found {
            whole: 12,
            ..Found::default()
        };
        let files = [
            ("a.log", &lines(9..12)[..]),
            ("a.log.1", &lines(6..9)),
            ("a.log.2", &lines(3..6)),
            ("a.log.10.gz", &packed),
            ("a.log.gz.tmp", b"half of it"),
        ];
        assert_eq!(found(&files), expect);
        let files = [
            ("current", &lines(9..12)[..]),
            ("@400000006.s", &lines(6..9)),
            ("@400000005.s", &lines(0..6)),
            ("lock", b"not a log"),
        ];
        assert_eq!(found(&files), expect);
    }

    #[test]
    fn files_may_be_numbered_in_turn() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["a.log.10", "a.log", "a.log.0", "a.log.2"] {
            fs::write(folder.path().join(name), "").expect("it is ours");
        }
        let order = |numbering| {
            let files = of(&folder, numbering).in_order().expect("it is readable");
            files.iter().map(|path| name_of(path)).collect::<Vec<_>>()
        };
        assert_eq!(
            order(Numbering::InTurn),
            ["a.log", "a.log.0", "a.log.2", "a.log.10"]
        );
        assert_eq!(
            order(Numbering::ByAge),
            ["a.log.10", "a.log.2", "a.log.0", "a.log"]
        );
    }

    #[test]
    fn what_went_wrong_is_counted() {
        let all = lines(0..6);
        let cut = 2 * line::LENGTH + 30;
        let split = found(&[("a.log.1", &all[..cut]), ("a.log", &all[cut..])]);
        assert_eq!((split.whole, split.split, split.torn), (6, 1, 0));
        assert_eq!(split.lost(6), 0);

        let torn = found(&[("a.log", &[&all[..cut], b"\n", &lines(4..6)].concat())]);
        assert_eq!((torn.whole, torn.torn, torn.lost(6)), (4, 1, 2));

        let again = found(&[("a.log", &[lines(0..2), lines(1..2)].concat())]);
        assert_eq!((again.whole, again.misplaced), (2, 1));

        let mark = b"2026-11-21T06:00:00.000Z [supervisor] 4 lines (400 bytes) dropped: slow\n";
        let told = found(&[("a.log", &[&lines(0..2)[..], mark].concat())]);
        assert_eq!((told.whole, told.told, told.torn), (2, 4, 0));
        assert_eq!((told.lost(6), told.lost(7)), (0, 1));
    }
}
