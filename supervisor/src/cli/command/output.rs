//! Our stdout.

use std::io::{self, Write};

use serde::Serialize;

use crate::cli::execute::CommandError;

/// Writes to stdout at once.
pub(crate) fn print(text: impl AsRef<[u8]>) -> Result<(), CommandError> {
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(text.as_ref())
        .and_then(|()| stdout.flush())
        .map_err(CommandError::Output)
}

/// Writes an object for machines, indented so that people can read it, too.
pub(crate) fn print_json(value: &impl Serialize) -> Result<(), CommandError> {
    let text =
        serde_json::to_string_pretty(value).map_err(|error| CommandError::Output(error.into()))?;
    print(text + "\n")
}

/// Tells the user something that is not the answer.
pub(crate) fn note(text: &str) {
    eprintln!("supervisor: {text}");
}
