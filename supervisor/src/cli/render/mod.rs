//! What people see: pure functions from what is to text.

mod claims;
mod ending;
mod log_stats;
mod plan;
mod progress;
mod reload;
mod size;
mod span;
mod status;
mod table;
mod view;
mod why;
mod wrap;

pub use claims::{claims, claims_at};
pub use log_stats::{log_stats, log_stats_at};
pub use plan::plan;
pub use progress::{Outcome, Progress};
pub use reload::{reload, reload_for};
pub use status::{health_line, status, status_at};
pub use view::View;
pub use why::{why_fleet, why_nodes};
