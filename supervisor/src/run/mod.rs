//! `supervisor run`: the shell around the [fleet](crate::fleet).
//!
//! `start` makes everything ready, in an order in which each step can still be refused
//! without leaving anything behind; `events` is the loop that turns what happens into
//! inputs of the core; `shell` performs the core's outputs; `launch` starts one process, `asking` asks one.

mod answer;
mod asking;
mod change;
mod descriptors;
mod domain;
mod events;
mod ingress;
mod launch;
mod member;
mod places;
mod refusal;
mod reload;
mod roster;
mod secret;
mod serving;
mod settling;
mod shell;
mod slots;
mod source;
mod start;
mod strangers;
mod survey;

pub use start::run;
