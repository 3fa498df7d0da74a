//! Colours, for people who look at a terminal.

use std::ffi::OsString;
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
    /// Coloured when `output` is a terminal that can show colours, or somebody asks for them
    /// by [`CLICOLOR_FORCE`](https://bixense.com/clicolors/), and nobody objects by
    /// [`NO_COLOR`](https://no-color.org).
    #[must_use]
    pub fn of(output: &impl IsTerminal) -> Self {
        Self::wanted(can_erase(output), |name| std::env::var_os(name))
    }

    fn wanted(terminal: bool, variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let forced = set("CLICOLOR_FORCE").is_some_and(|value| value != "0");
        if set("NO_COLOR").is_none() && (terminal || forced) {
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

/// Whether `output` is a terminal that knows more than characters and newlines.
#[must_use]
pub fn can_erase(output: &impl IsTerminal) -> bool {
    let term = std::env::var_os("TERM");
    output.is_terminal() && term.is_some_and(|term| !term.is_empty() && term != "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_say_who_wants_colours() {
        let check = |terminal: bool, variables: &[(&str, &str)], expect: Style| {
            let variable = |name: &str| {
                let found = variables.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| value.into())
            };
            assert_eq!(Style::wanted(terminal, variable), expect, "{variables:?}");
        };
        check(true, &[], Style::Coloured);
        check(false, &[], Style::Plain);
        check(true, &[("NO_COLOR", "1")], Style::Plain);
        check(true, &[("NO_COLOR", "")], Style::Coloured);
        check(false, &[("CLICOLOR_FORCE", "1")], Style::Coloured);
        check(false, &[("CLICOLOR_FORCE", "0")], Style::Plain);
        let both = [("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")];
        check(true, &both, Style::Plain);
    }

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
