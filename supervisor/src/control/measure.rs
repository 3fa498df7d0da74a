//! The call that Prometheus makes.

use bytes::Bytes;
use http::header::{ACCEPT, VARY};
use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::task::spawn_blocking;

use super::api::{Answer, Api, content, too_many};
use super::body::Content;
use super::problem::Problem;
use super::request::{Figures, Request};
use crate::logs::LogStats;
use crate::metrics::{Exposition, Format, OwnProcess, Page, Scrape, Scraper, page};

impl Api {
    /// `GET /metrics`.
    pub(super) async fn metrics(&self, nodes: bool, headers: &HeaderMap) -> Answer {
        let place = self.scrapes.try_acquire();
        let _place = place.map_err(|_| too_many("scrape metrics"))?;
        let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
        let format = Format::accepted(accept);
        let mut figures = *self.ask(|reply| Request::Figures { reply }).await?;
        let scrapes = if nodes {
            let scraper = Scraper::new()
                .map_err(|error| Problem::unavailable(format!("no HTTP client: {error}")))?;
            scraper.ask(std::mem::take(&mut figures.targets)).await
        } else {
            Vec::new()
        };
        let logs = self.logs().stats();
        // Looking at processes and writing thousands of lines would hold up the event loop.
        let text = spawn_blocking(move || write(&figures, &logs, scrapes, format));
        let text = text.await.map_err(|error| {
            let detail = format!("the page could not be written: {error}");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
        })?;
        let body = Content::Whole(Some(Bytes::from(text)));
        let mut response = content(StatusCode::OK, format.content_type(), body);
        let headers = response.headers_mut();
        headers.insert(VARY, HeaderValue::from_static("accept"));
        Ok(response)
    }
}

/// Our own page, with those of the nodes that gave theirs.
fn write(figures: &Figures, logs: &LogStats, scrapes: Vec<Scrape>, format: Format) -> String {
    let mut whole: Exposition = page(&Page {
        status: &figures.status,
        tally: &figures.tally,
        wanted: figures.wanted,
        logs,
        own: OwnProcess::now(),
        scrapes: &scrapes,
    });
    for scrape in scrapes {
        if let Some(mut page) = scrape.page {
            page.label("node", &scrape.node);
            whole.merge(page);
        }
    }
    whole.render(format)
}
