//! The command line: arguments, commands that ask a running supervisor, and what people see.
//!
//! [`parse`] turns arguments into an [`Invocation`] and touches nothing outside; [`execute`]
//! carries out everything but `run` and `exec`. What is shown is made by the pure functions of
//! [`render`]; every command is one file of `command`.

mod arguments;
pub mod code;
mod command;
mod execute;
mod flags;
mod flux_arguments;
mod invocation;
mod locate;
mod node_name;
mod reference;
pub mod render;
mod since;

#[cfg(test)]
pub(crate) use arguments::with_json;
pub use execute::execute;
pub use flux_arguments::FluxSpecOptions;
pub use invocation::{
    ChangeOptions, ClaimsOptions, ConfigOptions, EventsOptions, ExecOptions, HealthOptions,
    Invocation, Lines, LogStatsOptions, LogsOptions, MetricsOptions, Place, ReloadOptions,
    RestartOptions, RotateOptions, RunOptions, ScaleOptions, StatusOptions, StopOptions,
    WhyOptions, parse,
};
pub use reference::reference;
