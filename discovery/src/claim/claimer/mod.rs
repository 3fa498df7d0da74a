//! Claims over a domain: the shell that drives the [core](super::core) and talks to others.
//!
//! A [`Claimer`] binds the slots that its core chooses, answers on the HTTP socket of each
//! until a node does ([`Claimer::hand_over`]), tells the other hosts of the domain what it
//! holds, and hands in what they say. It does nothing by itself: its user calls
//! [`Claimer::next`] in a loop and acts on each [`ClaimEvent`].

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
