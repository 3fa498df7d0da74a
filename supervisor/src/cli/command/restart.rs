//! `supervisor restart`.

use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::change::order;
use super::connect;
use super::output::print;
use crate::cli::execute::CommandError;
use crate::cli::{RestartOptions, code};

/// Restarts nodes, or ends the rolling restart that is under way.
pub(crate) async fn restart(options: &RestartOptions) -> Result<u8, CommandError> {
    if !options.abort {
        return order(&options.change, &call(options)).await;
    }
    let client = connect(&options.change.place)?;
    let answer = client.call(Method::POST, "/restart/abort", |_| false);
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
        let node = utf8_percent_encode(node, NON_ALPHANUMERIC);
        call.push_str(&format!("&node={node}"));
    }
    call
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_become_a_call() {
        let options = RestartOptions {
            rolling: true,
            nodes: vec!["2".to_owned(), "a&b".to_owned()],
            ..RestartOptions::default()
        };
        assert_eq!(
            call(&options),
            "/restart?rolling=true&force=false&node=2&node=a%26b"
        );
    }
}
