//! What a node tells its supervisor, as sd_notify(3) has it.

use std::time::Duration;

use sd_notify::NotifyState;
use tracing::debug;

/// Tells whoever started this process, if it listens (NOTIFY_SOCKET).
pub fn notify(states: &[NotifyState<'_>]) {
    let lines: Vec<String> = states.iter().map(ToString::to_string).collect();
    if let Err(error) = repram_discovery::notify::notify(&lines.join("\n")) {
        // Nothing but the supervisor's view of this node depends on it, and it has other
        // ways to see that something is wrong.
        debug!(%error, "could not notify the supervisor");
    }
}

/// How often [`NotifyState::Watchdog`] must be sent, when somebody waits for it
/// (WATCHDOG_USEC): once per liveness period, and at least twice in the time allowed.
#[must_use]
pub fn watchdog_period(liveness_period: Duration) -> Option<Duration> {
    period(sd_notify::watchdog_enabled()?, liveness_period)
}

fn period(allowed: Duration, liveness_period: Duration) -> Option<Duration> {
    Some(liveness_period.min(allowed / 2)).filter(|period| !period.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_least_two_notifications_come_in_time() {
        let seconds = Duration::from_secs;
        assert_eq!(period(seconds(30), seconds(10)), Some(seconds(10)));
        assert_eq!(period(seconds(10), seconds(10)), Some(seconds(5)));
        assert_eq!(period(Duration::ZERO, seconds(10)), None);
    }
}
