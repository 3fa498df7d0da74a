//! What is wrong with the settings, told to the person who wrote them.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::declaration::Declaration;
use crate::origin::Origin;

/// A setting as its user wrote it: by variable, by file, line and key, or by
/// flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    key: &'static str,
    variable: &'static str,
    origin: Origin,
}

impl Place {
    pub(crate) fn new(declaration: &Declaration, origin: Origin) -> Self {
        Self {
            key: declaration.key(),
            variable: declaration.variable(),
            origin,
        }
    }

    /// The place of the configuration file's own name.
    pub(crate) fn config(origin: Origin) -> Self {
        Self {
            key: "config",
            variable: "REPRAM_CONFIG",
            origin,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::Default => write!(f, "{} (default)", self.variable),
            Origin::File { path, line } => write!(f, "{}:{line}: {}", path.display(), self.key),
            Origin::Variable(name) | Origin::Flag(name) => f.write_str(name),
            Origin::Contents(path) => write!(f, "{}: {}", path.display(), self.variable),
            Origin::Platform(how) => write!(f, "{} ({how})", self.variable),
        }
    }
}

/// One mistake in the settings. `Display` is one line: the setting as it was
/// written, what was found there, and what is allowed.
#[derive(Debug)]
pub enum Problem {
    /// A value that is not allowed, by itself or beside the others.
    Value {
        /// The setting.
        place: Place,
        /// What was found: the end of a sentence, with quotes where they belong.
        found: String,
        /// What is allowed: the end of a sentence.
        allowed: String,
    },
    /// A file that a setting names and that cannot be read.
    Unreadable {
        /// The setting.
        place: Place,
        /// The file.
        path: PathBuf,
        /// What is allowed.
        allowed: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The configuration file is no TOML.
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The column in characters, counted from 1.
        column: usize,
        /// What the parser expected.
        message: String,
    },
    /// A key of the configuration file that is no setting.
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The key.
        key: String,
        /// Whether it opens a table, of which a configuration has none.
        table: bool,
        /// The most similar key, where one is similar.
        nearest: Option<&'static str>,
    },
    /// Two variables of one setting that say different things.
    Differing {
        /// The variables' names.
        variables: [&'static str; 2],
        /// What each says, with quotes; masked for a secret.
        found: [String; 2],
    },
    /// A variable whose value is not UTF-8.
    NotUnicode {
        /// The variable's name.
        variable: &'static str,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value {
                place,
                found,
                allowed,
            } => {
                write!(f, "{place}: found {found}, allowed is {allowed}")
            }
            Self::Unreadable {
                place,
                path,
                allowed,
                source,
            } => {
                let path = quoted(&path.display().to_string());
                write!(
                    f,
                    "{place}: found {path}, which could not be read: {source}; "
                )?;
                write!(f, "allowed is {allowed}")
            }
            Self::Syntax {
                path,
                line,
                column,
                message,
            } => {
                write!(f, "{}:{line}:{column}: not TOML: {message}", path.display())
            }
            Self::UnknownKey {
                path,
                line,
                key,
                table,
                nearest,
            } => {
                let what = if *table { "table" } else { "key" };
                write!(
                    f,
                    "{}:{line}: unknown {what} {}; ",
                    path.display(),
                    quoted(key)
                )?;
                match nearest {
                    _ if *table => f.write_str("all settings stand at the top, outside of tables"),
                    Some(nearest) => write!(f, "did you mean {nearest}?"),
                    None => f.write_str("no setting has a similar name"),
                }
            }
            Self::Differing {
                variables: [first, second],
                found: [one, other],
            } => {
                write!(
                    f,
                    "{first} and {second}: found {one} and {other}, allowed is one value, "
                )?;
                f.write_str("because they are two names of one setting")
            }
            Self::NotUnicode { variable } => {
                write!(
                    f,
                    "{variable}: found bytes that are not UTF-8, allowed is text in UTF-8"
                )
            }
        }
    }
}

/// All mistakes in the settings, never none, in a stable order: the file's,
/// then each setting's in the order of the reference page, then
/// contradictions. `Display` is a summary and one block per mistake.
#[derive(Debug)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// The exit code of a process that cannot start for them (`EX_CONFIG` of
    /// `sysexits.h`).
    pub const EXIT_CODE: u8 = 78;

    /// The mistakes, if there are any.
    pub fn new(problems: Vec<Problem>) -> Option<Self> {
        (!problems.is_empty()).then_some(Self(problems))
    }

    /// The mistakes in their order.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => f.write_str("1 problem with the settings:")?,
            count => write!(f, "{count} problems with the settings:")?,
        }
        for problem in &self.0 {
            write!(f, "\n\n  {problem}")?;
        }
        Ok(())
    }
}

impl Error for Problems {}

/// Longer values are cut: a message is read by a person.
const SHOWN_CHARS_MAX: usize = 80;

/// A user's text, in quotes, on one line and short.
pub(crate) fn quoted(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{:?}...", &text[..end]),
        None => format!("{text:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_value_is_cut() {
        assert_eq!(quoted("a\n\"b\""), r#""a\n\"b\"""#);
        assert_eq!(quoted(&"ä".repeat(80)), format!("\"{}\"", "ä".repeat(80)));
        assert_eq!(
            quoted(&"ä".repeat(81)),
            format!("\"{}\"...", "ä".repeat(80))
        );
    }

    #[test]
    fn problems_are_blocks_under_a_summary() {
        let problem = |variable| Problem::NotUnicode { variable };
        assert!(Problems::new(vec![]).is_none());
        let one = Problems::from(problem("LOG_DIR"));
        assert_eq!(
            one.to_string(),
            "1 problem with the settings:\n\n  \
             LOG_DIR: found bytes that are not UTF-8, allowed is text in UTF-8"
        );
        let two = Problems::new(vec![problem("LOG_DIR"), problem("STATE_DIR")]).unwrap();
        let text = two.to_string();
        assert!(
            text.starts_with("2 problems with the settings:\n\n  LOG_DIR: "),
            "{text}"
        );
        assert!(text.contains("\n\n  STATE_DIR: "), "{text}");
        assert_eq!(two.iter().count(), 2);
    }
}
