//! From the bytes of a pipe to whole lines.

use bytes::Bytes;

use super::lane::Loss;

/// Cuts the bytes of one pipe into whole lines. What it hands out is the same however the
/// bytes are split over reads. No more than `max_line` bytes wait for the end of their line.
#[derive(Debug)]
pub(crate) struct Framer {
    max_line: usize,
    /// The beginning of a line that has not ended, at most `max_line` bytes.
    partial: Vec<u8>,
    /// Bytes of that line beyond `max_line`, which are not kept.
    cut: u64,
    /// Lines that were cut and have ended, and how many bytes of them.
    cuts: Loss,
}

impl Framer {
    /// A framer of which lines come out with at most `max_line` bytes, the mark of a cut and
    /// the newline not counted.
    pub(crate) fn new(max_line: usize) -> Self {
        Self {
            max_line: max_line.max(1),
            partial: Vec::new(),
            cut: 0,
            cuts: Loss::default(),
        }
    }

    /// Keeps lines up to another length from here on. A longer one that waits for its end
    /// gets no longer.
    pub(crate) fn set_max_line(&mut self, max_line: usize) {
        self.max_line = max_line.max(1);
    }

    /// Takes bytes; hands out all lines that end in them, each with its newline. Empty when
    /// none does.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Bytes {
        let Some(last) = memchr::memrchr(b'\n', bytes) else {
            self.keep(bytes);
            return Bytes::new();
        };
        let (lines, rest) = bytes.split_at(last + 1);
        let whole = self.complete(lines);
        self.keep(rest);
        Bytes::from(whole)
    }

    /// Ends a line that the writer left open.
    pub(crate) fn finish(&mut self) -> Bytes {
        if self.partial.is_empty() {
            return Bytes::new();
        }
        let mut line = Vec::with_capacity(self.partial.len() + 1);
        self.end_partial(b"\n", &mut line);
        Bytes::from(line)
    }

    /// Lines that were cut since the last time somebody asked, and the bytes they lost.
    pub(crate) fn take_cuts(&mut self) -> Loss {
        std::mem::take(&mut self.cuts)
    }

    /// Keeps the beginning of a line.
    fn keep(&mut self, bytes: &[u8]) {
        let room = self.max_line.saturating_sub(self.partial.len());
        let kept = bytes.len().min(room);
        if kept > 0 {
            self.partial.extend_from_slice(&bytes[..kept]);
        }
        self.cut += (bytes.len() - kept) as u64;
    }

    /// Joins `lines`, which end with a newline, to what waited.
    fn complete(&mut self, lines: &[u8]) -> Vec<u8> {
        let mut whole = Vec::with_capacity(self.partial.len() + lines.len());
        let first = memchr::memchr(b'\n', lines).map_or(lines.len(), |at| at + 1);
        self.end_partial(&lines[..first], &mut whole);
        let lines = &lines[first..];
        // Usually reads are no longer than a line may be, and nothing has to be looked at.
        if lines.len() <= self.max_line {
            whole.extend_from_slice(lines);
            return whole;
        }
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            self.end_partial(line, &mut whole);
        }
        whole
    }

    /// Appends what waited and `end`, the rest of its line with the newline, to `out`.
    fn end_partial(&mut self, end: &[u8], out: &mut Vec<u8>) {
        let text = &end[..end.len() - 1];
        if self.partial.is_empty() && text.len() <= self.max_line {
            out.extend_from_slice(end);
            return;
        }
        self.keep(text);
        out.extend_from_slice(&self.partial);
        if self.cut > 0 {
            self.cuts.add(Loss {
                lines: 1,
                bytes: self.cut,
            });
            out.extend_from_slice(cut_mark(self.cut).as_bytes());
        }
        out.push(b'\n');
        self.cut = 0;
        // A long line is rare: its memory is given back.
        self.partial = Vec::new();
    }
}

/// The end of a line that was longer than is kept.
fn cut_mark(bytes: u64) -> String {
    format!(" [supervisor: {bytes} bytes cut]")
}

