//! `supervisor completions`.

use clap_complete::Shell;

use super::output::print;
use crate::cli::execute::CommandError;
use crate::cli::{arguments, code};

/// What the generated script for bash does not know.
const NODE_NAMES: &str = include_str!("node-names.bash");

/// Prints the script for a shell.
pub(crate) fn show(shell: Shell) -> Result<u8, CommandError> {
    print(script(shell)).map(|()| code::OK)
}

fn script(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut arguments::command(), "supervisor", &mut script);
    if shell == Shell::Bash {
        script.extend_from_slice(NODE_NAMES.as_bytes());
    }
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_completes_commands_and_flags() {
        for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
            let script = String::from_utf8(script(shell)).expect("UTF-8");
            for word in ["status", "completions", "node-count", "follow"] {
                assert!(script.contains(word), "{shell}: {word}");
            }
        }
    }
}
