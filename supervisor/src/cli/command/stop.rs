//! `supervisor stop`.

use std::path::Path;
use std::time::Duration;

use http::Method;
use jiff::tz::TimeZone;
use tokio::time::{Instant, sleep};

use super::events::show_event;
use super::lines::LineBuffer;
use super::output::{note, print};
use super::waiting::waiting;
use super::{connect, request};
use crate::cli::execute::CommandError;
use crate::cli::{StopOptions, code};
use crate::logs::Clock;
use crate::style::Style;

/// How long the supervisor may take to end after its last word.
const END_TIMEOUT: Duration = Duration::from_secs(10);

/// How often the end is looked for; it is a matter of a few milliseconds.
const END_LOOK: Duration = Duration::from_millis(2);

/// Stops the fleet.
pub(crate) async fn stop(options: &StopOptions) -> Result<u8, CommandError> {
    let client = connect(&options.place)?;
    let pid = client.supervisor_pid().ok();
    let call = format!("/stop?now={}&wait={}", options.now, options.wait);
    let mut answer = request(&client, Method::POST, &call, |_| false).await?;
    if !options.wait {
        if options.json {
            print(answer.whole().await?)?;
        }
        return Ok(code::OK);
    }
    let (clock, style) = (
        Clock::TimeOfDay(TimeZone::system()),
        Style::of(&std::io::stdout()),
    );
    let mut buffer = LineBuffer::default();
    // When the supervisor ends before its last word is out, the answer is broken off. What
    // counts is whether it ends.
    while let Ok(Some(piece)) = waiting("the nodes to end", answer.piece()).await {
        if options.json {
            print(piece)?;
        } else {
            let mut text = String::new();
            buffer.push(&piece, |line| text += &show_event(line, &clock, style));
            print(text)?;
        }
    }
    match pid {
        Some(pid) if !wait_for_end(pid).await => {
            note(&format!("the supervisor, pid {pid}, has not ended yet"));
            Ok(code::FAILED)
        }
        _ => Ok(code::OK),
    }
}

/// Waits until a process has ended: then its ports and locks are free. Whether it has.
async fn wait_for_end(pid: i32) -> bool {
    let deadline = Instant::now() + END_TIMEOUT;
    while is_running(pid) {
        if Instant::now() >= deadline {
            return false;
        }
        sleep(END_LOOK).await;
    }
    true
}

/// Whether a process runs. One that waits for its parent to take note of its end does not.
fn is_running(pid: i32) -> bool {
    let stat = Path::new("/proc").join(pid.to_string()).join("stat");
    let Ok(stat) = std::fs::read_to_string(stat) else {
        return false;
    };
    // The name in parentheses may hold anything, a parenthesis too (proc_pid_stat(5)).
    let state = stat
        .rsplit_once(')')
        .and_then(|(_, rest)| rest.trim_start().chars().next());
    !matches!(state, Some('Z' | 'X'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_that_have_ended_do_not_run() {
        let own = i32::try_from(std::process::id()).expect("a pid");
        assert!(is_running(own));
        let mut child = std::process::Command::new("true").spawn().expect("starts");
        let pid = i32::try_from(child.id()).expect("a pid");
        // Ended, and not yet reaped: the pipe's end tells when.
        child.wait().expect("ends");
        assert!(!is_running(pid));
    }
}