/// Lines in `bytes`, of which every one ends with a newline.
pub(crate) fn count_lines(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn another_length_counts_from_then_on() {
        let mut framer = Framer::new(8);
        assert_eq!(framer.push(b"abcdef"), "");
        framer.set_max_line(4);
        let lines = framer.push(b"gh\nabcdef\n");
        let expect = "abcdef [supervisor: 2 bytes cut]\nabcd [supervisor: 2 bytes cut]\n";
        assert_eq!(lines, expect);
        framer.set_max_line(8);
        assert_eq!(framer.push(b"abcdef\n"), "abcdef\n");
    }

    /// Pushes `reads` one after the other and finishes.
    fn frame(max_line: usize, reads: &[&[u8]]) -> Vec<u8> {
        let mut framer = Framer::new(max_line);
        let mut out = Vec::new();
        for read in reads {
            let lines = framer.push(read);
            assert!(
                lines.is_empty() || lines.ends_with(b"\n"),
                "whole lines only"
            );
            assert!(framer.partial.len() <= max_line);
            out.extend_from_slice(&lines);
        }
        out.extend_from_slice(&framer.finish());
        out
    }

    #[test]
    fn bytes_become_whole_lines() {
        let check = |reads: &[&str], expect: &str| {
            let reads: Vec<&[u8]> = reads.iter().map(|read| read.as_bytes()).collect();
            let out = frame(8, &reads);
            assert_eq!(String::from_utf8_lossy(&out), expect);
        };
        check(&[], "");
        check(&[""], "");
        check(&["\n"], "\n");
        check(&["a\n"], "a\n");
        check(&["a"], "a\n");
        check(&["a", "b\n"], "ab\n");
        check(&["a\nb", "c\nd"], "a\nbc\nd\n");
        check(&["\n\n", "\n"], "\n\n\n");
        check(&["12345678\n"], "12345678\n");
        check(&["123456789\n"], "12345678 [supervisor: 1 bytes cut]\n");
        check(
            &["1234", "56789", "abc", "\nx\n"],
            "12345678 [supervisor: 4 bytes cut]\nx\n",
        );
        check(
            &["ok\n123456789abc\nok\n"],
            "ok\n12345678 [supervisor: 4 bytes cut]\nok\n",
        );
        check(&["123456789"], "12345678 [supervisor: 1 bytes cut]\n");
        check(&["a\r\nb"], "a\r\nb\n");
        check(&["\0\u{1b}[0m\n"], "\0\u{1b}[0m\n");
    }

    #[test]
    fn a_long_line_takes_bounded_memory() {
        let mut framer = Framer::new(1024);
        for _ in 0..1000 {
            assert!(framer.push(&[b'x'; 4096]).is_empty());
            assert!(framer.partial.capacity() <= 2048);
        }
        let line = framer.push(b"\n");
        let mark = format!(" [supervisor: {} bytes cut]\n", 1000 * 4096 - 1024);
        assert_eq!(line.len(), 1024 + mark.len());
        assert!(line.ends_with(mark.as_bytes()));
    }

    /// The obvious way, with everything in memory.
    fn model(max_line: usize, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let text = line.strip_suffix(b"\n").unwrap_or(line);
            out.extend_from_slice(&text[..text.len().min(max_line)]);
            if text.len() > max_line {
                out.extend_from_slice(cut_mark((text.len() - max_line) as u64).as_bytes());
            }
            out.push(b'\n');
        }
        out
    }

    proptest! {
        #[test]
        fn any_split_into_reads_gives_the_same_lines(
            bytes in prop::collection::vec(prop_oneof![3 => any::<u8>(), 1 => Just(b'\n')], 0..400),
            cuts in prop::collection::vec(0usize..400, 0..12),
            max_line in 1usize..40,
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let reads: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            prop_assert_eq!(frame(max_line, &reads), model(max_line, &bytes));
        }
    }
}
