//! `supervisor restart`.

use http::Method;

use super::change::order;
use super::output::print;
use super::{connect, request};
use crate::cli::execute::CommandError;
use crate::cli::{RestartOptions, code};

/// Restarts nodes, or ends the rolling restart that is under way.
pub(crate) async fn restart(options: &RestartOptions) -> Result<u8, CommandError> {
    if !options.abort {
        return order(&options.change, &call(options)).await;
    }
    let client = connect(&options.change.place)?;
    let answer = request(&client, Method::POST, "/restart/abort", |_| false);
    let answer = answer.await?;
    if options.change.json {
        print(answer.whole().await?)?;
    }
    Ok(code::OK)
}

fn call(options: &RestartOptions) -> String {
    let (rolling, force) = (options.rolling, options.force);
    let mut call = format!("/restart?rolling={rolling}&force={force}");
    for node in &options.nodes {
        call.push_str(&format!("&node={}", node.name()));
    }
    call
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::NodeIndex;

    #[test]
    fn options_become_a_call() {
        let options = RestartOptions {
            rolling: true,
            nodes: vec![NodeIndex(1), NodeIndex(0)],
            ..RestartOptions::default()
        };
        assert_eq!(
            call(&options),
            "/restart?rolling=true&force=false&node=flux-node-2&node=flux-node-1"
        );
    }
}
