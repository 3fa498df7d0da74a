//! `supervisor man`.

use std::fs;
use std::io;
use std::path::Path;

use clap::Command;
use clap_mangen::Man;

use super::output::print;
use crate::cli::execute::CommandError;
use crate::cli::{arguments, code};

/// Prints the page of the whole program, or writes all pages into `dir`.
pub(crate) fn show(dir: Option<&Path>) -> Result<u8, CommandError> {
    let pages = pages().map_err(CommandError::Output)?;
    let Some(dir) = dir else {
        // The program's own page is the first.
        let own = pages.into_iter().next().unwrap_or_default();
        return print(own.text).map(|()| code::OK);
    };
    let write = || {
        fs::create_dir_all(dir)?;
        pages
            .iter()
            .try_for_each(|page| fs::write(dir.join(&page.file), &page.text))
    };
    write().map_err(|source| CommandError::Pages {
        dir: dir.display().to_string(),
        source,
    })?;
    let count = pages.len();
    print(format!("wrote {count} pages into {}\n", dir.display()))?;
    Ok(code::OK)
}

/// A manual page.
#[derive(Debug, Default)]
struct ManPage {
    /// The name of its file, such as `supervisor-logs.1`.
    file: String,
    text: Vec<u8>,
}

/// The page of the program and those of its commands, as git has them: `supervisor-logs(1)`.
fn pages() -> io::Result<Vec<ManPage>> {
    let mut command = arguments::command().disable_help_subcommand(true);
    command.build();
    let mut pages = Vec::new();
    add(&command, "supervisor", &mut pages)?;
    Ok(pages)
}

fn add(command: &Command, name: &str, pages: &mut Vec<ManPage>) -> io::Result<()> {
    // The page shows the name of the command, which for those below is not the whole.
    let shown = command.clone().name(name.to_owned());
    let man = Man::new(shown)
        .title(name.to_uppercase())
        .manual("Supervisor");
    let mut text = Vec::new();
    man.render(&mut text)?;
    pages.push(ManPage {
        file: format!("{name}.1"),
        text,
    });
    command
        .get_subcommands()
        .try_for_each(|below| add(below, &format!("{name}-{}", below.get_name()), pages))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page() {
        let pages = pages().expect("written");
        let files: Vec<&str> = pages.iter().map(|page| page.file.as_str()).collect();
        assert_eq!(files[0], "supervisor.1");
        for file in [
            "supervisor-run.1",
            "supervisor-logs-rotate.1",
            "supervisor-exec.1",
        ] {
            assert!(files.contains(&file), "{file}: {files:?}");
        }
        for page in &pages {
            let text = String::from_utf8_lossy(&page.text);
            assert!(
                text.contains(".SH NAME") && text.contains("Example"),
                "{}",
                page.file
            );
        }
    }
}
