//! What one member tells another of a third over a stream.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::time::Duration;

use super::Update;

/// What one member knows of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// What a datagram says of it too.
    pub update: Update,
    /// For how long it has not answered, where it still counts: less than
    /// [`DOWN_FORGET`](super::DOWN_FORGET). Whoever did not know of it counts it as well, and
    /// for no longer than the others. It is a duration, because clocks of hosts differ.
    pub silent_for: Option<Duration>,
}

impl From<Update> for News {
    /// News of a member that lives, or does not count.
    fn from(update: Update) -> Self {
        Self {
            update,
            silent_for: None,
        }
    }
}
