//! The reference page of the command line, made from the arguments.

use std::fmt::Write as _;

use clap::Command;
use repram_config::declaration;

use super::arguments;

/// What stands above the commands.
const INTRODUCTION: &str = "\
<!-- Generated from the arguments in supervisor/src/cli/arguments.rs by `cargo xtask fix`. -->

# Command line

`supervisor run` stays in the foreground; `supervisor exec` is an init for any one command; every \
other command asks the supervisor that runs, over its control socket. `run` and `config` also take every [setting](settings.md) as a flag, \
such as `--node-count 5`.
";

/// Columns of the help on the page.
const WIDTH: usize = 92;

/// The page as Markdown: every command with its help.
#[must_use]
pub fn reference() -> String {
    let mut page = INTRODUCTION.to_owned();
    let mut root = arguments::command();
    root.build();
    section(&root, &mut page);
    page
}

fn section(command: &Command, page: &mut String) {
    let name = command.get_bin_name().unwrap_or(command.get_name());
    // Settings have a page of their own.
    let takes_settings = ["run", "config"].contains(&command.get_name());
    let shown = command.clone().mut_args(|arg| {
        let setting = declaration(arg.get_id().as_str()).is_some();
        arg.hide(takes_settings && setting)
    });
    let help = shown.term_width(WIDTH).render_help();
    // Writing to a string cannot fail.
    let _ = write!(
        page,
        "\n## `{name}`\n\n```text\n{}\n```\n",
        help.to_string().trim_end()
    );
    for subcommand in command
        .get_subcommands()
        .filter(|command| command.get_name() != "help")
    {
        section(subcommand, page);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_its_section() {
        let page = reference();
        for name in [
            "run",
            "status",
            "logs",
            "logs rotate",
            "events",
            "stop",
            "health",
            "exec",
            "config",
        ] {
            assert!(page.contains(&format!("## `supervisor {name}`")), "{name}");
        }
    }
}
