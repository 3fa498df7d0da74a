//! Settings as users write them, and what they are told.

mod case;
mod changes;
mod contradictions;
mod layers;
mod problems;
mod secrets;
mod shown;
