//! `supervisor flux-spec`.

use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use repram_config::{Environment, Role, load};
use serde_json::Value;

use super::output::{note, print, print_json};
use crate::cli::execute::CommandError;
use crate::cli::{FluxSpecOptions, RunOptions, code};
use crate::flux_spec::{Wanted, check, specification};
use crate::stderr::tell;

/// A specification is a few kilobytes; what is larger is none.
const SIZE_MAX: u64 = 4 << 20;

/// Prints a specification, or what is wrong with one.
pub(crate) fn run(options: &FluxSpecOptions) -> Result<u8, CommandError> {
    match options {
        FluxSpecOptions::Make(run, wanted) => make(run, wanted),
        FluxSpecOptions::Check(file) => judge(file),
    }
}

fn make(run: &RunOptions, wanted: &Wanted) -> Result<u8, CommandError> {
    let environment = Environment::of_this_process(Role::Supervisor);
    let loaded = load(&environment, run.config.as_deref(), &run.flags)?;
    for warning in &loaded.warnings {
        note(&warning.to_string());
    }
    match specification(&loaded, wanted) {
        Ok(specification) => {
            for finding in check(&specification) {
                note(&finding.to_string());
            }
            print_json(&specification)?;
            Ok(code::OK)
        }
        Err(problems) => {
            note("this does not fit into a Flux app:");
            for problem in problems {
                tell(format!("  {problem}"));
            }
            Ok(code::CONFIG)
        }
    }
}

fn judge(file: &Path) -> Result<u8, CommandError> {
    let unreadable =
        |error: io::Error| CommandError::Usage(format!("--check {}: {error}", file.display()));
    let mut text = String::new();
    let source: Box<dyn io::Read> = match file.to_str() {
        Some("-") => Box::new(io::stdin()),
        _ => Box::new(fs::File::open(file).map_err(unreadable)?),
    };
    source
        .take(SIZE_MAX)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    let specification: Value = match serde_json::from_str(&text) {
        Ok(specification) => specification,
        Err(error) => {
            print(format!("refused: {} is no JSON: {error}\n", file.display()))?;
            return Ok(code::FAILED);
        }
    };
    let findings = check(&specification);
    let mut said = String::new();
    for finding in &findings {
        let verdict = if finding.is_violation {
            "refused"
        } else {
            "remark"
        };
        said.push_str(&format!("{verdict}: {finding}\n"));
    }
    let violations = findings.iter().filter(|it| it.is_violation).count();
    said.push_str(&match violations {
        0 => "FluxOS accepts it\n".to_owned(),
        1 => "FluxOS refuses it: 1 violation\n".to_owned(),
        many => format!("FluxOS refuses it: {many} violations\n"),
    });
    print(said)?;
    Ok(if violations == 0 {
        code::OK
    } else {
        code::FAILED
    })
}
