//! Claims over a domain: the shell that drives the [core](super::core) and talks to others.
//!
//! `shell` performs what the core says, `talk` turns its messages into requests and back,
//! `courier` carries them, `fronts` and `front` answer on the sockets.

mod config;
mod courier;
mod event;
mod front;
mod fronts;
mod shell;
mod talk;
mod view;

pub use config::{About, Applicant, ClaimerConfig};
pub use event::{ClaimEvent, Refused, Rival};
pub use shell::Claimer;
pub use view::{OtherClaim, OwnClaim};
