//! A client that remembers what was acknowledged, and checks every answer against it.
//!
//! [`Churn`] writes and reads on threads of its own, on whatever nodes it is told to use,
//! while somebody else ill-treats the fleet. What it remembers is in `history`, which knows
//! neither sockets nor clocks.

mod client;
mod history;
mod report;

pub use client::{Churn, ChurnConfig};
pub use report::Report;
