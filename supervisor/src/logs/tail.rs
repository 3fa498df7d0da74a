//! The last lines of every process, for whoever asks why it ended, also when nothing is
//! written to files.

use std::collections::{BTreeMap, VecDeque};

/// Bytes of the output of one process that are kept: some twenty lines.
pub(crate) const TAIL_BYTES: usize = 2 << 10;

/// Lines of it that are shown: what fits on a screen beside the rest.
pub(crate) const TAIL_LINES: usize = 10;

/// Processes of one node of which output is kept: those whose ends are remembered, and the one
/// that runs.
const LIVES_KEPT: usize = crate::fleet::EXITS_KEPT + 1;

/// The last lines of the processes of one node, each by its generation.
pub type LastLines = BTreeMap<u64, Vec<String>>;

/// The end of what one process wrote.
#[derive(Debug, Default)]
struct Tail {
    /// Whole lines, or the end of them; at most twice [`TAIL_BYTES`].
    bytes: Vec<u8>,
}

impl Tail {
    /// Takes lines, each with its newline.
    fn push(&mut self, lines: &[u8]) {
        let from = lines.len().saturating_sub(TAIL_BYTES);
        self.bytes.extend_from_slice(&lines[from..]);
        if self.bytes.len() > 2 * TAIL_BYTES {
            self.bytes.drain(..self.bytes.len() - TAIL_BYTES);
        }
    }

    /// The last lines, the latest last. The first may have lost its beginning.
    fn lines(&self) -> Vec<String> {
        let from = self.bytes.len().saturating_sub(TAIL_BYTES);
        let text = self.bytes[from..]
            .strip_suffix(b"\n")
            .unwrap_or(&self.bytes[from..]);
        if text.is_empty() && self.bytes.is_empty() {
            return Vec::new();
        }
        let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
        let first = lines.len().saturating_sub(TAIL_LINES);
        let shown = lines[first..].iter();
        shown
            .map(|line| String::from_utf8_lossy(line).into_owned())
            .collect()
    }
}

/// The tails of one node's processes.
#[derive(Debug, Default)]
pub(crate) struct Tails {
    /// The latest last; at most [`LIVES_KEPT`].
    lives: VecDeque<(u64, Tail)>,
}

impl Tails {
    /// Takes lines of the process of this generation.
    pub(crate) fn push(&mut self, generation: u64, lines: &[u8]) {
        // Nearly always the last one: an earlier one may leave helpers that write.
        let known = self.lives.iter().rposition(|(life, _)| *life == generation);
        if known.is_none() {
            if self.lives.len() == LIVES_KEPT {
                self.lives.pop_front();
            }
            self.lives.push_back((generation, Tail::default()));
        }
        let at = known.unwrap_or(self.lives.len() - 1);
        self.lives[at].1.push(lines);
    }

    /// The last lines of each.
    pub(crate) fn lines(&self) -> LastLines {
        let lives = self.lives.iter();
        lives
            .map(|(generation, tail)| (*generation, tail.lines()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_of_each_life() {
        let check = |pieces: &[(u64, String)], expect: &[(u64, &[&str])]| {
            let mut tails = Tails::default();
            for (generation, lines) in pieces {
                tails.push(*generation, lines.as_bytes());
            }
            let expect: LastLines = expect
                .iter()
                .map(|(generation, lines)| {
                    let lines = lines.iter().map(|line| (*line).to_owned());
                    (*generation, lines.collect())
                })
                .collect();
            assert_eq!(tails.lines(), expect);
        };
        let text = |text: &str| text.to_owned();
        check(&[], &[]);
        check(&[(1, text("a\n\nb\n"))], &[(1, &["a", "", "b"])]);
        check(
            &[(1, text("a\n")), (2, text("b\n")), (1, text("c\n"))],
            &[(1, &["a", "c"]), (2, &["b"])],
        );
        check(&[(1, text("\n"))], &[(1, &[""])]);
        let numbers: String = (0..100).map(|number| format!("{number}\n")).collect();
        let last = ["90", "91", "92", "93", "94", "95", "96", "97", "98", "99"];
        check(&[(1, numbers)], &[(1, &last)]);
        let long = "x".repeat(3 * TAIL_BYTES) + "\n";
        let rest = "x".repeat(TAIL_BYTES - 1);
        check(&[(1, long)], &[(1, &[rest.as_str()])]);
    }

    #[test]
    fn memory_is_bounded() {
        let mut tails = Tails::default();
        for number in 0..10_000 {
            tails.push(number / 100, format!("{number}\n").repeat(100).as_bytes());
        }
        assert_eq!(tails.lives.len(), LIVES_KEPT);
        let longest = tails.lives.iter().map(|(_, tail)| tail.bytes.capacity());
        assert!(longest.max() <= Some(8 * TAIL_BYTES));
        assert_eq!(tails.lines()[&99].len(), TAIL_LINES);
    }
}
