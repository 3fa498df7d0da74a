//! The rules of claims as a state machine, without sockets, clocks or chance.
//!
//! One [`Claims`] decides for all claimants of one process. Its shell turns what happened
//! into an [`Input`], calls [`Claims::handle`] and performs the [`Output`]s in order, and
//! hands in [`Input::Tick`] when [`Claims::next_deadline`] has come. Times are durations
//! since any fixed moment of a clock that never goes back.
//!
//! `docs/port-claims.md` has the protocol on one page, with its proofs.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod candidates;
mod claims;
mod config;
mod event;
mod message;
mod neighbours;
mod own;
mod timing;

#[cfg(test)]
mod tests;

pub use candidates::Candidates;
pub use claims::{Claims, Timer};
pub use config::{Config, Scope};
pub use event::{Input, Newcomer, Output};
pub use message::{Claim, Message, Rank, Recipient, Stamp, Standing};
pub use neighbours::NEIGHBOURS_MAX;
pub use own::Stage;
pub use timing::{
    CLAIM_REFRESH, CLAIM_SETTLE, Jitter, MOVE_TIMEOUT, NO_PORT_RETRY, SECOND_PASS, Timing,
};
