//! The reference pages that are generated from code.

use std::path::PathBuf;
use std::process::Command;

use crate::command::cargo;
use crate::workspace::Workspace;

/// A page and the program that prints it.
pub(crate) struct Page {
    /// Where the page lies in the repository.
    pub(crate) path: &'static str,
    package: &'static str,
    example: &'static str,
}

/// Every generated page. `verify` compares them, `fix` writes them.
pub(crate) const PAGES: &[Page] = &[
    Page {
        path: "docs/reference/settings.md",
        package: "repram-config",
        example: "settings-reference",
    },
    Page {
        path: "docs/reference/cli.md",
        package: "repram-supervisor",
        example: "cli-reference",
    },
    Page {
        path: "docs/reference/metrics.md",
        package: "repram-supervisor",
        example: "metrics-reference",
    },
];

impl Page {
    /// The command whose standard output is the page.
    pub(crate) fn generator(&self) -> Command {
        cargo([
            "run",
            "--quiet",
            "--locked",
            "--package",
            self.package,
            "--example",
            self.example,
        ])
    }

    /// Generates the page; an error carries what the generator said.
    pub(crate) fn generate(&self) -> Result<Vec<u8>, String> {
        let mut command = self.generator();
        let output = command
            .output()
            .map_err(|error| crate::command::cannot_start(&command, &error))?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!(
            "{} ended with {}\n{said}",
            crate::command::shown(&command),
            output.status
        ))
    }

    /// The file of the page.
    pub(crate) fn file(&self, workspace: &Workspace) -> PathBuf {
        workspace.path(self.path)
    }
}
