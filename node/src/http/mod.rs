//! The HTTP API on hyper.
//!
//! **A request.** `connection` drives one connection; hyper parses; `api` routes
//! (`route`), limits (`rate`), calls the cluster and renders. Everything that goes
//! wrong is one `problem::Problem`, which knows its status code and says what to do, also
//! where hyper refuses a head by itself or a client is too slow: `guard` keeps hyper's
//! bare answer from the socket, and the connection's driver sends ours.
//!
//! **Bounds** stand in `bounds`, each with its reason.
//!
//! **Cost.** A read takes one lock of a shard, shares the stored bytes with the socket's
//! vectored write, and renders its headers into one allocation; a connection's time-outs
//! need no timer per request, only one slow check per connection.

mod accept;
mod api;
mod body;
pub mod bounds;
mod connection;
mod conversation;
mod cors;
mod data;
mod date;
mod describe;
mod guard;
mod key;
mod keys;
mod lifecycle;
mod openapi;
mod plain;
mod problem;
mod query;
mod rate;
mod reply;
mod rfc3339;
pub mod route;
mod shortcut;
mod views;

pub use accept::{Connections, Doorman};
pub use api::{Api, ApiConfig};
pub use connection::Drain;
pub use conversation::{Conversation, PassOn};
pub use key::{KeyError, decode as decode_key};
pub use lifecycle::{Lifecycle, Stage};
pub use query::{Listing, QueryError, TtlBounds};
