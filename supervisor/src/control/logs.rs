//! The calls about what the nodes write.

use std::collections::BTreeSet;
use std::sync::Arc;

use http::StatusCode;

use super::api::{Answer, Api, JSON_LINES, content, json, soon, too_many};
use super::body::Content;
use super::problem::Problem;
use super::query::Query;
use super::stream;
use crate::logs::{LineForm, NodeFilter, list_nodes};

impl Api {
    /// `GET /logs`.
    pub(super) async fn lines(&self, mut query: Query) -> Answer {
        let follow = query.switch("follow", false)?;
        let (wanted, form) = query.lines()?;
        query.finish()?;
        if !follow && !self.logs().has_files() {
            return Err(no_files());
        }
        if follow && wanted.until.is_some() {
            let detail = "what comes is later than now; leave out follow or until";
            return Err(Problem::bad_request(detail));
        }
        self.check_known(&wanted.nodes).await?;
        let readers = Arc::clone(&self.readers);
        let permit = readers
            .try_acquire_owned()
            .map_err(|_| too_many("read logs"))?;
        let place = match follow {
            true => Some(self.follower("follow logs")?),
            false => None,
        };
        let following = soon(self.logs().follow(&wanted), "the disk").await?;
        let (history, live) = following.ok_or_else(|| too_many("follow logs"))?;
        let live = place.map(|place| (live, place));
        let pieces = stream::lines(history, live, wanted, form, permit)
            .map_err(|error| Problem::unavailable(format!("no thread could be had: {error}")))?;
        let kind = match form {
            LineForm::Text => "text/plain; charset=utf-8",
            LineForm::Raw => "application/octet-stream",
            LineForm::Json => JSON_LINES,
        };
        Ok(content(StatusCode::OK, kind, Content::Stream(pieces)))
    }

    /// Refuses nodes that there are not and never were: no lines would look like no trouble.
    async fn check_known(&self, wanted: &NodeFilter) -> Result<(), Problem> {
        let unknown = |known: &BTreeSet<String>| {
            let mut names = wanted.names().iter();
            names.find(|name| !known.contains(*name))
        };
        let mut known: BTreeSet<String> = self.logs().nodes().into_iter().collect();
        if unknown(&known).is_none() {
            return Ok(());
        }
        // One that has not written anything.
        let fleet = self.status().await?.nodes.into_iter();
        known.extend(fleet.map(|node| node.node));
        match unknown(&known) {
            None => Ok(()),
            Some(unknown) => Err(Problem::new(
                StatusCode::NOT_FOUND,
                format!("there is no {unknown}; there are {}", list_nodes(known)),
            )),
        }
    }

    /// `POST /logs/rotate`.
    pub(super) async fn rotate(&self, query: Query) -> Answer {
        query.finish()?;
        let report = soon(self.logs().rotate(), "the disk").await?;
        Ok(json(StatusCode::OK, &report.ok_or_else(no_files)?))
    }
}

fn no_files() -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        "LOG_DIR is off, so that there are no files; lines can only be followed as they come",
    )
}
