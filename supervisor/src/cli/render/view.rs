//! For whom something is shown, and when.

use std::io::IsTerminal;

use jiff::Timestamp;

use crate::style::Style;

/// Columns of a terminal that does not say how many it has.
const USUAL_WIDTH: usize = 80;

/// For whom something is shown, and when.
#[derive(Clone, Copy, Debug)]
pub struct View {
    /// Now.
    pub now: Timestamp,
    /// Whether in colours.
    pub style: Style,
    /// Columns that there are; none where lines may have any length.
    pub width: Option<usize>,
}

impl View {
    /// For whoever looks at our stdout: in colours on a terminal and as wide as it says by
    /// `COLUMNS`; complete in a file or a pipe.
    #[must_use]
    pub fn of_stdout() -> Self {
        let stdout = std::io::stdout();
        let columns = || std::env::var("COLUMNS").ok()?.parse().ok();
        Self {
            now: Timestamp::now(),
            style: Style::of(&stdout),
            width: stdout
                .is_terminal()
                .then(|| columns().unwrap_or(USUAL_WIDTH)),
        }
    }
}
