//! Telling people something on stderr.

use std::fmt::Display;
use std::io::{self, Write as _};

/// Writes a line. Where nobody takes it, because the disk behind stderr is full or it is
/// closed, the line is lost: that is no reason to end, as `eprintln!` would.
pub(crate) fn tell(line: impl Display) {
    let line = format!("{line}\n");
    let _ = io::stderr().write_all(line.as_bytes());
}
