//! The rules of claims in a domain, explored exhaustively and simulated at large.
//!
//! `docs/port-claims.md` says what is proven here, and how to run the long versions.

mod domain;
mod exhaustive;
mod expected;
mod fair;
mod host;
mod laws;
mod random;
mod simulation;
mod world;
