//! `supervisor config`.

use repram_config::{Environment, Role, load};

use super::output::{note, print, print_json};
use crate::cli::execute::CommandError;
use crate::cli::{ConfigOptions, code};

/// Shows the settings that `supervisor run` would have with the same flags.
pub(crate) fn show(options: &ConfigOptions) -> Result<u8, CommandError> {
    let environment = Environment::of_this_process(Role::Supervisor);
    let loaded = load(
        &environment,
        options.run.config.as_deref(),
        &options.run.flags,
    )?;
    if options.json {
        print_json(&loaded.to_json())?;
    } else {
        for warning in &loaded.warnings {
            note(&warning.to_string());
        }
        print(loaded.render())?;
    }
    Ok(code::OK)
}
