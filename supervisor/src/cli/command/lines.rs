//! Lines out of pieces.

/// Puts lines together that came in pieces.
#[derive(Debug, Default)]
pub(crate) struct LineBuffer(Vec<u8>);

impl LineBuffer {
    /// Takes a piece; hands out every line that ends in it, without its newline.
    pub(crate) fn push(&mut self, piece: &[u8], mut out: impl FnMut(&[u8])) {
        let Some(last) = memchr::memrchr(b'\n', piece) else {
            self.0.extend_from_slice(piece);
            return;
        };
        let (lines, rest) = piece.split_at(last);
        for line in lines.split(|byte| *byte == b'\n') {
            if self.0.is_empty() {
                out(line);
            } else {
                self.0.extend_from_slice(line);
                out(&self.0);
                self.0.clear();
            }
        }
        self.0.extend_from_slice(&rest[1..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_become_lines() {
        let check = |pieces: &[&str], expect: &[&str]| {
            let mut buffer = LineBuffer::default();
            let mut lines = Vec::new();
            for piece in pieces {
                buffer.push(piece.as_bytes(), |line| {
                    lines.push(String::from_utf8_lossy(line).into_owned());
                });
            }
            assert_eq!(lines, expect);
        };
        check(&[], &[]);
        check(&["a\n"], &["a"]);
        check(&["a", "b\nc", "\n\nd"], &["ab", "c", ""]);
        check(&["\n", "\n"], &["", ""]);
    }
}
