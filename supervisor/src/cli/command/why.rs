//! `supervisor why`.

use http::Method;

use super::output::print;
use super::period::zone;
use super::{connect, request};
use crate::cli::execute::CommandError;
use crate::cli::render::{self, View};
use crate::cli::{WhyOptions, code};

/// Tells why nodes are as they are, or which are not fine.
pub(crate) async fn show(options: &WhyOptions) -> Result<u8, CommandError> {
    let client = connect(&options.place)?;
    let nodes = options.nodes.iter();
    let nodes: Vec<String> = nodes.map(|node| format!("node={}", node.name())).collect();
    let call = format!("/why?{}", nodes.join("&"));
    let answer = request(&client, Method::GET, &call, |_| false).await?;
    let (view, zone) = (View::of_stdout(), zone(options.utc));
    if options.json {
        // As the supervisor says it, also what a newer one may add.
        print(answer.whole().await?)?;
    } else if options.nodes.is_empty() {
        print(render::why_fleet(&answer.json().await?, &view, &zone))?;
    } else {
        print(render::why_nodes(&answer.json().await?, &view, &zone))?;
    }
    Ok(code::OK)
}
