//! `supervisor metrics`.

use super::output::print;
use super::{connect, request};
use crate::cli::execute::CommandError;
use crate::cli::{MetricsOptions, code};
use http::Method;

/// Prints what Prometheus reads.
pub(crate) async fn show(options: &MetricsOptions) -> Result<u8, CommandError> {
    let client = connect(&options.place)?;
    let call = format!("/metrics?nodes={}", options.nodes);
    let answer = request(&client, Method::GET, &call, |_| false).await?;
    print(answer.whole().await?)?;
    Ok(code::OK)
}
