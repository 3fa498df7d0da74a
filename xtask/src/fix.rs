//! `cargo xtask fix`: what a machine can mend.

use std::process::ExitCode;

use crate::command::{cargo, run};
use crate::pages::PAGES;
use crate::workspace::Workspace;

/// Mends what can be mended, in an order in which no step undoes another.
pub(crate) fn fix(workspace: &Workspace) -> ExitCode {
    match mend(workspace) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("xtask: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn mend(workspace: &Workspace) -> Result<(), String> {
    run(cargo([
        "clippy",
        "--fix",
        "--allow-dirty",
        "--allow-staged",
        "--workspace",
        "--all-targets",
    ]))?;
    run(cargo(["fmt", "--all"]))?;
    for page in PAGES {
        let text = page.generate()?;
        let file = page.file(workspace);
        if std::fs::read(&file).is_ok_and(|found| found == text) {
            continue;
        }
        std::fs::write(&file, text)
            .map_err(|error| format!("could not write {}: {error}", file.display()))?;
        println!("regenerated {}", page.path);
    }
    Ok(())
}
