//! Specifications of apps for Flux (RunOnFlux), version 8: made for the settings at hand, and
//! checked.
//!
//! The rules are those of FluxOS 8.17, whose validator stops at the first violation; here all
//! are named. What costs money or hosts without being forbidden is a remark.

mod fields;
mod make;
mod rules;
#[cfg(test)]
mod tests;

pub use fields::Finding;
pub use make::{Wanted, specification};
pub use rules::check;
