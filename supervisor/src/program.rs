//! What runs as a node.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// Name of our own node's binary.
const NODE_BINARY: &str = "repram-node";

/// What runs as a node: program and arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Program first.
    pub arguments: Vec<OsString>,
    /// Whether it is our own node, which gets the supervisor's channel and is known to
    /// notify.
    pub is_repram_node: bool,
}

/// There is no node to run.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// NODE_COMMAND is unset and no node lies beside the supervisor.
    #[error("no {NODE_BINARY} beside the supervisor in {}", .folder.display())]
    NoNode {
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// The system does not say where the supervisor's own file is.
    #[error("cannot tell where the supervisor itself lies")]
    Ourselves(#[source] io::Error),
}

impl Program {
    /// The program that `NODE_COMMAND` names; without one the `repram-node` that lies
    /// beside the supervisor.
    ///
    /// # Errors
    /// [`ProgramError`].
    pub fn from_setting(command: Option<&str>) -> Result<Self, ProgramError> {
        match command {
            Some(command) => Ok(Self::from_command(command)),
            None => {
                let ourselves = std::env::current_exe().map_err(ProgramError::Ourselves)?;
                Self::beside(&ourselves)
            }
        }
    }

    fn beside(supervisor: &Path) -> Result<Self, ProgramError> {
        let folder = supervisor.parent().unwrap_or(Path::new("/")).to_owned();
        let node = folder.join(NODE_BINARY);
        if node.is_file() {
            Ok(Self {
                arguments: vec![node.into()],
                is_repram_node: true,
            })
        } else {
            Err(ProgramError::NoNode { folder })
        }
    }

    /// A plain command is split at blanks and executed directly. What needs a shell gets
    /// one, which replaces itself by the command: the node is always our direct child.
    fn from_command(command: &str) -> Self {
        if command.chars().all(is_plain) {
            let arguments: Vec<OsString> = command.split_whitespace().map(OsString::from).collect();
            let is_repram_node = arguments
                .first()
                .is_some_and(|program| Path::new(program).ends_with(NODE_BINARY));
            return Self {
                arguments,
                is_repram_node,
            };
        }
        let script = format!("exec {command}");
        let arguments = ["/bin/sh", "-c", &script].map(OsString::from).to_vec();
        Self {
            arguments,
            is_repram_node: false,
        }
    }
}

/// Characters that mean nothing to a shell.
fn is_plain(character: char) -> bool {
    character.is_ascii_alphanumeric() || " \t_@%+:,./-".contains(character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_needs_a_shell_gets_one() {
        let check = |command: &str, expect: &[&str], node: bool| {
            let program = Program::from_command(command);
            assert_eq!(program.arguments, expect, "{command}");
            assert_eq!(program.is_repram_node, node, "{command}");
        };
        check(
            "/bin/my-node  --port 1",
            &["/bin/my-node", "--port", "1"],
            false,
        );
        check("./repram-node", &["./repram-node"], true);
        check(
            "repram-node --a=b",
            &["/bin/sh", "-c", "exec repram-node --a=b"],
            false,
        );
        check(
            "python3 -m x $PORT",
            &["/bin/sh", "-c", "exec python3 -m x $PORT"],
            false,
        );
        check(
            "sh -c 'a; exec b'",
            &["/bin/sh", "-c", "exec sh -c 'a; exec b'"],
            false,
        );
    }

    #[test]
    fn without_a_command_it_is_the_node_beside_us() {
        let folder = tempfile::tempdir().expect("a folder");
        let supervisor = folder.path().join("supervisor");
        assert!(matches!(
            Program::beside(&supervisor),
            Err(ProgramError::NoNode { .. })
        ));
        std::fs::write(folder.path().join(NODE_BINARY), "").expect("written");
        let program = Program::beside(&supervisor).expect("it is there");
        assert_eq!(program.arguments, [folder.path().join(NODE_BINARY)]);
        assert!(program.is_repram_node);
    }
}
