//! Waiting for a condition.

use std::thread;
use std::time::{Duration, Instant};

/// How long tests wait for what should take milliseconds: long enough for a
/// machine that does many other things, short enough to end a broken run.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The pause between two looks. Short, because tests measure nothing by it.
pub(crate) const POLL: Duration = Duration::from_millis(5);

/// Looks until `probe` gives a value.
///
/// # Panics
/// When `deadline` has passed; the message says what was waited for and how far it
/// got, which is the last error of `probe`.
#[track_caller]
pub fn wait_until<T>(
    what: &str,
    deadline: Duration,
    probe: impl FnMut() -> Result<T, String>,
) -> T {
    poll_until(what, POLL, deadline, probe)
}

/// [`wait_until`] with a pause of one's own between two looks.
///
/// # Panics
/// When `deadline` has passed.
#[track_caller]
pub fn poll_until<T>(
    what: &str,
    pause: Duration,
    deadline: Duration,
    mut probe: impl FnMut() -> Result<T, String>,
) -> T {
    look_until(pause, deadline, &mut probe)
        .unwrap_or_else(|status| panic!("after {deadline:?} still not {what}: {status}"))
}

/// The loop itself, for those that must not panic: gives the last error of `probe`
/// when the deadline has passed.
pub(crate) fn look_until<T>(
    pause: Duration,
    deadline: Duration,
    probe: &mut dyn FnMut() -> Result<T, String>,
) -> Result<T, String> {
    let start = Instant::now();
    loop {
        match probe() {
            Err(_) if start.elapsed() < deadline => thread::sleep(pause),
            outcome => return outcome,
        }
    }
}
