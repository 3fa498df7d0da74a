//! `supervisor events`.

use http::Method;
use jiff::tz::TimeZone;

use super::connect;
use super::lines::LineBuffer;
use super::output::{Reader, print};
use crate::cli::execute::CommandError;
use crate::cli::{EventsOptions, code};
use crate::event::Event;
use crate::logs::{Clock, event_text};
use crate::style::Style;

/// Shows events.
pub(crate) async fn show(options: &EventsOptions) -> Result<u8, CommandError> {
    let client = connect(&options.place)?;
    let call = format!("/events?follow={}", options.follow);
    let mut answer = client.call(Method::GET, &call, |_| false).await?;
    let zone = if options.utc {
        TimeZone::UTC
    } else {
        TimeZone::system()
    };
    let (clock, style) = (Clock::of(zone), Style::of(&std::io::stdout()));
    let mut buffer = LineBuffer::default();
    let mut reader = Reader::of_stdout();
    while let Some(piece) = reader.next_piece(&mut answer).await? {
        if options.json {
            print(piece)?;
        } else {
            let mut text = String::new();
            buffer.push(&piece, |line| text += &show_event(line, &clock, style));
            print(text)?;
        }
    }
    Ok(code::OK)
}

/// An event that came as a JSON line, for people. One of a kind that we do not know, from a
/// newer supervisor, is shown as it came.
pub(crate) fn show_event(line: &[u8], clock: &Clock, style: Style) -> String {
    match serde_json::from_slice::<Event>(line) {
        Ok(event) => event_text(&event, clock, style) + "\n",
        Err(_) => String::from_utf8_lossy(line).into_owned() + "\n",
    }
}
