//! The control API: HTTP/1.1 and JSON over a Unix socket, and the client of the command line.
//!
//! | call | answer |
//! |---|---|
//! | `GET /status` | 200 [`FleetStatus`](crate::status::FleetStatus) |
//! | `GET /why?node=` | 200 [`FleetWhy`](crate::why::FleetWhy): the stories of these nodes, or of all that are not fine |
//! | `GET /health` | 200 or 503 [`Health`] |
//! | `GET /claims` | 200 [`Claims`](crate::claims::Claims) |
//! | `GET /metrics?nodes=` | 200 a page for Prometheus ([`metrics`](crate::metrics)), with `nodes` those of the nodes as well |
//! | `GET /openapi.json` | 200 the document that describes all this |
//! | `POST /reload?dry_run=&wait=` | 200 [`ReloadPlan`](crate::reload::ReloadPlan); with `wait` (the default, but for a dry run) in one line, and after it events until all is done; 422 when the settings cannot be used |
//! | `POST /stop?now=&wait=` | 202, then events as they happen; the stop is done when the last is `fleet_stopped` |
//! | `POST /restart?node=&rolling=&force=&dry_run=&wait=` | 202, then events as they happen; the last is `change_done` or `change_halted` |
//! | `POST /restart/abort` | 200; the rolling restart that is under way ends |
//! | `POST /scale?to=&dry_run=&wait=` | as `/restart` |
//! | `GET /logs?follow=&node=&since=&lines=&format=` | 200, a stream of lines |
//! | `POST /logs/rotate` | 200 [`RotateReport`](crate::logs::RotateReport) |
//! | `GET /events?follow=&node=&since=&until=` | 200, a stream of JSON lines |
//!
//! With `dry_run` nothing is done, and the answer is 200 with the [`Plan`](crate::fleet::Plan);
//! with `wait=false` it is 202 with the number of the change and its plan.
//!
//! Errors are `application/problem+json` (RFC 9457). Every connection carries one request.
//!
//! The same API is served on ADMIN_ADDR, where changes need a token (`admin`).
//!
//! The server knows neither nodes nor processes: what it cannot answer from the logs it asks
//! the event loop by a [`Request`].

mod accepting;
mod address;
mod admin;
mod api;
mod body;
mod change;
mod client;
mod connection;
mod logs;
mod measure;
mod patience;
mod problem;
mod query;
mod reload;
mod request;
mod route;
mod server;
mod stream;
#[cfg(test)]
mod tests;
mod why;

pub use address::ControlAddress;
pub use admin::{AdminSocket, Gate, Taken, Token};
pub use change::Decision;
pub use client::{Answer, ClientError, ControlClient};
pub use problem::Problem;
pub use request::{
    Begun, ChangeOrder, Ended, Figures, HEALTH_SCHEMA, Health, REQUESTS_MAX, ReloadReply, Request,
    StopReply, Stopping, UnknownNode,
};
pub use route::calls;
pub use server::{Control, ControlConfig, ControlError};
