//! `supervisor reload`.

use http::Method;
use jiff::tz::TimeZone;

use super::events::show_event;
use super::lines::LineBuffer;
use super::output::{note, print};
use super::waiting::waiting;
use super::{connect, request};
use crate::cli::execute::CommandError;
use crate::cli::{ReloadOptions, code, render};
use crate::control::Answer;
use crate::event::{Event, EventKind};
use crate::logs::Clock;
use crate::reload::ReloadPlan;
use crate::style::Style;

/// Lets the supervisor read its settings again.
pub(crate) async fn reload(options: &ReloadOptions) -> Result<u8, CommandError> {
    let client = connect(&options.place)?;
    let wait = options.wait && !options.dry_run;
    let call = format!("/reload?dry_run={}&wait={wait}", options.dry_run);
    let answer = request(&client, Method::POST, &call, |_| false).await?;
    if wait {
        return follow(answer, options.json).await;
    }
    if options.json {
        print(answer.whole().await?)?;
    } else {
        show(&answer.json().await?)?;
    }
    Ok(code::OK)
}

fn show(plan: &ReloadPlan) -> Result<(), CommandError> {
    for warning in &plan.warnings {
        note(warning);
    }
    print(render::reload(plan))
}

/// Shows the plan and what happens, until all changes have ended. When nobody reads it any
/// more, what counts is still how they end.
async fn follow(mut answer: Answer, json: bool) -> Result<u8, CommandError> {
    let (clock, style) = (Clock::of(TimeZone::system()), Style::of(&std::io::stdout()));
    let mut buffer = LineBuffer::default();
    let mut awaited: Option<Awaited> = None;
    let mut printed = Ok(());
    while let Some(piece) = waiting("the next step", answer.piece()).await? {
        let mut text = String::new();
        let mut plan = None;
        buffer.push(&piece, |line| match &mut awaited {
            None => {
                plan = serde_json::from_slice::<ReloadPlan>(line).ok();
                awaited = Some(Awaited::of(plan.as_ref()));
            }
            Some(awaited) => {
                awaited.take(line);
                text += &show_event(line, &clock, style);
            }
        });
        printed = printed.and_then(|()| match (json, plan) {
            (true, _) => print(piece),
            (false, plan) => plan
                .map_or(Ok(()), |plan| show(&plan))
                .and_then(|()| print(text)),
        });
    }
    match awaited {
        Some(Awaited { open, halted }) if open.is_empty() && !halted => printed.map(|()| code::OK),
        Some(Awaited { open, .. }) if open.is_empty() => Ok(code::FAILED),
        _ => {
            note("the supervisor has ended before all was done");
            Ok(code::FAILED)
        }
    }
}

/// Changes that have not ended yet, and whether one was halted.
struct Awaited {
    open: Vec<u64>,
    halted: bool,
}

impl Awaited {
    fn of(plan: Option<&ReloadPlan>) -> Self {
        let changes = plan.map_or(&[][..], |plan| &plan.changes);
        Self {
            open: changes.iter().map(|ticket| ticket.0).collect(),
            halted: false,
        }
    }

    fn take(&mut self, line: &[u8]) {
        let Ok(Event { kind, .. }) = serde_json::from_slice(line) else {
            return;
        };
        let (ended, halted) = match kind {
            EventKind::ChangeDone { change, .. } => (change, false),
            EventKind::ChangeHalted { change, .. } => (change, true),
            _ => return,
        };
        if let Some(place) = self.open.iter().position(|change| *change == ended) {
            self.open.swap_remove(place);
            self.halted |= halted;
        }
    }
}
