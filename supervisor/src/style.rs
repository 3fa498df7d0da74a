//! Colours, for people who look at a terminal.

use std::io::IsTerminal;

/// Whether output is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// No escape sequences.
    Plain,
    /// ANSI colours.
    Coloured,
}

/// The colours in use: those that are readable on dark and on light ground.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// As it should be.
    Green,
    /// Worth a look.
    Yellow,
    /// Somebody has to act.
    Red,
    /// For telling things apart.
    Cyan,
    /// For telling things apart.
    Blue,
    /// For telling things apart.
    Magenta,
    /// Less important.
    Dim,
    /// More important.
    Bold,
}

impl Colour {
    fn code(self) -> &'static str {
        match self {
            Self::Green => "32",
            Self::Yellow => "33",
            Self::Red => "31",
            Self::Cyan => "36",
            Self::Blue => "34",
            Self::Magenta => "35",
            Self::Dim => "2",
            Self::Bold => "1",
        }
    }
}

impl Style {
    /// Coloured when `output` is a terminal that can show colours and nobody objects by
    /// [`NO_COLOR`](https://no-color.org).
    #[must_use]
    pub fn of(output: &impl IsTerminal) -> Self {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let dumb = set("TERM").is_some_and(|term| term == "dumb");
        if output.is_terminal() && set("NO_COLOR").is_none() && !dumb {
            Self::Coloured
        } else {
            Self::Plain
        }
    }

    /// The text in a colour.
    #[must_use]
    pub fn paint(self, colour: Colour, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Coloured => format!("\x1b[{}m{text}\x1b[0m", colour.code()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_stays_as_it_is() {
        assert_eq!(Style::Plain.paint(Colour::Red, "text"), "text");
        assert_eq!(
            Style::Coloured.paint(Colour::Red, "text"),
            "\x1b[31mtext\x1b[0m"
        );
    }

    #[test]
    fn a_file_is_no_terminal() {
        let file = tempfile::tempfile().expect("temporary file");
        assert_eq!(Style::of(&file), Style::Plain);
    }
}
