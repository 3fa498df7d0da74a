//! Runs a fleet of node processes.

pub mod cli;
pub mod control;
pub mod event;
pub mod exit;
pub mod logs;
pub mod status;
