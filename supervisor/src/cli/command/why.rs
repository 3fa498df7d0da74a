//! `supervisor why`.

use http::Method;

use super::connect;
use super::output::print;
use super::period::zone;
use crate::cli::execute::CommandError;
use crate::cli::render::{self, View};
use crate::cli::{WhyOptions, code};

/// Tells why a node is as it is, or which are not fine.
pub(crate) async fn show(options: &WhyOptions) -> Result<u8, CommandError> {
    let client = connect(&options.place)?;
    let call = match options.node {
        Some(node) => format!("/nodes/{}/why", node.name()),
        None => "/why".to_owned(),
    };
    let answer = client.call(Method::GET, &call, |_| false).await?;
    let (view, zone) = (View::of_stdout(), zone(options.utc));
    if options.json {
        // As the supervisor says it, also what a newer one may add.
        print(answer.whole().await?)?;
    } else if options.node.is_some() {
        print(render::why_node(&answer.json().await?, &view, &zone))?;
    } else {
        print(render::why_fleet(&answer.json().await?, &view, &zone))?;
    }
    Ok(code::OK)
}
