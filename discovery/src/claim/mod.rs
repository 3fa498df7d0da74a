//! The claim of slots: which node gets which pair of ports.
//!
//! [`core`] has the rules, free of sockets and clocks; the rest are shells around it.
//! [`claim_on_host`] claims within one network namespace, where the kernel decides.
//! [`Claimer`] claims over all hosts of a domain, where the claimants decide by what they
//! say to each other ([`conversation`]).

mod claimer;
pub mod conversation;
pub mod core;
mod host;

pub use claimer::{
    About, Applicant, ClaimEvent, Claimer, ClaimerConfig, OtherClaim, OwnClaim, Refused, Rival,
};
pub use host::{Claimant, NoSlot, claim_on_host};
