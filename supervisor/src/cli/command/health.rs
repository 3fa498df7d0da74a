//! `supervisor health`.

use http::{Method, StatusCode};

use super::output::{print, print_json};
use super::{connect, request};
use crate::cli::execute::CommandError;
use crate::cli::{HealthOptions, code, render};
use crate::control::Health;

/// Says whether enough nodes are ready.
pub(crate) async fn ask(options: &HealthOptions) -> Result<u8, CommandError> {
    let client = connect(&options.place)?;
    // 503 is an answer, too, unless it is a problem, which does not read as one.
    let no = |status| status == StatusCode::SERVICE_UNAVAILABLE;
    let health: Health = request(&client, Method::GET, "/health", no)
        .await?
        .json()
        .await?;
    if options.json {
        print_json(&health)?;
    } else {
        print(render::health_line(&health))?;
    }
    Ok(if health.healthy {
        code::OK
    } else {
        code::FAILED
    })
}
