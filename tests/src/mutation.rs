//! Bytes that are almost right.

use std::ops::Range;

/// Pieces that parsers are known to stumble over.
const PIECES: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r\n\r\n",
    b"\0",
    b" ",
    b"\t",
    b":",
    b"%",
    b"%00",
    b"%2F",
    b"%zz",
    b"..",
    b"?",
    b"&ttl=",
    b"-1",
    b"18446744073709551616",
    b"99999999999999999999999999",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\xc3\x28",
    b"HTTP/1.1",
    b"HTTP/1.0",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Expect: 100-continue\r\n",
    b"Host: a\r\n",
    b"Connection: close\r\n",
];

/// Bytes of the longest piece that is put in by repeating a byte: beyond every buffer that
/// grows step by step.
const RUN_MAX: usize = 40_000;

/// Changes bytes in the ways that find mistakes in decoders; the same seed, the same changes.
#[derive(Debug)]
pub struct Mutation {
    random: fastrand::Rng,
}

impl Mutation {
    /// Changes that follow from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            random: fastrand::Rng::with_seed(seed),
        }
    }

    /// One of `corpus`, changed once to four times.
    ///
    /// # Panics
    /// When there is nothing in it.
    pub fn of(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = self.random.choice(corpus).expect("a corpus").clone();
        for _ in 0..self.random.usize(1..=4) {
            let other = self.random.choice(corpus).expect("a corpus");
            self.change(&mut bytes, other);
        }
        bytes
    }

    /// Bytes without any sense, at most `max`.
    pub fn noise(&mut self, max: usize) -> Vec<u8> {
        let length = self.random.usize(..=max);
        std::iter::repeat_with(|| self.random.u8(..))
            .take(length)
            .collect()
    }

    fn change(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        let range = self.range(bytes.len());
        match self.random.u8(..9) {
            0 => bytes.truncate(range.start),
            1 => drop(bytes.drain(range)),
            2 => {
                let again = bytes[range.clone()].to_vec();
                bytes.splice(range.start..range.start, again);
            }
            3 => {
                let piece = self.random.choice(PIECES).expect("there are some");
                bytes.splice(range.start..range.start, piece.iter().copied());
            }
            4 => {
                let run = vec![self.random.u8(..); self.random.usize(..RUN_MAX)];
                bytes.splice(range.start..range.start, run);
            }
            5 => {
                let end = self.random.usize(..=other.len());
                bytes.splice(range.start.., other[end..].iter().copied());
            }
            6 => self.replace_a_number(bytes),
            _ => {
                if let Some(byte) = bytes.get_mut(range.start) {
                    *byte ^= 1 << self.random.u8(..8);
                }
            }
        }
    }

    /// Another number in the place of one.
    fn replace_a_number(&mut self, bytes: &mut Vec<u8>) {
        let digits: Vec<usize> = (0..bytes.len())
            .filter(|at| bytes[*at].is_ascii_digit())
            .collect();
        let Some(&start) = self.random.choice(&digits) else {
            return;
        };
        let length = bytes[start..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        let number = match self.random.u8(..4) {
            0 => String::new(),
            1 => "0".to_owned(),
            2 => self.random.u64(..).to_string(),
            _ => "9".repeat(self.random.usize(1..50)),
        };
        bytes.splice(start..start + length, number.into_bytes());
    }

    fn range(&mut self, length: usize) -> Range<usize> {
        let start = self.random.usize(..=length);
        start..self.random.usize(start..=length)
    }
}
