//! The settings themselves.
//!
//! `table` declares them; `declare` turns one entry of the table into a field,
//! a parser and a [`Declaration`](crate::Declaration).

mod allowance;
mod declare;
mod environment;
mod table;

pub use self::table::{NODE_COUNT_MAX, Settings};

pub(crate) use self::declare::{Difference, Read};
pub(crate) use self::table::{DECLARATIONS, Draft};
