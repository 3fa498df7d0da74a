//! For whom something is shown, and when.

use jiff::Timestamp;
use terminal_size::{Width, terminal_size_of};

use crate::style::Style;

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
    /// For whoever looks at our stdout: in colours on a terminal, and no wider than it;
    /// complete in a file or a pipe.
    #[must_use]
    pub fn of_stdout() -> Self {
        let stdout = std::io::stdout();
        Self {
            now: Timestamp::now(),
            style: Style::of(&stdout),
            width: terminal_size_of(&stdout).map(|(Width(columns), _)| columns.into()),
        }
    }
}
