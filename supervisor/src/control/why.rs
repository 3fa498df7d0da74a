//! The call that tells why nodes are as they are.

use http::StatusCode;

use super::api::{Answer, Api, json};
use super::problem::Problem;
use super::query::Query;
use super::request::Request;
use crate::usage::proportional_memory;
use crate::why::NodeWhy;

impl Api {
    /// `GET /why`.
    pub(super) async fn why(&self, mut query: Query) -> Answer {
        let nodes = query.nodes()?;
        query.finish()?;
        let why = self.ask(|reply| Request::Why { nodes, reply }).await?;
        let unknown =
            |error: super::UnknownNode| Problem::new(StatusCode::NOT_FOUND, error.to_string());
        let mut why = why.map_err(unknown)?;
        for node in &mut why.nodes {
            self.complete(node).await;
        }
        Ok(json(StatusCode::OK, &why))
    }

    /// Adds what the event loop does not know, or should not wait for.
    async fn complete(&self, why: &mut NodeWhy) {
        let mut lines = self.logs().last_lines(&why.status.node).await;
        let mut take = |generation: u64| lines.remove(&generation).unwrap_or_default();
        for exit in &mut why.exits {
            let process = exit.process.as_ref();
            exit.lines = process.map(|process| take(process.generation));
        }
        if let Some(pid) = why.status.pid {
            why.lines = take(why.status.generation);
            let memory = tokio::task::spawn_blocking(move || proportional_memory(pid)).await;
            why.pss = memory.expect("it does not panic and is not ended");
        }
    }
}
