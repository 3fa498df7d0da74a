//! Counters and histograms, and their text for Prometheus.
//!
//! What a request counts goes into cells of its own worker thread: nobody shares a cache
//! line on the hot path, and a scrape adds the workers up.

mod page;
mod requests;

pub use page::{CONTENT_TYPE, Page};
pub use requests::{MethodLabel, Observation, RequestMetrics};
