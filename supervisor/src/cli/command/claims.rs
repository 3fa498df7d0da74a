//! `supervisor claims`.

use http::Method;

use super::output::print;
use super::{connect, request};
use crate::cli::execute::CommandError;
use crate::cli::{ClaimsOptions, code, render};

/// Shows who holds which slot.
pub(crate) async fn show(options: &ClaimsOptions) -> Result<u8, CommandError> {
    let client = connect(&options.place)?;
    let answer = request(&client, Method::GET, "/claims", |_| false).await?;
    if options.json {
        // As the supervisor says it, also what a newer one may add.
        print(answer.whole().await?)?;
    } else {
        print(render::claims(&answer.json().await?))?;
    }
    Ok(code::OK)
}
