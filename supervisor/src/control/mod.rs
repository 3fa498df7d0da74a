//! The control API: HTTP and JSON over a Unix socket, and the client of the command line.

mod address;
mod request;
mod server;

pub use address::ControlAddress;
pub use request::{Request, StopReply, REQUESTS_MAX};
pub use server::{Control, ControlConfig, ControlError};
