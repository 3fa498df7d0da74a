//! What people see: pure functions from what is to text.

mod claims;
mod span;
mod status;
mod table;
mod view;

pub use claims::{claims, claims_at};
pub use status::{health_line, status, status_at};
pub use view::View;
