//! `supervisor status`.

use http::Method;

use super::output::print;
use super::{connect, request};
use crate::cli::execute::CommandError;
use crate::cli::{StatusOptions, code, render};

/// Shows the status.
pub(crate) async fn show(options: &StatusOptions) -> Result<u8, CommandError> {
    let client = connect(&options.place)?;
    let answer = request(&client, Method::GET, "/status", |_| false).await?;
    if options.json {
        // As the supervisor says it, also what a newer one may add.
        print(answer.whole().await?)?;
    } else {
        print(render::status(&answer.json().await?))?;
    }
    Ok(code::OK)
}
