//! Frames: what one node asks another over a stream, and the answers.
//!
//! A node asks over the stream that it opened itself; answers come back on it, with the
//! number of the question, in any order. Every frame starts with a byte for its kind and
//! eight for that number. Deadlines are in the clock of the side that accepted the stream:
//! the side that opened it converts.

mod fields;
mod reply;
mod request;
#[cfg(test)]
mod tests;
mod vocabulary;

pub use reply::Reply;
pub use request::Request;
pub use vocabulary::{
    Ack, Answer, DigestItem, DigestPage, INLINE_VALUE, KeysPage, MAX_CARRIED, MAX_FRAME, MAX_KEY,
    MAX_RANGES, MAX_VALUE, Origin, PAGE_BYTES, PAGE_ITEMS, RangeSum, Sums,
};
