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
    /// What the program is told.
    argument: Option<&'static str>,
}

/// A page in `docs/reference/schema`.
const fn schema(path: &'static str, name: &'static str) -> Page {
    Page {
        path,
        package: "repram-supervisor",
        example: "schema-reference",
        argument: Some(name),
    }
}

/// Every generated page. `verify` compares them, `fix` writes them.
pub(crate) const PAGES: &[Page] = &[
    Page {
        path: "docs/reference/settings.md",
        package: "repram-config",
        example: "settings-reference",
        argument: None,
    },
    Page {
        path: "docs/reference/cli.md",
        package: "repram-supervisor",
        example: "cli-reference",
        argument: None,
    },
    Page {
        path: "docs/reference/metrics.md",
        package: "repram-supervisor",
        example: "metrics-reference",
        argument: None,
    },
    schema("docs/reference/control-api.json", "control-api"),
    schema("docs/reference/schema/status.json", "status"),
    schema("docs/reference/schema/health.json", "health"),
    schema("docs/reference/schema/why.json", "why"),
    schema("docs/reference/schema/claims.json", "claims"),
    schema("docs/reference/schema/event.json", "event"),
    schema("docs/reference/schema/line.json", "line"),
    schema("docs/reference/schema/log-stats.json", "log-stats"),
    schema("docs/reference/schema/rotated.json", "rotated"),
    schema("docs/reference/schema/plan.json", "plan"),
    schema("docs/reference/schema/begun.json", "begun"),
    schema("docs/reference/schema/ended.json", "ended"),
    schema("docs/reference/schema/stopping.json", "stopping"),
    schema("docs/reference/schema/reload.json", "reload"),
    schema("docs/reference/schema/config.json", "config"),
];

impl Page {
    /// The command whose standard output is the page.
    pub(crate) fn generator(&self) -> Command {
        let mut command = cargo([
            "run",
            "--quiet",
            "--locked",
            "--package",
            self.package,
            "--example",
            self.example,
        ]);
        if let Some(argument) = self.argument {
            command.args(["--", argument]);
        }
        command
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
