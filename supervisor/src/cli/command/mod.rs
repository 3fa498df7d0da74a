//! The commands, one per file.

mod change;
pub(crate) mod claims;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod events;
pub(crate) mod flux_spec;
pub(crate) mod health;
pub(crate) mod lines;
pub(crate) mod log_stats;
pub(crate) mod logs;
pub(crate) mod man;
pub(crate) mod metrics;
mod output;
mod period;
pub(crate) mod reload;
pub(crate) mod restart;
pub(crate) mod scale;
pub(crate) mod status;
pub(crate) mod stop;
mod waiting;
pub(crate) mod why;

use http::{Method, StatusCode};

use super::Place;
use super::execute::CommandError;
use super::locate::Located;
use crate::control::{Answer, ClientError, ControlClient};

/// Where the supervisor may be, with a note when the settings have problems.
fn locate(place: &Place) -> Result<Located, CommandError> {
    let located = Located::find(place)?;
    if let Some(warning) = &located.warning {
        output::note(warning);
    }
    Ok(located)
}

/// The supervisor that is meant.
fn connect(place: &Place) -> Result<ControlClient, CommandError> {
    Ok(locate(place)?.connect()?)
}

/// Makes a call, as [`ControlClient::call`] does, and says so on a terminal when the answer
/// takes its time.
async fn request(
    client: &ControlClient,
    method: Method,
    call: &str,
    accept: impl Fn(StatusCode) -> bool,
) -> Result<Answer, ClientError> {
    waiting::waiting("an answer", client.call(method, call, accept)).await
}
