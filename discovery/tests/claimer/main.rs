//! Claims over a domain, with each address 127.0.0.x as a host of its own.

mod conversation;
mod host;
#[path = "../ports/mod.rs"]
mod ports;
mod rules;
mod wire;
