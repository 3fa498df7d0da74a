//! Log lines that a stranger could cause any number of.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lets one line through in a while and counts the others.
#[derive(Debug)]
pub struct Quiet {
    every: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last: Option<Instant>,
    held_back: u64,
}

impl Quiet {
    /// One line in `every`.
    #[must_use]
    pub const fn new(every: Duration) -> Self {
        Self {
            every,
            state: Mutex::new(State {
                last: None,
                held_back: 0,
            }),
        }
    }

    /// Calls `write` with the number of lines that were held back, or holds this one back.
    pub fn say(&self, write: impl FnOnce(u64)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if state
            .last
            .is_some_and(|last| now.duration_since(last) < self.every)
        {
            state.held_back += 1;
            return;
        }
        let held_back = std::mem::take(&mut state.held_back);
        state.last = Some(now);
        drop(state);
        write(held_back);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_passes_and_the_others_are_counted() {
        let quiet = Quiet::new(Duration::from_secs(3600));
        let mut said = Vec::new();
        for _ in 0..5 {
            quiet.say(|held_back| said.push(held_back));
        }
        assert_eq!(said, [0]);
        let talkative = Quiet {
            every: Duration::ZERO,
            ..quiet
        };
        talkative.say(|held_back| said.push(held_back));
        assert_eq!(said, [0, 4]);
    }
}
