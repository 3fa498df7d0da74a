//! What people see: pure functions from what is to text.

mod status;
mod table;
mod view;

pub use status::{health_line, status, status_at};
pub use view::View;
