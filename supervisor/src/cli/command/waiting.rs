//! What people see while nothing happens.

use std::io::{self, Write as _};
use std::time::Duration;

use terminal_size::{Width, terminal_size_of};
use tokio::time::{Instant, interval_at};

use crate::style::can_erase;

/// Nobody wonders before that.
const SILENCE: Duration = Duration::from_secs(1);

/// Awaits `work`. When it takes longer than a second, a line on a terminal says what is waited
/// for, and for how long already; it goes when the work is done.
pub(crate) async fn waiting<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::pin!(work);
    if !can_erase(&io::stderr()) {
        return work.await;
    }
    let start = Instant::now();
    let mut ticks = interval_at(start + SILENCE, SILENCE);
    let mut shown = false;
    loop {
        tokio::select! {
            biased;
            done = &mut work => {
                if shown {
                    show("");
                }
                return done;
            }
            now = ticks.tick() => {
                let seconds = now.duration_since(start).as_secs();
                show(&format!("waiting for {what}, {seconds} s"));
                shown = true;
            }
        }
    }
}

/// Puts a text in the place of the line that the cursor is on.
fn show(text: &str) {
    let stderr = io::stderr();
    let width = terminal_size_of(&stderr).map(|(Width(columns), _)| usize::from(columns));
    let text: String = text.chars().take(width.unwrap_or(usize::MAX)).collect();
    // Whoever does not see it has lost nothing.
    let _ = write!(stderr.lock(), "\r\x1b[K{text}");
}
