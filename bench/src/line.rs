//! Numbered lines, and what is left of them in a log.

use std::ops::Range;

/// Bytes of a line with its end: about what programs write.
pub(crate) const LENGTH: usize = 100;

/// Bytes that are written at once, as by a program with a large buffer: lines end anywhere
/// in it.
pub(crate) const WRITE: usize = 64 << 10;

/// Lines of a block: the fewest that end where a write ends.
pub(crate) const PER_BLOCK: u64 = 16_384;

/// How a line begins. Its number follows.
const HEAD: &[u8] = b"flood ";

/// Digits of a number.
const DIGITS: usize = 12;

/// What comes after the number.
const FILLER: [u8; LENGTH - HEAD.len() - DIGITS] = {
    let mut filler = [b'x'; LENGTH - HEAD.len() - DIGITS];
    filler[0] = b' ';
    filler[LENGTH - HEAD.len() - DIGITS - 1] = b'\n';
    filler
};

/// Lines that are made at once, again and again in one place.
pub(crate) struct Block {
    bytes: Vec<u8>,
}

impl Block {
    /// Lines without numbers.
    pub(crate) fn new() -> Self {
        let line = [HEAD, &[b'0'; DIGITS], &FILLER].concat();
        Self {
            bytes: line.repeat(usize::try_from(PER_BLOCK).expect("it is small")),
        }
    }

    /// The lines with the first numbers of a range, as many as go into a block.
    pub(crate) fn fill(&mut self, numbers: Range<u64>) -> &[u8] {
        let count = (numbers.end - numbers.start).min(PER_BLOCK);
        for (number, line) in numbers.zip(self.bytes.chunks_exact_mut(LENGTH)) {
            let mut rest = number;
            for digit in line[HEAD.len()..HEAD.len() + DIGITS].iter_mut().rev() {
                *digit = b'0' + u8::try_from(rest % 10).expect("it is a digit");
                rest /= 10;
            }
        }
        &self.bytes[..usize::try_from(count).expect("it is small") * LENGTH]
    }
}

/// The number of a line as it stands in a log, with whatever its keeper put in front;
/// none when it is not one of these lines, or not whole. `line` comes without its end.
pub(crate) fn number(line: &[u8]) -> Option<u64> {
    let start = line.len().checked_sub(LENGTH - 1)?;
    let (stamp, line) = line.split_at(start);
    let rest = line.strip_prefix(HEAD)?;
    let (digits, filler) = rest.split_at(DIGITS);
    let whole = filler == &FILLER[..FILLER.len() - 1];
    let alone = memchr::memmem::find(stamp, HEAD.trim_ascii()).is_none();
    if !whole || !alone || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_hold_whole_lines_in_order() {
        let mut block = Block::new();
        let text = block.fill(1_000_000..1_000_002).to_owned();
        let lines: Vec<_> = text.split_inclusive(|byte| *byte == b'\n').collect();
        assert_eq!(lines.len(), 2);
        for (index, line) in lines.into_iter().enumerate() {
            assert_eq!(line.len(), LENGTH);
            assert_eq!(number(&line[..LENGTH - 1]), Some(1_000_000 + index as u64));
        }
        let full = block.fill(0..100_000).len();
        assert_eq!(full as u64, PER_BLOCK * LENGTH as u64);
        assert_eq!(full % WRITE, 0);
    }

    #[test]
    fn only_whole_lines_have_a_number() {
        let text = Block::new().fill(7..8).to_owned();
        let line = &text[..LENGTH - 1];
        let check = |line: &[u8], expect| assert_eq!(number(line), expect);
        check(line, Some(7));
        check(&[b"2026-11-21T06:00:00.000Z ", line].concat(), Some(7));
        check(b"", None);
        check(&line[..LENGTH - 2], None);
        check(&line[1..], None);
        check(&[line, b"x"].concat(), None);
        // The beginning of one line, and then another.
        check(&[&line[..20], line].concat(), None);
        check(&[b"flood 00", line].concat(), None);
    }
}
