//! What `supervisor restart` and `supervisor scale` have in common.

use http::Method;
use jiff::tz::TimeZone;

use super::events::show_event;
use super::lines::LineBuffer;
use super::output::{note, print, print_json};
use super::{connect, request};
use crate::cli::execute::CommandError;
use crate::cli::render::{Outcome, Progress, View};
use crate::cli::{ChangeOptions, code, render};
use crate::control::{Answer, Begun, ControlClient};
use crate::event::Event;
use crate::fleet::Plan;
use crate::logs::Clock;
use crate::style::{Style, can_erase};

/// Gives the order `call`, such as `/scale?to=3`, and waits for its end when that is wanted.
pub(crate) async fn order(options: &ChangeOptions, call: &str) -> Result<u8, CommandError> {
    let client = connect(&options.place)?;
    let (dry_run, wait) = (options.dry_run, options.wait);
    let call = format!("{call}&dry_run={dry_run}&wait={wait}");
    if dry_run {
        return show_plan(&client, &call, options.json).await;
    }
    let answer = request(&client, Method::POST, &call, |_| false).await?;
    if wait {
        return follow(answer, options.json).await;
    }
    if options.json {
        print(answer.whole().await?)?;
    } else {
        let Begun { change, .. } = answer.json().await?;
        print(format!("change {} has begun\n", change.0))?;
    }
    Ok(code::OK)
}

async fn show_plan(client: &ControlClient, call: &str, json: bool) -> Result<u8, CommandError> {
    let answer = request(client, Method::POST, call, |_| false).await?;
    let plan: Plan = answer.json().await?;
    if json {
        print_json(&plan)?;
    } else {
        print(render::plan(&plan))?;
    }
    Ok(code::OK)
}

/// Shows what happens until the change has ended. When nobody reads it any more, what counts
/// is still how it ends.
async fn follow(mut answer: Answer, json: bool) -> Result<u8, CommandError> {
    let (mut progress, mut buffer) = (Progress::default(), LineBuffer::default());
    let form = Form::of_stdout(json);
    let mut printed = Ok(());
    while let Some(piece) = answer.piece().await? {
        let mut text = Vec::new();
        buffer.push(&piece, |line| {
            if let Ok(event) = serde_json::from_slice::<Event>(line) {
                progress.take(&event);
            }
            text.extend(form.show(line, &progress));
        });
        printed = printed.and_then(|()| print(text));
    }
    match progress.outcome() {
        Some(Outcome::Done) => printed.map(|()| code::OK),
        Some(Outcome::Halted) => Ok(code::FAILED),
        None => {
            note("the supervisor has ended before the change was done");
            Ok(code::FAILED)
        }
    }
}

/// How events are shown.
enum Form {
    /// As they come.
    Json,
    /// One line each.
    Lines(Clock),
    /// One line that changes, on a terminal.
    Progress(View),
}

impl Form {
    fn of_stdout(json: bool) -> Self {
        if json {
            Self::Json
        } else if can_erase(&std::io::stdout()) {
            Self::Progress(View::of_stdout())
        } else {
            Self::Lines(Clock::TimeOfDay(TimeZone::system()))
        }
    }

    /// What is printed for an event, which `progress` knows already.
    fn show(&self, line: &[u8], progress: &Progress) -> Vec<u8> {
        match self {
            Self::Json => [line, b"\n"].concat(),
            Self::Lines(clock) => show_event(line, clock, Style::Plain).into_bytes(),
            Self::Progress(view) => {
                // Back to the start of the line, and what stands there is erased.
                let mut text = format!("\r\x1b[K{}", progress.line(view.style, view.width));
                if progress.outcome().is_some() {
                    text.push('\n');
                }
                text.into_bytes()
            }
        }
    }
}
