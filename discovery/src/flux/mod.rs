//! What the platform Flux (RunOnFlux) tells a container: the address of its host, and where
//! the other instances of its app are.
//!
//! Neither is a statement about who lives. The answers come from many machines that
//! disagree, list hosts that have been dead for two hours, leave out those that are new, and
//! tell of errors with status 200. So [`parse_address`] and [`parse_instances`] read what
//! can be read, and [`Instances`] remembers it with care.

mod answer;
mod instances;

pub use answer::{AnswerError, host_address, parse_address, parse_instances};
pub use instances::{ABSENCES_MAX, INSTANCES_MAX, Instances};
