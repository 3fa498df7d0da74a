//! Listing keys.

use bytes::Bytes;
use http::{Response, StatusCode};
use serde::Serialize;

use super::api::Api;
use super::problem::Problem;
use super::query::{Listing, encode_cursor};
use super::reply::{self, Reply};
use crate::cluster::KeysOutcome;

#[derive(Serialize)]
struct Page<'a> {
    keys: Vec<std::borrow::Cow<'a, str>>,
    /// Absent when no key follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// `GET /keys`: one page.
pub(super) async fn answer(api: &Api, query: Option<&str>) -> Result<Response<Reply>, Problem> {
    let listing = Listing::parse(query)?;
    let after = listing.after.map(Bytes::from);
    match api
        .cluster
        .keys(Bytes::from(listing.prefix), after, listing.limit)
        .await
    {
        KeysOutcome::Page { keys, more } => Ok(reply::json(
            StatusCode::OK,
            &Page {
                // Keys are UTF-8; what a peer of another version may let through is shown
                // as well as it can be.
                keys: keys
                    .iter()
                    .map(|key| String::from_utf8_lossy(key))
                    .collect(),
                next_cursor: keys.last().filter(|_| more).map(|key| encode_cursor(key)),
            },
        )),
        KeysOutcome::Unknown => Err(Problem::HoldersUnknown),
    }
}
