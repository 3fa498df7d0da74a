//! `supervisor logs stats`.

use http::Method;

use super::output::print;
use super::{connect, request};
use crate::cli::execute::CommandError;
use crate::cli::{LogStatsOptions, code, render};

/// Shows what became of the lines.
pub(crate) async fn show(options: &LogStatsOptions) -> Result<u8, CommandError> {
    let client = connect(&options.place)?;
    let answer = request(&client, Method::GET, "/logs/stats", |_| false).await?;
    if options.json {
        // As the supervisor says it, also what a newer one may add.
        print(answer.whole().await?)?;
    } else {
        print(render::log_stats(&answer.json().await?))?;
    }
    Ok(code::OK)
}
