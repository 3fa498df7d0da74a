//! `supervisor status`.

use serde_json::Value;

use super::connect;
use super::output::{print, print_json};
use crate::cli::execute::CommandError;
use crate::cli::{StatusOptions, code, render};
use crate::status::FleetStatus;

/// Shows the status.
pub(crate) async fn show(options: &StatusOptions) -> Result<u8, CommandError> {
    let client = connect(&options.place)?;
    if options.json {
        // As the supervisor says it, also what a newer one may add.
        print_json(&client.get::<Value>("/status").await?)?;
    } else {
        print(render::status(&client.get::<FleetStatus>("/status").await?))?;
    }
    Ok(code::OK)
}
