//! From layers to settings: read, complete, check, and only then a value that
//! others may rely on.

mod check;
mod reader;
mod secret_file;

use std::path::Path;

use self::check::contradictions;
use self::reader::Reader;
use crate::environment::Environment;
use crate::flag::Flag;
use crate::layers::{self, Stack};
use crate::loaded::Loaded;
use crate::problem::Problems;
use crate::settings::Draft;
use crate::warning::warnings;

/// Reads all settings: defaults, then the TOML file, then the environment,
/// then flags; a later layer wins. The file is `config_flag`, else the one
/// that `REPRAM_CONFIG` names, else none.
///
/// # Errors
///
/// Returns every problem of every layer at once. Only a value that another
/// layer overrides is not judged.
///
/// # Panics
///
/// Panics when a flag's key is not that of a setting which has a flag.
pub fn load(
    environment: &Environment,
    config_flag: Option<&Path>,
    flags: &[Flag],
) -> Result<Loaded, Problems> {
    let mut problems = Vec::new();
    let mut stack = vec![layers::defaults(environment)];
    let mut complete = true;
    if let Some((path, place)) = layers::config_file(environment, config_flag) {
        match layers::read_file(path, place) {
            Ok(file) => {
                problems.extend(file.problems);
                stack.push(file.layer);
            }
            Err(file_problems) => {
                problems.extend(file_problems);
                // What the file would have said is unknown, so no default
                // can be taken for the user's will.
                stack.clear();
                complete = false;
            }
        }
    }
    let variables = layers::environment(environment);
    problems.extend(variables.problems);
    stack.push(variables.layer);
    stack.push(layers::flags(flags));

    let mut reader = Reader::new(Stack::new(stack), complete);
    let mut draft = Draft::read(&mut reader);
    let (mut origins, value_problems) = reader.finish();
    problems.extend(value_problems);
    problems.extend(contradictions(environment.role, &draft, &origins));
    problems.extend(secret_file::read(environment, &mut draft, &mut origins));

    if let Some(problems) = Problems::new(problems) {
        return Err(problems);
    }
    let settings = draft
        .finish()
        .expect("a setting without a value has a problem");
    let warnings = warnings(environment, &settings, &origins);
    Ok(Loaded {
        settings,
        origins,
        warnings,
    })
}
